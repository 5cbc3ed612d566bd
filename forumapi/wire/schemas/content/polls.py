"""Shapes of polls and their ballots."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import Entry
from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.content.items import DetailMeta, Item, ItemSummaryMeta
from forumapi.wire.schemas.parts import LinksMeta, ListMeta, Paged, ProfileSummary
from forumapi.wire.schemas.values import Count, Id, Text, Time


class PollChoice(Struct, kw_only=True):
    """A choice of a poll; without its number of votes while the caller may not see the results."""

    id: Id
    choice: Text
    order: Annotated[int, Meta(ge=1, description="Its place.")]
    votes: Annotated[int, Meta(ge=0, description="Ballots that name it.")] | UnsetType = UNSET
    voterCount: Annotated[int, Meta(ge=0, description="The same.")] | UnsetType = UNSET
    voted: Annotated[
        Literal[True] | UnsetType, Meta(description="The caller's ballot names it.")
    ] = UNSET


class Poll(Item, kw_only=True):
    """A poll with a page of its comments (content 6.4). `pollCloses`: when it closes by itself, absent for never;
    without `results` every reader sees the results at any time.
    """

    question: Text
    multi: Annotated[bool, Meta(description="A ballot may name several choices.")]
    pollOpen: Annotated[bool, Meta(description="Votes are taken.")]
    choices: list[PollChoice]
    voterCount: Annotated[int, Meta(ge=0, description="Ballots.")]
    pollCloses: Time | UnsetType = UNSET
    named: Annotated[
        Literal[True] | UnsetType, Meta(description="It is shown who voted for what.")
    ] = UNSET
    results: Annotated[
        Literal["voted", "closed"] | UnsetType,
        Meta(description="Who sees the results before the end: whoever voted, or nobody."),
    ] = UNSET
    comments: Paged[CommentSummary]
    meta: DetailMeta


class PollSummary(Item, kw_only=True):
    """A poll in a list (content 3.1)."""

    question: Text
    multi: bool
    pollOpen: bool
    pollCloses: Time | UnsetType = UNSET
    totalComments: Count
    totalViews: Count
    meta: ItemSummaryMeta


class Polls(Struct, kw_only=True):
    """The polls of a site that the caller may read and does not ignore: sticky ones first, then the latest active
    (content 3.6).
    """

    polls: Paged[PollSummary]
    meta: ListMeta


class PollEntry(Entry[PollSummary], tag="poll"):
    """Entry of a list of items of several types: `item` is a poll."""


class Vote(Struct, kw_only=True):
    """The ballot of one profile, in a poll that shows who voted."""

    voter: ProfileSummary
    choices: Annotated[list[int], Meta(description="Ids of the choices that it names.")]
    created: Annotated[Time, Meta(description="When it was cast, or changed last.")]


class Votes(Struct, kw_only=True):
    """The ballots of a poll that shows who voted, in the order of the ids of the voters' users."""

    votes: Paged[Vote]
    meta: LinksMeta
