-- What bars a bot for its owner's sake. Functions, since the parts of a statement are set up each time that it runs, also
-- those of a CASE that is not taken: every request reads a caller, few callers are bots.

-- The roles of a bot with those of its owner that bar, and the pseudo roles (below 0) by which moderators ban and silence
-- the owner. Nobody is barred from a site of their own (P-26).
CREATE FUNCTION bot_roles(site bigint, own_roles bigint[], owner bigint, site_owner bigint) RETURNS bigint[]
LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT r.id FROM unnest(own_roles) AS r (id)
         UNION
        SELECT r.id
          FROM profiles bo
         CROSS JOIN LATERAL unnest(bo.role_ids) AS r (id)
         WHERE bo.site_id = site AND bo.profile_id = owner
           AND bo.profile_id IS DISTINCT FROM site_owner
           AND (r.id < 0 OR EXISTS (SELECT FROM roles br
                                     WHERE br.site_id = site AND br.role_id = r.id AND br.is_banned))
         ORDER BY 1)
$$;

-- The reason of the ban in force for a bot's owner: '' for a ban without a reason, null for no ban.
CREATE FUNCTION bot_ban(site bigint, owner bigint, site_owner bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT r FROM ban_reason(site, u.user_id, u.email) r), CASE WHEN u.is_banned THEN '' END)
      FROM profiles bo
      JOIN users u ON u.user_id = bo.user_id
     WHERE bo.site_id = site AND bo.profile_id = owner
       AND bo.profile_id IS DISTINCT FROM site_owner
$$;
