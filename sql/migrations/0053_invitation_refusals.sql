-- Addresses whose owners want no invitations, from any site: keyed hashes, as those that mail comes back from.

SET LOCAL lock_timeout = '5s';

CREATE TABLE invitation_refusals (
    address_hash    bytea       PRIMARY KEY,
    created         timestamptz NOT NULL DEFAULT now()
);
