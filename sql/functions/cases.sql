-- A case is seen by those who moderate the microcosm that its item is in now.
CREATE FUNCTION cases_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cases c
       SET microcosm_id = NEW.microcosm_id
     WHERE c.site_id = NEW.site_id AND c.in_item_id = NEW.item_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER cases_moved AFTER UPDATE OF microcosm_id ON items
    FOR EACH ROW WHEN (OLD.microcosm_id IS DISTINCT FROM NEW.microcosm_id)
    EXECUTE FUNCTION cases_moved();
