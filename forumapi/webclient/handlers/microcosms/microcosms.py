"""Pages that show microcosms to read: one with what stands in it, and the root of their tree."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Polls that the page of a microcosm shows; all others are behind a link.
POLLS: Final = 5


class MicrocosmPageView(View):
    """Microcosm: the places in it, then its conversations, events and polls."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show a page of it."""
        return self.show(visit, visit.listed(f"/microcosms/{microcosm}"))

    def show(self, visit: Visit, found: dict[str, Any]) -> Answer:
        """Show a microcosm. Its polls, which no list of several types has, stand on its first page."""
        polls: dict[str, Any] | None = None
        if "poll" in found["itemTypes"] and found["items"]["page"] <= 1:
            polls = visit.api.get("/polls", microcosmId=found["id"], limit=POLLS)["polls"]
        return visit.page("microcosm.html", microcosm=found, polls=polls)


class MicrocosmsView(MicrocosmPageView):
    """Root of the tree: all places at the top, and what stands beside them."""

    def get(self, visit: Visit) -> Answer:  # type: ignore[override]
        """Show a page of it."""
        return self.show(visit, visit.listed("/microcosms"))
