"""Base class of handlers: methods declare their right, body and answer; the switch on the HTTP method follows.

A verb without `@needs` does not import: public is the loud `@needs(ANYONE)`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final, NamedTuple, TypeVar, overload

from forumapi.models.access.identity import IDENTITY, IdentityQuery, shaped
from forumapi.models.journal.idempotency import Finished
from forumapi.request.context import Context, Located
from forumapi.request.response import Done, Found, Result

H = TypeVar("H", bound="Handler")
B = TypeVar("B")

# Media type of `needs` for answers that have the type of a stored file.
ANYTHING: Final = "*/*"
VERBS: Final = ("get", "post", "put", "patch", "delete")
METHODS: Final = ("OPTIONS", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Need(enum.Enum):
    """Right on the located object that a method demands of the caller, such as READ or MODERATE."""

    ANYONE = "anyone"
    LOGIN = "signed in"
    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REMOVE = "update or delete"
    MODERATE = "moderator"
    OWNER = "site owner"


ANYONE: Final = Need.ANYONE
LOGIN: Final = Need.LOGIN
READ: Final = Need.READ
CREATE: Final = Need.CREATE
UPDATE: Final = Need.UPDATE
DELETE: Final = Need.DELETE
REMOVE: Final = Need.REMOVE
MODERATE: Final = Need.MODERATE
OWNER: Final = Need.OWNER


class Param(NamedTuple):
    """Query parameter of an operation, for the OpenAPI document and the reference page."""

    name: str
    type: type
    description: str


class HandlerOperation(NamedTuple):
    """Declaration of a handler method. `body` and `answer` are types for validation and for the OpenAPI document.

    `answer` None: `data: null`. `status` is the status of success. `paged`: takes limit and offset.
    """

    need: Need
    body: Any
    answer: Any
    status: int
    paged: bool
    params: tuple[Param, ...]
    media_type: str


@overload
def needs(
    need: Need,
    *,
    answer: Any = None,
    status: int = 200,
    paged: bool = False,
    params: tuple[Param, ...] = (),
    media_type: str = "",
) -> Callable[[Callable[[H, Context], Result]], Callable[[H, Context], Result]]: ...


@overload
def needs(
    need: Need,
    *,
    body: type[B],
    answer: Any = None,
    status: int = 200,
    paged: bool = False,
    params: tuple[Param, ...] = (),
    media_type: str = "",
) -> Callable[[Callable[[H, Context, B], Result]], Callable[[H, Context, B], Result]]: ...


def needs(
    need: Need,
    *,
    body: Any = None,
    answer: Any = None,
    status: int = 200,
    paged: bool = False,
    params: tuple[Param, ...] = (),
    media_type: str = "",
) -> Callable[[Any], Any]:
    """Declare the right, body and answer of a handler method. `media_type`: type of an answer without the envelope.

    A method with a body takes the decoded body, of that type, as its second parameter.
    """

    def mark(function: Any) -> Any:
        function.operation = HandlerOperation(need, body, answer, status, paged, params, media_type)
        return function

    return mark


class Handler:
    """Base class of handlers, one class a URL. `allow`: its Allow header, if v1 has another order than METHODS."""

    allow: ClassVar[str] = ""
    operations: ClassVar[dict[str, HandlerOperation]] = {}
    # False where the answer holds a secret, which is then not stored by caches either.
    takes_idempotency_key: ClassVar[bool] = True
    # True where the body is files, which `take_files` receives in place of the processor.
    receives_files: ClassVar[bool] = False
    # True where people sign in: writes through one front end are rate-limited together too.
    signs_in: ClassVar[bool] = False
    # True where a bad token must not refuse the request, which is about to make or end one.
    ignores_token: ClassVar[bool] = False
    # Form of refusals beside the envelope: "OAuth" for those of the protocol, "Page" for HTML pages.
    error_form: ClassVar[str] = ""
    # False where an answer takes long without much work: it does not count to a guest's concurrency limit.
    is_limited_per_guest: ClassVar[bool] = True
    # The identity statement, with columns that a method would else need a round trip for (Identity.more).
    identity: ClassVar[IdentityQuery] = IdentityQuery(IDENTITY)
    # True where an answer without envelope has an ETag.
    tags_bare_answers: ClassVar[bool] = False
    # Method -> route of its redirect, where that is neither this route nor a new resource below it.
    leads_to: ClassVar[Mapping[str, str]] = {}
    # False where the URL has no GET and the URL above does not show the write either.
    shows_above: ClassVar[bool] = True
    # True for streams of an `EventSource`, which reconnects when a stream ends but not after a refusal.
    is_stream: ClassVar[bool] = False
    # Request headers beside those of its kind of operation.
    also_takes: ClassVar[tuple[str, ...]] = ()
    # Method -> media types that `receive` reads, beside those of the declared body.
    also_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found: dict[str, HandlerOperation] = {}
        for verb in VERBS:
            function = getattr(cls, verb, None)
            if function is None:
                continue
            operation = getattr(function, "operation", None)
            if operation is None:
                raise TypeError(f"{cls.__name__}.{verb} does not say what it needs")
            found[verb.upper()] = operation
        cls.operations = found
        expected = {"OPTIONS", *found} | ({"HEAD"} if "GET" in found else set())
        if "allow" not in cls.__dict__:
            cls.allow = ",".join(method for method in METHODS if method in expected)
        elif wrong := expected ^ set(cls.allow.split(",")):
            raise TypeError(f"{cls.__name__}.allow does not name its methods: {sorted(wrong)}")

    def token(self, ctx: Context) -> str:
        """Return the token of a request without Authorization header, "" for none. Raises Invalid, Unauthorized."""
        return shaped(ctx.query.get("access_token", ""))

    def asked(self, ctx: Context) -> IdentityQuery:
        """Return the statement that identifies the caller. An override raises nothing: it runs before all checks."""
        return self.identity

    def locate(self, ctx: Context) -> Located | None:
        """Find the object that URL and body name, and whose permission is checked; None for a URL without one."""
        return None

    def admits_banned(self, ctx: Context) -> bool:
        """Return True if the request is answered to banned callers too (platform 3.6)."""
        return False

    def receive(self, ctx: Context) -> bool:
        """Read the body of a write itself and return True; False: the caller reads the whole body and decodes it as
        declared.

        No connection is held meanwhile. An override sets `ctx.body`, and `ctx.raw_body` to a digest of the body.
        """
        return False

    def take_files(self, ctx: Context) -> AbstractContextManager[None]:
        """Receive the files of a body from its stream, before the transaction, into `ctx.body`.

        It sets `ctx.raw_body` too, by which retries are compared.
        """
        raise NotImplementedError

    def replay(self, ctx: Context, done: Finished) -> Result:
        """Return the result for a repeated idempotency key, whose write was done before."""
        return Found(done.location) if done.location else Done()

    def call(self, verb: str, ctx: Context) -> Result:
        """Run the method for `verb`, one of `operations`."""
        method = getattr(self, verb.lower())
        if self.operations[verb].body is None:
            return method(ctx)  # type: ignore[no-any-return]
        return method(ctx, ctx.body)  # type: ignore[no-any-return]
