-- Consents that were withdrawn stand in a table of their own, so that the release before asks for them again too.

SET LOCAL lock_timeout = '5s';

CREATE TABLE withdrawn_consents (
    site_id         bigint      NOT NULL,
    profile_id      bigint      NOT NULL,
    name            text        NOT NULL,
    version         integer     NOT NULL,
    given           timestamptz NOT NULL,
    withdrawn       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, profile_id, name, version, given),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles,
    FOREIGN KEY (site_id, name, version) REFERENCES legal_versions
);
CREATE INDEX withdrawn_consents_version_idx ON withdrawn_consents (site_id, name, version);
COMMENT ON TABLE withdrawn_consents IS 'Withdrawn consents: which profile agreed to which version of a legal text, and from when until when';
