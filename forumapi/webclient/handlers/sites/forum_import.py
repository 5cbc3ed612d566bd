"""Pages on which the owner of a site moves a forum of other software in: upload, plan, run, comparison, removal."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.transport import FormBody
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, SignInFirst, Visit

_IMPORT: Final = "/site/import"
# Code of a refusal for want of a sign-in within the last minutes (docs/api/README.md, "Errors").
_SIGN_IN_AGAIN: Final = 26
_FIELDS: Final = ("product", "title", "secondFactor")
_LISTS: Final = {"addresses": "address", "fields": "granted"}
# Buttons of the page, and the bodies of PUT /site/import that they stand for.
_TASKS: Final[dict[str, dict[str, Any]]] = {
    "run": {"task": "run"},
    "verify": {"task": "verify"},
    "undo": {"task": "undo"},
    "untouched": {"task": "undo", "untouched": True},
    "on": {"task": "switch", "on": True},
    "off": {"task": "switch", "on": False},
}


class ImportView(View):
    """Page of the site's latest import: its state and results, the buttons for what comes next, and the form to upload
    a dump; for the owner.
    """

    takes_files = True

    def get(self, visit: Visit) -> Answer:
        """Show the latest import, if there is one. Raises Refused for members who do not own the site, SignInFirst for
        guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Do what the button `do` names: "upload" a dump, "delete" the upload, or begin a task of the API: "run",
        "verify", "undo" or another key of _TASKS; then lead to the page; any other `do` changes nothing. A refusal
        whose status is in FORM_REFUSALS (400, 403 and others) shows the page again with that status. Raises Refused
        with 403 for members who do not own the site, with 400 for an upload without a file; SignInFirst for guests and
        if the sign-in is older than 30 minutes or than the API wants, Failure for other refusals.
        """
        owner(visit)
        wanted = visit.field("do")
        try:
            if wanted == "upload":
                self._upload(visit)
            elif wanted == "delete":
                visit.api.delete(_IMPORT)
            elif wanted in _TASKS:
                visit.api.call("PUT", _IMPORT, _TASKS[wanted])
        except Failure as failure:
            if failure.code == _SIGN_IN_AGAIN:
                raise SignInFirst(is_stale=True) from None
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, failure)
        return visit.redirect(visit.path)

    @staticmethod
    def _upload(visit: Visit) -> None:
        sent = visit.files.get("file") if visit.files is not None else None
        if sent is None or not sent.filename:
            raise Refused(400)
        fields = [(name, visit.field(name)) for name in _FIELDS]
        for name, field in _LISTS.items():
            fields += [(field, line) for line in visit.field(name).splitlines() if line.strip()]
        form = FormBody(sent.stream, "dump", "application/octet-stream", fields)
        visit.api.call("POST", _IMPORT, form=form)

    def _show(self, visit: Visit, failure: Failure | None = None) -> Answer:
        return visit.page(
            "admin_import.html",
            status=failure.status if failure else 200,
            failure=failure,
            found=visit.api.find(_IMPORT),
            megabytes=visit.website.upload_limit // 1_000_000,
            has_factor=visit.api.get("/auth/totp")["enabled"],
            typed={name: visit.field(name) for name in ("product", "title", *_LISTS)}
            if failure
            else {},
        )


class ImportLeftoversView(View):
    """Page of what the latest import left out, for the owner."""

    def get(self, visit: Visit) -> Answer:
        """List what the latest import left out, from the query's `offset` on. Raises Refused: 403 for members who do
        not own the site, 404 without an import; SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        if visit.api.find(_IMPORT) is None:
            raise Refused(404)
        found = visit.api.get(f"{_IMPORT}/leftovers", offset=visit.query.get("offset"))
        return visit.page("admin_import_leftovers.html", found=found["leftovers"])
