-- Imports of whole forums: how far each is, what it left out, and who may claim what it brought.

SET LOCAL lock_timeout = '5s';

ALTER TABLE import_origins
    -- Old addresses lead to what was imported. An import in progress resolves none of them yet.
    ADD COLUMN is_resolved  boolean     NOT NULL DEFAULT true,
    ADD COLUMN addresses    text[]      NOT NULL DEFAULT '{}',      -- base addresses that the forum had
    ADD COLUMN stage        text        NOT NULL DEFAULT 'done',    -- stream that is loaded, or `done`
    ADD COLUMN finished     timestamptz;

-- What is not on the list below and yet below an imported thing was written by others: found from here.
CREATE INDEX imported_items_new ON imported_items (site_id, item_type_id, item_id);

CREATE TABLE imported_profiles (
    site_id         bigint      NOT NULL,
    profile_id      bigint      NOT NULL,
    origin_id       bigint      NOT NULL,
    person_key      text        NOT NULL,                           -- of the address, as in users
    email           text        NOT NULL CHECK (length(email) <= 254),
    send_email      boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (site_id, profile_id),
    UNIQUE (site_id, person_key, profile_id),
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles,
    FOREIGN KEY (site_id, origin_id) REFERENCES import_origins
);
COMMENT ON TABLE imported_profiles IS
    'Unclaimed imported profiles: the address that a person proves to take the profile over; a claim deletes the row';

CREATE TABLE import_leftouts (
    site_id         bigint      NOT NULL,
    origin_id       bigint      NOT NULL,
    kind            text        NOT NULL,
    old_id          text        NOT NULL CHECK (length(old_id) <= 64),
    reason          text        NOT NULL,
    created         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, origin_id, kind, old_id),
    FOREIGN KEY (site_id, origin_id) REFERENCES import_origins
);
COMMENT ON TABLE import_leftouts IS 'Quarantine of an import: each thing of the former forum that was left out, and why';
