-- A report that no longer names its reporter keeps a keyed hash of the thing and the reporter's address, until half a
-- year after the decision: so the same person reports the thing once.

SET LOCAL lock_timeout = '5s';

ALTER TABLE reports ADD COLUMN reporter_hash bytea;                 -- null while the report names its reporter
CREATE INDEX reports_forgotten ON reports (site_id, item_type_id, item_id, reporter_hash)
    WHERE reporter_hash IS NOT NULL;
