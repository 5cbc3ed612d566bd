"""Lists and forms of the legal texts and mail templates that a site has in place of the platform's, for its owner."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from forumapi.webclient.handlers.sites.administration import marked, owner
from forumapi.webclient.handlers.sites.settings_form_bases import FormField, SettingsView
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

_CONSENT: Final = FormField(
    "consent",
    marked("Consent of members"),
    "choice",
    marked("Who has not agreed reads, and can’t write. Earlier versions stay readable."),
    choices=(
        ("", marked("Choose")),
        ("none", marked("Nobody is asked")),
        ("ask", marked("Ask everybody to agree to this version")),
        ("correction", marked("A small correction: nobody is asked again")),
    ),
)
# English titles of the legal texts and of the mail templates, by their names in the API.
LEGAL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cookies": marked("Cookies"),
        "privacy": marked("Privacy"),
        "service": marked("Service"),
        "terms": marked("Terms"),
    }
)
MAIL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "digest": marked("What is new, once a day or a week"),
        "new_comment": marked("A comment on something that the reader follows"),
        "reply_to_comment": marked("An answer to the reader"),
        "mentioned": marked("A comment that names the reader"),
        "new_comment_in_huddle": marked("A comment in a message that the reader is in"),
        "new_attendee": marked("Somebody comes to an event that the reader follows"),
        "new_vote": marked("A vote in a poll that the reader follows"),
        "event_reminder": marked("An event that the reader comes to is close"),
        "new_item": marked("Something is begun in a place that the reader follows"),
        "new_user": marked("Somebody new has joined"),
        "event_invitation": marked("Somebody invites the reader to an event"),
    }
)


class TextsView(View):
    """Base class of lists of texts that a site can have in place of the platform's; each entry says whose text is in
    force. `kind`: last part of the list's address, /site/… of the API and /admin/… of the website; `key`: key of the
    list in the API's answer; `title`: the page's, in English; `names`: English titles of the texts by their names.
    """

    kind: ClassVar[str] = ""
    key: ClassVar[str] = ""
    title: ClassVar[str] = ""
    names: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def get(self, visit: Visit) -> Answer:
        """List the texts of this kind, each with a link to its form. Raises Refused for members who do not own the
        site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        found = visit.api.get(f"/site/{self.kind}")[self.key]
        return visit.page(
            "admin_texts.html",
            heading=visit.language.gettext(self.title),
            texts=found,
            names=self.names,
            path=f"/admin/{self.kind}/",
            consents=self.consents(visit),
        )

    def consents(self, visit: Visit) -> list[dict[str, Any]]:
        """Return how many people have agreed to each version of the texts, an object of the API for each version; []
        for texts that ask for no consent, as in this class.
        """
        return []


class OwnLegalTextsView(TextsView):
    """List of the site's legal texts, for the owner to edit."""

    kind, key, title = "legal", "documents", marked("Legal texts")
    names = LEGAL_NAMES

    def consents(self, visit: Visit) -> list[dict[str, Any]]:
        """Return how many people have agreed to each version of terms and privacy text, an object of the API for each
        version. Raises Failure if the API refuses to show these numbers.
        """
        found: list[dict[str, Any]] = visit.api.get("/site/consents")["versions"]
        return found


class MailTextsView(TextsView):
    """List of the site's mail templates, for the owner to edit."""

    kind, key, title = "mail", "templates", marked("Mail templates")
    names = MAIL_NAMES


class OwnLegalTextView(SettingsView):
    """Form of one legal text: HTML of the site's own, or a link to where it is kept; without either the platform's text
    is in force. For terms and privacy the form says whether members have to agree to the text, or to do so again.
    """

    title = marked("Legal text")
    resets = True

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the form's fields in their order: `html`, `link`, and for texts that may ask for it `consent`."""
        asked = [_CONSENT] if url_values["name"] in ("privacy", "terms") else []
        return [
            FormField(
                "html",
                marked("Text, as HTML"),
                "lines",
                marked("Names with a $, such as $site_title, are replaced."),
            ),
            FormField("link", marked("Or the address where it is kept")),
            *asked,
        ]

    def notes(self, visit: Visit, typed: dict[str, Any]) -> list[str]:
        """Return a list of one sentence, about the version in force, if `typed` is a stored text that asks for consent;
        else [], as for a form that was sent.
        """
        if not typed.get("version"):
            return []
        text = visit.language.gettext("Members agree to version %(num)d before they write.")
        return [text % {"num": typed["version"]}]

    def heading(self, visit: Visit, url_values: dict[str, Any]) -> str:
        """Return the title of the page with that of the legal text, whose name is in the URL."""
        return _heading(visit, self.title, LEGAL_NAMES, url_values["name"])

    def load(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        """Return the legal text that is in force, the one named in the URL, by the fields' names; `consent` is "none"
        for a text without a version to agree to, else "". Raises Failure if the API refuses to show the text, with
        status 404 for an unknown name.
        """
        found: dict[str, Any] = visit.api.get(f"/site/legal/{url_values['name']}")
        # Of a text that asks nothing is chosen before the owner does.
        return {**found, "consent": "" if found.get("version") else "none"}

    def store(self, visit: Visit, url_values: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store the link among `typed`, the sent values by the fields' names, if that is not empty, else the HTML, and
        `consent` if that is not empty, as the site's own text under the name in the URL. Raises Failure if the API
        refuses the text, with status 404 for an unknown name.
        """
        body = {"link": typed["link"]} if typed["link"].strip() else {"html": typed["html"]}
        if typed.get("consent"):
            body["consent"] = typed["consent"]
        visit.api.put(f"/site/legal/{url_values['name']}", body)

    def reset(self, visit: Visit, url_values: dict[str, Any]) -> None:
        """Delete the site's own legal text, the one named in the URL, so that the platform's is in force. Raises
        Failure if the API refuses that, with status 404 for an unknown name.
        """
        visit.api.delete(f"/site/legal/{url_values['name']}")


class MailTextView(SettingsView):
    """Form of one mail template, subject, text and HTML; without one of the site's own the platform's is in force."""

    title = marked("Mail template")
    resets = True

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the form's fields in their order: `subject`, `text` and `html`, whatever the `url_values`."""
        hint = marked("Names with a $ are replaced; $unsubscribe_url must be there.")
        return [
            FormField("subject", marked("Subject"), limit=200),
            FormField("text", marked("Text"), "lines", hint),
            FormField("html", marked("HTML"), "lines"),
        ]

    def heading(self, visit: Visit, url_values: dict[str, Any]) -> str:
        """Return the title of the page with that of the mail template, whose name is in the URL."""
        return _heading(visit, self.title, MAIL_NAMES, url_values["name"])

    def load(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        """Return the mail template that is in force, the one named in the URL, by the fields' names. Raises Failure if
        the API refuses to show the template, with status 404 for an unknown name.
        """
        found: dict[str, Any] = visit.api.get(f"/site/mail/{url_values['name']}")
        return found

    def store(self, visit: Visit, url_values: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store `typed`, the sent subject, text and HTML by the fields' names, as the site's own template under the
        name in the URL. Raises Failure if the API refuses the template, with status 404 for an unknown name.
        """
        visit.api.put(f"/site/mail/{url_values['name']}", typed)

    def reset(self, visit: Visit, url_values: dict[str, Any]) -> None:
        """Delete the site's own template, the one named in the URL, so that the platform's is in force. Raises Failure
        if the API refuses that, with status 404 for an unknown name.
        """
        visit.api.delete(f"/site/mail/{url_values['name']}")


def _heading(visit: Visit, title: str, names: Mapping[str, str], name: str) -> str:
    """Return the title of a page with that of the text `name`; a name that is not among `names` stands as it is."""
    return ": ".join(visit.language.gettext(one) for one in (title, names.get(name, name)))
