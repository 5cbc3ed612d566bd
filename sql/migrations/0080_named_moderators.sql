-- Sites that tell who moderates, and who that is, from the roles that profiles are in.
SET LOCAL lock_timeout = '5s';

ALTER TABLE sites ADD COLUMN names_moderators boolean NOT NULL DEFAULT false;

-- Few profiles are in a role. May have been built before, CONCURRENTLY (docs/operations.md, "Database").
CREATE INDEX IF NOT EXISTS profiles_role_ids ON profiles USING gin (role_ids) WHERE role_ids <> '{}';
