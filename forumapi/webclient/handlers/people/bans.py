"""Pages of the site's bans, for its owner: list, ban, and its end."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.people.people import profile_named
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class BansView(View):
    """List of the site's bans, and the form for a new one."""

    def get(self, visit: Visit) -> Answer:
        """List the site's bans, newest first, from the query's `offset` on; the query parameter `profile`, a profile's
        name or id, is filled into the form. Raises Refused for members who do not own the site, SignInFirst for guests
        and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit, {"profile": visit.query.get("profile", "")})

    def post(self, visit: Visit) -> Answer:
        """Ban the profile of the name in the field `profile`, or whose id stands there, or the e-mail domain `domain`,
        until `expires` (UTC; for good if that is empty), with the texts `reason` and `note`, and lead to the list. A
        name that nobody has shows the form again with 400; so does a refusal whose status is 404 or in FORM_REFUSALS
        (400, 403 and others), with that status. Raises Refused for members who do not own the site, SignInFirst for
        guests and for a sign-in older than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        typed = {
            name: visit.field(name) for name in ("profile", "domain", "reason", "note", "expires")
        }
        body: dict[str, Any] = {"reason": typed["reason"], "note": typed["note"]}
        name = typed["profile"].strip()
        if name:
            # No profile's name is of digits alone.
            id = typed_number(name)
            body["profileId"] = profile_named(visit, name) if id is None else id
            if not body["profileId"]:
                return self._show(visit, typed, unknown=name)
        if typed["domain"].strip():
            body["domain"] = typed["domain"].strip()
        if typed["expires"]:
            body["expires"] = f"{typed['expires']}:00Z"
        try:
            visit.api.post("/bans", body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in (*FORM_REFUSALS, 404):
                raise
            return self._show(visit, typed, failure)
        return visit.redirect("/admin/bans/")

    def _show(
        self,
        visit: Visit,
        typed: dict[str, str],
        failure: Failure | None = None,
        *,
        unknown: str = "",
    ) -> Answer:
        """Show the list and the form. `typed`: the form's fields by name; `failure`: the API's refusal of the form,
        whose status the page has, None without one; `unknown`: the typed name, if no profile has it (status 400), else
        "".
        """
        found = visit.api.get("/bans", offset=visit.query.get("offset"))
        return visit.page(
            "admin_bans.html",
            status=failure.status if failure else 400 if unknown else 200,
            bans=found["bans"],
            typed=typed,
            failure=failure,
            unknown=unknown,
        )


class LiftBanView(View):
    """Ending of a ban before its time, by a button in the list of bans."""

    def post(self, visit: Visit, ban: int) -> Answer:
        """End the ban with the id `ban`, if the site has it, and lead to the list of bans. Raises Refused for members
        who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        visit.api.delete(f"/bans/{ban}")
        return visit.redirect("/admin/bans/")
