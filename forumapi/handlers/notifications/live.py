"""Live events of a site by WebSocket, Server-Sent Events or long polling, and their tickets. Wire: docs/api/live.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import OUT_OF_RANGE, ApiError, Forbidden, Invalid
from forumapi.models.access.identity import IDENTITY, OF_STREAM, WITH_TICKET, IdentityQuery, shaped
from forumapi.models.notifications import live_event_queries
from forumapi.observability import metrics
from forumapi.realtime import long_polling, socket_and_stream_connections, websocket
from forumapi.realtime.cursor import parted
from forumapi.realtime.delivery_permissions import Caller, check_topics
from forumapi.realtime.live_clients import Follow
from forumapi.realtime.topic_names import parse_topic
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, Handler, Param, needs
from forumapi.request.handler_results import ConnectionUpgrade, Data, RawResponse, Result
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
    """Error 426: the request is no WebSocket handshake of version 13, and this address answers nothing else."""

    status = 426
    own_name = "upgrade_required"

    def __init__(self) -> None:
        super().__init__("This address speaks WebSocket", headers=(("Upgrade", "websocket"),))


class LiveHandler(Handler):
    """The site's live events over WebSocket."""

    is_limited_per_guest = False
    also_answers = {"GET": (426,)}

    def token(self, ctx: Context) -> str:
        return _bearer(ctx.environ) or ticket(ctx)

    def asked(self, ctx: Context) -> IdentityQuery:
        return asked(ctx, _SOCKET)

    @needs(ANYONE, status=101, media_type=_NONE)
    def get(self, ctx: Context) -> Result:
        """Upgrade the connection to WebSocket (101), on which the client names what it follows.

        The caller is identified by a bearer token (as a header or a sub-protocol) or a ticket; a guest may follow what
        guests may read. 426 for a request that is no WebSocket handshake, 403 for a page of an origin that is neither
        the site's, the platform's nor allowed by the installation; 429 beyond the live connections that one user or
        network may have, 403 beyond those of the site's plan, 503 beyond those of the worker.
        """
        key = _handshake(ctx)
        protocol = _protocol(ctx.environ)
        headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", key)]
        if protocol:
            headers.append(("Sec-WebSocket-Protocol", protocol))
        app, config = ctx.app, ctx.app.config
        site, identity, limit_key = ctx.site, ctx.identity, _limit_key(ctx)
        app.plans.check_socket(site)
        app.live.reserve(limit_key)

        def run(client: Any, left: bytes) -> None:
            connection = socket_and_stream_connections.SocketConnection(
                client, app.live, config, left
            )
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
    """The site's live events as Server-Sent Events, for clients behind intermediaries that block WebSocket."""

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
        """An endless stream of the events of each `topic` in the query, with `documents` also of the things that they
        are about: events after the cursor in `Last-Event-ID` or else in `cursor`; without either, events from now on.

        A client that reconnects with `Last-Event-ID` may present the same ticket again for the same stream, as long as
        the token that made the ticket is valid. 400 for a bad topic, and without one; 403 for a topic that the caller
        may not follow, and beyond the live connections of the site's plan; 429 beyond those that one user or network
        may have, 503 beyond those of the worker.
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
        app.plans.check_socket(site)
        app.live.reserve(limit_key)

        def run(client: Any, left: bytes) -> None:
            connection = socket_and_stream_connections.StreamConnection(
                client, app.live, config, proof
            )
            try:
                connection.serve(site, identity, config, follows, cursor)
            finally:
                if connection.client is not None:
                    app.live.leave(connection.client)
                app.live.release(limit_key)

        return ConnectionUpgrade(200, headers, run, lambda: app.live.release(limit_key))


class LivePollHandler(Handler):
    """The site's live events by long polling, for clients without WebSocket and Server-Sent Events."""

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
        """The frames of each `topic` in the query after `cursor`, 500 at most, as soon as there is any, or none once
        `wait` seconds (by default 25) are over; and the cursor to go on with.

        A cursor in `Last-Event-ID` wins over `cursor`; without either the answer comes at once, with the cursor of now.
        400 for a `wait` above 60, for a bad topic, and without one; 403 for a topic that the caller may not follow, and
        beyond the live connections of the site's plan; 429 beyond those that one user or network may have, 503 beyond
        those of the worker.
        """
        follows, cursor = _wanted(ctx)
        wait_s = ctx.number("wait", 25)
        if wait_s > MOST_WAIT_S:
            raise Invalid("wait", f"must be at most {MOST_WAIT_S}", code=OUT_OF_RANGE)
        app = ctx.app
        ctx.reader.end()
        if (clock := ctx.environ.get("forumapi.time_limit")) is not None:
            clock(app.config.request_timeout_s + wait_s)
        limit_key = _limit_key(ctx)
        app.plans.check_socket(ctx.site)
        app.live.reserve(limit_key)
        try:
            frames, at = long_polling.once(
                app.live, ctx.site, ctx.identity, follows, cursor, wait_s
            )
        finally:
            app.live.release(limit_key)
        return Data(dumps({"frames": [raw(frame) for frame in frames], "cursor": at}))


def _limit_key(ctx: Context) -> int | str:
    """Return the key by which live connections of one caller are counted: a user's id, or a guest's network (an IPv6
    address by its /64).
    """
    return ctx.identity.user_id or client_address.network(ctx.ip)


def _wanted(ctx: Context) -> tuple[list[Follow], str]:
    """Return the topics that the query names, each with the query's `documents`; and the cursor of Last-Event-ID or
    else of the query, "" for none.

    Raises Invalid for a bad topic, none or more than `realtime_subscriptions`; Forbidden for a topic that the caller
    may not follow.
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
    """Check a WebSocket handshake and return the value of its answer's header Sec-WebSocket-Accept.

    Raises UpgradeRequired for a request that is no handshake of version 13, Invalid for a bad key, Forbidden for a page
    of an origin that is neither the site's, the platform's, nor one of `realtime_origins`.
    """
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
    """Return True for an origin of pages that may open WebSockets: a host in `realtime_origins`, with any port; or the
    site's or the platform's, with the port that the request was sent to or that of the site's links, by https where
    sites have it.
    """
    site, config = ctx.site, ctx.app.config
    scheme, _, netloc = origin.lower().partition("://")
    host, colon, port = netloc.partition(":")
    if scheme not in ("http", "https") or not host:
        return False
    if host in config.realtime_origins:
        return True
    has_https = site.force_ssl if host == site.domain else config.scheme == "https"
    _, own_colon, own_port = str(ctx.environ.get("HTTP_HOST", "")).partition(":")
    return (
        host in (site.host, site.domain, site.platform_domain)
        and colon + port in (own_colon + own_port, config.port_suffix)
        and (scheme == "https" or not has_https)
    )


def _protocol(environ: dict[str, Any]) -> str:
    """Return the sub-protocol of live events if the client offers it, else "".

    An offered `bearer.…` is never returned: the answer would repeat the token.
    """
    offered = str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(",")
    return (
        socket_and_stream_connections.PROTOCOL
        if socket_and_stream_connections.PROTOCOL in (one.strip() for one in offered)
        else ""
    )


def ticket(ctx: Context) -> str:
    """Return the ticket in the query, "" for none.

    Raises Invalid if there is an access token in the query, which logs would keep.
    """
    if "access_token" in ctx.query:
        raise Invalid("access_token", "is not accepted in this URL; use a ticket")
    return ctx.query.get("ticket", "")


def asked(ctx: Context, stream: str) -> IdentityQuery:
    """Return the statement that identifies the caller by the request's token or ticket. `stream`: name of the stream
    that is asked for, made by `named_stream`, or `socket` for a WebSocket.

    Running the statement uses up a ticket that was made for the origin of the request's page and for `stream` or for
    any stream; another ticket is not used up, and identifies nobody.
    """
    if not _is_ticket(ctx):
        return IdentityQuery(IDENTITY)
    hash = live_event_queries.ticket_hash(ctx.token)
    return IdentityQuery(
        WITH_TICKET, {"ticket_hash": hash, "origin": _origin(ctx), "stream": stream}
    )


def _is_ticket(ctx: Context) -> bool:
    """Return True if the request has a ticket by which to identify the caller, and no bearer token."""
    return bool(ctx.token) and ctx.token == ctx.query.get("ticket")


def _holder(ctx: Context) -> int:
    """Return the id of the token that made the request's ticket, if Last-Event-ID proves that the ticket opened this
    stream before; else 0.

    The proof is in the ids of the stream's events, and holds for the same ticket, origin and stream.
    """
    _, proof = parted(ctx.environ.get("HTTP_LAST_EVENT_ID", ""))
    if not proof or not _is_ticket(ctx):
        return 0
    return ctx.app.live.cursors.holder(ctx.site.id, proof, _bound(ctx))


def _bound(ctx: Context) -> bytes:
    """Return the hash of the request's ticket, origin and stream, for which a proof in Last-Event-ID holds."""
    return live_event_queries.ticket_hash("\n".join((ctx.token, _origin(ctx), _stream(ctx))))


def _origin(ctx: Context) -> str:
    """Return the origin of the page that sent the request, from the header Origin; "" for the site's own pages and
    programs.
    """
    said = str(ctx.environ.get("HTTP_ORIGIN", "")).lower()
    own = str(ctx.environ.get("HTTP_HOST", "")).lower()
    return "" if said.partition("://")[2] == own else said


def _stream(ctx: Context) -> str:
    """Return the name of the stream that the query asks for: its topics, sorted and each once, then `documents` or
    `events`, with spaces between.
    """
    texts = [value for key, value in ctx.pairs if key == "topic"]
    return named_stream(
        texts, documents=ctx.query.get("documents", "").lower() in ("1", "t", "true")
    )


def named_stream(topics: Sequence[str], *, documents: bool) -> str:
    """Return the name of a stream, to which a ticket can be bound: its topics, sorted and each once, then `documents`
    or `events`, with spaces between. `documents`: the stream's events come with the things that they are about.
    """
    return " ".join((*sorted(set(topics)), "documents" if documents else "events"))


def _bearer(environ: dict[str, Any]) -> str:
    """Return the access token that a WebSocket handshake offers as the sub-protocol `bearer.…`, "" for none. Raises
    Unauthorized for one that has not the form of a token.
    """
    for one in str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(","):
        if one.strip().startswith(_BEARER):
            return shaped(one.strip().removeprefix(_BEARER))
    return ""


class TicketBody(Struct):
    """Body of POST /live/tickets. `origin`: origin of the pages that may use the ticket. `topics`, and with them
    `documents`, bind the ticket to one stream; without `topics` it is good for any, and `documents` is not looked at.
    Every key may be absent.
    """

    origin: str | UnsetType = UNSET
    topics: list[str] | UnsetType = UNSET
    documents: bool | UnsetType = UNSET


class TicketsHandler(Handler):
    """Issue of tickets, by which pages that can't set a header open live connections."""

    takes_idempotency_key = False

    @needs(LOGIN, body=TicketBody, answer=schemas.Ticket)
    def post(self, ctx: Context, sent: TicketBody) -> Result:
        """A ticket with which the caller opens one live connection within half a minute, as `?ticket=`.

        The ticket is good for pages of the origin `origin`, by default that of the request; with `topics`, for the
        stream of these topics alone. 400 for an `origin` that is no origin, for a bad topic, and for an empty or too
        long list `topics`.
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
        ticket = live_event_queries.add_ticket(
            ctx.writer, ctx.site.id, ctx.identity.token_id, origin=origin, stream=stream
        )
        return Data(dumps({"ticket": ticket, "expiresIn": live_event_queries.TICKET_S}))
