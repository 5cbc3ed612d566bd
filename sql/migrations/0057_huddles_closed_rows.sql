-- The rows of 0036, in a transaction of their own: its changes of the tables would hold up every request meanwhile.

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
