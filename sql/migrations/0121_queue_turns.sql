-- Sites take turns in the queues of web push, checks, personal exports and roles: each queue's index begins with the site.

SET LOCAL lock_timeout = '5s';

DROP INDEX push_messages_due;
CREATE INDEX push_messages_due ON push_messages (site_id, not_before) WHERE state = 'queued';
DROP INDEX content_checks_waiting;
CREATE INDEX content_checks_waiting ON content_checks (site_id, not_before, check_id) WHERE state = 'waiting';
DROP INDEX personal_exports_waiting;
CREATE INDEX personal_exports_waiting ON personal_exports (site_id, requested) WHERE state IN ('queued', 'running');
DROP INDEX role_settlings_due;
CREATE INDEX role_settlings_due ON role_settlings (site_id, not_before);
