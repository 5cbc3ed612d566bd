"""Pages of the audit: the site's for its owner, and a person's own."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from urllib.parse import quote

from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Filters of the audit, by the names of the API's query; the last two are days.
FILTERS: Final = ("actor", "subject", "itemType", "itemId", "since", "until")
# Filters of the audit that are the address of a profile or its number.
_PEOPLE: Final = ("actor", "subject")


class AuditView(View):
    """Page of the site's audit: who did what to which thing; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the audit, newest entry first, filtered by the query parameters `actor` and `subject` (a
        profile's address or id), `itemType` with `itemId`, `since` and `until` (days in UTC; that of `until` is not
        included); the parameter `before`, a key that an earlier page gave, chooses the page. Raises Refused for members
        who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        typed = {name: visit.query.get(name, "").strip() for name in FILTERS}
        asked = dict(typed)
        for name in _PEOPLE:
            asked[name] = "".join(one for one in typed[name] if one.isdigit())[:18]
        asked["itemId"] = typed["itemId"] if typed["itemType"] else ""
        asked["itemType"] = typed["itemType"] if asked["itemId"] else ""
        for name in ("since", "until"):
            asked[name] = day(typed[name])
        rest = "".join(f"&{name}={quote(text)}" for name, text in typed.items() if text)
        return visit.page(
            "admin_audit.html",
            found=keyset_lists.read(visit, "/site/audit", "entries", **asked),
            typed=typed,
            rest=rest,
        )


class OwnRecordView(View):
    """Page with the part of the audit about one member: the member's changes, and changes by others to the member's
    things.
    """

    def get(self, visit: Visit) -> Answer:
        """List a page of the audit's entries about the member, newest first; the query parameter `before`, a key that
        an earlier page gave, chooses the page. Raises SignInFirst for guests.
        """
        visit.member()
        return visit.page("record.html", found=keyset_lists.read(visit, "/audit/me", "entries"))


def day(text: str, *, after: int = 0) -> str:
    """Return the beginning in UTC of the day `after` days after the day `text`, in RFC 3339; "" if `text` is no day in
    ISO 8601.
    """
    try:
        begun = date.fromisoformat(text) + timedelta(days=after)
    except (ValueError, OverflowError):
        return ""
    return f"{begun.isoformat()}T00:00:00Z"
