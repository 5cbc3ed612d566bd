"""Reading of the API's lists with keyset pagination: one page, and the key at which the next one begins."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from forumapi.webclient.api import Failure
from forumapi.webclient.visit import Visit


class KeysetPage(NamedTuple):
    """Page of a list with keyset pagination: `items` as the API shows them. `key`: name of the query parameter that
    chooses the page; `following`: the parameter's value for the next page, "" on the last one.
    """

    items: list[dict[str, Any]]
    following: str
    key: str


def read(visit: Visit, path: str, name: str, key: str = "before", **asked: Any) -> KeysetPage:
    """Return a page of the list that `path` of the API answers under `name`: the page that the query parameter `key` of
    the visitor's request chooses; the first one without that parameter, or if the API refuses its value.

    `asked`: further query parameters for the API. Raises Failure for other refusals.
    """
    at = visit.query.get(key)
    try:
        found = visit.api.get(path, **asked, **{key: at})
    except Failure as failure:
        if failure.status != 400 or not at:
            raise
        found = visit.api.get(path, **asked)
    listed = found[name]
    links = {one["rel"]: one["href"] for one in listed["links"]}
    following = parse_qs(urlsplit(links.get("next", "")).query).get(key, [""])[0]
    return KeysetPage(listed["items"], following, key)
