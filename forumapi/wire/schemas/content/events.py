"""Shapes of events and their attendees."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import EditedMeta, Entry, FlaggedMeta
from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.content.items import (
    DetailFlags,
    DetailMeta,
    Item,
    LastComment,
    NewComments,
    SummaryFlags,
)
from forumapi.wire.schemas.parts import Link, ListMeta, Paged, Permissions, ProfileSummary
from forumapi.wire.schemas.values import ByAgent, Count, Id, Text, Time


class EventSummaryFlags(SummaryFlags, kw_only=True):
    """The state of an event in a list, and `attending`: the caller answered yes."""

    attending: bool


class EventSummaryMeta(FlaggedMeta[EventSummaryFlags], kw_only=True):
    """`meta` of an event in a list."""

    byAgent: ByAgent | UnsetType = UNSET
    newComments: NewComments | UnsetType = UNSET


class EventBase(Item, kw_only=True):
    """Base of the shapes of an event: the keys that they begin with. `whentz`: the time of `when` in UTC; `tz`: name of
    the time zone; `lat` and `lon`: the place, and `north` to `west` the bounds of its map, in degrees. `rsvpAttend`:
    number of those who answered yes; `rsvpSpaces`: number of spaces left, absent if there are none or the event has no
    limit. Other optional keys are absent if empty or 0.
    """

    when: Annotated[
        str | UnsetType, Meta(description="Local time at the event, printed with a Z.")
    ] = UNSET
    tz: str | UnsetType = UNSET
    whentz: Time | UnsetType = UNSET
    duration: Annotated[int, Meta(ge=1, description="Minutes.")] | UnsetType = UNSET
    where: Text | UnsetType = UNSET
    lat: float | UnsetType = UNSET
    lon: float | UnsetType = UNSET
    north: float | UnsetType = UNSET
    east: float | UnsetType = UNSET
    south: float | UnsetType = UNSET
    west: float | UnsetType = UNSET
    status: Literal["proposed", "upcoming", "postponed", "cancelled", "past"]
    rsvpLimit: Annotated[int, Meta(ge=0, description="0 for no limit.")]
    rsvpAttend: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    rsvpSpaces: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class EventSummary(EventBase, kw_only=True):
    """An event in a list (content 3.1 and 5.3)."""

    totalComments: Count
    totalViews: Count
    lastComment: LastComment | UnsetType = UNSET
    meta: EventSummaryMeta


class EventEntry(Entry[EventSummary], tag="event"):
    """Entry of a list of items of several types: `item` is an event."""


class EventFlags(DetailFlags, kw_only=True):
    """The state of an event, and the caller's own relation to it; `attending`: the caller answered yes."""

    attending: Annotated[bool, Meta(description="Absent for guests.")] | UnsetType = UNSET


class EventMeta(DetailMeta, kw_only=True):
    """`meta` of an event that is read by itself."""

    flags: EventFlags


class Event(EventBase, kw_only=True):
    """An event with a page of its comments (content 5.3)."""

    comments: Paged[CommentSummary]
    meta: EventMeta


class Events(Struct, kw_only=True):
    """The events of a site that the caller may read and does not ignore: sticky ones first, then the latest active
    (content 3.6).
    """

    events: Paged[EventSummary]
    meta: ListMeta


class AttendeeMeta(EditedMeta, kw_only=True):
    """`meta` of an answer to an event, in a list."""

    links: list[Link]


class Attendee(Struct, kw_only=True):
    """The answer of one profile to an event, in a list (content 5.6); `rsvpdOn`: time of the answer."""

    profileId: Id
    profile: ProfileSummary
    rsvp: Literal["yes", "maybe", "invited", "no"]
    waiting: Annotated[
        Literal[True] | UnsetType, Meta(description="Comes as soon as there is a space.")
    ] = UNSET
    rsvpdOn: Time
    meta: AttendeeMeta


class AttendeeDetailMeta(AttendeeMeta, kw_only=True):
    """`meta` of an answer to an event that is read by itself."""

    permissions: Permissions


class AttendeeDetail(Attendee, kw_only=True):
    """The answer of one profile to an event, read by itself."""

    meta: AttendeeDetailMeta


class Attendees(Struct, kw_only=True):
    """The answers to an event: yes, maybe, invited, no; of the same answer the earliest first."""

    attendees: Paged[Attendee]
    meta: ListMeta
