"""Shapes of the caller's watchers, and of the objects that the caller ignores."""

from __future__ import annotations

from typing import Annotated, Final, Generic

from msgspec import Meta, Struct

from forumapi.wire.schemas.content.events import EventSummary
from forumapi.wire.schemas.content.huddles import HuddleSummary
from forumapi.wire.schemas.content.items import ConversationSummary
from forumapi.wire.schemas.content.polls import PollSummary
from forumapi.wire.schemas.microcosms import MicrocosmSummary
from forumapi.wire.schemas.parts import LinksMeta, Paged, ProfileSummary, T
from forumapi.wire.schemas.sites import Site
from forumapi.wire.schemas.values import Count, Id, Time


class WatchedObject(Struct, Generic[T], kw_only=True, tag_field="itemType"):
    """Base of entries of the list of watchers: a watcher of the caller's, whose id is `id`, of the object `item`, of
    the type T.
    """

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: T


class WatchedSite(WatchedObject[Site], tag="site"):
    """The caller's watcher of the whole site."""


class WatchedMicrocosm(WatchedObject[MicrocosmSummary], tag="microcosm"):
    """The caller's watcher of a microcosm."""


class WatchedProfile(WatchedObject[ProfileSummary | None], kw_only=True, tag="profile"):
    """The caller's watcher of a profile; of all people with `itemId` 0 and `item` null."""

    itemId: Count


class WatchedHuddle(WatchedObject[HuddleSummary], tag="huddle"):
    """The caller's watcher of a huddle."""


class WatchedConversation(WatchedObject[ConversationSummary], tag="conversation"):
    """The caller's watcher of a conversation."""


class WatchedPoll(WatchedObject[PollSummary], tag="poll"):
    """The caller's watcher of a poll."""


class WatchedEvent(WatchedObject[EventSummary], tag="event"):
    """The caller's watcher of an event."""


class Watchers(Struct, kw_only=True):
    """The caller's watchers: first those that never had a notification, then those that had one latest; without
    watchers of objects that were deleted or that the caller may no longer read.
    """

    watchers: Paged[
        WatchedSite
        | WatchedMicrocosm
        | WatchedProfile
        | WatchedHuddle
        | WatchedConversation
        | WatchedPoll
        | WatchedEvent
    ]
    meta: LinksMeta


# A tag is the first property of its struct; where it stands elsewhere on the wire: struct -> (tag, what it follows).
TAG_AFTER: Final = {kind.__name__: ("itemType", "item") for kind in WatchedObject.__subclasses__()}


class IgnoredObject(Struct, Generic[T], kw_only=True, tag_field="itemType"):
    """Base of entries of the list of ignored objects: `item` is the object that the caller ignores, of the type T, and
    `itemId` its id.
    """

    itemId: Id
    item: T


class IgnoredMicrocosm(IgnoredObject[MicrocosmSummary], tag="microcosm"):
    """Entry of the list of objects that the caller ignores: `item` is a microcosm."""


class IgnoredProfile(IgnoredObject[ProfileSummary], tag="profile"):
    """Entry of the list of objects that the caller ignores: `item` is the profile of a person."""


class IgnoredConversation(IgnoredObject[ConversationSummary], tag="conversation"):
    """Entry of the list of objects that the caller ignores: `item` is a conversation."""


class IgnoredEvent(IgnoredObject[EventSummary], tag="event"):
    """Entry of the list of objects that the caller ignores: `item` is an event."""


class IgnoredPoll(IgnoredObject[PollSummary], tag="poll"):
    """Entry of the list of objects that the caller ignores: `item` is a poll."""


class Ignored(Struct, kw_only=True):
    """The objects that the caller ignores, sorted by the number of their type, then by title or name; without those
    that were deleted or that the caller may no longer read.
    """

    ignored: Paged[
        IgnoredMicrocosm | IgnoredProfile | IgnoredConversation | IgnoredEvent | IgnoredPoll
    ]
    meta: LinksMeta
