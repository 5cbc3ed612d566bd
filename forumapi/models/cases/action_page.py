"""Actions as moderators read them, with what each changed."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.itemtypes import ItemRef
from forumapi.models.cases.case_page import person
from forumapi.models.trust.action import PATH, PLANNED, SEEN
from forumapi.wire.json_fragments import format_time

# Changes that the document of an action lists, conflicts and refusals first.
MOST_CHANGES: Final = 250
# Microcosms that somebody moderates, up to which actions are looked for in each: of more, in the site's newest.
FEW: Final = 100
# Id that is above those of all actions.
_NEWEST: Final = 2**62
# Characters of a comment that stand beside it there.
EXCERPT: Final = 200

_COLUMNS: Final = """
    a.action_id, a.kind, a.state, coalesce(a.actor_id, 0), coalesce(a.case_id, 0), a.ground, a.category, a.rule,
           a.reason, a.note, a.place_id, a.ends, a.total, a.created, a.finished, a.undone, coalesce(a.undone_by, 0),
           coalesce(a.rule_id, 0), a.rule_version, coalesce(a.into_item_id, 0),
           coalesce(a.into_type_id, 0::smallint), a.title"""

FIND = Query(
    "action_page.find",
    f"""
    SELECT {_COLUMNS}
      FROM actions a
     WHERE a.site_id = %(site_id)s AND a.action_id = %(id)s AND {SEEN}""",
)
_LISTED: Final = f"""
      FROM actions a
     WHERE a.site_id = %(site_id)s AND a.action_id < %(before)s::bigint AND a.state <> 'planned' AND {SEEN}"""
PAGE = Query(
    "action_page.page",
    f"""
    SELECT {_COLUMNS}
    {_LISTED.strip()}
     ORDER BY a.action_id DESC
     LIMIT %(limit)s""",
)
# Of somebody who moderates a small part of a site the newest of each microcosm, by an index; -1: those of none.
PAGE_OF_FEW = Query(
    "action_page.page_of_few",
    f"""
    SELECT a.*
      FROM unnest(%(moderated)s::bigint[] || ARRAY[-1]::bigint[]) AS p (id)
     CROSS JOIN LATERAL (
           SELECT {_COLUMNS}
           {_LISTED.strip()}
              AND coalesce(a.microcosm_ids[1], -1) = p.id
            ORDER BY a.action_id DESC
            LIMIT %(limit)s) a
     ORDER BY a.action_id DESC
     LIMIT %(limit)s""",
)
# Of one thing: what was done to it.
CONCERNING = Query(
    "action_page.concerning",
    f"""
    SELECT {_COLUMNS}
      FROM actions a
     WHERE a.site_id = %(site_id)s AND a.state <> 'planned' AND {SEEN}
       AND a.action_id IN (SELECT x.action_id FROM action_changes x
                            WHERE x.site_id = %(site_id)s AND x.item_type_id = %(item_type)s::smallint
                              AND x.item_id = %(item_id)s::bigint AND x.state NOT IN ('unchanged', 'refused'))
       AND (%(before)s::bigint = 0 OR a.action_id < %(before)s::bigint)
     ORDER BY a.action_id DESC
     LIMIT %(limit)s""",
)
# The text is that of now: it is left out where the viewer does not moderate what the thing is in now.
CHANGES = Query(
    "action_page.changes",
    f"""
    SELECT x.item_type_id, x.item_id, x.state, x.conflict,
           CASE x.item_type_id
                WHEN {itemtypes.COMMENT} THEN (SELECT left(c.markdown, {EXCERPT})
                                                 FROM comments c
                                                 LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
                                                WHERE c.site_id = x.site_id AND c.comment_id = x.item_id
                                                  AND CASE WHEN c.item_id IS NULL THEN 0 ELSE i.microcosm_id END
                                                      = ANY(%(moderated)s::bigint[]))
                WHEN {itemtypes.PROFILE} THEN (SELECT p.profile_name FROM profiles p
                                                WHERE p.site_id = x.site_id AND p.profile_id = x.item_id)
                ELSE (SELECT i.title FROM items i
                       WHERE i.site_id = x.site_id AND i.item_id = x.item_id
                         AND i.microcosm_id = ANY(%(moderated)s::bigint[])) END
      FROM action_changes x
     WHERE x.site_id = %(site_id)s AND x.action_id = %(id)s
     ORDER BY x.state NOT IN ('conflict', 'refused'), x.place
     LIMIT %(limit)s""",
    unrestricted="things of an action that the viewer has found, and moderates",
)
COUNTS = Query(
    "action_page.counts",
    """
    SELECT x.state, count(*)
      FROM action_changes x
     WHERE x.site_id = %(site_id)s AND x.action_id = %(id)s
     GROUP BY x.state""",
)
STATES: Final = ("planned", "done", "unchanged", "refused", "undone", "conflict")


class ShownAction(NamedTuple):
    """Action as moderators see it. `kind`, `state`: as in Action; `actor_id` 0: a rule, or an operator; `case_id` 0: on
    no case; `total`: number of its things; `finished`: time at which all were done, None before; `undone`: time at
    which an undo of it last ended, None before; `undone_by`: profile that began the last undo, 0 for an operator;
    `ground` to `note`: as in ActionGrounds; `place_id`, `ends`: as in Action. `rule_id`: the rule that acted, in its
    version `rule_version`, 0 for none. `into_id` and `into_type`: the item merged into, or made by a split, 0 for none;
    `title`: title of what a split made.
    """

    id: int
    kind: str
    state: str
    actor_id: int
    case_id: int
    ground: str
    category: str
    rule: str
    reason: str
    note: str
    place_id: int
    ends: datetime.datetime | None
    total: int
    created: datetime.datetime
    finished: datetime.datetime | None
    undone: datetime.datetime | None
    undone_by: int
    rule_id: int
    rule_version: int
    into_id: int
    into_type: int
    title: str

    @classmethod
    def find(
        cls, tx: Reader, site_id: int, id: int, me: int, moderated: Collection[int]
    ) -> Self | None:
        """Return the action `id`; None if there is none, or the profile `me`, who moderates the microcosms `moderated`
        (0: outside of all), may not see it by the rule that `Action.lock` gives.
        """
        row = tx.row(FIND, site_id=site_id, id=id, me=me, moderated=moderated)
        return cls(*row) if row else None

    @classmethod
    def page(
        cls, tx: Reader, site_id: int, me: int, moderated: Collection[int], before: int, limit: int
    ) -> list[Self]:
        """Return up to `limit` + 1 actions that the profile `me`, who moderates the microcosms `moderated` (0: outside
        of all), may see by the rule that `Action.lock` gives, without mere plans, newest first, with ids below `before`
        (0: from the newest). The extra one says that there are more.
        """
        rows = tx.rows(
            PAGE_OF_FEW if len(moderated) <= FEW else PAGE,
            site_id=site_id,
            me=me,
            moderated=moderated,
            before=before or _NEWEST,
            limit=limit + 1,
        )
        return [cls(*row) for row in rows]

    @classmethod
    def concerning(
        cls,
        tx: Reader,
        site_id: int,
        me: int,
        moderated: Collection[int],
        ref: ItemRef,
        before: int,
        limit: int,
    ) -> list[Self]:
        """Return up to `limit` + 1 actions that the profile `me`, who moderates the microcosms `moderated` (0: outside
        of all), may see by the rule that `Action.lock` gives, and that have changed the thing `ref`, undone since or
        not, or are about to, except mere plans; newest first, with ids below `before` (0: from the newest). The extra
        one says that there are more.
        """
        rows = tx.rows(
            CONCERNING,
            site_id=site_id,
            me=me,
            moderated=moderated,
            item_type=ref.type,
            item_id=ref.id,
            before=before,
            limit=limit + 1,
        )
        return [cls(*row) for row in rows]

    @property
    def people(self) -> set[int]:
        """Return the ids of the profiles that `document` shows."""
        return {self.actor_id, self.undone_by} - {0}

    def document(self, people: Mapping[int, bytes]) -> dict[str, Any]:
        """Return the action as a dict for JSON, without its changes; `people`: summaries of profiles, as JSON, by
        profile id.
        """
        data: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "ground": self.ground,
            "category": self.category,
            "rule": self.rule,
            "reason": self.reason,
            "note": self.note,
            "total": self.total,
        }
        if self.case_id:
            data["caseId"] = self.case_id
        if self.rule_id:
            data["byRule"] = self.rule_id
            data["ruleVersion"] = self.rule_version
        if self.place_id:
            data["microcosmId"] = self.place_id
        if self.into_type:
            name = itemtypes.name_of(self.into_type)
            data["into"] = {"itemType": name, "itemId": self.into_id}
        if self.title:
            data["title"] = self.title
        if self.ends is not None:
            data["ends"] = format_time(self.ends)
        if self.state == PLANNED:
            data["ticket"] = str(self.id)
        data["created"] = format_time(self.created)
        data["createdBy"] = person(people, self.actor_id)
        if self.finished is not None:
            data["finished"] = format_time(self.finished)
        if self.undone is not None:
            data["undone"] = format_time(self.undone)
            data["undoneBy"] = person(people, self.undone_by)
        return data | {"meta": {"links": [{"rel": "self", "href": f"{PATH}/{self.id}"}]}}


def changes(tx: Reader, site_id: int, id: int, moderated: Collection[int]) -> dict[str, Any]:
    """Return the things of the action `id` as JSON members: `counts`, numbers of things by state, and `targets`, up to
    MOST_CHANGES things in the order of the plan, each with its state; those that were refused or could not be undone
    come first, each with the reason. The caller has checked that the viewer, who moderates the microcosms `moderated`
    (0: outside of all), may see the action; a comment or item that is in none of them now has no text.
    """
    counted: dict[str, int] = dict(tx.rows(COUNTS, site_id=site_id, id=id))
    named = {"site_id": site_id, "id": id, "limit": MOST_CHANGES}
    rows = tx.rows(CHANGES, moderated=list(moderated), **named)
    return {
        "counts": {state: counted.get(state, 0) for state in STATES},
        "targets": [_change(row) for row in rows],
    }


def _change(row: Row) -> dict[str, Any]:
    item_type, item_id, state, why, text = row
    data = {
        "itemType": itemtypes.name_of(item_type),
        "itemId": item_id,
        "href": itemtypes.href(item_type, item_id),
        "state": state,
    }
    if text is not None:
        data["text"] = text
    return data | {"why": why} if why else data
