"""Answer to a committed write in the form that Prefer asks for: with the written document, or empty (RFC 7240)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from forumapi.errors import ApiError, Forbidden, NotFound
from forumapi.models.access.identity import GUEST
from forumapi.observability.log import logger
from forumapi.request import caller, query_and_site, routing
from forumapi.request.answers import answer_conversion, steps_of_get
from forumapi.request.context import Context
from forumapi.request.handler import Handler
from forumapi.request.handler_results import Answered, Data, Done, Found, Page, Result
from forumapi.wire import json_envelope
from forumapi.wire.status_and_base_headers import NO_CACHE

if TYPE_CHECKING:
    from forumapi.request.services import Services

# Headers of a write that the read of its document does not take over.
_OF_THE_WRITE: Final = frozenset(
    ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "QUERY_STRING")
)

REPRESENTATION: Final = "return=representation"
MINIMAL: Final = "return=minimal"
_RETURN: Final = re.compile(r'return\s*=\s*"?(representation|minimal)"?\s*(?:;.*)?', re.IGNORECASE)


def apply(
    app: Services, ctx: Context, handler: Handler, verb: str, result: Result, answer: Answered
) -> Answered:
    """Return the answer to a committed write, by the method `verb` of `handler`, in the form that the header Prefer
    asks for; without the header, and for a result without the envelope, `answer`, into which the method's `result` was
    converted.

    `return=minimal`: 204, or `answer` if its data holds a secret. `return=representation`: the document that the write
    made or changed, read anew; `answer` if that has data itself, if there is no document, or if reading it fails or is
    refused, which raises nothing here. The header Preference-Applied says that the wish was met.
    """
    form = preferred(ctx.environ.get("HTTP_PREFER", ""))
    if not form or not isinstance(result, Data | Page | Done | Found):
        return answer
    applied = ("Preference-Applied", form)
    if form == MINIMAL:
        # A secret is shown once, so an answer that holds a token is never minimal.
        if isinstance(result, Data | Page) and not handler.takes_idempotency_key:
            return answer
        headers = [*answer[1], applied]
        if ctx.switches.always200:
            return 204, headers, json_envelope.envelope(204, b"null", b"null", ctx.switches)
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
        # A deleted thing has no document any more; one out of the caller's sight is refused at its new address.
        if verb == "DELETE":
            answer[1].append(applied)
        return answer
    except ApiError as error:
        # The write is committed, whatever fails from here on: the answer says where the document is.
        logger.warning("request %s: no document after the write: %s", ctx.request_id, error.message)
        return answer
    if found is None:
        return answer
    found[1].extend((("Location", location), applied))
    return found


def _document_path(app: Services, ctx: Context, handler: Handler) -> str:
    """Return the path of the document that a write without redirect changed: the request's own, or else that above it.

    "" if neither can be read by GET, or the document above does not show the change (`shows_above`).
    """
    if "GET" in handler.operations:
        return ctx.path
    if not handler.shows_above:
        return ""
    above = ctx.path.rpartition("/")[0]
    found = app.routes(ctx.site).match(above)
    return above if found is not None and "GET" in found.handler.operations else ""


def _read_back(app: Services, ctx: Context, location: str, status: int) -> Answered | None:
    """Read the document at `location` as the caller of the write, and return it as an answer with `status`.

    Has all effects of a GET there: permissions are checked, comments are marked as read. None if it is no JSON
    document. Raises the ApiError that refuses that GET.
    """
    path, _, query = location.partition("?")
    kept = {name: value for name, value in ctx.environ.items() if name not in _OF_THE_WRITE}
    inner = Context(app, {**kept, "QUERY_STRING": query})
    inner.reader = app.read()
    inner.identity = GUEST
    inner.site, inner.head = ctx.site, ctx.head
    inner.reader.site_id = ctx.site.id
    inner.ip, inner.request_id, inner.token = ctx.ip, ctx.request_id, ctx.token
    inner.is_token_known = ctx.is_token_known
    inner.path = unquote(path)
    query_and_site.read_query(inner)
    inner.switches = ctx.switches
    try:
        handler, inner.args = routing.route(app, inner)
        operation = handler.operations["GET"]
        caller.identify(app, inner, handler, "GET")
        result = steps_of_get.read_document(inner, handler, operation)
        if not isinstance(result, Data | Page):
            return None
        found = answer_conversion.finish(app, inner, result, "GET", status)
    finally:
        inner.reader.end()
        ctx.reader.statements += inner.reader.statements
        ctx.reader.seconds += inner.reader.seconds
        ctx.reader.cache_trips += inner.reader.cache_trips
    headers = [pair for pair in found[1] if pair[0] != "Cache-Control"]
    return status, [*headers, ("Cache-Control", NO_CACHE)], found[2]


def preferred(header: str) -> str:
    """Return the form that the value of a header Prefer asks for as the answer to a write: REPRESENTATION, MINIMAL or
    "" (RFC 7240).

    The first of several wishes counts; unknown preferences are ignored, as the RFC demands.
    """
    for one in header.split(","):
        if found := _RETURN.fullmatch(one.strip()):
            return f"return={found[1].lower()}"
    return ""
