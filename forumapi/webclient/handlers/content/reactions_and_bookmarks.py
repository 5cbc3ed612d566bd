"""Buttons and lists for a member's own marks: reactions, bookmarks, following, ignoring, and marking as read."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Things of each mark, as their addresses have them.
REACTED: Final = "any(comments,conversations,events,polls)"
BOOKMARKED: Final = "any(comments,conversations,events,huddles,polls)"
FOLLOWED: Final = "any(conversations,events,huddles,microcosms,polls,profiles,sites)"
IGNORED: Final = "any(conversations,events,huddles,microcosms,polls,profiles)"
READ: Final = "any(conversations,events,huddles,microcosms,polls)"


def back_to(visit: Visit, things: str, item: int) -> Answer:
    """Redirect to the page that the form's field `back` names; without that field to the page of the thing with the id
    `item`, for a site or 0 to the member's list of watchers. After a form on a comment, the address ends with the
    comment's anchor, except in the list of bookmarks. `things`: plural of the type, such as `conversations`.
    """
    address = visit.back(f"/{things}/{item}/" if things != "sites" and item else "/watchers/")
    is_in_thread = things == "comments" and not address.startswith("/bookmarks/")
    anchor = f"#comment{item}" if is_in_thread else ""
    return visit.redirect(f"{address.partition('#')[0]}{anchor}")


class ReactView(View):
    """Page of the reactions that the site offers, and target of its buttons: giving and taking back of the member's
    reaction to a comment or item.
    """

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Show all reactions that the site offers, for the member to give one. Raises SignInFirst for guests."""
        visit.member()
        found = visit.api.get(f"/{things}/{item}/reactions")["reactions"]
        return visit.page("react.html", things=things, item=item, reactions=found)

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Give the reaction named in `reaction`, or take back the one named in `unreact`, and go `back_to` the page
        before. Raises Refused without either. Raises SignInFirst for guests.
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
        """Set the bookmark if `on` is "1", else remove it, and go `back_to` the page before. Raises SignInFirst for
        guests.
        """
        visit.member()
        is_on = visit.field("on") == "1"
        visit.api.write("PUT" if is_on else "DELETE", f"/{things}/{item}/bookmark", None)
        return back_to(visit, things, item)


class BookmarkListView(View):
    """List of the member's bookmarks."""

    def get(self, visit: Visit) -> Answer:
        """List the member's bookmarks, newest first, those older than `before`. Raises SignInFirst for guests."""
        visit.member()
        found = visit.api.get("/bookmarks", before=visit.query.get("before"))["bookmarks"]
        return visit.page("bookmarks.html", bookmarks=found)


class FollowView(View):
    """Setting, change and removal of the member's watcher on an item, microcosm, profile or the site."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Begin to watch the thing if `on` is "1", else stop; with the field `mail`, only set if the watcher sends mail
        ("1": yes). Go `back_to` the page before. Raises SignInFirst for guests.
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
        """List what the member watches, from `offset` on. Raises SignInFirst for guests."""
        visit.member()
        found = visit.api.get("/watchers", offset=visit.query.get("offset"))["watchers"]
        return visit.page("watchers.html", watchers=found)


class IgnoreView(View):
    """Start and end of ignoring an item, microcosm or profile, by the member."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Ignore the thing if `on` is "1", else stop ignoring it, and go `back_to` the page before. Raises SignInFirst
        for guests.
        """
        visit.member()
        method = "PUT" if visit.field("on") == "1" else "DELETE"
        visit.api.write(method, "/ignored", {"itemType": things[:-1], "itemId": item})
        return back_to(visit, things, item)


class IgnoredListView(View):
    """List of what the member ignores."""

    def get(self, visit: Visit) -> Answer:
        """List what the member ignores, from `offset` on. Raises SignInFirst for guests."""
        visit.member()
        found = visit.api.get("/ignored", offset=visit.query.get("offset"))["ignored"]
        return visit.page("ignored.html", ignored=found)


class ReadView(View):
    """Setting of the member's read mark on an item or microcosm."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Mark the item or microcosm as read up to now, and lead back. Raises SignInFirst for guests."""
        visit.member()
        visit.api.put("/profiles/read", {"itemType": things[:-1], "itemId": item})
        return back_to(visit, things, item)


class ReadAllView(View):
    """Setting of the member's read marks on the whole site, or on all huddles."""

    def post(self, visit: Visit) -> Answer:
        """Mark the site as read up to now, or with `what` = "huddles" all of the member's huddles, and lead back.
        Raises SignInFirst for guests.
        """
        visit.member()
        kind = "huddle" if visit.field("what") == "huddles" else "site"
        visit.api.put("/profiles/read", {"itemType": kind, "itemId": 0})
        return visit.redirect(visit.back())
