"""Trending items of a site, by scores that a job updates (discovery 9)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.models.content import item_page, item_summary, type_specific_fields

SHOWN: Final = 25

# Whatever changed since the scores were worked out counts here: state, place, ignoring, permission.
HOTTEST = Query(
    "trending.hottest",
    f"""
    SELECT {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES},
           {item_page.new_comments()}, {type_specific_fields.MINE}
      FROM (SELECT i.*, t.score
              FROM trending_scores t
              JOIN items i ON i.site_id = t.site_id AND i.item_id = t.item_id
             WHERE t.site_id = %(site_id)s AND NOT i.is_deleted AND NOT i.is_moderated
               AND i.microcosm_id = ANY(%(readable)s::bigint[])
               AND i.item_id <> ALL(%(ignored)s::bigint[]) AND i.item_type_id = ANY(%(kinds)s::smallint[])
             ORDER BY t.score DESC, t.item_id DESC
             LIMIT %(shown)s) i
      {item_summary.SUMMARY_JOINS}
     ORDER BY i.score DESC, i.item_id DESC""",
    replica=Replica.ALL,
)


class Hot(NamedTuple):
    """Trending item. `row` and `times`: columns for item_summary.summary; `new`: number of comments that are new to the
    viewer, None if nothing in it is unread; `mine`: the viewer's part of its details.
    """

    row: Row
    times: Row
    new: int | None
    mine: str | None


def hottest(
    tx: Reader,
    site_id: int,
    me: int,
    readable: Sequence[int],
    ignored: Sequence[int],
    ignored_people: Sequence[int],
    kinds: Collection[int],
) -> list[Hot]:
    """Return the items of the types `kinds` in the microcosms with the ids `readable` that have the highest scores,
    without hidden ones, highest first, at most 25, as the profile `me` sees them (0: a guest). Without the items with
    the ids `ignored`; comments of the profiles with the ids `ignored_people` don't count as new.
    """
    rows = tx.rows(
        HOTTEST,
        site_id=site_id,
        me=me,
        readable=readable,
        ignored=ignored,
        ignored_people=ignored_people,
        kinds=sorted(kinds),
        shown=SHOWN,
    )
    width = item_summary.SUMMARY_WIDTH
    return [Hot(row[:width], row[width:-2], row[-2], row[-1]) for row in rows]
