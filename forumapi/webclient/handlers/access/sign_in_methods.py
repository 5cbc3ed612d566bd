"""Pages of the ways to sign in on the site, for its owner."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import marked, owner
from forumapi.webclient.handlers.sites.settings_form_bases import FormField, SettingsView
from forumapi.webclient.template_environment import plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class SignInMethodsView(View):
    """List of the ways to sign in on the site, and the choice that moderators need a second factor."""

    def get(self, visit: Visit) -> Answer:
        """List the site's sign-in methods, those switched off included. Raises Refused for members who do not own the
        site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return visit.page("admin_sign_in.html", found=visit.api.get("/site/auth"), failure=None)

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
            found = visit.api.get("/site/auth")
            return visit.page(
                "admin_sign_in.html", status=failure.status, found=found, failure=failure
            )
        return visit.redirect("/admin/sign-in/")


class SignInMethodView(SettingsView):
    """Form of one way to sign in on the site: whether it is used, and the settings that the API lists for it."""

    resets = True

    def _found(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = visit.api.get(f"/site/auth/{url_values['method']}")
        return found

    def heading(self, visit: Visit, url_values: dict[str, Any]) -> str:
        """Return the page's title: the name, as plain text, by which people know the sign-in method in the URL. Raises
        Failure if the API refuses to show the method, with status 404 for an unknown one.
        """
        return str(plain(self._found(visit, url_values)["title"]))

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the box `enabled`, then a field for each setting of the sign-in method in the URL. Raises Failure if
        the API refuses to show the method, with status 404 for an unknown one.
        """
        found = self._found(visit, url_values)
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
