"""Trending scores, computed about once a minute, so that no request scans two weeks of comments (T-04)."""

from __future__ import annotations

from typing import Final

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron.maintenance_jobs import LIVE
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query

# Items kept of each microcosm, so that readers of only a few have a full list, which shows 25.
KEPT: Final = 100

# The score of discovery 9 is n * e^(-h/4) / a, with h the half-days since the last activity. What is stored is its
# logarithm without the factor that all items share at one moment: the order is the same, and the score of an item
# without activity hardly changes, so that its row is not written every minute.
SCORE: Final = Query(
    "trending.score",
    f"""
    WITH {LIVE},
    recent AS (
        SELECT c.site_id, c.item_id, count(*) AS n
          FROM comments c
         WHERE c.created > now() - interval '2 weeks' AND c.item_id IS NOT NULL
           AND NOT c.is_deleted AND NOT c.is_moderated
         GROUP BY c.site_id, c.item_id),
    scored AS (
        SELECT i.site_id, i.item_id, i.microcosm_id,
               ln(r.n) + extract(epoch FROM i.last_activity)::float8 / 172800
                 - ln(greatest(extract(epoch FROM now() - i.created)::float8, 3600)) AS score
          FROM recent r
          JOIN items i ON i.site_id = r.site_id AND i.item_id = r.item_id
          JOIN live l ON l.site_id = i.site_id AND l.microcosm_id = i.microcosm_id
         WHERE i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.POLL}, {itemtypes.EVENT})
             AND NOT i.is_deleted AND NOT i.is_moderated
           AND i.last_activity > now() - interval '1 month'),
    hot AS MATERIALIZED (
        SELECT p.site_id, p.item_id, p.score
          FROM (SELECT s.*, row_number() OVER (PARTITION BY s.site_id, s.microcosm_id
                                               ORDER BY s.score DESC, s.item_id DESC) AS place
                  FROM scored s) p
         WHERE p.place <= %(kept)s::int),
    cold AS (
        DELETE FROM trending_scores t
         WHERE NOT EXISTS (SELECT 1 FROM hot h WHERE h.site_id = t.site_id AND h.item_id = t.item_id)),
    written AS (
        INSERT INTO trending_scores AS t (site_id, item_id, score)
        SELECT h.site_id, h.item_id, h.score
          FROM hot h
         ORDER BY h.site_id, h.item_id
            ON CONFLICT (site_id, item_id) DO UPDATE
           SET score = EXCLUDED.score, computed = now()
         WHERE abs(t.score - EXCLUDED.score) > 0.001
     RETURNING 1)
    SELECT (SELECT count(*) FROM written)::int, (SELECT count(*) FROM hot)::int""",
    scope=PLATFORM,
)


def trending_scores(tx: Transaction, config: Config) -> str:
    """Compute the scores of items that were commented in the last two weeks, and store the KEPT highest of each
    microcosm in place of all earlier ones (discovery 9); return the result in words.
    """
    row = tx.row(SCORE, kept=KEPT)
    assert row is not None, "the statement returns one row"
    return f"{row[0]} of {row[1]} scores changed"
