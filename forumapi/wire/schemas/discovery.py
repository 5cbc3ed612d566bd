"""Shapes of searches and their results, of the search language, and of trending items."""

from __future__ import annotations

from typing import Annotated, Generic, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.content.events import EventEntry, EventSummary
from forumapi.wire.schemas.content.huddles import HuddleSummary
from forumapi.wire.schemas.content.items import ConversationEntry, ConversationSummary
from forumapi.wire.schemas.content.polls import PollEntry, PollSummary
from forumapi.wire.schemas.microcosms import MicrocosmSummary
from forumapi.wire.schemas.parts import LinksMeta, Paged, ProfileSummary, T
from forumapi.wire.schemas.sites import Site
from forumapi.wire.schemas.values import CommentableName, Id, ParentItem, Time

Rank = Annotated[float, Meta(ge=0, description="How well it fits; 0.5 without words.")]
Activity = Annotated[Time, Meta(description="Its last activity.")]
Highlight = Annotated[
    str, Meta(description="A part of the text, escaped, with the words found in <b>.")
]


class Hit(Struct, Generic[T], kw_only=True, tag_field="itemType"):
    """Base of results of a search, each the object `item` of the type T."""

    item: T
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class SiteHit(Hit[Site], tag="site"):
    """Result of a search: `item` is the site itself."""


class MicrocosmHit(Hit[MicrocosmSummary], tag="microcosm"):
    """Result of a search: `item` is a microcosm."""


class ProfileHit(Hit[ProfileSummary], tag="profile"):
    """Result of a search: `item` is a profile."""


class CommentHit(Struct, kw_only=True, tag_field="itemType", tag="comment"):
    """Result of a search: `item` is a comment, `parentItem` the item or profile that it is on."""

    item: CommentSummary
    parentItemType: CommentableName
    parentItem: ParentItem
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class HuddleHit(Hit[HuddleSummary], tag="huddle"):
    """Result of a search: `item` is a huddle that the caller is in."""


class ConversationHit(Hit[ConversationSummary], tag="conversation"):
    """Result of a search: `item` is a conversation."""


class PollHit(Hit[PollSummary], tag="poll"):
    """Result of a search: `item` is a poll."""


class EventHit(Hit[EventSummary], tag="event"):
    """Result of a search: `item` is an event."""


class SearchQuery(Struct, kw_only=True):
    """The query as the search understood it; a key is absent if the query says nothing about it."""

    q: str | UnsetType = UNSET
    inTitle: Literal[True] | UnsetType = UNSET
    hashtags: list[str] | UnsetType = UNSET
    forumId: Annotated[list[int], Meta(description="With those below.")] | UnsetType = UNSET
    type: list[str] | UnsetType = UNSET
    id: list[int] | UnsetType = UNSET
    authorId: Id | UnsetType = UNSET
    email: list[str] | UnsetType = UNSET
    following: Literal[True] | UnsetType = UNSET
    since: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    eventAfter: str | UnsetType = UNSET
    eventBefore: str | UnsetType = UNSET
    attendee: Literal[True] | UnsetType = UNSET
    has: list[str] | UnsetType = UNSET
    sort: str | UnsetType = UNSET
    ignored: Annotated[
        str | UnsetType, Meta(description="What could not be used, joined by blanks.")
    ] = UNSET
    searched: Annotated[str, Meta(description="What was used.")] | UnsetType = UNSET


class Search(Struct, kw_only=True):
    """The answer to a search; `results` is absent if the query has nothing to search for."""

    query: SearchQuery
    timeTakenInMs: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    partial: Annotated[
        Literal[True] | UnsetType, Meta(description="There was no time to look at everything.")
    ] = UNSET
    atLeast: Annotated[
        Literal[True] | UnsetType,
        Meta(description="There are more than `total`; pages further on count further."),
    ] = UNSET
    forgiving: Annotated[
        Literal[True] | UnsetType,
        Meta(description="Nothing holds the words as typed; words one typing error away do."),
    ] = UNSET
    results: (
        Paged[
            SiteHit
            | MicrocosmHit
            | ProfileHit
            | CommentHit
            | HuddleHit
            | ConversationHit
            | PollHit
            | EventHit
        ]
        | UnsetType
    ) = UNSET


class Suggestions(Struct, kw_only=True):
    """Words that may complete the last word of a search text: up to ten, most frequent first; words that fit only with
    one typing error corrected come last.
    """

    suggestions: list[str]


class SiteSearch(Struct, kw_only=True):
    """The language in which a site's texts are indexed, and all `languages` that are possible."""

    language: Annotated[str, Meta(description="A text configuration of PostgreSQL.")]
    languages: Annotated[list[str], Meta(description="Those that there are.")]
    indexing: Annotated[bool, Meta(description="Texts are still being indexed in it.")]


class Trending(Struct, kw_only=True):
    """The up to 25 items with the highest scores of recent activity, highest first, of those that the caller may read
    and does not ignore (discovery 9).
    """

    items: Paged[ConversationEntry | EventEntry | PollEntry]
    meta: LinksMeta
