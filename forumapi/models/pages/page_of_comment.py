"""Search for the page of an item's comments that holds one comment: a given one, the last, or the first that the viewer
has not read (content 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.content.item_page import READ_TIME
from forumapi.wire import paging

LAST_COMMENT = Query(
    "page_of_comment.last_comment",
    """
    SELECT c.comment_id, c.seq
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq > 0 AND NOT c.is_deleted
       AND NOT c.is_moderated AND c.created_by <> ALL(%(ignored)s::bigint[])
     ORDER BY c.seq DESC LIMIT 1""",
)

NEW_COMMENT = Query(
    "page_of_comment.new_comment",
    f"""
    WITH one AS MATERIALIZED (
        SELECT i.site_id, i.item_id, {READ_TIME} AS read_time
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s)
    SELECT c.comment_id, c.seq
      FROM one
      JOIN comments c ON c.site_id = one.site_id AND c.item_id = one.item_id
     WHERE NOT c.is_deleted AND NOT c.is_moderated
       AND c.created_by <> ALL(%(ignored)s::bigint[]) AND c.created > one.read_time
     ORDER BY c.seq LIMIT 1""",
)

# How many comments up to and including `seq` the viewer sees: all without the hidden and the ignored.
POSITION = Query(
    "page_of_comment.position",
    """
    SELECT %(seq)s::int
         - (SELECT count(*) FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq <= %(seq)s
               AND (c.is_deleted OR c.is_moderated))
         - (SELECT count(*) FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq <= %(seq)s
               AND NOT c.is_deleted AND NOT c.is_moderated AND c.created_by = ANY(%(ignored)s::bigint[])
               AND %(ignored)s::bigint[] <> '{}')""",
)


def target_comment(
    tx: Reader, site_id: int, item_id: int, me: int, ignored: Sequence[int], *, newest: bool
) -> tuple[int, int] | None:
    """Return (id, 1-based position) of the oldest comment that the profile `me` (0: a guest, who has read none) has not
    read; with `newest`, or if all are read, of the newest comment. Comments of the profiles `ignored`, and deleted and
    hidden ones, don't count.

    None if there is no comment.
    """
    row = None
    if not newest:
        row = tx.row(NEW_COMMENT, site_id=site_id, item_id=item_id, me=me, ignored=ignored)
    if row is None:
        row = tx.row(LAST_COMMENT, site_id=site_id, item_id=item_id, ignored=ignored)
    if row is None:
        return None
    return row[0], position(tx, site_id, item_id, row[1], ignored)


def position(tx: Reader, site_id: int, item_id: int, seq: int, ignored: Sequence[int]) -> int:
    """Return the 1-based position of the item's comment with the number `seq` among those neither deleted nor
    moderated, without those of the profiles `ignored`; for a comment that is not among these, the number of these
    before it.
    """
    return int(tx.value(POSITION, site_id=site_id, item_id=item_id, seq=seq, ignored=ignored))


def comment_href(
    ref: ItemRef,
    comment_id: int,
    position: int,
    limit: int,
    pairs: paging.Pairs = (),
) -> str:
    """Return the host-relative address of the page of the item, in pages of `limit` comments, on which the comment
    `comment_id` at this 1-based position is. `pairs`: other parameters of the query to keep.
    """
    offset = paging.page_offset(position, limit)
    return paging.href(
        ref.href,
        pairs,
        comment_id=comment_id,
        limit=limit if limit != paging.DEFAULT_LIMIT else None,
        offset=offset or None,
    )


def redirect(
    tx: Reader,
    site_id: int,
    ref: ItemRef,
    me: int,
    ignored: Sequence[int],
    limit: int,
    pairs: paging.Pairs,
    *,
    newest: bool,
) -> str:
    """Return the address that the URL `…/lastcomment` (`newest`) or `…/newcomment` of an item redirects the profile
    `me` to; the item's own address if there is no comment that this viewer sees. `limit` and `pairs` as in
    `comment_href`, `me` and `ignored` as in `target_comment`.
    """
    target = target_comment(tx, site_id, ref.id, me, ignored, newest=newest)
    others = [pair for pair in pairs if pair[0] != "comment_id"]
    if target is None:
        return paging.href(ref.href, others, offset=None)
    return comment_href(ref, *target, limit, others)
