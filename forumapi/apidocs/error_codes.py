"""Stable codes of errors for the OpenAPI document and the reference: what each means, and what a client does then.

The codes themselves are in errors.py, and in server/worker.py for what is refused before a request is read.
docs/api/errors.md says the same; a test holds the three together.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi import errors


class ErrorCode(NamedTuple):
    """Stable code of errors: its name and number (0: it has none), the HTTP status of the answer, and, for a client's
    author, what it means and what a client does then.
    """

    name: str
    number: int
    status: int
    meaning: str
    remedy: str


_AGAIN: Final = "Send it again after `Retry-After`."
_MEND: Final = "Mend what the text names; the same request fails again."
_SAME_KEY: Final = "Send it again with the same `Idempotency-Key`."

_NUMBERED: Final = {
    errors.BAD_CONTENT_TYPE: (400, "The content type is not accepted.", _MEND),
    errors.UNPARSABLE: (400, "Something sent can't be parsed.", _MEND),
    errors.WRONG_TYPE: (400, "A value has the wrong type.", _MEND),
    errors.OUT_OF_RANGE: (400, "A value is out of range.", _MEND),
    errors.SIGN_IN: (403, "Guests may not do this.", "Let the person sign in, then repeat it."),
    errors.TOKEN_EXPIRED: (401, "The token has expired.", "Forget it; sign in or refresh."),
    errors.TOKEN_INVALID: (401, "The token is malformed or unknown.", "Forget it; sign in."),
    errors.NEEDS_OWNER: (403, "This is for the site's owner.", "Don't offer it to others."),
    errors.NO_READ: (403, "There is no right to read it, or it never existed.", "Leave it out."),
    errors.NO_CREATE: (403, "There is no right to write there.", "Hide the form."),
    errors.NO_UPDATE: (403, "There is no right to change it.", "Hide the form."),
    errors.NO_DELETE: (403, "There is no right to delete it.", "Hide the button."),
    errors.BANNED: (403, "The caller is banned from the site.", "Show the text; write nothing."),
    errors.NO_SITE: (404, "No site has this host.", "Check the host."),
    errors.DELETED: (404, "It has been deleted.", "Drop what you hold of it."),
    errors.RATE_LIMITED: (429, "Over a limit.", "Wait for `Retry-After` seconds."),
    errors.CLOSED: (400, "It is closed.", "Show it as closed."),
    errors.EVENT_FULL: (400, "The event is full.", "Read the event again."),
    errors.EVENT_OVER: (400, "The event is over.", "Read the event again."),
    errors.FILE_TOO_LARGE: (413, "The file is too large.", "Send a smaller one."),
    errors.BAD_IMAGE: (400, "The picture can't be read.", "Send another one."),
    errors.FILE_UNKNOWN: (400, "The file was never uploaded.", "Upload it, then attach it."),
    errors.ATTACH_TARGET: (400, "There is no such thing to attach to.", _MEND),
    errors.SEARCH_TOO_LONG: (503, "The search took too long.", "Search for something rarer."),
    errors.INSUFFICIENT_SCOPE: (
        403,
        "The token lacks the scope that `scope` names.",
        "Ask the person to grant it.",
    ),
    errors.SIGN_IN_AGAIN: (
        403,
        "This needs a sign-in within the last ten minutes.",
        "Let the person sign in anew, then repeat it.",
    ),
}
_UNNUMBERED: Final = {
    "invalid": (400, "Something sent breaks a rule.", _MEND),
    "malformed_request": (400, "This is no HTTP request.", "Check what sends it."),
    "unauthorized": (401, "The sign-in was refused.", "Ask for the proof again."),
    "second_factor_needed": (
        401,
        "A second factor is needed to sign in.",
        "Ask for its code, and send it with `flow`.",
    ),
    "forbidden": (403, "This is not permitted.", "Show the text."),
    "consent_required": (
        403,
        "The member has not agreed to the text that `consent` names; nothing was written.",
        "Show the text with a button to agree, then repeat the write.",
    ),
    "site_read_only": (
        403,
        "Operators have made the site read-only; nothing was written.",
        "Reads work; send writes when its state changes.",
    ),
    "site_suspended": (
        403,
        "Operators have suspended the site.",
        "Only its owner can still sign in and export it.",
    ),
    "site_closing": (
        403,
        "The site will be deleted soon.",
        "Only its owner can still sign in, export it, or keep it.",
    ),
    "sandbox_refused": (
        403,
        "A sandbox reaches nobody outside of it, and lets nobody in.",
        "Try this on a site of your own.",
    ),
    "not_found": (404, "There is no such address or resource.", "Drop what you hold of it."),
    "method_not_allowed": (405, "The address has no such method.", "Read `Allow`."),
    "request_timeout": (408, "The header did not arrive in time.", "Send it again."),
    "conflict": (
        409,
        "A copy of the request is still under way, or the state has changed.",
        "After `Retry-After` send it again; without, read again first.",
    ),
    "site_moved": (
        410,
        "The site has moved to another platform.",
        "Use the address that a read redirects to; sign in there.",
    ),
    "crawl_budget": (
        429,
        "Unknown programs together have asked the site for too much.",
        "Wait for `Retry-After` seconds, or sign in.",
    ),
    "crawler_refused": (403, "The site refuses this crawler.", "Crawl something else."),
    "plan_limit": (
        403,
        "The site's plan allows no more of this; 429 where it does again after `Retry-After`.",
        "Tell the owner; what the text names is reached.",
    ),
    "precondition_failed": (
        412,
        "`If-Match` names another version.",
        "Read again, merge, and write on the new version.",
    ),
    "too_large": (413, "The body is too large.", "Send less."),
    "address_too_long": (414, "The address is too long.", "Send less in the query."),
    "range_not_satisfiable": (416, "The range is beyond the end.", "Read `Content-Range`."),
    "expectation_failed": (417, "`Expect` asks for something unknown.", "Leave it out."),
    "idempotency_key_reused": (
        422,
        "The `Idempotency-Key` was used with another body.",
        "Take a new key for each write.",
    ),
    "upgrade_required": (426, "The address speaks WebSocket.", "Begin a WebSocket handshake."),
    "headers_too_large": (431, "The headers are too large.", "Send fewer cookies and headers."),
    "internal_error": (500, "The fault is ours.", "Report `X-Request-Id`."),
    "not_implemented": (501, "This is not implemented or not configured.", "Don't repeat it."),
    "bad_gateway": (502, "A service behind this one failed.", "Send it again later."),
    "outcome_unknown": (502, "What was asked for may have been done.", _SAME_KEY),
    "unavailable": (503, "A dependency is away; nothing was written.", _AGAIN),
    "site_busy": (503, "The site gets more requests than its share.", _AGAIN),
    "sandboxes_full": (503, "There are as many sandboxes as the platform allows.", _AGAIN),
    "no_room": (
        503,
        "The disk is full; nothing was written.",
        "Small reads still work; send others later.",
    ),
    "read_only": (503, "The site is being moved; nothing was written.", _AGAIN),
    "too_slow": (503, "It took too long; nothing was written.", "Ask for less, or later."),
}

ERROR_CODES: Final = (
    *(ErrorCode(errors.NAMES[number], number, *rest) for number, rest in _NUMBERED.items()),
    *(ErrorCode(name, 0, *rest) for name, rest in _UNNUMBERED.items()),
)
