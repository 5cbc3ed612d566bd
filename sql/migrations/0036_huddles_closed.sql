-- A provider that a site's owner set up can say that somebody is whoever it likes. Such a sign-in opens no huddles of people
-- who used another method on the site before, until they confirm it once by that one (docs/decisions/0009).

-- Null: a session that is good on one site alone was made through such a provider; anything else was not.
ALTER TABLE access_tokens ADD COLUMN by_site boolean;
ALTER TABLE profiles
    -- A token that the platform vouches for was used here. The release before tells nothing of it: rather too often.
    ADD COLUMN uses_platform     boolean     NOT NULL DEFAULT true,
    ADD COLUMN huddles_confirmed timestamptz;
