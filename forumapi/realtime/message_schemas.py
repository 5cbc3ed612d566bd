"""Messages of the live protocol, one struct each. Docs: docs/api/live.md.

Clients' messages are decoded by their structs. The server's frames are only described by theirs, in the AsyncAPI
document, by which the tests check every frame.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

PROTOCOL: Final = "forumapi.live.v1"

Cursor = Annotated[
    str,
    Meta(
        description="A position in the site's events: an opaque text, different each time for the same position.",
        examples=["RitRlBRAFL-mT7RZBKS1Cg"],
    ),
]
Topic = Annotated[
    str,
    Meta(
        description="`site`, `huddles`, `updates`, or a type and an id.",
        examples=["conversation/88"],
    ),
]
Count = Annotated[int, Meta(ge=0)]

# ---------------------------------------------------------------- messages of clients


class ClientMessage(Struct, tag_field="type"):
    """Base class of the messages that a client sends over its WebSocket."""


class Subscribe(ClientMessage, tag="subscribe"):
    """Subscribe to topics: with the events that the client has missed since a cursor or, without one, from now on."""

    topics: list[Topic]
    cursor: str = ""
    documents: Annotated[bool, Meta(description="Include the documents of things.")] = False
    presence: Annotated[
        bool, Meta(description="Count the caller as present, and send presence and typing.")
    ] = False


class Unsubscribe(ClientMessage, tag="unsubscribe"):
    """End subscriptions to topics, which the server confirms by `unsubscribed`."""

    topics: list[Topic]


class Typing(ClientMessage, tag="typing"):
    """Announce to others who follow the topic with presence that the caller is writing a comment on it."""

    topic: Topic


# ---------------------------------------------------------------- frames of the server


class Limits(Struct, kw_only=True):
    """Limits of this connection: most topics that it follows, most bytes of a message and most messages a minute from
    the client, most bytes that wait to be sent to it, and most events that are sent after a cursor.
    """

    subscriptions: int
    messageBytes: int
    messagesPerMinute: int
    queueBytes: int
    replayEvents: int


class HelloFrame(Struct, tag_field="type", tag="hello", kw_only=True):
    """First frame of a connection: the present cursor, the caller's profile, the seconds between heartbeats, and
    limits.
    """

    cursor: Cursor
    protocol: Literal["forumapi.live.v1"]
    profileId: Annotated[int, Meta(ge=0, description="0: a guest.")]
    heartbeatSeconds: int
    limits: Limits


class SubscribedFrame(Struct, tag_field="type", tag="subscribed", kw_only=True):
    """Confirmation of a subscription: all events of these topics up to the cursor have been sent."""

    cursor: Cursor
    topics: list[Topic]


class UnsubscribedFrame(Struct, tag_field="type", tag="unsubscribed", kw_only=True):
    """End of subscriptions, by the client's own message or, with `reason`, since the caller may no longer follow the
    topics.
    """

    topics: list[Topic]
    reason: Literal["forbidden"] | UnsetType = UNSET


class EventFrame(Struct, tag_field="type", tag="event", kw_only=True):
    """Event of a thing that the caller may see or, with the kind `gone` or `deleted`, could see before."""

    cursor: Cursor
    kind: Literal["created", "replaced", "patched", "deleted", "gone"]
    itemType: str
    itemId: int
    href: str
    parentType: str | UnsetType = UNSET
    parentId: int | UnsetType = UNSET
    microcosmId: int | UnsetType = UNSET
    version: int | UnsetType = UNSET
    at: Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
    document: (
        Annotated[dict[str, Any], Meta(description="The thing, as lists of the REST API show it.")]
        | UnsetType
    ) = UNSET


class GapFrame(Struct, tag_field="type", tag="gap", kw_only=True, rename={"from_": "from"}):
    """Gap in the events of a topic, after the cursor `from` and up to `to`: the client reads `href` instead."""

    cursor: Cursor
    topic: Topic
    from_: Cursor
    to: Cursor
    href: str


class ResyncFrame(Struct, tag_field="type", tag="resync", kw_only=True):
    """Rejection of the client's cursor: the client reads everything anew, and continues from this cursor."""

    cursor: Cursor
    reason: str


class PresenceFrame(Struct, tag_field="type", tag="presence", kw_only=True):
    """Number of people who read a topic now and have subscribed to it with presence: profiles, each once (again for
    each further server process that it is connected to), and connections of guests.
    """

    topic: Topic
    people: Count


class TypingFrame(Struct, tag_field="type", tag="typing", kw_only=True):
    """Profiles that are writing a comment on a topic now, at most ten, without the caller and those whom the caller
    ignores.
    """

    topic: Topic
    profileIds: Annotated[list[int], Meta(min_length=1, max_length=10)]


class HeartbeatFrame(Struct, tag_field="type", tag="heartbeat", kw_only=True):
    """Sign of life: all events up to the cursor have been sent."""

    cursor: Cursor


class ErrorFrame(Struct, tag_field="type", tag="error", kw_only=True):
    """Refusal of a client's message, with the code and status that the REST API has for the error."""

    code: int
    text: str
    status: int


class Retry(Struct, kw_only=True):
    """Range of milliseconds from which to choose a random wait before reconnecting."""

    min: int
    max: int


class ByeFrame(Struct, tag_field="type", tag="bye", kw_only=True):
    """Last frame of a connection: why it ends, and after how many milliseconds the client may come back (null: not
    at all).
    """

    cursor: Cursor | UnsetType = UNSET
    reason: Literal["stopping", "away", "slow", "flooding", "signedOut", "banned", "siteGone"]
    retryAfterMs: Retry | None


SENT: Final = (Subscribe, Unsubscribe, Typing)
RECEIVED: Final = (
    HelloFrame,
    SubscribedFrame,
    UnsubscribedFrame,
    EventFrame,
    GapFrame,
    ResyncFrame,
    PresenceFrame,
    TypingFrame,
    HeartbeatFrame,
    ErrorFrame,
    ByeFrame,
)
