"""Matching of paths against the routing tables (`routes.py`), and the converters that are used there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

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
_PART = re.compile(r"<(?:\w+:)?(\w+)>")


def template(url: str) -> str:
    """Return an address of a routing table in the form of logs and metrics, such as `/api/v1/comments/{id}`."""
    return _PART.sub(lambda part: "{id}" if part[1] == "item" else f"{{{part[1]}}}", url)


def _number(text: str) -> int:
    if len(text) > 19 or int(text) > _BIGINT:
        raise Invalid("id", "is beyond 64 bits", code=WRONG_TYPE)
    return int(text)


class NumberConverter(IntegerConverter):
    """Converter of `<number:name>`: ASCII digits. Raises Invalid (400) for a number beyond 64 bits (platform 1.1)."""

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


def adapter(routes: dict[str, type[Handler]]) -> MapAdapter:
    """Return an adapter that matches paths against `routes` (handler class by address), with one instance of each
    class.
    """
    instances = {handler: handler() for handler in set(routes.values())}
    rules = [Rule(url, endpoint=instances[handler]) for url, handler in routes.items()]
    return Map(rules, converters=CONVERTERS, strict_slashes=True, merge_slashes=False).bind("")


def route(app: Services, ctx: Context) -> tuple[Handler, dict[str, Any]]:
    """Return the handler for the request's path, and the values of the path's converters; set `ctx.route` for logs.

    The platform's host has other routes than hosts of sites. Raises NotFound if no route of the request's host fits the
    path, Invalid for a number in it that is too large.
    """
    routes = app.root_routes if ctx.site.is_root else app.site_routes
    try:
        rule, args = routes.match(ctx.path, method="GET", return_rule=True)
    except (NoRoute, RequestRedirect):
        raise NotFound("There is nothing at this address") from None
    ctx.route = app.templates[rule.rule]
    return rule.endpoint, dict(args)
