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

-- The release before deletes things until the functions of this one are made, which then replace these
-- (sql/functions/deletions.sql): the triggers begin with the table, before it is filled. Writes to items and comments wait
-- for the filling, which reads the index comments_hidden and all items.
CREATE FUNCTION comment_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' AND NEW.is_deleted THEN
        INSERT INTO deletions (site_id, item_type_id, item_id) VALUES (NEW.site_id, 4, NEW.comment_id)
            ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM deletions d
         WHERE d.site_id = OLD.site_id AND d.item_type_id = 4 AND d.item_id = OLD.comment_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER comment_deleted AFTER UPDATE OF is_deleted ON comments
    FOR EACH ROW WHEN (OLD.is_deleted <> NEW.is_deleted) EXECUTE FUNCTION comment_deleted();
CREATE TRIGGER comment_deleted_new AFTER INSERT ON comments
    FOR EACH ROW WHEN (NEW.is_deleted) EXECUTE FUNCTION comment_deleted();
CREATE TRIGGER comment_deleted_gone AFTER DELETE ON comments
    FOR EACH ROW WHEN (OLD.is_deleted) EXECUTE FUNCTION comment_deleted();

CREATE FUNCTION item_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' AND NEW.is_deleted THEN
        INSERT INTO deletions (site_id, item_type_id, item_id) VALUES (NEW.site_id, NEW.item_type_id, NEW.item_id)
            ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM deletions d
         WHERE d.site_id = OLD.site_id AND d.item_type_id = OLD.item_type_id AND d.item_id = OLD.item_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER item_deleted AFTER UPDATE OF is_deleted ON items
    FOR EACH ROW WHEN (OLD.is_deleted <> NEW.is_deleted) EXECUTE FUNCTION item_deleted();
CREATE TRIGGER item_deleted_new AFTER INSERT ON items
    FOR EACH ROW WHEN (NEW.is_deleted) EXECUTE FUNCTION item_deleted();
CREATE TRIGGER item_deleted_gone AFTER DELETE ON items
    FOR EACH ROW WHEN (OLD.is_deleted) EXECUTE FUNCTION item_deleted();

-- What was deleted before counts as deleted now.
INSERT INTO deletions (site_id, item_type_id, item_id)
SELECT c.site_id, 4, c.comment_id FROM comments c WHERE c.is_deleted
 UNION ALL
SELECT i.site_id, i.item_type_id, i.item_id FROM items i WHERE i.is_deleted;

-- May have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE INDEX IF NOT EXISTS audit_log_addresses ON audit_log (site_id, created) WHERE ip IS NOT NULL;
CREATE INDEX IF NOT EXISTS mail_outbox_past ON mail_outbox (site_id, (coalesce(sent, created)))
    WHERE state IN ('sent', 'dropped', 'dead');
