-- OAuth clients that nobody has registered: their client_id is the address of a document about them.
-- The release before takes them for public clients that the owner has registered, by their number.

SET LOCAL lock_timeout = '5s';

ALTER TABLE oauth_clients ADD COLUMN metadata_url text CHECK (length(metadata_url) <= 1000);
CREATE UNIQUE INDEX oauth_clients_metadata_url ON oauth_clients (site_id, metadata_url) WHERE metadata_url IS NOT NULL;
COMMENT ON COLUMN oauth_clients.metadata_url IS 'Client ID metadata document: its address, which is the client_id; null: registered';
