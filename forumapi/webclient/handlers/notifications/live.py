"""Answers to the script of live pages: a ticket for the live stream, counts of unread things, new comments, names."""

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
    """Issue of a ticket by which a member's page opens one connection to the API's live stream."""

    def post(self, visit: Visit) -> Answer:
        """Answer with JSON: `ticket`, which is good for one connection. Raises Refused with 403 for guests, who connect
        without a ticket.
        """
        if not visit.session.token:
            raise Refused(403)
        found = visit.api.post("/live/tickets").data
        return visit.send(
            msgspec.json.encode({"ticket": found["ticket"]}), JSON, headers=NEVER_KEPT
        )


class CountsView(View):
    """Numbers of a member's unread updates and huddles, for the bar of the page."""

    def get(self, visit: Visit) -> Answer:
        """Answer with JSON: `updates` and `huddles`, the numbers of the member's unread updates and of huddles with
        unread comments. Raises Refused with 403 for guests.
        """
        if visit.me is None:
            raise Refused(403)
        unread = visit.api.get("/updates", unread="true", limit=5)["updates"]["total"]
        found = {"updates": unread, "huddles": unread_huddles(visit.me)}
        return visit.send(msgspec.json.encode(found), JSON, headers=NEVER_KEPT)


class NewCommentsView(View):
    """Comments on an item that are newer than a comment that the page has already, as a piece of HTML."""

    def get(self, visit: Visit, kind: str, item: int, comment: int) -> Answer:
        """Send the comments with ids above `comment` on the thing with the id `item` as HTML: those on the page of its
        comments at the query's `offset` (the first page if the API refuses that offset) and on the pages behind,
        MOST_PAGES (4) pages at most. `kind`: plural of the thing's type, such as `events`. Raises Failure if the
        visitor may not read the thing; Refused with 404 for a huddle that the member takes no part in.
        """
        try:
            lists = [visit.listed(f"/{kind}/{item}")]
        except Failure as failure:
            raise huddles.huddle_refusal(visit, failure) if kind == "huddles" else failure from None
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
    """Name of a profile, for the script that shows who is writing."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Answer with JSON: `name`, that of the profile with the id `profile`, as plain text. Raises Failure if the
        visitor may not see the profile.
        """
        found = visit.api.get(f"/profiles/{profile}")
        return visit.send(msgspec.json.encode({"name": unescape(found["profileName"])}), JSON)


def unread_huddles(me: dict[str, Any]) -> int:
    """Return the number of the member's huddles with unread comments, from `me`, the member's profile as `/whoami`
    shows it; 0 if the profile lacks the number.
    """
    stats = me["meta"].get("stats") or ()
    return next((int(one["value"]) for one in stats if one["metric"] == "unreadHuddles"), 0)
