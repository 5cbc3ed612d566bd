-- What one process of all does at a time, and whose turn it is (docs/decisions/0026).
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '30s';

CREATE TABLE leases (
    name    text PRIMARY KEY,
    -- Which turn it is; higher with each that takes over.
    epoch   bigint NOT NULL,
    -- The server process that renews it: once that is gone nobody waits for the end.
    backend integer NOT NULL,
    expires timestamptz NOT NULL,
    -- So that a change of the epoch, and nothing else, waits for those who hold the row FOR KEY SHARE.
    UNIQUE (name, epoch)
);

INSERT INTO leases (name, epoch, backend, expires)
VALUES ('cron', 0, 0, '-infinity'),
       ('events', 0, 0, '-infinity');
