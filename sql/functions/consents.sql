-- The first text of a site, with its version, that a profile has yet to agree to; null for none. A function, so that
-- statements that read a caller set it up only where the site asks for consent.
CREATE FUNCTION missing_consent(site bigint, profile bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT t.name || ' ' || t.version
      FROM site_templates t
     WHERE t.site_id = site AND t.asked_since IS NOT NULL
       AND NOT EXISTS (SELECT FROM consents c
                        WHERE c.site_id = site AND c.profile_id = profile
                          AND 'legal.' || c.name = t.name AND c.version >= t.asked_since)
     ORDER BY t.name
     LIMIT 1
$$;
