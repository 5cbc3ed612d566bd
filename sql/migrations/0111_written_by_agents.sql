-- What agents wrote says so, and each person says how far agents may go in their name.
SET LOCAL lock_timeout = '5s';

-- Workers of the release before mark nothing.
ALTER TABLE items ADD COLUMN by_agent boolean NOT NULL DEFAULT false;
ALTER TABLE comments ADD COLUMN by_agent boolean NOT NULL DEFAULT false;
ALTER TABLE drafts ADD COLUMN by_agent boolean NOT NULL DEFAULT false;             -- who saved it last

ALTER TABLE profile_options
    ADD COLUMN agents text NOT NULL DEFAULT 'write' CHECK (agents IN ('off', 'read', 'draft', 'write'));

-- Bots: profiles of programs, each of which has an owner, a person of the site, until that person removes it or goes.
ALTER TABLE profiles ADD COLUMN is_bot boolean NOT NULL DEFAULT false;
ALTER TABLE profiles ADD COLUMN bot_owner_id bigint;
ALTER TABLE profiles
    ADD FOREIGN KEY (site_id, bot_owner_id) REFERENCES profiles ON DELETE SET NULL (bot_owner_id);
CREATE INDEX profiles_bot_owner ON profiles (site_id, bot_owner_id) WHERE bot_owner_id IS NOT NULL;
ALTER TABLE site_options ADD COLUMN members_make_bots boolean NOT NULL DEFAULT false;
