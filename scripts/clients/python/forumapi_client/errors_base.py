"""Errors that are no matter of one code: of the way to the server, and one class for each status of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ForumError(Exception):
    """Base class of every error of this client."""


class ConnectionFailed(ForumError):
    """The server could not be reached, or the connection ended before the whole answer was there.

    After a write without an idempotency key it is unknown if the write was done.
    """


class TimedOut(ConnectionFailed):
    """The server did not answer in time."""


class BadAnswer(ForumError):
    """An answer that is not what the API sends, such as a proxy's page, or one that is too large."""

    def __init__(self, message: str, status: int = 0, content: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.content = content


class NotShown(ForumError):
    """The write was done, but the caller may not read the result at `location`."""

    def __init__(self, location: str) -> None:
        super().__init__(f"done, but {location} can't be read by this caller")
        self.location = location


class ApiError(ForumError):
    """Refusal by the API: HTTP `status`, stable `code` (0: none), text for people, id of the request in the log.

    `retry_after` is in seconds, None where the answer names no time. `data` is the detail object, {} without one.
    """

    status_of_class: ClassVar[int] = 0

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int = 0,
        data: Mapping[str, Any] | None = None,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.data = dict(data or {})
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.status}, code {self.code}: {self.message} (request {self.request_id or '?'})"


class BadRequest(ApiError):
    """400: something sent breaks a rule."""

    status_of_class = 400


class Unauthorized(ApiError):
    """401: the token is no good, or a sign-in was refused."""

    status_of_class = 401


class Forbidden(ApiError):
    """403: not permitted, or no such content item."""

    status_of_class = 403


class NotFound(ApiError):
    """404: no such site, address or resource."""

    status_of_class = 404


class MethodNotAllowed(ApiError):
    """405: the address has no such method; the server is older than this client."""

    status_of_class = 405


class Conflict(ApiError):
    """409: a copy of the request is under way, or a draft has another version."""

    status_of_class = 409


class PreconditionFailed(ApiError):
    """412: If-Match named another version."""

    status_of_class = 412


class TooLarge(ApiError):
    """413: the body or the upload is too large."""

    status_of_class = 413


class RangeNotSatisfiable(ApiError):
    """416: the range lies beyond the end of the file."""

    status_of_class = 416


class KeyReused(ApiError):
    """422: the idempotency key was used before with another body."""

    status_of_class = 422


class UpgradeRequired(ApiError):
    """426: the address speaks WebSocket."""

    status_of_class = 426


class TooManyRequests(ApiError):
    """429: over a limit; `retry_after` says for how long."""

    status_of_class = 429


class ServerError(ApiError):
    """5xx: a fault of the server or of what is in front of it."""

    status_of_class = 500


class NotOffered(ServerError):
    """501: known, but not implemented or not set up here."""

    status_of_class = 501


class BadGateway(ServerError):
    """502 or 504: a provider behind the server failed, or the answer was lost; a write may have been done."""

    status_of_class = 502


class Unavailable(ServerError):
    """503: the server is overloaded or its database is away; nothing was written."""

    status_of_class = 503


class OAuthRefused(ForumError):
    """Refusal in the form of the OAuth protocol: `error` is its code, such as `invalid_grant`."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description


_CLASSES: tuple[type[ApiError], ...] = (
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PreconditionFailed,
    TooLarge,
    RangeNotSatisfiable,
    KeyReused,
    UpgradeRequired,
    TooManyRequests,
    NotOffered,
    BadGateway,
    Unavailable,
)
_BY_STATUS = {**{one.status_of_class: one for one in _CLASSES}, 504: BadGateway}


def class_of_status(status: int) -> type[ApiError]:
    """Return the class of errors of a status; ServerError or ApiError for one without a class of its own."""
    return _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
