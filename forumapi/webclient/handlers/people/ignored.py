"""Button and list for what a member ignores."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.redirect_back import back_to
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

IGNORED: Final = "any(conversations,events,huddles,microcosms,polls,profiles)"


class IgnoreView(View):
    """Start and end of ignoring an item, microcosm or profile, by the member."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Ignore the thing of the type `things` (a plural, such as `profiles`) with the id `item` if the field `on` is
        "1", else stop ignoring it, and redirect to the page that the form was sent from. Raises SignInFirst for guests,
        Failure if the API refuses.
        """
        visit.member()
        method = "PUT" if visit.field("on") == "1" else "DELETE"
        visit.api.write(method, "/ignored", {"itemType": things[:-1], "itemId": item})
        return back_to(visit, things, item)


class IgnoredListView(View):
    """List of what the member ignores."""

    def get(self, visit: Visit) -> Answer:
        """List what the member ignores, from the query's `offset` on, by type, then by title or name. Raises
        SignInFirst for guests.
        """
        visit.member()
        found = visit.api.get("/ignored", offset=visit.query.get("offset"))["ignored"]
        return visit.page("ignored.html", ignored=found)
