-- A task that failed is tried again for the same due time, by its own rule: how often it was.
ALTER TABLE task_runs ADD COLUMN attempts smallint NOT NULL DEFAULT 1;
