"""Pages of people: the list of a site's profiles, one profile, and the roles that it is in."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Choices of the list, as the API takes them: `online=true` and so on.
CHOICES: Final = ("online", "following", "top")
# Things that somebody wrote, shown on their profile.
WRITTEN: Final = 10


class PeopleView(View):
    """People of a site: by the beginning of a name, those here now, those one follows, those who write most."""

    def get(self, visit: Visit) -> Answer:
        """List a page of them."""
        asked = {name: visit.query.get(name) for name in ("q", *CHOICES)}
        return visit.page(
            "profiles.html",
            list=visit.listed("/profiles", **asked)["profiles"],
            q=asked["q"] or "",
            choice=next((name for name in CHOICES if _is_true(asked[name])), ""),
        )


class ProfileView(View):
    """Profile of a person, with what they wrote last. `?comment_id=` shows a comment that is on it."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Show it."""
        found = visit.api.get(f"/profiles/{profile}")
        wanted = visit.query.get("comment_id", "")
        biography = found["profileComment"]
        pinned: dict[str, Any] | None = None
        if wanted.isdecimal() and (biography is None or int(wanted) != biography["id"]):
            pinned = self._comment(visit, wanted)
        written = visit.api.get(
            "/search",
            authorId=profile,
            type=["conversation", "event", "poll", "comment"],
            sort="date",
            limit=WRITTEN,
        )
        return visit.page("profile.html", profile=found, written=written["results"], pinned=pinned)

    @staticmethod
    def _comment(visit: Visit, comment: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = visit.api.get(f"/comments/{comment}")
        except Failure as failure:
            if failure.status not in (403, 404):
                raise
            return None
        return found


class ProfileRolesView(View):
    """Roles that a profile is in, and why; for itself and the site's owner."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """List a page of them."""
        me = visit.member()
        listed = visit.listed(f"/profiles/{profile}/roles")["roles"]
        shown = me if me["id"] == profile else visit.api.get(f"/profiles/{profile}")
        return visit.page("roles.html", profile=shown, list=listed)


def _is_true(text: str | None) -> bool:
    """Return True for what the API takes for a true value."""
    return text in ("1", "t", "T", "TRUE", "true", "True")
