"""Course of a request from its head to its answer, in nine steps (docs/architecture.md, One request)."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any, Final

from forumapi import errors
from forumapi.errors import ApiError, Invalid, MethodNotAllowed, TooLarge
from forumapi.models.access import rate_counters
from forumapi.models.access.identity import GUEST
from forumapi.models.access.rate_counters import Limit
from forumapi.models.journal import idempotency
from forumapi.models.sites import site_move_guard
from forumapi.observability.log import logger
from forumapi.request import (
    caller,
    metrics_and_access_log,
    patch,
    permission,
    query_and_site,
    routing,
)
from forumapi.request.admission import request_admission
from forumapi.request.answers import answer_conversion, preferred_answer, steps_of_get
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, MODERATE, OWNER, READ, Handler, HandlerOperation
from forumapi.request.handler_results import Answer, Answered, Done, Found, Result
from forumapi.wire import body, entity_tags
from forumapi.wire.json_envelope import PLAIN

if TYPE_CHECKING:
    from forumapi.request.services import Services

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

SIGN_INS_PER_FRONT_END: Final = Limit("sign-in-front-end", 3_000, 3600)


def respond(app: Services, environ: dict[str, Any]) -> Answer:
    """Answer one WSGI request. An ApiError becomes its answer; any other Exception is logged with its traceback and
    answered with 500.

    Raises none of them; the time limit of the worker, gevent.Timeout, passes through.
    """
    started = time.perf_counter()
    ctx = Context(app, environ)
    ctx.reader = app.read()
    ctx.switches = PLAIN
    ctx.ip = ctx.path = ""
    ctx.identity = GUEST
    trace = app.tracer.begin(environ, ctx.reader) if app.tracer is not None else None
    given = environ.get("HTTP_X_REQUEST_ID", "")
    ctx.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
    # The worker answers by itself where the time limit ends the request.
    environ["forumapi.request_id"] = ctx.request_id
    method = environ["REQUEST_METHOD"]
    handler: Handler | None = None
    text = ""
    try:
        try:
            ctx.path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
            ctx.ip = app.proxies.client_ip(environ)
            query_and_site.read_query(ctx)
            method = query_and_site.overridden(ctx, method)
            moved_to = query_and_site.find_site(app, ctx)
            if moved_to:
                answer = query_and_site.redirect_moved(ctx, method, moved_to)
            elif "//" in ctx.path and method in ("GET", "HEAD"):
                answer = query_and_site.redirect_double_slashes(app, ctx)
            else:
                handler, ctx.args = routing.route(app, ctx)
                answer = _answer(app, ctx, handler, method)
        finally:
            ctx.reader.end()
    except ApiError as error:
        error = caller.count_refusal(app, ctx, error)
        text = error.message
        if error.reason:
            logger.warning("request %s: %s", ctx.request_id, error.reason)
        answer = answer_conversion.refuse(ctx, error, handler, method)
    except Exception:  # noqa: BLE001 - the edge: whatever it is, the client gets an answer
        text = "Internal error"
        logger.exception(
            "request %s failed: %s %s",
            ctx.request_id,
            method,
            type(handler).__name__,
            extra={"context": metrics_and_access_log.place(ctx, method)},
        )
        answer = answer_conversion.refuse(ctx, ApiError(text), handler, method)
    size, sealed = answer_conversion.seal(app, ctx, method, answer)
    if trace is not None:
        trace.end(f"{method} {ctx.route}", answer[0], metrics_and_access_log.place(ctx, method))
    metrics_and_access_log.record(ctx, method, answer[0], size, time.perf_counter() - started, text)
    return sealed


def _answer(app: Services, ctx: Context, handler: Handler, method: str) -> Answered:
    """Answer a request whose handler is known: count it for the rate limit, then read or write; OPTIONS is counted by
    the address and answered at once. Raises MethodNotAllowed for a method that the handler lacks, and the ApiError of
    any step that refuses the request.
    """
    if method == "OPTIONS":
        caller.count_address(app, ctx)
        return 200, answer_conversion.options_headers(handler.allow), b""
    verb = "GET" if method == "HEAD" else method
    operation = handler.operations.get(verb)
    if operation is None:
        raise MethodNotAllowed(method, handler.allow)
    ctx.is_head = method == "HEAD"
    ctx.is_write = verb != "GET"
    caller.count(app, ctx, handler)
    # A request that waits holds no connection: the one that asked for the site is given back.
    ctx.reader.end()
    if verb == "GET":
        with request_admission.admit(app, ctx, handler, verb):
            answer = _read(app, ctx, handler, operation, method)
    else:
        answer = _receive(app, ctx, handler, operation, verb)
    if not handler.takes_idempotency_key:
        answer_conversion.forbid_storing(answer[1])
    return answer


def _read(
    app: Services, ctx: Context, handler: Handler, operation: HandlerOperation, method: str
) -> Answered:
    caller.identify(app, ctx, handler, "GET")
    result = steps_of_get.read_document(ctx, handler, operation)
    return answer_conversion.finish(app, ctx, result, method)


def _receive(
    app: Services, ctx: Context, handler: Handler, operation: HandlerOperation, verb: str
) -> Answered:
    """Receive the body of a write, then write. `verb`: the method to run, a key of `Handler.operations`.

    Files are received before the transaction, after the caller was identified; another body is read whole, unless
    `Handler.receive` reads it. A sign-in by way of a front end is counted for the front end before its body is read
    (TooMany). Raises the ApiError of the step that refuses the write.
    """
    if not (handler.receives_files and verb == "POST"):
        if ctx.front_end and handler.signs_in:
            # A front end speaks for any number of visitors: its sign-ins are counted together too.
            most = SIGN_INS_PER_FRONT_END._replace(most=app.config.sign_ins_per_front_end)
            with app.database.write() as tx:
                rate_counters.take(tx, most, ctx.front_end)
        if not handler.receive(ctx):
            _read_body(app, ctx)
        # After the body: a client that sends slowly holds no place.
        with request_admission.admit(app, ctx, handler, verb):
            return _write(app, ctx, handler, operation, verb)
    if (clock := ctx.environ.get("forumapi.time_limit")) is not None:
        clock(app.config.upload_timeout_s)
    caller.identify(app, ctx, handler, verb)
    with handler.take_files(ctx):
        ctx.reader.end()
        with request_admission.admit(app, ctx, handler, verb):
            return _write(app, ctx, handler, operation, verb)


def _read_body(app: Services, ctx: Context) -> None:
    """Set `ctx.raw_body` to the whole body. Raises TooLarge beyond the limit, Invalid for a body that ends early."""
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


def _decode(ctx: Context, operation: HandlerOperation) -> None:
    """Set `ctx.body` to the body decoded into the type that the operation declares, unless it is set already. Raises
    Invalid; for a PATCH document also NotImplementedHere.
    """
    if operation.body is not None and ctx.body is None:
        sent = body.parse(ctx.raw_body, ctx.environ.get("CONTENT_TYPE", ""), operation.body)
        if operation.body == list[patch.Operation]:
            patch.check(sent)
        ctx.body = sent


def _write(
    app: Services, ctx: Context, handler: Handler, operation: HandlerOperation, verb: str
) -> Answered:
    """Answer a write, by the method `verb` of `handler`, which `operation` declares, in one transaction that is
    committed at the end: identify the caller, claim the idempotency key, run `_work`.

    A repeated key is answered by `Handler.replay` without writing; a guest's well-formed key is ignored. Raises Invalid
    for a malformed key, and for any key where the answer holds a secret, guests' keys included; else the ApiError of
    the step that refuses the write.
    """
    key = ctx.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None:
        idempotency.check(key)
        if not handler.takes_idempotency_key:
            raise Invalid("Idempotency-Key", "is not accepted here: this answer holds a secret")
    with app.database.write(ctx.site.id) as tx:
        tx.steps = ctx.reader.steps
        ctx.reader = ctx.writer = tx
        caller.identify(app, ctx, handler, verb)
        if ctx.site.is_moving:
            site_move_guard.check_writable(tx, ctx.site.id)
        scope = None
        if key is not None and not ctx.identity.is_guest:
            scope = idempotency.KeyScope(ctx.site.id, ctx.identity.profile_id, verb, ctx.path, key)
            done = idempotency.claim(tx, scope, ctx.raw_body, app.config.idempotency_hours)
        else:
            done = None
        result = handler.replay(ctx, done) if done else _work(ctx, handler, operation, verb)
        answer = answer_conversion.finish(app, ctx, result, verb)
        if scope is not None and done is None:
            location = result.location if isinstance(result, Found) else ""
            idempotency.finish(tx, scope, answer[0], location)
        # From here on the time limit of the request can't say that nothing was written.
        ctx.environ["forumapi.is_committing"] = True
    if tx.changes_site:
        # On the platform's host the site that was written may be any.
        app.sites.mark_written(0 if ctx.site.is_root else ctx.site.id)
    app.sequencer.hint()
    return preferred_answer.apply(app, ctx, handler, verb, result, answer)


def _work(ctx: Context, handler: Handler, operation: HandlerOperation, verb: str) -> Result:
    """Decode the body, locate the object and check permission on it in the order of content 1.2, which decides on the
    status of a faulty write; then run the method `verb`, which `operation` declares, and return its result. A DELETE of
    what is hidden from the caller does nothing, and is answered as if it were done. Raises PreconditionFailed for a
    version other than that of If-Match, and the ApiError of the step that refuses the write.
    """
    if verb == "PUT":
        located = ctx.located = handler.locate(ctx)
        if located is not None:
            # READ is checked first everywhere, so that private ids can't be told from unknown ones (C-01).
            unread = operation.need in (ANYONE, LOGIN, MODERATE, OWNER)
            permission.permit(ctx, ANYONE if unread else READ)
            permission.refuse_hidden(ctx, located)
        _decode(ctx, operation)
        permission.permit(ctx, operation.need)
    else:
        if verb != "DELETE" or operation.body is not None:
            _decode(ctx, operation)
        located = ctx.located = handler.locate(ctx)
        permission.permit(ctx, operation.need)
        if located is not None:
            if verb == "DELETE" and located.is_hidden_from(ctx.can):
                return Done()
            if verb != "DELETE":
                permission.refuse_hidden(ctx, located)
    wanted = ctx.environ.get("HTTP_IF_MATCH")
    if wanted is not None and located is not None and located.version:
        entity_tags.check_match(wanted, located.version)
    return handler.call(verb, ctx)
