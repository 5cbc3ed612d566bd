"""Shapes of huddles and their participants."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import FlaggedMeta, RelationFlags
from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.parts import LinksMeta, NoFlags, Paged, Permissions, ProfileSummary
from forumapi.wire.schemas.values import Count, Id, Text, Time


class HuddleFlags(RelationFlags, kw_only=True):
    """The caller's own relation to a huddle that is read by itself."""

    bookmarked: Literal[True] | UnsetType = UNSET
    drafted: Annotated[
        Literal[True] | UnsetType, Meta(description="The caller has a draft of a comment in it.")
    ] = UNSET


class HuddleMeta(FlaggedMeta[HuddleFlags], kw_only=True):
    """`meta` of a huddle that is read by itself."""

    permissions: Permissions


class Huddle(Struct, kw_only=True):
    """A huddle with a page of its comments (content 8.4)."""

    id: Id
    title: Text
    isConfidential: Annotated[bool, Meta(description="Nobody can be added.")]
    participants: Annotated[list[ProfileSummary], Meta(description="All of them, by id.")]
    comments: Paged[CommentSummary]
    meta: HuddleMeta


class HuddleSummaryFlags(Struct, kw_only=True):
    """Flags of a huddle in a list: `unread`, for the caller.

    In the list of watchers `unread` is absent, so that `flags` is {}.
    """

    unread: bool | UnsetType = UNSET


class HuddleSummaryMeta(FlaggedMeta[HuddleSummaryFlags]):
    """`meta` of a huddle in a list."""


class HuddleSummary(Struct, kw_only=True):
    """A huddle in a list (content 8.4)."""

    id: Id
    title: Text
    totalComments: Count
    participants: Annotated[list[ProfileSummary], Meta(description="All of them, by id.")]
    lastCommentId: Id | UnsetType = UNSET
    lastCommentCreatedBy: ProfileSummary | UnsetType = UNSET
    lastCommentCreated: Time | UnsetType = UNSET
    meta: HuddleSummaryMeta


class Huddles(Struct, kw_only=True):
    """The caller's huddles, those with the latest activity first, without ignored ones and those begun by ignored
    profiles (content 8.5).
    """

    huddles: Paged[HuddleSummary]
    meta: LinksMeta


class Participant(Struct, kw_only=True):
    """A participant of a huddle; `id`: the profile's (content 8.6)."""

    id: Id
    participant: ProfileSummary


class Participants(Struct, kw_only=True):
    """Participants of a huddle, sorted by profile id (content 8.6)."""

    participants: Paged[Participant]
    meta: NoFlags
