"""Shapes that are parts of many others: links, permissions, pages, breadcrumbs, summaries of profiles, errors."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.values import Address, Avatar, Count, Id, IsBot, PageLimit, Text

T = TypeVar("T")


class Link(Struct, kw_only=True):
    """A link: an address, and what is found there in relation to this object (platform 1.10)."""

    rel: Annotated[str, Meta(description="What is found there.")]
    href: Address
    title: Text | UnsetType = UNSET


class Stat(Struct, kw_only=True):
    """A number of a site or profile, such as that of its comments."""

    metric: Annotated[str, Meta(description="What is counted.", examples=["totalComments"])]
    value: Count


class Permissions(Struct, kw_only=True):
    """The caller's permissions on the object (platform 1.13 and 5.4)."""

    create: Annotated[bool, Meta(description="Create something under it.")]
    read: bool
    update: bool
    delete: bool
    closeOwn: Annotated[bool, Meta(description="Close an own item.")]
    openOwn: Annotated[bool, Meta(description="Open an own item again.")]
    readOthers: bool
    guest: Annotated[bool, Meta(description="The caller has no profile on this site.")]
    banned: bool
    owner: Annotated[bool, Meta(description="The caller made it, or it is the caller.")]
    moderator: bool
    siteOwner: bool


class Breadcrumb(Struct, kw_only=True):
    """A microcosm above the object (content 1.9); the outermost comes first, without the root."""

    rel: Literal["microcosm ancestor"]
    href: Address
    title: Text
    id: Id
    level: Annotated[int, Meta(ge=2, description="Depth in the tree; the root is 1.")]


class NoFlags(Struct, kw_only=True):
    """Empty object: `flags` of an object that has none, or `meta` of a list without links and permissions."""


class LinksMeta(Struct, kw_only=True):
    """`meta` of an object or list that has links, but no permissions."""

    links: list[Link]


class ListMeta(LinksMeta, kw_only=True):
    """`meta` of a list; its permissions are the caller's on what the list belongs to, for a site's items on the root
    microcosm.
    """

    permissions: Permissions


class ProfileSummaryMeta(Struct, kw_only=True):
    """`meta` of a profile that is part of another document."""

    flags: NoFlags
    links: list[Link]


class ProfileSummary(Struct, kw_only=True):
    """A profile as part of other documents (platform 4.2)."""

    id: Id
    siteId: Id
    userId: Annotated[Id, Meta(description="The user's to oneself; of others the profile's.")]
    profileName: Text
    visible: bool
    isBot: IsBot | UnsetType = UNSET
    avatar: Avatar
    meta: ProfileSummaryMeta


class Paged(Struct, Generic[T], kw_only=True):
    """A page of a list, with the total of its entries (platform 1.8). `type`: a path of the API that stands for the
    kind of entries, such as /api/v1/profiles.
    """

    total: Annotated[int, Meta(ge=0, description="Entries of the whole list.")]
    limit: PageLimit
    offset: Count
    maxOffset: Annotated[int, Meta(ge=0, description="The offset of the last page.")]
    totalPages: Annotated[int, Meta(ge=0, description="0 for an empty list.")]
    page: Annotated[int, Meta(ge=1, description="Counted from 1, also for an empty list.")]
    links: Annotated[
        list[Link], Meta(description="first, prev, self, next, last, as far as they exist.")
    ]
    type: Address
    items: list[T]


class KeysetPage(Struct, Generic[T], kw_only=True):
    """A page of a list without a total; the link `next` goes on after the last entry, and is as fast on a late page as
    on the first. `type`: as in Paged.
    """

    limit: PageLimit
    links: Annotated[list[Link], Meta(description="self, and next where there are more.")]
    type: Address
    items: list[T]


class ProfilePreview(Struct, kw_only=True):
    """The first profiles of a list, and the number of all, as part of another document (platform 1.8)."""

    total: Annotated[int, Meta(ge=0, description="Entries of the whole list.")]
    limit: Count
    offset: Count
    maxOffset: Count
    totalPages: Count
    page: Count
    type: Address
    items: list[ProfileSummary]


class RowError(Struct, kw_only=True):
    """An error in one row of a list that is a request's body: the rule that the row breaks."""

    row: Annotated[int, Meta(ge=1, description="Counted from 1; of CSV the line.")]
    field: str
    rule: str


class ConsentNeeded(Struct, kw_only=True):
    """Legal text that the caller has to agree to before a write (platform 6.1)."""

    text: Annotated[str, Meta(description="Its name, such as terms.")]
    version: Annotated[int, Meta(ge=1, description="The one in force.")]
    href: Annotated[str, Meta(description="Where to agree to it: PUT with `version`.")]
    page: Annotated[str, Meta(description="Whole address at which people read it.")]


class ErrorDetail(Struct, kw_only=True):
    """`data` of an answer that is an error (platform 1.6); null in an error of a POST that signs in (/api/v1/auth,
    /api/v1/auth0).
    """

    siteId: Annotated[int, Meta(ge=0, description="0 when the site is unknown.")]
    profileId: Annotated[int, Meta(ge=1, description="The caller.")] | UnsetType = UNSET
    errorCode: Annotated[
        int, Meta(ge=0, le=26, description="The number of `code`; 0 for those without.")
    ]
    errorDetail: Annotated[str, Meta(description="The same text as error[0].")]
    code: Annotated[str, Meta(description="A stable name, explained at /api/v1/docs/errors.")]
    scope: Annotated[str, Meta(description="The scope that the token lacks.")] | UnsetType = UNSET
    consent: ConsentNeeded | UnsetType = UNSET
    rows: Annotated[
        list[RowError] | UnsetType, Meta(description="Of a batch: its wrong rows, at most 1,000.")
    ] = UNSET
