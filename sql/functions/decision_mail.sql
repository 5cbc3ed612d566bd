-- Mail about decisions is queued wherever they are made, once for each cause, and written when it is sent. Causes are
-- such as `report:1:20`: a word, the site's id, and the id of what was decided. Live listeners of the reader's updates
-- are notified of the update, whose id is that of update_types.py (DECISION_IDS).
CREATE FUNCTION queue_decision_mail(site bigint, update_type text, word text, decided bigint, reader bigint)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_id)
    SELECT site, concat_ws(':', word, site, decided), 'unwritten', reader, t.update_type_id, decided
      FROM update_types t
     WHERE t.name = update_type
        ON CONFLICT (cause) DO NOTHING;
    INSERT INTO event_log (site_id, kind, item_type_id, item_id)
    SELECT site, 'created', 16, ((t.update_type_id - 7)::bigint << 48) + decided
      FROM update_types t
     WHERE t.name = update_type AND reader IS NOT NULL
$$;

-- Arguments of the trigger: type of update, word of the cause, and the columns of the row that hold the id of what was
-- decided and its reader.
CREATE FUNCTION decision_mailed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    made jsonb := to_jsonb(NEW);
BEGIN
    PERFORM queue_decision_mail(
        NEW.site_id, TG_ARGV[0], TG_ARGV[1], (made ->> TG_ARGV[2])::bigint, (made ->> TG_ARGV[3])::bigint);
    RETURN NULL;
END
$$;
-- What an import brings is older than an hour.
CREATE TRIGGER statements_mailed AFTER INSERT ON statements
    FOR EACH ROW WHEN (NEW.created > now() - interval '1 hour')
    EXECUTE FUNCTION decision_mailed('statement', 'statement', 'statement_id', 'profile_id');
CREATE TRIGGER reports_mailed AFTER INSERT ON reports
    FOR EACH ROW WHEN (NEW.created > now() - interval '1 hour')
    EXECUTE FUNCTION decision_mailed('report_received', 'report', 'report_id', 'reporter_id');
CREATE TRIGGER appeals_mailed AFTER UPDATE OF state ON appeals
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state <> 'open')
    EXECUTE FUNCTION decision_mailed('appeal_decided', 'appeal', 'appeal_id', 'profile_id');

-- One decision on a case answers each of its reports.
CREATE FUNCTION outcomes_mailed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM queue_decision_mail(r.site_id, 'report_decided', 'outcome', r.report_id, r.reporter_id)
       FROM reports r
      WHERE r.site_id = NEW.site_id AND r.case_id = NEW.case_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER outcomes_mailed AFTER UPDATE OF state ON cases
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state = 'decided')
    EXECUTE FUNCTION outcomes_mailed();
