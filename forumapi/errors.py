"""Errors of the API: a class of exceptions for each status, further ones for special causes, with the stable codes of
platform 1.6.

Models and handlers raise these; only request/answers/answer_conversion.py turns them into answers.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import ClassVar, Final, TypeVar

T = TypeVar("T")

BAD_CONTENT_TYPE: Final = 1
UNPARSABLE: Final = 2
WRONG_TYPE: Final = 3
OUT_OF_RANGE: Final = 4
SIGN_IN: Final = 5
TOKEN_EXPIRED: Final = 6
TOKEN_INVALID: Final = 7
NEEDS_OWNER: Final = 8
NO_READ: Final = 9
NO_CREATE: Final = 10
NO_UPDATE: Final = 11
NO_DELETE: Final = 12
BANNED: Final = 13
NO_SITE: Final = 14
DELETED: Final = 15
RATE_LIMITED: Final = 16
CLOSED: Final = 17
EVENT_FULL: Final = 18
EVENT_OVER: Final = 19
FILE_TOO_LARGE: Final = 20
BAD_IMAGE: Final = 21
FILE_UNKNOWN: Final = 22
ATTACH_TARGET: Final = 23
SEARCH_TOO_LONG: Final = 24
INSUFFICIENT_SCOPE: Final = 25
SIGN_IN_AGAIN: Final = 26
# Number of a code -> its name; errors without a number have the name of their class.
NAMES: Final[dict[int, str]] = {
    value: name.lower()
    for name, value in [*globals().items()]
    if name.isupper() and isinstance(value, int)
}


_MOST_EXCERPT: Final = 100


def excerpt(text: str) -> str:
    """Return the first 100 characters of a text from the request, to quote in a message; "…" stands for the rest."""
    return text if len(text) <= _MOST_EXCERPT else text[:_MOST_EXCERPT] + "…"


class ApiError(Exception):
    """Error answer: HTTP `status` (None: that of the class), stable number `code` (0: none) and `message`, a sentence
    for the API's user.

    `headers`: further headers of the answer. `own_name`: stable code of those errors of the class that have no number;
    apidocs/error_codes.py explains each. `reason`: for the operator alone; it is logged, never sent.
    """

    status = 500
    own_name: ClassVar[str] = "internal_error"
    reason = ""

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.headers = headers
        if status is not None:
            self.status = status

    @property
    def name(self) -> str:
        """Return the stable code in letters, such as "rate_limited", which answers have as `code`; the number `code` is
        `errorCode` there.
        """
        return NAMES[self.code] if self.code else self.own_name


class Invalid(ApiError):
    """400: the request breaks a rule. `field` names the place in the body or query ("": the whole), `rule` says in
    words what must hold there. `code`: stable number of the kind of error; 0: none, the error is named `invalid`.
    """

    status = 400
    own_name = "invalid"

    def __init__(self, field: str, rule: str, *, code: int = 0) -> None:
        super().__init__(f"{field}: {rule}" if field else rule, code=code)
        self.field = field


class InvalidRows(Invalid):
    """400: rows of a sent list break rules, so that none was carried out. `rows`: (number of the row, from 1, or of its
    line; field; rule).

    `total`: rows in the list. Only the first MOST_NAMED of `rows` are in the answer.
    """

    MOST_NAMED = 1_000

    def __init__(self, rows: Sequence[tuple[int, str, str]], total: int) -> None:
        count = len({row for row, _, _ in rows})
        super().__init__(
            "", f"Nothing was changed: {count} of {total} rows can't be taken", code=OUT_OF_RANGE
        )
        self.rows = rows[: self.MOST_NAMED]


class Unauthorized(ApiError):
    """401: the token, code or assertion that was presented, or an identity provider's answer, is not valid."""

    status = 401
    own_name = "unauthorized"


class Forbidden(ApiError):
    """403: the caller, a member or a guest who would have to sign in, lacks the right; also the answer for a content
    item that never existed (content 1.2).
    """

    status = 403
    own_name = "forbidden"


class SiteReadOnly(Forbidden):
    """403: a write to a site that operators of the platform have made read-only, until they allow writes again."""

    own_name = "site_read_only"

    def __init__(self) -> None:
        super().__init__("The platform's operators have made this site read-only")


class SiteSuspended(Forbidden):
    """403: the site is suspended by operators of the platform; only its owner still gets in, to export it."""

    own_name = "site_suspended"

    def __init__(self) -> None:
        super().__init__("The platform's operators have suspended this site")


class SiteClosing(Forbidden):
    """403: the site is in its export window, and will be deleted at `due`; only its owner still gets in."""

    own_name = "site_closing"

    def __init__(self, due: datetime.datetime) -> None:
        super().__init__(
            f"This site will be deleted on {due:%-d %B %Y}; until then its owner can export or keep it"
        )


class SandboxRefused(Forbidden):
    """403: a sandbox does nothing that would reach people or servers outside of it, or let others in."""

    own_name = "sandbox_refused"

    def __init__(self) -> None:
        super().__init__(
            "This site is a sandbox: nobody signs in or is invited, and it sends nothing to other servers"
        )


class ConsentRequired(Forbidden):
    """403: a write by a member who has not agreed to a legal text of the site. `text`: its name, such as terms;
    `version`: the one in force; `page`: whole address at which people read it.
    """

    own_name = "consent_required"

    def __init__(self, text: str, version: int, page: str) -> None:
        super().__init__(
            f"Before you write here, read and agree to version {version} of this site's {text}: {page}"
        )
        self.text = text
        self.version = version
        self.page = page


class InsufficientScope(Forbidden):
    """403: the token has scopes, but not `scope`; "": no scope would do, only a token without scopes, which is
    unlimited (RFC 6750).
    """

    def __init__(self, scope: str) -> None:
        wanted = f', scope="{scope}"' if scope else ""
        super().__init__(
            f"This token lacks the scope {scope}" if scope else "This needs a token without scopes",
            code=INSUFFICIENT_SCOPE,
            headers=(("WWW-Authenticate", f'Bearer error="insufficient_scope"{wanted}'),),
        )
        self.scope = scope


class NotFound(ApiError):
    """404: there is no such object, it was deleted, or the caller must not know of it."""

    status = 404
    own_name = "not_found"


def known(found: T | None, noun: str) -> T:
    """Return `found`. Raises NotFound if it is None, with the message "There is no such `noun`"."""
    if found is None:
        raise NotFound(f"There is no such {noun}")
    return found


class MethodNotAllowed(ApiError):
    """405: the resource does not have the method. `allow`: value of the header Allow."""

    status = 405
    own_name = "method_not_allowed"

    def __init__(self, method: str, allow: str) -> None:
        super().__init__(f"{method} is not supported here", headers=(("Allow", allow),))


class Conflict(ApiError):
    """409: the state of the object does not allow this, or a request with the same idempotency key is still running."""

    status = 409
    own_name = "conflict"


class SiteMoved(ApiError):
    """410: a write to a site that has moved to another platform. `address`: of the site there."""

    status = 410
    own_name = "site_moved"

    def __init__(self, address: str) -> None:
        super().__init__(f"This site has moved to {address}")


class PreconditionFailed(ApiError):
    """412: the header `If-Match` names a version that is not the present one."""

    status = 412
    own_name = "precondition_failed"


class TooLarge(ApiError):
    """413: the body, a file or a draft exceeds its limit of bytes, or the files of a site or profile their quota."""

    status = 413
    own_name = "too_large"


class RangeNotSatisfiable(ApiError):
    """416: the requested range begins after the last byte of the file, or has no bytes. `size`: bytes of the file."""

    status = 416
    own_name = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"There are {size} bytes", headers=(("Content-Range", f"bytes */{size}"),))


class Unprocessable(ApiError):
    """422: the idempotency key was used before with another body."""

    status = 422
    own_name = "idempotency_key_reused"


class TooMany(ApiError):
    """429: the caller has exceeded a limit. `retry_after_s`: seconds for the header Retry-After."""

    status = 429
    own_name = "rate_limited"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(
            message, code=RATE_LIMITED, headers=(("Retry-After", str(max(1, retry_after_s))),)
        )


class PlanLimit(ApiError):
    """403: the plan of the site allows no more of something; 429 if `retry_after_s` is not 0. `limit`: name of the
    limit, `plan`: that of the plan, `most`: what the plan allows; `retry_after_s`: seconds for the header Retry-After,
    0 where the limit does not begin anew by itself.
    """

    status = 403
    own_name = "plan_limit"

    def __init__(self, limit: str, plan: str, most: int, retry_after_s: int = 0) -> None:
        super().__init__(
            f"The plan {plan} of this site allows {limit}: {most}",
            status=429 if retry_after_s else None,
            headers=(("Retry-After", str(retry_after_s)),) if retry_after_s else (),
        )
        self.limit = limit
        self.plan = plan


class CrawlBudget(ApiError):
    """429: unknown programs have made more requests of the site than it allows them together, from whatever addresses;
    or browsers of guests have, of pages far back in lists. `retry_after_s`: seconds for the header Retry-After.
    """

    status = 429
    own_name = "crawl_budget"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "Programs have asked this site for too much; sign in, or use an application's token",
            headers=(("Retry-After", str(max(1, retry_after_s))),),
        )


class CrawlerRefused(Forbidden):
    """403: the site's policy refuses the crawler `name`, whatever it asks for but robots.txt."""

    own_name = "crawler_refused"

    def __init__(self, name: str) -> None:
        super().__init__(f"This site refuses {name}: see robots.txt")


class NotImplementedHere(ApiError):
    """501: the API knows this, but it is not implemented, or not configured in this installation."""

    status = 501
    own_name = "not_implemented"


class BadGateway(ApiError):
    """502: a service that this one asked (identity provider, verifier, geocoder) failed, or work that follows a
    committed write failed.
    """

    status = 502
    own_name = "bad_gateway"


class Unavailable(ApiError):
    """503: a dependency, such as the database, is unreachable or overloaded, this process is, or the request took too
    long; nothing was written.
    """

    status = 503
    own_name = "unavailable"

    def __init__(
        self, message: str = "The service is not available right now", *, code: int = 0
    ) -> None:
        super().__init__(message, code=code, headers=(("Retry-After", "1"),))


class SiteBusy(Unavailable):
    """503: so many requests of this site wait in this worker that no further one may, or this one has waited too long
    for its site's turn; nothing was written. `retry_after_s`: seconds for the header Retry-After.
    """

    own_name = "site_busy"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many requests of this site are waiting")
        self.headers = (("Retry-After", str(retry_after_s)),)


class SandboxesFull(Unavailable):
    """503: `most` sandboxes exist, as many as the platform allows at a time; nothing was written. `retry_after_s`:
    seconds until one of them ends, for the header Retry-After, which says 60 at least.
    """

    own_name = "sandboxes_full"

    def __init__(self, most: int, retry_after_s: int) -> None:
        super().__init__(f"There are {most} sandboxes, as many as the platform allows at a time")
        # One that has ended is being deleted, which takes a minute or two.
        self.headers = (("Retry-After", str(max(60, retry_after_s))),)


class OutcomeUnknown(BadGateway):
    """502: the database did not answer a commit in time, or a request was ended by its time limit after it may have
    committed something, so that the write may or may not have happened.

    Has no Retry-After, which would promise that nothing was written.
    """

    own_name = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__(
            "The answer of the database was lost, and what was asked for may have been done:"
            " send it again with the same Idempotency-Key"
        )


class ReadOnly(Unavailable):
    """503: the site takes no writes for at most `seconds` (sent as Retry-After), since it is being moved to another
    platform; reads work.
    """

    own_name = "read_only"

    def __init__(self, seconds: int) -> None:
        super().__init__("This site is being moved, and takes writes again within a minute")
        self.headers = (("Retry-After", str(max(1, seconds))),)


class NoRoom(Unavailable):
    """503: the database's disk is full. Reads that need no temporary file still work."""

    own_name = "no_room"


class TooSlow(Unavailable):
    """503: the database cancelled a statement that ran too long."""

    own_name = "too_slow"


class ConfigError(Exception):
    """Error of a setting, or of the settings file. The message names the key and the rule."""
