-- Comments of the last days and weeks, for scores and samples. Rows stand in the order in which they were written, so
-- that ranges of pages tell enough, and an insert costs nothing.
CREATE INDEX comments_created ON comments USING brin (created) WITH (pages_per_range = 32, autosummarize = on);

-- Old addresses are looked up on every origin of a site.
CREATE INDEX imported_items_old ON imported_items (site_id, item_type_id, old_id);
