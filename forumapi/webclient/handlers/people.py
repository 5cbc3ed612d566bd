"""Pages of people."""

from __future__ import annotations

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class ProfileView(View):
    """Profile of a person."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Show it."""
        found = visit.api.get(f"/profiles/{profile}")
        return visit.page("profile.html", profile=found)
