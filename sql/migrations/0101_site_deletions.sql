-- Life cycle of sites, and their deletion with its receipts (docs/operations.md, "Life cycle of a site").
SET LOCAL lock_timeout = '5s';

CREATE TABLE site_states (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    state           text        NOT NULL CHECK (state IN ('read-only', 'suspended', 'export-window')),
    since           timestamptz NOT NULL DEFAULT now(),
    due             timestamptz,                                -- of the deletion
    is_operators    boolean     NOT NULL DEFAULT false,         -- an operator wants the deletion: the owner can't cancel it
    is_announced    boolean     NOT NULL DEFAULT false,         -- the mail a week before is queued
    state_before    text        NOT NULL DEFAULT 'active' CHECK (state_before IN ('active', 'read-only', 'suspended')),
    was_deleted     boolean     NOT NULL DEFAULT false,         -- sites.is_deleted before the site was closed
    CHECK ((state = 'export-window') = (due IS NOT NULL))
);
CREATE INDEX site_states_due ON site_states (due) WHERE due IS NOT NULL;
COMMENT ON TABLE site_states IS 'Tenant states: sites that are read-only, suspended or about to be deleted; a site without a row is active';

-- No reference to the site: the row is the receipt that outlives it. Nothing here names a person.
CREATE TABLE site_deletions (
    deletion_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deleted_site    bigint      NOT NULL,
    subdomain_key   text        NOT NULL,
    domain          text,                                       -- emptied when it has rested
    site_created    timestamptz NOT NULL,
    asked           timestamptz NOT NULL,
    begun           timestamptz NOT NULL DEFAULT now(),
    finished        timestamptz,
    is_journaled    boolean     NOT NULL DEFAULT false,
    is_silent       boolean     NOT NULL DEFAULT false,         -- no mail at its end: repeated after a restore, or of a sandbox
    deleted_rows    jsonb       NOT NULL DEFAULT '{}',          -- number by table, so far
    documents       bigint      NOT NULL DEFAULT 0,             -- removed from memcached, or confirmed to be absent
    unconfirmed     bigint      NOT NULL DEFAULT 0,             -- a memcached server was away: they expire within a week
    objects         bigint      NOT NULL DEFAULT 0,             -- deleted from the store of files
    objects_kept    bigint      NOT NULL DEFAULT 0,             -- other sites have them, too
    receipt         text        NOT NULL DEFAULT '',
    signature       bytea
);
CREATE UNIQUE INDEX site_deletions_underway ON site_deletions (deleted_site) WHERE finished IS NULL;
COMMENT ON TABLE site_deletions IS 'Tenant deletions: how far each has come, and the signed receipt of what was deleted';

CREATE TABLE site_deletion_files (
    deletion_id     bigint      NOT NULL REFERENCES site_deletions,
    file_hash       text        NOT NULL,
    PRIMARY KEY (deletion_id, file_hash)
);
COMMENT ON TABLE site_deletion_files IS 'Objects that a deleted tenant had, to be deleted unless others have them';
