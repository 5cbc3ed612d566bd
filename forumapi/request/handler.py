"""The handler base: methods declare what they need, and the switch from HTTP method to function is made from that.

A verb without `@needs` does not import: public is the loud `@needs(ANYONE)`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from forumapi.models.access.identity import IDENTITY, Asked, shaped
from forumapi.models.journal.idempotency import Finished
from forumapi.request.context import Context, Located
from forumapi.request.response import Done, Found, Result

F = TypeVar("F", bound=Callable[..., Result])

# A media type of `needs`: the answer is of whatever type a stored file has.
ANYTHING: Final = "*/*"
VERBS: Final = ("get", "post", "put", "patch", "delete")


class Need(enum.Enum):
    """The right that a method asks of the caller, on what `locate` found."""

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
    """A query parameter of an operation: for the document and the reference."""

    name: str
    type: type
    description: str


class Operation(NamedTuple):
    """What a handler method declares. `body` and `answer` are types for validation and for the API document.

    `answer` None: `data: null`. `status` is the status of success. `paged`: takes limit and offset.
    """

    need: Need
    body: Any
    answer: Any
    status: int
    paged: bool
    params: tuple[Param, ...]
    media_type: str


def needs(
    need: Need,
    *,
    body: Any = None,
    answer: Any = None,
    status: int = 200,
    paged: bool = False,
    params: tuple[Param, ...] = (),
    media_type: str = "",
) -> Callable[[F], F]:
    """Declare the right, body and answer of a handler method. `media_type`: the answer has no envelope."""

    def mark(function: F) -> F:
        function.operation = Operation(need, body, answer, status, paged, params, media_type)  # type: ignore[attr-defined]
        return function

    return mark


class Handler:
    """One address. `allow` is its Allow header, in v1's order (platform 12, content 1.12)."""

    allow: ClassVar[str] = ""
    operations: ClassVar[dict[str, Operation]] = {}
    # False where the answer holds a secret; then it is not to be stored on its way either.
    takes_idempotency_key: ClassVar[bool] = True
    # True where the body is files: `take_files` takes it, in place of the processor.
    receives_files: ClassVar[bool] = False
    # True where people sign in: of a front end its writes are counted as a whole, too.
    signs_in: ClassVar[bool] = False
    # Requests that must not be refused for a token, since they are about to make or end one.
    ignores_token: ClassVar[bool] = False
    # How refusals look beside the usual way: "OAuth" for those of the protocol, "Page" for pages.
    error_form: ClassVar[str] = ""
    # False where an answer may be long in coming, but not for the work it is: a guest's other reads do not wait for it.
    is_limited_per_guest: ClassVar[bool] = True
    # What a method's own statement would cost a round trip for may come with who calls (Identity.more).
    identity: ClassVar[Asked] = Asked(IDENTITY)
    # True where an answer without envelope has an ETag too.
    tags_bare_answers: ClassVar[bool] = False
    # Method -> the route that its redirect leads to, where that is neither this one nor a new resource below it.
    leads_to: ClassVar[Mapping[str, str]] = {}
    # False where the address above, in place of one that can't be read itself, does not show what was written.
    shows_above: ClassVar[bool] = True
    # True for streams that an `EventSource` reads, which comes back after one that ends, and after no refusal.
    is_stream: ClassVar[bool] = False
    # Request headers of its own, beside those that the kind of operation brings.
    also_takes: ClassVar[tuple[str, ...]] = ()
    # Method -> media types that `receive` takes, beside those of the declared body.
    also_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found: dict[str, Operation] = {}
        for verb in VERBS:
            function = getattr(cls, verb, None)
            if function is None:
                continue
            operation = getattr(function, "operation", None)
            if operation is None:
                raise TypeError(f"{cls.__name__}.{verb} does not say what it needs")
            found[verb.upper()] = operation
        cls.operations = found
        if cls.allow:
            allowed = set(cls.allow.split(","))
            expected = {"OPTIONS", *found} | ({"HEAD"} if "GET" in found else set())
            if allowed != expected:
                raise TypeError(
                    f"{cls.__name__}.allow does not name its methods: {sorted(allowed ^ expected)}"
                )

    def token(self, ctx: Context) -> str:
        """The token of a request that has no Authorization header, "" for none. Raises Invalid, Unauthorized."""
        return shaped(ctx.query.get("access_token", ""))

    def asked(self, ctx: Context) -> Asked:
        """The statement that finds out who calls. Raises nothing: who calls is asked before what."""
        return self.identity

    def locate(self, ctx: Context) -> Located | None:
        """What the address and body name. None: nothing that a permission is asked for."""
        return None

    def admits_banned(self, ctx: Context) -> bool:
        """True where a banned caller is answered too (platform 3.6), so that a page can be shown."""
        return False

    def receive(self, ctx: Context) -> bool:
        """Read the body of a write; False where it is to be read whole and decoded as the operation declares.

        No connection is held meanwhile. Who reads it here sets `ctx.body`, and `ctx.raw_body` to what stands for it.
        """
        return False

    def take_files(self, ctx: Context) -> AbstractContextManager[None]:
        """Take the files of a body from its stream, before the transaction, and leave them in `ctx.body`.

        What retries are compared by goes into `ctx.raw_body`.
        """
        raise NotImplementedError

    def replay(self, ctx: Context, done: Finished) -> Result:
        """The answer to a write that was done before under the same idempotency key."""
        return Found(done.location) if done.location else Done()

    def call(self, verb: str, ctx: Context) -> Result:
        """Run the method; `verb` is one of `operations`."""
        return getattr(self, verb.lower())(ctx)  # type: ignore[no-any-return]
