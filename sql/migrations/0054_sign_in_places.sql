-- Where people have signed in from: keyed hashes of networks, so that strangers use up nobody's codes there.

SET LOCAL lock_timeout = '5s';

CREATE TABLE sign_in_places (
    user_id         bigint      NOT NULL REFERENCES users,
    place_hash      bytea       NOT NULL,
    seen            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, place_hash)
);
CREATE INDEX sign_in_places_seen ON sign_in_places (seen);
