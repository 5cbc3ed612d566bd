"""Reports: what a person says is wrong with a thing. The first one about a thing opens its case."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import TooMany
from forumapi.itemtypes import ItemRef
from forumapi.models.trust import legal_terms
from forumapi.wire.json_fragments import format_time

PATH: Final = "/api/v1/reports"
# Reports of one person in a day.
MOST_A_DAY: Final = 100

# The thing's row is locked, so that its case and the reporter's earlier report can't come into being meanwhile.
EARLIER = Query(
    "report.earlier",
    """
    SELECT (SELECT r.report_id FROM reports r
             WHERE r.site_id = %(site_id)s AND r.reporter_id = %(me)s AND r.item_type_id = %(item_type)s
               AND r.item_id = %(item_id)s),
           (SELECT count(*) FROM reports r
             WHERE r.site_id = %(site_id)s AND r.reporter_id = %(me)s AND r.created > now() - interval '1 day')""",
)

INSERT = Query(
    "report.insert",
    """
    WITH thing AS (
        SELECT coalesce(c.item_id, CASE WHEN %(is_item)s::boolean THEN %(item_id)s END) AS in_item_id
          FROM (SELECT 1) one
          LEFT JOIN comments c ON c.site_id = %(site_id)s AND %(is_comment)s::boolean AND c.comment_id = %(item_id)s),
    opened AS (
        INSERT INTO cases AS k (site_id, item_type_id, item_id, in_item_id, microcosm_id, author_id, priority, due,
                                reports)
        SELECT %(site_id)s, %(item_type)s, %(item_id)s, t.in_item_id, %(microcosm_id)s, %(author_id)s, %(priority)s,
               now() + make_interval(days => %(days)s::int), 1
          FROM thing t
            ON CONFLICT (site_id, item_type_id, item_id) WHERE state = 'open' DO UPDATE
           SET reports = k.reports + 1, priority = least(k.priority, EXCLUDED.priority),
               due = least(k.due, EXCLUDED.due)
     RETURNING k.case_id)
    INSERT INTO reports (site_id, case_id, item_type_id, item_id, reporter_id, kind, category, text)
    SELECT %(site_id)s, o.case_id, %(item_type)s, %(item_id)s, %(me)s, %(kind)s, %(category)s, %(text)s
      FROM opened o
 RETURNING report_id""",
)

_COLUMNS: Final = """
    r.report_id, r.item_type_id, r.item_id, r.kind, r.category, r.text, r.created, k.state, k.outcome, k.decided"""

FIND = Query(
    "report.find",
    f"""
    SELECT {_COLUMNS}
      FROM reports r
      JOIN cases k ON k.site_id = r.site_id AND k.case_id = r.case_id
     WHERE r.site_id = %(site_id)s AND r.reporter_id = %(me)s AND r.report_id = %(id)s""",
)

OWN = Query(
    "report.own",
    f"""
    SELECT {_COLUMNS}
      FROM reports r
      JOIN cases k ON k.site_id = r.site_id AND k.case_id = r.case_id
     WHERE r.site_id = %(site_id)s AND r.reporter_id = %(me)s
       AND (%(before)s::bigint = 0 OR r.report_id < %(before)s::bigint)
     ORDER BY r.report_id DESC
     LIMIT %(limit)s""",
)


class ReportedThing(NamedTuple):
    """Thing that is reported. `author_id`: its author's profile; `microcosm_id` 0: it is outside of all microcosms."""

    ref: ItemRef
    microcosm_id: int
    author_id: int


@dataclasses.dataclass
class Report:
    """Report of a thing: its kind, its category, and the words of its reporter."""

    thing: ReportedThing
    kind: str
    category: str
    text: str
    id: int = 0

    def insert(self, tx: Transaction, site_id: int, me: int) -> bool:
        """Store the report of the profile `me`, and open the thing's case if none is open; return False, and store
        nothing, if `me` has reported the thing before.

        `id` is set in both cases: to that of the new report, or of the earlier one. The caller has locked the thing's
        row. Raises TooMany if `me` has sent MOST_A_DAY reports within a day.
        """
        named = {
            "site_id": site_id,
            "me": me,
            "item_type": self.thing.ref.type,
            "item_id": self.thing.ref.id,
        }
        row = tx.row(EARLIER, **named)
        assert row is not None
        earlier, recent = row
        if earlier:
            self.id = earlier
            return False
        if recent >= MOST_A_DAY:
            raise TooMany(f"At most {MOST_A_DAY} reports a day", 3600)
        priority = legal_terms.priority(self.kind, self.category)
        self.id = tx.value(
            INSERT,
            **named,
            is_comment=self.thing.ref.type == itemtypes.COMMENT,
            is_item=self.thing.ref.type in itemtypes.IN_MICROCOSM,
            microcosm_id=self.thing.microcosm_id,
            author_id=self.thing.author_id,
            priority=priority,
            days=legal_terms.DUE_DAYS[priority],
            kind=self.kind,
            category=self.category,
            text=self.text,
        )
        return True


class OwnReport(NamedTuple):
    """Report as its reporter sees it, with the state and outcome of its case."""

    id: int
    item_type: int
    item_id: int
    kind: str
    category: str
    text: str
    created: datetime.datetime
    state: str
    outcome: str
    decided: datetime.datetime | None

    @classmethod
    def find(cls, tx: Reader, site_id: int, me: int, id: int) -> Self | None:
        """Return a report of the profile `me`; None if there is none with this id, or it is another person's."""
        row = tx.row(FIND, site_id=site_id, me=me, id=id)
        return cls(*row) if row else None

    @classmethod
    def page(cls, tx: Reader, site_id: int, me: int, before: int, limit: int) -> list[Self]:
        """Return up to `limit` + 1 reports of the profile `me`, newest first, with ids below `before` (0: from the
        newest). The extra one says that there are more.
        """
        rows = tx.rows(OWN, site_id=site_id, me=me, before=before, limit=limit + 1)
        return [cls(*row) for row in rows]

    def document(self) -> dict[str, Any]:
        """Return the report as a dict for JSON."""
        data: dict[str, Any] = {
            "id": self.id,
            "itemType": itemtypes.name_of(self.item_type),
            "itemId": self.item_id,
            "kind": self.kind,
            "category": self.category,
            "text": self.text,
            "state": self.state,
        }
        if self.decided is not None:
            data["outcome"] = self.outcome
            data["decided"] = format_time(self.decided)
        return data | {
            "meta": {
                "created": format_time(self.created),
                "links": [
                    {"rel": "self", "href": f"{PATH}/{self.id}"},
                    {"rel": "item", "href": itemtypes.href(self.item_type, self.item_id)},
                ],
            }
        }
