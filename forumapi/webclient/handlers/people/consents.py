"""Page on which members agree to a legal text of the site, or withdraw that: what changed, the text and the buttons."""

from __future__ import annotations

import re
from typing import Any

from forumapi.webclient import carried_form
from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.sites.legal import shown_html
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit, is_own_path


class AgreeView(View):
    """Page of the consent to one legal text of the site, whose name in the URL is `terms` or `privacy`. `next`, a
    field: page to go on to, or address of the form that waits; `pending`, hidden fields: those of a form that the API
    refused for want of the consent.
    """

    def get(self, visit: Visit, name: str) -> Answer:
        """Show what changed since the visitor agreed, the text, and the button; redirect to the text's page if it asks
        for no consent. Raises SignInFirst for guests.
        """
        visit.member()
        text = _asked(visit, name)
        if text is None:
            return visit.redirect(f"/legal/{name}/")
        return self._show(visit, text)

    def post(self, visit: Visit, name: str) -> Answer:
        """Agree to the field `version`, then ask for the next text that is needed, or lead to `next`, or to the form
        that waits. If the API refuses the version with 400, 404 or 409 (not in force any more), show the page again
        with that status, or go on as after the consent if the text asks for none. With `do` = "withdraw" withdraw the
        consent, and lead to `next`. Raises SignInFirst for guests.
        """
        visit.member()
        if visit.field("do") == "withdraw":
            visit.api.delete(f"/consents/{name}")
            return visit.redirect(_next(visit))
        try:
            visit.api.put(f"/consents/{name}", {"version": visit.number("version")})
        except Failure as failure:
            if failure.status not in (400, 404, 409):
                raise
            text = _asked(visit, name)
            if text is not None:
                return self._show(visit, text, failure=failure)
        needed = [one for one in _texts(visit) if one["needed"]]
        if needed:
            return self._show(visit, needed[0])
        return _go_on(visit, _next(visit), carried_form.carried(visit))

    def interrupted(self, visit: Visit, name: str) -> Answer:
        """Answer a write that needs the consent to the text `name` with the page, 403, which carries the sent form's
        fields on. `visit` becomes a GET. If the text asks for no consent any more, lead on at once, as after the
        consent.
        """
        next_page = visit.sent_to or visit.address
        pending = carried_form.begun(visit) if visit.sent_to else []
        visit.method = "GET"
        text = _asked(visit, name)
        if text is None:
            # It asks no more since a moment ago: the form can be sent again as it is.
            return _go_on(visit, next_page, pending)
        return self._show(visit, text, status=403, next_page=next_page, pending=pending)

    @staticmethod
    def _show(
        visit: Visit,
        text: dict[str, Any],
        *,
        status: int = 200,
        failure: Failure | None = None,
        next_page: str = "",
        pending: list[tuple[str, str]] | None = None,
    ) -> Answer:
        name, version, agreed = text["text"], text["version"], text["agreed"]
        path = f"/legal/{name}/versions/{version}"
        document = visit.api.get(path)
        changes = []
        if 0 < agreed < version and not document.get("link"):
            changes = visit.api.get(f"{path}/diff", **{"from": str(agreed)})["changes"]
        return visit.page(
            "agree.html",
            status=failure.status if failure else status,
            name=name,
            action=f"/legal/{name}/agree/",
            text=text,
            document=document,
            # The page has a heading of its own above those of the text.
            html=re.sub(r"(?<=<)(/?)h1\b", r"\1h2", shown_html(document)),
            changes=changes,
            failure=failure,
            next_page=next_page or _next(visit),
            pending=carried_form.carried(visit) if pending is None else pending,
        )


def _go_on(visit: Visit, next_page: str, pending: list[tuple[str, str]]) -> Answer:
    if not pending:
        return visit.redirect(next_page)
    return carried_form.page(visit, visit.language.gettext("Thank you"), next_page, pending)


def _texts(visit: Visit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = visit.api.get("/consents")["texts"]
    return found


def _asked(visit: Visit, name: str) -> dict[str, Any] | None:
    return next((one for one in _texts(visit) if one["text"] == name), None)


def _next(visit: Visit) -> str:
    wanted = visit.field("next") or visit.query.get("next", "/")
    return wanted if is_own_path(wanted) else "/"
