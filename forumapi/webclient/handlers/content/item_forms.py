"""Functions that the forms of items and comments share: creation, preview, and the form again after a refusal."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.rendering import content
from forumapi.webclient.visit import Answer, Visit
from forumapi.webclient.writing import Writing, once

# Places that the API answers for in one call.
MOST_PLACES: Final = 100


def begin(visit: Visit, kind: str, body: dict[str, Any], markdown: str) -> Answer:
    """Create an item, then its first comment, and lead there.

    Both have idempotency keys, so that sending the form again does each once. Raises Failure when the item is refused;
    a first comment that is refused comes back as it was typed, in a form of its own.
    """
    key = visit.field("key")
    made = visit.api.post(f"/{kind}s", body, key=once(key, body))
    path = f"/{kind}s/{made.data['id']}/"
    if not markdown.strip():
        return visit.redirect(path)
    comment = {"itemType": kind, "itemId": made.data["id"], "markdown": markdown}
    try:
        visit.api.post("/comments", comment, key=once(key, comment))
    except Failure as failure:
        if failure.status not in FORM_REFUSALS:
            raise
        return visit.page(
            "first_comment.html",
            status=failure.status,
            kind=kind,
            item=made.data,
            typed=markdown,
            failure=failure,
        )
    return visit.redirect(path)


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
