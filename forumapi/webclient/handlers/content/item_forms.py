"""Base classes of the forms that create and edit items of any type, and functions that forms of comments use too:
preview, and the form shown again.
"""

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
    """Base class of forms for a new item in a microcosm with its first comment, which can be kept as a draft,
    previewed, and carry files.

    A subclass sets `kind` (its item type) and `template`, and overrides `begun` and `body` for the fields that only its
    type has. `needs_text` True: a form without a text for the first comment is refused; False: it is refused only if it
    has files, which would hang on that comment.
    """

    takes_files = True
    kind: ClassVar[str]
    template: ClassVar[str]
    # There is no item without a first comment.
    needs_text: ClassVar[bool] = False

    def begun(self, visit: Visit) -> Writing:
        """Return a Writing whose `fields` hold what an empty form proposes for the fields that only this item type has;
        nothing else of the Writing is used.
        """
        return Writing()

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the keys of the API's body that only this item type has, with the values from the form `writing`; {}
        in this class. Raises Failure for a value that can't be sent.
        """
        return {}

    def get(self, visit: Visit, microcosm: int = 0) -> Answer:
        """Show the form with the member's draft for the microcosm with the id `microcosm`, or, where a sent form is
        shown again, with that form's contents, `visit.writing`. A field that those contents lack has what `begun`
        proposes, unless the form was refused. `microcosm` 0: the form offers microcosms to choose from. Raises
        SignInFirst for guests, Refused with 403 for members who may not create such an item there, Failure if the
        member may not read the microcosm.
        """
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
        """Create the item, then its first comment if there is a text, and lead there. With `do` = "preview" or "more"
        (further lines, such as choices of a poll) show the form, or send a script the preview as JSON; a form with
        something missing or too long, and a refusal whose status is in WRITING_REFUSALS (400, 403, 404 and others),
        show it again, as it was filled in. `microcosm`: id of the microcosm, 0 if the form's field `microcosmId`
        chooses it. Raises SignInFirst for guests, Refused with 403 if "preview" or "more" shows the form, not refused,
        to members who may not create such an item there, Failure for other refusals, and for any if the member may not
        read the microcosm.

        The idempotency key sees to it that a form sent twice, or again after the comment was refused, creates one item.
        """
        visit.member()
        microcosm = microcosm or visit.number("microcosmId")
        writing = visit.writing = Writing.read(visit, self.kind)
        if visit.field("do") == "preview":
            preview(visit, writing, {"microcosmId": microcosm})
            if visit.wants_json:
                return preview_answer(visit, writing)
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
        """Show the form with the contents `writing`, for the microcosm with this id, or, for 0, with the microcosms to
        choose from. Raises Refused with 403 if the visitor may not create such an item in the microcosm; a form that is
        refused already (`writing.is_refused`) is shown all the same. Raises Failure if the visitor may not read the
        microcosm.
        """
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
    """Base class of forms for an existing item: its title, and the fields that only its type has.

    A subclass sets `kind` (its item type) and `template`, and overrides `fields`, `body` and `words` where its type has
    more than a title.
    """

    kind: ClassVar[str]
    template: ClassVar[str]

    def fields(self, item: dict[str, Any]) -> dict[str, list[str]]:
        """Return the values of the fields that only this item type has, by the fields' names, from `item`, which is as
        the API shows it; {} in this class.
        """
        return {}

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the keys of the API's body that only this item type has, with the values from the form `writing`; {}
        in this class. Raises Failure for a value that can't be sent.
        """
        return {}

    def words(self, visit: Visit, item: dict[str, Any]) -> str:
        """Return the stored item `item`, which is as the API shows it, as plain text, a line a field, to be shown
        beside a form that was sent after somebody else had changed the item; in this class the title alone.
        """
        return str(plain(item["title"]))

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the form with the item with the id `item` as it is stored. Raises Refused with 403 unless the visitor
        may update the item, SignInFirst for guests, Failure if the visitor may not read it.
        """
        visit.member()
        found = self._found(visit, item)
        if not found.data["meta"]["permissions"]["update"]:
            raise Refused(403)
        writing = Writing(
            title=plain(found.data["title"]), fields=self.fields(found.data), etag=found.etag
        )
        return self._show(visit, found, writing)

    def post(self, visit: Visit, item: int) -> Answer:
        """Store the item with the id `item` and lead to it. If the item was changed since the form was shown, show the
        form beside the stored version, which the form replaces if it is sent once more; another refusal whose status is
        in WRITING_REFUSALS (400, 403, 404 and others), a missing and a too long title show the form as it was filled
        in; with `do` = "more" show it with further lines. Raises SignInFirst for guests, Failure for other refusals,
        and for any if the member may not read the item.
        """
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
    """Return the reason for an edit, typed in the field `editReason`, cut to 150 characters; "Edited", translated,
    without one, as the API demands a reason.
    """
    return visit.field("editReason").strip()[:150] or visit.language.gettext("Edited")


def places_for(visit: Visit, kind: str) -> list[dict[str, Any]]:
    """Return those of the first MOST_PLACES (100) microcosms of the tree in which the visitor may create items of the
    type `kind`, as the API shows them, in the tree's order. Raises Failure if the API refuses the tree.
    """
    found: list[dict[str, Any]] = visit.api.get("/microcosms/tree")[:MOST_PLACES]
    if not found:
        return []
    asked = [{"itemType": kind, "microcosmId": one["id"]} for one in found]
    rights = visit.api.call("POST", "/permission/batch", asked).data
    return [one for one, can in zip(found, rights, strict=True) if can["create"]]


def show_form_again(visit: Visit, page: str) -> Answer:
    """Answer a form that was refused or sent for a preview with the page at the path `page`, on which the form stands;
    if the form was sent from this page with a query, such as an offset, with the same query. The page shows
    `visit.writing`, which must be set, with its status. Raises what that page's view raises, Failure if the visitor may
    not read the page.
    """
    assert visit.writing is not None  # it was read
    back = visit.back(page)
    address = back if back.partition("?")[0] == page else page
    return visit.website.show_again(visit, address, visit.writing.status)


def preview(visit: Visit, writing: Writing, place: dict[str, Any]) -> None:
    """Let the API render the text of the form `writing` into `writing.preview`. If the text is missing or too long, or
    the API refuses it, the form is refused with that reason. `place`: keys of the API's body that say where the text
    would stand, such as `microcosmId`. Raises Failure for a status that is not in WRITING_REFUSALS.
    """
    writing.check(visit)
    if writing.is_refused:
        return
    try:
        made = visit.api.post("/preview", {"markdown": writing.text, **place})
        writing.preview = made.data["html"]
    except Failure as failure:
        writing.failed(failure)


def preview_answer(visit: Visit, writing: Writing) -> Answer:
    """Answer a script that asked for a preview with JSON: `html`, made of `writing.preview`; if `writing` is refused,
    `problem`, the reason, under the refusal's status.
    """
    if writing.is_refused:
        return visit.json({"problem": writing.reason(visit)}, status=writing.status)
    return visit.json({"html": str(content(writing.preview))})
