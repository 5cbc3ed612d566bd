"""Tables of the request and response headers, from which the OpenAPI document and the lists of CORS are made.

A page of another origin may send a request header, or read a response header, only if CORS lists it (platform 1.3), so
that every header that is described can be used there.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

REQUEST: Final[dict[str, Schema]] = {
    "Idempotency-Key": {
        "description": "Your own name for this write, kept for a day: sent again, it is done once and answered alike. "
        "Looked at only for callers who are signed in.",
        "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
    },
    "If-Match": {
        "description": "An ETag as it was read. Only its version counts: the part before the hyphen.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": "ETags that the client holds, or `*`.",
        "schema": {"type": "string"},
    },
    "If-Range": {
        "description": "An ETag or a time: `Range` holds only for the file as it was then.",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "description": "The id of the last frame that was received; wins over `cursor`.",
        "schema": {"type": "string"},
    },
    "Prefer": {
        "description": "`return=representation`: the answer is 200, or 201 for something new, with the document and "
        "its address. `return=minimal`: 204 (RFC 7240).",
        "schema": {"type": "string", "examples": ["return=representation"]},
    },
    "Range": {
        "description": "A part of the file: `bytes=0-1023`.",
        "schema": {"type": "string"},
    },
    "X-Request-Id": {
        "description": "An id for the log: up to 64 letters, digits, dots, hyphens, underscores. Others are replaced.",
        "schema": {"type": "string"},
    },
    "X-Always-200": {
        "description": "Any text: the same as `always200`.",
        "schema": {"type": "string"},
    },
    "X-Disable-Boiler": {
        "description": "Any text: the same as `disableBoiler`.",
        "schema": {"type": "string"},
    },
    "X-HTTP-Method-Override": {
        "description": "On POST: the method that is meant.",
        "schema": {"type": "string", "examples": ["PUT"]},
    },
}

RESPONSE: Final[dict[str, Schema]] = {
    "Accept-Ranges": {
        "description": "`bytes`: parts of the file can be asked for.",
        "schema": {"type": "string"},
    },
    "Allow": {
        "description": "The methods of this address.",
        "schema": {"type": "string", "examples": ["OPTIONS,GET,HEAD"]},
    },
    "Content-Disposition": {
        "description": "The name to keep a file under, where it is not shown in place.",
        "schema": {"type": "string"},
    },
    "Content-Range": {
        "description": "The part of the file that this is.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The answer's tag: its own version, a hyphen, a hash of all it depends on.",
        "schema": {"type": "string"},
    },
    "Live-Cursor": {
        "description": "Where to follow from to miss nothing that happened after what is shown here (on sites).",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "Where to go on, mostly relative to the host.",
        "schema": {"type": "string"},
    },
    "Preference-Applied": {
        "description": "The preference that was followed: nothing is left to ask for.",
        "schema": {"type": "string", "examples": ["return=representation"]},
    },
    "RateLimit-Limit": {
        "description": "Requests a minute; approximate, since each process counts its own share.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Remaining": {
        "description": "Requests left now.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Reset": {
        "description": "Seconds until all of the limit is there again.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "schema": {"type": "integer"},
    },
    "WWW-Authenticate": {
        "description": "What is missing: `Bearer` with the scope that the token lacks, or with the address of the "
        "metadata for agents; `Basic` where the client of an application did not prove itself (RFC 6750, 9728, 6749).",
        "schema": {
            "type": "string",
            "examples": ['Bearer error="insufficient_scope", scope="comments:write"'],
        },
    },
    "X-Request-Id": {
        "description": "The id of this request in the log: the one sent, or a new one.",
        "schema": {"type": "string"},
    },
}

# `Authorization` and the type of a body are no parameters in OpenAPI, which has parts of its own for them.
CORS_REQUEST: Final = ", ".join(("Authorization", "Content-Type", *sorted(REQUEST)))
CORS_RESPONSE: Final = ", ".join(sorted(RESPONSE))
