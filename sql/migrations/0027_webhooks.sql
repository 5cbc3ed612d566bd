-- Webhooks as they are registered and delivered (docs/api/webhooks.md). A delivery holds all that is said of its event,
-- so that it can be sent as long as it stands here, whatever is still kept of the log.
ALTER TABLE webhooks
    ADD COLUMN name            text        NOT NULL DEFAULT '',
    ADD COLUMN item_types      smallint[]  NOT NULL DEFAULT '{}',
    -- Whose eyes it sees with; null: a guest's.
    ADD COLUMN acts_as         bigint,
    ADD COLUMN with_documents  boolean     NOT NULL DEFAULT false,
    -- Events up to this number are not its.
    ADD COLUMN begins          bigint      NOT NULL DEFAULT 0,
    -- For a day after a change of the secret both sign.
    ADD COLUMN old_secret      bytea,
    ADD COLUMN old_secret_until timestamptz,
    ADD COLUMN disabled        text        NOT NULL DEFAULT '' CHECK (disabled IN ('', 'failing', 'gone')),
    -- Failures since the last success, and since when.
    ADD COLUMN failures        integer     NOT NULL DEFAULT 0,
    ADD COLUMN failing_since   timestamptz,
    -- One process at a time sends for a webhook; the one that was served longest ago comes first.
    ADD COLUMN claimed         timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN claimed_until   timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN sent_count      bigint      NOT NULL DEFAULT 0,
    ADD COLUMN last_sent       timestamptz,
    ADD COLUMN last_status     integer,
    ADD COLUMN last_error      text,
    -- What its full queue had no room for.
    ADD COLUMN missed_from     bigint,
    ADD COLUMN missed_upto     bigint,
    ADD CONSTRAINT webhooks_acts_as FOREIGN KEY (site_id, acts_as) REFERENCES profiles;

-- A negative number is a test. Item type 0 is a test's, parent type 0 that of an item without parent.
ALTER TABLE webhook_deliveries
    -- The same for every attempt. It is no number of ours: those would tell how much happens that one may not see.
    ADD COLUMN message_id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN kind            text        NOT NULL DEFAULT '',
    ADD COLUMN item_type_id    smallint    NOT NULL DEFAULT 0,
    ADD COLUMN item_id         bigint      NOT NULL DEFAULT 0,
    ADD COLUMN parent_type_id  smallint    NOT NULL DEFAULT 0,
    ADD COLUMN parent_id       bigint      NOT NULL DEFAULT 0,
    ADD COLUMN microcosm_id    bigint      NOT NULL DEFAULT 0,
    ADD COLUMN version         integer     NOT NULL DEFAULT 0,
    ADD COLUMN occurred        timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN queued          timestamptz NOT NULL DEFAULT now();

DROP INDEX webhook_deliveries_queue;
CREATE INDEX webhook_deliveries_queue ON webhook_deliveries (site_id, webhook_id, number) WHERE state = 'queued';
CREATE INDEX webhook_deliveries_object ON webhook_deliveries (site_id, webhook_id, item_type_id, item_id, number)
    WHERE state = 'queued';
