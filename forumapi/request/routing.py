"""Matching of paths against the routing tables (`routes.py`), and the converters that are used there."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import (
    BaseConverter,
    IntegerConverter,
    Map,
    MapAdapter,
    RequestRedirect,
    Rule,
    ValidationError,
)

from forumapi import itemtypes
from forumapi.errors import WRONG_TYPE, Invalid, NotFound
from forumapi.itemtypes import ItemRef, ItemType
from forumapi.request.context import Context
from forumapi.request.handler import Handler

if TYPE_CHECKING:
    from forumapi.request.services import Services

_BIGINT = 2**63 - 1
_PART = re.compile(r"<(?:(\w+):)?(\w+)>")
_NUMBER = re.compile(r"/([0-9]+)")


def template(url: str) -> str:
    """Return an address of a routing table in the form of logs and metrics, such as `/api/v1/comments/{id}`."""
    return _PART.sub(lambda part: "{id}" if part[2] == "item" else f"{{{part[2]}}}", url)


def _number(text: str) -> int:
    if len(text) > 19 or int(text) > _BIGINT:
        raise Invalid("id", "is beyond 64 bits", code=WRONG_TYPE)
    return int(text)


class NumberConverter(IntegerConverter):
    """Converter of `<number:name>`: ASCII digits. Raises Invalid (400) for a number above 2**63 - 1 (platform 1.1)."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        if not value.isascii():
            raise ValidationError
        return _number(value)


class KeyConverter(BaseConverter):
    """Converter of `<key:name>`: letters, digits, hyphens, underscores (content 1.1)."""

    regex = "[0-9A-Za-z_-]+"


def _item_converter(kind: ItemType) -> type[NumberConverter]:
    class ItemConverter(NumberConverter):
        """Converter of `<type:item>`: the id of an object of that type, as an ItemRef."""

        def to_python(self, value: str) -> Any:
            return ItemRef(kind.id, super().to_python(value))

    return ItemConverter


CONVERTERS: dict[str, type[BaseConverter]] = {
    "key": KeyConverter,
    "number": NumberConverter,
    **{kind.name: _item_converter(kind) for kind in itemtypes.TYPES},
}


@functools.lru_cache(4)
def _matcher(urls: tuple[str, ...]) -> MapAdapter:
    """Return the compiled rules of addresses, each its own endpoint; shared by all applications of the process."""
    rules = [Rule(url, endpoint=url) for url in urls]
    return Map(rules, converters=CONVERTERS, strict_slashes=True, merge_slashes=False).bind("")


class Match(NamedTuple):
    """Route that a path fits: its address in the routing table, its handler, and the values in the path by their names
    in that address (`args`).
    """

    url: str
    handler: Handler
    args: dict[str, Any]


class RoutingTable:
    """Routes of one kind of host (the platform's, or those of sites) in one application. `classes`: handler classes by
    address, as `routes.py` has them; there is one instance of each class.
    """

    def __init__(self, classes: dict[str, type[Handler]]) -> None:
        instances = {handler: handler() for handler in set(classes.values())}
        self.classes = classes
        self._handlers = {url: instances[handler] for url, handler in classes.items()}
        self._matcher = _matcher(tuple(classes))
        # Addresses whose values are numbers, with 0 for each: looking one up costs a tenth of the matcher.
        self._numbered: dict[str, tuple[str, Sequence[tuple[str, Callable[[str], Any]]]]] = {}
        for url in classes:
            parts = [(name, CONVERTERS.get(kind)) for kind, name in _PART.findall(url)]
            if all(kind and issubclass(kind, NumberConverter) for _, kind in parts):
                convert = [
                    (name, kind(self._matcher.map).to_python) for name, kind in parts if kind
                ]
                self._numbered[_PART.sub("0", url)] = url, convert

    def match(self, path: str) -> Match | None:
        """Return the route that fits a path, None for none. Raises Invalid for a number in it that is too large."""
        found = self._numbered.get(path) or self._numbered.get(_NUMBER.sub("/0", path))
        if found is not None:
            url, parts = found
            values = zip(parts, _NUMBER.findall(path), strict=True) if parts else ()
            return Match(url, self._handlers[url], {name: of(text) for (name, of), text in values})
        try:
            url, args = self._matcher.match(path, method="GET")
        except (NoRoute, RequestRedirect):
            return None
        return Match(url, self._handlers[url], dict(args))


def route(app: Services, ctx: Context) -> tuple[Handler, dict[str, Any]]:
    """Return the handler for the request's path, and the values of the path's converters; set `ctx.route` for logs.

    The platform's host has other routes than hosts of sites. Raises NotFound if no route of the request's host fits the
    path, Invalid for a number in it that is too large.
    """
    found = app.routes(ctx.site).match(ctx.path)
    if found is None:
        raise NotFound("There is nothing at this address")
    ctx.route = app.templates[found.url]
    return found.handler, found.args
