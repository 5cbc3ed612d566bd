"""Pages of one microcosm with its items, and of the root of the tree. Forms are in microcosm_forms.py."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Polls that the page of a microcosm shows; all others are behind a link.
POLLS: Final = 5


class MicrocosmPageView(View):
    """Page of a microcosm: the microcosms below it, then its items."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show the microcosm with the id `microcosm`, and its entries from the query's `offset` on: sticky ones, then
        the microcosms below it, then its items by last activity, latest first. For an offset that the API refuses, show
        the first entries. Raises Failure if the visitor may not read the microcosm.
        """
        return self.show(visit, visit.listed(f"/microcosms/{microcosm}"))

    def show(self, visit: Visit, found: dict[str, Any]) -> Answer:
        """Show the microcosm `found`, which is as the API answers it. The API's list of items leaves polls out, so that
        on the first page of that list the first POLLS (5) polls are shown too if the microcosm can hold polls, sticky
        ones before those with the newest comments.
        """
        polls: dict[str, Any] | None = None
        if "poll" in found["itemTypes"] and found["items"]["page"] <= 1:
            polls = visit.api.get("/polls", microcosmId=found["id"], limit=POLLS)["polls"]
        return visit.page("microcosm.html", microcosm=found, polls=polls)


class MicrocosmsView(MicrocosmPageView):
    """Page of the root microcosm: the microcosms at the top of the tree, and the root's own items."""

    def get(self, visit: Visit) -> Answer:  # type: ignore[override]
        """Show the root microcosm, and its entries from the query's `offset` on: sticky ones, then the microcosms below
        it, then its items by last activity, latest first. For an offset that the API refuses, show the first entries.
        """
        return self.show(visit, visit.listed("/microcosms"))
