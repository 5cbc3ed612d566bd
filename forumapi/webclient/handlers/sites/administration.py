"""Overview of the pages on which the owner of a site sets it up, the site's figures, and the check that all these pages
make: the visitor is the owner, signed in within the last 30 minutes.
"""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


def marked(text: str) -> str:
    """Return the text unchanged: the call alone brings an English text, which a template translates later, into the
    translators' catalogs.
    """
    return text


# Address below /admin/, and title.
PAGES: Final = (
    ("site", marked("Title, description, look")),
    ("menu", marked("Menu")),
    ("roles", marked("Roles")),
    ("bans", marked("Bans")),
    ("sign-in", marked("Ways to sign in")),
    ("reactions", marked("Reactions")),
    ("reports", marked("Kinds of reports")),
    ("checks", marked("Checks of what people write")),
    ("rules", marked("Rules of moderation")),
    ("legal", marked("Legal texts")),
    ("mail", marked("Mail templates")),
    ("webhooks", marked("Webhooks")),
    ("clients", marked("Programs of others")),
    ("agents", marked("Agents")),
    ("crawling", marked("Crawlers")),
    ("figures", marked("Figures")),
    ("usage", marked("Plan and usage")),
    ("audit", marked("Audit")),
    ("transparency", marked("Transparency report")),
    ("retention", marked("How long things are kept")),
    ("export", marked("Export of everything")),
    ("import", marked("Import of a forum")),
    ("deletion", marked("Delete this site")),
)

# Heading of the pages from this one on, by the address below /admin/ of the first of them.
HEADINGS: Final = {
    "site": marked("The community"),
    "roles": marked("People"),
    "reactions": marked("What people write"),
    "legal": marked("Texts"),
    "webhooks": marked("Programs"),
    "figures": marked("What happens here"),
    "retention": marked("Data"),
}


def owner(visit: Visit) -> dict[str, Any]:
    """Return the visitor's own profile and account, `visit.me`, if the visitor owns this site. Raises Refused with 403
    for others, SignInFirst for guests and for a sign-in 30 minutes ago or longer.
    """
    me = visit.fresh_member()
    if not visit.site["meta"].get("permissions", {}).get("siteOwner"):
        raise Refused(403, visit.language.gettext("This is for the owner of the site."))
    return me


class AdminView(View):
    """Overview of the pages on which the site's owner sets it up."""

    def get(self, visit: Visit) -> Answer:
        """List the pages of administration. Raises Refused for members who do not own the site, SignInFirst for guests
        and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return visit.page("admin.html", pages=PAGES, headings=HEADINGS)


class FiguresView(View):
    """Page of the site's figures, such as numbers of people and comments."""

    def get(self, visit: Visit) -> Answer:
        """Show the site's figures. Raises Refused for members who do not own the site, SignInFirst for guests and for a
        sign-in older than 30 minutes.
        """
        owner(visit)
        return visit.page("admin_figures.html", stats=visit.site["meta"]["stats"])
