-- What waits for moderation, oldest first: few rows among very many.

CREATE INDEX items_waiting ON items (site_id, created, item_id) WHERE is_moderated AND NOT is_deleted;
CREATE INDEX comments_waiting ON comments (site_id, created, comment_id) WHERE is_moderated AND NOT is_deleted;
