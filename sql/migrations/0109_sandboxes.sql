-- Sandboxes: sites for trying the API, each deleted a day after it was made (docs/api/sandboxes.md).
SET LOCAL lock_timeout = '5s';

CREATE TABLE sandboxes (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    ends            timestamptz NOT NULL                        -- from then on the site is being deleted
);
CREATE INDEX sandboxes_ends ON sandboxes (ends);
