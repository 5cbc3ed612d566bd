"""Forms that create and edit a microcosm."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import edit_reason
from forumapi.webclient.handlers.microcosms.moderation import creatable, possible
from forumapi.webclient.text_form import store
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

FIELDS: Final = ("title", "description", "visibility", "parent", "removeLogo")
TYPES: Final = ("microcosm", "conversation", "event", "poll")
# Pixels that a logo may be wide and high.
LOGO_SIDE: Final = 512


class CreateMicrocosmView(View):
    """Form for a new microcosm."""

    takes_files = True

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show the empty form; the microcosm with the id `microcosm` is chosen as the parent. Raises Refused with 403
        if the visitor may create no microcosms on this site, SignInFirst for guests.
        """
        visit.member()
        typed = {"visibility": "public", "parent": str(microcosm)}
        return self._show(visit, typed, ["conversation", "event", "poll"])

    def post(self, visit: Visit, microcosm: int) -> Answer:
        """Create the microcosm below the chosen parent, else below the one with the id `microcosm`, and lead to the new
        one; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the form again with that status, or
        raises Refused with 403 if the visitor may create no microcosms on this site. Raises Refused with 400 for a
        parent that is no number, SignInFirst for guests, Failure for other refusals.
        """
        visit.member()
        typed, types = _typed(visit)
        typed["parent"] = typed["parent"] or str(microcosm)
        try:
            body = _body(visit, typed, types)
            made = visit.api.post("/microcosms", body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, typed, types, failure)
        return visit.redirect(f"/microcosms/{made.data['id']}/")

    def _show(
        self, visit: Visit, typed: dict[str, str], types: list[str], failure: Failure | None = None
    ) -> Answer:
        if not visit.site["meta"]["permissions"]["create"]:
            raise Refused(403)
        return visit.page(
            "microcosm_form.html",
            status=failure.status if failure else 200,
            microcosm=None,
            typed=typed,
            types=types,
            places=_parents(visit, None),
            failure=failure,
            match="",
            may=[],
        )


class EditMicrocosmView(View):
    """Form for an existing microcosm: title, description, visibility, parent, types of items, logo."""

    takes_files = True

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show the form with the microcosm with the id `microcosm` as it is stored. Raises Refused with 403 unless the
        visitor may update the microcosm, SignInFirst for guests, Failure if the visitor may not read it.
        """
        visit.member()
        found = visit.api.document(f"/microcosms/{microcosm}", limit=5)
        if not found.data["meta"]["permissions"]["update"]:
            raise Refused(403)
        now = found.data
        typed = {name: str(now.get(name, "")) for name in ("title", "description", "visibility")}
        typed["parent"] = str(now.get("parentId", ""))
        return self._show(visit, now, typed, now["itemTypes"], found.etag)

    def post(self, visit: Visit, microcosm: int) -> Answer:
        """Store the microcosm with the id `microcosm` and lead to it; a refusal whose status is in FORM_REFUSALS (400,
        403 and others) shows the form again as it was filled in, also if somebody else changed the microcosm meanwhile:
        sent once more, the form replaces that change. Raises Refused with 400 for a parent that is no number,
        SignInFirst for guests, Failure for other refusals, and for any if the member may not read the microcosm.
        """
        visit.member()
        typed, types = _typed(visit)
        match = visit.field("match")
        path = f"/microcosms/{microcosm}"
        try:
            body = _body(visit, typed, types)
            body["meta"] = {"editReason": edit_reason(visit)}
            visit.api.put(path, body, key=visit.field("key"), match=match)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            now = visit.api.document(path, limit=5)
            tag = now.etag if failure.status == 412 else match
            return self._show(visit, now.data, typed, types, tag, failure)
        return visit.redirect(f"{path}/")

    def _show(
        self,
        visit: Visit,
        microcosm: dict[str, Any],
        typed: dict[str, str],
        types: list[str],
        match: str,
        failure: Failure | None = None,
    ) -> Answer:
        return visit.page(
            "microcosm_form.html",
            status=failure.status if failure else 200,
            microcosm=microcosm,
            typed=typed,
            types=types,
            places=_parents(visit, microcosm) if "parentId" in microcosm else [],
            failure=failure,
            match=match,
            may=possible(microcosm, with_thread=True),
        )


def _typed(visit: Visit) -> tuple[dict[str, str], list[str]]:
    types = visit.form.getlist("itemType") if visit.form is not None else []
    return {name: visit.field(name) for name in FIELDS}, [one for one in types if one in TYPES]


def _body(visit: Visit, typed: dict[str, str], types: list[str]) -> dict[str, Any]:
    """Return the API's body of a microcosm: the form's fields `typed` by name, without a parent that is "", the item
    types `types`, `removeLogo` if that box was ticked, and the logo, which is uploaded first if one was chosen. Raises
    Refused with 400 for a parent that is no number or has more than 18 digits, Failure if the API refuses the logo.
    """
    body: dict[str, Any] = {
        "title": typed["title"],
        "description": typed["description"],
        "visibility": typed["visibility"],
        "itemTypes": types,
    }
    if parent := typed["parent"]:
        body["parentId"] = typed_number(parent)
        if body["parentId"] is None:
            raise Refused(400)
    if typed["removeLogo"]:
        body["removeLogo"] = True
    logo = visit.files.get("logo") if visit.files is not None else None
    if logo is not None and logo.filename:
        stored = store(visit, logo, maxWidth=LOGO_SIDE, maxHeight=LOGO_SIDE)
        body["logoUrl"] = f"/api/v1/files/{stored['fileHash']}.{stored['fileExt']}"
    return body


def _parents(visit: Visit, moved: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the microcosms that can be the parent, in the tree's order: those in which the visitor may create
    microcosms. `moved`: an existing microcosm, whose present parent is offered too, but neither itself nor any
    below it; None for a new one.
    """
    tree = visit.api.get("/microcosms/tree")
    allowed = creatable(visit, [one["id"] for one in tree], "microcosm")
    below = {moved["id"]} if moved else set()
    found = []
    for one in tree:
        if one["id"] in below or one.get("parentId") in below:
            below.add(one["id"])
        elif one["id"] in allowed or (moved and one["id"] == moved.get("parentId")):
            found.append(one)
    return found
