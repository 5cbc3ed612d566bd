"""Buttons and lists for a member's reactions and bookmarks."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from forumapi.webclient.redirect_back import back_to
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Things of each mark, as their addresses have them.
REACTED: Final = "any(comments,conversations,events,polls)"
BOOKMARKED: Final = "any(comments,conversations,events,huddles,polls)"


class ReactView(View):
    """Page of the reactions that the site offers, and target of its buttons: giving and taking back of the member's
    reaction to a comment or item.
    """

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Show the comment or item with the id `item`, an item by its title, and all reactions that the site offers,
        for the member to give one. `things`: plural of the thing's type, such as `comments`. Raises SignInFirst for
        guests, Failure if the member may not read the thing.
        """
        visit.member()
        path = f"/{things}/{item}"
        thing = visit.api.get(path, limit=None if things == "comments" else 5)
        found = visit.api.get(f"{path}/reactions")["reactions"]
        return visit.page("react.html", things=things, item=item, thing=thing, reactions=found)

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Give the comment or item with the id `item` the reaction named in the field `reaction`, or, if that is empty,
        take back the one named in `unreact`, and redirect to the page that the form was sent from. `things`: plural of
        the thing's type, such as `comments`. Raises Refused with 400 if both fields are empty, SignInFirst for guests,
        Failure if the API refuses the reaction.
        """
        visit.member()
        given, taken = visit.field("reaction"), visit.field("unreact")
        if not (given or taken):
            raise Refused(400)
        path = f"/{things}/{item}/reactions/{quote(given or taken, safe='')}"
        visit.api.write("PUT" if given else "DELETE", path, None)
        return back_to(visit, things, item)


class BookmarkView(View):
    """Setting and removal of the member's bookmark on a comment or item."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Set the member's bookmark on the comment or item with the id `item` if the field `on` is "1", else remove it,
        and redirect to the page that the form was sent from. `things`: plural of the type, such as `comments`. Raises
        SignInFirst for guests, Failure if the API refuses.
        """
        visit.member()
        is_on = visit.field("on") == "1"
        visit.api.write("PUT" if is_on else "DELETE", f"/{things}/{item}/bookmark", None)
        return back_to(visit, things, item)


class BookmarkListView(View):
    """List of the member's bookmarks."""

    def get(self, visit: Visit) -> Answer:
        """List the member's bookmarks, newest first; with the query parameter `before`, a key that an earlier page
        gave, the page behind that key. Raises SignInFirst for guests.
        """
        visit.member()
        found = visit.api.get("/bookmarks", before=visit.query.get("before"))["bookmarks"]
        return visit.page("bookmarks.html", bookmarks=found)
