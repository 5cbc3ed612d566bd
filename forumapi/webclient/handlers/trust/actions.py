"""Pages of moderators' actions: the form with its dry run, what an action changed, its progress and its undo."""

from __future__ import annotations

import re
from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.microcosms.moderation import BATCH
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.handlers.trust.cases import history
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Actions on what people wrote, and on people.
ON_THINGS: Final = (
    "hide",
    "show",
    "delete",
    "restore",
    "lock",
    "unlock",
    "pin",
    "unpin",
    "move",
)
# Actions that move comments: into another conversation, or off into a new one.
COMBINING: Final = ("merge", "split")
ON_PEOPLE: Final = ("warn", "silence", "ban")
# Final: for the owner of the site alone, because of a law.
REDACT: Final = "redact"
KIND: Final = f"any({', '.join((*ON_THINGS, *COMBINING, *ON_PEOPLE, REDACT))})"
# What somebody typed or pasted: addresses of pages here, or a type and a number.
_NAMED: Final = re.compile(r"\b(comment|conversation|event|poll|profile)s?[/ ]+(\d{1,18})\b", re.I)
_NUMBER: Final = re.compile(r"\d{1,18}")
_FIELDS: Final = (
    "what",
    "things",
    "into",
    "title",
    "by",
    "since",
    "within",
    "place",
    "ends",
    "reason",
    "illegal",
    "category",
    "rule",
    "note",
    "case",
)


class ActionsView(View):
    """List of moderators' actions in the microcosms that the member moderates."""

    def get(self, visit: Visit) -> Answer:
        """List a page of the actions, newest first, without plans that were not confirmed; with the query parameter
        `before`, a key that an earlier page gave, the page behind that key. Raises SignInFirst for guests.
        """
        visit.member()
        return visit.page("actions.html", found=keyset_lists.read(visit, "/actions", "actions"))


class ActView(View):
    """Form of an action, whose kind is `do`. Sending the form makes a dry run; the action is taken when the list of
    what it would change is confirmed.
    """

    def get(self, visit: Visit, do: str) -> Answer:
        """Show the form of the kind of action `do`, such as "hide", filled from the query parameters `things`, `into`,
        `by` (author), `within` (microcosm) and `case`; for "split" with the comments of the item `on` to tick. Raises
        SignInFirst for guests, Refused with 403 for members who moderate no microcosm, and for "redact" for all members
        but the site's owner.
        """
        visit.member()
        typed = dict.fromkeys(_FIELDS, "")
        for name in ("things", "into", "by", "within", "case"):
            typed[name] = visit.query.get(name, "")
        typed["what"] = "all" if typed["by"] and not typed["things"] else "things"
        return self._show(visit, do, typed)

    def post(self, visit: Visit, do: str) -> Answer:
        """Let the API plan the action of the kind `do`, such as "hide", without taking it, and lead to the page of the
        plan, where it can be confirmed; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the form
        again with that status. Raises SignInFirst for guests, Failure for other refusals.
        """
        visit.member()
        typed = {name: visit.field(name) for name in _FIELDS}
        try:
            body = _body(do, typed, _picked(visit))
            made = visit.api.post("/actions", body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, do, typed, failure)
        return visit.redirect(f"/moderation/actions/{made.data['id']}/")

    @staticmethod
    def _show(
        visit: Visit, do: str, typed: dict[str, str], failure: Failure | None = None
    ) -> Answer:
        is_owner = bool(visit.site["meta"].get("permissions", {}).get("siteOwner"))
        places = moderated_places(visit)
        if (not places or (do == REDACT and not is_owner)) and failure is None:
            raise Refused(403)
        on_things: tuple[str, ...] = (*ON_THINGS, *COMBINING)
        if is_owner:
            on_things += (REDACT,)
        return visit.page(
            "act.html",
            status=failure.status if failure else 200,
            do=do,
            on_people=do in ON_PEOPLE,
            others=ON_PEOPLE if do in ON_PEOPLE else on_things,
            places=places,
            is_owner=is_owner,
            typed=typed,
            failure=failure,
            shown=_offered(visit) if do == "split" else None,
            picked=_picked(visit),
        )


class ActionView(View):
    """Page of an action: as a plan, what it would change; once confirmed, its progress, its changes, and its undo."""

    def get(self, visit: Visit, action: int) -> Answer:
        """Show the action with the id `action`. Raises SignInFirst for guests, Failure if the API does not show the
        action to the member.
        """
        visit.member()
        return self._show(visit, action)

    def post(self, visit: Visit, action: int) -> Answer:
        """With `do` = "confirm" take the planned action with the id `action`, with "undo" undo it, and lead back to its
        page; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the page with the refusal's reason.
        Raises SignInFirst for guests, Refused with 400 for another `do`, Failure for other refusals, and for any if the
        API does not show the action to the member.
        """
        visit.member()
        try:
            if visit.field("do") == "confirm":
                visit.api.post("/actions", {"ticket": str(action)}, key=visit.field("key"))
            elif visit.field("do") == "undo":
                visit.api.post(f"/actions/{action}/undo")
            else:
                raise Refused(400)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, action, failure)
        return visit.redirect(f"/moderation/actions/{action}/")

    @staticmethod
    def _show(visit: Visit, action: int, failure: Failure | None = None) -> Answer:
        return visit.page(
            "action.html",
            status=failure.status if failure else 200,
            action=visit.api.get(f"/actions/{action}"),
            failure=failure,
        )


class ModeratePersonView(View):
    """Page of a profile for moderators: earlier actions on the person, and links to actions that can be taken."""

    def get(self, visit: Visit, profile: int) -> Answer:
        """Show the page of the profile with the id `profile`. Raises SignInFirst for guests, Refused with 403 for
        members who moderate nothing, Failure for an unknown profile.
        """
        me = visit.member()
        if not me["meta"]["flags"].get("moderates"):
            raise Refused(403)
        found = visit.api.get(f"/profiles/{profile}")
        return visit.page(
            "moderate_person.html", person=found, earlier=history(visit, "profile", profile)
        )


def _picked(visit: Visit) -> list[str]:
    """Return the ids, as texts, of the comments that are ticked in the sent form; anything but 1 to 18 digits is left
    out. [] without a form.
    """
    sent = visit.form.getlist("pick") if visit.form is not None else []
    return [one for one in sent if _NUMBER.fullmatch(one)]


def _offered(visit: Visit) -> dict[str, Any] | None:
    """Return the conversation, event or poll that the query or the form names as `on`, with a page of its comments to
    tick: `kind` (its type), `item` (as the API shows it) and `offset`; None if `on` is the address of none of these.
    Raises Failure if the API refuses to show the item, with status 404 for an unknown one.
    """
    named = _NAMED.search(visit.query.get("on", "") or visit.field("on"))
    if named is None or named[1].lower() not in ("conversation", "event", "poll"):
        return None
    kind, offset = named[1].lower(), visit.query.get("offset") or visit.field("offset")
    item = visit.api.get(f"/{kind}s/{named[2]}", offset=offset)
    return {"kind": kind, "item": item, "offset": offset}


def _body(do: str, typed: dict[str, str], picked: list[str]) -> dict[str, Any]:
    """Return the API's body for a dry run of the action `do`. `typed`: the form's fields by name; `picked`: ids, as
    texts, of the comments that were ticked. Ids and addresses that can't be read are left out, but an author (`by`) is
    sent as 0: the API refuses an action on nothing.
    """
    body: dict[str, Any] = {
        "kind": do,
        "dryRun": True,
        "reason": typed["reason"],
        "note": typed["note"],
        "ground": "illegal" if typed["illegal"] or do == REDACT else "terms",
        "category": typed["category"],
        "rule": typed["rule"],
    }
    if (case := typed_number(typed["case"])) is not None:
        body["caseId"] = case
    if do == "split":
        body["title"] = typed["title"]
    if do == "merge" and (into := _NAMED.search(typed["into"])):
        body["into"] = {"itemType": into[1].lower(), "itemId": int(into[2])}
    if do in (*ON_PEOPLE, "move", "split") and _NUMBER.fullmatch(typed["place"]):
        body["microcosmId"] = int(typed["place"])
    if typed["ends"] and do in ("silence", "ban"):
        body["ends"] = _instant(typed["ends"])
    if typed["what"] == "all" and do in (*ON_THINGS, REDACT):
        by = _NUMBER.search(typed["by"])
        body["query"] = {"createdBy": int(by[0]) if by else 0}
        if typed["since"]:
            body["query"]["since"] = _instant(typed["since"])
        if _NUMBER.fullmatch(typed["within"]):
            body["query"]["microcosmId"] = int(typed["within"])
    else:
        body["targets"] = [
            {"itemType": kind.lower(), "itemId": int(number)}
            for kind, number in _NAMED.findall(typed["things"])
        ] + [{"itemType": "comment", "itemId": int(one)} for one in picked]
    return body


def _instant(text: str) -> str:
    """Return the value of a field `datetime-local`, taken as UTC, in RFC 3339; a text of another length than such a
    value unchanged.
    """
    return f"{text}:00Z" if len(text) == len("2027-01-31T18:00") else text


def moderated_places(visit: Visit) -> list[dict[str, Any]]:
    """Return the microcosms that the visitor moderates, in the order of the tree. Raises Failure if the API refuses the
    tree.
    """
    tree = visit.api.get("/microcosms/tree")
    found = []
    for start in range(0, len(tree), BATCH):
        part = tree[start : start + BATCH]
        asked = [{"itemType": "microcosm", "itemId": one["id"]} for one in part]
        judged = visit.api.call("POST", "/permission/batch", asked).data
        found += [
            one
            for one, can in zip(part, judged, strict=True)
            if can["moderator"] and can["read"] and can["update"]
        ]
    return found
