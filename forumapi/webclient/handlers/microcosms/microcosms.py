"""Pages of the tree of places: the front page, and a microcosm."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.handlers.sites.platform import is_platform, show_front
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Items that the front page lists, and people who are here now that it names.
NEWEST = 20
NAMED = 5


class FrontView(View):
    """Front page of a site: what is new of every type, its places as a tree, and who is here."""

    def get(self, visit: Visit) -> Answer:
        """Show it. Who may read nothing here finds out how to get in."""
        if is_platform(visit):
            return show_front(visit)
        newest = visit.api.get(
            "/search", type=["conversation", "event", "poll"], sort="date", limit=NEWEST
        )
        return visit.page(
            "front.html",
            places=visit.api.get("/microcosms/tree"),
            newest=newest["results"]["items"],
            online=visit.api.get("/profiles", online="true", limit=NAMED)["profiles"],
        )


class MicrocosmPageView(View):
    """Microcosm: the places in it, then its conversations, events and polls."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show a page of it."""
        return self.show(visit, visit.listed(f"/microcosms/{microcosm}"))

    def show(self, visit: Visit, found: dict[str, Any]) -> Answer:
        """Show a microcosm."""
        return visit.page("microcosm.html", microcosm=found)


class MicrocosmsView(MicrocosmPageView):
    """Root of the tree: all places at the top, and what stands beside them."""

    def get(self, visit: Visit) -> Answer:  # type: ignore[override]
        """Show a page of it."""
        return self.show(visit, visit.listed("/microcosms"))
