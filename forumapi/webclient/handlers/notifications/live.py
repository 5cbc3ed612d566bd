"""Answers to the script of a page: a ticket for the live stream, counts of the bar, comments that have come."""

from __future__ import annotations

from html import unescape
from typing import Any, Final

import msgspec

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.content import huddles
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

JSON: Final = "application/json; charset=utf-8"
NEVER_KEPT: Final = {"Cache-Control": "no-store"}
# Pages of the API that are read for comments which have come; beyond them a link leads on.
MOST_PAGES: Final = 4


class LiveTicketView(View):
    """Ticket that opens one connection to the live stream of the API, for a member's page."""

    def post(self, visit: Visit) -> Answer:
        """Send one. A guest needs none. Raises Refused."""
        if not visit.session.token:
            raise Refused(403)
        found = visit.api.post("/live/tickets").data
        return visit.send(
            msgspec.json.encode({"ticket": found["ticket"]}), JSON, headers=NEVER_KEPT
        )


class CountsView(View):
    """Numbers of unread updates and huddles, for the bar."""

    def get(self, visit: Visit) -> Answer:
        """Send both. Raises Refused for guests."""
        if visit.me is None:
            raise Refused(403)
        unread = visit.api.get("/updates", unread="true", limit=5)["updates"]["total"]
        found = {"updates": unread, "huddles": unread_huddles(visit.me)}
        return visit.send(msgspec.json.encode(found), JSON, headers=NEVER_KEPT)


class NewCommentsView(View):
    """Comments on something after one of them, without a page around them."""

    def get(self, visit: Visit, kind: str, item: int, comment: int) -> Answer:
        """Send them as HTML, from the page of comments at `offset` on."""
        try:
            lists = [visit.listed(f"/{kind}/{item}")]
        except Failure as failure:
            raise huddles.nothing(visit, failure) if kind == "huddles" else failure from None
        while lists[-1]["comments"]["page"] < lists[-1]["comments"]["totalPages"]:
            if len(lists) == MOST_PAGES:
                break
            last = lists[-1]["comments"]
            following = last["offset"] + last["limit"]
            lists.append(visit.api.get(f"/{kind}/{item}", offset=following))
        last = lists[-1]["comments"]
        pages = [
            (
                one["comments"]["offset"],
                [new for new in one["comments"]["items"] if new["id"] > comment],
            )
            for one in lists
        ]
        return visit.page(
            "new_comments.html",
            item=lists[0],
            kind=kind.removesuffix("s"),
            pages=pages,
            is_all=last["page"] >= last["totalPages"],
        )


class NameView(View):
    """Name of a person, for the script that says who is writing."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Send it."""
        found = visit.api.get(f"/profiles/{profile}")
        return visit.send(msgspec.json.encode({"name": unescape(found["profileName"])}), JSON)


def unread_huddles(me: dict[str, Any]) -> int:
    """Return the number of a person's unread huddles."""
    stats = me["meta"].get("stats") or ()
    return next((int(one["value"]) for one in stats if one["metric"] == "unreadHuddles"), 0)
