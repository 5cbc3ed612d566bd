-- How many comments of an item are new is counted in the index alone: it holds their times too.
SET LOCAL lock_timeout = '5s';

-- May have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE UNIQUE INDEX IF NOT EXISTS comments_in_item_times ON comments (site_id, item_id, seq)
    INCLUDE (created_by, is_deleted, is_moderated, created) WHERE item_id IS NOT NULL;
DROP INDEX comments_in_item;
ALTER INDEX comments_in_item_times RENAME TO comments_in_item;
