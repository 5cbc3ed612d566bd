-- Domains of sites need proof (platform 2.1): claims that wait for it, and what was seen of those that are served.
-- `sites.domain` stays the one that is served. What is there already goes on for 60 days, marked unproven.

CREATE TABLE site_domains (
    site_id         bigint      NOT NULL REFERENCES sites,
    domain          text        NOT NULL CHECK (length(domain) BETWEEN 1 AND 253),
    state           text        NOT NULL CHECK (state IN ('pending', 'proven', 'unproven', 'released')),
    since           timestamptz NOT NULL DEFAULT now(),     -- when this state began
    next_check      timestamptz NOT NULL DEFAULT now(),
    checked         timestamptz,
    found           text        NOT NULL DEFAULT '',        -- what the latest look said, where it was no proof
    failures        integer     NOT NULL DEFAULT 0,         -- looks without proof since the latest that saw it
    failing_since   timestamptz,
    released        timestamptz,                            -- given up or taken away, and not proven again since
    PRIMARY KEY (site_id, domain)
);
CREATE UNIQUE INDEX site_domains_served ON site_domains (domain) WHERE state IN ('proven', 'unproven');
CREATE INDEX site_domains_names ON site_domains (domain);
CREATE INDEX site_domains_due ON site_domains (next_check) WHERE state <> 'released';

COMMENT ON TABLE site_domains IS 'Custom domains of sites: claimed, proven, unproven (from before proofs), released';

INSERT INTO site_domains (site_id, domain, state)
SELECT s.site_id, s.domain, 'unproven'
  FROM sites s
 WHERE s.domain <> '';
