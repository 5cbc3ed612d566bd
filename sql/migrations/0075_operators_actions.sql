-- Actions of operators from the command line, who have no profile on the site, and of machines.

SET LOCAL lock_timeout = '5s';

ALTER TABLE actions
    ALTER COLUMN actor_id DROP NOT NULL,                        -- null: an operator
    ADD COLUMN operator     text    NOT NULL DEFAULT '',        -- account of the operator, for the audit
    ADD COLUMN is_automated boolean NOT NULL DEFAULT false;     -- decided by a machine alone
