-- Exports of whole sites that their owners asked for: the latest of each site (docs/export.md).
SET LOCAL lock_timeout = '5s';

CREATE TABLE site_exports (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    user_id         bigint      NOT NULL REFERENCES users,      -- who asked, and alone may download it
    profile_id      bigint      NOT NULL,
    token_id        bigint      NOT NULL,                       -- the session that asked; it may have ended since
    state           text        NOT NULL DEFAULT 'waiting'
                    CHECK (state IN ('waiting', 'running', 'done', 'failed', 'expired')),
    created         timestamptz NOT NULL DEFAULT now(),
    started         timestamptz,
    finished        timestamptz,
    expires         timestamptz,                                -- of the archive
    epoch           integer     NOT NULL DEFAULT 0,             -- a process writes at its own alone
    attempts        smallint    NOT NULL DEFAULT 0,
    claimed_until   timestamptz NOT NULL DEFAULT '-infinity',
    documents       bigint      NOT NULL DEFAULT 0,             -- written so far
    total           bigint      NOT NULL DEFAULT 0,             -- about how many there are
    object          text        CHECK (object ~ '^[0-9a-f]{40}$'), -- in the store of files, by a name at random
    bytes           bigint      NOT NULL DEFAULT 0,
    sha256          text        NOT NULL DEFAULT '',
    hash            text        NOT NULL DEFAULT '',            -- of the content, by canonical ids
    reason          text        NOT NULL DEFAULT '',            -- of a failure
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles
);
CREATE INDEX site_exports_due ON site_exports (created) WHERE state IN ('waiting', 'running');
CREATE INDEX site_exports_expires ON site_exports (expires) WHERE state = 'done';
COMMENT ON TABLE site_exports IS
    'Data exports of tenants: the latest of each site, with its progress and its archive';

-- E: an export of everything that the thing holds.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_action_check;
ALTER TABLE audit_log ADD CONSTRAINT audit_log_action_check CHECK (action IN ('C', 'R', 'U', 'D', 'E')) NOT VALID;
