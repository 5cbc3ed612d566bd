"""Bookmarks: comments and items that a profile wants to find again. Nobody else sees one, or how many there are."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader, Transaction
from forumapi.permissions.evaluator import Target
from forumapi.wire import json_fragments

ADD = Query(
    "bookmark.add",
    """
    INSERT INTO bookmarks (site_id, profile_id, item_type_id, item_id)
    VALUES (%(site_id)s, %(me)s, %(item_type)s, %(item_id)s)
        ON CONFLICT DO NOTHING""",
)

REMOVE = Query(
    "bookmark.remove",
    """
    DELETE FROM bookmarks b
     WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.item_type_id = %(item_type)s
       AND b.item_id = %(item_id)s""",
)

# With a bookmark `b`: the comment `c`, the item `i` it is on or that is bookmarked itself, or the profile it is on.
_COLUMNS = """
           b.bookmark_id, b.item_type_id, b.item_id, b.created, coalesce(i.title, p.profile_name, '')"""
_JOINS = """
      LEFT JOIN comments c ON b.item_type_id = 4 AND c.site_id = b.site_id AND c.comment_id = b.item_id
      LEFT JOIN items i ON i.site_id = b.site_id
                       AND i.item_id = CASE WHEN b.item_type_id = 4 THEN c.item_id ELSE b.item_id END
      LEFT JOIN profiles p ON p.site_id = b.site_id AND p.profile_id = c.on_profile_id"""

FIND = Query(
    "bookmark.find",
    f"""
    SELECT {_COLUMNS}
      FROM bookmarks b {_JOINS}
     WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.item_type_id = %(item_type)s
       AND b.item_id = %(item_id)s""",
)

# What is hidden or may not be read any more is passed over; it comes back when that ends.
PAGE = Query(
    "bookmark.page",
    f"""
    SELECT {_COLUMNS}
      FROM bookmarks b {_JOINS}
     WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.bookmark_id < %(before)s
       AND b.item_type_id = ANY(%(kinds)s::smallint[])
       AND coalesce(i.item_type_id, 3::smallint) = ANY(%(kinds)s::smallint[])
       AND (c.comment_id IS NULL OR NOT (c.is_deleted OR c.is_moderated))
       AND (i.item_id IS NULL
            OR NOT (i.is_deleted OR i.is_moderated)
               AND (i.microcosm_id = ANY(%(readable)s::bigint[])
                    OR i.item_type_id = 5
                       AND EXISTS (SELECT 1 FROM huddle_participants h
                                    WHERE h.site_id = i.site_id AND h.item_id = i.item_id
                                      AND h.profile_id = %(me)s)))
     ORDER BY b.bookmark_id DESC
     LIMIT %(limit)s""",
)


class Bookmark(NamedTuple):
    """A bookmark with the title of what it leads to."""

    id: int
    item_type: int
    item_id: int
    created: datetime.datetime
    title: str


def document(found: Bookmark) -> dict[str, Any]:
    """A bookmark on the wire."""
    href = itemtypes.href(found.item_type, found.item_id)
    return {
        "itemType": itemtypes.name_of(found.item_type),
        "itemId": found.item_id,
        "title": found.title,
        "created": json_fragments.when(found.created),
        "meta": {
            "links": [
                {"rel": "self", "href": f"{href}/bookmark"},
                {"rel": itemtypes.name_of(found.item_type), "href": href},
            ]
        },
    }


def find(tx: Reader, site_id: int, me: int, item_type: int, item_id: int) -> Bookmark | None:
    """The caller's bookmark of a thing. Asks no permission."""
    row = tx.row(FIND, site_id=site_id, me=me, item_type=item_type, item_id=item_id)
    return Bookmark(*row) if row else None


def page(
    tx: Reader,
    site_id: int,
    me: int,
    readable: Sequence[int],
    kinds: Collection[int],
    before: int,
    limit: int,
) -> list[Bookmark]:
    """Up to `limit` bookmarks of what the caller may read, made before the one with id `before`, the newest first.

    `kinds`: the types of things that may be shown; a comment takes that of what it is on too.
    """
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        me=me,
        readable=readable,
        kinds=sorted(kinds),
        before=before,
        limit=limit,
    )
    return [Bookmark(*row) for row in rows]


def add(tx: Transaction, site_id: int, me: int, target: Target) -> None:
    """Bookmark a thing; a second time changes nothing."""
    tx.run(ADD, site_id=site_id, me=me, item_type=target.item_type, item_id=target.item_id)


def remove(tx: Transaction, site_id: int, me: int, item_type: int, item_id: int) -> None:
    """Take a bookmark away."""
    tx.run(REMOVE, site_id=site_id, me=me, item_type=item_type, item_id=item_id)
