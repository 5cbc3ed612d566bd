"""Pages of reports: the form for one thing, the receipt, and the list of a member's reports with their outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

REPORTED: Final = "any(comments, conversations, events, polls, profiles)"
# Kinds that a site has without a list of its own, with their titles by the API; the website says them in each language.
TITLES: Final = {
    "spam": "Spam or advertising",
    "abuse": "An insult or a threat",
    "offTopic": "It does not belong here",
    "illegal": "It is against the law",
    "other": "Something else",
}
# Refusal of guests' reports by an installation that sends no mail.
NO_MAIL: Final = 501


class ReportThingView(View):
    """Form by which somebody reports a comment, an item or a profile to moderators; guests give their address."""

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Show the form to report the thing with the id `item`, and that thing. `things`: plural of the thing's type,
        such as `comments`. Raises Failure if the visitor may not read the thing.
        """
        return self._show(visit, things, item)

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Send the report about the thing with the id `item`: a member is led to the receipt, a guest is told of the
        mail that confirms the report. A refusal whose status is 501 or in FORM_REFUSALS (400, 403 and others) shows the
        form again with that status; raises Failure for any other, and for any if the visitor may not read the thing.
        `things`: plural of the thing's type, such as `comments`.
        """
        is_guest = visit.me is None
        body = {
            "itemType": things.removesuffix("s"),
            "itemId": item,
            "kind": visit.field("kind"),
            "category": visit.field("category"),
            "text": visit.field("text"),
            "goodFaith": bool(visit.field("goodFaith")),
        }
        if shown := _shown_ids(visit):
            body["shownIds"] = shown
        if is_guest:
            body |= {"name": visit.field("name"), "email": visit.field("email").strip()}
        path = "/reports/guest" if is_guest else "/reports"
        try:
            made = visit.api.post(path, body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in (*FORM_REFUSALS, NO_MAIL):
                raise
            return self._show(visit, things, item, failure)
        if is_guest:
            return visit.redirect(f"/{things}/{item}/report/?sent=1")
        return visit.redirect(f"/reports/{made.data['id']}/?sent=1")

    @staticmethod
    def _show(visit: Visit, things: str, item: int, failure: Failure | None = None) -> Answer:
        names = ("category", "text", "goodFaith", "name", "email")
        thing = thing_of(visit, things, item)
        return visit.page(
            "report.html",
            status=failure.status if failure else 200,
            things=things,
            item=item,
            thing=thing,
            others=_others_in_huddle(visit, thing) if things == "comments" else [],
            shown=_shown_ids(visit),
            kinds=kind_titles(visit),
            is_sent="sent" in visit.query and failure is None,
            typed={
                "kind": visit.field("kind", "other" if failure else ""),
                **{name: visit.field(name) for name in names},
            },
            failure=failure,
        )


class ReportsView(View):
    """List of the member's own reports."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the member's reports, newest first; the query parameter `before`, a key that an earlier page
        gave, chooses the page. Raises SignInFirst for guests.
        """
        visit.member()
        found = keyset_lists.read(visit, "/reports", "reports")
        return visit.page("reports.html", found=found, kinds=titles_of(visit, found.items))


class ReportView(View):
    """Page of one of the member's reports: a receipt, and later its outcome."""

    def get(self, visit: Visit, report: int) -> Answer:
        """Show the report with the id `report`. Raises SignInFirst for guests, Failure for another member's report."""
        visit.member()
        found = visit.api.get(f"/reports/{report}")
        return visit.page(
            "receipt.html",
            report=found,
            kinds=titles_of(visit, [found]),
            is_new="sent" in visit.query,
        )


def thing_of(visit: Visit, things: str, item: int) -> dict[str, Any]:
    """Return the comment, item or profile with the id `item` as the API shows it, an item with its first few comments.
    `things`: plural of the type, such as `comments`. Raises Failure if the visitor may not read the thing.
    """
    found: dict[str, Any] = visit.api.get(f"/{things}/{item}", limit=5)
    return found


def _shown_ids(visit: Visit) -> list[int]:
    """Return the ids in the sent form of the other comments of a huddle that the reporter lets moderators see. Values
    that are no numbers are left out.
    """
    sent = visit.form.getlist("shownIds") if visit.form is not None else []
    return [id for one in sent if (id := typed_number(one)) is not None]


def _others_in_huddle(visit: Visit, comment: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the other comments on the page of a huddle's comments that holds `comment`, as the API shows them; [] for
    a comment on anything else.
    """
    if comment["itemType"] != "huddle":
        return []
    pages = [one["href"] for one in comment["meta"]["links"] if one["rel"] == "commentPage"]
    asked = dict(parse_qsl(urlsplit(pages[0]).query)) if pages else {}
    offset = asked.get("offset")
    found = visit.api.get(f"/huddles/{comment['itemId']}", offset=offset)["comments"]["items"]
    return [one for one in found if one["id"] != comment["id"]]


def kind_titles(visit: Visit) -> dict[str, str]:
    """Return the titles of the kinds of reports that the site takes, by kind; "" for a kind whose title is the
    platform's (TITLES), which the website says in each language.
    """
    found = visit.api.get("/site/report-kinds")
    return {
        one["kind"]: "" if TITLES.get(one["kind"]) == one["title"] else one["title"]
        for one in found
    }


def titles_of(visit: Visit, reports: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the titles of all kinds of reports that the site takes, by kind (`kind_titles`), if any of `reports`,
    which are as the API shows them, is of a kind that is not in TITLES; else {}, without a call of the API.
    """
    return {} if all(one["kind"] in TITLES for one in reports) else kind_titles(visit)
