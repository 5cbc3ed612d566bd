-- Criteria count only values that the site's owner wrote, or vouched for (P-34): each attribute knows who wrote it, when, and
-- whether its writer grants it. Of a value that stood here before nobody knows; but is_member was always the owner's alone.
ALTER TABLE attributes
    ADD COLUMN written_by bigint,
    ADD COLUMN written    timestamptz,
    ADD COLUMN is_granted boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT attributes_written_by FOREIGN KEY (site_id, written_by) REFERENCES profiles NOT VALID;
ALTER TABLE attributes VALIDATE CONSTRAINT attributes_written_by;

UPDATE attributes SET is_granted = true WHERE item_type_id = 3 AND key = 'is_member';

-- What a member wrote, or nobody knows who, by key: whom criteria passed over.
CREATE INDEX attributes_ungranted ON attributes (site_id, key, item_id) WHERE item_type_id = 3 AND NOT is_granted;

-- Roles whose members are still to be worked out anew, profile by profile, outside the request that changed them.
CREATE TABLE role_settlings (
    site_id         bigint      NOT NULL REFERENCES sites,
    role_id         bigint      NOT NULL,                       -- a deleted one too
    queued          timestamptz NOT NULL DEFAULT now(),
    -- Who queued it does it; anybody after this, should that process end before.
    not_before      timestamptz NOT NULL DEFAULT now(),
    -- How often. An upgrade asks for two: workers of the release before may bring somebody back in meanwhile.
    passes          smallint    NOT NULL DEFAULT 1 CHECK (passes > 0),
    PRIMARY KEY (site_id, role_id)
);
CREATE INDEX role_settlings_due ON role_settlings (not_before);

-- Who is in a role by a value of their own leaves it when this release begins (docs/upgrading.md).
INSERT INTO role_settlings (site_id, role_id, passes)
SELECT DISTINCT c.site_id, c.role_id, 2
  FROM criteria c
 WHERE c.attr_key IS NOT NULL AND c.attr_key <> 'is_member';
