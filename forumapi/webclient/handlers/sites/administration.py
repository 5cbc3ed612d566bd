"""Pages on which the owner of a site sets it up; all ask for a sign-in of the last 30 minutes."""

from __future__ import annotations

from typing import Any, ClassVar, Final, NamedTuple

from forumapi.webclient import site_colours
from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.template_environment import plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


def marked(text: str) -> str:
    """Return the text unchanged; the call marks a text that a template translates for the translators' catalogs."""
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
    ("figures", marked("Figures")),
    ("audit", marked("Audit")),
    ("transparency", marked("Transparency report")),
    ("retention", marked("How long things are kept")),
    ("export", marked("Export of everything")),
    ("import", marked("Import of a forum")),
)


def owner(visit: Visit) -> dict[str, Any]:
    """Return the visitor's own profile if they own this site. Raises Refused with 403 for others, SignInFirst for
    guests and for a sign-in 30 minutes ago or longer.
    """
    me = visit.fresh_member()
    if not visit.site["meta"].get("permissions", {}).get("siteOwner"):
        raise Refused(403, visit.language.gettext("This is for the owner of the site."))
    return me


class FormField(NamedTuple):
    """Field of a form: name, label, and kind (text, area, check, lines or secret). `hint`: sentence below the field, ""
    for none; `limit`: most characters, 0 for no limit. Label and hint are English; the template translates them.
    """

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    limit: int = 0


class AdminView(View):
    """Overview of the pages on which the site's owner sets it up."""

    def get(self, visit: Visit) -> Answer:
        """List the pages of administration. Raises Refused for all but the site's owner."""
        owner(visit)
        return visit.page("admin.html", pages=PAGES)


class FiguresView(View):
    """Figures of the site, such as numbers of people and comments."""

    def get(self, visit: Visit) -> Answer:
        """Show the site's figures. Raises Refused for all but the site's owner."""
        owner(visit)
        return visit.page("admin_figures.html", stats=visit.site["meta"]["stats"])


class SettingsView(View):
    """Base class of forms for one document of settings. A subclass says what is special: `fields`, `load` and `store`.

    `title`, and `lead`, a sentence below it ("": none), are English. `resets`: True shows a button that calls `reset`.
    `args`, of all methods: parts of the address by name.
    """

    title: ClassVar[str] = ""
    lead: ClassVar[str] = ""
    resets: ClassVar[bool] = False

    def fields(self, visit: Visit, args: dict[str, Any]) -> list[FormField]:
        """Return the fields of the form, in their order."""
        raise NotImplementedError

    def load(self, visit: Visit, args: dict[str, Any]) -> dict[str, Any]:
        """Return the stored values by the fields' names, perhaps with others that the form has no field for: bool for
        the kind "check", else str. Raises Failure.
        """
        raise NotImplementedError

    def store(self, visit: Visit, args: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store `typed`, the sent values by the fields' names: bool for the kind "check", else str. Raises Failure."""
        raise NotImplementedError

    def reset(self, visit: Visit, args: dict[str, Any]) -> None:
        """Delete the site's own settings, so that the platform's are in force. Raises Failure; Refused in a class
        without `resets`.
        """
        raise Refused(400)

    def heading(self, visit: Visit, args: dict[str, Any]) -> str:
        """Return the translated title of the page."""
        return visit.language.gettext(self.title)

    def notes(self, visit: Visit, typed: dict[str, Any]) -> list[str]:
        """Return translated sentences about `typed`, the values that the form shows, stored or sent, to stand above the
        form; [] for none.
        """
        return []

    def get(self, visit: Visit, **args: Any) -> Answer:
        """Show the form with the stored values. Raises Refused for all but the site's owner."""
        owner(visit)
        return self._show(visit, args, self.load(visit, args))

    def post(self, visit: Visit, **args: Any) -> Answer:
        """Store the sent values, or with `do` = "reset" call `reset`, and lead to the form; a refusal shows it as it
        was filled in. Raises Refused for all but the site's owner.
        """
        owner(visit)
        if visit.field("do") == "reset" and self.resets:
            self.reset(visit, args)
            return visit.redirect(f"{visit.path}?saved=1")
        typed = {
            one.name: bool(visit.field(one.name)) if one.kind == "check" else visit.field(one.name)
            for one in self.fields(visit, args)
        }
        try:
            self.store(visit, args, typed)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, args, typed, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(
        self,
        visit: Visit,
        args: dict[str, Any],
        values: dict[str, Any],
        failure: Failure | None = None,
    ) -> Answer:
        return visit.page(
            "admin_form.html",
            status=failure.status if failure else 200,
            heading=self.heading(visit, args),
            lead=self.lead,
            fields=self.fields(visit, args),
            values=values,
            failure=failure,
            resets=self.resets,
            notes=self.notes(visit, values),
            is_saved="saved" in visit.query and failure is None,
        )


class SiteView(SettingsView):
    """Form of the site's title, description, colour, logo and domain, and of the option that lets members create
    microcosms.
    """

    title = marked("Title, description, look")

    def fields(self, visit: Visit, args: dict[str, Any]) -> list[FormField]:
        """Return the fields of the form, in their order."""
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
            FormField("logoUrl", marked("Address of the logo")),
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

    def load(self, visit: Visit, args: dict[str, Any]) -> dict[str, Any]:
        """Return the site's own values and its options, by the fields' names."""
        names = ("title", "description", "linkColor", "logoUrl", "domain")
        found = {name: plain(visit.site.get(name, "")) for name in names}
        options: dict[str, Any] = visit.api.get("/site/options")
        return found | options | {"namesModerators": visit.site.get("namesModerators", False)}

    def store(self, visit: Visit, args: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store the site, the domain only if it has changed, then the site's options. Raises Failure, after which the
        site may be stored without its options.
        """
        makes = "membersCreateMicrocosms"
        body = {name: value for name, value in typed.items() if name != makes}
        if body["domain"] == visit.site.get("domain", ""):
            del body["domain"]
        visit.api.put("/site", body)
        visit.api.put("/site/options", {makes: typed[makes]})

    def notes(self, visit: Visit, typed: dict[str, Any]) -> list[str]:
        """Return one sentence on the contrast of the colour `linkColor`, and on the colour shown in its place if the
        contrast is too low; [] if `linkColor` is no colour.
        """
        colour = site_colours.parse(str(typed.get("linkColor", "")))
        if colour is None:
            return []
        paper = site_colours.parse(site_colours.PAPER) or (255, 255, 255)
        ratio = site_colours.legibility(colour, paper)
        gettext = visit.language.gettext
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


class RowsView(View):
    """Base class of forms for the list at `path` of the API, which is replaced as a whole; each entry is a row of the
    fields `names`, (name, English label) each. `most`: entries that the list can have.
    """

    title: ClassVar[str] = ""
    names: ClassVar[tuple[tuple[str, str], ...]] = ()
    path: ClassVar[str] = ""
    most: ClassVar[int] = 10

    def get(self, visit: Visit) -> Answer:
        """Show the stored entries, and up to two empty rows for new ones. Raises Refused for all but the owner."""
        owner(visit)
        return self._show(visit, visit.api.get(self.path))

    def post(self, visit: Visit) -> Answer:
        """Store the sent rows as the whole list, without those whose first field is empty; with `do` = "reset" delete
        the site's own list. A refusal shows the rows again. Raises Refused for all but the site's owner.
        """
        owner(visit)
        if visit.field("do") == "reset":
            visit.api.delete(self.path)
            return visit.redirect(f"{visit.path}?saved=1")
        columns = [
            visit.form.getlist(name) if visit.form is not None else [] for name, _ in self.names
        ]
        rows = [
            {name: value for (name, _), value in zip(self.names, row, strict=True)}
            for row in zip(*columns, strict=False)
            if row[0].strip()
        ]
        try:
            visit.api.put(self.path, rows)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, rows, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(
        self, visit: Visit, rows: list[dict[str, Any]], failure: Failure | None = None
    ) -> Answer:
        empty: list[dict[str, Any]] = [{} for _ in range(min(2, max(0, self.most - len(rows))))]
        return visit.page(
            "admin_rows.html",
            status=failure.status if failure else 200,
            heading=visit.language.gettext(self.title),
            names=self.names,
            rows=[*rows, *empty],
            failure=failure,
            is_saved="saved" in visit.query and failure is None,
        )


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


# ---------------------------------------------------------------- texts


class TextsView(View):
    """Base class of lists of texts that a site can have in place of the platform's; each entry says whose text is in
    force. `kind`: last part of the list's address, /site/… of the API and /admin/… of the website; `key`: key of the
    list in the API's answer; `title`: the page's, in English.
    """

    kind: ClassVar[str] = ""
    key: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def get(self, visit: Visit) -> Answer:
        """List the texts of this kind, each with a link to its form. Raises Refused for all but the site's owner."""
        owner(visit)
        found = visit.api.get(f"/site/{self.kind}")[self.key]
        return visit.page(
            "admin_texts.html",
            heading=visit.language.gettext(self.title),
            texts=found,
            path=f"/admin/{self.kind}/",
        )


class OwnLegalTextsView(TextsView):
    """List of the site's legal texts, for the owner to edit."""

    kind, key, title = "legal", "documents", marked("Legal texts")


class MailTextsView(TextsView):
    """List of the site's mail templates, for the owner to edit."""

    kind, key, title = "mail", "templates", marked("Mail templates")


class OwnLegalTextView(SettingsView):
    """Form of one legal text: HTML of the site's own, or a link to where it is kept; without either the platform's text
    is in force.
    """

    title = marked("Legal text")
    resets = True

    def fields(self, visit: Visit, args: dict[str, Any]) -> list[FormField]:
        """Return the fields of the form, in their order."""
        return [
            FormField(
                "html",
                marked("Text, as HTML"),
                "lines",
                marked("Names with a $, such as $site_title, are replaced."),
            ),
            FormField("link", marked("Or the address where it is kept")),
        ]

    def heading(self, visit: Visit, args: dict[str, Any]) -> str:
        """Return the title of the page with the name of the legal text."""
        return f"{visit.language.gettext(self.title)}: {args['name']}"

    def load(self, visit: Visit, args: dict[str, Any]) -> dict[str, Any]:
        """Return the legal text that is in force, by the fields' names."""
        found: dict[str, Any] = visit.api.get(f"/site/legal/{args['name']}")
        return found

    def store(self, visit: Visit, args: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store the link if there is one, else the HTML. Raises Failure."""
        body = {"link": typed["link"]} if typed["link"].strip() else {"html": typed["html"]}
        visit.api.put(f"/site/legal/{args['name']}", body)

    def reset(self, visit: Visit, args: dict[str, Any]) -> None:
        """Delete the site's own legal text, so that the platform's is in force. Raises Failure."""
        visit.api.delete(f"/site/legal/{args['name']}")


class MailTextView(SettingsView):
    """Form of one mail template, subject, text and HTML; without one of the site's own the platform's is in force."""

    title = marked("Mail template")
    resets = True

    def fields(self, visit: Visit, args: dict[str, Any]) -> list[FormField]:
        """Return the fields of the form, in their order."""
        hint = marked("Names with a $ are replaced; $unsubscribe_url must be there.")
        return [
            FormField("subject", marked("Subject"), limit=200),
            FormField("text", marked("Text"), "lines", hint),
            FormField("html", marked("HTML"), "lines"),
        ]

    def heading(self, visit: Visit, args: dict[str, Any]) -> str:
        """Return the title of the page with the name of the mail template."""
        return f"{visit.language.gettext(self.title)}: {args['name']}"

    def load(self, visit: Visit, args: dict[str, Any]) -> dict[str, Any]:
        """Return the mail template that is in force, by the fields' names."""
        found: dict[str, Any] = visit.api.get(f"/site/mail/{args['name']}")
        return found

    def store(self, visit: Visit, args: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store subject, text and HTML as the site's own template. Raises Failure."""
        visit.api.put(f"/site/mail/{args['name']}", typed)

    def reset(self, visit: Visit, args: dict[str, Any]) -> None:
        """Delete the site's own template, so that the platform's is in force. Raises Failure."""
        visit.api.delete(f"/site/mail/{args['name']}")


# ---------------------------------------------------------------- bans


class BansView(View):
    """List of the site's bans, and the form for a new one."""

    def get(self, visit: Visit) -> Answer:
        """List the site's bans, newest first, from `offset` on; `profile` in the query fills an id into the form.
        Raises Refused for all but the site's owner.
        """
        owner(visit)
        return self._show(visit, {"profileId": visit.query.get("profile", "")})

    def post(self, visit: Visit) -> Answer:
        """Ban the profile with the id `profileId`, or the e-mail domain `domain`, and show the list; a refusal shows
        the form again. Raises Refused for all but the site's owner.
        """
        owner(visit)
        typed = {
            name: visit.field(name) for name in ("profileId", "domain", "reason", "note", "expires")
        }
        body: dict[str, Any] = {"reason": typed["reason"], "note": typed["note"]}
        if typed["profileId"].strip().isdecimal():
            body["profileId"] = int(typed["profileId"])
        if typed["domain"].strip():
            body["domain"] = typed["domain"].strip()
        if typed["expires"]:
            body["expires"] = f"{typed['expires']}:00Z"
        try:
            visit.api.post("/bans", body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in (*FORM_REFUSALS, 404):
                raise
            return self._show(visit, typed, failure)
        return visit.redirect("/admin/bans/")

    def _show(self, visit: Visit, typed: dict[str, str], failure: Failure | None = None) -> Answer:
        found = visit.api.get("/bans", offset=visit.query.get("offset"))
        return visit.page(
            "admin_bans.html",
            status=failure.status if failure else 200,
            bans=found["bans"],
            typed=typed,
            failure=failure,
        )


class LiftBanView(View):
    """Ending of a ban before its time, by a button in the list of bans."""

    def post(self, visit: Visit, ban: int) -> Answer:
        """End the ban, and lead to the list of bans. Raises Refused for all but the site's owner."""
        owner(visit)
        visit.api.delete(f"/bans/{ban}")
        return visit.redirect("/admin/bans/")


# ---------------------------------------------------------------- signing in


class SignInMethodsView(View):
    """List of the ways to sign in on the site, and the choice that moderators need a second factor."""

    def get(self, visit: Visit) -> Answer:
        """List the site's sign-in methods, those switched off included. Raises Refused for all but the site's
        owner.
        """
        owner(visit)
        return visit.page("admin_sign_in.html", found=visit.api.get("/site/auth"), failure=None)

    def post(self, visit: Visit) -> Answer:
        """Store whether people who moderate need a second factor: the box `secondFactor`. Raises Refused for all but
        the site's owner.
        """
        owner(visit)
        try:
            visit.api.put("/site/auth", {"secondFactor": bool(visit.field("secondFactor"))})
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            found = visit.api.get("/site/auth")
            return visit.page(
                "admin_sign_in.html", status=failure.status, found=found, failure=failure
            )
        return visit.redirect("/admin/sign-in/")


class SignInMethodView(SettingsView):
    """Form of one way to sign in on the site: whether it is used, and the settings that the API lists for it."""

    resets = True

    def _found(self, visit: Visit, args: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = visit.api.get(f"/site/auth/{args['method']}")
        return found

    def heading(self, visit: Visit, args: dict[str, Any]) -> str:
        """Return the sign-in method's name for people."""
        return str(plain(self._found(visit, args)["title"]))

    def fields(self, visit: Visit, args: dict[str, Any]) -> list[FormField]:
        """Return the box `enabled`, then a field for each setting that the API lists for the method."""
        found = self._found(visit, args)
        kinds = {"secret": "secret", "urls": "area"}
        return [
            FormField("enabled", marked("It is used"), "check"),
            *(
                FormField(
                    one["name"], one["name"], kinds.get(one["kind"], "text"), one["description"]
                )
                for one in found["fields"]
            ),
        ]

    def load(self, visit: Visit, args: dict[str, Any]) -> dict[str, Any]:
        """Return the method's settings by the fields' names, a list as lines; secrets are not among them, as the API
        never shows them.
        """
        found = self._found(visit, args)
        values = {
            name: "\n".join(value) if isinstance(value, list) else value
            for name, value in found["settings"].items()
        }
        return {"enabled": found["enabled"], **values}

    def store(self, visit: Visit, args: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store the method's settings for this site; a secret whose field is empty stays as it is. Raises Failure."""
        kinds = {one["name"]: one["kind"] for one in self._found(visit, args)["fields"]}
        settings: dict[str, Any] = {}
        for name, kind in kinds.items():
            if kind == "urls":
                settings[name] = typed[name].split()
            elif kind != "secret" or typed[name]:
                settings[name] = typed[name]
        visit.api.put(
            f"/site/auth/{args['method']}", {"enabled": typed["enabled"], "settings": settings}
        )

    def reset(self, visit: Visit, args: dict[str, Any]) -> None:
        """Delete the site's own settings of the method, so that the platform's are in force. Raises Failure."""
        visit.api.delete(f"/site/auth/{args['method']}")
