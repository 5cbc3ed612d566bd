"""Rules of moderation, for the site's owner: dry run, versions, record. Wire: docs/api/rules.md."""

from __future__ import annotations

from typing import Annotated, Final

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid, NotFound, known
from forumapi.handlers.content.item_base import check_place
from forumapi.handlers.people.criteria import CriterionBody
from forumapi.handlers.trust.reports import BEFORE, LIMIT
from forumapi.models.people import profile_summary
from forumapi.models.roles.criterion import Criterion
from forumapi.models.rules import matching, moderation_rule, rule_page
from forumapi.models.rules.definition import (
    ACTIONS,
    EVENTS,
    MODES,
    OFF,
    RESTRICTS,
    SHADOW,
    RuleDefinition,
)
from forumapi.models.rules.moderation_rule import (
    PATH,
    ModerationRule,
    RulePlan,
    has_members,
    missing_roles,
)
from forumapi.models.rules.rule_page import RuleHit, RuleVersion
from forumapi.models.trust import dsa_terms
from forumapi.models.trust.action import ActionGrounds
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.text import short_text_cleaning
from forumapi.wire.body import UNSET, Body, UnsetType, given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import rules as schemas

_MOST_TITLE: Final = 100
_MOST_TEXT: Final = 2_000
_MOST_RULE: Final = 500
_MOST_IDS: Final = 50
_MOST_DAYS: Final = 365
_MOST_REPORTS: Final = 100
# Members of the roles whose reports count: fewer would tell who reported.
_LEAST_REPORTERS: Final = 5
_MOST_LENGTH: Final = 1_000_000


class ModerationRuleBody(Body):
    """Rule as its owner sends it to a dry run. `ruleId`: the stored rule that this one is to replace; absent for a new
    rule. `mode`: `shadow` (the default), the rule only records what it fits, or `active`, it also acts.

    The rule acts on authors in one of `roleIds` and none of `notRoleIds` who meet `criteria`, and on things in or below
    `microcosmIds`; what is absent restricts nothing. `hasLink`: true, only texts with a link, false, only texts
    without; `minLength`, `maxLength`: characters of the text, 0 for no limit. `minReports`: number of people who must
    have reported the thing, of `reporterRoleIds` if these are sent; `restrictDays`: for how many days people are
    restricted; `toMicrocosmId`: microcosm that the rule moves things to. `ground`, `terms` (as when absent) or
    `illegal`, `category` of the Digital Services Act, `rule` and `reason`: the reasons that authors are told.
    """

    ruleId: int | UnsetType = UNSET
    mode: Annotated[str, closed((OFF, *MODES))] | UnsetType = UNSET
    title: str | UnsetType = UNSET
    event: Annotated[str, closed(EVENTS)] | UnsetType = UNSET
    roleIds: list[int] | UnsetType = UNSET
    notRoleIds: list[int] | UnsetType = UNSET
    criteria: list[CriterionBody] | UnsetType = UNSET
    hasLink: bool | UnsetType = UNSET
    minLength: int | UnsetType = UNSET
    maxLength: int | UnsetType = UNSET
    microcosmIds: list[int] | UnsetType = UNSET
    action: Annotated[str, closed(ACTIONS)] | UnsetType = UNSET
    toMicrocosmId: int | UnsetType = UNSET
    restrictDays: int | UnsetType = UNSET
    minReports: int | UnsetType = UNSET
    reporterRoleIds: list[int] | UnsetType = UNSET
    ground: Annotated[str, closed(dsa_terms.GROUNDS)] | UnsetType = UNSET
    category: Annotated[str, closed(dsa_terms.CATEGORIES)] | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class ModerationRuleTicketBody(Body):
    """Ticket of a dry run, which saves the rule that was tried; or, for PUT, `mode` with the value `off`, which
    switches the rule off and leaves a ticket unused.
    """

    ticket: str | UnsetType = UNSET
    mode: Annotated[str, closed((OFF, *MODES))] | UnsetType = UNSET


class ModerationRulesHandler(Handler):
    """Rules of the site, for its owner: actions taken automatically when somebody writes, edits, reports or joins."""

    @needs(OWNER, answer=schemas.ModerationRules)
    def get(self, ctx: Context) -> Result:
        """All rules of the site, the oldest first, on one page, with the numbers of things that they acted on, and that
        they only recorded, in the last 30 days.
        """
        found = ModerationRule.all(ctx.reader, ctx.site.id)
        me = ctx.identity.profile_id
        counted = rule_page.counts(ctx.reader, ctx.site.id, me, [rule.id for rule in found])
        documents = [rule_page.document(rule, counted) for rule in found]
        return Data(ctx.keyset_listed("rules", documents, 0))

    @needs(OWNER, body=ModerationRuleTicketBody, status=302)
    def post(self, ctx: Context, sent: ModerationRuleTicketBody) -> Result:
        """Save the new rule of a dry run, by its ticket; 400 for the ticket of a change to a stored rule, and beyond
        the 50 rules of a site, 404 for a ticket that is used, too old or another person's.

        Answers 302 to the rule.
        """
        _touch(ctx)
        plan = _plan(ctx, sent, 0)
        id = ModerationRule.insert(ctx.writer, ctx.site.id, ctx.identity.profile_id, plan)
        return Found(f"{PATH}/{id}")


class ModerationRuleDryRunHandler(Handler):
    """Dry runs of rules, for the site's owner: what a rule would have fitted, and a ticket to save it."""

    takes_idempotency_key = False

    @needs(OWNER, body=ModerationRuleBody, answer=schemas.ModerationRuleDryRun)
    def post(self, ctx: Context, sent: ModerationRuleBody) -> Result:
        """Try a rule on the last 30 days: on the things written or changed, the things reported, or the people who
        joined, by the rule's `event`; nothing is changed.

        The data have the number and examples of what the rule would fit, and a ticket, good once within 15 minutes,
        which saves exactly this rule. 400 for a rule that would act on its own effects.
        """
        site_id, me = ctx.site.id, ctx.identity.profile_id
        mode = given(sent.mode, SHADOW)
        if mode not in MODES:
            raise Invalid("mode", f"must be one of {', '.join(MODES)}")
        base_version = 0
        if rule_id := given(sent.ruleId, 0):
            base = known(ModerationRule.find(ctx.reader, site_id, rule_id), "rule")
            base_version = base.version
        definition = _definition(ctx, sent)
        # Its record has the numbers of reports, or those of events.
        if rule_id and base.definition.is_on_report != definition.is_on_report:
            raise Invalid("event", "can't change to or from reports: make a new rule")
        matching.check_loops(ctx.reader, site_id, definition)
        found = matching.of_the_past(ctx.writer, site_id, me, definition, ctx.tree)
        plan = RulePlan(rule_id, base_version, mode, definition, found.total)
        ticket = plan.insert(ctx.writer, site_id, me)
        people = profile_summary.summaries(
            ctx.reader, ctx.app.documents, site_id, {one.author_id for one in found.things}
        )
        return Data(dumps(rule_page.dry_run(ticket, mode, definition, found, people)))


class ModerationRuleHandler(Handler):
    """One rule of the site, for its owner; 404 for an unknown rule."""

    @needs(OWNER, answer=schemas.ModerationRule)
    def get(self, ctx: Context) -> Result:
        """The rule in its version in force."""
        found = _found(ctx)
        me = ctx.identity.profile_id
        counted = rule_page.counts(ctx.reader, ctx.site.id, me, [found.id])
        return Data(dumps(rule_page.document(found, counted)))

    @needs(OWNER, body=ModerationRuleTicketBody, status=302)
    def put(self, ctx: Context, sent: ModerationRuleTicketBody) -> Result:
        """Save the change of a dry run, by its ticket, as the next version; or switch the rule off (`mode`).

        409 if the rule has changed after the dry run, 400 for the ticket of another rule, 404 for a ticket that is
        used, too old or another person's. Answers 302 to the rule.
        """
        me = ctx.identity.profile_id
        _touch(ctx)
        locked = known(ModerationRule.lock(ctx.writer, ctx.site.id, ctx.args["rule"]), "rule")
        if given(sent.mode, "") == OFF:
            locked.switch_off(ctx.writer, ctx.site.id, me)
        else:
            locked.update(ctx.writer, ctx.site.id, me, _plan(ctx, sent, locked.id))
        return Found(ctx.path)

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the rule with its versions and its record; the actions that the rule took stay, and can be undone."""
        _touch(ctx)
        known(ModerationRule.lock(ctx.writer, ctx.site.id, ctx.args["rule"]), "rule").delete(
            ctx.writer, ctx.site.id
        )
        return Done()


class ModerationRuleVersionsHandler(Handler):
    """Versions of a rule, for the site's owner; 404 for an unknown rule."""

    @needs(OWNER, answer=schemas.ModerationRuleVersions, params=(LIMIT, BEFORE))
    def get(self, ctx: Context) -> Result:
        """The versions of the rule, newest first; with `before`, the number of a version, only those before it."""
        ctx.check_paging()
        limit = ctx.paging.limit
        rule = _found(ctx)
        found = RuleVersion.page(ctx.reader, ctx.site.id, rule.id, ctx.number("before"), limit)
        shown = found[:limit]
        people = profile_summary.summaries(
            ctx.reader, ctx.app.documents, ctx.site.id, {one.created_by for one in shown}
        )
        onwards = shown[-1].version if len(found) > limit else 0
        documents = [one.document(people) for one in shown]
        return Data(ctx.keyset_listed("versions", documents, onwards))


class ModerationRuleHitsHandler(Handler):
    """Record of a rule, for the site's owner: the things that it fitted; 404 for an unknown rule."""

    @needs(OWNER, answer=schemas.ModerationRuleHits, params=(LIMIT, BEFORE))
    def get(self, ctx: Context) -> Result:
        """The things that the rule fitted, newest first, each with the version of the rule that fitted it, and with the
        action that was taken, if any: in shadow mode none is.

        A rule on reports lists nothing that the caller wrote.
        """
        ctx.check_paging()
        limit = ctx.paging.limit
        rule, me = _found(ctx), ctx.identity.profile_id
        found = RuleHit.page(ctx.reader, ctx.site.id, me, rule.id, ctx.number("before"), limit)
        shown = found[:limit]
        onwards = shown[-1].event_number if len(found) > limit else 0
        return Data(ctx.keyset_listed("hits", [one.document() for one in shown], onwards))


def _touch(ctx: Context) -> None:
    """Let all workers read the site's rules again after the commit, this one at once; locks the site's row, so call it
    before a rule is locked.
    """
    moderation_rule.touch(ctx.writer, ctx.site.id)
    ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))


def _found(ctx: Context) -> ModerationRule:
    return known(ModerationRule.find(ctx.reader, ctx.site.id, ctx.args["rule"]), "rule")


def _plan(ctx: Context, sent: ModerationRuleTicketBody, rule_id: int) -> RulePlan:
    """Delete the plan that the caller's ticket names, and return it: a ticket can be used once. `rule_id`: the rule
    that the plan must be for, 0 for a new one.

    Raises Invalid for a text that is no ticket, for a ticket of another rule, and for a definition that is no longer
    valid; NotFound for a ticket that is used, too old, or another person's.
    """
    ticket = given(sent.ticket, "")
    if not ticket.isascii() or not ticket.isdigit() or len(ticket) > 18:
        raise Invalid("ticket", "must be taken from the answer to a dry run")
    plan = RulePlan.take(ctx.writer, ctx.site.id, ctx.identity.profile_id, int(ticket))
    if plan is None:
        raise NotFound("There is no such ticket: make the dry run again")
    if plan.rule_id != rule_id:
        raise Invalid("ticket", "is of another rule")
    plan.definition.check()
    return plan


def _definition(ctx: Context, sent: ModerationRuleBody) -> RuleDefinition:
    title = short_text_cleaning.sentence(given(sent.title, ""))
    if not 1 <= short_text_cleaning.length(title) <= _MOST_TITLE:
        raise Invalid("title", f"must have 1 to {_MOST_TITLE} characters", code=OUT_OF_RANGE)
    made = RuleDefinition(
        title,
        given(sent.event, ""),
        given(sent.action, ""),
        _grounds(sent),
        _ids(sent.roleIds, "roleIds"),
        _ids(sent.notRoleIds, "notRoleIds"),
        _criteria(sent),
        None if isinstance(sent.hasLink, UnsetType) else sent.hasLink,
        _length(sent.minLength, "minLength"),
        _length(sent.maxLength, "maxLength"),
        _ids(sent.microcosmIds, "microcosmIds"),
        given(sent.toMicrocosmId, 0),
        _days(sent),
        _reports(sent),
        _ids(sent.reporterRoleIds, "reporterRoleIds"),
    )
    made.check()
    _check_ids(ctx, made)
    return made


def _ids(sent: list[int] | UnsetType, field: str) -> tuple[int, ...]:
    ids = () if isinstance(sent, UnsetType) else tuple(sorted(set(sent)))
    if len(ids) > _MOST_IDS or any(not 0 < id < 2**53 for id in ids):
        raise Invalid(field, f"must be at most {_MOST_IDS} ids", code=OUT_OF_RANGE)
    return ids


def _days(sent: ModerationRuleBody) -> int:
    days = given(sent.restrictDays, 0)
    if given(sent.action, "") in RESTRICTS:
        if not 1 <= days <= _MOST_DAYS:
            raise Invalid("restrictDays", f"must be 1 to {_MOST_DAYS}", code=OUT_OF_RANGE)
    elif days:
        raise Invalid("restrictDays", f"can be given for {' and '.join(RESTRICTS)} alone")
    return days


def _reports(sent: ModerationRuleBody) -> int:
    least = given(sent.minReports, 0)
    if sent.minReports is not UNSET and not 1 <= least <= _MOST_REPORTS:
        raise Invalid("minReports", f"must be 1 to {_MOST_REPORTS}", code=OUT_OF_RANGE)
    return least


def _length(sent: int | UnsetType, field: str) -> int:
    length = given(sent, 0)
    if not 0 <= length <= _MOST_LENGTH:
        raise Invalid(field, f"must be 0 to {_MOST_LENGTH}", code=OUT_OF_RANGE)
    return length


def _criteria(sent: ModerationRuleBody) -> tuple[Criterion, ...]:
    if isinstance(sent.criteria, UnsetType):
        return ()
    if len(sent.criteria) > _MOST_IDS:
        raise Invalid("criteria", f"may be at most {_MOST_IDS}", code=OUT_OF_RANGE)
    made = []
    for one in sent.criteria:
        if one.value is UNSET or one.value is None:
            raise Invalid("value", "is required", code=WRONG_TYPE)
        names = (given(one.profileColumn, ""), given(one.attrKey, ""), given(one.predicate, ""))
        made.append(Criterion.make(given(one.orGroup, 0), *names, one.value))
    return tuple(made)


def _check_ids(ctx: Context, made: RuleDefinition) -> None:
    for id in made.places:
        if id not in ctx.tree.nodes:
            raise Invalid("microcosmIds", "must be microcosms of this site")
    if made.action == "move":
        if made.to_place <= 0:
            raise Invalid("toMicrocosmId", "must be the microcosm to move to", code=OUT_OF_RANGE)
        check_place(ctx, made.to_place, itemtypes.CONVERSATION)
    elif made.to_place:
        raise Invalid("toMicrocosmId", f"can't be given for {made.action}")
    roles = {*made.roles, *made.other_roles, *made.reporters}
    missing = missing_roles(ctx.reader, ctx.site.id, roles)
    for field, ids in (
        ("roleIds", made.roles),
        ("notRoleIds", made.other_roles),
        ("reporterRoleIds", made.reporters),
    ):
        if missing.intersection(ids):
            raise Invalid(field, "must be roles of this site")
    if made.reporters and not has_members(
        ctx.reader, ctx.site.id, made.reporters, _LEAST_REPORTERS
    ):
        rule = f"must have at least {_LEAST_REPORTERS} members together"
        raise Invalid("reporterRoleIds", rule, code=OUT_OF_RANGE)


def _grounds(sent: ModerationRuleBody) -> ActionGrounds:
    ground = given(sent.ground, dsa_terms.TERMS)
    if ground not in dsa_terms.GROUNDS:
        raise Invalid("ground", f"must be one of {', '.join(dsa_terms.GROUNDS)}")
    otherwise = dsa_terms.VIOLATION if ground == dsa_terms.TERMS else dsa_terms.UNCATEGORISED
    category = dsa_terms.checked_category(given(sent.category, ""), otherwise)
    rule = dsa_terms.checked_text(given(sent.rule, ""), "rule", _MOST_RULE)
    reason = dsa_terms.checked_text(given(sent.reason, ""), "reason", _MOST_TEXT)
    if not reason:
        raise Invalid("reason", "is required: what the authors are told")
    if ground == dsa_terms.ILLEGAL and not rule:
        raise Invalid("rule", "must name the law")
    return ActionGrounds(ground, category, rule, reason)
