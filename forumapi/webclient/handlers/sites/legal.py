"""Pages of the texts that a site must have: terms, privacy, cookies, service."""

from __future__ import annotations

from typing import Any, Final

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
        return visit.page("legal.html", name=name, text=shown_html(found), document=found)


class LegalVersionsView(View):
    """List of the versions of a legal text that asks for consent."""

    def get(self, visit: Visit, name: str) -> Answer:
        """List the versions of the text `name` (terms or privacy), newest first."""
        found = visit.api.get(f"/legal/{name}/versions")["versions"]
        return visit.page("legal_versions.html", name=name, versions=found)


class LegalVersionView(View):
    """Page of one version of a legal text, also one that is no longer in force."""

    def get(self, visit: Visit, name: str, version: int) -> Answer:
        """Show the version numbered `version` of the text `name` (terms or privacy)."""
        found = visit.api.get(f"/legal/{name}/versions/{version}")
        return visit.page("legal.html", name=name, text=shown_html(found), document=found)


def shown_html(document: dict[str, Any]) -> str:
    """Return the HTML of a legal text or of a version of it, as the API shows it, with links to pages in place of those
    to the API; "" for a text in whose place the site has a link.
    """
    html: str = document.get("html") or ""
    return html.replace(_IN_API, "/legal/")
