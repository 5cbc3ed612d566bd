"""Clean-up of huddles without participants (platform 8, P-67)."""

from __future__ import annotations

from typing import Final

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query

# Huddles of one run, which is one transaction.
MOST: Final = 1000

FIND = Query(
    "orphaned_huddles.find",
    """
    SELECT h.site_id, h.item_id
      FROM huddles h
     WHERE NOT EXISTS (SELECT 1 FROM huddle_participants p
                        WHERE p.site_id = h.site_id AND p.item_id = h.item_id)
     ORDER BY h.site_id, h.item_id
     LIMIT %(limit)s
       FOR UPDATE OF h SKIP LOCKED""",
    scope=PLATFORM,
    unrestricted="finds huddles that nobody takes part in any more",
)

_HUDDLES: Final = """(
           SELECT o.site_id, o.item_id FROM unnest(%(sites)s::bigint[], %(items)s::bigint[]) AS o (site_id, item_id))"""
_COMMENTS: Final = """(
           SELECT c.site_id, c.comment_id
             FROM comments c
             JOIN unnest(%(sites)s::bigint[], %(items)s::bigint[]) AS o (site_id, item_id)
               ON c.site_id = o.site_id AND c.item_id = o.item_id)"""

# Comments count for their authors, and attachments for their files, until they are deleted. Counters of profiles are
# locked in the order of ids, as everywhere.
HOLD_AUTHORS = Query(
    "orphaned_huddles.hold_authors",
    f"""
    SELECT n.profile_id
      FROM profile_counters n
     WHERE (n.site_id, n.profile_id) IN (SELECT a.site_id, a.profile_id FROM item_authors a
                                          WHERE (a.site_id, a.item_id) IN {_HUDDLES})
     ORDER BY n.site_id, n.profile_id
       FOR NO KEY UPDATE""",
)
COUNT_AUTHORS = Query(
    "orphaned_huddles.count_authors",
    f"""
    UPDATE profile_counters n
       SET comment_count = n.comment_count - w.live
      FROM (SELECT a.site_id, a.profile_id, sum(a.live)::int AS live
              FROM item_authors a
             WHERE (a.site_id, a.item_id) IN {_HUDDLES}
             GROUP BY a.site_id, a.profile_id) w
     WHERE n.site_id = w.site_id AND n.profile_id = w.profile_id""",
)
COUNT_FILES = Query(
    "orphaned_huddles.count_files",
    f"""
    UPDATE files f
       SET attach_count = f.attach_count - w.hung
      FROM (SELECT t.file_hash, count(*)::int AS hung
              FROM attachments t
             WHERE t.item_type_id = {itemtypes.COMMENT} AND (t.site_id, t.item_id) IN {_COMMENTS}
             GROUP BY t.file_hash) w
     WHERE f.file_hash = w.file_hash""",
)


def _delete(name: str, table: str, where: str) -> Query:
    return Query(f"orphaned_huddles.{name}", f"DELETE FROM {table} t WHERE {where}")


# Rows that refer to the comments, then to the huddles, before these.
DROP: Final = (
    *(
        _delete(table, table, f"(t.site_id, t.comment_id) IN {_COMMENTS}")
        for table in ("comment_revisions", "comment_mentions", "link_uses")
    ),
    *(
        _delete(
            f"{table}_of_comments",
            table,
            f"t.item_type_id = {itemtypes.COMMENT} AND (t.site_id, t.item_id) IN {_COMMENTS}",
        )
        for table in ("updates", "attachments", "attributes", "reactions", "bookmarks")
    ),
    _delete(
        "updates_of_items",
        "updates",
        f"t.parent_item_type_id = {itemtypes.HUDDLE} AND (t.site_id, t.parent_item_id) IN {_HUDDLES}",
    ),
    _delete(
        "drafts",
        "drafts",
        f"t.place_type_id = {itemtypes.HUDDLE} AND (t.site_id, t.place_id) IN {_HUDDLES}",
    ),
    *(
        _delete(
            table,
            table,
            f"t.item_type_id = {itemtypes.HUDDLE} AND (t.site_id, t.item_id) IN {_HUDDLES}",
        )
        for table in ("watchers", "ignores", "read_marks", "attributes", "bookmarks")
    ),
    *(
        _delete(table, table, f"(t.site_id, t.item_id) IN {_HUDDLES}")
        for table in (
            "comments",
            "item_views",
            "item_authors",
            "trending_scores",
            "huddles",
            "items",
        )
    ),
)


def orphaned_huddles(tx: Transaction, config: Config) -> str:
    """Delete huddles that have no participants left, MOST a run, with their comments and all that belongs to them, and
    subtract these from their authors' counters; return the result in words.
    """
    found = tx.rows(FIND, limit=MOST)
    if found:
        which = {"sites": [row[0] for row in found], "items": [row[1] for row in found]}
        tx.rows(HOLD_AUTHORS, **which)
        for query in (COUNT_AUTHORS, COUNT_FILES, *DROP):
            tx.run(query, **which)
    return f"{len(found)} huddles"
