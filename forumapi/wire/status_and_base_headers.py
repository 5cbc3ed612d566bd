"""HTTP status lines, which stand in this module alone, and the headers that all answers have."""

from __future__ import annotations

from typing import Final

from forumapi.wire.documented_headers import CORS_RESPONSE
from forumapi.wire.json_envelope import EnvelopeSwitches

Headers = list[tuple[str, str]]

STATUS_LINES: Final = {
    101: "101 Switching Protocols",
    200: "200 OK",
    201: "201 Created",
    202: "202 Accepted",
    204: "204 No Content",
    206: "206 Partial Content",
    301: "301 Moved Permanently",
    302: "302 Found",
    303: "303 See Other",
    304: "304 Not Modified",
    307: "307 Temporary Redirect",
    308: "308 Permanent Redirect",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    408: "408 Request Timeout",
    409: "409 Conflict",
    410: "410 Gone",
    412: "412 Precondition Failed",
    413: "413 Content Too Large",
    416: "416 Range Not Satisfiable",
    422: "422 Unprocessable Content",
    426: "426 Upgrade Required",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    501: "501 Not Implemented",
    502: "502 Bad Gateway",
    503: "503 Service Unavailable",
}

NO_CACHE: Final = "no-cache, max-age=0"
# X-Robots-Tag of a sandbox: nothing there is to be found by a search engine.
NO_INDEX: Final = "noindex, nofollow"
# Headers of a request that any JSON answer depends on (platform 1.4, 1.5).
VARY: Final = "Authorization, X-Always-200, X-Disable-Boiler"


def base_headers(switches: EnvelopeSwitches) -> Headers:
    """Return the headers, (name, value) each, that JSON answers begin with; Cache-Control and Content-Length are left
    to the caller. `switches`: of the request; with a callback, the Content-Type is that of JavaScript.
    """
    kind = "application/javascript" if switches.callback else "application/json"
    vary = f"{VARY}, Cookie" if switches.depends_on_cookies else VARY
    return [*plain_headers(vary), ("Content-Type", kind)]


def plain_headers(vary: str = "Authorization") -> Headers:
    """Return the headers, (name, value) each, that answers of any type begin with: those of CORS, Vary and `nosniff`.
    `vary`: request headers that the answer depends on, "" for none.
    """
    headers = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", CORS_RESPONSE),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if vary:
        headers.insert(2, ("Vary", vary))
    return headers
