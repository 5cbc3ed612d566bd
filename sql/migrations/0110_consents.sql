-- Numbered versions of legal texts that ask for consent, and who has agreed to which.
-- The release before replaces such a text without a new version, and asks nobody.

SET LOCAL lock_timeout = '5s';

ALTER TABLE sites ADD COLUMN asks_consent boolean NOT NULL DEFAULT false;   -- one of its legal texts asks

ALTER TABLE site_templates
    ADD COLUMN version integer,                                 -- of the text, while it asks for consent
    ADD COLUMN asked_since integer;                             -- first version to which a consent is good

CREATE TABLE legal_versions (
    site_id         bigint      NOT NULL REFERENCES sites,
    name            text        NOT NULL CHECK (name IN ('privacy', 'terms')),
    version         integer     NOT NULL CHECK (version > 0),
    body            text        NOT NULL,
    link            text,                                       -- kept there instead
    asks_again      boolean     NOT NULL,                       -- consents to earlier versions are no longer good
    published       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, name, version)
);
COMMENT ON TABLE legal_versions IS 'Versions of legal texts: terms and privacy notices for which a site asks for consent';

CREATE TABLE consents (
    site_id         bigint      NOT NULL,
    profile_id      bigint      NOT NULL,
    name            text        NOT NULL,
    version         integer     NOT NULL,
    given           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, profile_id, name, version),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles,
    FOREIGN KEY (site_id, name, version) REFERENCES legal_versions
);
CREATE INDEX consents_version_idx ON consents (site_id, name, version);
COMMENT ON TABLE consents IS 'Consent records: which profile agreed to which version of a legal text, and when';
