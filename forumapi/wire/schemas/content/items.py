"""Shapes that all types of items share, and those of conversations."""

from __future__ import annotations

from typing import Annotated, Generic, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import EditedMeta, Entry, FlaggedMeta, StateFlags
from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.parts import (
    Breadcrumb,
    Link,
    ListMeta,
    Paged,
    Permissions,
    ProfileSummary,
    T,
)
from forumapi.wire.schemas.values import ByAgent, Count, Id, ReactionCounts, Text, Time


class SummaryFlags(StateFlags, kw_only=True):
    """The state of an item in a list (platform 1.12); `unread` is absent in lists that don't show it."""

    unread: bool | UnsetType = UNSET


class SummaryMeta(FlaggedMeta[SummaryFlags]):
    """`meta` of an item in a list."""


NewComments = Annotated[
    int,
    Meta(
        ge=1,
        le=100,
        description="Comments that are new to the caller; 100 stands for more as well.",
    ),
]


class ItemSummaryMeta(SummaryMeta, kw_only=True):
    """`meta` of an item in a list that tells a signed-in caller how many comments are new."""

    byAgent: ByAgent | UnsetType = UNSET
    newComments: NewComments | UnsetType = UNSET


class DetailFlags(StateFlags, kw_only=True):
    """The state of an item that is read by itself, and the caller's own relation to it (platform 1.12)."""

    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET
    bookmarked: Literal[True] | UnsetType = UNSET
    drafted: Annotated[
        Literal[True] | UnsetType, Meta(description="The caller has a draft of a comment on it.")
    ] = UNSET


class EditableMeta(EditedMeta, Generic[T], kw_only=True):
    """Base of the `meta` of objects that are read by themselves, with flags of the type T and permissions."""

    editReason: Text | UnsetType = UNSET
    flags: T
    links: list[Link]
    permissions: Permissions


class DetailMeta(EditableMeta[DetailFlags], kw_only=True):
    """`meta` of an item that is read by itself (content 1.9, MetaDetail)."""

    byAgent: ByAgent | UnsetType = UNSET
    reactions: ReactionCounts | UnsetType = UNSET


class LastComment(Struct, kw_only=True):
    """The newest comment of an item that is neither deleted nor hidden, in a list of items."""

    id: Id
    created: Time
    createdBy: ProfileSummary


class Item(Struct, kw_only=True):
    """Base of the shapes of an item: the keys that they begin with."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]


class ConversationSummary(Item, kw_only=True):
    """A conversation in a list (content 3.1)."""

    totalComments: Count
    totalViews: Count
    lastComment: LastComment | UnsetType = UNSET
    meta: ItemSummaryMeta


class ConversationEntry(Entry[ConversationSummary], tag="conversation"):
    """Entry of a list of items of several types: `item` is a conversation."""


class Conversation(Item, kw_only=True):
    """A conversation with a page of its comments (content 4.3)."""

    comments: Paged[CommentSummary]
    meta: DetailMeta


class Conversations(Struct, kw_only=True):
    """The conversations of a site that the caller may read and does not ignore: sticky ones first, then the latest
    active (content 3.6).
    """

    conversations: Paged[ConversationSummary]
    meta: ListMeta
