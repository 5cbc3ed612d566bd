"""Pages of statements of reasons and of appeals against them, for whom they concern and for moderators who decide."""

from __future__ import annotations

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class StatementsView(View):
    """Decisions of moderators about what is one's own."""

    def get(self, visit: Visit) -> Answer:
        """List a page of them, newest first."""
        visit.member()
        return visit.page(
            "statements.html", found=keyset_lists.read(visit, "/statements", "statements")
        )


class StatementView(View):
    """Decision about what is one's own: what, why, on what ground, until when, and how to appeal."""

    def get(self, visit: Visit, statement: int) -> Answer:
        """Show it."""
        visit.member()
        return self._show(visit, statement)

    def post(self, visit: Visit, statement: int) -> Answer:
        """Appeal, and lead to the appeal."""
        visit.member()
        try:
            made = visit.api.post(
                f"/statements/{statement}/appeal",
                {"text": visit.field("text")},
                key=visit.field("key"),
            )
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, statement, failure)
        return visit.redirect(f"/appeals/{made.data['id']}/")

    @staticmethod
    def _show(visit: Visit, statement: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/statements/{statement}")
        links = {one["rel"]: one["href"] for one in found["meta"]["links"]}
        return visit.page(
            "statement.html",
            status=failure.status if failure else 200,
            statement=found,
            appeal=links.get("appeal", ""),
            is_over=found["appealUntil"] < visit.now.isoformat(),
            text=visit.field("text"),
            failure=failure,
        )


class ReasonsView(View):
    """Way from what was taken away to the decision about it, for its author."""

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Lead there; to all decisions where this one has none of its own."""
        visit.member()
        return visit.redirect(statement_of(visit, things, item) or "/statements/", status=302)


def statement_of(visit: Visit, things: str, item: int) -> str:
    """Return the page of the decision about something of one's own, "" where there is none. Raises Failure."""
    found = visit.api.get(f"/{things}/{item}", limit=5)
    for link in found["meta"]["links"]:
        if link["rel"] == "statement":
            return f"/statements/{link['href'].rpartition('/')[2]}/"
    return ""


class AppealsView(View):
    """Appeals by oneself."""

    def get(self, visit: Visit) -> Answer:
        """List a page of them, newest first."""
        visit.member()
        return visit.page("appeals.html", found=keyset_lists.read(visit, "/appeals", "appeals"))


class AppealsToDecideView(View):
    """Open appeals in the places that a moderator has."""

    def get(self, visit: Visit) -> Answer:
        """List a page of them, oldest first."""
        visit.member()
        found = keyset_lists.read(visit, "/appeals", "appeals", toDecide="true")
        return visit.page("appeals_to_decide.html", found=found)


class AppealView(View):
    """Appeal as a thread of messages, which a moderator may decide."""

    def get(self, visit: Visit, appeal: int) -> Answer:
        """Show it."""
        visit.member()
        return self._show(visit, appeal)

    def post(self, visit: Visit, appeal: int) -> Answer:
        """Add a message, or decide."""
        visit.member()
        text = visit.field("text")
        do = visit.field("do")
        path = f"/appeals/{appeal}"
        try:
            if do in ("granted", "refused"):
                visit.api.post(f"{path}/decision", {"outcome": do, "text": text})
            elif do == "message":
                visit.api.post(f"{path}/messages", {"text": text}, key=visit.field("key"))
            else:
                raise Refused(400)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, appeal, failure)
        return visit.redirect(f"/appeals/{appeal}/")

    @staticmethod
    def _show(visit: Visit, appeal: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/appeals/{appeal}")
        return visit.page(
            "appeal.html",
            status=failure.status if failure else 200,
            appeal=found,
            # Names are told to moderators alone.
            is_own="createdBy" not in found,
            text=visit.field("text"),
            failure=failure,
        )
