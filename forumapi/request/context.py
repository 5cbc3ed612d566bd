"""Context of one request: what is known of it so far, passed from step to step and to the handler."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid, known
from forumapi.itemtypes import HUDDLE
from forumapi.models.access.access_token import AGENTS
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_links
from forumapi.permissions.evaluator import MODERATOR, PermissionSet, Target, Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.text import rfc3339
from forumapi.wire import paging
from forumapi.wire.json_fragments import dumps
from forumapi.wire.paging import Paging

if TYPE_CHECKING:
    from forumapi.database.connections import Reader, Transaction
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site
    from forumapi.request.admission.admission_gate import Admission
    from forumapi.request.rate_limit import Allowance
    from forumapi.request.services import Services
    from forumapi.wire.json_envelope import EnvelopeSwitches


_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))

T = TypeVar("T")


def _checked(thing: object, kind: type[T]) -> T:
    if not isinstance(thing, kind):
        raise TypeError(f"{type(thing).__name__} in place of {kind.__name__}")
    return thing


class Located:
    """Object that a handler's `locate` found by the request's address or body, before the caller's permission on it is
    known.

    `target`: the thing on which the caller's permission is checked. `is_hidden`: the object, or something above it, is
    deleted or moderated. `own_moderated`: the object is moderated but not deleted, or was taken away with a statement
    of reasons, so that its author may still GET it (C-09). `is_in_huddle`: the object is a comment in a huddle, which
    nobody sees while it is hidden, neither moderators nor the site's owner. `version`: the object's own version, which
    If-Match compares; 0 for none.
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
        """Return True if the object is hidden from a caller with the permissions `can`: a moderator sees what is
        hidden, except in a huddle.
        """
        return self.is_hidden and (self.is_in_huddle or not can & MODERATOR)


class LocatedObject(Located, Generic[T]):
    """Located object that is kept for the handler's method in `object`; None if there is no such object. The other
    parameters are those of Located.

    `noun`, set by each subclass: name of such an object in errors.
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
        """Return `object`. Raises NotFound if it is None."""
        return known(self.object, self.noun)


class Context:
    """Context of one request, filled step by step.

    Under a write `writer` is the request's transaction, and `reader` the same; under GET there is a `reader` alone.
    `args`: values in the path, by the names in the route; `query`: first value of each parameter, `pairs`: all values;
    `head`: number of the site's newest event when the request came; `can`: the caller's permissions on what was
    `located`; `is_token_known`: this process has accepted the token before, lately, or in this request.
    """

    __slots__ = (
        "_paging",
        "_paging_error",
        "admission",
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
        "is_counted_as_call",
        "is_head",
        "is_token_known",
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

    admission: Admission | None
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
    is_counted_as_call: bool
    is_head: bool
    is_token_known: bool
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
        self.admission = None
        self.raw_body = b""
        self.route = ""
        self.allowance = None
        self.front_end = ""
        self.is_counted = False
        self.is_counted_as_call = False
        self.is_head = False
        self.is_token_known = False
        self.is_write = False
        self.token = ""

    def body_as(self, kind: type[T]) -> T:
        """Return the decoded body, which must be of the type `kind`; for `locate`, which has no parameter for it.
        Raises TypeError for another type.
        """
        return _checked(self.body, kind)

    def located_as(self, kind: type[T]) -> T:
        """Return what `locate` returned, of the class `kind`. Raises TypeError for another class."""
        return _checked(self.located, kind)

    @property
    def target(self) -> Target:
        """Return the target on which permission was checked. Raises TypeError if `locate` returned None."""
        return _checked(self.located, Located).target

    @contextmanager
    def aside(self) -> Iterator[Transaction]:
        """Open a transaction, beside the reader, during a GET, and yield it, for the little that a GET may write, such
        as a read mark, or the count of an address that guesses at codes.

        Gives the reader's connection back first; commits at the end of the block, and rolls back if the block raises.
        """
        self.reader.end()  # a request holds one connection at a time
        with self.app.database.write(self.site.id) as tx:
            yield tx
        self.reader.statements += tx.statements
        self.reader.seconds += tx.seconds

    def end_writer(self) -> None:
        """Roll back the request's transaction, and give back its connection and its place among requests in work; to be
        called before anything is written.

        For methods that commit transactions of their own, or wait for other servers. If the request exceeds its time
        limit later, the answer no longer says that nothing was written.
        """
        self.writer.end()
        if self.admission is not None:
            self.admission.end()
        self.environ["forumapi.is_committing"] = True

    @property
    def author(self) -> Author:
        """Return the author by whom this request's writes are recorded: ids of the site and of the caller's profile (0
        for a guest), client address, and if the token is one for agents.
        """
        who = self.identity
        return Author(self.site.id, who.profile_id, self.ip, by_agent=who.audience == AGENTS)

    @property
    def own_href(self) -> str:
        """Return the address of the `self` link of this list: the request's path and query, without an offset of 0."""
        return paging.href(self.path, self.pairs, offset=self.paging.offset or None)

    def page(self, items: bytes, total: int, type_path: str = "") -> bytes:
        """Return a page of a list as a JSON object with its links.

        `items`: the page's entries as a JSON array; `total`: number of entries in the whole list; `type_path`: address
        that stands for the type of the entries, by default the request's path.
        """
        return paging.page(
            *(items, total, self.paging, type_path or self.path),
            *(self.path, self.query_string, self.pairs),
        )

    def listed(self, name: str, items: bytes, total: int, type_path: str = "") -> bytes:
        """Return a JSON object with a page under the key `name`, and its `self` link in `meta`; other parameters as for
        `page`.
        """
        return b'{"%b":%b,"meta":{"links":[{"rel":"self","href":%b}]}}' % (
            name.encode(),
            self.page(items, total, type_path),
            dumps(self.own_href),
        )

    def keyset_listed(self, name: str, items: list[dict[str, Any]], before: int | str) -> bytes:
        """Return a JSON object with a page of a list that is paged by key (without total and offset) under the key
        `name`, with its links.

        `items`: the page's entries; `before`: value of the parameter `before` in the link `next`; "" or 0 on the last
        page, which has no such link.
        """
        links = [{"rel": "self", "href": paging.href(self.path, self.pairs)}]
        if before:
            onwards = paging.href(self.path, self.pairs, before=before)
            links.append({"rel": "next", "href": onwards})
        page = {"limit": self.paging.limit, "links": links, "type": self.path, "items": items}
        return dumps({name: page, "meta": {"links": links[:1]}})

    @property
    def tree(self) -> Tree:
        """Return the site's tree of microcosms and roles, of the version that the caller's identity was read with."""
        return self.app.sites.tree(self.site, self.reader)

    @property
    def listable(self) -> ReadableMicrocosms:
        """Return the microcosms whose items lists show to this caller: those readable, without ignored ones and those
        below them.
        """
        identity, tree = self.identity, self.tree
        view = tree.view(identity.principal)
        return microcosm_links.visible(view, tree, identity.ignored_microcosms)

    @property
    def paging(self) -> Paging:
        """Return the limit and offset of the query; those of the first page if they are bad, which `check_paging`
        refuses.
        """
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
        """Raise Invalid if limit or offset of the query is bad; called once permission is checked (content 1.2)."""
        if self.paging and self._paging_error is not None:
            raise self._paging_error

    def flag(self, name: str) -> bool | None:
        """Return the boolean query parameter `name`: True for 1, t, T, true, True or TRUE, False for 0, f, F, false,
        False or FALSE; None when absent. Raises Invalid, code WRONG_TYPE, for any other text, "" among them (platform
        1.2).
        """
        text = self.query.get(name)
        if text is None:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise Invalid(name, "must be true or false", code=WRONG_TYPE)

    def instant(self, name: str) -> datetime.datetime | None:
        """Return the query parameter `name`, a time with an offset (RFC 3339), converted to UTC; None when absent or
        empty. Raises Invalid, code WRONG_TYPE, for any other text.
        """
        text = self.query.get(name, "")
        if not text:
            return None
        found = rfc3339.instant(text)
        if found is None:
            raise Invalid(name, "must be a time with its offset, as RFC 3339 says", code=WRONG_TYPE)
        return found

    def period(self, default: datetime.timedelta) -> tuple[datetime.datetime, datetime.datetime]:
        """Return (since, until), the query parameters of these names, times with an offset, converted to UTC. An absent
        or empty `until` is now, an absent or empty `since` is `default` before `until`. Raises Invalid for a bad time,
        and unless `since` is before `until`.
        """
        until = self.instant("until") or datetime.datetime.now(datetime.UTC)
        try:
            since = self.instant("since") or until - default
        except OverflowError:
            raise Invalid("until", "must be later", code=OUT_OF_RANGE) from None
        if since >= until:
            raise Invalid("since", "must be before until", code=OUT_OF_RANGE)
        return since, until

    def number(self, name: str, default: int = 0) -> int:
        """Return the query parameter `name` as a whole number, 0 or more, of up to 18 digits; `default` when absent or
        empty. Raises Invalid, code WRONG_TYPE, for any other text.
        """
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Invalid(name, "must be a whole number, 0 or more", code=WRONG_TYPE)
        return int(text)
