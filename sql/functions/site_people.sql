-- How many people a site has, whoever adds them, and when a name changes where it stands in lists.

CREATE FUNCTION people_added() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_people AS s (site_id, total, changes)
    SELECT a.site_id, count(*), 1 FROM added a GROUP BY a.site_id ORDER BY a.site_id
        ON CONFLICT (site_id) DO UPDATE SET total = s.total + EXCLUDED.total, changes = s.changes + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER people_added AFTER INSERT ON profiles REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION people_added();

CREATE FUNCTION person_renamed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE profile_counters n SET name_key = lower(NEW.profile_name)
     WHERE n.site_id = NEW.site_id AND n.profile_id = NEW.profile_id;
    UPDATE site_people s SET changes = s.changes + 1 WHERE s.site_id = NEW.site_id;
    RETURN NULL;
END $$;

CREATE TRIGGER person_renamed AFTER UPDATE OF profile_name ON profiles
    FOR EACH ROW WHEN (OLD.profile_name IS DISTINCT FROM NEW.profile_name) EXECUTE FUNCTION person_renamed();

-- A name that is changed by hand, or by the release before, is looked at anew.
CREATE FUNCTION person_to_be_looked_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.name_looks := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER person_to_be_looked_at BEFORE UPDATE OF profile_name ON profiles
    FOR EACH ROW WHEN (OLD.profile_name <> NEW.profile_name AND OLD.name_looks IS NOT DISTINCT FROM NEW.name_looks)
    EXECUTE FUNCTION person_to_be_looked_at();
