"""Statements of reasons (DSA, Article 17) to the authors of things: what was decided about these, why, and until when.

A statement names neither who reported nor who acted, and holds nothing of what moderators write to each other.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.models.trust.action_kinds import KINDS
from forumapi.models.trust.dsa_terms import GROUNDS
from forumapi.wire.json_fragments import format_time

PATH: Final = "/api/v1/statements"
# Things that one statement lists.
MOST_THINGS: Final = 100
# Months in which a decision can be appealed against (DSA, Article 20).
APPEAL_MONTHS: Final = 6

# One for each author of what an action changes.
INSERT_FOR = Query(
    "statement_of_reasons.insert_for",
    """
    INSERT INTO statements AS s (site_id, action_id, profile_id)
    SELECT %(site_id)s, %(action_id)s, u.id FROM unnest(%(profile_ids)s::bigint[]) AS u (id)
        ON CONFLICT (site_id, action_id, profile_id) DO UPDATE SET action_id = EXCLUDED.action_id
 RETURNING s.profile_id, s.statement_id""",
)

# Of an author whose things are not all as before, the statement stays.
REVOKE = Query(
    "statement_of_reasons.revoke",
    """
    UPDATE statements s
       SET revoked = now()
     WHERE s.site_id = %(site_id)s AND s.action_id = %(action_id)s AND s.revoked IS NULL
       AND NOT EXISTS (SELECT FROM action_changes x
                        WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s
                          AND x.author_id = s.profile_id AND x.state IN ('done', 'conflict'))""",
)

_OWN: Final = """
    SELECT s.statement_id, s.created, s.revoked,
           (SELECT p.decided FROM appeals p
             WHERE p.site_id = s.site_id AND p.statement_id = s.statement_id AND p.state = 'granted'),
           a.kind, a.ground, a.category, a.rule, a.reason, a.place_id, a.ends, a.is_automated,
           (SELECT count(*) FROM action_changes n
             WHERE n.site_id = s.site_id AND n.action_id = s.action_id AND n.author_id = s.profile_id
               AND n.statement_id = s.statement_id)
      FROM statements s
      JOIN actions a ON a.site_id = s.site_id AND a.action_id = s.action_id
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(me)s"""
FIND = Query(
    "statement_of_reasons.find",
    f"{_OWN} AND s.statement_id = %(id)s",
)
OWN = Query(
    "statement_of_reasons.own",
    f"""
    {_OWN}
       AND (%(before)s::bigint = 0 OR s.statement_id < %(before)s::bigint)
     ORDER BY s.statement_id DESC
     LIMIT %(limit)s""",
)
# The end of the time for an appeal, and the appeal that there is, of a statement that its reader has found.
APPEALABLE = Query(
    "statement_of_reasons.appealable",
    """
    SELECT s.created + make_interval(months => %(months)s::int),
           (SELECT p.appeal_id FROM appeals p WHERE p.site_id = s.site_id AND p.statement_id = s.statement_id)
      FROM statements s
     WHERE s.site_id = %(site_id)s AND s.statement_id = %(id)s""",
)
OWN_BY_ID = Query(
    "statement_of_reasons.own_by_id",
    f"{_OWN} AND s.statement_id = ANY(%(ids)s::bigint[])",
)
THINGS = Query(
    "statement_of_reasons.things",
    """
    SELECT x.item_type_id, x.item_id, x.state = 'undone'
      FROM action_changes x
      JOIN statements s ON s.site_id = x.site_id AND s.statement_id = x.statement_id AND s.action_id = x.action_id
     WHERE x.site_id = %(site_id)s AND s.statement_id = %(id)s AND s.profile_id = %(me)s
     ORDER BY x.place
     LIMIT %(limit)s""",
)


def insert_for(
    tx: Transaction, site_id: int, action_id: int, profile_ids: Collection[int]
) -> dict[int, int]:
    """Store a statement of the action for each of these profiles that has none of it yet; return the ids of their
    statements of the action, new and earlier ones, by profile id.
    """
    if not profile_ids:
        return {}
    ids = sorted(profile_ids)
    return dict(tx.rows(INSERT_FOR, site_id=site_id, action_id=action_id, profile_ids=ids))


def revoke(tx: Transaction, site_id: int, action_id: int) -> None:
    """Mark as revoked those statements of the action whose addressees have no thing left that the action still changes,
    since it was undone.
    """
    tx.run(REVOKE, site_id=site_id, action_id=action_id)


class Statement(NamedTuple):
    """Statement of reasons as the person reads it to whom it is addressed. `kind`: the action's, a name in KINDS;
    `revoked`: time at which an undo left none of the person's things changed by the action, None before; `corrected`:
    time at which an appeal found the decision wrong, also where nothing could be undone, None before; `ground`,
    `category`, `rule`, `reason`: as in ActionGrounds; `place_id`, `ends`: as in Action; `things_total`: number of
    things that it is about; `is_automated`: a rule found the things, and decided.
    """

    id: int
    created: datetime.datetime
    revoked: datetime.datetime | None
    corrected: datetime.datetime | None
    kind: str
    ground: str
    category: str
    rule: str
    reason: str
    place_id: int
    ends: datetime.datetime | None
    is_automated: bool
    things_total: int

    @classmethod
    def find(cls, tx: Reader, site_id: int, me: int, id: int) -> Self | None:
        """Return a statement to the profile `me`; None if there is none with this id, or it is to another person."""
        row = tx.row(FIND, site_id=site_id, me=me, id=id)
        return cls(*row) if row else None

    @classmethod
    def page(cls, tx: Reader, site_id: int, me: int, before: int, limit: int) -> list[Self]:
        """Return up to `limit` + 1 statements to the profile `me`, newest first, with ids below `before` (0: from the
        newest). The extra one says that there are more.
        """
        rows = tx.rows(OWN, site_id=site_id, me=me, before=before, limit=limit + 1)
        return [cls(*row) for row in rows]

    def things(self, tx: Reader, site_id: int, me: int) -> list[Row]:
        """Return (type, id, True if the change was undone) of each of the first MOST_THINGS things that the statement
        is about, in the order of the action's plan, as rows for `thing`; [] unless the statement is addressed to the
        profile `me`.
        """
        return tx.rows(THINGS, site_id=site_id, id=self.id, me=me, limit=MOST_THINGS)

    def appealable(self, tx: Reader, site_id: int) -> tuple[datetime.datetime, int]:
        """Return (time until which an appeal against the statement is possible, id of the appeal that was made against
        it, 0 for none); (`created`, 0) for a statement that is gone.
        """
        row = tx.row(APPEALABLE, site_id=site_id, id=self.id, months=APPEAL_MONTHS)
        return (row[0], row[1] or 0) if row else (self.created, 0)

    def document(self) -> dict[str, Any]:
        """Return the statement as a dict for JSON, without the things that it is about."""
        data: dict[str, Any] = {
            "id": self.id,
            "action": self.kind,
            "decision": KINDS[self.kind].decided(
                is_site_wide=not self.place_id, is_for_good=self.ends is None
            ),
            "ground": GROUNDS[self.ground],
            "category": self.category,
            "rule": self.rule,
            "facts": self.reason,
            "automatedDetection": self.is_automated,
            "automatedDecision": self.is_automated,
            "applied": format_time(self.created),
            "ends": format_time(self.ends) if self.ends else None,
            "count": self.things_total,
        }
        if self.place_id:
            data["microcosmId"] = self.place_id
        if self.revoked is not None:
            data["revoked"] = format_time(self.revoked)
        if self.corrected is not None:
            data["corrected"] = format_time(self.corrected)
        return data | {"meta": {"links": [{"rel": "self", "href": f"{PATH}/{self.id}"}]}}


def documents(tx: Reader, site_id: int, me: int, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return those of the statements of reasons with the ids `ids` that are addressed to the profile `me`, as dicts for
    JSON, by statement id; no SQL statement is run for no ids.
    """
    rows = tx.rows(OWN_BY_ID, site_id=site_id, me=me, ids=sorted(ids)) if ids else ()
    return {row[0]: Statement(*row).document() for row in rows}


def thing(row: Row) -> dict[str, Any]:
    """Return a thing of a statement, a row of `things`, as a dict for JSON."""
    item_type, item_id, is_undone = row
    return {
        "itemType": itemtypes.name_of(item_type),
        "itemId": item_id,
        "href": itemtypes.href(item_type, item_id),
        "undone": is_undone,
    }
