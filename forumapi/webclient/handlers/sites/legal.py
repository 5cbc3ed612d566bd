"""Pages of the texts that a site must have: terms, privacy, cookies, service."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Links between the texts that lead to the API's own answers.
_IN_API: Final = "/api/v1/legal/"


class LegalTextsView(View):
    """The legal texts of a site."""

    def get(self, visit: Visit) -> Answer:
        """List them."""
        return visit.page("legal_index.html", links=visit.api.get("/legal")["links"])


class LegalTextView(View):
    """Legal text of a site, or where it is kept."""

    def get(self, visit: Visit, name: str) -> Answer:
        """Show it."""
        found = visit.api.get(f"/legal/{name}")
        html = (found.get("html") or "").replace(_IN_API, "/legal/")
        return visit.page("legal.html", name=name, text=html, document=found)
