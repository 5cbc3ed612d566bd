"""One request, nine steps: host, address, method, caller, body, permission, function, answer, commit."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote

from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import RequestRedirect

from forumapi import errors
from forumapi.errors import (
    ApiError,
    Forbidden,
    InsufficientScope,
    Invalid,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooMany,
    Unauthorized,
)
from forumapi.models.access import identity as identities
from forumapi.models.access import rate_counters
from forumapi.models.access.identity import GUEST
from forumapi.models.access.rate_counters import Limit
from forumapi.models.journal import idempotency
from forumapi.models.people import membership, profile
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.permissions import evaluator
from forumapi.request import access_log, patch, response
from forumapi.request.context import Context
from forumapi.request.handler import (
    ANYONE,
    CREATE,
    DELETE,
    LOGIN,
    MODERATE,
    OWNER,
    READ,
    REMOVE,
    UPDATE,
    Handler,
    Need,
    Operation,
)
from forumapi.request.response import (
    PLAIN,
    ConnectionUpgrade,
    Data,
    Done,
    Found,
    Headers,
    Page,
    RawResponse,
    Result,
    StoredBytes,
    StreamedBody,
    Switches,
)
from forumapi.wire import body, client_address, scopes
from forumapi.wire.http_headers import CORS_REQUEST, CORS_RESPONSE
from forumapi.wire.json_fragments import dumps

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site
    from forumapi.request.rate_limit import Allowance
    from forumapi.request.services import Services

Answer = tuple[str, Headers, bytes | StreamedBody | ConnectionUpgrade]
Answered = tuple[int, Headers, bytes | StreamedBody | ConnectionUpgrade]

_OVERRIDES: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SLASHES: Final = re.compile("//+")
_TOKEN_PART: Final = re.compile("access_token(=|$)")
_SWITCHES: Final = frozenset(("context", "always200", "disableBoiler", "callback"))
# What the request for a document after a write does not take over from that write.
_OF_THE_WRITE: Final = frozenset(
    ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "QUERY_STRING")
)

SIGN_INS_PER_FRONT_END: Final = Limit("sign-in-front-end", 3_000, 3600)

# The right that a need asks for, and the code that its refusal carries (platform 1.6).
_RIGHTS: Final[dict[Need, tuple[int, int, str]]] = {
    READ: (evaluator.READ, errors.NO_READ, "You may not read this"),
    CREATE: (evaluator.CREATE, errors.NO_CREATE, "You may not post here"),
    UPDATE: (evaluator.UPDATE, errors.NO_UPDATE, "You may not change this"),
    DELETE: (evaluator.DELETE, errors.NO_DELETE, "You may not delete this"),
    REMOVE: (
        evaluator.UPDATE | evaluator.DELETE,
        errors.NO_DELETE,
        "You may not remove anything from this",
    ),
    MODERATE: (evaluator.MODERATOR, 0, "Only those who moderate this may do this"),
    OWNER: (evaluator.SITE_OWNER, errors.NEEDS_OWNER, "Only the owner of this site may do this"),
}

_CHANGING: Final = frozenset((CREATE, UPDATE, DELETE, REMOVE, MODERATE))


def respond(app: Services, environ: dict[str, Any]) -> Answer:
    """Answer one WSGI request. Never raises: what is not an ApiError is logged whole and shown as 500."""
    started = time.perf_counter()
    ctx = Context(app, environ)
    ctx.tx = app.read()
    ctx.switches = PLAIN
    ctx.ip = ctx.path = ""
    ctx.identity = GUEST
    trace = app.tracer.begin(environ, ctx.tx) if app.tracer is not None else None
    given = environ.get("HTTP_X_REQUEST_ID", "")
    ctx.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
    method = environ["REQUEST_METHOD"]
    handler: Handler | None = None
    headers: Headers
    data: bytes | StreamedBody | ConnectionUpgrade
    said = ""
    try:
        try:
            ctx.path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
            ctx.ip = app.proxies.client_ip(environ)
            _read_query(ctx)
            method = _method(ctx, method)
            host = environ.get("HTTP_HOST", "")
            found = app.sites.cached(host)
            if found is None:
                _count_address(app, ctx)
                found = app.sites.by_host(host, ctx.tx)
            ctx.site = found
            if "HTTP_X_FORUMAPI_VISITOR" in environ:
                _believe(app, ctx)
            # Before anything is read: what the answer shows is as new as this, or newer.
            ctx.head = ctx.site.head
            if "//" in ctx.path and method in ("GET", "HEAD"):
                status, headers, data = _lead_on(app, ctx)
            else:
                handler, ctx.args = _route(app, ctx)
                status, headers, data = _answer(app, ctx, handler, method)
        finally:
            ctx.tx.end()
    except ApiError as error:
        error = _counted(app, ctx, error)
        said = error.message
        if error.reason:
            logger.warning("request %s: %s", ctx.request_id, error.reason)
        status, headers, data = _error(ctx, error, handler, method)
    except Exception:  # noqa: BLE001 - the edge: whatever it is, the client gets an answer
        said = "Internal error"
        logger.exception(
            "request %s failed: %s %s",
            ctx.request_id,
            method,
            type(handler).__name__,
            extra={"context": _place(ctx, method)},
        )
        status, headers, data = _error(ctx, ApiError("Internal error"), handler, method)
    headers.append(("X-Request-Id", ctx.request_id))
    if (allowance := ctx.allowance) is not None:
        headers.append(("RateLimit-Limit", str(allowance.limit)))
        headers.append(("RateLimit-Remaining", str(allowance.remaining)))
        headers.append(("RateLimit-Reset", str(allowance.reset_s)))
    if method == "HEAD" and environ["REQUEST_METHOD"] != "HEAD":
        # On the wire it is a POST: the client reads as many bytes as Content-Length says.
        data = b""
    size = 0
    if not isinstance(data, ConnectionUpgrade) and (status != 204 or data):
        size = len(data)
        headers.append(("Content-Length", str(size)))
    if app.server_timing_header:
        headers.append(
            ("Server-Timing", f"db;desc={ctx.tx.statements}, cache;desc={ctx.tx.cache_trips}")
        )
    if trace is not None:
        trace.end(f"{method} {ctx.route}", status, _place(ctx, method))
    access_log.record(ctx, method, status, size, time.perf_counter() - started, said)
    line = 200 if ctx.switches.always200 and status not in (101, 206, 304) else status
    if method == "HEAD" or status == 304:
        data = b""
    return response.STATUS_LINES[line], headers, data


# ---------------------------------------------------------------- the edge: query, method, address


def _read_query(ctx: Context) -> None:
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
        ctx.switches = Switches(
            query.get("context", ""),
            "always200" in query or bool(environ.get("HTTP_X_ALWAYS_200")),
            "disableBoiler" in query or bool(environ.get("HTTP_X_DISABLE_BOILER")),
        )
        ctx.switches.depends_on_cookies = "callback" in query
        carries_credentials = bool(environ.get("HTTP_AUTHORIZATION")) or "access_token" in query
        if "callback" in query and not carries_credentials and not environ.get("HTTP_COOKIE"):
            ctx.switches.callback = response.check_callback(query["callback"])


def _method(ctx: Context, method: str) -> str:
    """The method after override: only POST is overridden, the query wins over the header (platform 1.3)."""
    if method != "POST":
        return method
    for name in (ctx.query.get("method", ""), ctx.environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "")):
        if name.upper() in _OVERRIDES:
            return name.upper()
    return method


def _believe(app: Services, ctx: Context) -> None:
    """Take the visitor's address over from a front end of this site; from all others it is dropped. Raises Invalid."""
    secret = ctx.environ.get("HTTP_X_FORUMAPI_FRONT_END", "")
    name = app.front_ends.find(ctx.ip, secret, ctx.site.key)
    if name:
        try:
            visitor = str(ipaddress.ip_address(ctx.environ["HTTP_X_FORUMAPI_VISITOR"].strip()))
        except ValueError:
            raise Invalid("X-Forumapi-Visitor", "must be an IP address") from None
        ctx.ip, ctx.front_end = visitor, name


def _lead_on(app: Services, ctx: Context) -> Answered:
    """301 to the address without double slashes. It begins with one, whatever was sent, and so stays on this host."""
    _count_address(app, ctx)
    # Encoded, since browsers take a backslash for a slash. A token is no part of any link (platform 1.4).
    location = quote(_SLASHES.sub("/", ctx.path))
    parts = ctx.query_string.split("&") if ctx.query_string else []
    if query := "&".join(part for part in parts if not _TOKEN_PART.match(part)):
        location += f"?{query}"
    headers = response.base_headers(ctx.switches)
    headers += [("Cache-Control", _NO_CACHE), ("Location", location)]
    return 301, headers, response.envelope(301, b"null", b"null", ctx.switches)


def _route(app: Services, ctx: Context) -> tuple[Handler, dict[str, Any]]:
    """Match the path. Sets `ctx.route`, the address as logs show it. Raises NotFound."""
    routes = app.root_routes if ctx.site.is_root else app.site_routes
    try:
        rule, args = routes.match(ctx.path, method="GET", return_rule=True)
    except (NoRoute, RequestRedirect):
        raise NotFound("There is nothing at this address") from None
    ctx.route = app.templates[rule.rule]
    return rule.endpoint, dict(args)


def _place(ctx: Context, method: str) -> dict[str, str | int]:
    """Where a request failed, for whoever looks into it."""
    site = getattr(ctx, "site", None)
    return {
        "request": ctx.request_id,
        "method": method,
        "route": ctx.route,
        "site": site.id if site else 0,
        "profile": ctx.identity.profile_id,
    }


# ---------------------------------------------------------------- method, caller, body, permission, function


def _answer(app: Services, ctx: Context, handler: Handler, method: str) -> Answered:
    if method == "OPTIONS":
        _count_address(app, ctx)
        return 200, _options_headers(handler.allow), b""
    verb = "GET" if method == "HEAD" else method
    operation = handler.operations.get(verb)
    if operation is None:
        raise MethodNotAllowed(method, handler.allow)
    ctx.is_head = method == "HEAD"
    ctx.is_write = verb != "GET"
    _count(app, ctx, handler)
    if verb == "GET" and (ctx.token or not handler.is_limited_per_guest):
        answer = _read(app, ctx, handler, operation, method)
    elif verb == "GET":
        # What asked for the site gives its connection back: whoever waits here holds none.
        ctx.tx.end()
        with app.guest_semaphore.hold(client_address.caller(ctx.ip)):
            answer = _read(app, ctx, handler, operation, method)
    else:
        ctx.tx.end()
        answer = _take(app, ctx, handler, operation, verb)
    if not handler.takes_idempotency_key:
        _forbid_storing(answer[1])
    return answer


def _read(
    app: Services, ctx: Context, handler: Handler, operation: Operation, method: str
) -> Answered:
    _identify(app, ctx, handler, "GET")
    return _finish(app, ctx, operation, _get(ctx, handler, operation), method)


def _take(
    app: Services, ctx: Context, handler: Handler, operation: Operation, verb: str
) -> Answered:
    """The body, then the write. Files are received before the transaction, from callers who are known."""
    if not handler.receives_files:
        if ctx.front_end and handler.signs_in:
            # Whoever speaks for any number of visitors is one caller too.
            most = SIGN_INS_PER_FRONT_END._replace(most=app.config.sign_ins_per_front_end)
            with app.database.write() as tx:
                rate_counters.take(tx, most, ctx.front_end)
        if not handler.receive(ctx):
            _read_body(app, ctx)
        return _write(app, ctx, handler, operation, verb)
    if (clock := ctx.environ.get("forumapi.time_limit")) is not None:
        clock(app.config.upload_timeout_s)
    _identify(app, ctx, handler, verb)
    with handler.take_files(ctx):
        ctx.tx.end()
        return _write(app, ctx, handler, operation, verb)


def _count(app: Services, ctx: Context, handler: Handler) -> None:
    """Count the request: by its token where that is known to be good, else by address. Raises TooMany, Unauthorized."""
    ctx.token = _token(ctx, handler)
    if ctx.token and app.token_buckets.knows(ctx.token):
        _count_token(app, ctx)
    else:
        _count_address(app, ctx)


def _count_token(app: Services, ctx: Context) -> None:
    ctx.is_counted = True
    ctx.allowance = app.token_buckets.take(ctx.token)
    _refuse_beyond(ctx.allowance)


def _count_address(app: Services, ctx: Context) -> None:
    if not ctx.is_counted:
        ctx.is_counted = True
        ctx.allowance = app.address_buckets.take(ctx.ip)
        _refuse_beyond(ctx.allowance)


def _counted(app: Services, ctx: Context, error: ApiError) -> ApiError:
    """`error`, or TooMany: what is refused before anybody has counted it counts for its address."""
    try:
        _count_address(app, ctx)
    except TooMany as refusal:
        return refusal
    return error


def _refuse_beyond(allowance: Allowance | None) -> None:
    if allowance is not None and allowance.retry_after_s:
        raise TooMany("Too many requests", allowance.retry_after_s)


def _token(ctx: Context, handler: Handler) -> str:
    """The token presented, "" for none. Raises Unauthorized for a header that is not a bearer token."""
    if handler.ignores_token:
        return ""
    header = str(ctx.environ.get("HTTP_AUTHORIZATION", "")).strip()
    if not header:
        return handler.token(ctx)
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthorized("Authorization must be: Bearer <token>", code=errors.TOKEN_INVALID)
    return identities.shaped(token)


def _identify(app: Services, ctx: Context, handler: Handler, verb: str) -> None:
    """Who calls, and the site as this caller may see it.

    Raises Unauthorized, Forbidden (banned), InsufficientScope, NotFound.
    """
    if not ctx.token:
        ctx.site = _known(ctx, lambda site: app.sites.fresh(site, ctx.tx))
        return
    site_id = ctx.site.id
    was_known = app.token_buckets.knows(ctx.token)
    try:
        asked = handler.asked(ctx)
        found = identities.find(ctx.tx, site_id, ctx.token, asked)
    except Unauthorized:
        if was_known:
            # It has ended: from now on it is as good as a made-up one, and this was its first try.
            app.token_buckets.forget(ctx.token)
            ctx.is_counted = False
            _count_address(app, ctx)
        raise
    if not was_known:
        # Guesses are for the address to pay, good tokens for themselves.
        app.address_buckets.give_back(ctx.ip)
        _count_token(app, ctx)
    if not found.profile_id or found.needs_roles:
        # A request holds one connection at a time: of many newcomers at once none would get a second.
        ctx.tx.end()
        membership.settle(app.database, ctx.site.id, found, is_root=ctx.site.is_root)
        found = identities.find(ctx.tx, site_id, ctx.token, identities.again(asked, found))
    ctx.identity = found
    ctx.site = _known(
        ctx,
        lambda site: app.sites.confirmed(site, found.site_version, found.acl_version, ctx.tx),
    )
    if found.ban_reason is not None and not handler.admits_banned(ctx):
        raise Forbidden(found.ban_reason, code=errors.BANNED)
    if found.scopes is not None:
        _check_scope(app, ctx, found.scopes, verb)
    app.activity.active(site_id, found.profile_id)
    app.activity.used(found.token_id, ctx.ip)


def _check_scope(app: Services, ctx: Context, granted: frozenset[str], verb: str) -> None:
    """Raises InsufficientScope unless a token limited to `granted` may ask for this operation."""
    routes = app.root_routes if ctx.site.is_root else app.site_routes
    rule, _ = routes.match(ctx.path, method="GET", return_rule=True)
    scope = scopes.of(rule.rule, verb)
    if scope == scopes.WHOLE:
        raise InsufficientScope("")
    if scope != scopes.OPEN and scope not in granted:
        raise InsufficientScope(scope)


def _known(ctx: Context, look: Callable[[Site], Site]) -> Site:
    """The site as `look` finds it now. If it is gone, the request has none: errors then carry site 0."""
    site = ctx.site
    del ctx.site
    return look(site)


def _get(ctx: Context, handler: Handler, operation: Operation) -> Result:
    located = ctx.located = handler.locate(ctx)
    _permit(ctx, operation.need)
    if located is not None:
        _show(ctx, is_get=True)
    if operation.paged:
        ctx.check_paging()
    return handler.call("GET", ctx)


def _permit(ctx: Context, need: Need) -> None:
    """Raises Forbidden unless the caller has what `need` asks for. Sets `ctx.can`."""
    located = ctx.located
    if located is not None:
        ctx.can = evaluator.effective(
            ctx.identity.principal,
            located.target,
            ctx.tree,
            members_create_microcosms=not ctx.site.only_admins_create,
        )
    elif ctx.identity.principal.is_site_owner:
        ctx.can = evaluator.SITE_OWNER
    if need is ANYONE:
        return
    if need is LOGIN:
        if ctx.identity.is_guest:
            raise Forbidden("Sign in to do this", code=errors.SIGN_IN)
        return
    right, code, text = _RIGHTS[need]
    # What guests may do by a role says what they may see: nothing is written by nobody.
    if not ctx.can & right or (ctx.is_write and need in _CHANGING and ctx.identity.is_guest):
        if ctx.can & evaluator.BANNED:
            raise Forbidden(identities.DEFAULT_BAN, code=errors.BANNED)
        raise Forbidden(text, code=code)


def _show(ctx: Context, *, is_get: bool = False) -> None:
    """Hidden things are 404 for all but moderators; an author may GET an own moderated item (C-09)."""
    located = ctx.located
    if not located.is_hidden_from(ctx.can):
        return
    if is_get and located.own_moderated and ctx.can & evaluator.OWNER:
        return
    raise NotFound("This was deleted", code=errors.DELETED)


def _read_body(app: Services, ctx: Context) -> None:
    length = ctx.environ.get("CONTENT_LENGTH") or ""
    limit = app.body_limit
    if length.isdigit() and int(length) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes")
    stream = ctx.environ["wsgi.input"]
    data = stream.read(int(length)) if length.isdigit() else stream.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes")
    if length.isdigit() and len(data) < int(length):
        raise Invalid("", "The body ended early", code=errors.UNPARSABLE)
    ctx.raw_body = data


def _decode(ctx: Context, operation: Operation) -> None:
    if operation.body is not None and ctx.body is None:
        ctx.body = body.parse(ctx.raw_body, ctx.environ.get("CONTENT_TYPE", ""), operation.body)
        if operation.body == list[patch.Operation]:
            patch.check(ctx.body)


def _write(
    app: Services, ctx: Context, handler: Handler, operation: Operation, verb: str
) -> Answered:
    """One transaction: caller, idempotency claim, permission on current rows, the work, commit."""
    key = ctx.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None:
        idempotency.check(key)
        if not handler.takes_idempotency_key:
            raise Invalid("Idempotency-Key", "is not accepted here: this answer holds a secret")
    with app.database.write() as tx:
        tx.steps = ctx.tx.steps
        ctx.tx = tx
        _identify(app, ctx, handler, verb)
        scope = None
        if key is not None and not ctx.identity.is_guest:
            scope = idempotency.Scope(ctx.site.id, ctx.identity.profile_id, verb, ctx.path, key)
            done = idempotency.claim(tx, scope, ctx.raw_body, app.config.idempotency_hours)
        else:
            done = None
        result = handler.replay(ctx, done) if done else _work(ctx, handler, operation, verb)
        answer = _finish(app, ctx, operation, result, verb)
        if scope is not None and done is None:
            location = result.location if isinstance(result, Found) else ""
            idempotency.finish(tx, scope, answer[0], location)
    if tx.changes_site:
        # On the platform's host it may be any site.
        app.sites.mark_written(0 if ctx.site.is_root else ctx.site.id)
    app.sequencer.hint()
    return _preferred(app, ctx, handler, verb, result, answer)


def _preferred(
    app: Services, ctx: Context, handler: Handler, verb: str, result: Result, answer: Answered
) -> Answered:
    """Give the answer to a committed write the form that Prefer asks for, where that can be had.

    `Preference-Applied` says that nothing is left to ask for.
    """
    form = response.preferred(ctx.environ.get("HTTP_PREFER", ""))
    if not form or not isinstance(result, Data | Page | Done | Found):
        return answer
    applied = ("Preference-Applied", form)
    if form == response.MINIMAL:
        # A secret is shown once: whoever gets a token, gets it.
        if isinstance(result, Data | Page) and not handler.takes_idempotency_key:
            return answer
        headers = [*answer[1], applied]
        if ctx.switches.always200:
            return 204, headers, response.envelope(204, b"null", b"null", ctx.switches)
        return 204, [pair for pair in headers if pair[0] != "Content-Type"], b""
    if isinstance(result, Found):
        location = result.location
        status = 201 if verb == "POST" and location.startswith(f"{ctx.path}/") else 200
    elif isinstance(result, Done):
        location, status = _document_path(app, ctx, handler), 200
    else:
        location, status = "", 200
    if not location:
        answer[1].append(applied)
        return answer
    try:
        found = _read_back(app, ctx, location, status)
    except (Forbidden, NotFound):
        # Nothing is left to show of what was deleted; what went out of the caller's sight is refused where it is now.
        if verb == "DELETE":
            answer[1].append(applied)
        return answer
    except ApiError as error:
        # It is written, whatever fails from here on: the answer says where the document is.
        logger.warning("request %s: no document after the write: %s", ctx.request_id, error.message)
        return answer
    if found is None:
        return answer
    found[1].extend((("Location", location), applied))
    return found


def _document_path(app: Services, ctx: Context, handler: Handler) -> str:
    """Find the address that shows a write which names no resource: its own or the one above; "" for neither."""
    if "GET" in handler.operations:
        return ctx.path
    if not handler.shows_above:
        return ""
    above = ctx.path.rpartition("/")[0]
    routes = app.root_routes if ctx.site.is_root else app.site_routes
    try:
        found, _ = routes.match(above, method="GET")
    except (NoRoute, RequestRedirect):
        return ""
    return above if "GET" in found.operations else ""


def _read_back(app: Services, ctx: Context, location: str, status: int) -> Answered | None:
    """Answer with `status` and the document at `location`; None if there is none.

    The request is the one that a redirect would lead to: permissions are asked, pages are marked as read.
    """
    path, _, query = location.partition("?")
    kept = {name: value for name, value in ctx.environ.items() if name not in _OF_THE_WRITE}
    inner = Context(app, {**kept, "QUERY_STRING": query})
    inner.tx = app.read()
    inner.identity = GUEST
    inner.site, inner.head = ctx.site, ctx.head
    inner.ip, inner.request_id, inner.token = ctx.ip, ctx.request_id, ctx.token
    inner.path = unquote(path)
    _read_query(inner)
    inner.switches = ctx.switches
    try:
        handler, inner.args = _route(app, inner)
        operation = handler.operations["GET"]
        _identify(app, inner, handler, "GET")
        result = _get(inner, handler, operation)
        if not isinstance(result, Data | Page):
            return None
        found = _finish(app, inner, operation, result, "GET", status)
    finally:
        inner.tx.end()
        ctx.tx.statements += inner.tx.statements
        ctx.tx.seconds += inner.tx.seconds
        ctx.tx.cache_trips += inner.tx.cache_trips
    headers = [pair for pair in found[1] if pair[0] != "Cache-Control"]
    return status, [*headers, ("Cache-Control", _NO_CACHE)], found[2]


def _work(ctx: Context, handler: Handler, operation: Operation, verb: str) -> Result:
    """The order of checks of content 1.2: it decides which status wins."""
    if verb == "PUT":
        located = ctx.located = handler.locate(ctx)
        if located is not None:
            # Reading is asked first everywhere, so that private ids can't be told from unknown ones (C-01).
            unread = operation.need in (ANYONE, LOGIN, MODERATE, OWNER)
            _permit(ctx, ANYONE if unread else READ)
            _show(ctx)
        _decode(ctx, operation)
        _permit(ctx, operation.need)
    else:
        if verb != "DELETE" or operation.body is not None:
            _decode(ctx, operation)
        located = ctx.located = handler.locate(ctx)
        _permit(ctx, operation.need)
        if located is not None:
            if verb == "DELETE" and located.is_hidden_from(ctx.can):
                return Done()
            if verb != "DELETE":
                _show(ctx)
    wanted = ctx.environ.get("HTTP_IF_MATCH")
    if wanted is not None and located is not None and located.version:
        response.check_match(wanted, located.version)
    return handler.call(verb, ctx)


def render_as(app: Services, site: Site, identity: Identity, path: str) -> bytes:
    """What a GET of `path`, without a query, has as `data` for `identity`: for those who tell of it elsewhere.

    Nothing is marked as read and no view is counted. Raises what a request would: Forbidden, NotFound.
    """
    ctx = Context(app, {})
    ctx.site, ctx.identity = site, identity
    ctx.path, ctx.query_string, ctx.pairs, ctx.query = path, "", [], {}
    ctx.switches = PLAIN
    ctx.ip = ctx.request_id = ""
    ctx.is_head = True
    ctx.tx = app.database.read()
    try:
        handler, ctx.args = _route(app, ctx)
        if identity.ban_reason is not None and not handler.admits_banned(ctx):
            raise Forbidden(identity.ban_reason, code=errors.BANNED)
        result = _get(ctx, handler, handler.operations["GET"])
        if isinstance(result, Page):
            return result.build()
        if isinstance(result, Data):
            return result.data
        raise NotFound("There is no document at this address")
    finally:
        ctx.tx.end()


# ---------------------------------------------------------------- the answer


def _finish(
    app: Services,
    ctx: Context,
    operation: Operation,
    result: Result,
    method: str,
    status: int = 200,
) -> Answered:
    switches = ctx.switches
    is_read = method in ("GET", "HEAD")
    if isinstance(result, RawResponse):
        headers = response.plain_headers()
        headers.append(("Content-Type", result.content_type))
        headers.extend(result.headers)
        if not any(name == "Cache-Control" for name, _ in result.headers):
            headers.append(
                ("Cache-Control", app.cache_control if is_read and not ctx.token else _NO_CACHE)
            )
        tag = dict(result.headers).get("ETag")
        known = ctx.environ.get("HTTP_IF_NONE_MATCH", "")
        if is_read and tag is not None and response.none_match(known, tag):
            return 304, headers, b""
        return result.status, headers, result.body
    if isinstance(result, ConnectionUpgrade):
        return result.status, response.plain_headers() + result.headers, result
    if isinstance(result, StoredBytes):
        return result.status, result.headers, result.body
    headers = response.base_headers(switches)
    if isinstance(result, Found):
        headers.append(("Cache-Control", _NO_CACHE))
        headers.append(("Location", result.location))
        status = 303 if _repeats_on_302(ctx, result, method) else result.status
        return status, headers, response.envelope(status, b"null", b"null", switches)
    is_cachable = is_read and ctx.identity.is_guest and not ctx.token
    if isinstance(result, Page) and not result.is_kept:
        is_cachable = False
    headers.append(("Cache-Control", app.cache_control if is_cachable else _NO_CACHE))
    if is_read and not ctx.site.is_root:
        if not app.live.has_cursors:
            ctx.tx.end()
        headers.append(("Live-Cursor", app.live.cursors.make(ctx.site.id, ctx.head)))
    if isinstance(result, Page):
        key = response.etag(result, switches, ctx.path, ctx.query_string)
        # Members see their own user's id where others see the profile's.
        tag = f'{key[:-1]}.{ctx.identity.profile_id}"' if ctx.identity.profile_id else key
        headers.append(("ETag", tag))
        if is_read and response.none_match(ctx.environ.get("HTTP_IF_NONE_MATCH", ""), tag):
            return 304, headers, b""
        # The key covers every byte but that id, so an answer that was given under it is this one.
        kept = app.answers.get((ctx.site.id, key))
        metrics.CACHE.add(1, "answers", "made" if kept is None else "memory")
        if kept is None:
            data = result.build()
            app.answers.add((ctx.site.id, key), data)
        else:
            data = kept
    elif isinstance(result, Data):
        data = result.data
    else:
        data = b"null"
    me = ctx.identity
    if me.profile_id:
        data = profile.own_user(data, ctx.site.id, me.profile_id, me.user_id)
    return status, headers, response.envelope(status, data, b"null", switches)


def _repeats_on_302(ctx: Context, result: Found, method: str) -> bool:
    """Return True for a PUT that a page sent as such: the Fetch standard repeats it on 302 (platform 1.3)."""
    environ = ctx.environ
    return (
        result.status == 302
        and method == environ["REQUEST_METHOD"] == "PUT"
        and ("HTTP_SEC_FETCH_MODE" in environ or "HTTP_ORIGIN" in environ)
    )


_NO_CACHE: Final = "no-cache, max-age=0"


def _forbid_storing(headers: Headers) -> None:
    """What holds a secret is kept nowhere on its way (RFC 6749, section 5.1)."""
    headers[:] = [pair for pair in headers if pair[0] != "Cache-Control"]
    headers.append(("Cache-Control", "no-store"))


def _options_headers(allow: str) -> Headers:
    return [
        ("Allow", allow),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", allow),
        ("Access-Control-Allow-Headers", CORS_REQUEST),
        ("Access-Control-Expose-Headers", CORS_RESPONSE),
        ("Access-Control-Max-Age", "86400"),
        ("X-Content-Type-Options", "nosniff"),
    ]


def _error(ctx: Context, error: ApiError, handler: Handler | None, method: str) -> Answered:
    if (
        handler is not None
        and handler.is_stream
        and error.status in (429, 503)
        and "text/event-stream" in ctx.environ.get("HTTP_ACCEPT", "")
    ):
        headers = response.plain_headers()
        headers += [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        wait_ms = 1000 * max(3, int(dict(error.headers).get("Retry-After", "3")))
        return 200, headers, b"retry: %d\n\n" % wait_ms
    site = getattr(ctx, "site", None)
    data = response.error_data(error, site.id if site else 0, ctx.identity.profile_id)
    if method == "POST" and getattr(handler, "errors_without_data", False):
        data = b"null"
    headers = response.base_headers(ctx.switches)
    headers.append(("Cache-Control", _NO_CACHE))
    headers.extend(error.headers)
    text = dumps([error.message])
    return error.status, headers, response.envelope(error.status, data, text, ctx.switches)
