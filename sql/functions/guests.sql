-- Whether guests read what stands in a microcosm, as permissions.Tree works it out: for what is asked across sites, where no
-- tree is at hand.
CREATE FUNCTION guests_read(in_site bigint, in_microcosm bigint) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH RECURSIVE up AS (
        SELECT m.microcosm_id, m.parent_id, m.is_deleted OR m.is_moderated AS is_hidden, 0 AS height
          FROM microcosms m
         WHERE m.site_id = in_site AND m.microcosm_id = in_microcosm
         UNION ALL
        SELECT m.microcosm_id, m.parent_id, m.is_deleted OR m.is_moderated, up.height + 1
          FROM up
          JOIN microcosms m ON m.site_id = in_site AND m.microcosm_id = up.parent_id),
    held AS (
        SELECT up.height, r.is_banned, r.is_moderator, r.include_guests, r.can_read
          FROM up
          JOIN roles r ON r.site_id = in_site AND r.microcosm_id = up.microcosm_id)
    SELECT coalesce(NOT bool_or(up.is_hidden), false)
           AND NOT EXISTS (SELECT FROM held h WHERE h.is_banned AND h.include_guests)
           AND EXISTS (SELECT FROM held h
                        WHERE h.include_guests AND h.can_read AND NOT h.is_banned
                          AND (h.is_moderator OR h.height = (SELECT min(n.height) FROM held n
                                                              WHERE NOT n.is_banned AND NOT n.is_moderator)))
      FROM up
$$;
