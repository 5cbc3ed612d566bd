-- Give an access token the audience of its grant: workers of the release before insert tokens without an audience.
CREATE FUNCTION token_audience() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.audience := coalesce(
        (SELECT g.audience FROM oauth_grants g WHERE g.site_id = NEW.site_id AND g.grant_id = NEW.grant_id),
        NEW.audience);
    RETURN NEW;
END
$$;
CREATE TRIGGER token_audience BEFORE INSERT ON access_tokens
    FOR EACH ROW WHEN (NEW.grant_id IS NOT NULL)
    EXECUTE FUNCTION token_audience();
