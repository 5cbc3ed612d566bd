"""Events, for reading: what they have beyond other items (content 5.3). Writing is models/content/event_writing.py."""

from __future__ import annotations

import datetime
from typing import Any, Final

import msgspec

from forumapi.models.content.item_type_spec import Details
from forumapi.wire import json_fragments

# An event is over when its time and duration have passed (C-27); one that was called off stays so.
STATUS: Final = """
    CASE WHEN e.status = 'upcoming' AND e.when_utc + make_interval(mins => e.duration_min) <= now() THEN 'past'
         ELSE e.status END"""

_SQL: Final = f"""
    SELECT json_build_array(
               e.when_local, e.when_utc AT TIME ZONE 'UTC', e.tz_name, e.duration_min, e.place, e.lat, e.lon,
               e.north, e.east, e.south, e.west, {STATUS}, e.rsvp_limit, e.rsvp_attending)::text
      FROM events e
     WHERE e.site_id = i.site_id AND e.item_id = i.item_id"""

# Whether the viewer said yes.
_MINE: Final = """
    EXISTS (SELECT 1 FROM attendees t
             WHERE t.site_id = %(site_id)s AND t.item_id = i.item_id AND t.profile_id = %(me)s
               AND t.state_id = 1)::text"""


class Event(msgspec.Struct, array_like=True):
    """The details of an event. Times are without zone: `when_local` at the event, `when_utc` in UTC."""

    when_local: datetime.datetime | None
    when_utc: datetime.datetime | None
    tz: str
    duration_min: int
    place: str
    lat: float | None
    lon: float | None
    north: float | None
    east: float | None
    south: float | None
    west: float | None
    status: str
    rsvp_limit: int
    rsvp_attending: int


_decode: Final = msgspec.json.Decoder(Event).decode


def members(text: str, _: str | None) -> dict[str, Any]:
    """The event's own members; what is empty or zero is left out (content 5.3)."""
    found = _decode(text)
    spaces = max(0, found.rsvp_limit - found.rsvp_attending) if found.rsvp_limit else 0
    optional = {
        "when": json_fragments.when(found.when_local) if found.when_local else None,
        "tz": found.tz,
        "whentz": json_fragments.when(found.when_utc) if found.when_utc else None,
        "duration": found.duration_min,
        "where": found.place,
        "lat": found.lat,
        "lon": found.lon,
        "north": found.north,
        "east": found.east,
        "south": found.south,
        "west": found.west,
    }
    counts = {"rsvpAttend": found.rsvp_attending, "rsvpSpaces": spaces}
    return {
        **{name: value for name, value in optional.items() if value},
        "status": found.status,
        "rsvpLimit": found.rsvp_limit,
        **{name: value for name, value in counts.items() if value},
    }


def flags(mine: str | None) -> dict[str, bool | None]:
    """Whether the viewer said yes."""
    return {"attending": None if mine is None else mine == "true"}


def until(text: str) -> datetime.datetime | None:
    """When an upcoming event will be over."""
    found = _decode(text)
    if found.status != "upcoming" or found.when_utc is None:
        return None
    over = found.when_utc + datetime.timedelta(minutes=found.duration_min)
    return over.replace(tzinfo=datetime.UTC)


DETAILS: Final = Details(_SQL, members, _MINE, flags, until=until)
