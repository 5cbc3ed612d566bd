"""Rules as the site's owner reads them: their versions, and the record of what they fitted."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.cases.case_page import person
from forumapi.models.rules.definition import RuleDefinition
from forumapi.models.rules.matching import DAYS, DryRun
from forumapi.models.rules.moderation_rule import PATH, ModerationRule
from forumapi.wire.json_fragments import format_time

# SQL: leaves out records `h` of rules on reports about what `me` wrote: nobody learns who reported them.
_NOT_OWN: Final = f"""
       AND NOT (EXISTS (SELECT FROM rules r
                         WHERE r.site_id = h.site_id AND r.rule_id = h.rule_id
                           AND r.event IN ('comment.reported', 'item.reported'))
                AND (EXISTS (SELECT FROM comments c
                              WHERE c.site_id = h.site_id AND c.comment_id = h.item_id AND c.created_by = %(me)s
                                AND h.item_type_id = {itemtypes.COMMENT})
                     OR EXISTS (SELECT FROM items i
                                 WHERE i.site_id = h.site_id AND i.item_id = h.item_id AND i.created_by = %(me)s
                                   AND h.item_type_id = i.item_type_id)))"""
# Things of each rule in the last DAYS days: acted on, and recorded in shadow mode.
COUNTS = Query(
    "rule_page.counts",
    f"""
    SELECT h.rule_id, count(*) FILTER (WHERE NOT h.is_shadow), count(*) FILTER (WHERE h.is_shadow)
      FROM rule_hits h
     WHERE h.site_id = %(site_id)s AND h.rule_id = ANY(%(ids)s::bigint[])
       AND h.created >= now() - make_interval(days => %(days)s::int){_NOT_OWN}
     GROUP BY h.rule_id""",
)
VERSIONS = Query(
    "rule_page.versions",
    """
    SELECT v.version, v.mode, v.definition, v.matched, v.created, v.created_by
      FROM rule_versions v
     WHERE v.site_id = %(site_id)s AND v.rule_id = %(id)s
       AND (%(before)s::int = 0 OR v.version < %(before)s::int)
     ORDER BY v.version DESC
     LIMIT %(limit)s""",
)
HITS = Query(
    "rule_page.hits",
    f"""
    SELECT h.event_number, h.version, h.item_type_id, h.item_id, h.is_shadow, coalesce(h.action_id, 0), h.created
      FROM rule_hits h
     WHERE h.site_id = %(site_id)s AND h.rule_id = %(id)s
       AND (%(before)s::bigint = 0 OR h.event_number < %(before)s::bigint){_NOT_OWN}
     ORDER BY h.event_number DESC
     LIMIT %(limit)s""",
)
_NONE: Final = (0, 0)


class RuleVersion(NamedTuple):
    """Version of a rule. `matched`: number of things that its dry run found; `created_by`: id of the profile that saved
    it.
    """

    version: int
    mode: str
    definition: RuleDefinition
    matched: int
    created: datetime.datetime
    created_by: int

    @classmethod
    def page(cls, tx: Reader, site_id: int, id: int, before: int, limit: int) -> list[Self]:
        """Return up to `limit` + 1 versions of the rule `id` with numbers below `before` (0: from the newest), newest
        first. The extra one says that there are more.
        """
        rows = tx.rows(VERSIONS, site_id=site_id, id=id, before=before, limit=limit + 1)
        return [
            cls(version, mode, RuleDefinition.of(definition), matched, created, created_by)
            for version, mode, definition, matched, created, created_by in rows
        ]

    def document(self, people: Mapping[int, bytes]) -> dict[str, Any]:
        """Return the version as a dict for JSON; `people`: summaries of profiles, as JSON, by profile id."""
        return {
            **self.definition.document(),
            "version": self.version,
            "mode": self.mode,
            "matched": self.matched,
            "created": format_time(self.created),
            "createdBy": person(people, self.created_by),
        }


class RuleHit(NamedTuple):
    """Record of a thing that a rule fitted, one for each event. `event_number`: of the event, or the report's id for a
    rule on reports; `version`: of the rule; `action_id` 0: nothing was done, in shadow mode.
    """

    event_number: int
    version: int
    item_type: int
    item_id: int
    is_shadow: bool
    action_id: int
    created: datetime.datetime

    @classmethod
    def page(
        cls, tx: Reader, site_id: int, me: int, id: int, before: int, limit: int
    ) -> list[Self]:
        """Return up to `limit` + 1 records of a rule with event numbers below `before` (0: from the newest), newest
        first; of a rule on reports without those about what the profile `me` wrote. The extra one says that there are
        more.
        """
        rows = tx.rows(HITS, site_id=site_id, me=me, id=id, before=before, limit=limit + 1)
        return [cls(*row) for row in rows]

    def document(self) -> dict[str, Any]:
        """Return the record as a dict for JSON, with the action's id unless nothing was done."""
        data: dict[str, Any] = {
            "id": self.event_number,
            "version": self.version,
            "itemType": itemtypes.name_of(self.item_type),
            "itemId": self.item_id,
            "href": itemtypes.href(self.item_type, self.item_id),
            "shadow": self.is_shadow,
        }
        if self.action_id:
            data["actionId"] = self.action_id
        return data | {"created": format_time(self.created)}


def counts(tx: Reader, site_id: int, me: int, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return (acted, shadowed) by rule id: numbers of the rule's records of the last DAYS days, of things that the rule
    acted on, and of things that it recorded in shadow mode; for rules on reports without what the profile `me` wrote.
    `ids`: of the rules. A rule without records may have no entry.
    """
    rows = tx.rows(COUNTS, site_id=site_id, me=me, ids=list(ids), days=DAYS) if ids else ()
    return {row[0]: (row[1], row[2]) for row in rows}


def document(rule: ModerationRule, counted: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    """Return a rule as a dict for JSON; `counted`: result of `counts`."""
    acted, shadowed = counted.get(rule.id, _NONE)
    return {
        **rule.definition.document(),
        "id": rule.id,
        "version": rule.version,
        "mode": rule.mode,
        "acted": acted,
        "shadowed": shadowed,
        "created": format_time(rule.created),
        "since": format_time(rule.since),
        "meta": {"links": [{"rel": "self", "href": f"{PATH}/{rule.id}"}]},
    }


def dry_run(
    ticket: int, mode: str, rule: RuleDefinition, found: DryRun, people: Mapping[int, bytes]
) -> dict[str, Any]:
    """Return the outcome of a dry run as a dict for JSON. `ticket`: id of its RulePlan; `mode` and `rule`: mode and
    definition that the plan gives the rule; `people`: summaries of the authors, as JSON, by profile id.
    """
    return {
        **rule.document(),
        "ticket": str(ticket),
        "mode": mode,
        "days": DAYS,
        "examined": found.examined,
        "total": found.total,
        "targets": [
            {
                "itemType": itemtypes.name_of(one.ref.type),
                "itemId": one.ref.id,
                "href": itemtypes.href(one.ref.type, one.ref.id),
                "text": one.text,
                "happened": format_time(one.happened),
                "createdBy": person(people, one.author_id),
            }
            for one in found.things
        ],
    }
