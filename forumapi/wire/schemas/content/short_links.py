"""Shapes of short links: those in a site's comments, and all of the platform."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from forumapi.wire.schemas.parts import KeysetPage, LinksMeta
from forumapi.wire.schemas.values import Time


class SiteLink(Struct, kw_only=True):
    """A link to another host in one comment of the site; a link in several comments has an entry for each."""

    short: Annotated[str, Meta(description="What stands in the comment.")]
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    uses: Annotated[int, Meta(ge=1, description="Comments of the site that hold it.")]
    created: Annotated[Time, Meta(description="When the comment was written.")]
    meta: LinksMeta


class SiteLinkPage(KeysetPage[SiteLink]):
    """A page of links in the site's comments, newest comment first."""


class SiteLinks(Struct, kw_only=True):
    """The links to other hosts in comments that are neither deleted nor hidden, on items that the caller may read,
    newest comment first; not those in huddles and on profiles.
    """

    links: SiteLinkPage
    meta: LinksMeta


class PlatformLink(Struct, kw_only=True):
    """A short link as operators see it, with the number of times it was followed on all sites."""

    short: str
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    hits: Annotated[int, Meta(ge=0, description="How often it was followed.")]
    uses: Annotated[int, Meta(ge=0, description="Comments that hold or held it.")]
    blocked: Annotated[bool, Meta(description="It is refused.")]
    created: Time


class PlatformLinkPage(KeysetPage[PlatformLink]):
    """A page of the platform's short links, last made first."""


class PlatformLinks(Struct, kw_only=True):
    """The short links of all sites of the platform, last made first, for its operators alone."""

    links: PlatformLinkPage
    meta: LinksMeta
