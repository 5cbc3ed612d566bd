-- Whoever deletes or restores an item or comment, by whatever way: `deletions` says since when it is deleted.
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
