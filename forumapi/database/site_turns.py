"""Fair turns of the sites in a queue that all of them share: the statement that claims its rows takes as many of each
site, and however many rows one site has queued, those of another are claimed with the next of its turns.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

# `queued` steps through the index from one site to the next: it reads a row of each site, however many rows it has.
# LATERAL with an order and a limit, where the planner could make EXISTS a join that reads all rows, or read the table.
# MATERIALIZED: a subquery that runs again for each row would find other rows each time, and claim more than the limit.
_CLAIM: Final = """
    WITH RECURSIVE queued (site) AS (
        (SELECT {site} FROM {table} q WHERE {waits} ORDER BY {site} LIMIT 1)
         UNION ALL
        SELECT (SELECT {site} FROM {table} q WHERE {waits} AND {site} > l.site ORDER BY {site} LIMIT 1)
          FROM queued l
         WHERE l.site IS NOT NULL),
    turns AS MATERIALIZED (
        SELECT l.site, row_number() OVER (ORDER BY l.site <= %(after)s::bigint, l.site) AS turn,
               count(*) OVER () AS sites
          FROM queued l
         CROSS JOIN LATERAL (
                SELECT FROM {table} q WHERE {waits} AND {site} = l.site AND {is_due} ORDER BY {order} LIMIT 1) d),
    due AS MATERIALIZED (
        SELECT n.*
          FROM (SELECT t.site, t.turn, t.sites FROM turns t ORDER BY t.turn) t
         CROSS JOIN LATERAL (
                SELECT {key}
                  FROM {table} q
                 WHERE {waits} AND {site} = t.site AND {is_due}
                 ORDER BY {order}
                 LIMIT (%(batch)s::bigint + t.sites - 1) / t.sites
                   FOR UPDATE SKIP LOCKED) n
         ORDER BY t.turn
         LIMIT %(batch)s)"""


def claim(
    table: str, key: str, *, waits: str, is_due: str, order: str, site: str = "q.site_id"
) -> str:
    """Return the beginning of a statement that claims rows of the queue `table`: from WITH to the query `due`, which
    locks up to %(batch)s rows and returns the columns `key` of each. Sites with rows that are due get equal parts of
    %(batch)s, rounded up; the turns begin with the site that follows %(after)s, and end when %(batch)s rows are taken.

    `waits`, `is_due`, `order`, `site`: SQL on a row q of the table: the condition of the partial index on `site` and
    `order` that the queue needs; the further condition of rows that are due; their order within a site; the site's id.
    """
    return _CLAIM.format(table=table, key=key, waits=waits, is_due=is_due, order=order, site=site)


def last(sites: Collection[int], after: int) -> int:
    """Return the site with the last turn of a claim, for %(after)s of the next one. `sites`: ids of the sites of the
    rows that were claimed with %(after)s = `after`; with none, `after` is returned.
    """
    return max(sites, key=lambda site: (site <= after, site), default=after)
