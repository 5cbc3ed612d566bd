"""Pages of moderators: the queue of what waits for approval, and the actions on one item, comment or microcosm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import edit_reason
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit, is_own_path

# Flags that the buttons of the pages set, by the button's value.
DEEDS: Final = {
    "pin": ("sticky", True),
    "unpin": ("sticky", False),
    "close": ("open", False),
    "open": ("open", True),
    "hide": ("moderated", True),
    "approve": ("moderated", False),
    "delete": ("deleted", True),
    "restore": ("deleted", False),
}
# Kinds of moderators' actions that the API makes of them, where other names.
_KINDS: Final = {"approve": "show", "close": "lock", "open": "unlock"}
PAGE: Final = 25
# Things that the API judges in one question.
BATCH: Final = 100


class ModerationView(View):
    """Queue of what waits for a decision in the microcosms that the member moderates."""

    def get(self, visit: Visit) -> Answer:
        """Show a page of the queue, PAGE (25) entries at most, oldest first; with the query parameter `after`, a cursor
        that an earlier page gave, the page behind that cursor. Raises SignInFirst for guests.
        """
        visit.member()
        after = visit.query.get("after")
        found = visit.api.get("/moderation", after=after, limit=PAGE)
        links = {one["rel"]: one["href"] for one in found["moderation"]["links"]}
        following = parse_qs(urlsplit(links.get("next", "")).query).get("after", [""])[0]
        here = f"/moderation/?after={quote(after)}" if after else "/moderation/"
        return visit.page(
            "moderation.html",
            queue=found["moderation"],
            counts=found["counts"],
            following=following,
            here=here,
        )


class ModerateView(View):
    """Page with all actions that the member may take on a conversation, event, poll or microcosm."""

    def get(self, visit: Visit, kinds: str, item: int) -> Answer:
        """Show the actions on the thing with the id `item`. `kinds`: plural of the thing's type, such as `events`.
        Raises Refused with 403 if the member may take none, SignInFirst for guests, Failure if the member may not read
        the thing.
        """
        visit.member()
        return self._show(visit, kinds, item)

    def post(self, visit: Visit, kinds: str, item: int) -> Answer:
        """Take the action in the field `do` on the thing with the id `item`: "move" an item into the microcosm whose id
        is the field `place`, a key of DEEDS, such as "hide", or "undo" the member's latest action, a key of DEEDS in
        the field `of`; then lead to the page of the queue that the form stood on; else, after "delete", "hide" and
        "restore" and their undo, to the thing's page of actions, or, if the thing is gone for the member, to its
        microcosm (the field `place`; without an id there, to the front page); else to the thing. The page says what was
        done. A refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the page again with that status.

        `kinds`: plural of the thing's type, such as `events`. Raises SignInFirst for guests, Refused with 400 for
        another `do`, for "move" of a microcosm, and for "move" with a `place` that is no number of at most 18 digits,
        Failure for other refusals, and for any if the member may not read the thing.
        """
        visit.member()
        do = visit.field("do")
        path = f"/{kinds}/{item}"
        is_undoable = False
        try:
            if do == "move" and kinds != "microcosms":
                place = typed_number(visit.field("place"))
                if place is None:
                    raise Refused(400)
                body = {"microcosmId": place, "meta": {"editReason": edit_reason(visit)}}
                visit.api.put(path, body, key=visit.field("key"))
            elif do == "undo":
                _undo(visit, kinds, item)
            else:
                is_undoable = _set_flag(visit, path, do) and kinds != "microcosms"
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, kinds, item, failure)
        return _led_back(visit, do, path, visit.field("place"), is_undoable=is_undoable)

    def _show(self, visit: Visit, kinds: str, item: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/{kinds}/{item}", limit=5)
        may = possible(found, with_thread=True)
        if not may and failure is None:
            raise Refused(403)
        places = []
        if kinds != "microcosms" and found["meta"]["permissions"]["update"]:
            places = _places(visit, kinds, found["microcosmId"])
        return visit.page(
            "moderate.html",
            status=failure.status if failure else 200,
            item=found,
            kinds=kinds,
            may=may,
            places=places,
            failure=failure,
        )


class ModerateCommentView(View):
    """Page with all actions that the member may take on a comment."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Show the actions on the comment with the id `comment`. Raises Refused with 403 if the member may take none,
        SignInFirst for guests, Failure if the member may not read the comment.
        """
        visit.member()
        return self._show(visit, comment)

    def post(self, visit: Visit, comment: int) -> Answer:
        """Take the action in the field `do`, a key of DEEDS such as "hide", on the comment with the id `comment`, or
        "undo" the member's latest action, a key of DEEDS in the field `of`; then lead to the page of the queue that the
        form stood on; else to the comment's page of actions, or, if the comment is gone for the member, to the front
        page. The page says what was done. A refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the
        page again with that status. Raises SignInFirst for guests, Refused with 400 for another `do`, Failure for other
        refusals, and for any if the member may not read the comment.
        """
        visit.member()
        do = visit.field("do")
        path = f"/comments/{comment}"
        is_undoable = False
        try:
            if do == "undo":
                _undo(visit, "comments", comment)
            else:
                is_undoable = _set_flag(visit, path, do)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, comment, failure)
        return _led_back(visit, do, path, "", is_undoable=is_undoable)

    def _show(self, visit: Visit, comment: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/comments/{comment}")
        may = possible(found, with_thread=False)
        if not may and failure is None:
            raise Refused(403)
        return visit.page(
            "moderate_comment.html",
            status=failure.status if failure else 200,
            one=found,
            may=may,
            failure=failure,
        )


def possible(thing: dict[str, Any], *, with_thread: bool) -> list[str]:
    """Return the actions that the flags and permissions of `thing`, which is as the API shows it, allow the visitor:
    keys of DEEDS, such as "hide", in the order of the buttons. `with_thread`: the thing is an item or microcosm, which
    can be pinned and closed, as comments can't.
    """
    flags, can = thing["meta"]["flags"], thing["meta"]["permissions"]
    is_moderator = can["moderator"] and can["update"]
    may = []
    if is_moderator and flags.get("moderated"):
        may.append("approve")
    if with_thread:
        if is_moderator:
            may.append("unpin" if flags.get("sticky") else "pin")
        if is_moderator or (can["owner"] and can["closeOwn" if flags.get("open") else "openOwn"]):
            may.append("close" if flags.get("open") else "open")
    if is_moderator and not flags.get("moderated") and not flags.get("deleted"):
        may.append("hide")
    if flags.get("deleted"):
        if can["moderator"]:
            may.append("restore")
    elif can["moderator"] or can["delete"]:
        may.append("delete")
    return may


def _set_flag(visit: Visit, path: str, do: str) -> bool:
    """Take the action `do`, a key of DEEDS, on the thing at `path`; return True if the visitor moderates the thing, so
    that the API keeps an action of a moderator, which can be undone. Raises Refused with 400 for another `do`.
    """
    if do not in DEEDS:
        raise Refused(400)
    name, value = DEEDS[do]
    # No document: the thing is out of the visitor's sight now.
    changed = visit.api.patch(path, {f"/meta/flags/{name}": value}).data or {"meta": {}}
    can = changed["meta"].get("permissions") or {}
    return bool(can.get("moderator") and can.get("update"))


def _undo(visit: Visit, kinds: str, item: int) -> None:
    """Undo the latest moderators' action on the thing with the id `item`, which has to be one of the visitor's own, of
    the kind in the field `of`, a key of DEEDS; nothing happens if it is undone already. `kinds`: plural of the thing's
    type. Raises Refused with 400 for another `of`, Failure with 409 if the latest action is another, or the thing was
    changed since.
    """
    of = visit.field("of")
    if of not in DEEDS:
        raise Refused(400)
    asked = {"itemType": kinds.removesuffix("s"), "itemId": item, "limit": 5}
    latest = visit.api.get("/actions", **asked)["actions"]["items"]
    by = latest[0]["createdBy"] if latest else None
    if not by or by["id"] != visit.member()["id"] or latest[0]["kind"] != _KINDS.get(of, of):
        raise Failure(409)
    if latest[0]["state"] != "undone":
        undone = visit.api.post(f"/actions/{latest[0]['id']}/undo").data
        if undone["counts"]["conflict"]:
            raise Failure(409)


def said(visit: Visit, address: str, do: str, undo: str = "") -> str:
    """Return `address`, a path with or without a query, so that its page says that `do`, a key of DEEDS, "move",
    "dismiss" or "undo", was done; with a button that undoes the action if `undo` is the path of the thing, such as
    `/comments/7`.
    """
    undoing = f"&undo={visit.undoing(do, undo)}" if undo else ""
    return f"{address}{'&' if '?' in address else '?'}done={do}{undoing}"


def _led_back(visit: Visit, do: str, path: str, place: str, *, is_undoable: bool) -> Answer:
    """Lead to the page of the queue that the form names in its field `next`; else for a comment, and after the actions
    "delete", "hide" and "restore" and their undo, to the thing's page of actions, or, if the thing is gone for the
    visitor, to its microcosm (to the front page if `place` is no id); else to the thing. The page says what was done.

    `do`: the action; `path`: the thing's, without a slash at the end; `place`: its microcosm's id, as the form sent it;
    `is_undoable`: the page offers to undo the action.
    """
    undo = path if is_undoable else ""
    back = visit.field("next")
    if back.startswith("/moderation/") and is_own_path(back):
        return visit.redirect(said(visit, back, do, undo))
    did = visit.field("of") if do == "undo" else do
    if did in ("delete", "hide", "restore") or path.startswith("/comments/"):
        try:
            visit.api.get(path, limit=5)
        except Failure as gone:
            if gone.status not in (403, 404):
                raise
            # Who may delete here without being a moderator sees the thing no more.
            is_id = typed_number(place) is not None
            return visit.redirect(said(visit, f"/microcosms/{place}/" if is_id else "/", do))
        return visit.redirect(said(visit, f"{path}/moderate/", do, undo))
    return visit.redirect(said(visit, f"{path}/", do, undo))


def _places(visit: Visit, kinds: str, here: int) -> list[dict[str, Any]]:
    """Return, in the tree's order, the microcosms in which the visitor may create items of the type `kinds` (a plural),
    and the one with the id `here`, which the item is in.
    """
    tree = visit.api.get("/microcosms/tree")
    allowed = creatable(visit, [one["id"] for one in tree], kinds.removesuffix("s"))
    return [one for one in tree if one["id"] in allowed or one["id"] == here]


def creatable(visit: Visit, ids: Sequence[int], kind: str) -> set[int]:
    """Return those of `ids`, ids of microcosms, in which the visitor may create things of the type `kind`, such as
    `conversation` or `microcosm`. Raises Failure if the API refuses to say.
    """
    found: set[int] = set()
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        asked = [{"itemType": kind, "microcosmId": id} for id in part]
        judged = visit.api.call("POST", "/permission/batch", asked).data
        found.update(id for id, can in zip(part, judged, strict=True) if can["create"])
    return found
