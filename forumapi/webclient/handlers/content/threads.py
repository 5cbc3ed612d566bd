"""Functions that pages of items with comments share: creating an item, refusals of the API."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.visit import Answer, Visit
from forumapi.webclient.writing import once

# Refusals of the API after which a form stands again, with what was typed.
REFUSALS: Final = frozenset((400, 403, 409, 412, 413, 429, 503))


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
        if failure.status not in REFUSALS:
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
