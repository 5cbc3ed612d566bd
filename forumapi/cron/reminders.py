"""Reminders of calendar events: one entry in the event log for each event and start (content 5.3).

A reader of the log decides who is reminded (updates/dispatch.py).
"""

from __future__ import annotations

from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.journal import journal

# An event with a new start gets a new reminder, an hour after the last at the earliest: whoever moves it all the time
# would else remind everybody each minute. Of concurrent runs only one inserts it.
REMIND: Final = Query(
    "reminders.remind",
    """
    WITH due AS (
        UPDATE events e
           SET reminded = e.when_utc, reminded_at = now()
          FROM items i, sites s
         WHERE e.status = 'upcoming' AND e.when_utc > now()
           AND e.when_utc <= now() + make_interval(mins => %(minutes)s::int)
           AND e.reminded IS DISTINCT FROM e.when_utc
           AND (e.reminded_at IS NULL OR e.reminded_at <= now() - interval '1 hour')
           AND i.site_id = e.site_id AND i.item_id = e.item_id AND NOT i.is_deleted AND NOT i.is_moderated
           AND s.site_id = e.site_id AND NOT s.is_deleted
     RETURNING e.site_id, e.item_id, i.item_type_id, i.microcosm_id, i.version, e.when_utc),
    logged AS (
        INSERT INTO event_log (site_id, kind, item_type_id, item_id, microcosm_id, version, detail)
        SELECT d.site_id, %(kind)s, d.item_type_id, d.item_id, d.microcosm_id, d.version,
               jsonb_build_object('when', d.when_utc)
          FROM due d
         ORDER BY d.when_utc, d.site_id, d.item_id
     RETURNING 1)
    SELECT count(*)::int FROM logged""",
    scope=PLATFORM,
)


def event_reminders(tx: Transaction, config: Config) -> str:
    """Write to the event log a reminder of each upcoming calendar event, neither hidden nor deleted, that begins within
    `event_reminder_minutes`, and was reminded of neither for this start nor within the last hour; return the result in
    words.
    """
    found = tx.value(REMIND, minutes=config.event_reminder_minutes, kind=journal.REMINDED)
    return f"{found} events"
