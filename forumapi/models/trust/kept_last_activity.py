"""Last activity of items as change records keep it: adapted by an undo for the undos of other changes that follow it.

An item that has no live comment left keeps its last activity (content 7.7). So the change that shows an item's first
live comment stores the last activity that the item had before, and the undo that hides the item's last live comment
restores the stored value.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.trust.targets import ActionTarget

# Changes of comments of an item that keep a last activity.
KEEPING = Query(
    "kept_last_activity.keeping",
    f"""
    SELECT y.action_id, y.place, c.item_id, y.applied, (y.before ->> 'last_activity')::timestamptz
      FROM comments c
      JOIN action_changes y ON y.site_id = c.site_id AND y.item_type_id = {itemtypes.COMMENT}
                           AND y.item_id = c.comment_id
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(item_ids)s::bigint[]) AND y.state IN ('done', 'conflict')
       AND (y.before ->> 'last_activity')::timestamptz = ANY(%(activities)s::timestamptz[])""",
)
# Changes that showed one of these comments while it was hidden otherwise: they keep none.
SHOWING = Query(
    "kept_last_activity.showing",
    f"""
    SELECT y.action_id, y.place, y.item_id, y.applied
      FROM action_changes y
     WHERE y.site_id = %(site_id)s AND y.item_type_id = {itemtypes.COMMENT}
       AND y.item_id = ANY(%(comment_ids)s::bigint[]) AND y.state IN ('done', 'conflict')
       AND NOT y.before ? 'last_activity'
       AND (y.before @> '{{"is_deleted": true}}' OR y.before @> '{{"is_moderated": true}}')""",
)
EARLIEST = Query(
    "kept_last_activity.earliest",
    f"""
    SELECT u.id, e.applied, e.activity
      FROM unnest(%(item_ids)s::bigint[]) AS u (id)
     CROSS JOIN LATERAL (
            SELECT z.applied, (z.before ->> 'last_activity')::timestamptz AS activity
              FROM comments o
              JOIN action_changes z ON z.site_id = o.site_id AND z.item_type_id = {itemtypes.COMMENT}
                                   AND z.item_id = o.comment_id
             WHERE o.site_id = %(site_id)s AND o.item_id = u.id AND z.state IN ('done', 'conflict')
               AND z.before ? 'last_activity'
             ORDER BY z.applied LIMIT 1) e""",
)
KEEP = Query(
    "kept_last_activity.keep",
    """
    UPDATE action_changes y
       SET before = y.before || jsonb_build_object('last_activity', w.before),
           after = CASE WHEN w.after IS NULL THEN y.after
                        ELSE y.after || jsonb_build_object('last_activity', w.after) END
      FROM unnest(%(action_ids)s::bigint[], %(places)s::int[], %(befores)s::timestamptz[], %(afters)s::timestamptz[])
           AS w (action_id, place, before, after)
     WHERE y.site_id = %(site_id)s AND y.action_id = w.action_id AND y.place = w.place""",
)


class UnhiddenComment(NamedTuple):
    """Comment `target` that an undo has shown; `before`: the last activity that the comment's item had just before the
    comment was shown.
    """

    target: ActionTarget
    before: datetime.datetime


class RehiddenComment(NamedTuple):
    """Comment, on the item `item_id`, that an undo has hidden while the item's last activity stays, since other
    comments are live or have moved it. `before` and `after`: the item's last activity before and after the change that
    was undone, which was made at `applied`.
    """

    item_id: int
    before: datetime.datetime
    after: datetime.datetime
    applied: datetime.datetime


@dataclasses.dataclass
class _KeptActivity:
    action_id: int
    place: int
    applied: datetime.datetime
    before: datetime.datetime
    after: datetime.datetime | None = None


def carry(tx: Transaction, site_id: int, shown: Sequence[UnhiddenComment]) -> None:
    """Complete the records of actions whose undo would hide one of the comments `shown` again, now that the undo of
    another action has shown them: store there the last activity that the comment's item had before any of them was
    shown, which that later undo restores.
    """
    on_items = {one.target.ref.id: one for one in shown if one.target.parent}
    if not on_items:
        return
    showing = defaultdict(list)
    for row in tx.rows(SHOWING, site_id=site_id, comment_ids=sorted(on_items)):
        showing[row[2]].append(row)
    if not showing:
        return
    items = {id: one.target.parent.item.id for id, one in on_items.items() if one.target.parent}
    item_ids = sorted({items[id] for id in showing})
    found = tx.rows(EARLIEST, site_id=site_id, item_ids=item_ids)
    earliest = {row[0]: row[1:] for row in found}
    kept = []
    for id, one in on_items.items():
        before = earliest[items[id]][1] if items[id] in earliest else one.before
        for action_id, place, _, applied in showing[id]:
            kept.append(_KeptActivity(action_id, place, applied, before, one.target.created))
            known = earliest.get(items[id])
            if known is None or applied < known[0]:
                earliest[items[id]] = applied, before
    _keep(tx, site_id, kept)


def skip(tx: Transaction, site_id: int, hidden: Sequence[RehiddenComment]) -> None:
    """Correct the records of later changes, after the comments `hidden` were hidden by an undo: where a record says
    that the item's last activity before the later change was the one that the undone change had set, the record gets
    the last activity from before the undone change.
    """
    if not hidden:
        return
    rows = tx.rows(
        KEEPING,
        site_id=site_id,
        item_ids=sorted({one.item_id for one in hidden}),
        activities=sorted({one.after for one in hidden}),
    )
    by_item = defaultdict(list)
    for action_id, place, item_id, applied, before in rows:
        by_item[item_id].append(_KeptActivity(action_id, place, applied, before))
    moved: dict[int, _KeptActivity] = {}
    for one in hidden:
        for later in by_item[one.item_id]:
            if later.applied > one.applied and later.before == one.after:
                later.before = one.before
                moved[id(later)] = later
    _keep(tx, site_id, moved.values())


def _keep(tx: Transaction, site_id: int, kept: Iterable[_KeptActivity]) -> None:
    changed = list(kept)
    if changed:
        tx.run(
            KEEP,
            site_id=site_id,
            action_ids=[one.action_id for one in changed],
            places=[one.place for one in changed],
            befores=[one.before for one in changed],
            afters=[one.after for one in changed],
        )
