"""The messages of the push protocol, one struct each: what clients send is decoded by them, what the server sends is
described by them, in the AsyncAPI document, against which the tests hold every frame. Docs: docs/api/live.md."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

PROTOCOL: Final = "forumapi.live.v1"

Cursor = Annotated[
    str,
    Meta(
        description="A place in the site's events. It means nothing to anybody else, and the same place has "
        "another text each time.",
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

# ---------------------------------------------------------------- what a client sends


class Message(Struct, tag_field="type"):
    """What a client sends."""


class Subscribe(Message, tag="subscribe"):
    """Follow some topics together, from a cursor or from now on."""

    topics: list[Topic]
    cursor: str = ""
    documents: Annotated[bool, Meta(description="With the things themselves.")] = False
    presence: Annotated[bool, Meta(description="Be counted, and told who is there.")] = False


class Unsubscribe(Message, tag="unsubscribe"):
    """Follow them no longer."""

    topics: list[Topic]


class Typing(Message, tag="typing"):
    """The caller is writing a comment there."""

    topic: Topic


# ---------------------------------------------------------------- what the server sends


class Limits(Struct, kw_only=True):
    """What holds for this connection."""

    subscriptions: int
    messageBytes: int
    messagesPerMinute: int
    queueBytes: int
    replayEvents: int


class HelloFrame(Struct, tag_field="type", tag="hello", kw_only=True):
    """The first frame."""

    cursor: Cursor
    protocol: Literal["forumapi.live.v1"]
    profileId: Annotated[int, Meta(ge=0, description="0: a guest.")]
    heartbeatSeconds: int
    limits: Limits


class SubscribedFrame(Struct, tag_field="type", tag="subscribed", kw_only=True):
    """Everything on these topics up to the cursor has been sent."""

    cursor: Cursor
    topics: list[Topic]


class UnsubscribedFrame(Struct, tag_field="type", tag="unsubscribed", kw_only=True):
    """These are followed no longer."""

    topics: list[Topic]
    reason: Literal["forbidden"] | UnsetType = UNSET


class EventFrame(Struct, tag_field="type", tag="event", kw_only=True):
    """Something happened to a thing that the caller may see."""

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
    """Events of a topic are not told: read `href` instead."""

    cursor: Cursor
    topic: Topic
    from_: Cursor
    to: Cursor
    href: str


class ResyncFrame(Struct, tag_field="type", tag="resync", kw_only=True):
    """The cursor that was sent is no place here: read anew, and go on from this one."""

    cursor: Cursor
    reason: str


class PresenceFrame(Struct, tag_field="type", tag="presence", kw_only=True):
    """How many read a topic now."""

    topic: Topic
    people: Count


class TypingFrame(Struct, tag_field="type", tag="typing", kw_only=True):
    """Who is writing a comment on a topic."""

    topic: Topic
    profileIds: Annotated[list[int], Meta(min_length=1, max_length=10)]


class HeartbeatFrame(Struct, tag_field="type", tag="heartbeat", kw_only=True):
    """A sign of life, and how far everything has been told."""

    cursor: Cursor


class ErrorFrame(Struct, tag_field="type", tag="error", kw_only=True):
    """What was wrong with a message, as the REST API would say it."""

    code: int
    text: str
    status: int


class Retry(Struct, kw_only=True):
    """Within which time to come back, in milliseconds."""

    min: int
    max: int


class ByeFrame(Struct, tag_field="type", tag="bye", kw_only=True):
    """The last frame."""

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
