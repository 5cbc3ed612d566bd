-- How long a site keeps addresses, audit, mail and deleted texts: since when things are deleted, and what finds the aged.
SET LOCAL lock_timeout = '5s';

CREATE TABLE deletions (
    site_id         bigint      NOT NULL REFERENCES sites,
    item_type_id    smallint    NOT NULL,
    item_id         bigint      NOT NULL,
    deleted         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, item_type_id, item_id)
);
CREATE INDEX deletions_aged ON deletions (site_id, deleted);
COMMENT ON TABLE deletions IS 'Soft-deletion times: since when items and comments are deleted, until they are restored or their texts are gone';

-- What was deleted before counts as deleted now. Triggers keep the table from here on (sql/functions/deletions.sql).
INSERT INTO deletions (site_id, item_type_id, item_id)
SELECT c.site_id, 4, c.comment_id FROM comments c WHERE c.is_deleted
 UNION ALL
SELECT i.site_id, i.item_type_id, i.item_id FROM items i WHERE i.is_deleted;

-- May have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE INDEX IF NOT EXISTS audit_log_addresses ON audit_log (site_id, created) WHERE ip IS NOT NULL;
CREATE INDEX IF NOT EXISTS mail_outbox_past ON mail_outbox (site_id, (coalesce(sent, created)))
    WHERE state IN ('sent', 'dropped', 'dead');
