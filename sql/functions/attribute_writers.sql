-- A writer that says nothing of itself is the release before, while it is replaced, or somebody by hand. What it inserts or
-- overwrites has no known writer, and so counts as the member's; only is_member is the owner's in every release.

CREATE FUNCTION attribute_of_unknown_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.written_by := NULL;
    NEW.written := NULL;
    NEW.is_granted := NEW.item_type_id = 3 AND NEW.key = 'is_member';
    RETURN NEW;
END $$;

CREATE TRIGGER attribute_of_unknown_writer_new BEFORE INSERT ON attributes
    FOR EACH ROW WHEN (NEW.written IS NULL) EXECUTE FUNCTION attribute_of_unknown_writer();
CREATE TRIGGER attribute_of_unknown_writer BEFORE UPDATE ON attributes
    FOR EACH ROW WHEN (NEW.written IS NOT DISTINCT FROM OLD.written) EXECUTE FUNCTION attribute_of_unknown_writer();
