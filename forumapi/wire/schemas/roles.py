"""Shapes of roles, their criteria, and their members."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import (
    Link,
    NoFlags,
    Paged,
    Permissions,
    ProfilePreview,
    ProfileSummary,
)
from forumapi.wire.schemas.values import Id, Text, Time


class RoleMeta(Struct, kw_only=True):
    """`meta` of a role."""

    created: Time
    createdBy: ProfileSummary | None
    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET
    editReason: Text | UnsetType = UNSET
    links: list[Link]
    permissions: Permissions | UnsetType = UNSET


class Criterion(Struct, kw_only=True):
    """A criterion of a role (platform 5.3): a condition on a column of the profile (`profileColumn`) or on one of its
    attributes (`attrKey`).
    """

    id: Id
    orGroup: Annotated[int, Meta(description="Those of one group must all hold.")]
    profileColumn: str | UnsetType = UNSET
    attrKey: str | UnsetType = UNSET
    predicate: Literal["eq", "ne", "neq", "lt", "le", "ge", "gt", "substr", "nsubstr"]
    value: bool | float | str


class Criteria(Struct, kw_only=True):
    """The criteria of a role, sorted by `orGroup`, then by column and key (platform 5.5)."""

    criteria: Paged[Criterion]
    meta: NoFlags


class MetCriterion(Criterion, kw_only=True):
    """A criterion that a profile meets, with the profile's value that was compared."""

    actual: (
        Annotated[
            bool | float | str,
            Meta(description="The profile's value; null where it has none, or is not shown."),
        ]
        | None
    )


class RoleReason(Struct, kw_only=True):
    """The reason why a profile is in a role."""

    profileId: Id
    explicit: Annotated[bool, Meta(description="It is named.")]
    everyone: Annotated[bool, Meta(description="Everybody with a profile is.")]
    criteria: Annotated[
        list[MetCriterion], Meta(description="Those of each group that it meets as a whole.")
    ]


class Role(Struct, kw_only=True):
    """A role: rights on a microcosm, and on those below it that inherit the role (platform 5.2)."""

    id: Id
    title: Text
    siteId: Id
    microcosmId: Id
    moderator: bool
    banned: Annotated[bool, Meta(description="Its members get nothing, whatever other roles say.")]
    includeGuests: Annotated[bool, Meta(description="Those who are not signed in, and only they.")]
    includeUsers: Annotated[bool, Meta(description="Everybody with a profile.")]
    create: bool
    read: bool
    update: Annotated[bool, Meta(description="Change what others wrote.")]
    delete: Annotated[bool, Meta(description="Delete what others wrote.")]
    closeOwn: bool
    openOwn: bool
    readOthers: bool
    meta: RoleMeta
    members: Annotated[
        ProfilePreview | UnsetType,
        Meta(description="In lists: who is in it; entries for moderators."),
    ] = UNSET
    losing: Annotated[
        ProfilePreview | UnsetType,
        Meta(
            description="In lists, for moderators: who is in it by their own word alone, and will not be."
        ),
    ] = UNSET
    reason: Annotated[
        RoleReason | UnsetType,
        Meta(description="In the roles of a profile: why it is in this one."),
    ] = UNSET


class Roles(Struct, kw_only=True):
    """The roles that apply to a microcosm: roles of moderators first, those of banned people last, otherwise by title
    (platform 5.5).
    """

    roles: Paged[Role]
    defaultRoles: Annotated[
        bool | UnsetType,
        Meta(description="Present and true where all regular roles are inherited."),
    ] = UNSET
    meta: NoFlags


class HeldRoles(Struct, kw_only=True):
    """The roles that a profile is in, of the microcosms that the caller may read, in the order of Roles."""

    roles: Paged[Role]
    meta: NoFlags


class RoleProfiles(Struct, kw_only=True):
    """The profiles that are named in a role, apart from its criteria, sorted by id (platform 5.5)."""

    profiles: Paged[ProfileSummary]
    meta: NoFlags


class RoleMembers(Struct, kw_only=True):
    """The profiles that are in a role, by name or by criteria, sorted by id (platform 5.5). `reasons`: why each profile
    of the page is in it, if the request asks for reasons.
    """

    profiles: Paged[ProfileSummary]
    meta: NoFlags
    reasons: list[RoleReason] | UnsetType = UNSET


class DryRun(Struct, kw_only=True):
    """Answer to a dry run of a change of a role's criteria: the profiles that would join and leave the role; nothing
    was written.
    """

    joins: ProfilePreview
    leaves: ProfilePreview
    selfGranted: Annotated[
        ProfilePreview,
        Meta(
            description="Kept out: the attribute fits, but its holder wrote it, not the site's owner."
        ),
    ]
