"""Actions: what a moderator does to one thing or to many, planned, done in batches, and undone.

The plan has a row for each thing. A batch locks things in the order of targets.py, changes them, and marks their rows
in the same transaction: so a process that is killed repeats no step.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.errors import Conflict
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.models.trust import (
    carried_marks,
    merge_and_split_kinds,  # noqa: F401 - registers its kinds
    statement_of_reasons,
    targets,
)
from forumapi.models.trust.action_kinds import (
    KINDS,
    ActionKind,
    ActionOptions,
    Applied,
    AppliedChange,
    Refusal,
    UndoneChange,
)
from forumapi.models.trust.dsa_terms import VIOLATION

PATH: Final = "/api/v1/actions"
PLANNED: Final = "planned"
RUNNING: Final = "running"
DONE: Final = "done"
UNDOING: Final = "undoing"
UNDONE: Final = "undone"
# Things that an action changes within its request; more are changed in the background.
IN_REQUEST: Final = 250
# Things of the first transaction in the background, and of the smallest; writers of these things wait for it.
BATCH: Final = 50
LEAST: Final = 10
# Things of one action.
MOST: Final = 100_000
# In place of the item that an action of other kinds than merge and split has not.
NOTHING: Final = ItemRef(0, 0)
NOT_YOURS: Final = "this is gone, or not yours to moderate"
TICKET_MINUTES: Final = 15
UNDO_DAYS: Final = 30

INSERT = Query(
    "action.insert",
    """
    INSERT INTO actions (site_id, kind, state, actor_id, operator, is_automated, case_id, ground, category, rule,
                         reason, note, place_id, ends, rule_id, rule_version, into_type_id, into_item_id, title)
    VALUES (%(site_id)s, %(kind)s, 'planned', %(me)s, %(operator)s, %(is_automated)s, %(case_id)s, %(ground)s,
            %(category)s, %(rule)s, %(reason)s, %(note)s, %(place_id)s, %(ends)s,
            nullif(%(rule_id)s::bigint, 0), %(rule_version)s, nullif(%(into_type)s::smallint, 0::smallint),
            nullif(%(into_id)s::bigint, 0), %(title)s)
 RETURNING action_id""",
)

_PLACED: Final = """
    row_number() OVER (ORDER BY array_position(%(types)s::smallint[], f.type), f.id)"""
_STORE: Final = f"""
    stored AS (
        INSERT INTO action_changes (site_id, action_id, place, item_type_id, item_id, author_id, state)
        SELECT %(site_id)s, %(action_id)s, {_PLACED.strip()}, f.type, f.id, f.author_id, 'planned'
          FROM found f)
    UPDATE actions a
       SET total = n.total,
           microcosm_ids = ARRAY(SELECT DISTINCT p.id
                                   FROM unnest(n.places || CASE WHEN %(place_id)s::bigint > 0
                                                                THEN ARRAY[%(place_id)s::bigint]
                                                                ELSE '{{}}'::bigint[] END) AS p (id))
      FROM (SELECT count(*) AS total, coalesce(array_agg(DISTINCT f.microcosm_id), '{{}}') AS places
              FROM found f) n
     WHERE a.site_id = %(site_id)s AND a.action_id = %(action_id)s
 RETURNING a.total, a.microcosm_ids"""

# Things by their ids, as far as the actor moderates them. A comment in a huddle has an item without microcosm: only the
# reported one counts as outside of all.
PLAN_IDS = Query(
    "action.plan_ids",
    f"""
    WITH asked AS (
        SELECT DISTINCT a.type, a.id FROM unnest(%(item_types)s::smallint[], %(item_ids)s::bigint[]) AS a (type, id)),
    found AS (
        SELECT a.type, a.id, i.microcosm_id, i.created_by AS author_id
          FROM asked a
          JOIN items i ON i.site_id = %(site_id)s AND i.item_id = a.id AND i.item_type_id = a.type
         WHERE i.microcosm_id = ANY(%(moderated)s::bigint[])
         UNION ALL
        SELECT a.type, a.id, p.id, c.created_by
          FROM asked a
          JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = a.id AND a.type = {itemtypes.COMMENT}
          LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
         CROSS JOIN LATERAL (SELECT CASE WHEN c.item_id IS NULL
                                              OR i.item_type_id = {itemtypes.HUDDLE} AND a.id = %(reported_id)s
                                         THEN 0 ELSE i.microcosm_id END AS id) p
         WHERE p.id = ANY(%(moderated)s::bigint[])
         UNION ALL
        SELECT a.type, a.id, %(place_id)s::bigint, p.profile_id
          FROM asked a
          JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = a.id AND a.type = {itemtypes.PROFILE}),
    {_STORE}""",
)

# The comment that an action's case is about.
REPORTED = Query(
    "action.reported",
    f"""
    SELECT k.item_id
      FROM cases k
     WHERE k.site_id = %(site_id)s AND k.case_id = %(case_id)s AND k.item_type_id = {itemtypes.COMMENT}""",
)

# SQL: a thing is not redacted yet, or the action is not a redaction.
_UNREDACTED: Final = """
           AND (NOT %(is_final)s::boolean
                OR NOT EXISTS (SELECT FROM action_changes r
                                 JOIN actions b ON b.site_id = r.site_id AND b.action_id = r.action_id
                                               AND b.kind = 'redact'
                                WHERE r.site_id = %(site_id)s AND r.item_type_id = {item_type} AND r.item_id = {item}
                                  AND r.state = 'done'))"""
_COMMENT_UNREDACTED: Final = _UNREDACTED.format(item_type=itemtypes.COMMENT, item="c.comment_id")

# Everything that somebody wrote since a time, as far as the actor moderates it and the action would change it.
PLAN_QUERY = Query(
    "action.plan_query",
    f"""
    WITH found AS (
        SELECT i.item_type_id AS type, i.item_id AS id, i.microcosm_id, i.created_by AS author_id
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.created_by = %(by)s AND i.created >= %(since)s::timestamptz
           AND i.microcosm_id = ANY(%(within)s::bigint[])
           AND (%(is_final)s::boolean OR i.is_deleted = %(was_deleted)s::boolean)
           AND i.item_type_id = ANY(%(takes)s::smallint[])
           AND CASE %(flag)s::text WHEN 'is_deleted' THEN i.is_deleted WHEN 'is_moderated' THEN i.is_moderated
                                   WHEN 'is_open' THEN i.is_open WHEN 'is_sticky' THEN i.is_sticky
                                   ELSE i.microcosm_id = %(place_id)s END <> %(becomes)s::boolean
           {_UNREDACTED.format(item_type="i.item_type_id", item="i.item_id").strip()}
         UNION ALL
        SELECT {itemtypes.COMMENT}::smallint, c.comment_id, i.microcosm_id, c.created_by
          FROM comments c
          JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
         WHERE c.site_id = %(site_id)s AND c.created_by = %(by)s AND c.created >= %(since)s::timestamptz
           AND i.microcosm_id = ANY(%(within)s::bigint[])
           AND (%(is_final)s::boolean OR c.is_deleted = %(was_deleted)s::boolean)
           AND {itemtypes.COMMENT} = ANY(%(takes)s::smallint[])
           AND CASE %(flag)s::text WHEN 'is_deleted' THEN c.is_deleted WHEN 'is_moderated' THEN c.is_moderated
                                   ELSE NOT %(is_final)s::boolean END <> %(becomes)s::boolean
           {_COMMENT_UNREDACTED.strip()}
         UNION ALL
        SELECT {itemtypes.COMMENT}::smallint, c.comment_id, 0, c.created_by
          FROM comments c
         WHERE c.site_id = %(site_id)s AND c.created_by = %(by)s AND c.created >= %(since)s::timestamptz
           AND c.on_profile_id IS NOT NULL AND 0 = ANY(%(within)s::bigint[])
           AND (%(is_final)s::boolean OR c.is_deleted = %(was_deleted)s::boolean)
           AND {itemtypes.COMMENT} = ANY(%(takes)s::smallint[])
           AND CASE %(flag)s::text WHEN 'is_deleted' THEN c.is_deleted WHEN 'is_moderated' THEN c.is_moderated
                                   ELSE NOT %(is_final)s::boolean END <> %(becomes)s::boolean
           {_COMMENT_UNREDACTED.strip()}),
    {_STORE}""",
)

# A PATCH of one thing, before it happens: what its flag is now becomes the change's `before`.
RECORD = Query(
    "action.record",
    """
    WITH made AS (
        INSERT INTO actions (site_id, kind, state, actor_id, ground, category, microcosm_ids, total, finished)
        VALUES (%(site_id)s, %(kind)s, 'done', %(me)s, 'terms', %(category)s, ARRAY[%(microcosm_id)s::bigint], 1, now())
     RETURNING action_id),
    stated AS (
        INSERT INTO statements (site_id, action_id, profile_id)
        SELECT %(site_id)s, m.action_id, %(author_id)s FROM made m WHERE %(is_stated)s::boolean
     RETURNING statement_id)
    INSERT INTO action_changes (site_id, action_id, place, item_type_id, item_id, author_id, state, before, after,
                                applied, statement_id)
    SELECT %(site_id)s, m.action_id, 1, %(item_type)s, %(item_id)s, %(author_id)s, 'done',
           %(before)s::jsonb || coalesce((SELECT jsonb_build_object('edited', i.edited, 'edited_by', i.edited_by,
                                                                    'edit_reason', i.edit_reason)
                                            FROM items i
                                           WHERE %(is_item)s::boolean AND i.site_id = %(site_id)s
                                             AND i.item_id = %(item_id)s), '{}'),
           %(after)s::jsonb || CASE WHEN %(is_item)s::boolean THEN jsonb_build_object('edited', now()) ELSE '{}' END,
           clock_timestamp(), (SELECT s.statement_id FROM stated s)
      FROM made m""",
)

_COLUMNS: Final = """
    a.action_id, a.kind, a.state, coalesce(a.actor_id, 0), coalesce(a.case_id, 0), a.ground, a.category, a.rule,
           a.reason, a.note, a.place_id, a.ends, a.microcosm_ids, a.total, a.created,
           a.created < now() - make_interval(mins => %(ticket_minutes)s::int),
           a.created < now() - make_interval(days => %(undo_days)s::int), a.is_automated, a.operator,
           coalesce(a.rule_id, 0), a.rule_version, coalesce(a.into_item_id, 0), a.title"""

# SQL: an action `a` that `me` may see: who moderates everything that it concerns, and is not concerned by it.
SEEN: Final = """
    a.microcosm_ids <@ %(moderated)s::bigint[]
       AND (a.actor_id = %(me)s
            OR a.state <> 'planned'
               AND NOT EXISTS (SELECT FROM action_changes own
                                WHERE own.site_id = a.site_id AND own.action_id = a.action_id
                                  AND own.author_id = %(me)s))"""
LOCK = Query(
    "action.lock",
    f"""
    SELECT {_COLUMNS}
      FROM actions a
     WHERE a.site_id = %(site_id)s AND a.action_id = %(id)s AND {SEEN}
       FOR NO KEY UPDATE OF a""",
)
# For the background: of a site's actions the oldest that no other process works on. Those of a site that is closed
# wait: it may be a copy that is not served yet.
CLAIM = Query(
    "action.claim",
    f"""
    SELECT a.site_id, coalesce(CASE a.state WHEN 'undoing' THEN a.undone_by ELSE a.actor_id END, 0), {_COLUMNS}
      FROM actions a
      JOIN sites s ON s.site_id = a.site_id AND NOT s.is_deleted
     WHERE a.state IN ('running', 'undoing') AND a.action_id <> ALL(%(without)s::bigint[])
     ORDER BY a.created
     LIMIT 1
       FOR NO KEY UPDATE OF a SKIP LOCKED""",
    scope=PLATFORM,
)

WAITING = Query(
    "action.waiting",
    """
    SELECT x.place, x.item_type_id, x.item_id, x.author_id
      FROM action_changes x
     WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.state = 'planned'
     ORDER BY x.place
     LIMIT %(limit)s""",
)
# Changes that can be taken back, those first that were made last, with a later change of the same by another action.
DONE_CHANGES = Query(
    "action.done_changes",
    f"""
    SELECT x.place, x.item_type_id, x.item_id, x.applied, x.before, x.after,
           (SELECT CASE WHEN bool_or(y.after ? 'redacted') THEN 'this was removed for good'
                        WHEN count(*) > 0 THEN 'a later action has changed this' ELSE '' END
              FROM action_changes y
             WHERE y.site_id = x.site_id AND y.item_type_id = x.item_type_id AND y.item_id = x.item_id
               AND y.applied > x.applied AND y.action_id <> x.action_id AND y.state IN ('done', 'conflict')
               AND (y.after ? 'redacted'
                    OR y.after ?| ARRAY(SELECT jsonb_object_keys(x.after - 'last_activity' - 'edited'))))
      FROM action_changes x
     WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.state = 'done' AND x.before IS NOT NULL
       AND (%(author_id)s::bigint = 0 OR x.author_id = %(author_id)s::bigint)
     ORDER BY (x.item_type_id <> {itemtypes.COMMENT}) DESC, x.place DESC
     LIMIT %(limit)s""",
)
# What an undo before this one could not take back is tried again.
RETRY_CONFLICTS = Query(
    "action.retry_conflicts",
    """
    UPDATE action_changes x
       SET state = 'done', conflict = ''
     WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.state = 'conflict'""",
)
# In the order in which they were made: a later change has a later time.
STORE = Query(
    "action.store",
    """
    UPDATE action_changes x
       SET state = w.state, before = coalesce(w.before::jsonb, x.before), after = coalesce(w.after::jsonb, x.after),
           applied = CASE WHEN w.state = 'done' THEN (SELECT clock_timestamp()) + w.number * interval '1 microsecond'
                          ELSE x.applied END,
           conflict = w.conflict, statement_id = coalesce(w.statement_id, x.statement_id)
      FROM unnest(%(places)s::int[], %(states)s::text[], %(befores)s::text[], %(afters)s::text[], %(conflicts)s::text[],
                  %(statement_ids)s::bigint[])
           WITH ORDINALITY AS w (place, state, before, after, conflict, statement_id, number)
     WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.place = w.place""",
)
SET_STATE = Query(
    "action.set_state",
    """
    UPDATE actions a
       SET state = %(state)s,
           created = CASE WHEN a.state = 'planned' THEN now() ELSE a.created END,
           finished = CASE WHEN %(state)s::text = 'done' THEN now() ELSE a.finished END,
           undone = CASE WHEN %(state)s::text = 'undone' THEN now() ELSE a.undone END,
           undone_by = CASE WHEN %(state)s::text = 'undoing' THEN %(by)s::bigint ELSE a.undone_by END
     WHERE a.site_id = %(site_id)s AND a.action_id = %(action_id)s""",
)

FORGET_PLANS = Query(
    "action.forget_plans",
    """
    WITH gone AS (
        DELETE FROM action_changes x
         USING actions a
         WHERE a.site_id = x.site_id AND a.action_id = x.action_id AND a.state = 'planned'
           AND a.created < now() - interval '1 hour')
    SELECT count(*) FROM actions a WHERE a.state = 'planned'""",
    scope=PLATFORM,
)
DROP_PLANS = Query(
    "action.drop_plans",
    """
    DELETE FROM actions a
     WHERE a.state = 'planned' AND a.created < now() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM action_changes x
                        WHERE x.site_id = a.site_id AND x.action_id = a.action_id)""",
    scope=PLATFORM,
)
FORGET_STATES = Query(
    "action.forget_states",
    """
    UPDATE action_changes x
       SET before = NULL, after = NULL
     WHERE x.before IS NOT NULL AND x.applied < now() - make_interval(days => %(days)s::int)""",
    scope=PLATFORM,
)


class ActionGrounds(NamedTuple):
    """Grounds of an action: `ground`, TERMS or ILLEGAL, and `category`, one of CATEGORIES (dsa_terms.py); `rule` (words
    of the rule that was broken) and `reason`, which the authors of the things read; and `note`, which moderators alone
    read; these texts are HTML-escaped, "" for none.
    """

    ground: str
    category: str
    rule: str = ""
    reason: str = ""
    note: str = ""


class ActionQuery(NamedTuple):
    """Query for the things of an action: all that the profile `by` wrote from the time `since` on in the microcosms
    `within` (0: outside of all microcosms).
    """

    by: int
    since: datetime.datetime
    within: Sequence[int]


class _Step(NamedTuple):
    """Outcome of carrying out or undoing an action for one thing: the `state` of the thing in the action (done,
    unchanged or refused; after an undo undone or conflict) and its number `place` in the plan; `change`: what the
    action changed, None for no change and for an undo; and in `conflict` why the change was refused or could not be
    undone, "" for neither.
    """

    place: int
    state: str
    change: AppliedChange | None = None
    conflict: str = ""


@dataclasses.dataclass
class Action:
    """Action, whose row is locked until the transaction ends. `kind`: a name in KINDS; `state`: PLANNED, RUNNING, DONE,
    UNDOING or UNDONE; `case_id` 0: on no case; `place_id`: microcosm into which it moves things, or in which it
    restricts people, 0 for none; `ends`: end of a restriction, None for never; `microcosm_ids`: ids of the microcosms
    that its things were in when it was planned (0: outside of all), and `place_id`; `total`: number of its things;
    `created`: time at which it was planned or, once it has begun, began; `ground` to `note`: as in ActionGrounds.

    `actor_id` 0: a rule, or an operator, whose account is `operator`; `is_automated`: a machine alone has decided.

    `is_ticket_over`: the plan is too old to be carried out; `is_undo_over`: the action is older than UNDO_DAYS.
    `rule_id`: the rule that acts, in its version `rule_version`; 0 for none. `into_id`: the item that a merge moves
    comments into, or that a split has made, 0 for none; `title`: title of the conversation that a split makes.
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
    microcosm_ids: list[int]
    total: int
    created: datetime.datetime
    is_ticket_over: bool = False
    is_undo_over: bool = False
    is_automated: bool = False
    operator: str = ""
    rule_id: int = 0
    rule_version: int = 0
    into_id: int = 0
    title: str = ""

    @property
    def does(self) -> ActionKind:
        """Return the object in KINDS that carries out actions of this action's kind."""
        return KINDS[self.kind]

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        author: Author,
        kind: str,
        grounds: ActionGrounds,
        *,
        case_id: int = 0,
        place_id: int = 0,
        ends: datetime.datetime | None = None,
        is_automated: bool = False,
        rule_id: int = 0,
        rule_version: int = 0,
        into: ItemRef = NOTHING,
        title: str = "",
    ) -> Self:
        """Store a new action in the state PLANNED, without things, and return it. `kind`: a name in KINDS; `case_id`:
        the case that it is on, 0 for none; `place_id`: microcosm into which it moves things, or in which it restricts
        people, 0 for none; `ends`: end of a restriction, None for never.

        `is_automated`: a machine alone has decided; `rule_id`: the moderation rule that acts, in its version
        `rule_version`, 0 for none; with a rule, `author` has no profile. `into`: the item that a merge moves comments
        into, NOTHING for other kinds; `title`: title of the conversation that a split makes, "" for other kinds.
        """
        id = tx.value(
            INSERT,
            site_id=author.site_id,
            me=author.profile_id or None,
            operator=author.operator,
            is_automated=is_automated,
            kind=kind,
            case_id=case_id or None,
            place_id=place_id,
            ends=ends,
            rule_id=rule_id,
            rule_version=rule_version,
            into_type=into.type,
            into_id=into.id,
            title=title,
            **grounds._asdict(),
        )
        now = datetime.datetime.now(datetime.UTC)
        return cls(
            *(id, kind, PLANNED, author.profile_id, case_id, *grounds, place_id, ends, [], 0, now),
            is_automated=is_automated,
            operator=author.operator,
            rule_id=rule_id,
            rule_version=rule_version,
            into_id=into.id,
            title=title,
        )

    @classmethod
    def lock(
        cls, tx: Transaction, site_id: int, id: int, me: int, moderated: Collection[int]
    ) -> Self | None:
        """Lock an action and return it; None if there is none with this id, or the profile `me`, who moderates the
        microcosms `moderated` (0: outside of all), may not see it.

        `me` may see an action of which all microcosms are among `moderated`: an own one always, another's unless it is
        a mere plan or concerns a thing of `me`.
        """
        row = tx.row(
            LOCK,
            site_id=site_id,
            id=id,
            me=me,
            moderated=moderated,
            ticket_minutes=TICKET_MINUTES,
            undo_days=UNDO_DAYS,
        )
        return cls(*row) if row else None

    @classmethod
    def claim(cls, tx: Transaction, without: Collection[int] = ()) -> tuple[int, int, Self] | None:
        """Lock the oldest action that waits to be done or undone in the background, of any site that is not deleted,
        passing over actions that others have locked and those with the ids `without`. Return (site id, profile that
        does or undoes it, action), None if there is none. The profile is 0 for a rule and for an operator.
        """
        row = tx.row(
            CLAIM, without=list(without), ticket_minutes=TICKET_MINUTES, undo_days=UNDO_DAYS
        )
        return (row[0], row[1], cls(*row[2:])) if row else None

    # ------------------------------------------------------------ planning

    def plan(
        self, tx: Transaction, site_id: int, refs: Sequence[ItemRef], moderated: Collection[int]
    ) -> bool:
        """Store the things `refs` as the plan, in the order of their types in targets.TYPES, then of their ids; return
        False if one of them does not exist, or is in none of the microcosms `moderated` (0: outside of all): such a
        thing is not in the plan. A profile needs to exist only. A comment in a huddle counts as outside of all if the
        action is final and on the comment's case, and else as in no microcosm that anybody moderates.
        """
        self._plan(
            tx,
            PLAN_IDS,
            site_id,
            item_types=[ref.type for ref in refs],
            item_ids=[ref.id for ref in refs],
            moderated=moderated,
            reported_id=self._reported_id(tx, site_id),
        )
        return self.total == len(set(refs))

    def plan_query(self, tx: Transaction, site_id: int, query: ActionQuery) -> None:
        """Store as the plan all things that the query finds and that this kind of action would change: deleted things
        only if the kind restores or redacts; things that are redacted already not if the kind redacts.
        """
        kind = self.does
        self._plan(
            tx,
            PLAN_QUERY,
            site_id,
            by=query.by,
            since=query.since,
            within=list(query.within),
            takes=sorted(kind.takes),
            flag=kind.flag,
            becomes=kind.value if kind.flag else True,
            was_deleted=kind.flag == "is_deleted" and not kind.value,
            is_final=kind.final,
        )

    def _plan(self, tx: Transaction, query: Query, site_id: int, **params: Any) -> None:
        row = tx.row(
            query,
            site_id=site_id,
            action_id=self.id,
            place_id=self.place_id,
            types=targets.TYPES,
            **params,
        )
        assert row is not None
        self.total, self.microcosm_ids = row

    # ------------------------------------------------------------ doing

    def start(self, tx: Transaction, author: Author, allowed: Collection[int]) -> None:
        """Set the planned action to RUNNING. Up to IN_REQUEST things are changed at once; more are all changed in the
        background, by ActionWorker, and so are merges of conversations that, with what they are merged into, have more
        than IN_REQUEST comments together.

        `author`, `allowed`: as in `run`.
        """
        self.set_state(tx, author.site_id, RUNNING)
        if self._fits(tx, author.site_id):
            self.run(tx, author, allowed, IN_REQUEST)

    def run(self, tx: Transaction, author: Author, allowed: Collection[int], limit: int) -> None:
        """Change up to `limit` of the things that are not done yet, one alone if `_batch` says so; the last batch sets
        the action to DONE.

        `author`: the action's actor; `allowed`: ids of the microcosms that the actor moderates now (0: outside of all);
        a thing that is gone, or in none of them, is refused.
        """
        author = self._explained(author, self.kind)
        site_id = author.site_id
        limit = self._batch(tx, site_id, limit)
        rows = tx.rows(WAITING, site_id=site_id, action_id=self.id, limit=limit)
        refs = {row[0]: ItemRef(row[1], row[2]) for row in rows}
        others = self.does.others(self.into_id, None)
        held, items = self._lock(tx, site_id, list(refs.values()), others)
        options = self._options(allowed, items)
        reached = {
            place: held[ref]
            for place, ref in refs.items()
            if ref in held and held[ref].microcosm_id in options.allowed
        }
        changes = self.does.apply(tx, author, list(reached.values()), options)
        steps = [_outcome(*one) for one in zip(reached, changes, strict=True)]
        steps += [
            _Step(place, "refused", conflict=NOT_YOURS) for place in refs if place not in reached
        ]
        self._store(tx, site_id, steps, self._state_reasons(tx, site_id, rows, steps))
        if len(rows) < limit or limit >= self.total:
            self.set_state(tx, site_id, DONE)

    def undo(self, tx: Transaction, author: Author, allowed: Collection[int]) -> None:
        """Set the action to UNDOING. If it has up to IN_REQUEST things, take back at once what it changed; with more,
        or if it is a merge of many comments as in `start`, in the background. Things that could not be taken back
        earlier are tried again. `author`, `allowed`: as in `run_back`.

        Raises Conflict for an action that is not done, is final, is older than UNDO_DAYS, or was undone before and left
        no conflicts to try again.
        """
        if self.does.final:
            raise Conflict(f"An action of the kind {self.kind} is final")
        if self.state not in (DONE, UNDONE):
            raise Conflict("This action is not done")
        if self.is_undo_over:
            raise Conflict(f"An action can be undone for {UNDO_DAYS} days")
        retried = tx.run(RETRY_CONFLICTS, site_id=author.site_id, action_id=self.id)
        if self.state == UNDONE and not retried:
            raise Conflict("This action is undone already")
        self.set_state(tx, author.site_id, UNDOING, author.profile_id)
        if self._fits(tx, author.site_id):
            self.run_back(tx, author, allowed, IN_REQUEST)

    def run_back(
        self, tx: Transaction, author: Author, allowed: Collection[int], limit: int
    ) -> None:
        """Take back up to `limit` changes, one alone if `_batch` says so; the last batch sets the action to UNDONE, and
        marks statements of the action as revoked, as `statement_of_reasons.revoke` does. A thing stays, as a
        conflict, if it is gone, or in none of the microcosms `allowed`, if anybody, the action's own actor too, has
        since changed what the action changed of it, and for other reasons that the kind gives (`ActionKind.inverse`).

        `author`: who undoes the action; `allowed`: ids of the microcosms that the author moderates now (0: outside of
        all).
        """
        limit = self._batch(tx, author.site_id, limit)
        if self._take_back(tx, author, allowed, limit, 0) < limit or limit >= self.total:
            statement_of_reasons.revoke(tx, author.site_id, self.id)
            self.set_state(tx, author.site_id, UNDONE)

    def undo_for(
        self, tx: Transaction, author: Author, allowed: Collection[int], author_id: int
    ) -> None:
        """Take back, within the transaction, what the action changed of the things of the profile `author_id`; the
        action's state stays, and statements of the action are marked as revoked, as `statement_of_reasons.revoke` does.
        `author`, `allowed`: as in `run_back`.

        A thing of which no earlier state is stored any more, UNDO_DAYS later, stays as it is, as do all things of an
        action of a final kind. Raises Conflict unless the action's state is DONE or UNDONE.
        """
        if self.state not in (DONE, UNDONE):
            raise Conflict("This action is not done")
        if self.does.final:
            return
        while self._take_back(tx, author, allowed, IN_REQUEST, author_id) == IN_REQUEST:
            pass
        statement_of_reasons.revoke(tx, author.site_id, self.id)

    def _take_back(
        self,
        tx: Transaction,
        author: Author,
        allowed: Collection[int],
        limit: int,
        author_id: int,
    ) -> int:
        """Take back up to `limit` changes, of the things of the profile `author_id` or (0) of all; return how many were
        tried. `author`, `allowed`: as in `run_back`.
        """
        author = self._explained(author, f"undo {self.kind}")
        site_id = author.site_id
        rows = tx.rows(
            DONE_CHANGES,
            site_id=site_id,
            action_id=self.id,
            limit=limit,
            author_id=author_id,
        )
        refs = {row[0]: ItemRef(row[1], row[2]) for row in rows}
        others = {id for row in rows for id in self.does.others(self.into_id, row[4])}
        held, items = self._lock(tx, site_id, list(refs.values()), others)
        options = self._options(allowed, items)
        undone: dict[int, UndoneChange] = {}
        steps = []
        for place, _, _, applied, before, after, changed_since in rows:
            target = held.get(refs[place])
            if target is None or target.microcosm_id not in options.allowed:
                steps.append(_Step(place, "conflict", conflict=NOT_YOURS))
            elif changed_since:
                steps.append(_Step(place, "conflict", conflict=changed_since))
            else:
                undone[place] = UndoneChange(target, AppliedChange(before, after, applied))
        conflicts = self.does.inverse(tx, author, list(undone.values()), options)
        steps += [
            _Step(place, "conflict" if conflict else "undone", None, conflict)
            for place, conflict in zip(undone, conflicts, strict=True)
        ]
        self._store(tx, site_id, steps)
        return len(rows)

    def _fits(self, tx: Transaction, site_id: int) -> bool:
        """Return True if one request can change all things of the action, or take them all back."""
        return self.total <= IN_REQUEST and not self.does.is_large(tx, site_id, self.id)

    def _batch(self, tx: Transaction, site_id: int, limit: int) -> int:
        """Return how many of the action's things one transaction changes: 1 if they are large (ActionKind.is_large),
        else `limit`.
        """
        return 1 if self.does.is_large(tx, site_id, self.id) else limit

    def _lock(
        self, tx: Transaction, site_id: int, refs: Sequence[ItemRef], others: Collection[int]
    ) -> targets.LockedThings:
        """Lock `refs`, things of the action, and the items with the ids `others`; return the targets by thing, and all
        locked items by id. Things that are gone, and comments that a merge or split has moved meanwhile, have no
        target.
        """
        return targets.lock_with(
            *(tx, site_id, refs, others, self.place_id),
            with_comments=self.does.moves_comments,
            reported_id=self._reported_id(tx, site_id),
        )

    def _reported_id(self, tx: Transaction, site_id: int) -> int:
        """Return the id of the comment that the case of a final action is about, which may be in a huddle; 0 if the
        case is about no comment, and for all other actions.
        """
        if not self.does.final or not self.case_id:
            return 0
        return tx.value(REPORTED, site_id=site_id, case_id=self.case_id) or 0

    def _options(
        self, allowed: Collection[int], items: Mapping[int, targets.HeldItem]
    ) -> ActionOptions:
        """Return the options with which the kind carries out or undoes this action. `allowed`: ids of the microcosms
        that the actor moderates now (0: outside of all); `items`: those that are locked, by id.
        """
        return ActionOptions(
            self.place_id,
            self.ends,
            frozenset(allowed),
            self.id,
            self.into_id,
            self.title,
            items,
            keeps_longer=self.rule_id > 0,
        )

    def _explained(self, author: Author, verb: str) -> Author:
        """Return `author` with the details of this action that the audit keeps. `verb`: what is done with the action
        now: its kind, or `undo` and its kind.
        """
        detail = {
            "verb": verb,
            "reason": self.reason,
            "ground": self.rule or self.ground,
            "note": self.note,
            "action": self.id,
            "case": self.case_id,
            "automated": (self.is_automated and verb == self.kind) or None,
        }
        if self.rule_id and verb == self.kind:
            detail |= {"byRule": self.rule_id, "ruleVersion": self.rule_version}
        return author._replace(detail=detail)

    def _state_reasons(
        self, tx: Transaction, site_id: int, rows: Sequence[Row], steps: Sequence[_Step]
    ) -> dict[int, int]:
        """Store a statement of reasons for each author of things that `steps` changed, except the actor and those who
        have one of this action already; return, by place in the plan, the id of the statement, new or earlier, to the
        author of each changed thing, without the actor's things; {} for a kind that needs no statement. `rows`: the
        things of the steps, as WAITING reads them.
        """
        if not self.does.decision:
            return {}
        done = {one.place for one in steps if one.state == "done"}
        authors = {row[0]: row[3] for row in rows if row[0] in done and row[3] != self.actor_id}
        stated = statement_of_reasons.insert_for(tx, site_id, self.id, set(authors.values()))
        return {place: stated[author_id] for place, author_id in authors.items()}

    def _store(
        self,
        tx: Transaction,
        site_id: int,
        steps: Sequence[_Step],
        statements: Mapping[int, int] | None = None,
    ) -> None:
        """Store the outcomes `steps`; no SQL statement is run if there are none. `statements`: ids of the statements of
        reasons, by the place of the thing in the plan; None when the action is undone.
        """
        if steps:
            tx.run(
                STORE,
                site_id=site_id,
                action_id=self.id,
                places=[one.place for one in steps],
                states=[one.state for one in steps],
                befores=[_json(one.change.before) if one.change else None for one in steps],
                afters=[_json(one.change.after) if one.change else None for one in steps],
                conflicts=[one.conflict for one in steps],
                statement_ids=[(statements or {}).get(one.place) for one in steps],
            )

    def set_state(self, tx: Transaction, site_id: int, state: str, by: int = 0) -> None:
        """Store `state`, such as RUNNING, as the action's, and the time at which it began, was done or undone. `by`:
        with UNDOING, the profile that undoes the action, 0 for an operator; other states leave what is stored.
        """
        tx.run(SET_STATE, site_id=site_id, action_id=self.id, state=state, by=by or None)
        self.state = state


def _outcome(place: int, change: Applied) -> _Step:
    if isinstance(change, Refusal):
        return _Step(place, "refused", conflict=change.why)
    return _Step(place, "done" if change else "unchanged", change)


def _json(state: Mapping[str, Any]) -> str:
    return json.dumps(dict(state), default=datetime.datetime.isoformat)


def record(
    tx: Transaction,
    author: Author,
    kind: ActionKind,
    ref: ItemRef,
    microcosm_id: int,
    thing_author_id: int,
    state: AppliedChange,
) -> None:
    """Store a change of the thing `ref`, which `author` makes, as an action that is done; and a statement of reasons to
    the thing's own author, the profile `thing_author_id`, unless the kind needs none or that profile makes the change.
    `microcosm_id`: the one that the thing is in, 0 outside of all; `state`: values before and after the change.

    Call it while the thing's row is locked; for an item before the change, since time, author and reason of the last
    edit before that are stored too.
    """
    tx.run(
        RECORD,
        site_id=author.site_id,
        me=author.profile_id,
        kind=kind.name,
        category=VIOLATION,
        microcosm_id=microcosm_id,
        author_id=thing_author_id,
        is_stated=bool(kind.decision) and thing_author_id != author.profile_id,
        item_type=ref.type,
        item_id=ref.id,
        is_item=ref.type in targets.ITEMS,
        before=_json(state.before),
        after=_json(state.after),
    )


def forget(tx: Transaction) -> int:
    """Delete, of all sites, plans over an hour old that nobody carried out, and, UNDO_DAYS after a change, the stored
    states and the notes of copied marks by which an undo would take it back; return the number of changes whose states
    were deleted.
    """
    tx.rows(FORGET_PLANS)
    tx.run(DROP_PLANS)
    carried_marks.forget(tx, UNDO_DAYS)
    return tx.run(FORGET_STATES, days=UNDO_DAYS)
