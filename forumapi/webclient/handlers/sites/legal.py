"""Pages of the texts that a site must have: terms, privacy, cookies, service."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Links between the texts that lead to the API's own answers.
_IN_API: Final = "/api/v1/legal/"


class LegalTextsView(View):
    """List of a site's legal texts: terms, privacy, cookies, service."""

    def get(self, visit: Visit) -> Answer:
        """List the legal texts as links."""
        return visit.page("legal_index.html", links=visit.api.get("/legal")["links"])


class LegalTextView(View):
    """Page of one legal text of the site."""

    def get(self, visit: Visit, name: str) -> Answer:
        """Show the legal text `name` (terms, privacy, cookies or service), the site's own or else the platform's, or
        the link that the site has in its place.
        """
        found = visit.api.get(f"/legal/{name}")
        html = (found.get("html") or "").replace(_IN_API, "/legal/")
        return visit.page("legal.html", name=name, text=html, document=found)
