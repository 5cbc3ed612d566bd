"""Form of the checks of what people write, for the owner of the site."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

# Fields with a number, whose empty field is `off`.
NUMBERS: Final = ("firstPosts", "perHour", "sameText")
_RATE: Final = "rate"


class ChecksView(View):
    """Form of the site's checks: of the first things that somebody writes, links, domains, rates by role, repeated
    texts, and by services.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the form with the stored checks. Raises Refused for members who do not own the site, SignInFirst for
        guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit, visit.api.get("/site/checks"))

    def post(self, visit: Visit) -> Answer:
        """Store the sent checks and lead to the form; a refusal whose status is in FORM_REFUSALS (400, 403 and others)
        shows the form as it was filled in, with that status. With `do` = "off" turn all checks off instead and lead to
        the form. Raises Refused for members who do not own the site, SignInFirst for guests and for a sign-in older
        than 30 minutes, Failure for other refusals, and for every refusal to turn the checks off.
        """
        owner(visit)
        if visit.field("do") == "off":
            visit.api.delete("/site/checks")
            return visit.redirect(f"{visit.path}?saved=1")
        body = _typed(visit)
        try:
            visit.api.put("/site/checks", body)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, body, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(self, visit: Visit, checks: dict[str, Any], failure: Failure | None = None) -> Answer:
        return visit.page(
            "admin_checks.html",
            status=failure.status if failure else 200,
            checks=checks,
            rates={one["roleId"]: one["perHour"] for one in checks["rates"]},
            roles=site_roles(visit, [one["roleId"] for one in checks["rates"]]),
            failure=failure,
            is_saved="saved" in visit.query and failure is None,
        )


def site_roles(visit: Visit, others: list[int]) -> list[dict[str, Any]]:
    """Return `id` and `title` of the site's default roles, 250 at most, then of the roles with the ids `others`, as far
    as they are not among the former, by id and with the title "". Roles of single microcosms come in by `others` alone,
    and so do all while the root microcosm, which has the default roles, is deleted.
    """
    roles = []
    if tree := visit.api.get("/microcosms/tree"):
        found = visit.api.get(f"/microcosms/{tree[0]['id']}/roles", limit=250)["roles"]["items"]
        roles = [{"id": one["id"], "title": one["title"]} for one in found]
    known = {one["id"] for one in roles}
    return roles + [{"id": id, "title": ""} for id in sorted({*others} - known)]


def number(text: str) -> int:
    """Return the number in a text, 0 for an empty one, and -1, which the API refuses, for anything else and for more
    than 9 digits.
    """
    return typed_number(text.strip() or "0", -1, most_digits=9)


def _typed(visit: Visit) -> dict[str, Any]:
    """Return the API's body of the checks, from the form's fields. `akismetKey` is absent from it, and so stays as it
    is stored, unless the form has a new key or the box `forgetKey`, which deletes the stored one.
    """
    names: list[str] = list(visit.form or ())
    body: dict[str, Any] = {name: number(visit.field(name)) for name in NUMBERS}
    links = visit.field("maxLinks")
    body["maxLinks"] = number(links) if links.strip() else None
    body["domains"] = visit.field("domains").split()
    body["rates"] = [
        {"roleId": number(name.removeprefix(_RATE)), "perHour": number(visit.field(name))}
        for name in names
        if name.startswith(_RATE) and visit.field(name).strip()
    ]
    body["stopForumSpam"] = bool(visit.field("stopForumSpam"))
    body["beforeShown"] = bool(visit.field("beforeShown"))
    body["onFailure"] = visit.field("onFailure", "pass")
    if visit.field("forgetKey"):
        body["akismetKey"] = ""
    elif key := visit.field("akismetKey").strip():
        body["akismetKey"] = key
    return body
