"""Short links, and addresses of the old site."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import KeysetPage, LinksMeta
from forumapi.wire.schemas.values import Id, Time


class SiteLink(Struct, kw_only=True):
    """A link in a comment of the site."""

    short: Annotated[str, Meta(description="What stands in the comment.")]
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    uses: Annotated[int, Meta(ge=1, description="Comments of the site that hold it.")]
    created: Annotated[Time, Meta(description="When the comment was written.")]
    meta: LinksMeta


class SiteLinkPage(KeysetPage[SiteLink]):
    """Some links, the newest first; `next` leads on by key."""


class SiteLinks(Struct, kw_only=True):
    """The links in the comments of a site."""

    links: SiteLinkPage
    meta: LinksMeta


class PlatformLink(Struct, kw_only=True):
    """A link of the platform."""

    short: str
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    hits: Annotated[int, Meta(ge=0, description="How often it was followed.")]
    uses: Annotated[int, Meta(ge=0, description="Comments that hold or held it.")]
    blocked: Annotated[bool, Meta(description="It is refused.")]
    created: Time


class PlatformLinkPage(KeysetPage[PlatformLink]):
    """Some links, the newest first; `next` leads on by key."""


class PlatformLinks(Struct, kw_only=True):
    """All links of the platform."""

    links: PlatformLinkPage
    meta: LinksMeta


class OldTarget(Struct, kw_only=True):
    """Target of an old URL."""

    rel: Annotated[
        str | UnsetType, Meta(description="The item type; absent for a file and for nothing.")
    ] = UNSET
    href: Annotated[str, Meta(description='The address here; "" for nothing.')]


class Resolved(Struct, kw_only=True):
    """Resolution of a URL of the old site."""

    url: Annotated[str, Meta(description="As it was asked.")]
    status: Literal[301, 404]
    redirect: OldTarget
    itemType: (
        Literal["microcosm", "conversation", "comment", "profile", "huddle", "attachment", "update"]
        | UnsetType
    ) = UNSET
    itemId: Annotated[Id, Meta(description="Absent for a list.")] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=25, description="Absent for the first page.")] | UnsetType = (
        UNSET
    )
    action: Literal["incontext", "search", "online"] | UnsetType = UNSET
    search: Annotated[str, Meta(description="What to look for, with `search`.")] | UnsetType = UNSET
