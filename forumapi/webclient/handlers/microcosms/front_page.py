"""Front page of a site: its newest items, its microcosms as a tree, and who is online."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from markupsafe import Markup

from forumapi.webclient import template_environment
from forumapi.webclient.handlers.sites.platform import is_platform, show_front
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Items that the front page lists, and people who are here now that it names.
NEWEST = 20
NAMED = 5
# Largest answer with a site's microcosms, in bytes, whose list is kept: of about 300 microcosms.
LARGEST: Final = 32 * 1024


class Places(NamedTuple):
    """Microcosms of a site that a visitor may read, as the front page shows them. `number`: how many, the site's root
    included; `first`: id of the first one, the root, 0 without any; `tree`: list of them in HTML.
    """

    number: int
    first: int
    tree: Markup


def places_of(code: str, body: bytes) -> Places:
    """Return the microcosms that the API's answer `body` to GET /microcosms/tree lists, shown in the language `code`.
    For an answer of at most LARGEST (32 KiB) bytes they are kept, by all of its bytes: whoever is answered with the
    same sees the same.
    """
    return _kept_places(code, body) if len(body) <= LARGEST else _places(code, body)


def _places(code: str, body: bytes) -> Places:
    found: list[dict[str, Any]] = msgspec.json.decode(body)["data"]
    parts: Any = template_environment.environment(code).get_template("_parts.html").module
    return Places(len(found), found[0]["id"] if found else 0, parts.tree(found))


_kept_places: Final = lru_cache(64)(_places)


class FrontView(View):
    """Front page of a site; on the platform's own host, the list of sites in its place."""

    def get(self, visit: Visit) -> Answer:
        """Show the conversations, events and polls with the latest activity, NEWEST (20) of them at most, the tree of
        microcosms, and at most NAMED (5) of the people who are online. A guest who may read no microcosm sees how to
        get in. On the platform's own host, show the list of sites in place of all this, as `show_front` does.
        """
        if is_platform(visit):
            return show_front(visit)
        newest = visit.api.get(
            "/search", type=["conversation", "event", "poll"], sort="date", limit=NEWEST
        )
        items = newest["results"]["items"]
        return visit.page(
            "front.html",
            places=places_of(visit.language.code, visit.api.document("/microcosms/tree").body),
            newest=items,
            has_unread=any(one["unread"] for one in items),
            online=visit.api.get("/profiles", online="true", limit=NAMED)["profiles"],
        )
