"""Button and list for what a member watches."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.redirect_back import back_to
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

FOLLOWED: Final = "any(conversations,events,huddles,microcosms,polls,profiles,sites)"


class FollowView(View):
    """Setting, change and removal of the member's watcher on an item, microcosm, profile or the site."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Begin to watch the thing of the type `things` (a plural, such as `events`) with the id `item` if the field
        `on` is "1", else stop; with the field `mail`, in place of both, set whether the existing watcher sends mail
        ("1": yes, else no). Redirect to the page that the form was sent from. Raises SignInFirst for guests, Failure if
        the API refuses.
        """
        visit.member()
        body = {"itemType": things[:-1], "itemId": item}
        if visit.field("mail"):
            is_wanted = visit.field("mail") == "1"
            visit.api.write("PATCH", "/watchers/patch", {**body, "sendEmail": is_wanted})
        elif visit.field("on") == "1":
            visit.api.post("/watchers", body)
        else:
            visit.api.delete("/watchers/delete", itemType=things[:-1], itemId=item)
        return back_to(visit, things, item)


class WatcherListView(View):
    """List of the member's watchers."""

    def get(self, visit: Visit) -> Answer:
        """List the member's watchers from the query's `offset` on: first those that never led to an update, then by the
        time of the last one, latest first. Raises SignInFirst for guests.
        """
        visit.member()
        found = visit.api.get("/watchers", offset=visit.query.get("offset"))["watchers"]
        return visit.page("watchers.html", watchers=found)
