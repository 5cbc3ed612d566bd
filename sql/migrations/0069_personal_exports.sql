SET LOCAL lock_timeout = '5s';

CREATE TABLE personal_exports (
    site_id         bigint      NOT NULL,
    profile_id      bigint      NOT NULL,
    state           text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'ready', 'failed')),
    requested       timestamptz NOT NULL DEFAULT now(),
    seen            timestamptz,                                -- when the process that makes it last said so
    rows_done       bigint      NOT NULL DEFAULT 0,
    rows_total      bigint      NOT NULL DEFAULT 0,
    object          text        NOT NULL DEFAULT '',            -- name in the store
    bytes           bigint      NOT NULL DEFAULT 0,
    finished        timestamptz,
    PRIMARY KEY (site_id, profile_id),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles
);
CREATE INDEX personal_exports_waiting ON personal_exports (requested) WHERE state IN ('queued', 'running');
COMMENT ON TABLE personal_exports IS 'Data subject exports: copies of what belongs to a profile, made on request, kept for a day';
