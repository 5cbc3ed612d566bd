-- Imports that owners begin by uploading a dump: the latest of each site (docs/moving.md, docs/api/import.md).
SET LOCAL lock_timeout = '5s';

CREATE TABLE site_imports (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    user_id         bigint      NOT NULL REFERENCES users,      -- who uploaded it
    profile_id      bigint      NOT NULL,
    token_id        bigint      NOT NULL,                       -- the session that uploaded; it may have ended since
    title           text        NOT NULL,                       -- of the import in import_origins, once it is there
    product         text        NOT NULL DEFAULT '',            -- '' until it is detected
    prefix          text,                                       -- of the dump's tables; NULL: the one that is found
    encoding        text        NOT NULL DEFAULT '',
    addresses       text[]      NOT NULL DEFAULT '{}',          -- that the old forum had
    granted         text[]      NOT NULL DEFAULT '{}',          -- fields that count for criteria of roles
    task            text        NOT NULL DEFAULT 'plan' CHECK (task IN ('plan', 'run', 'verify', 'undo')),
    untouched       boolean     NOT NULL DEFAULT false,         -- undo what nobody has used, and leave the rest
    state           text        NOT NULL DEFAULT 'waiting'
                    CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    created         timestamptz NOT NULL DEFAULT now(),
    queued          timestamptz NOT NULL DEFAULT now(),         -- the task
    started         timestamptz,
    finished        timestamptz,
    expires         timestamptz,                                -- of the upload; NULL while a task is under way
    epoch           integer     NOT NULL DEFAULT 0,             -- a process writes at its own alone
    attempts        smallint    NOT NULL DEFAULT 0,             -- since the task last got further
    claimed_until   timestamptz NOT NULL DEFAULT '-infinity',
    phase           text        NOT NULL DEFAULT '',
    done            bigint      NOT NULL DEFAULT 0,             -- documents of the phase
    total           bigint      NOT NULL DEFAULT 0,
    documents       bigint      NOT NULL DEFAULT 0,             -- of all phases, in this attempt
    reached         bigint      NOT NULL DEFAULT 0,             -- most documents of any attempt at this task
    whole           bigint      NOT NULL DEFAULT 0,             -- about how many documents there are; 0 while unknown
    seconds_left    integer,
    object          text        CHECK (object ~ '^[0-9a-f]{40}$'), -- the upload in the store of files
    bytes           bigint      NOT NULL DEFAULT 0,
    plan            json,
    verification    json,
    undoing         json,
    reason          text        NOT NULL DEFAULT '',            -- of a failure
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles
);
CREATE INDEX site_imports_due ON site_imports (queued) WHERE state IN ('waiting', 'running');
CREATE INDEX site_imports_expires ON site_imports (expires) WHERE object IS NOT NULL;
COMMENT ON TABLE site_imports IS
    'Import jobs of tenants: the latest of each site, with its progress and the dump that was uploaded';

-- I: a forum was imported.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_action_check;
ALTER TABLE audit_log ADD CONSTRAINT audit_log_action_check
    CHECK (action IN ('C', 'R', 'U', 'D', 'E', 'I')) NOT VALID;
ALTER TABLE audit_entries DROP CONSTRAINT audit_entries_action_check;
ALTER TABLE audit_entries ADD CONSTRAINT audit_entries_action_check
    CHECK (action IN ('C', 'R', 'U', 'D', 'E', 'I', 'S', 'X')) NOT VALID;
