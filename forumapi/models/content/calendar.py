"""Events as entries of calendars (iCalendar): one event, those of some microcosms, or those that a profile attends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.models.content.event import STATUS
from forumapi.text.icalendar import CalendarEvent

# The events nearest to now are never left out; past ones are listed for a year.
MAX_EVENTS: Final = 1000
DAYS_BACK: Final = 366

_COLUMNS: Final = f"""
           i.item_id, i.title, e.when_utc, e.when_local, e.tz_name, e.duration_min, e.place, e.lat, e.lon,
           {STATUS}, i.version, i.created, coalesce(i.edited, i.created)"""
_LISTED: Final = """
       AND NOT i.is_deleted AND NOT i.is_moderated AND i.microcosm_id = ANY(%(readable)s::bigint[])
       AND i.item_id <> ALL(%(ignored)s::bigint[])
       AND e.when_utc > now() - make_interval(days => %(days)s::int)
     ORDER BY e.when_utc < now(), abs(extract(epoch FROM e.when_utc - now())), i.item_id
     LIMIT %(limit)s::int"""

ONE = Query(
    "calendar.one",
    f"""
    SELECT {_COLUMNS}
      FROM events e
      JOIN items i ON i.site_id = e.site_id AND i.item_id = e.item_id
     WHERE e.site_id = %(site_id)s AND e.item_id = %(event_id)s AND e.when_utc IS NOT NULL""",
)

PLACE = Query(
    "calendar.place",
    f"""
    SELECT {_COLUMNS}
      FROM events e
      JOIN items i ON i.site_id = e.site_id AND i.item_id = e.item_id
     WHERE e.site_id = %(site_id)s {_LISTED}""",
)

PROFILE = Query(
    "calendar.profile",
    f"""
    SELECT {_COLUMNS}
      FROM attendees t
      JOIN events e ON e.site_id = t.site_id AND e.item_id = t.item_id
      JOIN items i ON i.site_id = e.site_id AND i.item_id = e.item_id
     WHERE t.site_id = %(site_id)s AND t.profile_id = %(profile_id)s AND t.state_id = 1 {_LISTED}""",
)


def one(tx: Reader, site_id: int, event_id: int) -> list[Row]:
    """Return the event, hidden or not, as a row for `entry`, in a list; [] if the event has no time, or there is none
    with this id. The caller checks permission.
    """
    return tx.rows(ONE, site_id=site_id, event_id=event_id)


def of_microcosms(
    tx: Reader, site_id: int, microcosm_ids: Sequence[int], ignored: Sequence[int]
) -> list[Row]:
    """Return events with a time in these microcosms, without hidden events and those with the ids `ignored`, as rows
    for `entry`: those that have not begun, the next first, then those that have, the latest first. At most MAX_EVENTS
    are returned, none of which began more than DAYS_BACK days ago.
    """
    return tx.rows(
        PLACE,
        site_id=site_id,
        readable=microcosm_ids,
        ignored=ignored,
        days=DAYS_BACK,
        limit=MAX_EVENTS,
    )


def of_profile(
    tx: Reader, site_id: int, profile_id: int, readable: Sequence[int], ignored: Sequence[int]
) -> list[Row]:
    """Return events in the microcosms with the ids `readable` to which the profile answered yes, without hidden ones,
    as rows for `entry`, in the order and within the limits of `of_microcosms`.

    `ignored`: ids of items that are left out.
    """
    return tx.rows(
        PROFILE,
        site_id=site_id,
        profile_id=profile_id,
        readable=readable,
        ignored=ignored,
        days=DAYS_BACK,
        limit=MAX_EVENTS,
    )


def entry(row: Row, page: Callable[[str], str], host: str) -> CalendarEvent:
    """Return the calendar entry of an event, a row that a function of this module returned.

    `page` turns the path of a page of the site into its absolute address; `host`: the part of the entry's UID behind
    the @.
    """
    event_id, title, start, clock, *rest = row
    return CalendarEvent(
        f"event-{event_id}@{host}", page(f"/events/{event_id}/"), title, start, clock, *rest
    )
