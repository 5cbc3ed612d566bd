"""Events, for writing: what a client sends, checked, and the statements that store it (content 5.2 to 5.4)."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from functools import cache
from typing import Any, Final, NamedTuple

from msgspec import UnsetType

from forumapi.database.connections import Query, Transaction
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.content.item_type_spec import New
from forumapi.text import clean

DEFAULT_ZONE: Final = "Europe/Belfast"
DEFAULT_DURATION_MIN: Final = 60
MAX_PLACE: Final = 150
MAX_ZONE: Final = 250
_INT32: Final = 2**31 - 1

DUPLICATE = Query(
    "event_writing.duplicate",
    """
    SELECT i.item_id
      FROM items i
      JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = %(item_type)s
       AND i.microcosm_id = %(microcosm_id)s AND i.title = %(title)s AND NOT i.is_deleted
       AND i.created > now() - make_interval(secs => %(window_s)s)
       AND e.when_local IS NOT DISTINCT FROM %(when_local)s::timestamp AND e.place = %(place)s
       AND e.lat IS NOT DISTINCT FROM %(lat)s::double precision
       AND e.lon IS NOT DISTINCT FROM %(lon)s::double precision
       AND e.north IS NOT DISTINCT FROM %(north)s::double precision
       AND e.east IS NOT DISTINCT FROM %(east)s::double precision
       AND e.south IS NOT DISTINCT FROM %(south)s::double precision
       AND e.west IS NOT DISTINCT FROM %(west)s::double precision
       AND e.status = %(status)s AND e.rsvp_limit = %(rsvp_limit)s
     ORDER BY i.item_id LIMIT 1""",
)

INSERT = Query(
    "event_writing.insert",
    """
    INSERT INTO events (site_id, item_id, when_local, when_utc, tz_name, duration_min, place, lat, lon, north, east,
                        south, west, status, rsvp_limit)
    VALUES (%(site_id)s, %(item_id)s, %(when_local)s, %(when_utc)s, %(tz_name)s, %(duration_min)s, %(place)s, %(lat)s,
            %(lon)s, %(north)s, %(east)s, %(south)s, %(west)s, %(status)s, %(rsvp_limit)s)""",
)

# Only under the lock of the event's item.
STORED = Query(
    "event_writing.stored",
    """
    SELECT e.when_local, e.when_utc, e.tz_name, e.duration_min, e.place, e.lat, e.lon, e.north, e.east, e.south,
           e.west, e.status, e.rsvp_limit, e.when_utc + make_interval(mins => e.duration_min) <= now() IS TRUE
      FROM events e
     WHERE e.site_id = %(site_id)s AND e.item_id = %(item_id)s""",
)

UPDATE = Query(
    "event_writing.update",
    """
    UPDATE events e
       SET when_local = %(when_local)s, when_utc = %(when_utc)s, tz_name = %(tz_name)s, duration_min = %(duration_min)s,
           place = %(place)s, lat = %(lat)s, lon = %(lon)s, north = %(north)s, east = %(east)s, south = %(south)s,
           west = %(west)s, status = %(status)s, rsvp_limit = %(rsvp_limit)s
     WHERE e.site_id = %(site_id)s AND e.item_id = %(item_id)s""",
)


class Stored(NamedTuple):
    """The current details of an event, read under its lock. Names are those of the columns."""

    when_local: datetime.datetime | None = None
    when_utc: datetime.datetime | None = None
    tz_name: str = DEFAULT_ZONE
    duration_min: int = 0
    place: str = ""
    lat: float | None = None
    lon: float | None = None
    north: float | None = None
    east: float | None = None
    south: float | None = None
    west: float | None = None
    status: str = "proposed"
    rsvp_limit: int = 0
    is_over: bool = False


def stored(tx: Transaction, site_id: int, item_id: int) -> Stored:
    """The details of an event whose item is locked."""
    row = tx.row(STORED, site_id=site_id, item_id=item_id)
    assert row is not None  # made with its item
    return Stored(*row)


def checked(sent: Any, before: Stored) -> Stored:
    """What a body (handlers.events.EventBody) makes of an event. Raises Invalid."""
    when_local = before.when_local
    if not isinstance(sent.when, UnsetType):
        when_local = wall_clock(sent.when) if sent.when else None
    tz_name = before.tz_name if isinstance(sent.tz, UnsetType) else zone(sent.tz)
    lat, lon = _degrees(sent, "lat", 90, before.lat), _degrees(sent, "lon", 180, before.lon)
    if not lat and not lon:
        # On the wire zero is no place; neither may it be one to a search.
        lat = lon = None
    when_utc = instant(when_local, tz_name) if when_local else None
    duration_min = _duration(sent.duration, before.duration_min, has_date=when_local is not None)
    if when_utc is not None:
        _check_end(when_utc, duration_min)
    return Stored(
        when_local,
        when_utc,
        tz_name,
        duration_min,
        before.place if isinstance(sent.where, UnsetType) else _place(sent.where),
        lat,
        lon,
        _degrees(sent, "north", 90, before.north),
        _degrees(sent, "east", 180, before.east),
        _degrees(sent, "south", 90, before.south),
        _degrees(sent, "west", 180, before.west),
        "upcoming" if when_local else "proposed",
        _limit(sent.rsvpLimit, before.rsvp_limit),
    )


_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)


def wall_clock(text: str) -> datetime.datetime:
    """The digits of an RFC 3339 time, its offset thrown away (content 5.3). Raises Invalid."""
    match = _RFC3339.fullmatch(text)
    if match is not None:
        date, time, fraction = match.groups()
        try:
            return datetime.datetime.fromisoformat(f"{date}T{time}.{(fraction or '0'):0<6.6}")
        except ValueError:
            pass
    raise Invalid("when", "must be a time such as 2026-06-07T09:30:00Z", code=WRONG_TYPE)


@cache
def zones() -> frozenset[str]:
    """The names of all time zones."""
    # These two are what the machine is set to, not places.
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "Factory"}


def zone(name: str) -> str:
    """The name of a time zone, or the default for "". Raises Invalid (C-25)."""
    if not name:
        return DEFAULT_ZONE
    if len(name) > MAX_ZONE or name not in zones():
        raise Invalid("tz", "must be the name of a time zone, such as Europe/Lisbon")
    return name


def instant(when_local: datetime.datetime, tz_name: str) -> datetime.datetime:
    """When it is `when_local` in that zone, in UTC. A time that a change of clocks leaves out is taken with the offset
    before it, one that comes twice is the first (RFC 5545, 3.3.5). Raises Invalid."""
    try:
        return when_local.replace(tzinfo=zoneinfo.ZoneInfo(tz_name)).astimezone(datetime.UTC)
    except OverflowError:
        raise Invalid("when", "is out of range", code=OUT_OF_RANGE) from None


def _check_end(when_utc: datetime.datetime, duration_min: int) -> None:
    """Raises Invalid for an event that ends after the year 9999, which no date of Python's or of a calendar's says."""
    try:
        when_utc + datetime.timedelta(minutes=duration_min)
    except OverflowError:
        raise Invalid("duration", "ends after the year 9999", code=OUT_OF_RANGE) from None


def _duration(sent: int | UnsetType, before: int, *, has_date: bool) -> int:
    value = before if isinstance(sent, UnsetType) else sent
    if value > _INT32:
        raise Invalid("duration", f"may be at most {_INT32} minutes", code=OUT_OF_RANGE)
    if value < 0 or (has_date and value < 1):
        return DEFAULT_DURATION_MIN
    return value


def _place(sent: str) -> str:
    cleaned = clean.block(sent)
    if clean.length(cleaned) > MAX_PLACE:
        raise Invalid("where", f"may have at most {MAX_PLACE} characters", code=OUT_OF_RANGE)
    return cleaned


def _degrees(sent: Any, name: str, limit: int, before: float | None) -> float | None:
    value = getattr(sent, name)
    if isinstance(value, UnsetType):
        return before
    # Written so that NaN is refused too.
    if not -limit <= value <= limit:
        raise Invalid(name, f"must be between -{limit} and {limit}", code=OUT_OF_RANGE)
    return float(value)


def _limit(sent: int | UnsetType, before: int) -> int:
    if isinstance(sent, UnsetType):
        return before
    if not 0 <= sent <= _INT32:
        raise Invalid("rsvpLimit", f"must be between 0 and {_INT32}", code=OUT_OF_RANGE)
    return sent


_CALLED_OFF: Final = ("postponed", "cancelled")


def after_put(sent: Any, before: Stored) -> Stored:
    """`checked` for a PUT, which alone may call an event off, and on again (C-27)."""
    made = checked(sent, before)
    wanted = before.status if isinstance(sent.status, UnsetType) else sent.status
    return made._replace(status=wanted) if wanted in _CALLED_OFF else made


def values(made: Stored) -> dict[str, Any]:
    """The parameters of INSERT and UPDATE."""
    found = made._asdict()
    del found["is_over"]
    return found


def new(made: Stored) -> New:
    """The details of a new event, for writing.insert."""
    return New(DUPLICATE, INSERT, values(made))


def update(tx: Transaction, site_id: int, item_id: int, made: Stored) -> None:
    """Store the details of an event whose item is locked. Its version moves with the item's own update."""
    tx.run(UPDATE, site_id=site_id, item_id=item_id, **values(made))
