-- Agents at the MCP endpoint of a site: how far they may go there, and what a token is good for.
SET LOCAL lock_timeout = '5s';

ALTER TABLE site_options
    ADD COLUMN agents text NOT NULL DEFAULT 'off' CHECK (agents IN ('off', 'read', 'draft', 'write'));

-- RFC 8707: '' is the REST API, 'mcp' the MCP endpoint of the token's site. The release before makes only the former.
ALTER TABLE access_tokens ADD COLUMN audience text NOT NULL DEFAULT '';
ALTER TABLE oauth_grants ADD COLUMN audience text NOT NULL DEFAULT '';
