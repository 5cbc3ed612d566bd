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
    """Lead back to the page and place that a form was sent from."""
    address = visit.back(f"/{things}/{item}/" if things != "sites" and item else "/watchers/")
    is_in_thread = things == "comments" and not address.startswith("/bookmarks/")
    anchor = f"#comment{item}" if is_in_thread else ""
    return visit.redirect(f"{address.partition('#')[0]}{anchor}")


class ReactView(View):
    """Reactions to a comment or item."""

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Show all that can be given."""
        visit.member()
        found = visit.api.get(f"/{things}/{item}/reactions")["reactions"]
        return visit.page("react.html", things=things, item=item, reactions=found)

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Give one, or take one back."""
        visit.member()
        given, taken = visit.field("reaction"), visit.field("unreact")
        if not (given or taken):
            raise Refused(400)
        path = f"/{things}/{item}/reactions/{quote(given or taken, safe='')}"
        visit.api.write("PUT" if given else "DELETE", path, None)
        return back_to(visit, things, item)


class BookmarkView(View):
    """Bookmark of a comment or item."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Put it there, or take it off."""
        visit.member()
        is_on = visit.field("on") == "1"
        visit.api.write("PUT" if is_on else "DELETE", f"/{things}/{item}/bookmark", None)
        return back_to(visit, things, item)


class BookmarkListView(View):
    """Bookmarks of a member."""

    def get(self, visit: Visit) -> Answer:
        """List them, the newest first."""
        visit.member()
        found = visit.api.get("/bookmarks", before=visit.query.get("before"))["bookmarks"]
        return visit.page("bookmarks.html", bookmarks=found)


class FollowView(View):
    """Watcher of a thing or person."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Begin or stop following; `mail` alone says if mail is sent about it."""
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
    """Things and people that a member follows."""

    def get(self, visit: Visit) -> Answer:
        """List them."""
        visit.member()
        found = visit.api.get("/watchers", offset=visit.query.get("offset"))["watchers"]
        return visit.page("watchers.html", watchers=found)


class IgnoreView(View):
    """Thing or person that a member does not want to see."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Ignore it, or see it again."""
        visit.member()
        method = "PUT" if visit.field("on") == "1" else "DELETE"
        visit.api.write(method, "/ignored", {"itemType": things[:-1], "itemId": item})
        return back_to(visit, things, item)


class IgnoredListView(View):
    """Things and people that a member ignores."""

    def get(self, visit: Visit) -> Answer:
        """List them."""
        visit.member()
        found = visit.api.get("/ignored", offset=visit.query.get("offset"))["ignored"]
        return visit.page("ignored.html", ignored=found)


class ReadView(View):
    """Mark that something was read."""

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Mark it."""
        visit.member()
        visit.api.put("/profiles/read", {"itemType": things[:-1], "itemId": item})
        return back_to(visit, things, item)


class ReadAllView(View):
    """Mark that everything on the site was read; `huddles` says that of messages."""

    def post(self, visit: Visit) -> Answer:
        """Mark it."""
        visit.member()
        kind = "huddle" if visit.field("what") == "huddles" else "site"
        visit.api.put("/profiles/read", {"itemType": kind, "itemId": 0})
        return visit.redirect(visit.back())
