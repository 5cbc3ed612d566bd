"""Page on which the owner of a site sets for how long it keeps things, after seeing what would go."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import marked, owner
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

_RETENTION: Final = "/site/retention"

# Kinds of the API, and what the page calls them.
_KINDS: Final = (
    ("addresses", marked("Addresses of machines in the audit")),
    ("audit", marked("The audit")),
    ("deletedTexts", marked("Texts of deleted comments and conversations")),
    ("mail", marked("Mail that was sent")),
)
_LOSSES: Final = (
    ("addresses", marked("Addresses of machines")),
    ("audit", marked("Entries of the audit")),
    ("comments", marked("Comments")),
    ("revisions", marked("Earlier texts of comments")),
    ("items", marked("Conversations, events and polls")),
    ("mail", marked("Mails")),
)


class RetentionView(View):
    """Form of the site's retention periods; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """Show the form with the periods in force. Raises Refused for members who do not own the site, SignInFirst for
        guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Show the form with what the sent periods, in days, would remove (an empty field is sent as 0, the platform's
        period); with `do` = "store" set them, and lead to the form. A refusal whose status is in FORM_REFUSALS (400,
        403 and others) shows the form as it was filled in, with that status. Raises Refused for members who do not own
        the site, SignInFirst for guests and for a sign-in older than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        typed = {kind: visit.field(kind).strip() for kind, _ in _KINDS}
        # What is no number goes as it is: the API says what is wrong with it.
        sent = {
            kind: text if (days := typed_number(text or "0", most_digits=9)) is None else days
            for kind, text in typed.items()
        }
        try:
            if visit.field("do") == "store":
                visit.api.put(_RETENTION, sent)
                return visit.redirect(f"{visit.path}?saved=1")
            found = visit.api.call("PUT", _RETENTION, sent, query={"dryRun": "true"}).data
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, typed, failure=failure)
        losses = [(title, found[kind]) for kind, title in _LOSSES if found[kind]["count"]]
        return self._show(visit, typed, losses=losses)

    def _show(
        self,
        visit: Visit,
        typed: dict[str, str] | None = None,
        *,
        failure: Failure | None = None,
        losses: list[tuple[str, dict[str, Any]]] | None = None,
    ) -> Answer:
        """Show the form. `typed`: days that were sent, by kind of content, None for the periods in force; `failure`:
        the API's refusal of the form, None without one; `losses`: (English title, the API's object with `count`) of
        each kind of content of which something would be deleted, None before a preview.
        """
        periods = visit.api.get(_RETENTION)
        values = typed or {kind: periods[kind].get("days", "") for kind, _ in _KINDS}
        return visit.page(
            "admin_retention.html",
            status=failure.status if failure else 200,
            failure=failure,
            kinds=_KINDS,
            periods=periods,
            values=values,
            losses=losses,
            is_saved="saved" in visit.query and failure is None and losses is None,
        )
