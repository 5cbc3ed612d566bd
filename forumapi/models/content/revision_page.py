"""Revisions of a comment: the current text is in the comment itself, earlier ones in their own table (content 7.6)."""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.pages.document_reader import Documents
from forumapi.models.people import profile_summary
from forumapi.text import difference
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

_ALL: Final = """
        SELECT c.site_id, c.revisions AS revision, coalesce(c.edited, c.created) AS created, c.edited_by AS created_by,
               {current} AS markdown
          FROM comments c
         WHERE c.site_id = %(site_id)s AND c.comment_id = %(comment_id)s
         UNION ALL
        SELECT r.site_id, r.revision, r.created, r.created_by, {older}
          FROM comment_revisions r
         WHERE r.site_id = %(site_id)s AND r.comment_id = %(comment_id)s"""

LIST = Query(
    "revision_page.list",
    f"""
    WITH found AS ({_ALL.format(current="''", older="''")})
    SELECT f.revision, f.created, f.created_by, p.version, f.markdown, (SELECT count(*) FROM found)
      FROM found f
      JOIN profiles p ON p.site_id = f.site_id AND p.profile_id = f.created_by
     ORDER BY f.revision DESC
     LIMIT %(limit)s OFFSET %(offset)s""",
)

FIND = Query(
    "revision_page.find",
    f"""
    WITH found AS ({_ALL.format(current="c.markdown", older="r.markdown")})
    SELECT f.revision, f.created, f.created_by, p.version, f.markdown
      FROM found f
      JOIN profiles p ON p.site_id = f.site_id AND p.profile_id = f.created_by
     WHERE f.revision = ANY(%(revisions)s::int[])""",
)


class Revision(NamedTuple):
    """Revision of a comment; `number` counts from 1, `created` and `author_id` are time and author of this revision,
    `author_version` is that of the author's profile. `markdown` is "" if `page` read it.
    """

    number: int
    created: datetime.datetime
    author_id: int
    author_version: int
    markdown: str

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the document does, for the entity tag, which has the comment's
        version beside them. A checksum of the Markdown is among them, since an erasure changes the Markdown of old
        revisions alone.
        """
        return (
            self.number,
            self.author_id,
            self.author_version,
            zlib.crc32(self.markdown.encode()),
        )


def page(tx: Reader, site_id: int, comment_id: int, at: Paging) -> tuple[int, list[Revision]]:
    """Return the number of a comment's revisions and the page `at` of them, newest first, without their text; (0, [])
    for a page beyond the last, and for an unknown comment. The caller checks permission.
    """
    rows = tx.rows(LIST, site_id=site_id, comment_id=comment_id, limit=at.limit, offset=at.offset)
    total = rows[0][5] if rows else 0
    return total, [Revision(*row[:5]) for row in rows]


def find(tx: Reader, site_id: int, comment_id: int, numbers: Sequence[int]) -> dict[int, Revision]:
    """Return revisions of a comment with their text, by number; unknown numbers are left out. The caller checks
    permission.
    """
    rows = tx.rows(FIND, site_id=site_id, comment_id=comment_id, revisions=_possible(numbers))
    return {row[0]: Revision(*row) for row in rows}


_INT: Final = 2**31 - 1


def _possible(numbers: Sequence[int]) -> list[int]:
    return [number for number in numbers if number <= _INT]


def href(comment_id: int, number: int) -> str:
    """Return the host-relative address of the revision `number` of a comment."""
    return f"{itemtypes.href(itemtypes.COMMENT, comment_id)}/revisions/{number}"


def documents(
    tx: Reader,
    cache: Documents,
    site_id: int,
    comment_id: int,
    revisions: Sequence[Revision],
    current: int,
    *,
    with_text: bool,
) -> list[bytes]:
    """Render revisions of a comment, each as JSON, in their order. `current`: number of the newest revision of the
    comment; `with_text`: with the Markdown. An author whose document is gone is null.
    """
    versions = {revision.author_id: revision.author_version for revision in revisions}
    people = cache.fetch(tx, site_id, {profile_summary.SUMMARY: versions})[profile_summary.SUMMARY]
    return [
        dumps(
            _document(
                comment_id, revision, people, is_current=revision.number == current, text=with_text
            )
        )
        for revision in revisions
    ]


def _document(
    comment_id: int,
    revision: Revision,
    people: dict[int, Fragment],
    *,
    is_current: bool,
    text: bool,
) -> dict[str, Any]:
    author = people.get(revision.author_id)
    data: dict[str, Any] = {
        "commentId": comment_id,
        "revision": revision.number,
        "current": is_current,
    }
    if text:
        data["markdown"] = revision.markdown
    data["meta"] = {
        "created": json_fragments.format_time(revision.created),
        "createdBy": json_fragments.raw(author[0]) if author else None,
        "links": links(comment_id, href(comment_id, revision.number)),
    }
    return data


def links(comment_id: int, own: str) -> list[dict[str, str]]:
    """Return the links of a document about revisions of a comment: to the document itself, at the address `own`, and to
    the comment.
    """
    return [
        {"rel": "self", "href": own},
        {"rel": "comment", "href": itemtypes.href(itemtypes.COMMENT, comment_id)},
    ]


def difference_document(comment_id: int, old: int, new: int, before: str, after: str) -> bytes:
    """Render, as JSON, the changes that turn the Markdown `before` of the revision `old` (0: nothing) of a comment into
    the Markdown `after` of its revision `new`, as text/difference.py finds them.
    """
    own = f"{href(comment_id, new)}/diff?from={old}"
    changed = difference.changes(before, after)
    return dumps(
        {
            "commentId": comment_id,
            "from": old,
            "to": new,
            "changes": [{"op": one.op, "text": one.text} for one in changed],
            "meta": {"links": links(comment_id, own)},
        }
    )
