-- Sites that their owners offer to somebody else: one offer a site, which counts for a week and as long as they own it.

SET LOCAL lock_timeout = '5s';

CREATE TABLE site_offers (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    profile_id      bigint      NOT NULL,                       -- who is to own it
    offered_by      bigint      NOT NULL,
    created         timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles ON DELETE CASCADE,
    FOREIGN KEY (site_id, offered_by) REFERENCES profiles ON DELETE CASCADE
);
