"""Removal of texts for good: of comments with their revisions, links and attachments, and of titles of items.

The caller has locked the comments; items are locked here. A removed text has a fixed one in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.text.render import RENDERER_VERSION

# Put in place of words that are removed.
REMOVED: Final = "[removed]"
REMOVED_HTML: Final = "<p>[removed]</p>"

_OF_COMMENTS: Final = "t.comment_id = ANY(%(ids)s::bigint[])"
_ON_COMMENTS: Final = f"t.item_type_id = {itemtypes.COMMENT} AND t.item_id = ANY(%(ids)s::bigint[])"
DROP_ATTACHMENTS = Query(
    "text_removal.drop_attachments",
    f"""
    WITH gone AS (
        DELETE FROM attachments t WHERE t.site_id = %(site_id)s AND {_ON_COMMENTS}
     RETURNING t.file_hash)
    UPDATE files f
       SET attach_count = f.attach_count - n.hung
      FROM (SELECT g.file_hash, count(*)::int AS hung FROM gone g GROUP BY g.file_hash) n
     WHERE f.file_hash = n.file_hash
 RETURNING f.file_hash""",
)
# Links that no text holds any more go with the texts.
DROP_LINKS = Query(
    "text_removal.drop_links",
    f"DELETE FROM link_uses t WHERE t.site_id = %(site_id)s AND {_OF_COMMENTS} RETURNING t.link_id",
)
DROP_UNUSED_LINKS: Final = (
    Query(
        "text_removal.drop_link_hits",
        """
        DELETE FROM link_hits h
         WHERE h.link_id = ANY(%(link_ids)s::bigint[])
           AND NOT EXISTS (SELECT FROM link_uses u WHERE u.link_id = h.link_id)""",
        scope=PLATFORM,
    ),
    Query(
        "text_removal.drop_unused_links",
        """
        DELETE FROM links l
         WHERE l.link_id = ANY(%(link_ids)s::bigint[])
           AND NOT EXISTS (SELECT FROM link_uses u WHERE u.link_id = l.link_id)
           AND NOT EXISTS (SELECT FROM link_hits h WHERE h.link_id = l.link_id)""",
        scope=PLATFORM,
    ),
)
WORDS_BESIDE: Final = tuple(
    Query(
        f"text_removal.{table}",
        f"DELETE FROM {table} t WHERE t.site_id = %(site_id)s AND {condition}",
    )
    for table, condition in (
        ("comment_revisions", _OF_COMMENTS),
        ("comment_mentions", _OF_COMMENTS),
        ("attributes", _ON_COMMENTS),
    )
)
REMOVE_WORDS = Query(
    "text_removal.remove_words",
    """
    UPDATE comments c
       SET markdown = %(removed)s, html = %(html)s, renderer = %(renderer)s, revisions = 1, attachments = 0,
           version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])""",
)

REMOVE_TITLES = Query(
    "text_removal.remove_titles",
    """
    WITH held AS (
        SELECT i.item_id FROM items i
         WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
         ORDER BY i.item_id FOR NO KEY UPDATE)
    UPDATE items i
       SET title = %(removed)s, edit_reason = '', version = i.version + 1
      FROM held
     WHERE i.site_id = %(site_id)s AND i.item_id = held.item_id""",
)
REMOVE_DETAILS: Final = (
    Query(
        "text_removal.remove_places",
        """
        UPDATE events e
           SET place = '', lat = NULL, lon = NULL, north = NULL, east = NULL, south = NULL, west = NULL
         WHERE e.site_id = %(site_id)s AND e.item_id = ANY(%(ids)s::bigint[])""",
    ),
    Query(
        "text_removal.remove_questions",
        """
        UPDATE polls o
           SET question = %(removed)s
         WHERE o.site_id = %(site_id)s AND o.item_id = ANY(%(ids)s::bigint[])""",
    ),
    Query(
        "text_removal.remove_choices",
        """
        UPDATE poll_choices o
           SET choice = %(removed)s || ' ' || o.sequence
         WHERE o.site_id = %(site_id)s AND o.item_id = ANY(%(ids)s::bigint[])""",
    ),
    Query(
        "text_removal.attributes_of_items",
        f"""
        DELETE FROM attributes t
         WHERE t.site_id = %(site_id)s AND t.item_id = ANY(%(ids)s::bigint[])
           AND t.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL}, {itemtypes.HUDDLE})""",
    ),
)


def remove_comments(tx: Transaction, site_id: int, ids: Sequence[int]) -> list[str]:
    """Replace the texts of comments, which the caller has locked, by REMOVED, and delete their earlier revisions,
    attachments, attributes and mentions, and the short links that then no text has. Return the hashes of the files that
    were attached, each once, in any order.

    The files stay stored, and a file that is attached to nothing any more is open to everybody with its address: the
    caller decides what becomes of the files.
    """
    if not ids:
        return []
    which = {"site_id": site_id, "ids": ids}
    links = sorted({row[0] for row in tx.rows(DROP_LINKS, **which)})
    for query in DROP_UNUSED_LINKS if links else ():
        tx.run(query, link_ids=links)
    hashes = [row[0] for row in tx.rows(DROP_ATTACHMENTS, **which)]
    for query in WORDS_BESIDE:
        tx.run(query, **which)
    tx.run(REMOVE_WORDS, removed=REMOVED, html=REMOVED_HTML, renderer=RENDERER_VERSION, **which)
    return hashes


def remove_items(tx: Transaction, site_id: int, ids: Sequence[int]) -> None:
    """Lock items by ascending id, and replace their titles, and the questions and choices (numbered) of polls among
    them, by REMOVED; empty their edit reasons and the places of events among them, coordinates included, and delete the
    items' attributes. Comments on the items stay.
    """
    if not ids:
        return
    tx.run(REMOVE_TITLES, site_id=site_id, ids=ids, removed=REMOVED)
    for query in REMOVE_DETAILS:
        params = {"removed": REMOVED} if "removed" in query.names else {}
        tx.run(query, site_id=site_id, ids=ids, **params)
