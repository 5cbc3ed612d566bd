"""Buttons by which a member marks items, microcosms or the whole site as read."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.redirect_back import back_to
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

READ: Final = "any(conversations,events,huddles,microcosms,polls)"


class ReadView(View):
    """Setting of the member's read mark on an item or microcosm."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Mark the item or microcosm with the id `item` as read up to now, and redirect to the page that the form was
        sent from. `things`: plural of the type, such as `events`. Raises SignInFirst for guests, Failure if the API
        refuses.
        """
        visit.member()
        visit.api.put("/profiles/read", {"itemType": things[:-1], "itemId": item})
        return back_to(visit, things, item)


class ReadAllView(View):
    """Setting of the member's read marks on the whole site, or on all huddles."""

    def post(self, visit: Visit) -> Answer:
        """Mark everything on the site but huddles as read up to now for the member, or with the field `what` =
        "huddles" all of the member's huddles, and redirect to the page that the form was sent from. Raises SignInFirst
        for guests.
        """
        visit.member()
        kind = "huddle" if visit.field("what") == "huddles" else "site"
        visit.api.put("/profiles/read", {"itemType": kind, "itemId": 0})
        return visit.redirect(visit.back())
