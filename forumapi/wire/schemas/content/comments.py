"""Shapes of comments, their revisions, and previews of texts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import CreatedMeta
from forumapi.wire.schemas.content.files import Attachment
from forumapi.wire.schemas.parts import (
    Link,
    LinksMeta,
    ListMeta,
    Paged,
    Permissions,
    ProfileSummary,
)
from forumapi.wire.schemas.values import (
    ByAgent,
    CommentableName,
    Count,
    Id,
    NoneOrId,
    ReactionCounts,
    Time,
)


class CommentFlags(Struct, kw_only=True):
    """The state of a comment and, for the caller, `unread`; all four flags are always there. `moderated`: hidden by a
    moderator, a check or a rule of moderation.
    """

    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]
    unread: bool


class Preview(Struct, kw_only=True):
    """Answer to a request for a preview: the Markdown that was sent, as HTML; nothing is stored."""

    html: Annotated[str, Meta(description="Rendered and sanitised.")]


class CommentSummaryMeta(CreatedMeta, kw_only=True):
    """`meta` of a comment that is part of another document."""

    byAgent: ByAgent | UnsetType = UNSET
    edited: Time | UnsetType = UNSET
    editedBy: Annotated[
        ProfileSummary, Meta(description="Author of the current revision, also when never edited.")
    ]
    flags: CommentFlags
    links: list[Link]
    attachments: Annotated[list[Attachment], Meta(description="The oldest 25.")] | UnsetType = UNSET
    reactions: ReactionCounts | UnsetType = UNSET
    reacted: Annotated[
        list[str] | UnsetType, Meta(description="How the caller reacted, on the page of an item.")
    ] = UNSET
    bookmarked: Annotated[
        Literal[True] | UnsetType,
        Meta(description="The caller bookmarked it, on the page of an item."),
    ] = UNSET
    permissions: Annotated[
        Permissions | UnsetType,
        Meta(description="The caller's, on the page of an item; absent for guests."),
    ] = UNSET


class CommentSummary(Struct, kw_only=True):
    """A comment as part of another document, such as its item (content 7.3). `revisions`, `attachments`: numbers of the
    comment's revisions and attachments; `inReplyTo`: id of the comment that it replies to, absent for none.
    """

    id: Id
    itemType: CommentableName
    itemId: Id
    revisions: Annotated[int, Meta(ge=1)]
    inReplyTo: Id | UnsetType = UNSET
    attachments: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    markdown: Annotated[str, Meta(description="The source, as it was sent.")]
    html: Annotated[str, Meta(description="Rendered and sanitised.")]
    meta: CommentSummaryMeta


class CommentMeta(Struct, kw_only=True):
    """`meta` of a comment that is read by itself."""

    inReplyTo: CommentSummary | UnsetType = UNSET
    replies: list[CommentSummary] | UnsetType = UNSET
    created: Time
    createdBy: ProfileSummary
    byAgent: ByAgent | UnsetType = UNSET
    edited: Time | UnsetType = UNSET
    editedBy: Annotated[
        ProfileSummary, Meta(description="Author of the current revision, also when never edited.")
    ]
    flags: CommentFlags
    links: list[Link]
    attachments: Annotated[list[Attachment], Meta(description="The oldest 25.")] | UnsetType = UNSET
    permissions: Permissions
    reactions: ReactionCounts | UnsetType = UNSET


class Comment(Struct, kw_only=True):
    """A comment that is read by itself, with the comment that it replies to, and the first 250 replies to it, oldest
    first, without hidden and deleted ones and replies by people whom the caller ignores (content 7.4). `revisions`,
    `attachments`: numbers of the comment's revisions and attachments.
    """

    id: Id
    itemType: CommentableName
    itemId: Id
    revisions: Annotated[int, Meta(ge=1)]
    inReplyTo: NoneOrId
    attachments: Count
    firstLine: Annotated[str, Meta(description='Reserved: always "".')]
    markdown: Annotated[str, Meta(description="The source, as it was sent.")]
    html: Annotated[str, Meta(description="Rendered and sanitised.")]
    meta: CommentMeta


class RevisionMeta(CreatedMeta, kw_only=True):
    """`meta` of a revision: its author and time."""

    links: list[Link]


class RevisionSummary(Struct, kw_only=True):
    """A revision of a comment in a list, without its text."""

    commentId: Id
    revision: Annotated[int, Meta(ge=1)]
    current: Annotated[bool, Meta(description="It is the text that is shown.")]
    meta: RevisionMeta


class Revision(Struct, kw_only=True):
    """A revision of a comment, with its text."""

    commentId: Id
    revision: Annotated[int, Meta(ge=1)]
    current: Annotated[bool, Meta(description="It is the text that is shown.")]
    markdown: Annotated[str, Meta(description="The source, as it was sent.")]
    meta: RevisionMeta


class RevisionsMeta(ListMeta):
    """`meta` of a list of revisions; the permissions are those on the comment."""


class Revisions(Struct, kw_only=True):
    """The revisions of a comment, newest first."""

    revisions: Paged[RevisionSummary]
    meta: RevisionsMeta


class TextChange(Struct, kw_only=True):
    """A piece of text in the difference between two texts: in both (`equal`), in the earlier one alone (`delete`), or
    in the later one alone (`insert`).
    """

    op: Literal["equal", "delete", "insert"]
    text: str


class Difference(Struct, kw_only=True, rename={"from_": "from"}):
    """Difference between the revisions `from` and `to` of a comment: `changes` are all pieces of both, in order."""

    commentId: Id
    from_: Annotated[int, Meta(ge=0, description="0: nothing, before the first one.")]
    to: Annotated[int, Meta(ge=1)]
    changes: list[TextChange]
    meta: LinksMeta
