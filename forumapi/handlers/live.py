"""Following what happens on a site: WebSocket, and tickets to open one with. Wire: docs/api/live.md."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from forumapi import schemas
from forumapi.auth.identity import IDENTITY, WITH_TICKET, Asked
from forumapi.context import Context
from forumapi.errors import ApiError, Forbidden, Invalid
from forumapi.fragments import dumps
from forumapi.handler import ANYONE, LOGIN, Handler, needs
from forumapi.models import live
from forumapi.realtime import socket, websocket
from forumapi.response import Data, Result, Takeover

# How a token comes where a page can't set a header: as a sub-protocol, beside the one that is spoken.
_BEARER: Final = "bearer."
# The answer of a handshake has no body.
_NONE: Final = "text/plain"


class UpgradeRequired(ApiError):
    """426: this address speaks WebSocket."""

    status = 426

    def __init__(self) -> None:
        super().__init__("This address speaks WebSocket", headers=(("Upgrade", "websocket"),))


class LiveHandler(Handler):
    """The WebSocket of a site."""

    allow = "OPTIONS,GET,HEAD"
    also_answers = {"GET": (426,)}

    def token(self, ctx: Context) -> str:
        return _bearer(ctx.environ) or ticket(ctx)

    def asked(self, ctx: Context) -> Asked:
        return asked(ctx)

    @needs(ANYONE, status=101, media_type=_NONE)
    def get(self, ctx: Context) -> Result:
        """Upgrades to WebSocket. Sign in by a header, a sub-protocol or a ticket; guests follow what they may read."""
        key = _handshake(ctx)
        protocol = _protocol(ctx.environ)
        headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", key)]
        if protocol:
            headers.append(("Sec-WebSocket-Protocol", protocol))
        app, config = ctx.app, ctx.app.config
        site, identity, caller = ctx.site, ctx.identity, ctx.identity.token_id or ctx.ip
        app.live.reserve(caller)

        def run(client: Any, left: bytes) -> None:
            connection = socket.SocketConnection(client, app.live, config, left)
            try:
                connection.serve(site, identity, config)
            finally:
                if connection.client is not None:
                    app.live.leave(connection.client)
                app.live.release(caller)

        return Takeover(101, headers, run)


def _handshake(ctx: Context) -> str:
    """The Sec-WebSocket-Accept of a good handshake. Raises UpgradeRequired, Invalid, Forbidden."""
    environ = ctx.environ
    if not websocket.is_upgrade(environ):
        raise UpgradeRequired
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        error = UpgradeRequired()
        error.headers += (("Sec-WebSocket-Version", "13"),)
        raise error
    accept = websocket.accept_key(environ.get("HTTP_SEC_WEBSOCKET_KEY", ""))
    if accept is None:
        raise Invalid("Sec-WebSocket-Key", "must be 16 bytes in base64")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and not _is_ours(ctx, origin):
        raise Forbidden("Pages of that origin may not connect here")
    return accept


def _is_ours(ctx: Context, origin: str) -> bool:
    """Whether an Origin header names the site, by either of its hosts, the platform, or what the settings allow."""
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    site = ctx.site
    known = {site.host, site.domain, site.platform_domain, *ctx.app.config.live_origins} - {""}
    return host in known


def _protocol(environ: dict[str, Any]) -> str:
    """The sub-protocol that we speak, where the client names it; a token is never said back."""
    offered = str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(",")
    return socket.PROTOCOL if socket.PROTOCOL in (one.strip() for one in offered) else ""


def ticket(ctx: Context) -> str:
    """The ticket of a request, "" for none. Raises Invalid for a token in its place, which logs would keep."""
    if "access_token" in ctx.query:
        raise Invalid("access_token", "is not taken in this address; get a ticket")
    return ctx.query.get("ticket", "")


def asked(ctx: Context) -> Asked:
    """The statement that finds out who calls. A ticket is used up by it."""
    is_ticket = bool(ctx.token) and ctx.token == ctx.query.get("ticket")
    return (
        Asked(WITH_TICKET, {"ticket_hash": live.ticket_hash(ctx.token)})
        if is_ticket
        else Asked(IDENTITY)
    )


def _bearer(environ: dict[str, Any]) -> str:
    """The token that comes as a sub-protocol, "" for none."""
    for one in str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(","):
        if one.strip().startswith(_BEARER):
            return one.strip().removeprefix(_BEARER)
    return ""


class TicketsHandler(Handler):
    """Tickets: each opens one connection."""

    allow = "OPTIONS,POST"
    takes_idempotency_key = False

    @needs(LOGIN, answer=schemas.Ticket)
    def post(self, ctx: Context) -> Result:
        """A ticket for `?ticket=` of one connection as the caller, within half a minute."""
        ticket = live.add_ticket(ctx.writer, ctx.site.id, ctx.identity.token_id)
        return Data(dumps({"ticket": ticket, "expiresIn": live.TICKET_S}))
