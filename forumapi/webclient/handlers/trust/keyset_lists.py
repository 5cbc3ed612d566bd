"""Lists of the API that go on by key: a page of one, and where the next begins."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from forumapi.webclient.api import Failure
from forumapi.webclient.visit import Visit


class KeysetPage(NamedTuple):
    """Page of a list. `following`: the key at which the next page begins, "" on the last one; `key`: its parameter."""

    items: list[dict[str, Any]]
    following: str
    key: str


def read(visit: Visit, path: str, name: str, key: str = "before", **asked: Any) -> KeysetPage:
    """Read the page of a list that the address names by its key; the first one for a key that is none.

    Raises Failure.
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
