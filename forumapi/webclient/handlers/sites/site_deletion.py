"""Page on which the owner of a site has it deleted in 30 days, and takes that back."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, SignInFirst, Visit

_DELETION: Final = "/site/deletion"
# Code of a refusal for want of a sign-in within the last minutes (docs/api/README.md, "Errors").
SIGN_IN_AGAIN: Final = 26


class SiteDeletionView(View):
    """Page of the site's deletion: the form that asks for it and, once it was asked for, its day and the way back; for
    the owner. It is shown on a site that is suspended or in its export window too.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the form, or the day of the deletion that was asked for. Raises Refused for members who do not own the
        site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Ask for the deletion in 30 days, or with `do` = "keep" take it back, and lead to the page; without the tick
        `sure` the form is shown again with 400. A refusal whose status is in FORM_REFUSALS (400, 403 and others) shows
        the page with that status. Raises Refused for members who do not own the site, SignInFirst for guests and if the
        sign-in is older than 30 minutes or than the API wants, Failure for other refusals.
        """
        owner(visit)
        try:
            if visit.field("do") == "keep":
                visit.api.delete(_DELETION)
            elif not visit.field("sure"):
                return self._show(visit, is_unsure=True)
            else:
                visit.api.post(_DELETION, {"secondFactor": visit.field("secondFactor")})
        except Failure as failure:
            if failure.code == SIGN_IN_AGAIN:
                raise SignInFirst(is_stale=True) from None
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, failure)
        return visit.redirect(visit.path)

    def _show(
        self, visit: Visit, failure: Failure | None = None, *, is_unsure: bool = False
    ) -> Answer:
        status = failure.status if failure else 400 if is_unsure else 200
        return visit.page(
            "admin_deletion.html",
            status=status,
            failure=failure,
            is_unsure=is_unsure,
            deletion=visit.api.find(_DELETION),
            has_factor=visit.api.get("/auth/totp")["enabled"],
        )
