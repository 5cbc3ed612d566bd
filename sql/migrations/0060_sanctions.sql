-- People who may not write in a microcosm, or not enter it, by a moderator's action. Their numbers stand in
-- profiles.role_ids beside those of roles: -2 * microcosm for a ban, one less for silence.

SET LOCAL lock_timeout = '5s';

CREATE TABLE sanctions (
    site_id         bigint      NOT NULL,
    profile_id      bigint      NOT NULL,
    microcosm_id    bigint      NOT NULL,                       -- with everything below it
    is_ban          boolean     NOT NULL,                       -- false: silence
    ends            timestamptz,                                -- null: for good
    PRIMARY KEY (site_id, profile_id, microcosm_id, is_ban),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles,
    FOREIGN KEY (site_id, microcosm_id) REFERENCES microcosms
);
CREATE INDEX sanctions_microcosm ON sanctions (site_id, microcosm_id);
CREATE INDEX sanctions_ends ON sanctions (ends) WHERE ends IS NOT NULL;
COMMENT ON TABLE sanctions IS 'Restrictions of people: who is silenced in or banned from a microcosm';
