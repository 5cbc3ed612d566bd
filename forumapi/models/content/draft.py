"""Drafts: what a profile is writing, one a place, kept until it is published. Nobody else ever sees one.

The place of a comment is what it will be on, that of an item its microcosm. The statements that create a comment
(comment.py) and an item (item.py) remove the author's draft of it: see `published`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import OUT_OF_RANGE, Conflict, Invalid, TooLarge
from forumapi.permissions.evaluator import Principal
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps
from forumapi.wire.paging import Paging

MAX_BYTES: Final = 256 * 1024
MAX_DRAFTS: Final = 200

_COLUMNS: Final = (
    "d.place_type_id, d.place_id, d.writes_type_id, d.content, d.created, d.edited, d.version"
)
_HERE: Final = """
       WHERE d.site_id = %(site_id)s AND d.profile_id = %(me)s AND d.place_type_id = %(place_type)s
         AND d.place_id = %(place_id)s"""

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
               AND (%(in_huddles)s::boolean OR n.place_type_id <> 5)), {_COLUMNS}
      FROM (SELECT 1) AS one
      LEFT JOIN LATERAL (
            SELECT x.draft_id, x.place_type_id, x.place_id, x.writes_type_id, x.content, x.created, x.edited, x.version
              FROM drafts x
             WHERE x.site_id = %(site_id)s AND x.profile_id = %(me)s
               AND (%(in_huddles)s::boolean OR x.place_type_id <> 5)
             ORDER BY x.draft_id DESC LIMIT %(limit)s OFFSET %(offset)s) d ON true
     ORDER BY d.draft_id DESC""",
)

# Of two first copies at once the second finds the row of the first.
INSERT = Query(
    "draft.insert",
    """
    INSERT INTO drafts (site_id, profile_id, place_type_id, place_id, writes_type_id, content)
    VALUES (%(site_id)s, %(me)s, %(place_type)s, %(place_id)s, %(writes)s, %(content)s)
        ON CONFLICT (site_id, profile_id, place_type_id, place_id) DO NOTHING
 RETURNING version""",
)

UPDATE = Query(
    "draft.update",
    f"""
      UPDATE drafts d
         SET content = %(content)s, writes_type_id = %(writes)s, edited = clock_timestamp(), version = d.version + 1
      {_HERE}""",
)

DELETE = Query("draft.delete", f"DELETE FROM drafts d {_HERE}")


def published(place_type: str, place_id: str, writes: str) -> str:
    """SQL that removes the caller's draft of what is being created; the arguments are SQL too."""
    return f"""
        DELETE FROM drafts d
         WHERE d.site_id = %(site_id)s AND d.profile_id = %(me)s AND d.place_type_id = {place_type}
           AND d.place_id = {place_id} AND d.writes_type_id = {writes}"""


class Draft(NamedTuple):
    """A draft as it is stored; `content` is JSON."""

    place_type: int
    place_id: int
    writes: int
    content: str
    created: datetime.datetime
    edited: datetime.datetime
    version: int


class Spot(NamedTuple):
    """Whose draft, and where."""

    site_id: int
    me: int
    place_type: int
    place_id: int

    def params(self) -> dict[str, Any]:
        """As parameters of the statements above."""
        return self._asdict()


def href(place_type: int, place_id: int) -> str:
    """The address of the caller's draft at a place."""
    return f"{itemtypes.href(place_type, place_id)}/draft"


def document(draft: Draft) -> dict[str, Any]:
    """A draft on the wire."""
    return {
        "itemType": itemtypes.name_of(draft.writes),
        "placeType": itemtypes.name_of(draft.place_type),
        "placeId": draft.place_id,
        "version": draft.version,
        "content": json_fragments.raw(draft.content.encode()),
        "meta": {
            "created": json_fragments.when(draft.created),
            "edited": json_fragments.when(draft.edited),
            "links": [
                {"rel": "self", "href": href(draft.place_type, draft.place_id)},
                {
                    "rel": itemtypes.name_of(draft.place_type),
                    "href": itemtypes.href(draft.place_type, draft.place_id),
                },
            ],
        },
    }


def find(tx: Reader, spot: Spot) -> Draft | None:
    """The draft at that place."""
    row = tx.row(FIND, **spot.params())
    return Draft(*row) if row else None


def page(tx: Reader, site_id: int, principal: Principal, at: Paging) -> tuple[int, Sequence[Draft]]:
    """(how many, one page of) the caller's drafts, the newest place first."""
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        me=principal.profile_id,
        in_huddles=principal.sees_huddles,
        limit=at.limit,
        offset=at.offset,
    )
    return rows[0][0], [Draft(*row[1:]) for row in rows if row[1] is not None]


def save(
    tx: Transaction, spot: Spot, writes: int, content: Mapping[str, Any], version: int
) -> None:
    """Store a draft over the `version` that its writer knows, 0 for none.

    Raises Conflict where another version stands (409), TooLarge, and Invalid for one draft too many.
    """
    try:
        data = dumps(content)
    except RecursionError:
        raise Invalid("content", "is nested too deeply") from None
    if len(data) > MAX_BYTES:
        raise TooLarge(f"A draft may have at most {MAX_BYTES} bytes")
    text = data.decode()
    stands = tx.value(LOCK, **spot.params()) or 0
    if stands != version:
        _refuse(stands)
    if stands:
        tx.run(UPDATE, writes=writes, content=text, **spot.params())
        return
    if tx.value(COUNT, site_id=spot.site_id, me=spot.me) >= MAX_DRAFTS:
        raise Invalid("", f"At most {MAX_DRAFTS} drafts are kept", code=OUT_OF_RANGE)
    if tx.value(INSERT, writes=writes, content=text, **spot.params()) is None:
        _refuse(1)


def _refuse(stands: int) -> None:
    if stands:
        raise Conflict(f"The draft is at version {stands}")
    raise Conflict("There is no draft here any more")


def remove(tx: Transaction, spot: Spot) -> None:
    """Throw the draft away."""
    tx.run(DELETE, **spot.params())
