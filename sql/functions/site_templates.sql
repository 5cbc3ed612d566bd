-- A site's texts are shown with its snapshot: whoever changes one, by whatever way, moves the site's version.
CREATE FUNCTION site_template_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sites s
       SET version = s.version + 1
     WHERE s.site_id = coalesce(NEW.site_id, OLD.site_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER site_template_changed
    AFTER INSERT OR UPDATE OR DELETE ON site_templates
    FOR EACH ROW EXECUTE FUNCTION site_template_changed();
