"""From a thing's id in an old forum to the thing here (discovery 10): what was imported says which it became."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from forumapi.database.connections import Query, Reader
from forumapi.models.content import item_page
from forumapi.wire.legacy_urls import Old, RuleSet

ORIGINS = Query(
    "resolve.origins",
    "SELECT o.origin_id, o.product FROM import_origins o WHERE o.site_id = %(site_id)s ORDER BY o.origin_id",
)

# The first that is known, by the order of the origins. An attachment is as readable as what it hangs on.
KNOWN = Query(
    "resolve.known",
    """
    SELECT n.place::int, i.item_id, coalesce(a.item_type_id, 0::smallint), coalesce(a.item_id, 0),
           coalesce(a.file_hash, '')
      FROM unnest(%(origins)s::bigint[], %(types)s::smallint[], %(old_ids)s::text[]) WITH ORDINALITY
           AS n (origin_id, item_type_id, old_id, place)
      JOIN imported_items i ON i.site_id = %(site_id)s AND i.origin_id = n.origin_id
                           AND i.item_type_id = n.item_type_id AND i.old_id = n.old_id
      LEFT JOIN attachments a ON i.item_type_id = 21 AND a.site_id = i.site_id AND a.attachment_id = i.item_id
     ORDER BY n.place
     LIMIT 1""",
)

COMMENTS = Query(
    "resolve.comments",
    f"SELECT {item_page.TOTAL} FROM items i WHERE i.site_id = %(site_id)s AND i.item_id = %(id)s",
)

# Items that the microcosm's list shows.
ITEMS = Query(
    "resolve.items",
    """
    SELECT c.item_count - c.poll_count
         + coalesce((SELECT sum(d.items - d.polls) FROM microcosm_deltas d
                      WHERE d.site_id = c.site_id AND d.microcosm_id = c.microcosm_id), 0)
         - (SELECT count(*) FROM items i
             WHERE i.site_id = c.site_id AND i.item_id = ANY(%(ignored)s::bigint[]) AND i.microcosm_id = c.microcosm_id
               AND NOT i.is_deleted AND NOT i.is_moderated AND i.item_type_id IN (6, 9))
      FROM microcosm_counts c
     WHERE c.site_id = %(site_id)s AND c.microcosm_id = %(id)s""",
)


class LegacyMatch(NamedTuple):
    """What an old address names, and what it became; `item_id` 0 for the list of its kind.

    An attachment has its file's hash, and what it hangs on.
    """

    old: Old
    item_id: int = 0
    holder_type: int = 0
    holder_id: int = 0
    file_hash: str = ""


def find(tx: Reader, site_id: int, rules: Mapping[str, RuleSet], url: str) -> LegacyMatch | None:
    """What the old address is here, whoever may read it; None: nothing that was imported. Two statements at most."""
    asked: list[tuple[int, Old]] = []
    for origin_id, product in tx.rows(ORIGINS, site_id=site_id):
        old = rules[product].read(url) if product in rules else None
        if old is not None and not old.old_id:
            return LegacyMatch(old)
        if old is not None:
            asked.append((origin_id, old))
    if not asked:
        return None
    row = tx.row(
        KNOWN,
        site_id=site_id,
        origins=[origin_id for origin_id, _ in asked],
        types=[old.item_type for _, old in asked],
        old_ids=[old.old_id for _, old in asked],
    )
    return LegacyMatch(asked[row[0] - 1][1], *row[1:]) if row else None


def comments(tx: Reader, site_id: int, id: int, ignored: list[int]) -> int:
    """How many comments of an item somebody sees who ignores these people."""
    return int(tx.value(COMMENTS, site_id=site_id, id=id, ignored=ignored) or 0)


def items(tx: Reader, site_id: int, id: int, ignored: list[int]) -> int:
    """How many items a microcosm's list shows somebody who ignores some items."""
    return int(tx.value(ITEMS, site_id=site_id, id=id, ignored=ignored) or 0)
