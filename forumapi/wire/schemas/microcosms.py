"""Shapes of microcosms, and of the queue of objects that wait for moderation in them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import CreatedMeta, Entry, StateFlags
from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.content.events import EventEntry
from forumapi.wire.schemas.content.items import ConversationEntry, EditableMeta, SummaryMeta
from forumapi.wire.schemas.parts import Breadcrumb, Link, LinksMeta, Paged, ProfileSummary
from forumapi.wire.schemas.values import Address, Count, Id, PageLimit, Text

ContainedName = Literal["microcosm", "conversation", "event", "poll"]


class MicrocosmChild(Struct, kw_only=True):
    """Link to a child microcosm."""

    rel: Literal["microcosm child"]
    href: Address
    title: Text
    logoUrl: str | UnsetType = UNSET
    id: Id


class MicrocosmBase(Struct, kw_only=True):
    """Base of the shapes of a microcosm: the keys that they begin with. `visibility`: as stored, without effect, since
    roles decide on access; `itemTypes`: types of what can be made in it.
    """

    id: Id
    parentId: Id | UnsetType = UNSET
    breadcrumb: list[Breadcrumb] | UnsetType = UNSET
    siteId: Id
    visibility: Literal["public", "protected", "private"]
    title: Text
    description: Text
    logoUrl: Annotated[str, Meta(description='"" for none.')]
    itemTypes: list[ContainedName]


class MicrocosmSummary(MicrocosmBase, kw_only=True):
    """A microcosm in a list (content 2.5). `mostRecentUpdate`: the conversation or event here or below with the latest
    activity, of those that the caller may read and does not ignore; absent for none.
    """

    children: list[MicrocosmChild] | UnsetType = UNSET
    moderators: Annotated[list[int], Meta(max_length=0, description="Reserved: always empty.")]
    totalItems: Annotated[int, Meta(ge=0, description="Items here and below.")]
    totalComments: Annotated[int, Meta(ge=0, description="Comments here and below.")]
    mostRecentUpdate: ConversationEntry | EventEntry | UnsetType = UNSET
    meta: SummaryMeta


class MicrocosmEntry(Entry[MicrocosmSummary], tag="microcosm"):
    """Entry of the list of a microcosm's contents: `item` is a child microcosm."""


ItemContainer = MicrocosmEntry | ConversationEntry | EventEntry
"""An entry of a microcosm's page: `itemType` says what `item` is (content 2.7)."""


class MicrocosmFlags(StateFlags, kw_only=True):
    """The state of a microcosm that is read by itself, and the caller's own relation to it."""

    unread: bool
    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class MicrocosmMeta(EditableMeta[MicrocosmFlags]):
    """`meta` of a microcosm that is read by itself."""


class Microcosm(MicrocosmBase, kw_only=True):
    """A microcosm with a page of its child microcosms and items, polls left out: sticky ones first; of these, and of
    the others, microcosms before items, and items with the latest activity first (content 2.4).
    """

    moderators: Annotated[
        list[Id],
        Meta(description="Who moderates here, where the site names them (`namesModerators`)."),
    ]
    moderatedBy: (
        Annotated[list[ProfileSummary], Meta(description="The same people.")] | UnsetType
    ) = UNSET
    items: Paged[ItemContainer]
    meta: MicrocosmMeta


class MicrocosmTreeNode(Struct, kw_only=True):
    """A microcosm in the flat list of a site's tree, in which each microcosm precedes those below it (content 2.6)."""

    rel: Literal["microcosm"]
    href: Address
    title: Text
    id: Id
    level: Annotated[int, Meta(ge=1, description="Depth in the tree; the root is 1.")]
    parentId: Id | UnsetType = UNSET


class WaitingMeta(CreatedMeta, kw_only=True):
    """`meta` of an object in the moderation queue."""

    links: list[Link]


class Waiting(Struct, kw_only=True):
    """An item or comment in the moderation queue: hidden, until a moderator approves or deletes it."""

    itemType: Literal["comment", "conversation", "event", "poll"]
    itemId: Id
    title: Annotated[Text, Meta(description="Of the item, or of what the comment is on.")]
    microcosmId: Id | UnsetType = UNSET
    comment: CommentSummary | UnsetType = UNSET
    meta: WaitingMeta


class WaitingPage(Struct, kw_only=True):
    """A page of the moderation queue, oldest first."""

    total: Annotated[int, Meta(ge=0, description="Everything that waits.")]
    limit: PageLimit
    links: Annotated[list[Link], Meta(description="self, and next as far as it exists.")]
    type: Address
    items: list[Waiting]


class WaitingCounts(Struct, kw_only=True):
    """Number of objects of each type in the whole moderation queue."""

    comment: Count
    conversation: Count
    event: Count
    poll: Count


class Moderation(Struct, kw_only=True):
    """The moderation queue of the microcosms that the caller moderates; for the site's owner also of comments on
    profiles.
    """

    moderation: WaitingPage
    counts: WaitingCounts
    meta: LinksMeta
