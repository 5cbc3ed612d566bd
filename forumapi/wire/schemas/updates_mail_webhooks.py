"""Updates, their preferences and mail; live events; webhooks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import LinksMeta, Paged, ProfileSummary
from forumapi.wire.schemas.values import (
    CommentableName,
    Count,
    Id,
    NoneOrId,
    ParentItem,
    Text,
    Time,
    one_of,
)

UpdateTypeName = Literal[
    "new_comment",
    "reply_to_comment",
    "mentioned",
    "new_comment_in_huddle",
    "new_attendee",
    "new_vote",
    "event_reminder",
    "new_item",
    "new_user",
    "event_invitation",
    "statement",
    "report_received",
    "report_decided",
    "appeal_decided",
]


class UpdateFlags(Struct, kw_only=True):
    """Unread state of the item, or of the item of the comment."""

    unread: bool


class UpdateMeta(Struct, kw_only=True):
    """`meta` of an update."""

    created: Time
    createdBy: Annotated[
        ProfileSummary,
        Meta(description="Who did it; of a vote, who made the poll; of a decision, the caller."),
    ]
    flags: UpdateFlags


class Update(Struct, kw_only=True):
    """Something that the caller is notified of (discovery 2.7)."""

    id: Id
    updateType: UpdateTypeName
    itemType: Literal["comment", "conversation", "event", "poll", "statement", "report", "appeal"]
    item: Annotated[
        Any,
        one_of(
            "CommentSummary",
            "ConversationSummary",
            "EventSummary",
            "PollSummary",
            "StatementSummary",
            "Report",
            "AppealSummary",
        ),
    ]
    parentItemType: Annotated[
        CommentableName | UnsetType, Meta(description="Of what a comment is on.")
    ] = UNSET
    parentItem: ParentItem | UnsetType = UNSET
    meta: UpdateMeta


class Updates(Struct, kw_only=True):
    """Updates of the caller, newest first."""

    updates: Paged[Update]
    meta: LinksMeta


class NoMeta(Struct, kw_only=True):
    """Empty object: these objects have no `meta`."""


class UpdatePreference(Struct, kw_only=True):
    """Preference of the caller for mail about a type of update (discovery 3.2)."""

    profileId: Id
    id: Annotated[int, Meta(ge=1, le=10, description="The number of the type.")]
    description: Annotated[str, Meta(description="When such an update is made.")]
    sendEmail: bool
    sendSMS: Annotated[bool, Meta(description="Kept; no messages are sent.")]
    meta: NoMeta


class MailTemplate(Struct, kw_only=True):
    """A template of mail, as the site's owner sees it. `own`: the site has replaced it."""

    name: str
    description: str
    own: bool
    subject: Annotated[str, Meta(description="One line of plain text with $names.")]
    text: Annotated[str, Meta(description="The plain text part, with $names.")]
    html: Annotated[str, Meta(description="The HTML part, with $names.")]
    names: Annotated[list[str], Meta(description="What may stand in it after a $.")]


class MailTemplates(Struct, kw_only=True):
    """All templates of a site's mail."""

    templates: list[MailTemplate]


class Bounce(Struct, kw_only=True):
    """The reason why an address gets no more mail about updates."""

    reason: Literal["refused", "reported"]
    detail: Annotated[str, Meta(description="What the mail server said.")]
    since: Time


class EmailSettings(Struct, kw_only=True):
    """The caller's mail settings: the address, its last bounce, and the digest."""

    profileId: Id
    email: str
    bounce: Bounce | None
    digest: Literal["none", "daily", "weekly"]
    timeZone: Annotated[str, Meta(examples=["Europe/Berlin"])]
    nextDigest: Time | None


class LivePoll(Struct, kw_only=True):
    """Events since a cursor."""

    frames: Annotated[
        list[dict[str, Any]],
        Meta(description="As a WebSocket would bring them (docs/api/live.md)."),
    ]
    cursor: Annotated[str, Meta(description="Where to go on from.")]


class Ticket(Struct, kw_only=True):
    """Ticket that opens one connection of events."""

    ticket: str
    expiresIn: Annotated[int, Meta(description="Seconds.")]


class CursorRange(Struct, kw_only=True):
    """A range of events by their cursors, both ends included."""

    first: str
    last: str


class Webhook(Struct, kw_only=True):
    """A URL that is notified of events of a site.

    `actsAs`: the profile whose rights it has; 0: a guest.
    """

    id: Id
    name: Text
    url: Annotated[str, Meta(description="Where messages are sent.")]
    secret: Annotated[
        str | UnsetType, Meta(description="What signs; only in the answer that makes it.")
    ] = UNSET
    kinds: Annotated[list[str], Meta(description="Of which kinds of events it is told.")]
    itemTypes: Annotated[list[str], Meta(description="Of which types of things.")]
    actsAs: Annotated[int, Meta(ge=0, description="A profile; 0: a guest.")]
    documents: Annotated[bool, Meta(description="Messages carry the thing itself.")]
    enabled: bool
    disabledBecause: Annotated[
        str, Meta(description='"failing" or "gone" where it was disabled by itself, else "".')
    ]
    created: Time
    failures: Annotated[int, Meta(ge=0, description="Since the last success.")]
    failingSince: Time | None
    pausedUntil: Time | None
    sent: Annotated[int, Meta(ge=0, description="Messages that were delivered.")]
    lastSent: Time | None
    lastStatus: Annotated[int, Meta(ge=0, description="The last answer's; 0 without one.")]
    lastError: str
    missed: (
        Annotated[CursorRange, Meta(description="What its full queue had no room for: replay it.")]
        | None
    )
    meta: LinksMeta


class Webhooks(Struct, kw_only=True):
    """The webhooks of a site."""

    webhooks: Paged[Webhook]
    meta: LinksMeta


class WebhookDelivery(Struct, kw_only=True):
    """A delivery to a webhook: queued, a dead letter, or a test that was sent."""

    id: Annotated[
        str, Meta(description="The message's id without `msg_`; the same for each attempt.")
    ]
    cursor: Annotated[str, Meta(description='The event\'s; "" for a test.')]
    state: Annotated[str, Meta(description="queued, dead or sent.")]
    kind: str
    itemType: Annotated[str, Meta(description='"" for a test.')]
    itemId: NoneOrId
    parentType: Annotated[str, Meta(description='What it is in or on; "" for nothing.')]
    parentId: NoneOrId
    version: Count
    occurred: Time
    queued: Time
    attempts: Count
    nextAttempt: Time | None
    lastStatus: Count
    lastError: str


class WebhookDeliveries(Struct, kw_only=True):
    """Messages to a webhook in one state, lowest cursor first."""

    deliveries: Paged[WebhookDelivery]
    meta: LinksMeta


class WebhookReplay(Struct, kw_only=True):
    """Number of deliveries sent again. `next`: cursor for the next request, if one request was not enough."""

    replayed: Count
    next: str | None
