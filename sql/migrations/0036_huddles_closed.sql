-- A provider that a site's owner set up can say that somebody is whoever it likes. Such a sign-in opens no huddles of people
-- who used another method on the site before, until they confirm it once by that one (docs/decisions/0009).

-- Null: a session that is good on one site alone was made through such a provider; anything else was not.
ALTER TABLE access_tokens ADD COLUMN by_site boolean;
ALTER TABLE profiles
    -- A token that the platform vouches for was used here. The release before tells nothing of it: rather too often.
    ADD COLUMN uses_platform     boolean     NOT NULL DEFAULT true,
    ADD COLUMN huddles_confirmed timestamptz;

UPDATE profiles p
   SET uses_platform = false
  FROM users u
 WHERE u.user_id = p.user_id AND NOT u.email_verified;

-- Of keys nobody knows which sign-in made them. Where there is such a provider, it may have been that one.
UPDATE access_tokens t
   SET by_site = true
 WHERE t.kind = 'key'
   AND (EXISTS (SELECT FROM site_auth_backends b WHERE b.site_id = t.site_id AND b.site_id <> 1 AND b.settings <> '{}')
        OR EXISTS (SELECT FROM sites s WHERE s.site_id = t.site_id AND s.auth0_domain IS NOT NULL));
