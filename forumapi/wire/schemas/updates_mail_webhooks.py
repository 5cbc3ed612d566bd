"""Shapes of updates, preferences, mail and web push, of live events, and of webhooks."""

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
    """Flags of an update, of which there is one: `unread`, if the caller has not read all of the item that the update
    is about or, of a decision, has not marked everything as read since.
    """

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
    """An update (notification) of the caller (discovery 2.7)."""

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
    """The caller's updates, newest first; of new comments on one followed object the newest alone."""

    updates: Paged[Update]
    meta: LinksMeta


class NoMeta(Struct, kw_only=True):
    """Empty object: `meta` of an object that has nothing in it."""


class UpdatePreference(Struct, kw_only=True):
    """The caller's preference of the ways by which one type of update is sent (discovery 3.2)."""

    profileId: Id
    id: Annotated[int, Meta(ge=1, le=10, description="The number of the type.")]
    description: Annotated[str, Meta(description="When such an update is made.")]
    sendEmail: bool
    sendSMS: Annotated[bool, Meta(description="Kept; no messages are sent.")]
    sendPush: Annotated[bool, Meta(description="Web push to the caller's subscriptions.")]
    meta: NoMeta


class PushSubscription(Struct, kw_only=True):
    """A browser or app of the caller that receives web push; it is deleted once sending has failed for a week, or the
    push service says that it is gone.
    """

    id: Id
    host: Annotated[str, Meta(description="The push service's; the whole endpoint is a secret.")]
    userAgent: Annotated[str, Meta(description="What the device said it is, HTML-escaped.")]
    current: Annotated[bool, Meta(description="It ends with the token of this request.")]
    created: Time
    lastSent: Time | None
    failingSince: Time | None


class PushSubscriptions(Struct, kw_only=True):
    """The platform's public key, and the caller's subscriptions to web push, oldest first."""

    publicKey: Annotated[
        str, Meta(description="`applicationServerKey` to subscribe with, base64url.")
    ]
    subscriptions: list[PushSubscription]


class MailTemplate(Struct, kw_only=True):
    """A template of mail about updates. `own`: the template is the site's own, not the software's."""

    name: str
    description: str
    own: bool
    subject: Annotated[str, Meta(description="One line of plain text with $names.")]
    text: Annotated[str, Meta(description="The plain text part, with $names.")]
    html: Annotated[str, Meta(description="The HTML part, with $names.")]
    names: Annotated[list[str], Meta(description="What may stand in it after a $.")]


class MailTemplates(Struct, kw_only=True):
    """All templates of a site's mail about updates."""

    templates: list[MailTemplate]


class Bounce(Struct, kw_only=True):
    """The last bounce of mail to an address, which gets no more mail about updates since."""

    reason: Literal["refused", "reported"]
    detail: Annotated[str, Meta(description="What the mail server said.")]
    since: Time


class EmailSettings(Struct, kw_only=True):
    """The caller's settings of mail on this site: address, last bounce, digest."""

    profileId: Id
    email: str
    bounce: Bounce | None
    digest: Literal["none", "daily", "weekly"]
    timeZone: Annotated[str, Meta(examples=["Europe/Berlin"])]
    nextDigest: Time | None


class LivePoll(Struct, kw_only=True):
    """Answer to a long poll: the live events since the cursor that was sent, and the cursor to send next."""

    frames: Annotated[
        list[dict[str, Any]],
        Meta(description="As a WebSocket would bring them (docs/api/live.md)."),
    ]
    cursor: Annotated[str, Meta(description="Where to go on from.")]


class Ticket(Struct, kw_only=True):
    """A ticket that opens one live connection, without a token, within `expiresIn` seconds."""

    ticket: str
    expiresIn: Annotated[int, Meta(description="Seconds.")]


class CursorRange(Struct, kw_only=True):
    """The range of events that a webhook missed, by the cursors of the first and the last, both included."""

    first: str
    last: str


class Webhook(Struct, kw_only=True):
    """A webhook: a URL to which events of a site are posted.

    `actsAs`: id of the profile that must be able to read what is posted; 0: guests must.
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
    """The webhooks of a site, oldest first."""

    webhooks: Paged[Webhook]
    meta: LinksMeta


class WebhookDelivery(Struct, kw_only=True):
    """A delivery to a webhook: one that waits, a dead letter, or a test. `version`: that of the thing after the event,
    0 for none.
    """

    id: Annotated[
        str, Meta(description="The message's id without `msg_`; the same for each attempt.")
    ]
    cursor: Annotated[str, Meta(description='The event\'s; "" for a test.')]
    state: Annotated[str, Meta(description="queued, dead or sent.")]
    kind: str
    itemType: Annotated[
        str, Meta(description='"" for a test, and for a type of a later release during an upgrade.')
    ]
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
    """The deliveries to a webhook in one state, lowest cursor first."""

    deliveries: Paged[WebhookDelivery]
    meta: LinksMeta


class WebhookReplay(Struct, kw_only=True):
    """Answer to the replay of events to a webhook: the number of deliveries that are queued again. `next`: cursor to go
    on from with another request; null: that is all.
    """

    replayed: Count
    next: str | None
