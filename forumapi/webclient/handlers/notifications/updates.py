"""Pages of a member's updates, and the form that chooses which types of updates send mail and when a digest comes."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache
from typing import Final

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.access.account import SHOWN, id_field
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Types of updates by number (docs/api/updates.md). Votes send no mail.
WITH_MAIL: Final = (2, 3, 7, 10)
BEGINS_WITH_MAIL: Final = (1, 4, 5, 8, 9)
# Types that are pushed to devices; nobody is told of votes and of all new people that way.
WITH_PUSH: Final = (3, 2, 4, 10, 7, 1, 5, 8)
DIGESTS: Final = ("none", "daily", "weekly")


class UpdatesView(View):
    """List of a member's updates."""

    def get(self, visit: Visit) -> Answer:
        """List the member's updates from the query's `offset` on, newest first, without what they wrote or began; with
        the query parameter `unread` those alone about something that they have not read. Raises SignInFirst for guests.
        """
        visit.member()
        is_unread = "true" if visit.query.get("unread") else ""
        asked = {"offset": visit.query.get("offset"), "unread": is_unread, "byOthers": "true"}
        found = visit.api.get("/updates", **asked)
        return visit.page("updates.html", list=found["updates"], is_unread=bool(is_unread))

    def post(self, visit: Visit) -> Answer:
        """Mark the whole site and all huddles as read up to now for the member, and lead back to the list. Raises
        SignInFirst for guests.
        """
        visit.member()
        everything = [{"itemType": "site", "itemId": 0}, {"itemType": "huddle", "itemId": 0}]
        visit.api.put("/profiles/read/batch", everything)
        return visit.redirect("/updates/")


class UpdateSettingsView(View):
    """Settings of updates: mail and push for each type, devices, and the digest."""

    def get(self, visit: Visit) -> Answer:
        """Show the form with the choices as they are stored. Raises SignInFirst for guests."""
        visit.member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Store the types whose choice of mail or push has changed, then digest and time zone, and lead back to the
        form; a refusal whose status is in SHOWN (400, 401, 403 and others) shows the form with its reason, and what was
        stored before it stays stored. Raises SignInFirst for guests, Failure for other refusals.
        """
        visit.member()
        mail, push = _chosen(visit, "mail"), _chosen(visit, "push")
        try:
            for one in visit.api.get("/updates/preferences"):
                kind, changed = one["id"], {}
                if kind in (*WITH_MAIL, *BEGINS_WITH_MAIL) and (kind in mail) != one["sendEmail"]:
                    changed["sendEmail"] = kind in mail
                if kind in WITH_PUSH and (kind in push) != one["sendPush"]:
                    changed["sendPush"] = kind in push
                if changed:
                    visit.api.put(f"/updates/preferences/{kind}", changed)
            digest = {"digest": visit.field("digest"), "timeZone": visit.field("timeZone")}
            visit.api.put("/updates/email", digest)
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, failure=failure)
        return visit.redirect("/updates/settings/?saved=1")

    def _show(self, visit: Visit, *, failure: Failure | None = None) -> Answer:
        mail = visit.api.get("/updates/email")
        preferences = visit.api.get("/updates/preferences")
        zones = time_zones()
        if mail["timeZone"] not in zones:
            zones = [mail["timeZone"], *zones]
        return visit.page(
            "update_settings.html",
            status=failure.status if failure else 200,
            mail=mail,
            options=visit.api.get("/profiles/options"),
            wanted={one["id"]: one["sendEmail"] for one in preferences},
            pushed={one["id"]: one["sendPush"] for one in preferences},
            push=visit.api.get("/updates/push"),
            kinds=WITH_MAIL,
            beginnings=BEGINS_WITH_MAIL,
            pushable=WITH_PUSH,
            digests=DIGESTS,
            zones=zones,
            failure=failure,
        )


class DevicesView(View):
    """Storing and removal of a member's device, which web push reaches with updates while no page is open."""

    def post(self, visit: Visit) -> Answer:
        """Store this browser's push subscription, which a script sends as the fields `endpoint`, `p256dh` and `auth`;
        with the field `remove` delete the subscription with that id. Lead back to the settings. Raises SignInFirst for
        guests, Refused with 400 for a `remove` that is no number, Failure if the API refuses.
        """
        visit.member()
        if visit.field("remove"):
            visit.api.delete(f"/updates/push/{id_field(visit, 'remove')}")
        else:
            keys = {"p256dh": visit.field("p256dh"), "auth": visit.field("auth")}
            visit.api.post("/updates/push", {"endpoint": visit.field("endpoint"), "keys": keys})
        return visit.redirect("/updates/settings/?saved=1")


def _chosen(visit: Visit, name: str) -> set[int]:
    """Return the numbers of the types of updates that are ticked in the sent form under the field `name`; anything but
    one to three digits is left out.
    """
    texts = visit.form.getlist(name) if visit.form is not None else []
    found = {typed_number(text, most_digits=3) for text in texts}
    return {number for number in found if number is not None}


@lru_cache(1)
def time_zones() -> list[str]:
    """Return the names of time zones to choose from: "UTC", then those of regions, such as "Europe/Berlin", in
    alphabetical order.
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
