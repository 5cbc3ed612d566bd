"""Shapes of uploaded files, and of attachments to comments and profiles."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import LinksMeta, ListMeta, Paged
from forumapi.wire.schemas.values import Id, Time


class File(Struct, kw_only=True):
    """An uploaded file, in the answer to its upload (content 10.2). `width` and `height`: of a picture, in pixels;
    absent for other files.
    """

    created: Time
    fileName: str
    fileExt: Annotated[str, Meta(description='Without the dot; "" for none.')]
    fileSize: Annotated[int, Meta(ge=1, description="Bytes as they are stored.")]
    fileHash: Annotated[str, Meta(pattern="^[0-9a-f]{40}$", description="SHA-1 of those bytes.")]
    mimeType: Annotated[str, Meta(description="Told by the content.")]
    width: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    height: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class AttachmentMeta(LinksMeta):
    """`meta` of an attachment; its first link leads to the file."""


class Attachment(Struct, kw_only=True):
    """A file that is attached to a comment or profile (content 10.5). `width` and `height`: of a picture, in pixels;
    absent for other files.
    """

    profileId: Annotated[Id, Meta(description="Who attached it.")]
    fileHash: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
    fileName: str
    fileExt: str
    width: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    height: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    created: Time
    meta: AttachmentMeta


class AttachmentsMeta(ListMeta):
    """`meta` of a list of attachments."""


class Attachments(Struct, kw_only=True):
    """Attachments of a comment or profile, oldest first (content 10.5)."""

    attachments: Paged[Attachment]
    meta: AttachmentsMeta
