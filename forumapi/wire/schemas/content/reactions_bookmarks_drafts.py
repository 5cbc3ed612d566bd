"""Shapes of reactions, bookmarks and drafts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import KeysetPage, Link, LinksMeta, Paged
from forumapi.wire.schemas.values import Count, Id, ItemTypeName, Text, Time


class Reaction(Struct, kw_only=True):
    """A kind of reaction, with the number of those given to an item or comment."""

    name: str
    text: Text
    count: Count
    own: Annotated[bool, Meta(description="The caller gave it too.")]


class Reactions(Struct, kw_only=True):
    """All kinds of reactions that the site offers, in the order that its owner chose, with their numbers on an item or
    comment.
    """

    reactions: list[Reaction]
    meta: LinksMeta


class Bookmark(Struct, kw_only=True):
    """The caller's bookmark of an item or comment."""

    itemType: ItemTypeName
    itemId: Id
    title: Annotated[Text, Meta(description="Of the item, or of what the comment is on.")]
    created: Annotated[Time, Meta(description="When it was bookmarked.")]
    meta: LinksMeta


class BookmarkPage(KeysetPage[Bookmark]):
    """A page of the caller's bookmarks, last made first."""


class Bookmarks(Struct, kw_only=True):
    """The caller's bookmarks, last made first, without those of items and comments that the caller may not read now."""

    bookmarks: BookmarkPage
    meta: LinksMeta


class DraftMeta(Struct, kw_only=True):
    """`meta` of a draft."""

    created: Time
    edited: Time
    links: list[Link]
    byAgent: Annotated[
        Literal[True] | UnsetType, Meta(description="An agent saved it last, for the caller.")
    ] = UNSET


class Draft(Struct, kw_only=True):
    """The caller's draft for one place: of a comment on an object, or of an item in a microcosm."""

    itemType: Annotated[ItemTypeName, Meta(description="What it is going to be.")]
    placeType: Annotated[ItemTypeName, Meta(description="What it is going to stand on or in.")]
    placeId: Id
    version: Annotated[int, Meta(ge=1, description="What the next copy must name.")]
    content: Annotated[dict[str, Any], Meta(description="As it was sent.")]
    meta: DraftMeta


class Drafts(Struct, kw_only=True):
    """The caller's drafts, last begun first."""

    drafts: Paged[Draft]
    meta: LinksMeta
