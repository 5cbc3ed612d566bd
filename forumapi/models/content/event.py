"""Events: an item's details beyond what all items share, read and written (content 5.2 to 5.4)."""

from __future__ import annotations

import dataclasses
import datetime
import zoneinfo
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UnsetType

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.content.item import Item, ItemChange
from forumapi.models.content.type_specific_fields_interface import TypeSpecificFields
from forumapi.models.journal.journal import Author
from forumapi.text import rfc3339, short_text_cleaning
from forumapi.wire import json_fragments

# ---------------------------------------------------------------- reading

# SQL: the status of an event `e`, which is over when its time and duration have passed (C-27). An event that was called
# off stays so.
STATUS: Final = """
    CASE WHEN e.status = 'upcoming' AND e.when_utc + make_interval(mins => e.duration_min) <= now() THEN 'past'
         ELSE e.status END"""

_SQL: Final = f"""
    SELECT json_build_array(
               e.when_local, e.when_utc AT TIME ZONE 'UTC', e.tz_name, e.duration_min, e.place, e.lat, e.lon,
               e.north, e.east, e.south, e.west, {STATUS}, e.rsvp_limit, e.rsvp_attending)::text
      FROM events e
     WHERE e.site_id = i.site_id AND e.item_id = i.item_id"""

# Whether the viewer `me` said yes.
_MINE: Final = """
    EXISTS (SELECT 1 FROM attendees t
             WHERE t.site_id = %(site_id)s AND t.item_id = i.item_id AND t.profile_id = %(me)s
               AND t.state_id = 1)::text"""


class _ShownEvent(msgspec.Struct, array_like=True):
    """Details of an event as pages read them. Times are without zone: `when_local` at the event, `when_utc` in UTC;
    `rsvp_limit` 0: no limit; `rsvp_attending`: number of answers yes; the others as in EventDetails.
    """

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


_decode: Final = msgspec.json.Decoder(_ShownEvent).decode


def _members(text: str, _: str | None) -> dict[str, Any]:
    """Return the members of an event that other items lack, by name, for a summary and a detail; empty ones and zeros
    are left out, except status and rsvpLimit (content 5.3). `text`: the event's details (type_specific_fields.py).
    """
    event = _decode(text)
    spaces = max(0, event.rsvp_limit - event.rsvp_attending) if event.rsvp_limit else 0
    optional = {
        "when": json_fragments.format_time(event.when_local) if event.when_local else None,
        "tz": event.tz,
        "whentz": json_fragments.format_time(event.when_utc) if event.when_utc else None,
        "duration": event.duration_min,
        "where": event.place,
        "lat": event.lat,
        "lon": event.lon,
        "north": event.north,
        "east": event.east,
        "south": event.south,
        "west": event.west,
    }
    counts = {"rsvpAttend": event.rsvp_attending, "rsvpSpaces": spaces}
    return {
        **{name: value for name, value in optional.items() if value},
        "status": event.status,
        "rsvpLimit": event.rsvp_limit,
        **{name: value for name, value in counts.items() if value},
    }


def _flags(mine: str | None) -> dict[str, bool | None]:
    """Return the part of meta.flags that events add, `{"attending": …}`: True if the viewer answered yes, else False;
    None for a guest. `mine`: the viewer's part of the details (type_specific_fields.py).
    """
    return {"attending": None if mine is None else mine == "true"}


def _until(text: str) -> datetime.datetime | None:
    """Return the time at which an upcoming event ends and its status changes; None for an event with another status or
    without a time. `text`: the event's details (type_specific_fields.py).
    """
    event = _decode(text)
    if event.status != "upcoming" or event.when_utc is None:
        return None
    over = event.when_utc + datetime.timedelta(minutes=event.duration_min)
    return over.replace(tzinfo=datetime.UTC)


SPEC: Final = TypeSpecificFields(_SQL, _members, _MINE, _flags, until=_until)


# ---------------------------------------------------------------- writing

DEFAULT_ZONE: Final = "Europe/Belfast"
DEFAULT_DURATION_MIN: Final = 60
MAX_PLACE: Final = 150
MAX_ZONE: Final = 250
_INT32: Final = 2**31 - 1

DUPLICATE = Query(
    "event.duplicate",
    """
    SELECT i.item_id
      FROM items i
      JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = %(item_type)s
       AND i.microcosm_id = %(microcosm_id)s AND i.title = %(title)s AND NOT i.is_deleted
       AND i.created > now() - make_interval(secs => %(window_s)s)
       AND e.when_local IS NOT DISTINCT FROM %(when_local)s::timestamp AND e.tz_name = %(tz_name)s
       AND e.place = %(place)s
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
    "event.insert",
    """
    INSERT INTO events (site_id, item_id, when_local, when_utc, tz_name, duration_min, place, lat, lon, north, east,
                        south, west, status, rsvp_limit)
    VALUES (%(site_id)s, %(item_id)s, %(when_local)s, %(when_utc)s, %(tz_name)s, %(duration_min)s, %(place)s, %(lat)s,
            %(lon)s, %(north)s, %(east)s, %(south)s, %(west)s, %(status)s, %(rsvp_limit)s)""",
)

# Only under the lock of the event's item.
DETAILS = Query(
    "event.details",
    """
    SELECT e.when_local, e.when_utc, e.tz_name, e.duration_min, e.place, e.lat, e.lon, e.north, e.east, e.south,
           e.west, e.status, e.rsvp_limit, e.when_utc + make_interval(mins => e.duration_min) <= now() IS TRUE
      FROM events e
     WHERE e.site_id = %(site_id)s AND e.item_id = %(item_id)s""",
)

UPDATE = Query(
    "event.update",
    """
    UPDATE events e
       SET when_local = %(when_local)s, when_utc = %(when_utc)s, tz_name = %(tz_name)s, duration_min = %(duration_min)s,
           place = %(place)s, lat = %(lat)s, lon = %(lon)s, north = %(north)s, east = %(east)s, south = %(south)s,
           west = %(west)s, status = %(status)s, rsvp_limit = %(rsvp_limit)s
     WHERE e.site_id = %(site_id)s AND e.item_id = %(item_id)s""",
)


class EventDetails(NamedTuple):
    """Details of an event as clients write them, named as the columns are. `when_local`: clock time at the event,
    without a zone; `when_utc`: the same time as an aware one in UTC; `place`: HTML-escaped text; `lat` to `west`:
    degrees of the place and of the map around it; `status`: upcoming, proposed, postponed or cancelled, never past;
    `rsvp_limit` 0: no limit; `is_over`: the stored time and duration have passed.
    """

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


def checked(sent: Any, before: EventDetails) -> EventDetails:
    """Return `before` with what a body (handlers.events.EventBody) changes: a member that was not sent keeps its value,
    an empty `when` removes the date. A date without a duration, and a negative duration, get DEFAULT_DURATION_MIN; a
    latitude and a longitude that are both 0 are no place. The status becomes upcoming if the event then has a date,
    else proposed, whatever it was before; `is_over` becomes False.

    Raises Invalid for the first bad field: a time that `wall_clock` or `instant` refuses, an event that ends after the
    year 9999, a zone that `zone` refuses, a latitude or longitude beyond 90 or 180 degrees, a place over MAX_PLACE
    characters, counted before the escaping, a duration or limit over 2^31 - 1, a negative limit.
    """
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
    return EventDetails(
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


def wall_clock(text: str) -> datetime.datetime:
    """Return the date and time that an RFC 3339 text shows, as a naive time, since its offset is ignored (content 5.3).
    Raises Invalid for any other text.
    """
    digits = rfc3339.wall_clock(text)
    if digits is None:
        raise Invalid("when", "must be a time such as 2026-06-07T09:30:00Z", code=WRONG_TYPE)
    return digits


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones that an event may have: those of the machine's time zone database,
    except localtime and Factory.
    """
    # These two are what the machine is set to, not places.
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "Factory"}


def zone(name: str) -> str:
    """Return `name`, or the default zone for "". Raises Invalid if it names no time zone (C-25)."""
    if not name:
        return DEFAULT_ZONE
    if len(name) > MAX_ZONE or name not in zones():
        raise Invalid("tz", "must be the name of a time zone, such as Europe/Lisbon")
    return name


def instant(when_local: datetime.datetime, tz_name: str) -> datetime.datetime:
    """Convert `when_local`, a naive time in the zone `tz_name`, to an aware time in UTC. Raises Invalid if that is not
    in the years 1 to 9999.

    A time that a change of clocks leaves out has the offset from before it; a time that comes twice means the first
    (RFC 5545, 3.3.5).
    """
    try:
        return when_local.replace(tzinfo=zoneinfo.ZoneInfo(tz_name)).astimezone(datetime.UTC)
    except OverflowError:
        raise Invalid("when", "is out of range", code=OUT_OF_RANGE) from None


def _check_end(when_utc: datetime.datetime, duration_min: int) -> None:
    """Raise Invalid if an event ends after the year 9999, which Python and calendars can't express."""
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
    cleaned = short_text_cleaning.block(sent)
    if short_text_cleaning.length(cleaned) > MAX_PLACE:
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


def after_put(sent: Any, before: EventDetails) -> EventDetails:
    """Return the details as `checked` does, with the same arguments, for a PUT, whose body may also cancel or postpone
    an event by its status, or restore it (C-27). A postponed or cancelled event stays so unless the body has another
    status.
    """
    details = checked(sent, before)
    wanted = before.status if isinstance(sent.status, UnsetType) else sent.status
    return details._replace(status=wanted) if wanted in _CALLED_OFF else details


@dataclasses.dataclass
class Event(Item):
    """Event as clients write it: a new one, or its current row, locked until the transaction ends.

    `details` of a locked event are the default ones until `load_details` reads the stored ones.
    """

    details: EventDetails = dataclasses.field(default_factory=EventDetails)

    def load_details(self, tx: Transaction, site_id: int) -> None:
        """Read the stored details of the locked event into `details`."""
        row = tx.row(DETAILS, site_id=site_id, item_id=self.id)
        assert row is not None  # stored with its item
        self.details = EventDetails(*row)

    def _find_duplicate(self, tx: Transaction, **values: Any) -> int | None:
        id: int | None = tx.value(DUPLICATE, **values, **self._columns())
        return id

    def _insert_details(self, tx: Transaction, site_id: int) -> None:
        tx.run(INSERT, site_id=site_id, item_id=self.id, **self._columns())

    def update(self, tx: Transaction, author: Author, change: ItemChange) -> None:
        """Store the title, microcosm and edit reason of `change` as Item.update does, and this object's `details`, in
        the locked event; then read `details` anew, since the database works out whether the event is over.
        """
        super().update(tx, author, change)
        tx.run(UPDATE, site_id=author.site_id, item_id=self.id, **self._columns())
        self.load_details(tx, author.site_id)

    def _columns(self) -> dict[str, Any]:
        columns = self.details._asdict()
        del columns["is_over"]
        return columns
