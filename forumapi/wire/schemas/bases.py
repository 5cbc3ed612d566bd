"""Base classes of shapes, for objects that begin with the same keys; T is the type of the part that differs."""

from __future__ import annotations

from typing import Annotated, Generic, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import Link, ProfileSummary, T
from forumapi.wire.schemas.values import Time


class StateFlags(Struct, kw_only=True):
    """Base of the flags of items and microcosms, which are the object's state (platform 1.12). `sticky`: first in
    lists; `open`: not closed; `moderated`: hidden by a moderator, a check or a rule of moderation.
    """

    sticky: bool
    open: bool
    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]


class RelationFlags(Struct, kw_only=True):
    """Base of flags that are the caller's own relation to the object: `watched` and `ignored`, absent if not so, and
    `sendEmail` and `sendSMS` of the watcher, absent without one.
    """

    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class CreatedMeta(Struct, kw_only=True):
    """Base of `meta` that begins with the object's creator and time of creation."""

    created: Time
    createdBy: ProfileSummary


class FlaggedMeta(CreatedMeta, Generic[T], kw_only=True):
    """Base of `meta` that has flags of the type T and links, but no permissions."""

    flags: T
    links: list[Link]


class EditedMeta(CreatedMeta, kw_only=True):
    """Base of `meta` that has the object's last editor and time of change, absent if it was never changed."""

    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET


class Entry(Struct, Generic[T], kw_only=True, tag_field="itemType"):
    """Base of entries of a list of several types: `itemType` names the type of the object `item`."""

    item: T
