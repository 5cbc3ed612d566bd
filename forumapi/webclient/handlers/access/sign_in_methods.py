"""Pages of the ways to sign in on the site, for its owner."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import marked, owner
from forumapi.webclient.handlers.sites.settings_form_bases import FormField, SettingsView
from forumapi.webclient.template_environment import plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class InWords(NamedTuple):
    """Sign-in method or setting of one in plain words, for those who do not know the trade's: a name, which has the
    trade's term in brackets, and a sentence. Both are English; templates translate them.
    """

    name: str
    about: str


# By the API's names. A provider's own name needs no other words, and what is not here is shown as the API says it.
METHODS: Final = {
    "email-code": InWords(
        marked("Code by e-mail"),
        marked("People type in a code that comes by e-mail. Nobody needs a password."),
    ),
    "passkey": InWords(
        marked("Finger, face or PIN (passkey)"),
        marked("People use what unlocks their phone or computer, once they have set that up here."),
    ),
    "openid": InWords(
        marked("Account at a service of your choice (OpenID Connect)"),
        marked(
            "People use the account that they have at a company, a university or an association."
        ),
    ),
    "assertion": InWords(
        marked("A service that vouches for addresses (assertion)"),
        marked("Another service says whose e-mail address it is. Old programs sign in like that."),
    ),
    "development": InWords(
        marked("Without any proof (development)"),
        marked("Anybody signs in as anybody. That is for trying things out, and for nothing else."),
    ),
}
SETTINGS: Final = {
    "issuer": InWords(
        marked("Address of the service (issuer)"), marked("To the letter as the service says it.")
    ),
    "clientId": InWords(
        marked("This site’s name there (client ID)"),
        marked("The service gives it to you when you register this site there."),
    ),
    "clientSecret": InWords(
        marked("This site’s password there (client secret)"),
        marked("The service gives it to you too. It is stored, and never shown again."),
    ),
    "redirectUris": InWords(
        marked("Pages that people come back to, one a line (redirect URIs)"),
        marked("As you registered them there; with none it is /login/ of this site."),
    ),
    "title": InWords(marked("Name on the button"), marked("People read it behind “Sign in with”.")),
    "tenant": InWords(
        marked("Whose accounts count (tenant)"),
        marked("The ID of a directory, or organizations, or consumers; empty: all of them."),
    ),
    "authority": InWords(
        marked("Address of a national cloud (authority)"),
        marked("Empty for https://login.microsoftonline.com."),
    ),
    "domain": InWords(
        marked("Host name that the service gave you (tenant)"),
        marked("Without https:// and without slashes."),
    ),
    "url": InWords(marked("Address of your own server (URL)"), marked("Empty for the usual one.")),
    "apiUrl": InWords(
        marked("Address of your own server’s interface (API)"),
        marked("Empty for https://api.github.com."),
    ),
}


class SignInMethodsView(View):
    """List of the ways to sign in on the site, and the choice that moderators need a second factor."""

    def get(self, visit: Visit) -> Answer:
        """List the site's sign-in methods, those switched off included. Raises Refused for members who do not own the
        site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Store whether people who moderate need a second factor: the box `secondFactor`; lead back to the page. A
        refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the page again with that status. Raises
        Refused for members who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes,
        Failure for other refusals.
        """
        owner(visit)
        try:
            visit.api.put("/site/auth", {"secondFactor": bool(visit.field("secondFactor"))})
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, failure)
        return visit.redirect("/admin/sign-in/")

    def _show(self, visit: Visit, failure: Failure | None = None) -> Answer:
        return visit.page(
            "admin_sign_in.html",
            status=failure.status if failure else 200,
            found=visit.api.get("/site/auth"),
            in_words=METHODS,
            failure=failure,
        )


class SignInMethodView(SettingsView):
    """Form of one way to sign in on the site: whether it is used, and the settings that the API lists for it."""

    resets = True

    def _found(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = visit.api.get(f"/site/auth/{url_values['method']}")
        return found

    def heading(self, visit: Visit, url_values: dict[str, Any]) -> str:
        """Return the page's title: the translated name in METHODS of the sign-in method in the URL, else the name, as
        plain text, that the API has for it. Raises Failure if the API refuses to show the method, with status 404 for
        an unknown one.
        """
        found = self._found(visit, url_values)
        known = METHODS.get(found["method"])
        return visit.language.gettext(known.name) if known else str(plain(found["title"]))

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the box `enabled`, then a field for each setting of the sign-in method in the URL, in the words of
        SETTINGS, else as the API says it. Raises Failure if the API refuses to show the method, with status 404 for an
        unknown one.
        """
        found = self._found(visit, url_values)
        kinds = {"secret": "secret", "urls": "area"}
        fields = [FormField("enabled", marked("It is used"), "check")]
        for one in found["fields"]:
            name = one["name"]
            said = SETTINGS.get(name) or InWords(name, one["description"])
            fields.append(FormField(name, said.name, kinds.get(one["kind"], "text"), said.about))
        return fields

    def load(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        """Return `enabled`, and the settings of the sign-in method in the URL by the fields' names, a list of URLs as
        one text, a line each; secrets are not among them, as the API never shows them. Raises Failure if the API
        refuses to show the method, with status 404 for an unknown one.
        """
        found = self._found(visit, url_values)
        values = {
            name: "\n".join(value) if isinstance(value, list) else value
            for name, value in found["settings"].items()
        }
        return {"enabled": found["enabled"], **values}

    def store(self, visit: Visit, url_values: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store `typed`, the sent values by the fields' names, as this site's settings of the sign-in method in the
        URL; URLs are split at spaces and line ends; a secret whose field is empty stays as it is. Raises Failure if the
        API refuses the settings, with status 404 for an unknown method.
        """
        kinds = {one["name"]: one["kind"] for one in self._found(visit, url_values)["fields"]}
        settings: dict[str, Any] = {}
        for name, kind in kinds.items():
            if kind == "urls":
                settings[name] = typed[name].split()
            elif kind != "secret" or typed[name]:
                settings[name] = typed[name]
        visit.api.put(
            f"/site/auth/{url_values['method']}",
            {"enabled": typed["enabled"], "settings": settings},
        )

    def reset(self, visit: Visit, url_values: dict[str, Any]) -> None:
        """Delete the site's own settings of the sign-in method in the URL, so that the platform's are in force. Raises
        Failure if the API refuses that, with status 404 for an unknown method.
        """
        visit.api.delete(f"/site/auth/{url_values['method']}")
