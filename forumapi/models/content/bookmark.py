"""Bookmarks: comments and items that a profile wants to find again. Nobody else sees bookmarks or their number."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Any, Final, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.wire import json_fragments

INSERT = Query(
    "bookmark.insert",
    """
    INSERT INTO bookmarks (site_id, profile_id, item_type_id, item_id)
    VALUES (%(site_id)s, %(me)s, %(item_type)s, %(item_id)s)
        ON CONFLICT DO NOTHING""",
)

DELETE = Query(
    "bookmark.delete",
    """
    DELETE FROM bookmarks b
     WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.item_type_id = %(item_type)s
       AND b.item_id = %(item_id)s""",
)

# SQL: whether `me` bookmarked the item `i`; and which of the comments `shown`.
IS_OWN: Final = """
           EXISTS (SELECT FROM bookmarks b
                    WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.item_type_id = i.item_type_id
                      AND b.item_id = i.item_id)"""
OWN_OF_COMMENTS: Final = f"""
           ARRAY(SELECT b.item_id FROM bookmarks b
                  WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.item_type_id = {itemtypes.COMMENT}
                    AND b.item_id = ANY(%(shown)s::bigint[])
                  ORDER BY b.item_id)"""

# SQL: a bookmark `b` with its comment `c`, with the item `i` that is bookmarked or holds the comment, and with the
# profile that the comment is on. _COLUMNS are the fields of Bookmark after its ref.
_COLUMNS = """
           b.item_type_id, b.item_id, b.bookmark_id, b.created, coalesce(i.title, p.profile_name, '')"""
_JOINS = f"""
      LEFT JOIN comments c ON b.item_type_id = {itemtypes.COMMENT} AND c.site_id = b.site_id
                          AND c.comment_id = b.item_id
      LEFT JOIN items i ON i.site_id = b.site_id
                       AND i.item_id = CASE WHEN b.item_type_id = {itemtypes.COMMENT} THEN c.item_id ELSE b.item_id END
      LEFT JOIN profiles p ON p.site_id = b.site_id AND p.profile_id = c.on_profile_id"""

FIND = Query(
    "bookmark.find",
    f"""
    SELECT {_COLUMNS}
      FROM bookmarks b {_JOINS}
     WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.item_type_id = %(item_type)s
       AND b.item_id = %(item_id)s""",
)

# Without things that are hidden or that the viewer may not read now; they come back when that ends.
PAGE = Query(
    "bookmark.page",
    f"""
    SELECT {_COLUMNS}
      FROM bookmarks b {_JOINS}
     WHERE b.site_id = %(site_id)s AND b.profile_id = %(me)s AND b.bookmark_id < %(before)s
       AND b.item_type_id = ANY(%(kinds)s::smallint[])
       AND coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint) = ANY(%(kinds)s::smallint[])
       AND (c.comment_id IS NULL OR NOT (c.is_deleted OR c.is_moderated))
       AND (i.item_id IS NULL
            OR NOT (i.is_deleted OR i.is_moderated)
               AND (i.microcosm_id = ANY(%(readable)s::bigint[])
                    OR i.item_type_id = {itemtypes.HUDDLE}
                       AND EXISTS (SELECT 1 FROM huddle_participants h
                                    WHERE h.site_id = i.site_id AND h.item_id = i.item_id
                                      AND h.profile_id = %(me)s)))
     ORDER BY b.bookmark_id DESC
     LIMIT %(limit)s""",
)


@dataclasses.dataclass
class Bookmark:
    """Bookmark of a profile on `ref`, a comment or item; `title`: that of the item, or of the item or profile that the
    comment stands on, HTML-escaped. Before it is read from the database, `id` is 0, `created` None and `title` "".
    """

    ref: ItemRef
    id: int = 0
    created: datetime.datetime | None = None
    title: str = ""

    @classmethod
    def find(cls, tx: Reader, site_id: int, me: int, ref: ItemRef) -> Self | None:
        """Return the bookmark of the profile `me` on a thing; None if there is none. The caller checks permission."""
        row = tx.row(FIND, site_id=site_id, me=me, item_type=ref.type, item_id=ref.id)
        return cls._of(*row) if row else None

    @classmethod
    def _of(cls, item_type: int, item_id: int, *more: Any) -> Self:
        return cls(ItemRef(item_type, item_id), *more)

    @classmethod
    def page(
        cls,
        tx: Reader,
        site_id: int,
        me: int,
        readable: Sequence[int],
        kinds: Collection[int],
        before: int,
        limit: int,
    ) -> list[Self]:
        """Return up to `limit` bookmarks of the profile `me` with ids below `before`, newest first, of things in the
        microcosms with the ids `readable`, on profiles, or in the huddles of `me`, without things that are deleted or
        moderated, and without comments on items that are deleted or moderated.

        `kinds`: types of things that may be shown; for a comment the type of its item or profile must be among them
        too.
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
        return [cls._of(*row) for row in rows]

    def insert(self, tx: Transaction, author: Author) -> None:
        """Store the author's bookmark of `ref`; nothing changes if there is one already."""
        self._run(tx, INSERT, author)

    def delete(self, tx: Transaction, author: Author) -> None:
        """Delete the author's bookmark of `ref`, if there is one."""
        self._run(tx, DELETE, author)

    def _run(self, tx: Transaction, query: Query, author: Author) -> None:
        site_id, me = author[:2]
        tx.run(query, site_id=site_id, me=me, item_type=self.ref.type, item_id=self.ref.id)

    def document(self) -> dict[str, Any]:
        """Return the bookmark, one that `find` or `page` returned, as a dict for JSON."""
        assert self.created is not None  # it was found
        name = itemtypes.name_of(self.ref.type)
        return {
            "itemType": name,
            "itemId": self.ref.id,
            "title": self.title,
            "created": json_fragments.format_time(self.created),
            "meta": {
                "links": [
                    {"rel": "self", "href": f"{self.ref.href}/bookmark"},
                    {"rel": name, "href": self.ref.href},
                ]
            },
        }
