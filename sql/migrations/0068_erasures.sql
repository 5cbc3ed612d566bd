SET LOCAL lock_timeout = '5s';

-- Nothing here names a person for longer than the erasure takes: old_name and old_email are emptied by its last step.
CREATE TABLE erasures (
    site_id         bigint      NOT NULL,
    profile_id      bigint      NOT NULL,
    words           text        NOT NULL CHECK (words IN ('keep', 'remove')),
    state           text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done')),
    of_account      boolean     NOT NULL DEFAULT false,         -- part of the erasure of a whole account
    requested       timestamptz NOT NULL DEFAULT now(),
    due             timestamptz NOT NULL,
    is_journaled    boolean     NOT NULL DEFAULT false,
    step            smallint    NOT NULL DEFAULT 0,
    upto_time       timestamptz NOT NULL DEFAULT '-infinity',   -- how far the present step has come
    upto_id         bigint      NOT NULL DEFAULT 0,
    old_name        text        NOT NULL DEFAULT '',
    old_email       text        NOT NULL DEFAULT '',
    finished        timestamptz,
    PRIMARY KEY (site_id, profile_id),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles
);
CREATE INDEX erasures_due ON erasures (due) WHERE state <> 'done';
COMMENT ON TABLE erasures IS 'Erasure requests: profiles that are to be erased, how far that is, and those that were';

CREATE TABLE account_erasures (
    user_id         bigint      PRIMARY KEY REFERENCES users,
    words           text        NOT NULL CHECK (words IN ('keep', 'remove')),
    state           text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running')),
    requested       timestamptz NOT NULL DEFAULT now(),
    due             timestamptz NOT NULL,
    is_journaled    boolean     NOT NULL DEFAULT false
);
CREATE INDEX account_erasures_due ON account_erasures (due);
COMMENT ON TABLE account_erasures IS 'Account erasure requests: users that are to be erased with all of their profiles';
