"""Envelope of JSON answers, as the client's switches ask for it, and the `data` of errors (platform 1.4, 1.5)."""

from __future__ import annotations

import re
from typing import Any, Final

from forumapi.errors import (
    UNPARSABLE,
    ApiError,
    ConsentRequired,
    InsufficientScope,
    Invalid,
    InvalidRows,
)
from forumapi.wire.json_fragments import dumps

_CALLBACK: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]{0,99}")


class EnvelopeSwitches:
    """Wishes of the client on the form of a JSON answer (platform 1.4), one object for each request that has any wish,
    the shared PLAIN for all others.

    `context`: text to repeat in the envelope, "" for none. `always200`: the HTTP status is 200 for errors and redirects
    too. `bare`: the answer is `data` alone, without the envelope. `callback`: JavaScript function that JSONP calls, ""
    for JSON. `depends_on_cookies`: a callback was asked for, which a cookie makes ignored, so that Vary names Cookie.
    """

    __slots__ = ("always200", "bare", "callback", "context", "depends_on_cookies")

    def __init__(
        self, context: str = "", always200: bool = False, bare: bool = False, callback: str = ""
    ) -> None:
        self.context = context
        self.always200 = always200
        self.bare = bare
        self.callback = callback
        # A callback was asked for, which is ignored where credentials come with it.
        self.depends_on_cookies = False

    @property
    def key(self) -> tuple[str, bool, bool, str]:
        """Return the switches that change the bytes of an answer, for its entity tag: (context, always200, bare,
        callback).
        """
        return (self.context, self.always200, self.bare, self.callback)


PLAIN: Final = EnvelopeSwitches()


def check_callback(name: str) -> str:
    """Return `name` if it is a safe JavaScript name for JSONP, of at most 100 characters (P-06). Raises Invalid, code
    UNPARSABLE, for any other.
    """
    if not _CALLBACK.fullmatch(name):
        raise Invalid(
            "callback", "must be a JavaScript name of at most 100 characters", code=UNPARSABLE
        )
    return name


def envelope(status: int, data: bytes, error: bytes, switches: EnvelopeSwitches) -> bytes:
    """Return the body of a JSON answer from `data` and `error`, both JSON: the envelope, which has the answer's status
    `status` also where `always200` hides it from HTTP; with the switch `bare`, `data` alone; with a `callback`, a call
    of that function with either, and then the `context` if there is one, as arguments (JSONP).
    """
    if switches.bare:
        body = data
    elif switches.context:
        body = b'{"context":%b,"status":%d,"data":%b,"error":%b}' % (
            dumps(switches.context),
            status,
            data,
            error,
        )
    else:
        body = b'{"context":"","status":%d,"data":%b,"error":%b}' % (status, data, error)
    if switches.callback:
        call = b"%b(%b" % (switches.callback.encode(), _script_safe(body))
        return call + (
            b", %b)" % _script_safe(dumps(switches.context)) if switches.context else b")"
        )
    return body


def _script_safe(text: bytes) -> bytes:
    """Escape JSON so that it is valid as JavaScript too, and can't end a script element."""
    return (
        text.replace(b"<", b"\\u003c")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def error_data(error: ApiError, site_id: int, profile_id: int) -> bytes:
    """Return the `data` of an error's answer as JSON: number and name of the code, message, ids of site and profile
    (P-07), and, for the errors that have them, the scope that the token lacks, the legal text to agree to, or a batch's
    wrong rows. `site_id`: 0 if the site is not known; `profile_id`: of the caller, 0 for a guest, whose answer has no
    such key.
    """
    data: dict[str, Any] = {"siteId": site_id}
    if profile_id:
        data["profileId"] = profile_id
    data["errorCode"] = error.code
    data["errorDetail"] = error.message
    data["code"] = error.name
    if isinstance(error, InsufficientScope) and error.scope:
        data["scope"] = error.scope
    if isinstance(error, ConsentRequired):
        data["consent"] = {
            "text": error.text,
            "version": error.version,
            "href": f"/api/v1/consents/{error.text}",
            "page": error.page,
        }
    if isinstance(error, InvalidRows):
        data["rows"] = [
            {"row": row, "field": field, "rule": rule} for row, field, rule in error.rows
        ]
    return dumps(data)
