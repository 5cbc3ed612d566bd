-- Whatever a kept page shows leaves a row in site_changes when it changes, by whatever way and in the same transaction
-- (docs/decisions/0008). Not watched, on purpose: comments when they are inserted, item_authors and microcosm_deltas,
-- which never change without their item, and what belongs to one viewer, which is never kept.

CREATE FUNCTION site_changed_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_changes (site_id, item_id)
    VALUES (coalesce(NEW.site_id, OLD.site_id), coalesce(NEW.item_id, OLD.item_id, 0))
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();
CREATE TRIGGER site_changed AFTER UPDATE OR DELETE ON comments
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();
CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();
CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON polls
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();
CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON poll_choices
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();

CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON huddles
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();

-- Up to a hundred people join a huddle in one statement.
CREATE FUNCTION site_changed_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_changes (site_id, item_id)
    SELECT DISTINCT c.site_id, c.item_id FROM changed c
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER site_changed_joined AFTER INSERT ON huddle_participants
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION site_changed_items();
CREATE TRIGGER site_changed_left AFTER DELETE ON huddle_participants
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION site_changed_items();
CREATE TRIGGER site_changed AFTER UPDATE ON huddle_participants
    FOR EACH ROW EXECUTE FUNCTION site_changed_item();

-- A profile is shown wherever its owner wrote. A new one is shown nowhere yet.
CREATE FUNCTION site_changed_profile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_changes (site_id, item_id) VALUES (OLD.site_id, 0) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER site_changed AFTER UPDATE ON profiles
    FOR EACH ROW WHEN (OLD.version <> NEW.version OR OLD.profile_name <> NEW.profile_name)
    EXECUTE FUNCTION site_changed_profile();
CREATE TRIGGER site_changed_gone AFTER DELETE ON profiles
    FOR EACH ROW EXECUTE FUNCTION site_changed_profile();

CREATE FUNCTION site_changed_lists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_changes (site_id, item_id)
    VALUES (coalesce(NEW.site_id, OLD.site_id), -1)
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON microcosms
    FOR EACH ROW EXECUTE FUNCTION site_changed_lists();
CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON microcosm_counts
    FOR EACH ROW EXECUTE FUNCTION site_changed_lists();

-- Views are added up for hundreds of items in one statement.
CREATE FUNCTION site_changed_views() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_changes (site_id, item_id)
    SELECT DISTINCT c.site_id, -1 FROM changed c
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER site_changed_first AFTER INSERT ON item_views
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION site_changed_views();
CREATE TRIGGER site_changed_again AFTER UPDATE ON item_views
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION site_changed_views();
