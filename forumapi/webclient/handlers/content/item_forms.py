"""Forms of items as all types have them, and what forms of comments share with them: preview, the form once more."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from forumapi.webclient.api import Document, Failure
from forumapi.webclient.template_environment import content, plain
from forumapi.webclient.text_form import Writing, attach, draft_of, once
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Places that the API answers for in one call.
MOST_PLACES: Final = 100


class CreateItemView(View):
    """Form of a new item in a microcosm with its first comment: draft, preview, files.

    A subclass names its type and template, and makes the API's body of the fields that only its type has.
    """

    takes_files = True
    kind: ClassVar[str]
    template: ClassVar[str]
    # There is no item without a first comment.
    needs_text: ClassVar[bool] = False

    def begun(self, visit: Visit) -> Writing:
        """Return what a form shows that nobody has filled yet."""
        return Writing()

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the members of the API's body that only this type has. Raises Failure."""
        return {}

    def get(self, visit: Visit, microcosm: int = 0) -> Answer:
        """Show the form, with the draft that is kept for this place."""
        visit.member()
        writing = visit.writing
        if writing is None and microcosm:
            writing = draft_of(visit, f"/microcosms/{microcosm}")
        writing = writing or Writing()
        if not writing.is_refused:
            begun = self.begun(visit)
            writing.fields = {**begun.fields, **writing.fields}
        return self.show(visit, microcosm, writing)

    def post(self, visit: Visit, microcosm: int = 0) -> Answer:
        """Post both. Sent twice, or again after half of it failed, it makes one item."""
        visit.member()
        microcosm = microcosm or visit.number("microcosmId")
        writing = visit.writing = Writing.read(visit, self.kind)
        if visit.field("do") == "preview":
            preview(visit, writing, {"microcosmId": microcosm})
            if visit.wants_json:
                return said(visit, writing)
        if visit.field("do") in ("preview", "more"):
            return self.show(visit, microcosm, writing)
        if not microcosm:
            writing.refuse(visit.language.gettext("Choose a place for it."))
        needs_text = self.needs_text or bool(writing.files)
        writing.check(visit, has_title=True, needs_text=needs_text)
        if writing.is_refused:
            return self.show(visit, microcosm, writing)
        key = visit.field("key")
        try:
            body = {"microcosmId": microcosm, "title": writing.title, **self.body(visit, writing)}
            item = visit.api.post(f"/{self.kind}s", body, key=once(key, body)).data["id"]
            if writing.text.strip():
                body = {"itemType": self.kind, "itemId": item, "markdown": writing.text}
                made = visit.api.post("/comments", body, key=once(key, body))
                attach(visit, made.data["id"], writing.files)
        except Failure as failure:
            writing.failed(failure)
            return self.show(visit, microcosm, writing)
        return visit.redirect(f"/{self.kind}s/{item}/")

    def show(self, visit: Visit, microcosm: int, writing: Writing) -> Answer:
        """Show the form as it was filled, in a place or with the places to choose from. Raises Refused."""
        place, places = None, []
        if microcosm:
            place = visit.api.get(f"/microcosms/{microcosm}", limit=5)
            may = place["meta"]["permissions"]["create"] and self.kind in place["itemTypes"]
            if not may and not writing.is_refused:
                raise Refused(403, visit.language.gettext("You can’t begin this here."))
        else:
            places = places_for(visit, self.kind)
        return visit.page(
            self.template,
            status=writing.status,
            item=None,
            place=place,
            places=places,
            writing=writing,
        )


class EditItemView(View):
    """Form of an item that is there: its title, and the fields that only its type has."""

    kind: ClassVar[str]
    template: ClassVar[str]

    def fields(self, item: dict[str, Any]) -> dict[str, list[str]]:
        """Return the fields of the form as the API has the item."""
        return {}

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the members of the API's body that only this type has. Raises Failure."""
        return {}

    def words(self, visit: Visit, item: dict[str, Any]) -> str:
        """Return the version that somebody else has stored in words, a line a field."""
        return str(plain(item["title"]))

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the form."""
        visit.member()
        found = self._found(visit, item)
        if not found.data["meta"]["permissions"]["update"]:
            raise Refused(403)
        writing = Writing(
            title=plain(found.data["title"]), fields=self.fields(found.data), etag=found.etag
        )
        return self._show(visit, found, writing)

    def post(self, visit: Visit, item: int) -> Answer:
        """Store it, unless somebody else did meanwhile: then both versions are shown."""
        visit.member()
        writing = Writing.read(visit, self.kind)
        is_more = visit.field("do") == "more"
        try:
            if not is_more:
                writing.check(visit, has_title=True, needs_text=False)
            if not is_more and not writing.is_refused:
                body = {
                    "title": writing.title,
                    **self.body(visit, writing),
                    "meta": {"editReason": edit_reason(visit)},
                }
                visit.api.put(f"/{self.kind}s/{item}", body, match=writing.etag)
                return visit.redirect(f"/{self.kind}s/{item}/")
        except Failure as failure:
            writing.failed(failure)
        found = self._found(visit, item)
        if writing.status == 412:
            writing.other, writing.etag = self.words(visit, found.data), found.etag
        return self._show(visit, found, writing)

    def _found(self, visit: Visit, item: int) -> Document:
        return visit.api.document(f"/{self.kind}s/{item}", limit=5)

    def _show(self, visit: Visit, found: Document, writing: Writing) -> Answer:
        return visit.page(
            self.template,
            status=writing.status,
            item=found.data,
            kind=self.kind,
            place=None,
            writing=writing,
            places=places_for(visit, self.kind),
            chosen=visit.number("microcosmId") or found.data["microcosmId"],
            reason=visit.field("editReason"),
        )


def edit_reason(visit: Visit) -> str:
    """Return why something was changed, which the API asks for."""
    return visit.field("editReason").strip()[:150] or visit.language.gettext("Edited")


def places_for(visit: Visit, kind: str) -> list[dict[str, Any]]:
    """Return the places in which the visitor may begin something of a type, as the tree lists them."""
    found: list[dict[str, Any]] = visit.api.get("/microcosms/tree")[:MOST_PLACES]
    if not found:
        return []
    asked = [{"itemType": kind, "microcosmId": one["id"]} for one in found]
    rights = visit.api.call("POST", "/permission/batch", asked).data
    return [one for one, can in zip(found, rights, strict=True) if can["create"]]


def again(visit: Visit, page: str) -> Answer:
    """Answer with the page of a form, at the place that it was sent from, as `visit.writing` has it. Raises Failure."""
    assert visit.writing is not None  # it was read
    back = visit.back(page)
    address = back if back.partition("?")[0] == page else page
    return visit.website.show_again(visit, address, visit.writing.status)


def preview(visit: Visit, writing: Writing, place: dict[str, Any]) -> None:
    """Render the text as it would be shown in a place."""
    writing.check(visit)
    if writing.is_refused:
        return
    try:
        made = visit.api.post("/preview", {"markdown": writing.text, **place})
        writing.preview = made.data["html"]
    except Failure as failure:
        writing.failed(failure)


def said(visit: Visit, writing: Writing) -> Answer:
    """Answer a script of ours with the preview, or with what is wrong."""
    if writing.is_refused:
        problem = writing.problem or (writing.failure.detail if writing.failure else "")
        return visit.json({"problem": problem}, status=writing.status)
    return visit.json({"html": str(content(writing.preview))})
