"""Pages of a member's updates, and the form that chooses which types of updates send mail and when a digest comes."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache
from typing import Final

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.access.account import SHOWN
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Types of updates by number (docs/api/updates.md). Votes send no mail.
WITH_MAIL: Final = (2, 3, 7, 10)
BEGINS_WITH_MAIL: Final = (1, 4, 5, 8, 9)
DIGESTS: Final = ("none", "daily", "weekly")


class UpdatesView(View):
    """List of a member's updates."""

    def get(self, visit: Visit) -> Answer:
        """List updates from `offset` on, newest first; with `unread` those alone that are unread. Raises SignInFirst
        for guests.
        """
        visit.member()
        is_unread = "true" if visit.query.get("unread") else ""
        found = visit.api.get("/updates", offset=visit.query.get("offset"), unread=is_unread)
        return visit.page("updates.html", list=found["updates"], is_unread=bool(is_unread))

    def post(self, visit: Visit) -> Answer:
        """Mark the whole site and all huddles as read for the member. Raises SignInFirst for guests."""
        visit.member()
        everything = [{"itemType": "site", "itemId": 0}, {"itemType": "huddle", "itemId": 0}]
        visit.api.put("/profiles/read/batch", everything)
        return visit.redirect("/updates/")


class UpdateSettingsView(View):
    """Form of a member's choices about mail: each type of update, and the digest."""

    def get(self, visit: Visit) -> Answer:
        """Show the form with the choices as they are. Raises SignInFirst for guests."""
        visit.member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Store the types whose choice has changed, then digest and time zone; a refusal shows the form with its
        reason. Raises SignInFirst for guests.
        """
        visit.member()
        chosen = {
            int(text)
            for text in (visit.form.getlist("mail") if visit.form is not None else [])
            if text.isdecimal() and len(text) < 4
        }
        try:
            for one in visit.api.get("/updates/preferences"):
                kind, is_wanted = one["id"], one["id"] in chosen
                if kind in (*WITH_MAIL, *BEGINS_WITH_MAIL) and is_wanted != one["sendEmail"]:
                    visit.api.put(f"/updates/preferences/{kind}", {"sendEmail": is_wanted})
            digest = {"digest": visit.field("digest"), "timeZone": visit.field("timeZone")}
            visit.api.put("/updates/email", digest)
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, failure=failure)
        return visit.redirect("/updates/settings/?saved=1")

    def _show(self, visit: Visit, *, failure: Failure | None = None) -> Answer:
        mail = visit.api.get("/updates/email")
        wanted = {one["id"]: one["sendEmail"] for one in visit.api.get("/updates/preferences")}
        zones = time_zones()
        if mail["timeZone"] not in zones:
            zones = [mail["timeZone"], *zones]
        return visit.page(
            "update_settings.html",
            status=failure.status if failure else 200,
            mail=mail,
            options=visit.api.get("/profiles/options"),
            wanted=wanted,
            kinds=WITH_MAIL,
            beginnings=BEGINS_WITH_MAIL,
            digests=DIGESTS,
            zones=zones,
            failure=failure,
        )


@lru_cache(1)
def time_zones() -> list[str]:
    """Return the names of time zones to choose from: "UTC", then those of regions such as Europe/Berlin, by the
    alphabet.
    """
    regions = (
        "Africa/",
        "America/",
        "Antarctica/",
        "Asia/",
        "Atlantic/",
        "Australia/",
        "Europe/",
        "Indian/",
        "Pacific/",
    )
    return [
        "UTC",
        *sorted(one for one in zoneinfo.available_timezones() if one.startswith(regions)),
    ]
