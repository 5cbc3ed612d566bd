"""Carrying out of rules: those that hide things in the transaction that writes, others by a reader of the event log,
and those on reports by report_worker.py.

A rule acts on what people do: what rules did has no actor, and is passed over. The reader records what was done in the
transaction that wrote, once the event has its number, and does it where a worker did not know the rule yet.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict
from forumapi.events.event_log import LoggedEvent
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.rules import matching
from forumapi.models.rules.definition import ACTIVE, HOLD, REPORTED, SHADOW, RuleDefinition
from forumapi.models.rules.moderation_rule import ModerationRule
from forumapi.models.sites.site import Site
from forumapi.models.trust import dsa_terms, sanction, targets
from forumapi.models.trust.action import Action
from forumapi.permissions.evaluator import Tree

ACL_VERSION = Query(
    "engine.acl_version", "SELECT s.acl_version FROM sites s WHERE s.site_id = %(site_id)s"
)
HIT = Query(
    "engine.hit",
    """
    INSERT INTO rule_hits (site_id, rule_id, event_number, version, item_type_id, item_id, is_shadow, action_id)
    VALUES (%(site_id)s, %(rule_id)s, %(number)s, %(version)s, %(item_type)s, %(item_id)s, %(is_shadow)s,
            nullif(%(action_id)s::bigint, 0))
        ON CONFLICT DO NOTHING""",
)
# Actions of a rule that it took when the thing was written: no record of it names them yet. Earlier ones are left out,
# whose records are forgotten by now. Event and action have the time of their common transaction.
TAKEN = Query(
    "engine.taken",
    """
    SELECT x.item_type_id, x.item_id, max(x.action_id)
      FROM action_changes x
      JOIN actions a ON a.site_id = x.site_id AND a.action_id = x.action_id AND a.rule_id = %(rule_id)s
     WHERE x.site_id = %(site_id)s
       AND (x.item_type_id, x.item_id) IN (SELECT w.type, w.id
                                             FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS w (type, id))
       AND a.created >= %(since)s::timestamptz
       AND NOT EXISTS (SELECT FROM rule_hits h WHERE h.site_id = a.site_id AND h.action_id = a.action_id)
     GROUP BY x.item_type_id, x.item_id""",
)
# The case that is open already, or a new one without reports. The thing's row is locked.
OPEN_CASE = Query(
    "engine.open_case",
    """
    INSERT INTO cases AS k (site_id, item_type_id, item_id, in_item_id, microcosm_id, author_id, priority, due,
                            is_held)
    VALUES (%(site_id)s, %(item_type)s, %(item_id)s, nullif(%(in_item_id)s::bigint, 0), %(microcosm_id)s, %(author_id)s,
            %(priority)s, now() + make_interval(days => %(days)s::int), true)
        ON CONFLICT (site_id, item_type_id, item_id) WHERE state = 'open' DO UPDATE
       SET priority = least(k.priority, EXCLUDED.priority), is_held = true
 RETURNING k.case_id""",
)


class _Hit(NamedTuple):
    """Thing that fits a rule, one object for each rule and thing. `number`: of the event, or the report's id;
    `action_id`: the action that the rule took when the thing was written, 0 for none; `author_id`: the thing's author,
    0 if `action_id` is set.
    """

    rule: ModerationRule
    ref: ItemRef
    author_id: int
    number: int
    action_id: int = 0


def act_at_writing(
    tx: Transaction, site: Site, tree: Tree, ref: ItemRef, rule: ModerationRule
) -> bool:
    """Let `rule`, one of `hides_at_writing` that the thing `ref` fits (`matching.of_written`), act on the thing, which
    `tx` has just written; return True if it did, False if the thing is gone.

    The thing must not be hidden. Raises Conflict if it is in a microcosm that `tree`, the site's, lacks.
    """
    target = targets.lock(tx, site.id, [ref]).get(ref)
    if target is None:
        return False
    _act(tx, site.id, rule, target, target.author_id, tree)
    return True


def hides_at_writing(site: Site, item_type: int, kind: str) -> list[ModerationRule]:
    """Return the active rules of the site that hide things and wait for an event of this `kind` of a thing of this
    type, the oldest first; [] if there is none.
    """
    if not site.hiding_rules:
        return []
    if site.decoded_rules is None:
        site.decoded_rules = ModerationRule.decoded(site.hiding_rules)
    return [
        rule
        for rule in site.decoded_rules
        if item_type in rule.definition.on.takes and kind == rule.definition.on.kind
    ]


def work(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
    """Carry the rules of a site out on what these events wrote, except events of an import and events without an actor.
    Raises Conflict if a thing to act on is by now in a microcosm that was made after the tree was read here; trying
    again helps. Called by the reader of the event log, in its transaction.
    """
    written = [event for event in events if event.actor_id and not event.is_import]
    rules = ModerationRule.in_force(tx, site_id) if written else []
    if not rules:
        return
    tree = load_tree(tx, site_id, tx.value(ACL_VERSION, site_id=site_id))
    numbers = {rule.id: _numbers(rule, written) for rule in rules}
    since = min(event.created for event in written)
    taken = {rule.id: _taken(tx, site_id, rule, numbers[rule.id], since) for rule in rules}
    # What a rule deleted as it was written still counts for the rules on its author, and for those that only record.
    changed = {ref for done in taken.values() for ref in done}
    hits = [
        hit
        for rule in rules
        for hit in _hits(tx, site_id, rule, tree, numbers[rule.id], taken[rule.id], changed)
    ]
    _carry_out(tx, site_id, tree, hits)


def work_report(
    tx: Transaction, site_id: int, ref: ItemRef, number: int, created: datetime.datetime
) -> bool:
    """Carry the rules of a site out on a thing that somebody reported at the time `created`; return True if one of them
    fitted and so acted, recorded that it would, or may not do its action on that author; False if none fitted, the
    thing is gone or is left alone. Raises Conflict as `work` does. `number`: the report's id, under which records name
    it.

    A thing is left alone if its author owns the site or moderates the microcosm that the thing is in; if the thing is
    in no microcosm, it is left alone if its author moderates any. The caller lets no other process do this for the same
    report.
    """
    in_force = [
        rule
        for rule in ModerationRule.in_force(tx, site_id)
        if rule.definition.on.kind == REPORTED and created >= rule.since
    ]
    rules = [rule for rule in in_force if ref.type in rule.definition.on.takes]
    if not rules:
        return False
    tree = load_tree(tx, site_id, tx.value(ACL_VERSION, site_id=site_id))
    # Decisions lock the thing too: one that is being made is waited for, and a case that it closes does not count.
    target = targets.lock(tx, site_id, [ref]).get(ref)
    if target is None:
        return False
    hits = []
    for rule in rules:
        definition = rule.definition
        is_shadow = rule.mode == SHADOW
        if not matching.of_reports(tx, site_id, rule.id, definition, [ref], is_shadow=is_shadow):
            continue
        found = matching.of_events(tx, site_id, definition, tree, [ref.id])
        hits += [
            _Hit(rule, ref, author_id, number)
            for thing, author_id in found
            if thing == ref and _fits_place(definition, ref, tree)
        ]
    if hits and sanction.protected(tx, site_id, tree, [target.author_id], target.microcosm_id):
        return False
    _carry_out(tx, site_id, tree, hits)
    return bool(hits)


def _carry_out(tx: Transaction, site_id: int, tree: Tree, hits: Sequence[_Hit]) -> None:
    """Act on the things of those hits whose rule is active and has not acted yet, and record all hits. A hit to act on
    is passed over, unrecorded, if its thing is gone or its action may not be done on the author. Raises Conflict as
    `_act` does.
    """
    # All at once, so that the things of several rules are locked in one order.
    acted = {hit.ref for hit in hits if hit.rule.mode == ACTIVE and not hit.action_id}
    held = targets.lock(tx, site_id, sorted(acted)) if acted else {}
    for rule, ref, author_id, number, action_id in hits:
        if rule.mode == ACTIVE and not action_id:
            target = held.get(ref)
            if target is None:
                continue
            action_id = _act(tx, site_id, rule, target, author_id, tree)
            if not action_id:
                continue
        tx.run(
            HIT,
            site_id=site_id,
            rule_id=rule.id,
            number=number,
            version=rule.version,
            item_type=ref.type,
            item_id=ref.id,
            is_shadow=rule.mode != ACTIVE,
            action_id=action_id,
        )


def _hits(
    tx: Transaction,
    site_id: int,
    rule: ModerationRule,
    tree: Tree,
    numbers: Mapping[ItemRef, int],
    taken: Mapping[ItemRef, int],
    changed: Collection[ItemRef],
) -> list[_Hit]:
    """Return the hits of a rule among the things of `numbers`, in any order. `numbers`: result of `_numbers` for the
    rule; `taken`: result of `_taken` for it; `changed`: the things on which any rule acted when they were written.
    """
    definition = rule.definition
    ids = {ref.id for ref in numbers if ref not in taken}
    if not ids:
        found: Sequence[tuple[ItemRef, int]] = ()
    else:
        leaves_thing = definition.is_on_author or rule.mode != ACTIVE
        deleted_too = [ref.id for ref in changed if ref in numbers] if leaves_thing else []
        found = matching.of_events(tx, site_id, definition, tree, ids, deleted_too)
    return [_Hit(rule, ref, 0, numbers[ref], id) for ref, id in taken.items()] + [
        _Hit(rule, ref, author_id, numbers[ref])
        for ref, author_id in found
        if ref in numbers and _fits_place(definition, ref, tree)
    ]


def _taken(
    tx: Transaction,
    site_id: int,
    rule: ModerationRule,
    refs: Collection[ItemRef],
    since: datetime.datetime,
) -> dict[ItemRef, int]:
    """Return, by thing, the id of the action that the rule took when the thing was written, at `since` or later. A
    thing without such an action, or whose action is in the rule's records already, has no entry. Empty for a rule that
    hides nothing, or that is in shadow mode.
    """
    if not refs or rule.mode != ACTIVE or not rule.definition.hides:
        return {}
    types, ids = [ref.type for ref in refs], [ref.id for ref in refs]
    rows = tx.rows(TAKEN, site_id=site_id, rule_id=rule.id, types=types, ids=ids, since=since)
    return {ItemRef(type, id): action_id for type, id, action_id in rows}


def _numbers(rule: ModerationRule, events: Sequence[LoggedEvent]) -> Mapping[ItemRef, int]:
    """Return, by thing, the number of the last of `events` that the rule waits for, among those since the rule's
    version came into force; a thing without such an event has no entry.
    """
    on = rule.definition.on
    return {
        ItemRef(event.item_type, event.item_id): event.number
        for event in events
        if event.item_type in on.takes and event.kind == on.kind and event.created >= rule.since
    }


def _fits_place(definition: RuleDefinition, ref: ItemRef, tree: Tree) -> bool:
    """Return True if the action moves nothing, or moves into a microcosm that takes items of the type of `ref` and is,
    like all microcosms above, neither hidden nor deleted.
    """
    if not definition.to_place:
        return True
    node = tree.nodes.get(definition.to_place)
    return node is not None and node.is_live and ref.type in node.item_types


def _act(
    tx: Transaction,
    site_id: int,
    rule: ModerationRule,
    target: targets.ActionTarget,
    author_id: int,
    tree: Tree,
) -> int:
    """Carry the rule's action out on the locked thing `target`, or on its author `author_id`; return the action's id.
    Raises Conflict if the thing is gone or in none of the microcosms of `tree`.

    An action on the author is not done, and 0 returned, in either of two cases: the author owns the site or moderates
    the thing's microcosm or one below it (for a thing in no microcosm: moderates anything); or the action is a
    restriction and the thing is in no microcosm. A profile that joins counts as in the root microcosm: a restriction of
    it is in force everywhere.
    """
    definition = rule.definition
    ref = target.ref
    place_id = tree.root_id if definition.is_on_joining else target.microcosm_id
    if definition.is_on_author:
        if definition.days and not place_id:
            return 0
        if sanction.protected(tx, site_id, tree, [author_id], place_id, is_below_too=True):
            return 0
        ref = ItemRef(itemtypes.PROFILE, author_id)
    author = Author(site_id, 0, "")
    allowed = [0, *tree.nodes]
    action = Action.insert(
        tx,
        author,
        definition.does.name,
        definition.grounds,
        case_id=_case(tx, site_id, definition, target) if definition.action == HOLD else 0,
        place_id=place_id if definition.is_on_author else definition.to_place,
        ends=definition.ends(),
        is_automated=True,
        rule_id=rule.id,
        rule_version=rule.version,
    )
    if not action.plan(tx, site_id, [ref], allowed):
        raise Conflict("the thing is gone")  # its row is locked
    action.start(tx, author, allowed)
    return action.id


def _case(
    tx: Transaction, site_id: int, definition: RuleDefinition, target: targets.ActionTarget
) -> int:
    """Return the id of the open case of a locked thing, which is opened if there is none.

    The case is marked as held, and gets at least the priority that the rule's grounds have. The thing itself is hidden
    by the rule's action, not here.
    """
    priority = dsa_terms.priority("", definition.grounds.category)
    return int(
        tx.value(
            OPEN_CASE,
            site_id=site_id,
            item_type=target.ref.type,
            item_id=target.ref.id,
            in_item_id=target.parent.item.id if target.parent else 0,
            microcosm_id=target.microcosm_id,
            author_id=target.author_id,
            priority=priority,
            days=dsa_terms.DUE_DAYS[priority],
        )
    )
