"""Pages of cases, which reports lead to: the queue, and one case that a moderator takes and decides."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.microcosms.moderation import said
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.handlers.trust.reports import titles_of
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Filters of the queue that the API has, by the names of its query.
FILTERS: Final = (
    "state",
    "priority",
    "itemType",
    "microcosmId",
    "source",
    "mine",
    "assigned",
    "overdue",
)
# Earlier actions that a case shows.
EARLIER: Final = 5


class CasesView(View):
    """Queue of the cases that the member may decide."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the cases that the member may decide, most urgent first, of these the oldest (with `state` =
        "decided" the decided cases, last opened first), filtered by the query parameters FILTERS, such as `state` and
        `priority`; the parameter `after`, a key that an earlier page gave, chooses the page. Raises SignInFirst for
        guests.
        """
        visit.member()
        chosen = {name: visit.query.get(name, "") for name in FILTERS}
        found = keyset_lists.read(visit, "/cases", "cases", "after", **chosen)
        rest = "".join(f"&{name}={quote(value)}" for name, value in chosen.items() if value)
        return visit.page(
            "cases.html",
            found=found,
            chosen=chosen,
            rest=rest,
            places=visit.api.get("/microcosms/tree"),
        )


class CaseView(View):
    """Page of a case: the reported thing, reports, notes, earlier actions on the thing and its author, and what the
    moderator can do.
    """

    def get(self, visit: Visit, case: int) -> Answer:
        """Show the case with the id `case`. Raises SignInFirst for guests, Failure if the API does not show the case to
        the member.
        """
        visit.member()
        return self._show(visit, case)

    def post(self, visit: Visit, case: int) -> Answer:
        """Do what `do` says with the case with the id `case`: "take" or "release" the case, "assign" it to the member
        or "unassign" it, add a "note", or "dismiss" the case. Lead back to the case, after "dismiss" to the queue,
        which says so; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the case with the reason,
        such as that another moderator was faster. Raises SignInFirst for guests, Refused with 400 for another `do`,
        Failure for other refusals, and for any if the API does not show the case to the member.
        """
        visit.member()
        do = visit.field("do")
        path = f"/cases/{case}"
        try:
            if do == "take":
                visit.api.put(f"{path}/lease")
            elif do == "release":
                visit.api.delete(f"{path}/lease")
            elif do == "assign":
                visit.api.put(f"{path}/assignment", {"profileId": visit.member()["id"]})
            elif do == "unassign":
                visit.api.delete(f"{path}/assignment")
            elif do == "note":
                body = {"text": visit.field("text")}
                visit.api.post(f"{path}/notes", body, key=visit.field("key"))
            elif do == "dismiss":
                decision = {"outcome": "dismissed", "note": visit.field("note")}
                visit.api.post(f"{path}/decision", decision)
                return visit.redirect(said(visit, "/moderation/cases/", do))
            else:
                raise Refused(400)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, case, failure)
        return visit.redirect(f"/moderation/cases/{case}/")

    @staticmethod
    def _show(visit: Visit, case: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/cases/{case}")
        author = found["author"] or {"id": 0}
        return visit.page(
            "case.html",
            status=failure.status if failure else 200,
            case=found,
            shown=_readable(visit, found),
            earlier=history(visit, found["itemType"], found["itemId"]),
            of_author=history(visit, "profile", author["id"]),
            kinds=titles_of(visit, found["reported"]),
            failure=failure,
        )


def _readable(visit: Visit, case: dict[str, Any]) -> dict[str, Any] | None:
    """Return the reported comment as the API shows it; None for a case about anything else, and for a comment that the
    moderator can't read.
    """
    if case["itemType"] != "comment":
        return None
    try:
        found: dict[str, Any] = visit.api.get(f"/comments/{case['itemId']}")
    except Failure as failure:
        if failure.status not in (403, 404):
            raise
        return None
    return found


def history(visit: Visit, item_type: str, item_id: int) -> list[dict[str, Any]]:
    """Return the latest actions, EARLIER (5) of them at most, on the thing of the type `item_type` with the id
    `item_id`, so far as the API shows them to the visitor, latest first; [] for the id 0. Raises Failure if the API
    refuses.
    """
    if not item_id:
        return []
    found = visit.api.get("/actions", itemType=item_type, itemId=item_id, limit=EARLIER)
    listed: list[dict[str, Any]] = found["actions"]["items"]
    return listed
