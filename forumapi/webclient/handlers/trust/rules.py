"""Pages of the rules of moderation, for the owner of the site: list, form with its dry run, and the page of a rule."""

from __future__ import annotations

import json
from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.people.roles import COLUMNS, PREDICATES, criterion_body
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.handlers.trust import keyset_lists
from forumapi.webclient.handlers.trust.checks import number, site_roles
from forumapi.webclient.template_environment import plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

REPORTED: Final = ("comment.reported", "item.reported")
EVENTS: Final = (
    "comment.created",
    "comment.edited",
    "item.created",
    "item.edited",
    *REPORTED,
    "profile.joined",
)
ACTIONS: Final = (
    "hold",
    "hide",
    "show",
    "delete",
    "restore",
    "lock",
    "unlock",
    "pin",
    "unpin",
    "move",
    "warn",
    "silence",
    "ban",
)
SHADOW: Final = "shadow"
MODES: Final = (SHADOW, "active")
# Fields of each criterion; those of the criterion in the first row end with 1.
_CRITERION: Final = ("column", "key", "predicate", "value", "group")
_MOST_CRITERIA: Final = 50
_ROLES: Final = ("roleIds", "notRoleIds", "reporterRoleIds")
_TEXTS: Final = ("title", "reason", "rule")
_REFUSALS: Final = (*FORM_REFUSALS, 404)
_NEW: Final[dict[str, Any]] = {
    "title": "",
    "event": EVENTS[0],
    "roleIds": [],
    "notRoleIds": [],
    "reporterRoleIds": [],
    "criteria": [],
    "microcosmIds": [],
    "minLength": 0,
    "maxLength": 0,
    "action": ACTIONS[0],
    "ground": "terms",
    "category": "",
    "rule": "",
    "reason": "",
    "mode": SHADOW,
}


class RulesView(View):
    """List of the site's rules: what each waits for and does, its state and version, and how often it acted."""

    def get(self, visit: Visit) -> Answer:
        """List the site's rules of moderation, oldest first. Raises Refused for members who do not own the site,
        SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return visit.page("admin_rules.html", rules=visit.api.get("/rules")["rules"]["items"])


class RuleFormView(View):
    """Form of a rule. Sending the form makes a dry run; the rule is saved when the list of what it fits is
    confirmed.
    """

    def get(self, visit: Visit, rule: int = 0) -> Answer:
        """Show the form, filled with the rule with the id `rule`, or empty for 0, a new rule. Raises Refused for
        members who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes, Failure for an
        unknown rule.
        """
        owner(visit)
        return self.show(visit, rule, _terms(visit.api.get(f"/rules/{rule}")) if rule else _NEW)

    def post(self, visit: Visit, rule: int = 0) -> Answer:
        """Show the form with what its rule would have fitted; with `do` = "save" save the rule and lead to it, unless
        the form is another than at the dry run, which is made anew then. A refusal whose status is in FORM_REFUSALS
        (400, 403 and others), and 404 of saving, show the form again with that status. `rule`: id of the rule that is
        changed, 0 for a new one. Raises Refused for members who do not own the site, SignInFirst for guests and for a
        sign-in older than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        typed = _typed(visit)
        if visit.field("do") != "save" or visit.field("tried") != _encoded(typed):
            return self.tried(visit, rule, typed)
        ticket = {"ticket": visit.field("ticket")}
        try:
            if rule:
                visit.api.put(f"/rules/{rule}", ticket, key=visit.field("key"))
            else:
                rule = visit.api.post("/rules", ticket, key=visit.field("key")).data["id"]
        except Failure as failure:
            if failure.status not in _REFUSALS:
                raise
            return self.show(visit, rule, typed, failure=failure)
        return visit.redirect(f"/admin/rules/{rule}/?saved=1")

    def tried(self, visit: Visit, rule: int, typed: dict[str, Any]) -> Answer:
        """Let the API make a dry run of the rule in the form, `typed`, as the API takes it, and show the form with the
        outcome, or the API's refusal if its status is in FORM_REFUSALS (400, 403 and others); raises Failure for any
        other. `rule`: id of the rule that is changed, 0 for a new one.
        """
        body = {**typed, "ruleId": rule} if rule else typed
        try:
            found = visit.api.call("POST", "/rules/dry-run", body).data
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self.show(visit, rule, typed, failure=failure)
        return self.show(visit, rule, typed, found=found)

    @staticmethod
    def show(
        visit: Visit,
        rule: int,
        typed: dict[str, Any],
        *,
        found: dict[str, Any] | None = None,
        failure: Failure | None = None,
    ) -> Answer:
        """Show the form. `rule`: id of the rule that is changed, 0 for a new one; `typed`: rule in the form, as the API
        takes it; `found`: outcome of the rule's dry run, None without one; `failure`: refusal of the API, whose status
        the page has, None without one (200).
        """
        rows = typed["criteria"]
        empty: list[dict[str, Any]] = [{} for _ in range(min(2, _MOST_CRITERIA - len(rows)))]
        return visit.page(
            "admin_rule_form.html",
            status=failure.status if failure else 200,
            rule=rule,
            typed=typed,
            tried=_encoded(typed),
            found=found,
            failure=failure,
            rows=[*rows, *empty],
            columns=COLUMNS,
            predicates=PREDICATES,
            events=EVENTS,
            actions=ACTIONS,
            modes=MODES,
            places=visit.api.get("/microcosms/tree"),
            roles=site_roles(visit, [id for name in _ROLES for id in typed.get(name, ())]),
        )


class RuleView(View):
    """Page of a rule: its terms, its state, what it fitted, its versions, and buttons that switch or delete it."""

    def get(self, visit: Visit, rule: int) -> Answer:
        """Show the rule with the id `rule`, with its newest versions, and a page of what it fitted, newest first; the
        query parameter `before`, a key that an earlier page gave, chooses the page. Raises Refused for members who do
        not own the site, SignInFirst for guests and for a sign-in older than 30 minutes, Failure for an unknown rule.
        """
        owner(visit)
        found = visit.api.get(f"/rules/{rule}")
        return visit.page(
            "admin_rule.html",
            rule=found,
            hits=keyset_lists.read(visit, f"/rules/{rule}/hits", "hits"),
            versions=visit.api.get(f"/rules/{rule}/versions")["versions"]["items"],
            roles={one["id"]: one["title"] for one in site_roles(visit, [])},
            places={one["id"]: one["title"] for one in visit.api.get("/microcosms/tree")},
            is_saved="saved" in visit.query,
        )

    def post(self, visit: Visit, rule: int) -> Answer:
        """With `do` = "off" switch the rule with the id `rule` off and lead to its page, with "delete" delete it and
        lead to the list; with "shadow" or "active" show the dry run of the rule in that mode, whose confirmation
        switches it on, or the refusal of that dry run as `RuleFormView.tried` does; another `do` raises Refused with
        400. Raises Refused with 403 for members who do not own the site, SignInFirst for guests and for a sign-in older
        than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        do = visit.field("do")
        if do == "delete":
            visit.api.delete(f"/rules/{rule}")
            return visit.redirect("/admin/rules/")
        if do == "off":
            visit.api.put(f"/rules/{rule}", {"mode": "off"})
            return visit.redirect(f"/admin/rules/{rule}/?saved=1")
        if do not in MODES:
            raise Refused(400)
        typed = _terms(visit.api.get(f"/rules/{rule}")) | {"mode": do}
        return RuleFormView().tried(visit, rule, typed)


def _terms(found: dict[str, Any]) -> dict[str, Any]:
    """Return the body that the API takes for a dry run of the rule `found`, which is as the API shows it: its terms
    (event, criteria, action, texts and all else that is typed into the form) and its mode; a mode other than "shadow"
    and "active" becomes "shadow".
    """
    names = (*_NEW, "toMicrocosmId", "restrictDays", "hasLink", "minReports")
    terms = {name: found[name] for name in names if name in found}
    terms |= {name: str(plain(found[name])) for name in _TEXTS}
    terms["mode"] = found["mode"] if found["mode"] in MODES else SHADOW
    terms["criteria"] = [
        one | {"predicate": "ne"} if one["predicate"] == "neq" else one for one in found["criteria"]
    ]
    return terms


def _typed(visit: Visit) -> dict[str, Any]:
    """Return the API's body of the rule in the form's fields. Rows of criteria without a value are left out; a number
    that can't be read is -1, which the API refuses.
    """
    body: dict[str, Any] = {name: visit.field(name) for name in ("title", "reason", "category")}
    body |= {
        "rule": visit.field("rule"),
        "event": visit.field("event"),
        "action": visit.field("action"),
        "mode": visit.field("mode"),
        "ground": "illegal" if visit.field("illegal") else "terms",
        "minLength": number(visit.field("minLength")),
        "maxLength": number(visit.field("maxLength")),
        "criteria": [],
    }
    for name in ("roleIds", "notRoleIds", "microcosmIds"):
        sent = visit.form.getlist(name) if visit.form is not None else []
        body[name] = sorted({number(one) for one in sent})
    if visit.field("hasLink") in ("yes", "no"):
        body["hasLink"] = visit.field("hasLink") == "yes"
    if body["event"] in REPORTED:
        sent = visit.form.getlist("reporterRoleIds") if visit.form is not None else []
        body["reporterRoleIds"] = sorted({number(one) for one in sent})
        body["minReports"] = number(visit.field("minReports"))
    if body["action"] == "move":
        body["toMicrocosmId"] = number(visit.field("toMicrocosmId"))
    if body["action"] in ("silence", "ban"):
        body["restrictDays"] = number(visit.field("restrictDays"))
    for row in range(1, _MOST_CRITERIA + 1):
        typed = {name: visit.field(f"{name}{row}") for name in _CRITERION}
        if typed["value"].strip():
            body["criteria"].append(criterion_body(typed))
    return body


def _encoded(typed: dict[str, Any]) -> str:
    """Return a text that is the same for the same rule, to tell if the form was changed after the dry run. `typed`: the
    rule in the form, as the API takes it.
    """
    return json.dumps(typed, sort_keys=True, ensure_ascii=False)
