"""Pages of the tree of places: the front page, and a microcosm."""

from __future__ import annotations

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Newest conversations and so on that the front page lists.
NEWEST = 20


class FrontView(View):
    """Front page of a site: what is new, and its places as a tree."""

    def get(self, visit: Visit) -> Answer:
        """Show it."""
        places = visit.api.get("/microcosms/tree")
        newest = visit.api.get("/conversations", limit=NEWEST)
        return visit.page("front.html", places=places, newest=newest["conversations"])


class MicrocosmPageView(View):
    """Microcosm: the places in it, then its conversations, events and polls."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show a page of it."""
        found = visit.api.get(f"/microcosms/{microcosm}", offset=visit.query.get("offset"))
        return visit.page("microcosm.html", microcosm=found)
