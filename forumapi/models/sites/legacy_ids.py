"""Look-up of imported things by their addresses and ids in the old forum (discovery 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.content import item_page
from forumapi.models.privacy.erasure_steps import ERASED_IMPORT
from forumapi.wire.legacy_urls import Old, RuleSet

ORIGINS = Query(
    "legacy_ids.origins",
    """
    SELECT o.origin_id, o.product
      FROM import_origins o
     WHERE o.site_id = %(site_id)s AND o.is_resolved
     ORDER BY o.origin_id""",
)

# The first that was imported, by the order of the origins; never an erased person's profile. An attachment is
# as readable as the thing it hangs on.
FIND = Query(
    "legacy_ids.find",
    f"""
    SELECT n.place::int, i.item_id, coalesce(a.item_type_id, 0::smallint), coalesce(a.item_id, 0),
           coalesce(a.file_hash, '')
      FROM unnest(%(origins)s::bigint[], %(types)s::smallint[], %(old_ids)s::text[]) WITH ORDINALITY
           AS n (origin_id, item_type_id, old_id, place)
      JOIN imported_items i ON i.site_id = %(site_id)s AND i.origin_id = n.origin_id
                           AND i.item_type_id = n.item_type_id AND i.old_id = n.old_id
                           AND i.detail IS DISTINCT FROM '{ERASED_IMPORT}'
      LEFT JOIN attachments a ON a.site_id = i.site_id AND a.attachment_id = i.item_id
                             AND i.item_type_id = {itemtypes.ATTACHMENT}
     ORDER BY n.place
     LIMIT 1""",
)

COMMENTS = Query(
    "legacy_ids.comments",
    f"SELECT {item_page.TOTAL} FROM items i WHERE i.site_id = %(site_id)s AND i.item_id = %(id)s",
)

# Number of items in the microcosm's list.
ITEMS = Query(
    "legacy_ids.items",
    f"""
    SELECT c.item_count - c.poll_count
         + coalesce((SELECT sum(d.items - d.polls) FROM microcosm_deltas d
                      WHERE d.site_id = c.site_id AND d.microcosm_id = c.microcosm_id), 0)
         - (SELECT count(*) FROM items i
             WHERE i.site_id = c.site_id AND i.item_id = ANY(%(ignored)s::bigint[]) AND i.microcosm_id = c.microcosm_id
               AND NOT i.is_deleted AND NOT i.is_moderated
               AND i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}))
      FROM microcosm_counts c
     WHERE c.site_id = %(site_id)s AND c.microcosm_id = %(id)s""",
)


class LegacyMatch(NamedTuple):
    """Thing that an old address names: `old`, its type and old id, and `item_id`, its id here; 0: the address is that
    of the list of all things of this type.

    For an attachment, `file_hash` and the type and id of the comment or profile that it is attached to, `holder_…`; ""
    and 0 for any other thing, and for an attachment that is gone.
    """

    old: Old
    item_id: int = 0
    holder_type: int = 0
    holder_id: int = 0
    file_hash: str = ""


def find(tx: Reader, site_id: int, rules: Mapping[str, RuleSet], url: str) -> LegacyMatch | None:
    """Return the thing at the address `url` of an old forum, readable or not; None if it is no address of an imported
    forum whose addresses are switched on, or that of a thing that was not imported or of an erased person's profile. If
    several such forums have the thing, it is the one of the forum that was imported first. Costs two statements at
    most.

    `rules`: how addresses are read, by the name of the forum software.
    """
    asked: list[tuple[int, Old]] = []
    for origin_id, product in tx.rows(ORIGINS, site_id=site_id):
        for old in rules[product].read_all(url) if product in rules else ():
            if old.old_id:
                asked.append((origin_id, old))
            elif not asked:
                return LegacyMatch(old)
    if not asked:
        return None
    row = tx.row(
        FIND,
        site_id=site_id,
        origins=[origin_id for origin_id, _ in asked],
        types=[old.item_type for _, old in asked],
        old_ids=[old.old_id for _, old in asked],
    )
    return LegacyMatch(asked[row[0] - 1][1], *row[1:]) if row else None


def comment_total(tx: Reader, site_id: int, id: int, ignored: list[int]) -> int:
    """Return how many comments of the item `id` are visible to a viewer who ignores the profiles with the ids
    `ignored`; 0 if there is no such item.
    """
    return int(tx.value(COMMENTS, site_id=site_id, id=id, ignored=ignored) or 0)


def item_total(tx: Reader, site_id: int, id: int, ignored: list[int]) -> int:
    """Return how many conversations and events, neither deleted nor moderated, the microcosm `id` has, without the
    items with the ids `ignored`; 0 if there is no such microcosm.
    """
    return int(tx.value(ITEMS, site_id=site_id, id=id, ignored=ignored) or 0)
