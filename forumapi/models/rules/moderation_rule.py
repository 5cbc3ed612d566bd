"""Rules as stored: the version in force, earlier ones, and plans, from which a ticket makes a version."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection
from typing import Final, Self

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.errors import OUT_OF_RANGE, Conflict, Invalid
from forumapi.models.rules.definition import OFF, RuleDefinition
from forumapi.wire import json_fragments

PATH: Final = "/api/v1/rules"
# Of the reader of the event log.
READER: Final = "rules"
MOST_RULES: Final = 50
TICKET_MINUTES: Final = 15
# Days for which records of rules are kept.
HIT_DAYS: Final = 180

_RULE: Final = "r.rule_id, r.version, r.mode, r.event, r.definition, r.created, r.since"
FIND = Query(
    "moderation_rule.find",
    f"SELECT {_RULE} FROM rules r WHERE r.site_id = %(site_id)s AND r.rule_id = %(id)s",
)
LOCK = Query(
    "moderation_rule.lock",
    f"SELECT {_RULE} FROM rules r WHERE r.site_id = %(site_id)s AND r.rule_id = %(id)s FOR UPDATE",
)
ALL = Query(
    "moderation_rule.all",
    f"SELECT {_RULE} FROM rules r WHERE r.site_id = %(site_id)s ORDER BY r.rule_id",
)
IN_FORCE = Query(
    "moderation_rule.in_force",
    f"""
    SELECT {_RULE}
      FROM rules r
     WHERE r.site_id = %(site_id)s AND r.mode <> 'off'
     ORDER BY r.rule_id""",
)

# While no rule of a site is in force, its log is not read for them: reading begins at its end.
BEGIN = Query(
    "moderation_rule.begin",
    f"""
    INSERT INTO event_cursors AS c (reader, site_id, number)
    SELECT '{READER}', h.site_id, h.number
      FROM event_heads h
     WHERE h.site_id = %(site_id)s
       AND NOT EXISTS (SELECT FROM rules r WHERE r.site_id = h.site_id AND r.mode <> 'off')
        ON CONFLICT (reader, site_id) DO UPDATE
       SET number = greatest(c.number, EXCLUDED.number), moved = now()""",
)
BEHIND = Query(
    "moderation_rule.behind",
    """
    SELECT h.site_id
      FROM event_heads h
      LEFT JOIN event_cursors c ON c.reader = %(reader)s AND c.site_id = h.site_id
     WHERE h.number > coalesce(c.number, 0)
       AND EXISTS (SELECT FROM rules r WHERE r.site_id = h.site_id AND r.mode <> 'off')
     ORDER BY h.site_id""",
    scope=PLATFORM,
)

# Workers keep the rules that hide things with the site's snapshot: a change of a rule is one of the site.
TOUCH = Query(
    "moderation_rule.touch",
    "UPDATE sites s SET version = s.version + 1 WHERE s.site_id = %(site_id)s",
)
INSERT = Query(
    "moderation_rule.insert",
    """
    INSERT INTO rules (site_id, mode, event, definition)
    SELECT %(site_id)s, %(mode)s, %(event)s, %(definition)s::jsonb
     WHERE (SELECT count(*) FROM rules r WHERE r.site_id = %(site_id)s) < %(most)s::int
 RETURNING rule_id""",
)
UPDATE = Query(
    "moderation_rule.update",
    """
    UPDATE rules r
       SET version = %(version)s, mode = %(mode)s, event = %(event)s, definition = %(definition)s::jsonb, since = now()
     WHERE r.site_id = %(site_id)s AND r.rule_id = %(id)s""",
)
DELETE = Query(
    "moderation_rule.delete",
    "DELETE FROM rules r WHERE r.site_id = %(site_id)s AND r.rule_id = %(id)s",
)
ADD_VERSION = Query(
    "moderation_rule.add_version",
    """
    INSERT INTO rule_versions (site_id, rule_id, version, mode, event, definition, matched, created_by)
    VALUES (%(site_id)s, %(id)s, %(version)s, %(mode)s, %(event)s, %(definition)s::jsonb, %(matched)s, %(me)s)""",
)

# Plans of which the ticket is over go with the next one.
INSERT_PLAN = Query(
    "moderation_rule.insert_plan",
    """
    WITH over AS (
        DELETE FROM rule_plans o
         WHERE o.site_id = %(site_id)s AND o.created < now() - make_interval(mins => %(minutes)s::int))
    INSERT INTO rule_plans (site_id, rule_id, base_version, mode, event, definition, matched, created_by)
    VALUES (%(site_id)s, %(rule_id)s, %(base_version)s, %(mode)s, %(event)s, %(definition)s::jsonb, %(matched)s, %(me)s)
 RETURNING plan_id""",
)
TAKE_PLAN = Query(
    "moderation_rule.take_plan",
    """
    DELETE FROM rule_plans p
     WHERE p.site_id = %(site_id)s AND p.plan_id = %(id)s AND p.created_by = %(me)s
       AND p.created >= now() - make_interval(mins => %(minutes)s::int)
 RETURNING p.rule_id, p.base_version, p.mode, p.definition, p.matched""",
)
MISSING_ROLES = Query(
    "moderation_rule.missing_roles",
    """
    SELECT w.id
      FROM unnest(%(ids)s::bigint[]) AS w (id)
     WHERE NOT EXISTS (SELECT FROM roles r WHERE r.site_id = %(site_id)s AND r.role_id = w.id)""",
)
HAS_MEMBERS = Query(
    "moderation_rule.has_members",
    """
    SELECT count(*) = %(least)s::int
      FROM (SELECT FROM profiles p
             WHERE p.site_id = %(site_id)s AND p.role_ids <> '{}' AND p.role_ids && %(ids)s::bigint[]
             LIMIT %(least)s::int) n""",
)
# While a case is open, the records in it say which rules have acted on its thing already.
FORGET_HITS = Query(
    "moderation_rule.forget_hits",
    """
    DELETE FROM rule_hits h
     WHERE h.created < now() - make_interval(days => %(days)s::int)
       AND NOT EXISTS (SELECT FROM cases k
                        WHERE k.site_id = h.site_id AND k.item_type_id = h.item_type_id AND k.item_id = h.item_id
                          AND k.state = 'open' AND k.opened <= h.created)""",
    scope=PLATFORM,
)


@dataclasses.dataclass
class RulePlan:
    """Plan that a dry run leaves: the version of a rule that is saved when the client sends the plan's id, the ticket.
    `rule_id` 0: of a new rule; `base_version`: version of the rule at the time of the dry run, 0 for a new rule;
    `mode`: SHADOW or ACTIVE; `matched`: number of things that the dry run found.
    """

    rule_id: int
    base_version: int
    mode: str
    definition: RuleDefinition
    matched: int

    def insert(self, tx: Transaction, site_id: int, me: int) -> int:
        """Store the plan of the profile `me`, and return its id; plans of the site that are older than TICKET_MINUTES
        are deleted.
        """
        return int(
            tx.value(
                INSERT_PLAN,
                site_id=site_id,
                rule_id=self.rule_id,
                base_version=self.base_version,
                mode=self.mode,
                event=self.definition.event,
                definition=self.definition.encoded(),
                matched=self.matched,
                me=me,
                minutes=TICKET_MINUTES,
            )
        )

    @classmethod
    def take(cls, tx: Transaction, site_id: int, me: int, id: int) -> Self | None:
        """Delete a plan of the profile `me`, and return it; None if there is none with this id, or it is older than
        TICKET_MINUTES.
        """
        row = tx.row(TAKE_PLAN, site_id=site_id, id=id, me=me, minutes=TICKET_MINUTES)
        if row is None:
            return None
        rule_id, base_version, mode, definition, matched = row
        return cls(rule_id, base_version, mode, RuleDefinition.of(definition), matched)


@dataclasses.dataclass
class ModerationRule:
    """Rule in its version in force. `mode`: OFF, SHADOW (only recorded) or ACTIVE; `since`: time from which this
    version is in force.
    """

    id: int
    version: int
    mode: str
    event: str
    definition: RuleDefinition
    created: datetime.datetime
    since: datetime.datetime

    @classmethod
    def of(cls, row: Row) -> Self:
        """Return the rule of a row with the columns _RULE."""
        id, version, mode, event, definition, created, since = row
        return cls(id, version, mode, event, RuleDefinition.of(definition), created, since)

    @classmethod
    def decoded(cls, encoded: str) -> list[Self]:
        """Return the rules in `encoded`, JSON that a site's snapshot has as `hiding_rules` (site.py), in its order."""
        return [
            cls(
                *(id, version, mode, event, RuleDefinition.of(definition)),
                datetime.datetime.fromisoformat(created),
                datetime.datetime.fromisoformat(since),
            )
            for id, version, mode, event, definition, created, since in json_fragments.loads(
                encoded
            )
        ]

    @classmethod
    def find(cls, tx: Reader, site_id: int, id: int) -> Self | None:
        """Return the rule `id` of a site, off or not; None if the site has none with this id."""
        row = tx.row(FIND, site_id=site_id, id=id)
        return cls.of(row) if row else None

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, id: int) -> Self | None:
        """Lock the rule `id` of a site until the transaction ends, and return it, off or not; None if the site has none
        with this id.
        """
        row = tx.row(LOCK, site_id=site_id, id=id)
        return cls.of(row) if row else None

    @classmethod
    def all(cls, tx: Reader, site_id: int) -> list[Self]:
        """Return all rules of a site, at most MOST_RULES, the oldest first."""
        rows = tx.rows(ALL, site_id=site_id)
        return [cls.of(row) for row in rows]

    @classmethod
    def in_force(cls, tx: Reader, site_id: int) -> list[Self]:
        """Return the rules of a site that are not off, the oldest first."""
        rows = tx.rows(IN_FORCE, site_id=site_id)
        return [cls.of(row) for row in rows]

    @classmethod
    def insert(cls, tx: Transaction, site_id: int, me: int, plan: RulePlan) -> int:
        """Store a new rule as the plan has it, made by the profile `me`; return its id. Raises Invalid if the site has
        MOST_RULES already. Call `touch` before, whose lock makes the limit hold.
        """
        tx.run(BEGIN, site_id=site_id)
        definition = plan.definition
        id = tx.value(
            INSERT,
            site_id=site_id,
            mode=plan.mode,
            event=definition.event,
            definition=definition.encoded(),
            most=MOST_RULES,
        )
        if id is None:
            raise Invalid("", f"A site has at most {MOST_RULES} rules", code=OUT_OF_RANGE)
        _add_version(tx, site_id, me, id, 1, plan.mode, definition, plan.matched)
        return int(id)

    def update(self, tx: Transaction, site_id: int, me: int, plan: RulePlan) -> None:
        """Store the plan, which must be one of this rule, as the next version of the locked rule, made by the profile
        `me`. Raises Conflict if the rule was changed after the dry run.
        """
        if plan.base_version != self.version:
            raise Conflict("This rule has changed since: make the dry run again")
        self._set(tx, site_id, me, plan.mode, plan.definition, plan.matched)

    def switch_off(self, tx: Transaction, site_id: int, me: int) -> None:
        """Switch the locked rule off, as its next version, made by the profile `me`; nothing changes if it is off
        already.
        """
        if self.mode != OFF:
            self._set(tx, site_id, me, OFF, self.definition, 0)

    def _set(
        self,
        tx: Transaction,
        site_id: int,
        me: int,
        mode: str,
        definition: RuleDefinition,
        matched: int,
    ) -> None:
        if mode != OFF:
            tx.run(BEGIN, site_id=site_id)
        self.version += 1
        tx.run(
            UPDATE,
            site_id=site_id,
            id=self.id,
            version=self.version,
            mode=mode,
            event=definition.event,
            definition=definition.encoded(),
        )
        _add_version(tx, site_id, me, self.id, self.version, mode, definition, matched)

    def delete(self, tx: Transaction, site_id: int) -> None:
        """Delete the locked rule with its versions and its record; actions that it took stay."""
        tx.run(DELETE, site_id=site_id, id=self.id)


def _add_version(
    tx: Transaction,
    site_id: int,
    me: int,
    id: int,
    version: int,
    mode: str,
    definition: RuleDefinition,
    matched: int,
) -> None:
    tx.run(
        ADD_VERSION,
        site_id=site_id,
        id=id,
        version=version,
        mode=mode,
        event=definition.event,
        definition=definition.encoded(),
        matched=matched,
        me=me,
    )


def touch(tx: Transaction, site_id: int) -> None:
    """Increment the site's version, so that workers read its rules again. Call it before a rule is locked: the site's
    row is locked first.
    """
    tx.run(TOUCH, site_id=site_id)


def missing_roles(tx: Reader, site_id: int, ids: Collection[int]) -> set[int]:
    """Return the ids in `ids` that no role of the site has; no SQL statement is run for no ids."""
    rows = tx.rows(MISSING_ROLES, site_id=site_id, ids=sorted(ids)) if ids else ()
    return {row[0] for row in rows}


def has_members(tx: Reader, site_id: int, role_ids: Collection[int], least: int) -> bool:
    """Return True if at least `least` profiles are in one or more of these roles, each counted once."""
    return bool(tx.value(HAS_MEMBERS, site_id=site_id, ids=sorted(role_ids), least=least))


def forget(tx: Transaction) -> int:
    """Delete records of rules that are older than HIT_DAYS, of all sites, but for those made in a case that is still
    open; return their number.
    """
    return tx.run(FORGET_HITS, days=HIT_DAYS)
