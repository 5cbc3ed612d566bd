"""First steps of a request, from its head: query with its switches, method override, site by host, visitor of a front
end; and the redirect of paths with double slashes.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlsplit

from forumapi import errors
from forumapi.errors import Invalid, NotFound, SiteMoved, Unavailable
from forumapi.request import caller
from forumapi.request.context import Context
from forumapi.request.handler_results import Answered
from forumapi.updates import unsubscribe
from forumapi.wire import json_envelope, status_and_base_headers
from forumapi.wire.json_envelope import EnvelopeSwitches
from forumapi.wire.status_and_base_headers import NO_CACHE

if TYPE_CHECKING:
    from forumapi.request.services import Services

_OVERRIDES: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
_SLASHES: Final = re.compile("//+")
_TOKEN_PART: Final = re.compile("access_token(=|$)")
_SWITCHES: Final = frozenset(("context", "always200", "disableBoiler", "callback"))


def read_query(ctx: Context) -> None:
    """Set `ctx.pairs`, `ctx.query` and `ctx.switches` from the query.

    Of a repeated parameter `query` has the first value, `pairs` all. Raises Invalid for a query that is not
    form-encoded UTF-8, has more than 200 fields, holds U+0000, or has a bad callback; a callback beside a token or
    cookie is ignored.
    """
    text = ctx.query_string = ctx.environ.get("QUERY_STRING", "")
    if not text:
        ctx.pairs, ctx.query = [], {}
    else:
        try:
            raw = text.encode("latin-1").decode("utf-8")
            pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=200)
        except ValueError:
            ctx.pairs, ctx.query = [], {}
            raise Invalid("query", "must be form-encoded UTF-8", code=errors.UNPARSABLE) from None
        if any("\0" in key or "\0" in value for key, value in pairs):
            ctx.pairs, ctx.query = [], {}
            raise Invalid("query", "may not hold the character U+0000", code=errors.UNPARSABLE)
        query: dict[str, str] = {}
        for key, value in pairs:
            query.setdefault(key, value)
        ctx.pairs, ctx.query = pairs, query
    environ = ctx.environ
    if (
        not _SWITCHES.isdisjoint(ctx.query)
        or "HTTP_X_ALWAYS_200" in environ
        or "HTTP_X_DISABLE_BOILER" in environ
    ):
        query = ctx.query
        ctx.switches = EnvelopeSwitches(
            query.get("context", ""),
            "always200" in query or bool(environ.get("HTTP_X_ALWAYS_200")),
            "disableBoiler" in query or bool(environ.get("HTTP_X_DISABLE_BOILER")),
        )
        ctx.switches.depends_on_cookies = "callback" in query
        carries_credentials = bool(environ.get("HTTP_AUTHORIZATION")) or "access_token" in query
        if "callback" in query and not carries_credentials and not environ.get("HTTP_COOKIE"):
            ctx.switches.callback = json_envelope.check_callback(query["callback"])


def overridden(ctx: Context, method: str) -> str:
    """Return the HTTP method to run: `method`, that of the request, unless it is POST and another one is asked for by
    the query parameter `method` or, if that names no HTTP method (_OVERRIDES), by the header X-HTTP-Method-Override
    (platform 1.3); then that one, in capitals. Unknown names are ignored.
    """
    if method != "POST":
        return method
    for name in (ctx.query.get("method", ""), ctx.environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "")):
        if name.upper() in _OVERRIDES:
            return name.upper()
    return method


def find_site(app: Services, ctx: Context) -> str:
    """Set `ctx.site` by the header Host; `ctx.head` to the number of the site's newest event that this process knows;
    and `ctx.ip` to the address of the visitor, if a front end asks on behalf of one. Return "".

    For a site that has moved to another platform, return its address there, without a slash at its end, and set
    nothing. A request for a host that is not in memory is counted by its address first. Raises NotFound for an unknown
    host, Invalid for a malformed header Host or a front end's bad address, TooMany for an address that is at its limit.
    """
    host = ctx.environ.get("HTTP_HOST", "")
    found = app.sites.cached(host)
    if found is None:
        caller.count_address(app, ctx)
        try:
            found = app.sites.by_host(host, ctx.reader)
        except NotFound:
            moved_to = app.sites.moved_to(host, ctx.reader)
            if not moved_to:
                raise
            return moved_to
    ctx.site = found
    ctx.reader.site_id = found.id
    if "HTTP_X_FORUMAPI_VISITOR" in ctx.environ:
        _believe_front_end(app, ctx)
    # The event cursor is taken before any read, so that the answer is never older than the cursor it returns.
    ctx.head = ctx.site.head
    return ""


def _believe_front_end(app: Services, ctx: Context) -> None:
    """Set `ctx.ip` to the visitor's address, and `ctx.front_end` to the front end's name, if a front end of this site
    sent the request; the header of any other client is ignored.

    Raises Invalid if a front end sends what is no address.
    """
    secret = ctx.environ.get("HTTP_X_FORUMAPI_FRONT_END", "")
    name = app.front_ends.find(ctx.ip, secret, ctx.site.key)
    if name:
        try:
            visitor = str(ipaddress.ip_address(ctx.environ["HTTP_X_FORUMAPI_VISITOR"].strip()))
        except ValueError:
            raise Invalid("X-Forumapi-Visitor", "must be an IP address") from None
        ctx.ip, ctx.front_end = visitor, name


def redirect_double_slashes(app: Services, ctx: Context) -> Answered:
    """Answer with 301 to the same address with single slashes, and without an access token in its query.

    The new address begins with one slash, so that it can't name another host. The request is counted by its address:
    raises TooMany at the limit.
    """
    caller.count_address(app, ctx)
    return _redirect(ctx, "")


def redirect_moved(ctx: Context, method: str, address: str) -> Answered:
    """Answer a read with 301 to the same path of the site at `address`, on the platform to which it has moved, without
    an access token in its query; a link in a mail that unsubscribes with 308 too, as mail programs post to it.
    `method`: HTTP method that is meant, after an override.

    Raises Unavailable, for reads and writes, where `address` has the host of this request, which leads here until its
    DNS records lead to the other platform; else SiteMoved for a write.
    """
    if urlsplit(address).netloc.lower() == ctx.environ.get("HTTP_HOST", "").lower():
        raise Unavailable("This site is being moved; its address will lead to it soon")
    if method in ("GET", "HEAD"):
        return _redirect(ctx, address)
    if method == "POST" and ctx.path == unsubscribe.PATH:
        return _redirect(ctx, address, 308)
    raise SiteMoved(address)


def _redirect(ctx: Context, origin: str, status: int = 301) -> Answered:
    """Answer with `status` to the request's address at `origin`, "" for the same host, with single slashes and without
    an access token.
    """
    # Encoded, since browsers take a backslash for a slash. A token is no part of any link (platform 1.4).
    location = origin + quote(_SLASHES.sub("/", ctx.path))
    parts = ctx.query_string.split("&") if ctx.query_string else []
    if query := "&".join(part for part in parts if not _TOKEN_PART.match(part)):
        location += f"?{query}"
    headers = status_and_base_headers.base_headers(ctx.switches)
    headers += [("Cache-Control", NO_CACHE), ("Location", location)]
    return status, headers, json_envelope.envelope(status, b"null", b"null", ctx.switches)
