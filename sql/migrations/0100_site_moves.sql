-- Moves of sites to or from another platform (docs/moving.md, Moving a site to another platform).
SET LOCAL lock_timeout = '5s';

CREATE TABLE site_moves (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    direction       text        NOT NULL CHECK (direction IN ('out', 'in')),
    state           text        NOT NULL DEFAULT 'copying' CHECK (state IN ('copying', 'switched')),
    address         text        NOT NULL,                       -- of the site on the other platform, without a slash at its end
    read_only_until timestamptz NOT NULL DEFAULT '-infinity',   -- a lease: no write is accepted until then
    begun           timestamptz NOT NULL DEFAULT now(),
    switched        timestamptz
);
COMMENT ON TABLE site_moves IS 'Moves of tenants to or from another platform: one a tenant, the latest';
