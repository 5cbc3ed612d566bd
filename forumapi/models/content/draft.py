"""Drafts: unpublished texts of a profile, one for each place, which nobody else sees.

The place of a comment's draft is the item or profile to be commented on, the place of an item's draft the microcosm.
The statements that insert a comment (comment.py) or an item (item.py) also delete its author's draft: see `published`.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Final, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Conflict, Invalid, TooLarge
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.permissions.evaluator import Principal
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps
from forumapi.wire.paging import Paging

MAX_BYTES: Final = 256 * 1024
MAX_DRAFTS: Final = 200

_COLUMNS: Final = "d.place_type_id, d.place_id, d.writes_type_id, d.content, d.created, d.edited, d.version, d.by_agent"
_HERE: Final = """
       WHERE d.site_id = %(site_id)s AND d.profile_id = %(me)s AND d.place_type_id = %(place_type)s
         AND d.place_id = %(place_id)s"""

# SQL: whether `me` has a draft of a comment on the item `i`.
IS_THERE: Final = """
           EXISTS (SELECT FROM drafts d
                    WHERE d.site_id = %(site_id)s AND d.profile_id = %(me)s AND d.place_type_id = i.item_type_id
                      AND d.place_id = i.item_id)"""

FIND = Query("draft.find", f"SELECT {_COLUMNS} FROM drafts d {_HERE}")

LOCK = Query("draft.lock", f"SELECT d.version FROM drafts d {_HERE} FOR UPDATE")

COUNT = Query(
    "draft.count",
    "SELECT count(*) FROM drafts d WHERE d.site_id = %(site_id)s AND d.profile_id = %(me)s",
)

PAGE = Query(
    "draft.page",
    f"""
    SELECT (SELECT count(*) FROM drafts n
             WHERE n.site_id = %(site_id)s AND n.profile_id = %(me)s
               AND (%(in_huddles)s::boolean OR n.place_type_id <> {itemtypes.HUDDLE})), {_COLUMNS}
      FROM (SELECT 1) AS one
      LEFT JOIN LATERAL (
            SELECT x.draft_id, x.place_type_id, x.place_id, x.writes_type_id, x.content, x.created, x.edited, x.version,
                   x.by_agent
              FROM drafts x
             WHERE x.site_id = %(site_id)s AND x.profile_id = %(me)s
               AND (%(in_huddles)s::boolean OR x.place_type_id <> {itemtypes.HUDDLE})
             ORDER BY x.draft_id DESC LIMIT %(limit)s OFFSET %(offset)s) d ON true
     ORDER BY d.draft_id DESC""",
)

# Of two first versions at the same time the second finds the row of the first.
INSERT = Query(
    "draft.insert",
    """
    INSERT INTO drafts (site_id, profile_id, place_type_id, place_id, writes_type_id, content, by_agent)
    VALUES (%(site_id)s, %(me)s, %(place_type)s, %(place_id)s, %(writes)s, %(content)s, %(by_agent)s)
        ON CONFLICT (site_id, profile_id, place_type_id, place_id) DO NOTHING
 RETURNING version""",
)

UPDATE = Query(
    "draft.update",
    f"""
      UPDATE drafts d
         SET content = %(content)s, writes_type_id = %(writes)s, by_agent = %(by_agent)s, edited = clock_timestamp(),
             version = d.version + 1
      {_HERE}""",
)

DELETE = Query("draft.delete", f"DELETE FROM drafts d {_HERE}")


def published(place_type: str, place_id: str, writes: str) -> str:
    """Return an SQL DELETE, for a WITH clause of the statement that inserts a comment or item. It deletes the draft, of
    the profile `%(me)s`, that the comment or item was written from.

    The arguments are SQL expressions: `place_type` and `place_id`, type and id of the draft's place, and `writes`, the
    type of the inserted comment or item.
    """
    return f"""
        DELETE FROM drafts d
         WHERE d.site_id = %(site_id)s AND d.profile_id = %(me)s AND d.place_type_id = {place_type}
           AND d.place_id = {place_id} AND d.writes_type_id = {writes}"""


@dataclasses.dataclass
class Draft:
    """Draft of a profile, at most one at each `place`: the item or profile to be commented on, or the microcosm that a
    new item is for. `item_type`: type of the comment or item that the draft is to become; `content`: JSON as the client
    sent it; `version` 0: not stored yet; `by_agent`: an agent saved it last.
    """

    place: ItemRef
    item_type: int  # of what it will be
    content: str = ""  # JSON
    created: datetime.datetime | None = None
    edited: datetime.datetime | None = None
    version: int = 0  # 0: not stored yet
    by_agent: bool = False

    @property
    def href(self) -> str:
        """Return the draft's host-relative address in the API."""
        return f"{self.place.href}/draft"

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return all values that the document depends on, except version and times, which the entity tag has anyway."""
        return (*self.place, self.item_type, self.content)

    @classmethod
    def _of(cls, place_type: int, place_id: int, *more: Any) -> Self:
        return cls(ItemRef(place_type, place_id), *more)

    @classmethod
    def find(cls, tx: Reader, author: Author, place: ItemRef) -> Self | None:
        """Return the author's draft at `place`; None if there is none."""
        row = tx.row(FIND, **_key(author, place))
        return cls._of(*row) if row else None

    @classmethod
    def page(
        cls, tx: Reader, site_id: int, principal: Principal, at: Paging
    ) -> tuple[int, list[Self]]:
        """Return the number of the caller's drafts and the page `at` of them, by the time at which each was first
        saved, latest first. If `principal` sees no huddles, drafts in huddles are neither counted nor returned.
        """
        rows = tx.rows(
            PAGE,
            site_id=site_id,
            me=principal.profile_id,
            in_huddles=principal.sees_huddles,
            limit=at.limit,
            offset=at.offset,
        )
        return rows[0][0], [cls._of(*row[1:]) for row in rows if row[1] is not None]

    def save(self, tx: Transaction, author: Author, content: Mapping[str, Any]) -> None:
        """Store the draft with `content`. The field `version`, which saving does not move, must be that of the stored
        draft, 0 to make a new one.

        Raises Conflict (409) if another version is stored, and if none is while `version` is not 0; TooLarge over
        MAX_BYTES, and Invalid for content nested too deeply and for a new draft of a profile that has MAX_DRAFTS.
        """
        try:
            data = dumps(content)
        except RecursionError:
            raise Invalid("content", "is nested too deeply") from None
        if len(data) > MAX_BYTES:
            raise TooLarge(f"A draft may have at most {MAX_BYTES} bytes")
        self.content = data.decode()
        values = {
            "writes": self.item_type,
            "content": self.content,
            "by_agent": author.by_agent,
            **_key(author, self.place),
        }
        stored = tx.value(LOCK, **_key(author, self.place)) or 0
        if stored != self.version:
            _refuse(stored)
        if stored:
            tx.run(UPDATE, **values)
            return
        if tx.value(COUNT, site_id=author.site_id, me=author.profile_id) >= MAX_DRAFTS:
            raise Invalid("", f"At most {MAX_DRAFTS} drafts are kept", code=OUT_OF_RANGE)
        if tx.value(INSERT, **values) is None:
            _refuse(1)

    @staticmethod
    def delete(tx: Transaction, author: Author, place: ItemRef) -> None:
        """Delete the author's draft at a place, if there is one."""
        tx.run(DELETE, **_key(author, place))

    def document(self) -> dict[str, Any]:
        """Return the draft, one that `find` or `page` returned, as a dict for JSON."""
        assert self.created is not None and self.edited is not None  # it was found
        place = itemtypes.name_of(self.place.type)
        mark = {"byAgent": True} if self.by_agent else {}
        return {
            "itemType": itemtypes.name_of(self.item_type),
            "placeType": place,
            "placeId": self.place.id,
            "version": self.version,
            "content": json_fragments.raw(self.content.encode()),
            "meta": {
                "created": json_fragments.format_time(self.created),
                "edited": json_fragments.format_time(self.edited),
                "links": [
                    {"rel": "self", "href": self.href},
                    {"rel": place, "href": self.place.href},
                ],
                **mark,
            },
        }


def _key(author: Author, place: ItemRef) -> dict[str, Any]:
    return {
        "site_id": author.site_id,
        "me": author.profile_id,
        "place_type": place.type,
        "place_id": place.id,
    }


def _refuse(version: int) -> None:
    if version:
        raise Conflict(f"The draft is at version {version}")
    raise Conflict("The draft does not exist any more")
