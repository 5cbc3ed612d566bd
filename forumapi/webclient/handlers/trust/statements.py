"""Pages of statements of reasons and of appeals, for the people whom a decision concerns and for the moderators who
decide appeals.
"""

from __future__ import annotations

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class StatementsView(View):
    """List of the statements of reasons about the member or their content, newest first."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the statements about the member, newest first; the query parameter `before`, a key that an
        earlier page gave, chooses the page. Raises SignInFirst for guests.
        """
        visit.member()
        return visit.page(
            "statements.html", found=keyset_lists.read(visit, "/statements", "statements")
        )


class StatementView(View):
    """Page of a statement of reasons: what was decided, why, on what ground, until when, and how to appeal."""

    def get(self, visit: Visit, statement: int) -> Answer:
        """Show the statement with the id `statement`. Raises SignInFirst for guests, Failure for a statement about
        somebody else.
        """
        visit.member()
        return self._show(visit, statement)

    def post(self, visit: Visit, statement: int) -> Answer:
        """Appeal against the decision of the statement with the id `statement`, with the text of the field `text`, and
        lead to the appeal; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the statement with
        the refusal's reason. Raises SignInFirst for guests, Failure for other refusals, and for any if the statement is
        about somebody else.
        """
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
    """Redirect that leads an author from content that was hidden or deleted to the statement about it."""

    def get(self, visit: Visit, things: str, item: int) -> Answer:
        """Redirect to the statement about the thing with the id `item`; if there is none, to the member's list of
        statements. `things`: plural of the thing's type, such as `comments`. Raises SignInFirst for guests, Failure if
        the member may not read the thing.
        """
        visit.member()
        return visit.redirect(statement_of(visit, things, item) or "/statements/", status=302)


def statement_of(visit: Visit, things: str, item: int) -> str:
    """Return the path of the page with the statement about a thing of the visitor's, the one with the id `item`; "" if
    the API links no statement. `things`: plural of the thing's type, such as `comments`. Raises Failure if the visitor
    may not read the thing.
    """
    found = visit.api.get(f"/{things}/{item}", limit=5)
    for link in found["meta"]["links"]:
        if link["rel"] == "statement":
            return f"/statements/{link['href'].rpartition('/')[2]}/"
    return ""


class AppealsView(View):
    """List of the member's own appeals, newest first."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the member's appeals, newest first; the query parameter `before`, a key that an earlier page
        gave, chooses the page. Raises SignInFirst for guests.
        """
        visit.member()
        return visit.page("appeals.html", found=keyset_lists.read(visit, "/appeals", "appeals"))


class AppealsToDecideView(View):
    """List of the open appeals that the member may decide as a moderator."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the open appeals that the member may decide, oldest first; the query parameter `before`, a key
        that an earlier page gave, chooses the page. Raises SignInFirst for guests.
        """
        visit.member()
        found = keyset_lists.read(visit, "/appeals", "appeals", toDecide="true")
        return visit.page("appeals_to_decide.html", found=found)


class AppealView(View):
    """Page of an appeal: its messages, and for a moderator the form that decides it."""

    def get(self, visit: Visit, appeal: int) -> Answer:
        """Show the appeal with the id `appeal`. Raises SignInFirst for guests, Failure if the API does not show the
        appeal to the member.
        """
        visit.member()
        return self._show(visit, appeal)

    def post(self, visit: Visit, appeal: int) -> Answer:
        """With `do` = "message" add the text of the field `text` to the appeal with the id `appeal` as a message, with
        "granted" or "refused" decide the appeal with that text, and lead back to the appeal; a refusal whose status is
        in FORM_REFUSALS (400, 403 and others) shows its page with the refusal's reason. Raises SignInFirst for guests,
        Refused with 400 for another `do`, Failure for other refusals, and for any if the API does not show the appeal
        to the member.
        """
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
