"""Pages of a member's reports: the form for one thing, the receipt, and the list of reports with their outcome."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

REPORTED: Final = "any(comments, conversations, events, polls, profiles)"
KINDS: Final = ("spam", "abuse", "offTopic", "illegal", "other")


class ReportThingView(View):
    """Form by which a member reports a comment, an item or a profile to moderators."""

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Show the form and the reported thing; `things`: plural of its type. Raises SignInFirst for guests."""
        visit.member()
        return self._show(visit, things, item)

    def post(self, visit: Visit, things: str, item: int) -> Answer:
        """Send the report and lead to its receipt; a refusal shows the form again. Raises SignInFirst for guests."""
        visit.member()
        body = {
            "itemType": things.removesuffix("s"),
            "itemId": item,
            "kind": visit.field("kind"),
            "category": visit.field("category"),
            "text": visit.field("text"),
            "goodFaith": bool(visit.field("goodFaith")),
        }
        try:
            made = visit.api.post("/reports", body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, things, item, failure)
        return visit.redirect(f"/reports/{made.data['id']}/?sent=1")

    @staticmethod
    def _show(visit: Visit, things: str, item: int, failure: Failure | None = None) -> Answer:
        return visit.page(
            "report.html",
            status=failure.status if failure else 200,
            things=things,
            item=item,
            thing=thing_of(visit, things, item),
            kinds=KINDS,
            typed={
                "kind": visit.field("kind", "other" if failure else ""),
                "category": visit.field("category"),
                "text": visit.field("text"),
                "goodFaith": visit.field("goodFaith"),
            },
            failure=failure,
        )


class ReportsView(View):
    """List of the member's own reports."""

    def get(self, visit: Visit) -> Answer:
        """List the member's reports, newest first. Raises SignInFirst for guests."""
        visit.member()
        return visit.page("reports.html", found=keyset_lists.read(visit, "/reports", "reports"))


class ReportView(View):
    """Page of one of the member's reports: a receipt, and later its outcome."""

    def get(self, visit: Visit, report: int) -> Answer:
        """Show the report. Raises SignInFirst for guests."""
        visit.member()
        return visit.page(
            "receipt.html",
            report=visit.api.get(f"/reports/{report}"),
            is_new="sent" in visit.query,
        )


def thing_of(visit: Visit, things: str, item: int) -> dict[str, Any]:
    """Return the comment, item or profile as the API shows it, an item with its first few comments. Raises Failure."""
    found: dict[str, Any] = visit.api.get(f"/{things}/{item}", limit=5)
    return found
