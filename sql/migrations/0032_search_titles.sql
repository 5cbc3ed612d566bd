-- Titles in an index of their own: a word that many comments hold and few titles do is looked for among titles without
-- reading one comment. It may have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE INDEX IF NOT EXISTS search_documents_titles ON search_documents USING gin (site_id, shelf, vector)
  WITH (gin_pending_list_limit = 256) WHERE item_type_id <> 4;
