-- Mail about updates: what waits in the outbox names what it is about, and becomes a text when it is sent, for whoever may
-- still read it then. A release that does not know the state 'unwritten' leaves such rows alone.

ALTER TABLE mail_outbox
    ALTER COLUMN recipient SET DEFAULT '',
    ALTER COLUMN subject SET DEFAULT '',
    ALTER COLUMN text_body SET DEFAULT '',
    ADD COLUMN profile_id      bigint,                           -- of the reader; null: a mail that has its text already
    ADD COLUMN update_type_id  smallint REFERENCES update_types, -- null with a profile: a digest
    ADD COLUMN item_type_id    smallint REFERENCES item_types,
    ADD COLUMN item_id         bigint,
    ADD COLUMN comment_id      bigint,
    ADD COLUMN by_profile_id   bigint,
    ADD COLUMN since           timestamptz,                      -- of a digest: it tells what is newer than this
    ADD CONSTRAINT mail_outbox_reader FOREIGN KEY (site_id, profile_id) REFERENCES profiles ON DELETE CASCADE,
    DROP CONSTRAINT mail_outbox_state_check,
    ADD CONSTRAINT mail_outbox_state_check CHECK (state IN ('queued', 'unwritten', 'sent', 'dropped', 'dead'));
CREATE INDEX mail_outbox_unwritten ON mail_outbox (not_before, mail_id) WHERE state = 'unwritten';
CREATE INDEX mail_outbox_dead ON mail_outbox (mail_id) WHERE state = 'dead';
CREATE INDEX mail_outbox_reader ON mail_outbox (site_id, profile_id) WHERE profile_id IS NOT NULL;

-- When a digest is due next; null: none is wanted.
ALTER TABLE profile_options ADD COLUMN digest_due timestamptz;
CREATE INDEX profile_options_digest ON profile_options (digest_due) WHERE digest_due IS NOT NULL;

-- What a mail server said of an address, for its owner and for operators.
ALTER TABLE mail_suppressions ADD COLUMN detail text NOT NULL DEFAULT '';
