"""Context of one request: site, caller, transaction, target, permissions, query, body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from forumapi.errors import WRONG_TYPE, Invalid, known
from forumapi.itemtypes import HUDDLE
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_links
from forumapi.permissions.evaluator import MODERATOR, PermissionSet, Target, Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import paging
from forumapi.wire.json_fragments import dumps
from forumapi.wire.paging import Paging

if TYPE_CHECKING:
    from forumapi.database.connections import Reader, Transaction
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site
    from forumapi.request.rate_limit import Allowance
    from forumapi.request.response import EnvelopeSwitches
    from forumapi.request.services import Services


_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))

T = TypeVar("T")


def _checked(thing: object, kind: type[T]) -> T:
    if not isinstance(thing, kind):
        raise TypeError(f"{type(thing).__name__} in place of {kind.__name__}")
    return thing


class Located:
    """Object that a handler found under the request's address, before the caller's permission on it is known.

    `target` is the object of the permission check. `is_hidden`: it, or something above it, is deleted or moderated.
    `own_moderated`: moderated but not deleted, or taken away with a statement of reasons, so that its author may still
    GET it (C-09). `is_in_huddle`: nobody moderates it, so that if hidden it is hidden from the site's owner as well.
    `version`: its own version, for If-Match; 0 for none.
    """

    __slots__ = ("is_hidden", "is_in_huddle", "own_moderated", "target", "version")

    def __init__(
        self,
        target: Target,
        *,
        is_hidden: bool = False,
        own_moderated: bool = False,
        version: int = 0,
    ) -> None:
        self.target = target
        self.is_hidden = is_hidden
        self.is_in_huddle = target.parent_type == HUDDLE
        self.own_moderated = own_moderated
        self.version = version

    def is_hidden_from(self, can: PermissionSet) -> bool:
        """Return True if the object is hidden from a caller with these permissions."""
        return self.is_hidden and (self.is_in_huddle or not can & MODERATOR)


class LocatedObject(Located, Generic[T]):
    """Located object that is kept for the handler: `object`, None if there is none of that id.

    `noun`: its name in errors.
    """

    __slots__ = ("object",)

    noun: ClassVar[str]

    def __init__(
        self,
        object: T | None,
        target: Target,
        *,
        is_hidden: bool = False,
        own_moderated: bool = False,
        version: int = 0,
    ) -> None:
        super().__init__(target, is_hidden=is_hidden, own_moderated=own_moderated, version=version)
        self.object = object

    def required(self) -> T:
        """Return the object. Raises NotFound if there is none."""
        return known(self.object, self.noun)


class Context:
    """Context of one request. `writer`, except under GET, is its transaction; `reader` is then the same."""

    __slots__ = (
        "_paging",
        "_paging_error",
        "allowance",
        "app",
        "args",
        "body",
        "can",
        "environ",
        "front_end",
        "head",
        "identity",
        "ip",
        "is_counted",
        "is_head",
        "is_write",
        "located",
        "pairs",
        "path",
        "query",
        "query_string",
        "raw_body",
        "reader",
        "request_id",
        "route",
        "site",
        "switches",
        "token",
        "writer",
    )

    allowance: Allowance | None
    app: Services
    args: dict[str, Any]
    body: object
    can: PermissionSet
    environ: dict[str, Any]
    front_end: (
        str  # front end that the request came through, "" for none; then `ip` is its visitor's
    )
    head: int
    identity: Identity
    ip: str
    is_counted: bool
    is_head: bool
    is_write: bool
    located: Located | None
    pairs: list[tuple[str, str]]
    path: str
    query: dict[str, str]
    query_string: str
    raw_body: bytes
    reader: Reader
    request_id: str
    route: str
    site: Site
    switches: EnvelopeSwitches
    token: str
    writer: Transaction

    def __init__(self, app: Services, environ: dict[str, Any]) -> None:
        self.app = app
        self.environ = environ
        self._paging: Paging | None = None
        self._paging_error: Invalid | None = None
        self.body = None
        self.can = 0
        self.located = None
        self.raw_body = b""
        self.route = ""
        self.allowance = None
        self.front_end = ""
        self.is_counted = False
        self.is_head = False
        self.is_write = False
        self.token = ""

    def body_as(self, kind: type[T]) -> T:
        """Return the body as `kind`, for `locate`. Raises TypeError for a body of another type."""
        return _checked(self.body, kind)

    def located_as(self, kind: type[T]) -> T:
        """Return the located object as its class `kind`. Raises TypeError for another class."""
        return _checked(self.located, kind)

    @property
    def target(self) -> Target:
        """Return the object of the permission check. Raises TypeError if `locate` found none."""
        return _checked(self.located, Located).target

    @contextmanager
    def aside(self) -> Iterator[Transaction]:
        """Open a transaction during a GET, for a read mark that a stored count depends on."""
        self.reader.end()  # a request holds one connection at a time
        with self.app.database.write() as tx:
            yield tx
        self.reader.statements += tx.statements
        self.reader.seconds += tx.seconds

    def end_writer(self) -> None:
        """End the request's transaction, for methods that commit transactions of their own or wait for other servers.

        From here on the request's time limit can't answer that nothing was written.
        """
        self.writer.end()
        self.environ["forumapi.is_committing"] = True

    @property
    def author(self) -> Author:
        """Return the caller as the author of a write."""
        return Author(self.site.id, self.identity.profile_id, self.ip)

    @property
    def own_href(self) -> str:
        """Return the `self` link of this list: the request's address and query, without an offset of 0."""
        return paging.href(self.path, self.pairs, offset=self.paging.offset or None)

    def page(self, items: bytes, total: int, type_path: str = "") -> bytes:
        """Make the requested page of a list; `items` is a JSON array, `type_path` the type's address, by default the
        list's own.
        """
        return paging.page(
            *(items, total, self.paging, type_path or self.path),
            *(self.path, self.query_string, self.pairs),
        )

    def listed(self, name: str, items: bytes, total: int, type_path: str = "") -> bytes:
        """Make a document that holds nothing but a page under `name` and its own link."""
        return b'{"%b":%b,"meta":{"links":[{"rel":"self","href":%b}]}}' % (
            name.encode(),
            self.page(items, total, type_path),
            dumps(self.own_href),
        )

    def keyset_listed(self, name: str, items: list[dict[str, Any]], before: int | str) -> bytes:
        """Make a document with a page by key under `name`.

        `before`: key in the `next` link; "" or 0: this is the last page.
        """
        links = [{"rel": "self", "href": paging.href(self.path, self.pairs)}]
        if before:
            onwards = paging.href(self.path, self.pairs, before=before)
            links.append({"rel": "next", "href": onwards})
        page = {"limit": self.paging.limit, "links": links, "type": self.path, "items": items}
        return dumps({name: page, "meta": {"links": links[:1]}})

    @property
    def tree(self) -> Tree:
        """Return the site's microcosms and roles, current for this caller."""
        return self.app.sites.tree(self.site, self.reader)

    @property
    def listable(self) -> ReadableMicrocosms:
        """Return the microcosms whose items this caller's lists show: readable, and not below an ignored one."""
        identity, tree = self.identity, self.tree
        view = tree.view(identity.principal)
        return microcosm_links.visible(view, tree, identity.ignored_microcosms)

    @property
    def paging(self) -> Paging:
        """Return the limit and offset; those of the first page before `check_paging` has accepted them."""
        if self._paging is None:
            try:
                self._paging = paging.parse(
                    self.query.get("limit", ""), self.query.get("offset", "")
                )
            except Invalid as error:
                self._paging_error = error
                self._paging = Paging()
        return self._paging

    def check_paging(self) -> None:
        """Check limit and offset, after the permission check (content 1.2). Raises Invalid for values out of range."""
        if self.paging and self._paging_error is not None:
            raise self._paging_error

    def flag(self, name: str) -> bool | None:
        """Parse a boolean query parameter; None when absent. Raises Invalid, code 3 (platform 1.2)."""
        text = self.query.get(name)
        if text is None:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise Invalid(name, "must be true or false", code=WRONG_TYPE)

    def number(self, name: str, default: int = 0) -> int:
        """Parse a non-negative integer query parameter; `default` when absent. Raises Invalid, code 3."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Invalid(name, "must be a whole number, 0 or more", code=WRONG_TYPE)
        return int(text)
