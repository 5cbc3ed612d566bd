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
from forumapi.realtime import poll, push_connections, websocket
from forumapi.realtime.cursor import parted
from forumapi.realtime.delivery_permissions import Caller
from forumapi.realtime.event_pump import check_topics, parse_topic
from forumapi.realtime.hub import Follow
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, Handler, Param, needs
from forumapi.request.response import ConnectionUpgrade, Data, RawResponse, Result
from forumapi.wire import client_address
from forumapi.wire.json_fragments import dumps, raw
from forumapi.wire.schemas import notifications as schemas

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
    """426: this address speaks WebSocket."""

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
        """Upgrades to WebSocket. Sign in by a header, a sub-protocol or a ticket; guests follow what they may read."""
        key = _handshake(ctx)
        protocol = _protocol(ctx.environ)
        headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", key)]
        if protocol:
            headers.append(("Sec-WebSocket-Protocol", protocol))
        app, config = ctx.app, ctx.app.config
        site, identity, limit_key = ctx.site, ctx.identity, _limit_key(ctx)
        app.live.reserve(limit_key)

        def run(client: Any, left: bytes) -> None:
            connection = push_connections.SocketConnection(client, app.live, config, left)
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
    """Live events as Server-Sent Events, for clients whose sockets are broken by an intermediary."""

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
        """A stream that does not end. `Last-Event-ID` is the id to go on from, where a client sends it.

        With an id of the stream that a ticket opened, the same ticket opens it again, while its token lives.
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
            connection = push_connections.StreamConnection(client, app.live, config, proof)
            try:
                connection.serve(site, identity, config, follows, cursor)
            finally:
                if connection.client is not None:
                    app.live.leave(connection.client)
                app.live.release(limit_key)

        return ConnectionUpgrade(200, headers, run, lambda: app.live.release(limit_key))


class LivePollHandler(Handler):
    """Live events by long polling, for clients that nothing else reaches."""

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
        """The frames since `cursor`, as soon as there is one; without a cursor, where to begin."""
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
            frames, at = poll.once(app.live, ctx.site, ctx.identity, follows, cursor, wait_s)
        finally:
            app.live.release(limit_key)
        return Data(dumps({"frames": [raw(frame) for frame in frames], "cursor": at}))


def _limit_key(ctx: Context) -> int | str:
    """Return the key that a listener is counted by: the id of a user, or a guest's address or network."""
    return ctx.identity.user_id or client_address.network(ctx.ip)


def _wanted(ctx: Context) -> tuple[list[Follow], str]:
    """The topics and the cursor of a query, which the caller may follow. Raises Invalid, Forbidden."""
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
        raise Forbidden("This origin is not allowed")
    return accept


def _is_ours(ctx: Context, origin: str) -> bool:
    """Return if an Origin header names the site, by either of its hosts, the platform, or an origin in the settings."""
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    site = ctx.site
    known = {site.host, site.domain, site.platform_domain, *ctx.app.config.realtime_origins} - {""}
    return host in known


def _protocol(environ: dict[str, Any]) -> str:
    """The sub-protocol that we speak, where the client names it; a token is never said back."""
    offered = str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(",")
    return (
        push_connections.PROTOCOL
        if push_connections.PROTOCOL in (one.strip() for one in offered)
        else ""
    )


def ticket(ctx: Context) -> str:
    """The ticket of a request, "" for none. Raises Invalid for a token in its place, which logs would keep."""
    if "access_token" in ctx.query:
        raise Invalid("access_token", "is not accepted in this URL; use a ticket")
    return ctx.query.get("ticket", "")


def asked(ctx: Context, stream: str) -> IdentityQuery:
    """The statement that finds out who calls. A ticket is used up by it, if it is for this origin and stream."""
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
    """The token of a stream that its `EventSource` goes on with: same ticket, origin and stream, and the last id."""
    _, proof = parted(ctx.environ.get("HTTP_LAST_EVENT_ID", ""))
    if not proof or not _is_ticket(ctx):
        return 0
    return ctx.app.live.cursors.holder(ctx.site.id, proof, _bound(ctx))


def _bound(ctx: Context) -> bytes:
    """Name the stream that a ticket is bound to once it has opened it."""
    return live.ticket_hash("\n".join((ctx.token, _origin(ctx), _stream(ctx))))


def _origin(ctx: Context) -> str:
    """The origin of the page that asks, "" for one of the site itself, whose GET names none, and for a program."""
    said = str(ctx.environ.get("HTTP_ORIGIN", "")).lower()
    own = str(ctx.environ.get("HTTP_HOST", "")).lower()
    return "" if said.partition("://")[2] == own else said


def _stream(ctx: Context) -> str:
    """Identity of a stream: its topics in order, and with or without documents."""
    texts = [value for key, value in ctx.pairs if key == "topic"]
    return named_stream(
        texts, documents=ctx.query.get("documents", "").lower() in ("1", "t", "true")
    )


def named_stream(topics: Sequence[str], *, documents: bool) -> str:
    """The text that a ticket is bound to a stream by."""
    return " ".join((*sorted(set(topics)), "documents" if documents else "events"))


def _bearer(environ: dict[str, Any]) -> str:
    """The token that comes as a sub-protocol, "" for none."""
    for one in str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(","):
        if one.strip().startswith(_BEARER):
            return shaped(one.strip().removeprefix(_BEARER))
    return ""


class TicketBody(Struct):
    """Body of a request for a ticket; every member may be left out."""

    origin: str | UnsetType = UNSET
    topics: list[str] | UnsetType = UNSET
    documents: bool | UnsetType = UNSET


class TicketsHandler(Handler):
    """Tickets: each opens one connection."""

    takes_idempotency_key = False

    @needs(LOGIN, body=TicketBody, answer=schemas.Ticket)
    def post(self, ctx: Context, sent: TicketBody) -> Result:
        """A ticket for `?ticket=` of one connection as the caller, within half a minute.

        It is good for pages of the origin that asks, or of `origin`, and with `topics` for the stream of these alone.
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
