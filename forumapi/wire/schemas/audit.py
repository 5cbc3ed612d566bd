"""Shapes of the audit: its entries, for the site's owner and for those whom they concern."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import KeysetPage, Link, LinksMeta, ProfileSummary
from forumapi.wire.schemas.values import Id, ItemTypeName, Time


class OwnAuditDetail(Struct, kw_only=True):
    """Details of a moderator's action, as the profile sees them that the action concerns: verb, reason, ground, and
    whether no person decided.
    """

    verb: Annotated[str, Meta(description="Such as hide, ban or lift.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="What those concerned are told.")] | UnsetType = UNSET
    ground: Annotated[str, Meta(description="The rule or law.")] | UnsetType = UNSET
    automated: Annotated[bool, Meta(description="No person decided.")] | UnsetType = UNSET


class AuditDetail(OwnAuditDetail, kw_only=True):
    """Details of a moderator's action, as the site's owner sees them."""

    note: Annotated[str, Meta(description="For the site's staff.")] | UnsetType = UNSET
    action: Id | UnsetType = UNSET
    case: Id | UnsetType = UNSET
    byRule: Annotated[int, Meta(description="The rule that acted.")] | UnsetType = UNSET
    ruleVersion: int | UnsetType = UNSET


class AuditFlags(Struct, kw_only=True):
    """Flags of an entry of the audit, of which there is one: `erased`."""

    erased: Annotated[bool, Meta(description="Its details are stored no more.")] | UnsetType = UNSET


class AuditMeta(Struct, kw_only=True):
    """`meta` of an entry of the audit: links to the changed object and to its parent."""

    flags: AuditFlags
    links: list[Link]


class _Entry(Struct, kw_only=True):
    """Base of entries of the audit: the keys that AuditEntry and OwnAuditEntry share."""

    id: Id
    created: Time
    action: Literal["created", "replaced", "patched", "deleted", "exported", "imported", "erased"]
    itemType: ItemTypeName
    itemId: Annotated[
        Id, Meta(description="Of an attendee: the profile; of an attribute: what carries it.")
    ]


class AuditEntry(_Entry, kw_only=True):
    """An entry of the audit, as the site's owner sees it: a change of one object. `actor` and `subject` are null if
    there is no such profile, or no more.
    """

    detail: AuditDetail | UnsetType = UNSET
    operator: (
        Annotated[bool, Meta(description="An operator of the platform did it.")] | UnsetType
    ) = UNSET
    actor: Annotated[ProfileSummary, Meta(description="Who did it.")] | None
    subject: Annotated[ProfileSummary, Meta(description="Whose thing it is.")] | None
    meta: AuditMeta


class OwnAuditEntry(_Entry, kw_only=True):
    """An entry of the audit, as the caller sees it: a change that the caller made, or that somebody else, who is not
    named, made to the caller's profile or objects.
    """

    detail: OwnAuditDetail | UnsetType = UNSET
    operator: (
        Annotated[bool, Meta(description="An operator of the platform did it.")] | UnsetType
    ) = UNSET
    own: Annotated[bool, Meta(description="The caller did it.")]
    meta: AuditMeta


class AuditEntryPage(KeysetPage[AuditEntry]):
    """A page of entries of the audit, newest first."""


class OwnAuditEntryPage(KeysetPage[OwnAuditEntry]):
    """A page of entries of the audit that concern the caller, newest first."""


class AuditEntries(Struct, kw_only=True):
    """The site's audit, newest entry first, for the site's owner; without entries about huddles and sign-ins."""

    entries: AuditEntryPage
    meta: LinksMeta


class OwnAuditEntries(Struct, kw_only=True):
    """Entries of the audit that concern the caller, newest first."""

    entries: OwnAuditEntryPage
    meta: LinksMeta
