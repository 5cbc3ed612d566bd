-- Mail about decisions is queued wherever they are made, and written when it is sent. What an import brings is older.
CREATE FUNCTION statements_mailed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_id)
    SELECT s.site_id, 'statement:' || s.site_id || ':' || s.statement_id, 'unwritten', s.profile_id, 11, s.statement_id
      FROM new_rows s
     WHERE s.created > now() - interval '1 hour'
        ON CONFLICT (cause) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER statements_mailed AFTER INSERT ON statements
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    EXECUTE FUNCTION statements_mailed();

CREATE FUNCTION reports_mailed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_id)
    SELECT r.site_id, 'report:' || r.site_id || ':' || r.report_id, 'unwritten', r.reporter_id, 12, r.report_id
      FROM new_rows r
     WHERE r.created > now() - interval '1 hour'
        ON CONFLICT (cause) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER reports_mailed AFTER INSERT ON reports
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    EXECUTE FUNCTION reports_mailed();

CREATE FUNCTION cases_mailed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_id)
    SELECT r.site_id, 'outcome:' || r.site_id || ':' || r.report_id, 'unwritten', r.reporter_id, 13, r.report_id
      FROM reports r
     WHERE r.site_id = NEW.site_id AND r.case_id = NEW.case_id
        ON CONFLICT (cause) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER cases_mailed AFTER UPDATE OF state ON cases
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state = 'decided')
    EXECUTE FUNCTION cases_mailed();

CREATE FUNCTION appeals_mailed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_id)
    VALUES (NEW.site_id, 'appeal:' || NEW.site_id || ':' || NEW.appeal_id, 'unwritten', NEW.profile_id, 14,
            NEW.appeal_id)
        ON CONFLICT (cause) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER appeals_mailed AFTER UPDATE OF state ON appeals
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state <> 'open')
    EXECUTE FUNCTION appeals_mailed();
