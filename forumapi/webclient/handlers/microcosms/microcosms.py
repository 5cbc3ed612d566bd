"""Pages that show microcosms to read: one with what stands in it, and the root of their tree."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


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
