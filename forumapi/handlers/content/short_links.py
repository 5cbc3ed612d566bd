"""Short links: the redirect, the links in a site's comments, all links of the platform. Wire: docs/api/links.md."""

from __future__ import annotations

import contextlib
import re
from typing import Any, ClassVar, Final

from werkzeug.urls import iri_to_uri

from forumapi.errors import WRONG_TYPE, Invalid, NoRoom, NotFound
from forumapi.handlers.operators.platform_growth import check_admin
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.models.texts import short_link
from forumapi.models.texts.short_link import LinkUse, PlatformLink
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, OWNER, Handler, Param, needs
from forumapi.request.handler_results import Data, Result, TemporaryRedirect
from forumapi.wire import json_fragments
from forumapi.wire.schemas.content import short_links as schemas

_NEWEST: Final = 2**63 - 1
_PARAMS: Final = (
    Param("limit", int, "Entries on a page: 5 to 250, a multiple of 5."),
    Param("before", str, "Where to go on, as the link `next` says it."),
    Param("host", str, "Only links to this host and to those below it."),
)
_BEFORE: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?")


class OutHandler(Handler):
    """Redirect of one short link, open to everybody."""

    ignores_token = True
    also_answers: ClassVar = {"GET": (403, 429)}

    @needs(ANYONE, status=307)
    def get(self, ctx: Context) -> Result:
        """Redirect (307) to the URL behind the short link, and count that it was followed.

        403 if the URL is blocked or leads into a private network, 404 for an unknown code; 429 after too many unknown
        codes from one client address.
        """
        config = ctx.app.config
        misses = Limit("link-miss", config.link_misses_per_address, 600)
        try:
            target = short_link.find(
                ctx.reader,
                ctx.args["code"],
                config.blocked_link_domains,
                misses=misses,
                ip=ctx.ip,
            )
        except NotFound:
            if misses.most:
                with contextlib.suppress(NoRoom), ctx.aside() as tx:
                    rate_counters.take_client_address(tx, misses, ctx.ip)
            raise
        if not ctx.is_head:
            ctx.app.activity.followed(target.id)
        return TemporaryRedirect(iri_to_uri(target.url))


class LinksHandler(Handler):
    """The links to other hosts in the comments of a site, for its owner."""

    @needs(OWNER, answer=schemas.SiteLinks, params=_PARAMS)
    def get(self, ctx: Context) -> Result:
        """Each use of a link to another host in a live comment on an item of a microcosm, newest comment first.

        Links in huddles and in comments on profiles are left out. With `host` only links to this host and to hosts
        below it.
        """
        ctx.check_paging()
        limit, before = ctx.paging.limit, _before(ctx)
        readable = ctx.tree.view(ctx.identity.principal).ids
        uses = short_link.of_site(ctx.reader, ctx.site.id, readable, _host(ctx), before, limit + 1)
        base = ctx.app.config.short_links
        items = [_used(base, use) for use in uses[:limit]]
        return Data(ctx.keyset_listed("links", items, _before_next(uses, limit)))


class PlatformLinksHandler(Handler):
    """All short links of the platform, for its operators (`admin_user_ids`)."""

    @needs(LOGIN, answer=schemas.PlatformLinks, params=_PARAMS)
    def get(self, ctx: Context) -> Result:
        """All short links of the platform, newest first, each with the number of times it was followed; with `host`
        only links to this host and to hosts below it; 403 unless the caller is an operator of the platform.
        """
        check_admin(ctx)
        ctx.check_paging()
        limit = ctx.paging.limit
        links = short_link.of_platform(ctx.reader, _host(ctx), _before(ctx)[0], limit + 1)
        base, blocked = ctx.app.config.short_links, ctx.app.config.blocked_link_domains
        items = [_known(base, known, blocked) for known in links[:limit]]
        before = links[limit - 1].link_id if len(links) > limit else 0
        return Data(ctx.keyset_listed("links", items, before))


def _before(ctx: Context) -> tuple[int, int]:
    text = ctx.query.get("before", "")
    match = _BEFORE.fullmatch(text)
    if text and match is None:
        raise Invalid("before", "must be taken from the link `next`", code=WRONG_TYPE)
    return (int(match[1]), int(match[2] or 0)) if match else (_NEWEST, 0)


def _host(ctx: Context) -> str:
    text = ctx.query.get("host", "")
    return short_link.checked_domain(text) if text else ""


def _before_next(uses: list[LinkUse], limit: int) -> str:
    if len(uses) <= limit:
        return ""
    last = uses[limit - 1]
    return f"{last.comment_id}.{last.link_id}"


def _used(base: str, use: LinkUse) -> dict[str, Any]:
    href = f"/api/v1/comments/{use.comment_id}"
    return {
        "short": base + use.code if use.code else use.url,
        "url": use.url,
        "host": use.host,
        "uses": use.uses,
        "created": json_fragments.format_time(use.created),
        "meta": {"links": [{"rel": "comment", "href": href}]},
    }


def _known(base: str, known: PlatformLink, blocked: tuple[str, ...]) -> dict[str, Any]:
    also = any(f".{known.host}".endswith(f".{domain}") for domain in blocked)
    return {
        "short": base + known.code,
        "url": known.url,
        "host": known.host,
        "hits": known.hits,
        "uses": known.uses,
        "blocked": known.is_blocked or also or short_link.is_inside(known.host),
        "created": json_fragments.format_time(known.created),
    }
