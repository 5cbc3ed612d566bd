"""Reading of the API's lists with keyset pagination: one page, and the key at which the next one begins."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from forumapi.webclient.api import Failure
from forumapi.webclient.visit import Visit


class KeysetPage(NamedTuple):
    """Page of a list with keyset pagination. `key`: name of the query parameter; `following`: its value for the next
    page, "" on the last one.
    """

    items: list[dict[str, Any]]
    following: str
    key: str


def read(visit: Visit, path: str, name: str, key: str = "before", **asked: Any) -> KeysetPage:
    """Return the page of the list `name` at `path` of the API that the visitor's query parameter `key` names; the first
    page without one, or if the API refuses it. Raises Failure.
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
