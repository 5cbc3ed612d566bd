-- The audit becomes a hash chain of each site: `audit_log` keeps what is erased one day (actor, address, texts) with its
-- salt; `audit_entries` keeps the chain over salted hashes of that, appended after the commit in the order of events.
SET LOCAL lock_timeout = '5s';

ALTER TABLE audit_log
    ADD COLUMN event_id bigint,                                 -- of event_log; null: from before the chain
    ADD COLUMN salt bytea,
    ADD COLUMN detail jsonb;                                    -- the verb, texts and ids of a moderator's action
ALTER TABLE audit_log
    ALTER COLUMN salt SET DEFAULT uuid_send(gen_random_uuid());
-- May have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE INDEX IF NOT EXISTS audit_log_event ON audit_log (site_id, event_id);

CREATE TABLE audit_entries (
    site_id         bigint      NOT NULL REFERENCES sites,
    number          bigint      NOT NULL CHECK (number > 0),    -- without gaps
    event_number    bigint      NOT NULL,                       -- of event_sequence; 0: no event tells it
    audit_id        bigint,                                     -- the row of audit_log; null for a signature
    created         timestamptz NOT NULL,
    action          text        NOT NULL CHECK (action IN ('C', 'R', 'U', 'D', 'E', 'S', 'X')),
    item_type_id    smallint    NOT NULL,
    item_id         bigint      NOT NULL,
    parent_type_id  smallint    NOT NULL,                       -- what the thing hangs on; 0: nothing
    parent_id       bigint      NOT NULL,
    actor_id        bigint      NOT NULL,                       -- 0: an operator, or nobody
    subject_id      bigint      NOT NULL,                       -- whose thing it is; 0: nobody's
    is_private      boolean     NOT NULL,                       -- of a huddle or of signing in: not for owners
    detail_hash     bytea       NOT NULL,                       -- over salt, address and texts in audit_log
    hash            bytea       NOT NULL,                       -- over this row and the hash before
    signature       bytea,                                      -- of the hash, where action is S
    PRIMARY KEY (site_id, number)
);
CREATE UNIQUE INDEX audit_entries_audit ON audit_entries (site_id, audit_id);
CREATE INDEX audit_entries_created ON audit_entries (site_id, created, audit_id) WHERE NOT is_private AND action <> 'S';
CREATE INDEX audit_entries_actor ON audit_entries (site_id, actor_id, created, audit_id) WHERE actor_id > 0;
CREATE INDEX audit_entries_subject ON audit_entries (site_id, subject_id, created, audit_id) WHERE subject_id > 0;
CREATE INDEX audit_entries_item ON audit_entries (site_id, item_type_id, item_id, created, audit_id);

CREATE TABLE audit_heads (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    number          bigint      NOT NULL,                       -- of the last entry
    hash            bytea       NOT NULL,
    base_number     bigint      NOT NULL,                       -- of the last entry that retention deleted
    base_hash       bytea       NOT NULL,
    base_created    timestamptz,
    base_signature  bytea
);

COMMENT ON TABLE audit_entries IS 'Hash chain of the audit: one row for each entry, without anything that is erased';
COMMENT ON TABLE audit_heads IS 'Chain heads: the last entry of each site, and the signed checkpoint of retention';

-- Rows from before are given their place in the chain by the job `audit_heads`; events from before have none.
INSERT INTO event_cursors (reader, site_id, number)
SELECT 'audit', h.site_id, h.number FROM event_heads h
    ON CONFLICT DO NOTHING;
