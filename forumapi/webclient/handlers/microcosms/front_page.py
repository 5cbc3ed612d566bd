"""Front page of a site: its newest items, its microcosms as a tree, and who is online."""

from __future__ import annotations

import re
from typing import Final

from forumapi.webclient.handlers.sites.platform import is_platform, show_front
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Items that the front page lists, and people who are here now that it names.
NEWEST = 20
NAMED = 5
# Names that the API gives to those who have chosen none.
GIVEN: Final = re.compile(r"user\d+(?:x\d+)?")


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
        return visit.page(
            "front.html",
            places=visit.api.get("/microcosms/tree"),
            newest=newest["results"]["items"],
            is_unnamed=visit.me is not None and bool(GIVEN.fullmatch(visit.me["profileName"])),
            online=visit.api.get("/profiles", online="true", limit=NAMED)["profiles"],
        )
