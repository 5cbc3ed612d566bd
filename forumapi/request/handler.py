"""Base class of handlers, whose methods declare the right they need, their body and their answer.

A class with a method that lacks `@needs` raises TypeError at import: what is public says so, by `@needs(ANYONE)`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final, NamedTuple, TypeVar, overload

from forumapi.models.access.identity import IDENTITY, IdentityQuery, shaped
from forumapi.models.journal.idempotency import Finished
from forumapi.request.context import Context, Located
from forumapi.request.handler_results import Done, Found, Result

H = TypeVar("H", bound="Handler")
B = TypeVar("B")

# Media type of `needs` for answers that have the type of a stored file.
ANYTHING: Final = "*/*"
# Member of the WSGI environ by which a call within the process accepts tokens of an audience (`Handler.audience`).
AUDIENCE: Final = "forumapi.audience"
VERBS: Final = ("get", "post", "put", "patch", "delete")
METHODS: Final = ("OPTIONS", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Need(enum.Enum):
    """Right that a method demands of the caller: on the located object, such as READ, or in general, such as LOGIN."""

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
    """Query parameter of a method, for the OpenAPI document and the reference page alone: nothing is parsed by it.

    `values`: all texts that it may be; empty where any text of its type may be.
    """

    name: str
    type: type
    description: str
    values: tuple[str, ...] = ()


class HandlerOperation(NamedTuple):
    """Declaration of one method of a handler, as `needs` received it.

    `body`, `answer`: types for decoding and for the OpenAPI document; `body` None: the method takes none; `answer`
    None: the data is null. `status`: that of success. `paged`: the query may have limit and offset; `params`: its
    further parameters. `media_type`: that of an answer without the envelope, "" with it.
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
    """Declare the right that a handler's method needs, its body and its answer; the parameters are the fields of
    HandlerOperation.

    A method with a body takes the decoded body, of that type, as its parameter after the context.
    """

    def mark(function: Any) -> Any:
        function.operation = HandlerOperation(need, body, answer, status, paged, params, media_type)
        return function

    return mark


class Handler:
    """Base class of handlers: one class for each address, one method for each HTTP method. An instance serves all
    requests to its address in a process, and so keeps nothing of one request.

    `allow`: value of the header Allow, where its order is not that of METHODS, as v1 has it; `operations`: declarations
    of the methods, by HTTP method. A subclass may set the other attributes, each described where it is defined.
    """

    allow: ClassVar[str] = ""
    operations: ClassVar[dict[str, HandlerOperation]] = {}
    # False where the answer holds a secret, which is then not stored by caches either.
    takes_idempotency_key: ClassVar[bool] = True
    # True where the body of POST is files, which `take_files` receives in place of the processor.
    receives_files: ClassVar[bool] = False
    # Fields that a form with files may have beside them, with their descriptions; an array where it ends in "[]".
    form_fields: ClassVar[Mapping[str, str]] = {}
    # True where people sign in: writes through one front end are rate-limited together too.
    signs_in: ClassVar[bool] = False
    # False where a site's plan may not refuse the call: what a sign-in needs.
    counts_as_call: ClassVar[bool] = True
    # True where a bad token must not refuse the request, which is about to make or end one.
    ignores_token: ClassVar[bool] = False
    # Methods for the owner of a site that is suspended or in its export window; and, of writes, of a read-only one.
    serves_held_sites: ClassVar[tuple[str, ...]] = ()
    # Methods that a sandbox refuses: they would reach people or servers outside of it, or let others in.
    closed_in_sandboxes: ClassVar[tuple[str, ...]] = ()
    # Methods that write for members, too, who have yet to agree to a legal text of the site (platform 6.1).
    needs_no_consent: ClassVar[tuple[str, ...]] = ()
    # Audience of the tokens that are accepted (RFC 8707): "" the REST API, "mcp" the site's MCP server.
    audience: ClassVar[str] = ""
    # Address of the metadata that a 401 names, for a protected resource that has such (RFC 9728).
    resource_metadata: ClassVar[str] = ""
    # Form of refusals beside the envelope: "OAuth" and "JsonRpc" for those of protocols, "Page" for
    # HTML pages.
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
        """Return the token of a request that has no Authorization header, "" for none: here the query parameter
        `access_token`.

        Raises Unauthorized for a text that can't be a token; an override may raise Invalid.
        """
        return shaped(ctx.query.get("access_token", ""))

    def asked(self, ctx: Context) -> IdentityQuery:
        """Return the statement by which the caller is identified, with its parameters.

        The statement may read more than the identity (`Identity.more`). An override must raise nothing, since it runs
        before all checks.
        """
        return self.identity

    def locate(self, ctx: Context) -> Located | None:
        """Find the object that address and body name, on which permission is checked then; a write locks what it is
        going to change.

        Returns None, as here, if permission is asked on no object: then only the site's owner has any. An object that
        is named but missing is a Located too, on whose target permission is asked (LocatedObject: `object` None), so
        that the method answers 404.
        """
        return None

    def admits_banned(self, ctx: Context) -> bool:
        """Return True if this request is answered to callers who are banned from the site, too (platform 3.6); here
        always False.
        """
        return False

    def receive(self, ctx: Context) -> bool:
        """Read the body of a write in a way of its own and return True, before a connection to the database is taken;
        an override sets `ctx.body` to the decoded body, and `ctx.raw_body` to a digest of its bytes.

        Returns False, as here, if the body is still to be read: the processor then reads it whole and decodes it into
        the declared type.
        """
        return False

    def take_files(self, ctx: Context) -> AbstractContextManager[None]:
        """Receive the files of the body before the transaction begins, and set `ctx.body` for the method; temporary
        files are removed at the end of the with statement.

        Sets `ctx.raw_body` as well, by which repeated requests are compared. To be overridden by handlers with
        `receives_files`, for which alone it is called; here it raises NotImplementedError.
        """
        raise NotImplementedError

    def replay(self, ctx: Context, done: Finished) -> Result:
        """Return the result for a repeated idempotency key, whose write `done` was committed before: here a redirect to
        the address to which that write redirected; null data if it did not redirect.
        """
        return Found(done.location) if done.location else Done()

    def call(self, verb: str, ctx: Context) -> Result:
        """Run the method for `verb`, a key of `operations`, and return its result; a method that declares a body gets
        `ctx.body`, which was decoded before.
        """
        method = getattr(self, verb.lower())
        if self.operations[verb].body is None:
            return method(ctx)  # type: ignore[no-any-return]
        return method(ctx, ctx.body)  # type: ignore[no-any-return]
