"""Figures of the growth of the platform over all sites, sampled by a job or on request (platform 6.2 and 8)."""

from __future__ import annotations

from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.wire import json_fragments

SAMPLE = Query(
    "platform_growth.sample",
    f"""
    INSERT INTO metrics (sampled, new_profiles, edited_profiles, total_profiles, signins, comments, conversations,
                         engaged_forums, total_forums)
    SELECT now(),
           (SELECT count(*) FROM profiles p WHERE p.created > now() - interval '1 day'),
           (SELECT count(*) FROM profiles p WHERE p.profile_name NOT LIKE 'user%%' AND p.avatar_id IS NOT NULL),
           (SELECT count(*) FROM profiles),
           (SELECT count(*) FROM profile_counters c WHERE c.last_active > now() - interval '1 day'),
           (SELECT count(*) FROM comments c WHERE c.created > now() - interval '1 day'),
           (SELECT count(*) FROM items i
             WHERE i.item_type_id = {itemtypes.CONVERSATION} AND i.created > now() - interval '1 day'),
           (SELECT count(*) FROM sites s
             WHERE s.site_id <> 1 AND NOT s.is_deleted AND s.logo_url IS NOT NULL
               AND EXISTS (SELECT 1 FROM comments c WHERE c.site_id = s.site_id)
               AND (SELECT count(*) FROM (SELECT 1 FROM profiles p WHERE p.site_id = s.site_id LIMIT 2) AS two) > 1),
           (SELECT count(*) FROM sites s
             WHERE s.site_id <> 1 AND NOT s.is_deleted
               AND NOT EXISTS (SELECT FROM sandboxes b WHERE b.site_id = s.site_id))
        ON CONFLICT DO NOTHING""",
    scope=PLATFORM,
)

# The last sample of each day (P-53), days in UTC as all times are.
DAILY = Query(
    "platform_growth.daily",
    """
    SELECT DISTINCT ON ((m.sampled AT TIME ZONE 'UTC')::date)
           m.sampled, m.new_profiles, m.edited_profiles, m.total_profiles, m.signins, m.comments, m.conversations,
           m.engaged_forums, m.total_forums
      FROM metrics m
     ORDER BY (m.sampled AT TIME ZONE 'UTC')::date, m.sampled DESC""",
)

_KEYS: Final = (
    "newProfiles",
    "editedProfiles",
    "totalProfiles",
    "signins",
    "comments",
    "conversations",
    "engagedForums",
    "totalForums",
)


def sample(tx: Transaction) -> int:
    """Store a sample of the platform's figures: new profiles, profiles that were active, new comments and
    conversations, all of the last 24 hours; the numbers of all profiles, and of those with a picture and a name that
    they chose; and, of the sites other than the root site that are neither deleted, suspended nor in their export
    window, the number without sandboxes, and the number, with sandboxes, of those that have a logo, a comment and a
    second profile. Return 1, or 0 if there is a sample of this very moment.
    """
    return tx.run(SAMPLE)


def daily(tx: Reader) -> list[dict[str, Any]]:
    """Return the newest sample of each day (UTC), as `sample` stored it, oldest day first, as dicts for JSON, in which
    `pageviews`, `visits` and `uniques` are 0; a day without a sample is left out.
    """
    kept = {"pageviews": 0, "visits": 0, "uniques": 0}  # not counted any more
    return [
        {
            "timestamp": json_fragments.format_time(row[0]),
            **kept,
            **dict(zip(_KEYS, row[1:], strict=True)),
        }
        for row in tx.rows(DAILY)
    ]
