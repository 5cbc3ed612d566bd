"""Following what happens on a site: WebSocket, Server-Sent Events, long polling, tickets. Wire: docs/api/live.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import OUT_OF_RANGE, ApiError, Forbidden, Invalid
from forumapi.models.access.identity import IDENTITY, OF_STREAM, WITH_TICKET, IdentityQuery, shaped
from forumapi.models.notifications import live
from forumapi.observability import metrics
from forumapi.realtime import live_connections, long_polling, websocket
from forumapi.realtime.cursor import parted
from forumapi.realtime.delivery_permissions import Caller
from forumapi.realtime.event_pump import check_topics, parse_topic
from forumapi.realtime.hub import Follow
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, Handler, Param, needs
from forumapi.request.response import ConnectionUpgrade, Data, RawResponse, Result
from forumapi.wire import client_address
from forumapi.wire.json_fragments import dumps, raw
from forumapi.wire.schemas import updates_mail_webhooks as schemas

# How a token comes where a page can't set a header: as a sub-protocol, beside the one that is spoken.
_BEARER: Final = "bearer."
# A WebSocket names its stream later: a ticket that names a stream opens no WebSocket.
_SOCKET: Final = "socket"
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.:\[\]-]{1,253}")
# The answer of a handshake has no body.
_NONE: Final = "text/plain"
_EVENTS: Final = "text/event-stream"
_WHAT: Final = (
    Param("topic", str, "What to follow; several times for several topics."),
    Param("cursor", str, "From where on; absent: from now on."),
    Param("documents", bool, "Whether things come with their events."),
)
MOST_WAIT_S: Final = 60


class UpgradeRequired(ApiError):
    """426: this address answers WebSocket handshakes alone."""

    status = 426

    def __init__(self) -> None:
        super().__init__("This address speaks WebSocket", headers=(("Upgrade", "websocket"),))


class LiveHandler(Handler):
    """The WebSocket of a site."""

    is_limited_per_guest = False
    also_answers = {"GET": (426,)}

    def token(self, ctx: Context) -> str:
        return _bearer(ctx.environ) or ticket(ctx)

    def asked(self, ctx: Context) -> IdentityQuery:
        return asked(ctx, _SOCKET)

    @needs(ANYONE, status=101, media_type=_NONE)
    def get(self, ctx: Context) -> Result:
        """Upgrade to WebSocket.

        Clients sign in by a header, a sub-protocol or a ticket; guests follow what guests may read.
        """
        key = _handshake(ctx)
        protocol = _protocol(ctx.environ)
        headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", key)]
        if protocol:
            headers.append(("Sec-WebSocket-Protocol", protocol))
        app, config = ctx.app, ctx.app.config
        site, identity, limit_key = ctx.site, ctx.identity, _limit_key(ctx)
        app.live.reserve(limit_key)

        def run(client: Any, left: bytes) -> None:
            connection = live_connections.SocketConnection(client, app.live, config, left)
            metrics.SOCKETS.add(1)
            try:
                connection.serve(site, identity, config)
            finally:
                metrics.SOCKETS.add(-1)
                if connection.client is not None:
                    app.live.leave(connection.client)
                app.live.release(limit_key)

        return ConnectionUpgrade(101, headers, run, lambda: app.live.release(limit_key))


class LiveEventsHandler(Handler):
    """Live events as Server-Sent Events, for clients behind intermediaries without WebSocket."""

    is_limited_per_guest = False
    is_stream = True
    also_takes = ("Last-Event-ID",)

    def token(self, ctx: Context) -> str:
        return ticket(ctx)

    def asked(self, ctx: Context) -> IdentityQuery:
        holder = _holder(ctx)
        return (
            IdentityQuery(OF_STREAM, {"token_id": holder}) if holder else asked(ctx, _stream(ctx))
        )

    @needs(ANYONE, params=_WHAT, media_type=_EVENTS)
    def get(self, ctx: Context) -> Result:
        """A stream without end. `Last-Event-ID`: the id of the last event received; the stream continues after it.

        A ticket that opened a stream opens the same stream again with an id of it, as long as the ticket's token is
        valid.
        """
        follows, cursor = _wanted(ctx)
        proof = ""
        if _is_ticket(ctx):
            proof = ctx.app.live.cursors.proof(ctx.site.id, ctx.identity.token_id, _bound(ctx))
        app, config = ctx.app, ctx.app.config
        site, identity, limit_key = ctx.site, ctx.identity, _limit_key(ctx)
        headers = [
            ("Content-Type", _EVENTS),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
        ]
        if ctx.is_head:
            return RawResponse(b"", _EVENTS, tuple(headers[1:]))
        app.live.reserve(limit_key)

        def run(client: Any, left: bytes) -> None:
            connection = live_connections.StreamConnection(client, app.live, config, proof)
            try:
                connection.serve(site, identity, config, follows, cursor)
            finally:
                if connection.client is not None:
                    app.live.leave(connection.client)
                app.live.release(limit_key)

        return ConnectionUpgrade(200, headers, run, lambda: app.live.release(limit_key))


class LivePollHandler(Handler):
    """Live events by long polling, for clients without WebSocket and Server-Sent Events."""

    is_limited_per_guest = False
    also_takes = ("Last-Event-ID",)

    def token(self, ctx: Context) -> str:
        return ticket(ctx)

    def asked(self, ctx: Context) -> IdentityQuery:
        return asked(ctx, _stream(ctx))

    @needs(
        ANYONE,
        answer=schemas.LivePoll,
        params=(*_WHAT, Param("wait", int, "Seconds to wait for something to tell, 0 to 60.")),
    )
    def get(self, ctx: Context) -> Result:
        """The frames after `cursor`, as soon as there is one; without `cursor`, the cursor to begin with."""
        follows, cursor = _wanted(ctx)
        wait_s = ctx.number("wait", 25)
        if wait_s > MOST_WAIT_S:
            raise Invalid("wait", f"must be at most {MOST_WAIT_S}", code=OUT_OF_RANGE)
        app = ctx.app
        ctx.reader.end()
        if (clock := ctx.environ.get("forumapi.time_limit")) is not None:
            clock(app.config.request_timeout_s + wait_s)
        limit_key = _limit_key(ctx)
        app.live.reserve(limit_key)
        try:
            frames, at = long_polling.once(
                app.live, ctx.site, ctx.identity, follows, cursor, wait_s
            )
        finally:
            app.live.release(limit_key)
        return Data(dumps({"frames": [raw(frame) for frame in frames], "cursor": at}))


def _limit_key(ctx: Context) -> int | str:
    """Return the key by which connections are counted: the id of a user, or a guest's address or network."""
    return ctx.identity.user_id or client_address.network(ctx.ip)


def _wanted(ctx: Context) -> tuple[list[Follow], str]:
    """Return the query's topics, which the caller may follow, and its cursor, "" for none.

    Raises Invalid, Forbidden.
    """
    texts = [value for key, value in ctx.pairs if key == "topic"]
    most = ctx.app.config.realtime_subscriptions
    if not 1 <= len(texts) <= most:
        raise Invalid("topic", f"must be given, up to {most} times")
    documents = bool(ctx.flag("documents"))
    topics = [parse_topic(text, ctx.identity.profile_id) for text in texts]
    check_topics(ctx.reader, ctx.site.id, ctx.tree, Caller(ctx.identity), topics)
    last, _ = parted(ctx.environ.get("HTTP_LAST_EVENT_ID", ""))
    cursor = last or ctx.query.get("cursor", "")
    return [Follow(topic, wants_documents=documents) for topic in topics], cursor


def _handshake(ctx: Context) -> str:
    """Return the Sec-WebSocket-Accept of a valid handshake. Raises UpgradeRequired, Invalid, Forbidden."""
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
        raise Forbidden("This origin is not allowed")
    return accept


def _is_ours(ctx: Context, origin: str) -> bool:
    """Return True if an Origin header names a host of the site, the platform, or an origin in the settings."""
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    site = ctx.site
    known = {site.host, site.domain, site.platform_domain, *ctx.app.config.realtime_origins} - {""}
    return host in known


def _protocol(environ: dict[str, Any]) -> str:
    """Return the sub-protocol of live events if the client offers it, else "": a token in the list is never echoed."""
    offered = str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(",")
    return (
        live_connections.PROTOCOL
        if live_connections.PROTOCOL in (one.strip() for one in offered)
        else ""
    )


def ticket(ctx: Context) -> str:
    """Return the ticket of the request, "" for none.

    Raises Invalid for a token in the query, since logs would keep it.
    """
    if "access_token" in ctx.query:
        raise Invalid("access_token", "is not accepted in this URL; use a ticket")
    return ctx.query.get("ticket", "")


def asked(ctx: Context, stream: str) -> IdentityQuery:
    """Return the statement that identifies the caller, by token or ticket.

    It uses up the ticket of the request, if there is one, which must be good for this page's origin and `stream`.
    """
    if not _is_ticket(ctx):
        return IdentityQuery(IDENTITY)
    hash = live.ticket_hash(ctx.token)
    return IdentityQuery(
        WITH_TICKET, {"ticket_hash": hash, "origin": _origin(ctx), "stream": stream}
    )


def _is_ticket(ctx: Context) -> bool:
    """Return True if the caller presents a ticket, and no token."""
    return bool(ctx.token) and ctx.token == ctx.query.get("ticket")


def _holder(ctx: Context) -> int:
    """Return the id of the token behind a stream that its `EventSource` opens again; 0 if it is not proven.

    The proof is in Last-Event-ID, for the same ticket, origin and stream.
    """
    _, proof = parted(ctx.environ.get("HTTP_LAST_EVENT_ID", ""))
    if not proof or not _is_ticket(ctx):
        return 0
    return ctx.app.live.cursors.holder(ctx.site.id, proof, _bound(ctx))


def _bound(ctx: Context) -> bytes:
    """Return the hash of ticket, origin and stream, by which a ticket can open its stream again."""
    return live.ticket_hash("\n".join((ctx.token, _origin(ctx), _stream(ctx))))


def _origin(ctx: Context) -> str:
    """Return the origin of the page that asks; "" for the site's own pages, whose GET names none, and for programs."""
    said = str(ctx.environ.get("HTTP_ORIGIN", "")).lower()
    own = str(ctx.environ.get("HTTP_HOST", "")).lower()
    return "" if said.partition("://")[2] == own else said


def _stream(ctx: Context) -> str:
    """Return the request's stream as text: its topics in order, and with or without documents."""
    texts = [value for key, value in ctx.pairs if key == "topic"]
    return named_stream(
        texts, documents=ctx.query.get("documents", "").lower() in ("1", "t", "true")
    )


def named_stream(topics: Sequence[str], *, documents: bool) -> str:
    """Return the text to which a ticket for one stream is bound: the topics in order, and `documents` or `events`."""
    return " ".join((*sorted(set(topics)), "documents" if documents else "events"))


def _bearer(environ: dict[str, Any]) -> str:
    """Return the token that is offered as a sub-protocol, "" for none."""
    for one in str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(","):
        if one.strip().startswith(_BEARER):
            return shaped(one.strip().removeprefix(_BEARER))
    return ""


class TicketBody(Struct):
    """Body of POST /live/tickets; every key may be left out."""

    origin: str | UnsetType = UNSET
    topics: list[str] | UnsetType = UNSET
    documents: bool | UnsetType = UNSET


class TicketsHandler(Handler):
    """Tickets: each opens one live connection."""

    takes_idempotency_key = False

    @needs(LOGIN, body=TicketBody, answer=schemas.Ticket)
    def post(self, ctx: Context, sent: TicketBody) -> Result:
        """A ticket that opens one live connection of the caller by `?ticket=`, within half a minute.

        The ticket is good for pages of the request's origin or of `origin`; with `topics`, only for the stream of these
        topics.
        """
        origin = _origin(ctx)
        if isinstance(sent.origin, str):
            origin = sent.origin.lower()
            if not _ORIGIN.fullmatch(origin):
                raise Invalid("origin", "must be a scheme and a host, such as https://page.example")
        stream = None
        if isinstance(sent.topics, list):
            most = ctx.app.config.realtime_subscriptions
            if not 1 <= len(sent.topics) <= most:
                raise Invalid("topics", f"must name 1 to {most} topics")
            for text in sent.topics:
                parse_topic(text, ctx.identity.profile_id)
            stream = named_stream(sent.topics, documents=sent.documents is True)
        ticket = live.add_ticket(
            ctx.writer, ctx.site.id, ctx.identity.token_id, origin=origin, stream=stream
        )
        return Data(dumps({"ticket": ticket, "expiresIn": live.TICKET_S}))
