"""Forms of the site's title and look, of its menu, reactions and kinds of reports, and of what agents may do, for its
owner.
"""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient import site_colours
from forumapi.webclient.api import PREFIX
from forumapi.webclient.handlers.sites.administration import marked
from forumapi.webclient.handlers.sites.settings_form_bases import FormField, RowsView, SettingsView
from forumapi.webclient.template_environment import plain
from forumapi.webclient.text_form import store_picture
from forumapi.webclient.visit import Visit

# Pixels that a side of the site's logo has at most.
LOGO_SIDE: Final = 512
# Levels of agents, and what each lets them do.
AGENT_LEVELS: Final = (
    ("off", marked("Nothing")),
    ("read", marked("Read")),
    ("draft", marked("Read, and write drafts that people publish themselves")),
    ("write", marked("Read, write drafts, and publish")),
)


class SiteView(SettingsView):
    """Form of the site's title, description, colour, logo and domain, and of two options: members create microcosms,
    and each microcosm names its moderators.
    """

    takes_files = True
    title = marked("Title, description, look")

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the form's fields in their order: title, description, colour, logo as a file and as an address,
        domain, and the boxes `membersCreateMicrocosms` and `namesModerators`. `url_values`: {} here.
        """
        return [
            FormField("title", marked("Title"), limit=50),
            FormField("description", marked("Description"), "area"),
            FormField(
                "linkColor",
                marked("Colour of links and buttons"),
                "text",
                marked(
                    "A name or #rrggbb. Where text in it could not be read, a darker or lighter one is shown."
                ),
            ),
            FormField(
                "logo",
                marked("Logo"),
                "picture",
                marked("A picture, shown in place of the title at the head of each page."),
            ),
            FormField(
                "logoUrl",
                marked("Or the address of the logo"),
                "text",
                marked(
                    "Begins with /api/v1/files/, as that of an attached picture. With neither, the title is shown."
                ),
            ),
            FormField(
                "domain", marked("Own domain"), "text", marked("It counts once it is proven.")
            ),
            FormField("membersCreateMicrocosms", marked("Members make places"), "check"),
            FormField(
                "namesModerators",
                marked("Each place says who moderates it, and so do their comments there"),
                "check",
            ),
        ]

    def load(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        """Return the site's own values and its options, by the fields' names. `url_values`: {} here. Raises Failure if
        the API refuses to show them.
        """
        names = ("title", "description", "linkColor", "logoUrl", "domain")
        found = {name: plain(visit.site.get(name, "")) for name in names}
        options: dict[str, Any] = visit.api.get("/site/options")
        return found | options | {"namesModerators": visit.site.get("namesModerators", False)}

    def store(self, visit: Visit, url_values: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store `typed`, the sent values by the fields' names: first those of the site, the domain only if it has
        changed, then `membersCreateMicrocosms`. A picture in the field `logo` is uploaded before, made smaller to
        LOGO_SIDE (512) pixels a side at most, and its address wins over the typed one. `url_values`: {} here. Raises
        Failure, after which the site may be stored without `membersCreateMicrocosms`.
        """
        makes = "membersCreateMicrocosms"
        body = {name: value for name, value in typed.items() if name != makes}
        logo = visit.files.get("logo") if visit.files is not None else None
        if logo is not None and logo.filename:
            stored = store_picture(visit, logo, LOGO_SIDE)
            body["logoUrl"] = f"{PREFIX}/files/{stored['fileHash']}.{stored['fileExt']}"
        if body["domain"] == visit.site.get("domain", ""):
            del body["domain"]
        visit.api.put("/site", body)
        visit.api.put("/site/options", {makes: typed[makes]})

    def notes(self, visit: Visit, typed: dict[str, Any]) -> list[str]:
        """Return one sentence on the contrast, in light mode, of the colour `linkColor` among `typed`, the form's
        values by name, and on the colour shown in its place there if the contrast is too low; one on the default colour
        if none is chosen; [] if `linkColor` is no colour.
        """
        link = str(typed.get("linkColor", ""))
        colour = site_colours.parse(link)
        if colour is None:
            return []
        gettext = visit.language.gettext
        if site_colours.is_unchosen(link):
            unchosen = gettext("No colour is chosen: %(shown)s is shown until one is.")
            return [unchosen % {"shown": site_colours.ACCENT}]
        paper = site_colours.parse(site_colours.PAPER) or (255, 255, 255)
        ratio = site_colours.legibility(colour, paper)
        if ratio >= site_colours.LEAST_CONTRAST:
            return [
                gettext("The colour’s contrast is %(ratio)s to 1: it can be read.")
                % {"ratio": f"{ratio:.1f}"}
            ]
        shown = site_colours.written(site_colours.readable(colour, paper))
        text = gettext(
            "The colour’s contrast is %(ratio)s to 1, less than 4.5: %(shown)s is shown in its place."
        )
        return [text % {"ratio": f"{ratio:.1f}", "shown": shown}]


class AgentOptionsView(SettingsView):
    """Form of what agents, programs that a model drives, may do on the site at most, and of who makes bots."""

    title = marked("Agents")

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the form's fields: `agents`, with the levels to choose from, and the box `membersMakeBots`.
        `url_values`: {} here.
        """
        return [
            FormField(
                "agents",
                marked("What programs that a model drives may do here in the name of members"),
                "choice",
                marked(
                    "Each member decides if a program acts for them, and how far. What a program wrote says so."
                ),
                choices=AGENT_LEVELS,
            ),
            FormField(
                "membersMakeBots",
                marked("Members make bots: accounts of programs, each with its owner"),
                "check",
            ),
        ]

    def load(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        """Return the site's options, among them those of the form. `url_values`: {} here. Raises Failure if the API
        refuses to show them.
        """
        found: dict[str, Any] = visit.api.get("/site/options")
        return found

    def store(self, visit: Visit, url_values: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store the sent options. `url_values`: {} here. Raises Failure if the API refuses them."""
        visit.api.put("/site/options", typed)


class MenuView(RowsView):
    """Form of the site's menu, the links beside its content."""

    title = marked("Menu")
    names = (
        ("text", marked("Text")),
        ("href", marked("Address")),
        ("title", marked("Explanation")),
    )
    path = "/site/menu"


class ReactionsView(RowsView):
    """Form of the reactions that members can give on the site."""

    title = marked("Reactions")
    names = (("name", marked("Name")), ("text", marked("Sign")))
    path = "/site/reactions"
    most = 20


class ReportKindsView(RowsView):
    """Form of the kinds of reports among which people choose."""

    title = marked("Kinds of reports")
    names = (
        ("kind", marked("Short name")),
        ("title", marked("Title")),
        ("category", marked("Category of the Digital Services Act")),
    )
    path = "/site/report-kinds"
    most = 30
