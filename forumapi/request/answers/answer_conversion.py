"""Conversion of a handler's result, or of an error, into status, headers and body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forumapi.errors import ApiError
from forumapi.models.people import profile_summary
from forumapi.observability import metrics
from forumapi.request.context import Context
from forumapi.request.handler import Handler
from forumapi.request.handler_results import (
    Answer,
    Answered,
    ConnectionUpgrade,
    Data,
    Found,
    Page,
    RawResponse,
    Result,
    StoredBytes,
)
from forumapi.wire import entity_tags, json_envelope, status_and_base_headers
from forumapi.wire.documented_headers import CORS_REQUEST, CORS_RESPONSE
from forumapi.wire.json_fragments import dumps
from forumapi.wire.status_and_base_headers import NO_CACHE, NO_INDEX, Headers

if TYPE_CHECKING:
    from forumapi.request.services import Services


def finish(app: Services, ctx: Context, result: Result, method: str, status: int = 200) -> Answered:
    """Convert a handler's result into status, headers and body; under GET and HEAD an answer whose entity tag the
    client has sent becomes 304.

    `method`: HTTP method that was run, after an override; for HEAD the body is converted too, and `seal` leaves it out.
    `status`: that of an answer with the envelope; redirects and answers without the envelope have their own.
    """
    is_read = method in ("GET", "HEAD")
    if isinstance(result, RawResponse):
        return _raw(app, ctx, result, is_read)
    if isinstance(result, ConnectionUpgrade):
        return result.status, status_and_base_headers.plain_headers() + result.headers, result
    if isinstance(result, StoredBytes):
        return result.status, result.headers, result.body
    headers = status_and_base_headers.base_headers(ctx.switches)
    if isinstance(result, Found):
        headers += [("Cache-Control", NO_CACHE), ("Location", result.location)]
        status = 303 if _repeats_on_302(ctx, result, method) else result.status
        return status, headers, json_envelope.envelope(status, b"null", b"null", ctx.switches)
    is_cachable = is_read and ctx.identity.is_guest and not ctx.token
    if isinstance(result, Page) and not result.is_kept:
        is_cachable = False
    headers.append(("Cache-Control", app.cache_control if is_cachable else NO_CACHE))
    if is_read and not ctx.site.is_root:
        if not app.live.has_cursors:
            ctx.reader.end()
        headers.append(("Live-Cursor", app.live.cursors.make(ctx.site.id, ctx.head)))
    data = b"null"
    if isinstance(result, Page):
        built = _built(app, ctx, result, is_read, headers)
        if built is None:
            return 304, headers, b""
        data = built
    elif isinstance(result, Data):
        data = result.data
    me = ctx.identity
    if me.profile_id:
        data = profile_summary.own_user(data, ctx.site.id, me.profile_id, me.user_id)
    return status, headers, json_envelope.envelope(status, data, b"null", ctx.switches)


def _raw(app: Services, ctx: Context, result: RawResponse, is_read: bool) -> Answered:
    """Convert a result without the envelope; 304 under GET and HEAD (`is_read`) if it has an entity tag that the client
    sent.
    """
    headers = [
        *status_and_base_headers.plain_headers(),
        ("Content-Type", result.content_type),
        *result.headers,
    ]
    own = dict(result.headers)
    if "Cache-Control" not in own:
        headers.append(
            ("Cache-Control", app.cache_control if is_read and not ctx.token else NO_CACHE)
        )
    tag = own.get("ETag")
    known = ctx.environ.get("HTTP_IF_NONE_MATCH", "")
    if is_read and tag is not None and entity_tags.none_match(known, tag):
        return 304, headers, b""
    return result.status, headers, result.body


def _built(
    app: Services, ctx: Context, page: Page, is_read: bool, headers: Headers
) -> bytes | None:
    """Return a page's document, from the cache of finished answers or built now; None under GET and HEAD (`is_read`) if
    the client has sent its entity tag.

    Adds the entity tag to `headers` in any case; that of a member ends with the profile's id.
    """
    key = entity_tags.etag(page.version, page.stamp, ctx.switches, ctx.path, ctx.query_string)
    # Members see their own user's id where others see the profile's.
    tag = f'{key[:-1]}.{ctx.identity.profile_id}"' if ctx.identity.profile_id else key
    headers.append(("ETag", tag))
    if is_read and entity_tags.none_match(ctx.environ.get("HTTP_IF_NONE_MATCH", ""), tag):
        return None
    # The key covers every byte but that id, so an answer that is kept under the key is this one.
    data = app.answers.get((ctx.site.id, key))
    metrics.CACHE.add(1, "answers", "made" if data is None else "memory")
    if data is None:
        data = page.build()
        app.answers.add((ctx.site.id, key), data)
    return data


def seal(app: Services, ctx: Context, method: str, answer: Answered) -> tuple[int, Answer]:
    """Complete `answer`: add the headers that every answer has, leave the body out under HEAD, and apply the switch
    `always200`, by which the status line says 200 for any status but 101, 206 and 304.

    Returns the size of the body in bytes, before HEAD leaves it out (0 for a POST overridden to HEAD), and the answer
    as it is sent. `method`: HTTP method that was run, after an override.
    """
    status, headers, data = answer
    environ = ctx.environ
    headers.append(("X-Request-Id", ctx.request_id))
    site = getattr(ctx, "site", None)
    if site is not None and site.is_sandbox:
        headers.append(("X-Robots-Tag", NO_INDEX))
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
            (
                "Server-Timing",
                f"db;desc={ctx.reader.statements}, cache;desc={ctx.reader.cache_trips}",
            )
        )
    line = 200 if ctx.switches.always200 and status not in (101, 206, 304) else status
    if method == "HEAD" or status == 304:
        data = b""
    return size, (status_and_base_headers.STATUS_LINES[line], headers, data)


def _repeats_on_302(ctx: Context, result: Found, method: str) -> bool:
    """Return True if `result` is a 302 in answer to a PUT from a script in a browser, which would send PUT again to the
    target (platform 1.3).
    """
    environ = ctx.environ
    return (
        result.status == 302
        and method == environ["REQUEST_METHOD"] == "PUT"
        and ("HTTP_SEC_FETCH_MODE" in environ or "HTTP_ORIGIN" in environ)
    )


def forbid_storing(headers: Headers) -> None:
    """Replace Cache-Control in `headers` so that no cache stores the answer, which holds a secret (RFC 6749, section
    5.1).
    """
    headers[:] = [pair for pair in headers if pair[0] != "Cache-Control"]
    headers.append(("Cache-Control", "no-store"))


def options_headers(allow: str) -> Headers:
    """Return the headers of an answer to OPTIONS, those of CORS included. `allow`: value of the header Allow."""
    return [
        ("Allow", allow),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", allow),
        ("Access-Control-Allow-Headers", CORS_REQUEST),
        ("Access-Control-Expose-Headers", CORS_RESPONSE),
        ("Access-Control-Max-Age", "86400"),
        ("X-Content-Type-Options", "nosniff"),
    ]


def refuse(ctx: Context, error: ApiError, handler: Handler | None, method: str) -> Answered:
    """Convert an error into status, headers and body. `handler` None: the error was raised before the route was known;
    `method`: HTTP method that was to be run, after an override. The member `data` is null for a POST to a handler with
    `errors_without_data`.

    An `EventSource` gets 200 and the time after which to reconnect in place of 429 and 503, after which it would give
    up.
    """
    if (
        handler is not None
        and handler.is_stream
        and error.status in (429, 503)
        and "text/event-stream" in ctx.environ.get("HTTP_ACCEPT", "")
    ):
        headers = status_and_base_headers.plain_headers()
        headers += [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        wait_ms = 1000 * max(3, int(dict(error.headers).get("Retry-After", "3")))
        return 200, headers, b"retry: %d\n\n" % wait_ms
    site = getattr(ctx, "site", None)
    data = json_envelope.error_data(error, site.id if site else 0, ctx.identity.profile_id)
    if method == "POST" and getattr(handler, "errors_without_data", False):
        data = b"null"
    headers = status_and_base_headers.base_headers(ctx.switches)
    headers.append(("Cache-Control", NO_CACHE))
    headers.extend(error.headers)
    if (
        error.status == 401
        and site is not None
        and handler is not None
        and handler.resource_metadata
    ):
        address = f"{site.origin}{handler.resource_metadata}"
        headers.append(("WWW-Authenticate", f'Bearer resource_metadata="{address}"'))
    text = dumps([error.message])
    return error.status, headers, json_envelope.envelope(error.status, data, text, ctx.switches)
