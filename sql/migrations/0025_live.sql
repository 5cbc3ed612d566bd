-- Whose rights changed, by transaction: how a process that pushes events knows that a caller it remembers is not who they
-- were (docs/decisions/0011). The triggers that fill it are in sql/functions/right_changes.sql.
CREATE TABLE right_changes (
    changed_in      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    user_id         bigint      NOT NULL,                           -- 0: anybody may be concerned
    created         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (changed_in, user_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5);
CREATE INDEX right_changes_created ON right_changes (created);
