"""Writer of iCalendar texts (RFC 5545): events, for the calendar programs that subscribe to them."""

from __future__ import annotations

import datetime
import html
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from icalendar import Event

_PRODUCT: Final = "-//forumapi//events//EN"
_STATES: Final = {"postponed": "TENTATIVE", "cancelled": "CANCELLED"}


class CalendarEvent(NamedTuple):
    """Event in a calendar. `uid`: its id for calendar programs, always the same; `url`: its page. `title` and `place`
    ("": none) are HTML-escaped, as stored; `lat`, `lon`: in degrees, None for none. `start`, `created` and `changed`
    have a time zone; `clock` is the same moment as `start` on a clock at the event, in the time zone named `zone`;
    `duration_min`: in minutes.

    `version` counts from 1. `status`: "postponed" or "cancelled"; an event with any other one is confirmed.
    """

    uid: str
    url: str
    title: str
    start: datetime.datetime
    clock: datetime.datetime
    zone: str
    duration_min: int
    place: str
    lat: float | None
    lon: float | None
    status: str
    version: int
    created: datetime.datetime
    changed: datetime.datetime


def render(name: str, entries: Iterable[CalendarEvent]) -> bytes:
    """Return the iCalendar file of a calendar with these events, in their order; without events it has a time zone
    alone, since it may not be empty. `name`: the calendar's name, HTML-escaped as stored; the file has it unescaped.

    Times of events are in UTC, so that readers need no rules of time zones; the local time is in an event's
    description.
    """
    # Imported on use: it costs 3 MB and 30 ms, and most processes never need it.
    from icalendar import Calendar, Timezone

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", html.unescape(name))
    for entry in entries:
        calendar.add_component(_event(entry))
    if not calendar.subcomponents:
        # A calendar has at least one component (RFC 5545, 3.6).
        calendar.add_component(Timezone.from_tzid("UTC"))
    return bytes(calendar.to_ical())


def _event(entry: CalendarEvent) -> Event:
    from icalendar import Event

    made = Event()
    made.add("uid", entry.uid)
    made.add("dtstamp", entry.changed)
    made.add("created", entry.created)
    made.add("last-modified", entry.changed)
    made.add("sequence", entry.version - 1)
    made.add("dtstart", entry.start)
    made.add("dtend", entry.start + datetime.timedelta(minutes=entry.duration_min))
    made.add("summary", html.unescape(entry.title))
    made.add("description", f"{entry.clock:%Y-%m-%d %H:%M} {entry.zone}\n{entry.url}")
    if entry.place:
        made.add("location", html.unescape(entry.place))
    if entry.lat is not None and entry.lon is not None:
        made.add("geo", (entry.lat, entry.lon))
    made.add("status", _STATES.get(entry.status, "CONFIRMED"))
    made.add("url", entry.url)
    return made
