-- Bans in force on a site for a user with this address. Functions that return sets become a part of the statement that
-- reads them, and so cost the statement of every request nothing.
CREATE FUNCTION bans_in_force(site bigint, banned bigint, address text) RETURNS TABLE (ban_id bigint, user_id bigint, expires timestamptz, reason text)
LANGUAGE sql STABLE AS $$
    SELECT b.ban_id, b.user_id, b.expires, b.display_reason FROM bans b
     WHERE b.user_id = banned AND (b.site_id = site OR b.site_id IS NULL)
       AND (b.expires IS NULL OR b.expires > now())
     UNION ALL
    SELECT b.ban_id, b.user_id, b.expires, b.display_reason FROM bans b
     WHERE b.email_domain IS NOT NULL AND (b.site_id = site OR b.site_id IS NULL)
       AND (b.expires IS NULL OR b.expires > now())
       AND (lower(address) LIKE '%@' || b.email_domain OR lower(address) LIKE '%.' || b.email_domain)
$$;

-- The reason of the one that counts, in at most one row: the latest of the user's own, before those of a domain; '' for a
-- ban without a reason.
CREATE FUNCTION ban_reason(site bigint, banned bigint, address text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT b.reason FROM bans_in_force(site, banned, address) b
     ORDER BY b.user_id, b.ban_id DESC LIMIT 1
$$;
