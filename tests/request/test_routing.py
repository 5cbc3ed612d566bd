"""Routing tables: the look-up of addresses whose values are numbers finds what the matcher finds."""

from __future__ import annotations

import re

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, RequestRedirect, Rule

from forumapi import routes
from forumapi.errors import Invalid
from forumapi.request.handler import Handler
from forumapi.request.routing import CONVERTERS, RoutingTable

VALUES = ("0", "007", "12", "9" * 19, "9" * 20, "\u0663", "-1", "1\n", "a1", "")
ENDS = ("", "/", "//", "/1", "\n")


@pytest.mark.parametrize("classes", [routes.ROOT, routes.SITE], ids=["platform", "site"])
def test_the_look_up_finds_what_the_matcher_finds(classes: dict[str, type[Handler]]) -> None:
    table = RoutingTable(classes)
    rules = [Rule(url, endpoint=url) for url in classes]
    matcher = Map(rules, converters=CONVERTERS, merge_slashes=False).bind("")

    def looked_up(path: str) -> object:
        try:
            found = table.match(path)
        except Invalid as error:
            return error.message
        return None if found is None else (found.url, found.args)

    def matched(path: str) -> object:
        try:
            url, args = matcher.match(path, method="GET")
        except Invalid as error:
            return error.message
        except (NotFound, RequestRedirect):
            return None
        return url, dict(args)

    for url in classes:
        for value in VALUES:
            for end in ENDS:
                path = re.sub("<[^>]+>", value, url) + end
                assert looked_up(path) == matched(path), path
