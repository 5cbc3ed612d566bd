"""Pages of a microcosm's roles: their rights, criteria and members, and the forms that change them."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import edit_reason
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.template_environment import plain
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

FLAGS: Final = (
    "read",
    "create",
    "update",
    "delete",
    "closeOwn",
    "openOwn",
    "readOthers",
    "moderator",
    "banned",
    "includeGuests",
    "includeUsers",
)
COLUMNS: Final = (
    "commentCount",
    "itemCount",
    "created",
    "profileName",
    "email",
    "gender",
    "isBanned",
    "id",
    "attribute",
)
PREDICATES: Final = ("ge", "gt", "le", "lt", "eq", "ne", "substr", "nsubstr")
CRITERION: Final = ("criterion", "column", "key", "predicate", "value", "group")
# Columns whose values are texts, also where they look like numbers.
_TEXTS: Final = ("profileName", "email", "gender")
_WORDS: Final = {"true": True, "yes": True, "false": False, "no": False}


class RolesView(View):
    """Page of the roles that apply to a microcosm, its own and inherited ones, with the form for a new one."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """List the roles that apply to the microcosm with the id `microcosm`, its own and inherited ones, 250 at most:
        those of moderators first, those of banned people last, otherwise by title. Raises Failure for visitors to whom
        the API does not show these roles.
        """
        return self._show(visit, microcosm, {"read": "1"})

    def post(self, visit: Visit, microcosm: int) -> Answer:
        """Create a role of the microcosm with the id `microcosm` and lead to the role; a refusal whose status is in
        FORM_REFUSALS (400, 403 and others) shows the form again with that status. Raises SignInFirst for guests and for
        a sign-in older than 30 minutes, Failure for other refusals, and for any if the API does not show the member the
        microcosm's roles.
        """
        visit.fresh_member()
        typed = _typed_role(visit)
        body = {"title": typed["title"], **{name: bool(typed.get(name)) for name in FLAGS}}
        try:
            made = visit.api.post(
                f"/microcosms/{microcosm}/roles", body, key=visit.field("key")
            ).data
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, microcosm, typed, failure)
        return visit.redirect(f"/microcosms/{microcosm}/roles/{made['id']}/")

    def _show(
        self,
        visit: Visit,
        microcosm: int,
        typed: dict[str, str],
        failure: Failure | None = None,
    ) -> Answer:
        place = visit.api.get(f"/microcosms/{microcosm}", limit=5)
        found = visit.api.get(f"/microcosms/{microcosm}/roles", limit=250)
        return visit.page(
            "place_roles.html",
            status=failure.status if failure else 200,
            place=place,
            roles=found["roles"]["items"],
            is_inherited=found.get("defaultRoles", False),
            flags=FLAGS,
            typed=typed,
            failure=failure,
        )


class OwnRolesView(View):
    """Redirect to the page of the site's default roles, which are the root microcosm's; for the owner of the site."""

    def get(self, visit: Visit) -> Answer:
        """Redirect to the page of the root microcosm's roles. Raises Refused for members who do not own the site, and
        with 404 while the root microcosm is deleted; SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        tree = visit.api.get("/microcosms/tree")
        if not tree:
            raise Refused(404)
        return visit.redirect(f"/microcosms/{tree[0]['id']}/roles/")


class RoleView(View):
    """Page of a role: rights, criteria, the people named in it, and all its members with the reason for each."""

    def get(self, visit: Visit, microcosm: int, role: int) -> Answer:
        """Show the role with the id `role`, of the microcosm with the id `microcosm`, with 100 of its criteria and 100
        of the people named in it at most, and its members from the query's `offset` on. Raises SignInFirst for guests
        and for a sign-in older than 30 minutes, Failure if the API does not show the role to the member.
        """
        visit.fresh_member()
        return self.show(visit, microcosm, role)

    def post(self, visit: Visit, microcosm: int, role: int) -> Answer:
        """Store title and rights of the role with the id `role`, of the microcosm with the id `microcosm`, and lead
        back to the role; with `do` = "delete" delete the role and lead to the microcosm's roles. For title and rights,
        a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the page again with that status. Raises
        SignInFirst for guests and for a sign-in older than 30 minutes, Failure for other refusals, and for any if the
        API does not show the role to the member.
        """
        visit.fresh_member()
        path = f"/microcosms/{microcosm}/roles/{role}"
        if visit.field("do") == "delete":
            visit.api.delete(path)
            return visit.redirect(f"/microcosms/{microcosm}/roles/")
        typed = _typed_role(visit)
        body: dict[str, Any] = {name: bool(typed.get(name)) for name in FLAGS}
        body |= {"title": typed["title"], "meta": {"editReason": edit_reason(visit)}}
        try:
            visit.api.put(path, body, key=visit.field("key"), match=visit.field("match"))
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self.show(visit, microcosm, role, failure=failure, typed=typed)
        return visit.redirect(f"{path}/")

    def show(
        self,
        visit: Visit,
        microcosm: int,
        role: int,
        *,
        failure: Failure | None = None,
        typed: dict[str, str] | None = None,
        sought: str = "",
        hits: list[dict[str, Any]] | None = None,
    ) -> Answer:
        """Show the page of the role with the id `role`, of the microcosm with the id `microcosm`. `failure`: the API's
        refusal of a form on the page, whose status the page has, None without one (200); `typed`: title and rights that
        were sent, None for the stored ones.

        `sought`: name of a person to be added, "" for none; `hits`: the profiles that the name may mean, as the API
        shows them, None before a search. Raises Failure if the API does not show the role to the visitor.
        """
        path = f"/microcosms/{microcosm}/roles/{role}"
        found = visit.api.document(path)
        criteria = visit.api.get(f"{path}/criteria", limit=100)
        named = visit.api.get(f"{path}/profiles", limit=100)
        members = visit.api.get(f"{path}/members", explain="true", offset=visit.query.get("offset"))
        if typed is None:
            typed = {name: "1" for name in FLAGS if found.data[name]}
            typed["title"] = found.data["title"]
        return visit.page(
            "role.html",
            status=failure.status if failure else 200,
            role=found.data,
            match=found.etag,
            path=f"{path}/",
            criteria=criteria["criteria"]["items"],
            named=named["profiles"],
            members=members["profiles"],
            reasons={one["profileId"]: one for one in members["reasons"]},
            flags=FLAGS,
            typed=typed,
            failure=failure,
            sought=sought,
            hits=hits,
        )


class RoleMembersView(View):
    """Naming of people in a role and their removal, by forms on the role's page."""

    def post(self, visit: Visit, microcosm: int, role: int) -> Answer:
        """Name the profile whose id is the field `profile`, or whose name is the field `name`, in the role with the id
        `role`, of the microcosm with the id `microcosm`; with `do` = "take off" undo the naming of `profile`; then lead
        back to the role. `name` counts only if `profile` is empty: if no profile has exactly this name, in any letter
        case, show the role's page with profiles whose names begin so, 5 at most. A refusal whose status is in
        FORM_REFUSALS (400, 403 and others) shows the page with its reason. Raises SignInFirst for guests and for a
        sign-in older than 30 minutes, Refused with 400 for a `profile` that is no number, Failure for other refusals,
        and for any if the API does not show the role to the member.
        """
        visit.fresh_member()
        path = f"/microcosms/{microcosm}/roles/{role}"
        chosen, name = visit.field("profile"), visit.field("name").strip()
        try:
            if visit.field("do") == "take off":
                visit.api.delete(f"{path}/profiles", [{"id": _number(chosen)}])
            elif chosen:
                visit.api.put(f"{path}/profiles/{_number(chosen)}")
            else:
                hits = visit.api.get("/profiles", q=name, limit=5)["profiles"]["items"]
                names = [plain(one["profileName"]).casefold() for one in hits[:1]]
                if names != [name.casefold()]:
                    return RoleView().show(visit, microcosm, role, sought=name, hits=hits)
                visit.api.put(f"{path}/profiles/{hits[0]['id']}")
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return RoleView().show(visit, microcosm, role, failure=failure)
        return visit.redirect(f"{path}/#named")


class CriteriaView(View):
    """Form of one criterion of a role, which shows the effect before the criterion is saved: who comes in, who goes
    out.
    """

    def get(self, visit: Visit, microcosm: int, role: int) -> Answer:
        """Show the form, filled with the criterion whose id is the query parameter `criterion`, or empty without that.
        `microcosm`, `role`: ids of the role's microcosm and of the role. Raises SignInFirst for guests and for a
        sign-in older than 30 minutes, Refused with 400 for a `criterion` that is no number, Failure if the API does not
        show criterion or role.
        """
        visit.fresh_member()
        typed = {"column": "commentCount", "predicate": "ge", "group": "1"}
        wanted = visit.query.get("criterion", "")
        if wanted:
            path = f"/microcosms/{microcosm}/roles/{role}/criteria/{_number(wanted)}"
            typed = _criterion_typed(visit.api.get(path))
        return self._show(visit, microcosm, role, typed)

    def post(self, visit: Visit, microcosm: int, role: int) -> Answer:
        """With `do` = "save" store the criterion of the form for the role with the id `role`, of the microcosm with the
        id `microcosm`, in place of the one whose id is the field `criterion`, or as a new one without that field; with
        "remove" delete that one; then lead to the role. Any other `do` shows the form with the effect that it would
        have. A refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the form again with that status.
        Raises SignInFirst for guests and for a sign-in older than 30 minutes, Refused with 400 for a `criterion` that
        is no number, and for "remove" without one, Failure for other refusals, and for any if the API does not show the
        role to the member.
        """
        visit.fresh_member()
        path = f"/microcosms/{microcosm}/roles/{role}/criteria"
        do, typed = visit.field("do"), {name: visit.field(name) for name in CRITERION}
        one = f"{path}/{_number(typed['criterion'])}" if typed["criterion"] else ""
        try:
            if do == "remove":
                visit.api.delete(f"{path}/{_number(typed['criterion'])}")
            elif do == "save" and one:
                visit.api.put(one, criterion_body(typed), key=visit.field("key"))
            elif do == "save":
                visit.api.post(path, criterion_body(typed), key=visit.field("key"))
            else:
                method = "PUT" if one else "POST"
                asked = {"dryRun": "true"}
                found = visit.api.call(method, one or path, criterion_body(typed), query=asked)
                return self._show(visit, microcosm, role, typed, effect=found.data)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, microcosm, role, typed, failure=failure)
        return visit.redirect(f"/microcosms/{microcosm}/roles/{role}/#criteria")

    def _show(
        self,
        visit: Visit,
        microcosm: int,
        role: int,
        typed: dict[str, str],
        *,
        effect: dict[str, Any] | None = None,
        failure: Failure | None = None,
    ) -> Answer:
        found = visit.api.get(f"/microcosms/{microcosm}/roles/{role}")
        is_owner = found["meta"]["permissions"]["siteOwner"]
        return visit.page(
            "criterion.html",
            status=failure.status if failure else 200,
            role=found,
            path=f"/microcosms/{microcosm}/roles/{role}/",
            columns=[one for one in COLUMNS if is_owner or one != "email"],
            predicates=PREDICATES,
            typed=typed,
            effect=effect,
            failure=failure,
        )


def _number(text: str) -> int:
    """Return the number that `text` is. Raises Refused with 400 unless `text` is 1 to 18 digits."""
    number = typed_number(text)
    if number is None:
        raise Refused(400)
    return number


def _typed_role(visit: Visit) -> dict[str, str]:
    return {name: visit.field(name) for name in ("title", *FLAGS)}


def criterion_body(typed: dict[str, str]) -> dict[str, Any]:
    """Return the API's body of the criterion in `typed`, the form's fields by name (those of CRITERION): a value that
    looks like a number or a truth value (true, yes, false, no) is sent as one, except for the columns in _TEXTS, such
    as `email`; a `group` that is no number is sent as 0. The API checks the body.
    """
    column, text = typed["column"], typed["value"].strip()
    value: Any = text
    if column not in _TEXTS:
        value = _WORDS.get(text.lower(), value)
        try:
            number = float(text)
        except ValueError:
            pass
        else:
            if number.is_integer() and abs(number) < 2**53:
                value = int(number)
            elif abs(number) < 2**53:
                value = number
    body = {
        "orGroup": typed_number(typed["group"], 0, most_digits=9),
        "predicate": typed["predicate"],
        "value": value,
    }
    if column == "attribute":
        return {**body, "attrKey": typed["key"].strip()}
    return {**body, "profileColumn": column}


def _criterion_typed(found: dict[str, Any]) -> dict[str, str]:
    value = found["value"]
    return {
        "criterion": str(found["id"]),
        "column": found.get("profileColumn") or "attribute",
        "key": found.get("attrKey", ""),
        "predicate": "ne" if found["predicate"] == "neq" else found["predicate"],
        "value": str(value).lower() if isinstance(value, bool) else str(value),
        "group": str(found["orGroup"]),
    }
