"""Base classes of objects that begin with the same keys; T is the type in which they differ."""

from __future__ import annotations

from typing import Annotated, Generic, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import Link, ProfileSummary, T
from forumapi.wire.schemas.values import Time


class StateFlags(Struct, kw_only=True):
    """Base of the flags of items and microcosms: their state (platform 1.12)."""

    sticky: bool
    open: bool
    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]


class RelationFlags(Struct, kw_only=True):
    """Base of flags that are the caller's own relation to the object."""

    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class CreatedMeta(Struct, kw_only=True):
    """Base of each `meta` that begins with who made the object, and when."""

    created: Time
    createdBy: ProfileSummary


class FlaggedMeta(CreatedMeta, Generic[T], kw_only=True):
    """Base of `meta` with flags of the type T."""

    flags: T
    links: list[Link]


class EditedMeta(CreatedMeta, kw_only=True):
    """Base of each `meta` that says who changed the object last, and when."""

    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET


class Entry(Struct, Generic[T], kw_only=True, tag_field="itemType"):
    """Base of entries of lists of several types: `itemType` says what `item` is."""

    item: T
