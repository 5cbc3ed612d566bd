"""Cases as moderators read them: the queue, and one case with its reports, notes and actions."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.errors import Invalid
from forumapi.models.cases.case import DECIDED, OPEN, PATH, SEEN
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import format_time

PRIORITIES: Final = ("urgent", "high", "normal")
SOURCES: Final = ("reports", "hold", "appeal")
# Decided cases that one page is chosen from.
LOOKED: Final = 10_000

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_CURSOR: Final = re.compile(r"([0-2])-(\d{1,18})-(\d{1,18})", re.ASCII)
_LAST_US: Final = 253_402_300_799_999_999  # the end of the year 9999
_US: Final = datetime.timedelta(microseconds=1)

# Of a comment its text, which for one in a huddle is all that is shown of the huddle.
_COLUMNS: Final = f"""
    k.case_id, k.item_type_id, k.item_id, k.microcosm_id, k.author_id, k.state, k.outcome, k.priority, k.reports,
           k.opened, k.due, CASE WHEN k.taken_until > now() THEN k.taken_by END,
           CASE WHEN k.taken_until > now() THEN k.taken_until END, k.decided, k.decided_by,
           CASE k.item_type_id
                WHEN {itemtypes.COMMENT} THEN (SELECT c.markdown FROM comments c
                                                WHERE c.site_id = k.site_id AND c.comment_id = k.item_id)
                WHEN {itemtypes.PROFILE} THEN (SELECT p.profile_name FROM profiles p
                                                WHERE p.site_id = k.site_id AND p.profile_id = k.item_id)
                ELSE (SELECT i.title FROM items i WHERE i.site_id = k.site_id AND i.item_id = k.item_id) END,
           k.appeal_id, k.is_held, k.assigned_to"""
_FILTERS: Final = """
    (%(priority)s::smallint IS NULL OR k.priority = %(priority)s::smallint)
       AND (%(item_type)s::smallint = 0 OR k.item_type_id = %(item_type)s::smallint)
       AND (%(microcosm_id)s::bigint = 0 OR k.microcosm_id = %(microcosm_id)s::bigint)
       AND (NOT %(assigned)s::boolean OR k.assigned_to = %(me)s)
       AND (NOT %(overdue)s::boolean OR k.due < now())
       AND CASE %(source)s::text WHEN 'appeal' THEN k.appeal_id IS NOT NULL
                                 WHEN 'hold' THEN k.is_held
                                 WHEN 'reports' THEN k.reports > 0
                                 ELSE true END
       AND (NOT %(mine)s::boolean OR (k.taken_by = %(me)s AND k.taken_until > now()))"""

QUEUE = Query(
    "case_page.queue",
    f"""
    SELECT {_COLUMNS}
      FROM cases k
     WHERE k.site_id = %(site_id)s AND k.state <> 'decided' AND {SEEN} AND {_FILTERS}
       AND (k.priority, k.opened, k.case_id)
           > (%(after_priority)s::smallint, %(after)s::timestamptz, %(after_id)s::bigint)
     ORDER BY k.priority, k.opened, k.case_id
     LIMIT %(limit)s""",
    unrestricted="the reported comment alone, in a microcosm that the viewer moderates or outside of all, by its case",
)

# Many more cases are decided than are open, and of those few may fit: each page looks at LOOKED of them at most.
PAST = Query(
    "case_page.past",
    f"""
    SELECT {_COLUMNS}
      FROM (SELECT d.site_id, d.case_id, d.item_type_id, d.item_id, d.microcosm_id, d.author_id, d.state, d.outcome,
                   d.priority, d.reports, d.opened, d.due, d.taken_by, d.taken_until, d.decided, d.decided_by,
                   d.appeal_id, d.action_id, d.places, d.is_held, d.assigned_to
              FROM cases d
             WHERE d.site_id = %(site_id)s AND d.state = 'decided' AND d.case_id < %(after_id)s::bigint
             ORDER BY d.case_id DESC
             LIMIT %(looked)s) k
     WHERE {SEEN} AND {_FILTERS}
     ORDER BY k.case_id DESC
     LIMIT %(limit)s""",
    unrestricted="the reported comment alone, in a microcosm that the viewer moderates or outside of all, by its case",
)
LAST_LOOKED_AT = Query(
    "case_page.last_looked_at",
    """
    SELECT d.case_id
      FROM cases d
     WHERE d.site_id = %(site_id)s AND d.state = 'decided' AND d.case_id < %(after_id)s::bigint
     ORDER BY d.case_id DESC
    OFFSET %(looked)s::bigint - 1
     LIMIT 1""",
)

FIND = Query(
    "case_page.find",
    f"""
    SELECT {_COLUMNS}
      FROM cases k
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s AND {SEEN}""",
    unrestricted="the reported comment alone, in a microcosm that the viewer moderates or outside of all, by its case",
)

# Reports (0) and notes (1) of a case that the viewer has found.
PARTS = Query(
    "case_page.parts",
    """
    (SELECT 0, r.report_id, r.reporter_id, r.created, r.text, r.kind, r.category, r.guest_name, r.guest_email,
            r.shown_ids
       FROM reports r
      WHERE r.site_id = %(site_id)s AND r.case_id = %(id)s
      ORDER BY r.report_id
      LIMIT 500)
     UNION ALL
    (SELECT 1, n.note_id, n.created_by, n.created, n.text, '', '', '', '', '{}'::bigint[]
       FROM case_notes n
      WHERE n.site_id = %(site_id)s AND n.case_id = %(id)s
      ORDER BY n.note_id
      LIMIT 500)
     ORDER BY 1, 2""",
)
# What reporters show of the huddle that the case's comment is in, as far as it is still there.
SHOWN = Query(
    "case_page.shown",
    """
    SELECT c.comment_id, c.created_by, c.created, c.markdown
      FROM cases k
      JOIN comments said ON said.site_id = k.site_id AND said.comment_id = k.item_id
      JOIN comments c ON c.site_id = k.site_id AND c.item_id = said.item_id AND c.comment_id = ANY(%(ids)s::bigint[])
                     AND NOT c.is_deleted
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s
     ORDER BY c.comment_id""",
)
ACTIONS = Query(
    "case_page.actions",
    """
    SELECT a.action_id FROM actions a
     WHERE a.site_id = %(site_id)s AND a.case_id = %(id)s AND a.state <> 'planned'
     ORDER BY a.action_id""",
)


class QueueCursor(NamedTuple):
    """Position in the queue right after a case: its priority, opening and id. Among decided cases the id alone
    counts.
    """

    priority: int
    opened: datetime.datetime
    id: int

    @classmethod
    def read(cls, text: str) -> QueueCursor | None:
        """Parse the cursor that a client sends back; None for "". Raises Invalid for a text that is no cursor."""
        if not text:
            return None
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[2]) > _LAST_US:
            raise Invalid("after", "must be taken from the link `next`")
        return cls(int(match[1]), _EPOCH + int(match[2]) * _US, int(match[3]))

    @property
    def text(self) -> str:
        """Return the cursor as a text, which clients send back and `read` parses."""
        return f"{self.priority}-{(self.opened - _EPOCH) // _US}-{self.id}"


FIRST: Final = QueueCursor(-1, _EPOCH, 0)
NEWEST: Final = QueueCursor(0, _EPOCH, 2**62)


class CaseFilters(NamedTuple):
    """Filters of the queue. `is_decided`: decided cases instead of open ones; `priority`: a place in PRIORITIES, None
    for any; `item_type` and `microcosm_id` 0: any; `source`: only cases with `reports`, of a `hold` or of an `appeal`,
    "" for any; `mine`, `assigned`: only those that the viewer has taken, or that are assigned to the viewer; `overdue`:
    only those whose due time has passed.
    """

    is_decided: bool = False
    priority: int | None = None
    item_type: int = 0
    microcosm_id: int = 0
    mine: bool = False
    assigned: bool = False
    overdue: bool = False
    source: str = ""


class ShownCase(NamedTuple):
    """Case as moderators see it. `microcosm_id` 0: the thing is outside of all; `state`: as in Case; `outcome`: acted
    or dismissed, "" before the decision; `reports`: number of the reports in it; `author_id`: author of the thing;
    `priority` 0 is the first; `due`: time by which it is to be decided; `taken_by` until `taken_until`, `assigned_to`,
    `decided_by`: profiles, None for nobody; `appeal_id` None: it is about no appeal; `is_held`: a rule or check holds
    the thing, so that a moderator decides. `text`: the comment's Markdown, the item's title or the profile's name, None
    if the thing is gone.
    """

    id: int
    item_type: int
    item_id: int
    microcosm_id: int
    author_id: int
    state: str
    outcome: str
    priority: int
    reports: int
    opened: datetime.datetime
    due: datetime.datetime
    taken_by: int | None
    taken_until: datetime.datetime | None
    decided: datetime.datetime | None
    decided_by: int | None
    text: str | None
    appeal_id: int | None
    is_held: bool
    assigned_to: int | None

    @property
    def cursor(self) -> QueueCursor:
        """Return the position right after this case."""
        return QueueCursor(self.priority, self.opened, self.id)

    @property
    def people(self) -> set[int]:
        """Return the ids of the profiles that `document` shows."""
        others = {self.taken_by or 0, self.decided_by or 0, self.assigned_to or 0}
        return (others | {self.author_id}) - {0}

    def document(self, people: Mapping[int, bytes]) -> dict[str, Any]:
        """Return the case as a dict for JSON; `people`: summaries of profiles, as JSON, by profile id."""
        data: dict[str, Any] = {
            "id": self.id,
            "itemType": itemtypes.name_of(self.item_type),
            "itemId": self.item_id,
            "author": person(people, self.author_id),
            "state": DECIDED if self.state == DECIDED else OPEN,
            "priority": PRIORITIES[self.priority],
            "reports": self.reports,
            "opened": format_time(self.opened),
            "due": format_time(self.due),
            "held": self.is_held,
        }
        if self.appeal_id:
            data["appealId"] = self.appeal_id
        if self.assigned_to:
            data["assignedTo"] = person(people, self.assigned_to)
        if self.microcosm_id:
            data["microcosmId"] = self.microcosm_id
        if self.text is not None:
            data["text"] = self.text
        if self.taken_by and self.taken_until:
            data["takenBy"] = person(people, self.taken_by)
            data["takenUntil"] = format_time(self.taken_until)
        if self.decided is not None:
            data["outcome"] = self.outcome
            data["decided"] = format_time(self.decided)
            data["decidedBy"] = person(people, self.decided_by)
        return data

    def links(self) -> list[dict[str, Any]]:
        """Return the links of the case, dicts for JSON with `rel` and `href`: to itself, to the thing that it is about
        and, if it is about an appeal, to the appeal.
        """
        links = [
            {"rel": "self", "href": f"{PATH}/{self.id}"},
            {"rel": "item", "href": itemtypes.href(self.item_type, self.item_id)},
        ]
        if self.appeal_id:
            links.append({"rel": "appeal", "href": f"/api/v1/appeals/{self.appeal_id}"})
        return links


def person(people: Mapping[int, bytes], id: int | None) -> Any:
    """Return the summary of the profile `id` as a JSON value; None if it is not in `people`, the summaries as JSON by
    profile id.
    """
    found = people.get(id or 0)
    return json_fragments.raw(found) if found else None


class QueuePage(NamedTuple):
    """Page of the queue. `after`: the cursor that the next page is read with, None on the last page."""

    cases: list[ShownCase]
    after: QueueCursor | None


def queue(
    tx: Reader,
    site_id: int,
    me: int,
    moderated: Collection[int],
    shown: Collection[int],
    filters: CaseFilters,
    after: QueueCursor | None,
    limit: int,
) -> QueuePage:
    """Return up to `limit` cases that the profile `me`, who moderates the microcosms `moderated` (0: outside of all),
    may see by the rule that `Case.lock` gives, and that `filters` let through, after the cursor `after` (None: from the
    beginning). Open cases are ordered by priority, then oldest first; decided ones newest first. A page of decided
    cases is chosen from the next LOOKED ones: where fewer of these fit, it is shorter, even empty, and not the last.

    `shown`: types of things that the caller's token may read; cases about others are left out.
    """
    if filters.is_decided and filters.mine:
        # The decision has ended the lease.
        return QueuePage([], None)
    at = after or (NEWEST if filters.is_decided else FIRST)
    rows = tx.rows(
        PAST if filters.is_decided else QUEUE,
        site_id=site_id,
        me=me,
        moderated=moderated,
        shown=sorted(shown),
        priority=filters.priority,
        item_type=filters.item_type,
        microcosm_id=filters.microcosm_id,
        mine=filters.mine,
        assigned=filters.assigned,
        overdue=filters.overdue,
        source=filters.source,
        after_priority=at.priority,
        after=at.opened,
        after_id=at.id,
        looked=LOOKED,
        limit=limit + 1,
    )
    cases = [ShownCase(*row) for row in rows[:limit]]
    if len(rows) > limit:
        return QueuePage(cases, cases[-1].cursor)
    last = None
    if filters.is_decided:
        last = tx.value(LAST_LOOKED_AT, site_id=site_id, after_id=at.id, looked=LOOKED)
    return QueuePage(cases, NEWEST._replace(id=last) if last else None)


def find(
    tx: Reader,
    site_id: int,
    id: int,
    me: int,
    moderated: Collection[int],
    shown: Collection[int],
) -> ShownCase | None:
    """Return the case `id`; None if there is none, or the profile `me`, who moderates the microcosms `moderated` (0:
    outside of all), may not see it by the rule that `Case.lock` gives, or the case is about a thing whose type is not
    in `shown`. `shown`: types of things that the caller's token may read.
    """
    row = tx.row(FIND, site_id=site_id, id=id, me=me, moderated=moderated, shown=sorted(shown))
    return ShownCase(*row) if row else None


class CaseParts(NamedTuple):
    """Parts of a case: its `reports` and `notes`, each a row of PARTS, oldest first; `actions`, ids of the actions on
    it, ascending; and `shown`, rows of SHOWN: comments of the huddle that reporters show to moderators.
    """

    reports: list[Row]
    notes: list[Row]
    actions: list[int]
    shown: list[Row]

    @property
    def people(self) -> set[int]:
        """Return the ids of the profiles that `documents` shows."""
        rows = (*self.reports, *self.notes)
        return {row[2] for row in rows if row[2]} | {row[1] for row in self.shown}

    def documents(
        self, people: Mapping[int, bytes], checks: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return the members of the case for its parts as JSON values: reports, comments of a huddle that reporters
        show, verdicts of checks, notes and ids of actions; the second and third are left out if there are none.
        `people`: summaries of profiles, as JSON, by profile id; `checks`: the verdicts, as dicts for JSON.
        """
        return {
            "reported": [
                {
                    "reporter": person(people, row[2]),
                    "created": format_time(row[3]),
                    "kind": row[5],
                    "category": row[6],
                    "text": row[4],
                }
                | ({} if row[2] else {"guest": {"name": row[7], "email": row[8]}})
                | ({"shownIds": row[9]} if row[9] else {})
                for row in self.reports
            ],
            **({"shown": [_shown(row, people) for row in self.shown]} if self.shown else {}),
            **({"checks": list(checks)} if checks else {}),
            "notes": [
                {
                    "text": row[4],
                    "created": format_time(row[3]),
                    "createdBy": person(people, row[2]),
                }
                for row in self.notes
            ],
            "actions": self.actions,
        }


def parts(tx: Reader, site_id: int, id: int) -> CaseParts:
    """Return the parts of a case: of its reports and of its notes the 500 oldest each, without actions that are mere
    plans. The caller has checked that the viewer may see the case.
    """
    rows = tx.rows(PARTS, site_id=site_id, id=id)
    actions = [row[0] for row in tx.rows(ACTIONS, site_id=site_id, id=id)]
    reports = [row for row in rows if not row[0]]
    ids = sorted({id for row in reports for id in row[9]})
    shown = tx.rows(SHOWN, site_id=site_id, id=id, ids=ids) if ids else []
    return CaseParts(reports, [row for row in rows if row[0]], actions, shown)


def _shown(row: Row, people: Mapping[int, bytes]) -> dict[str, Any]:
    return {
        "id": row[0],
        "text": row[3],
        "created": format_time(row[2]),
        "createdBy": person(people, row[1]),
    }


def is_decided(state: str) -> bool:
    """Return True for `state` `decided`, False for `open` and "". Raises Invalid for any other text."""
    if state not in ("", "open", DECIDED):
        raise Invalid("state", "must be open or decided")
    return state == DECIDED
