"""Page on which those who run the platform see the state, plan and usage of one site, and set its state and plan; on
the platform's own host.
"""

from __future__ import annotations

from typing import Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import marked
from forumapi.webclient.handlers.sites.platform import check_operator
from forumapi.webclient.handlers.sites.site_deletion import SIGN_IN_AGAIN
from forumapi.webclient.handlers.sites.usage import CLASSES, COLUMNS, LIMITS
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, SignInFirst, Visit

# States of the API, and what the page calls them.
STATES: Final = {
    "active": marked("Open"),
    "read-only": marked("Read-only: nobody writes"),
    "suspended": marked("Suspended: nobody but the owner gets in"),
    "export-window": marked("Closed, to be deleted in 30 days"),
}


class OperatedSiteView(View):
    """Page of one site for those who run the platform, also of one that is suspended or in its export window."""

    def get(self, visit: Visit, community: int) -> Answer:
        """Show state, plan, and usage in the last 31 days, of the site with the id `community`. Raises Refused: 403 for
        all members but the platform's operators, 404 on the host of a site; SignInFirst for guests and for a sign-in
        older than 30 minutes; Failure for an id without a site.
        """
        check_operator(visit)
        return self._show(visit, community)

    def post(self, visit: Visit, community: int) -> Answer:
        """Set the site's plan, or with `do` = "state" its state, and lead to the page; a refusal whose status is in
        FORM_REFUSALS (400, 403 and others) shows the page with that status. Raises Refused: 403 for all members but the
        platform's operators, 404 on the host of a site; SignInFirst for guests and if the sign-in is older than 30
        minutes or than the API wants; Failure for other refusals.
        """
        check_operator(visit)
        path = f"/sites/{community}"
        try:
            if visit.field("do") == "state":
                body = {name: visit.field(name) for name in ("state", "secondFactor")}
                visit.api.put(f"{path}/state", body)
            else:
                visit.api.put(f"{path}/plan", {"plan": visit.field("plan").strip()})
        except Failure as failure:
            if failure.code == SIGN_IN_AGAIN:
                raise SignInFirst(is_stale=True) from None
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, community, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(self, visit: Visit, community: int, failure: Failure | None = None) -> Answer:
        path = f"/sites/{community}"
        state = visit.api.get(f"{path}/state")
        plan, usage = visit.api.find(f"{path}/plan"), visit.api.find(f"{path}/usage")
        if plan is None or usage is None:
            raise Refused(404)
        return visit.page(
            "operated_site.html",
            status=failure.status if failure else 200,
            failure=failure,
            community=community,
            # A site that is held back is in no list, and has no page.
            found=visit.api.find(path),
            state=state,
            states=STATES,
            plan=plan,
            limits=LIMITS,
            usage=usage,
            classes=CLASSES,
            columns=COLUMNS,
            has_factor=visit.api.get("/auth/totp")["enabled"],
            is_saved="saved" in visit.query and failure is None,
        )
