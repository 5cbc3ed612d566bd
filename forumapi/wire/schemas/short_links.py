"""Short links in comments, and of the platform."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from forumapi.wire.schemas.parts import KeysetPage, LinksMeta
from forumapi.wire.schemas.values import Time


class SiteLink(Struct, kw_only=True):
    """A link in a comment of the site."""

    short: Annotated[str, Meta(description="What stands in the comment.")]
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    uses: Annotated[int, Meta(ge=1, description="Comments of the site that hold it.")]
    created: Annotated[Time, Meta(description="When the comment was written.")]
    meta: LinksMeta


class SiteLinkPage(KeysetPage[SiteLink]):
    """A page of links, newest first; `next` leads on by key."""


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
    """A page of links, newest first; `next` leads on by key."""


class PlatformLinks(Struct, kw_only=True):
    """All links of the platform."""

    links: PlatformLinkPage
    meta: LinksMeta
