-- Texts are stored HTML-escaped, and counted before: each character may take five (&#39;).

SET LOCAL lock_timeout = '5s';

-- Not validated: what the narrower limits let in is within these.
ALTER TABLE access_tokens
    DROP CONSTRAINT access_tokens_name_check,
    ADD CONSTRAINT access_tokens_name_check CHECK (length(name) <= 500) NOT VALID;
ALTER TABLE oauth_clients
    DROP CONSTRAINT oauth_clients_name_check,
    ADD CONSTRAINT oauth_clients_name_check CHECK (length(name) <= 250) NOT VALID;
ALTER TABLE reports
    DROP CONSTRAINT reports_text_check,
    ADD CONSTRAINT reports_text_check CHECK (length(text) <= 10000) NOT VALID,
    DROP CONSTRAINT reports_guest_name_check,
    ADD CONSTRAINT reports_guest_name_check CHECK (length(guest_name) <= 500) NOT VALID;
ALTER TABLE case_notes
    DROP CONSTRAINT case_notes_text_check,
    ADD CONSTRAINT case_notes_text_check CHECK (length(text) <= 10000) NOT VALID;
ALTER TABLE actions
    DROP CONSTRAINT actions_rule_check,
    ADD CONSTRAINT actions_rule_check CHECK (length(rule) <= 2500) NOT VALID,
    DROP CONSTRAINT actions_reason_check,
    ADD CONSTRAINT actions_reason_check CHECK (length(reason) <= 10000) NOT VALID,
    DROP CONSTRAINT actions_note_check,
    ADD CONSTRAINT actions_note_check CHECK (length(note) <= 10000) NOT VALID;
ALTER TABLE appeal_messages
    DROP CONSTRAINT appeal_messages_text_check,
    ADD CONSTRAINT appeal_messages_text_check CHECK (length(text) BETWEEN 1 AND 10000) NOT VALID;
