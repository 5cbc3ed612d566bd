-- Actions of one microcosm are found by its id, however many the site has elsewhere: that of the first microcosm of each,
-- since whoever sees an action moderates all of them; -1 stands for none.
SET LOCAL lock_timeout = '5s';

-- May have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE INDEX IF NOT EXISTS actions_place ON actions (site_id, (coalesce(microcosm_ids[1], -1)), action_id);
