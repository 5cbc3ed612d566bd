"""Attachments: files hung on comments and profiles. On a profile the newest is its avatar (content 10.5, 10.6)."""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.errors import FILE_UNKNOWN, Invalid
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

AVATAR_MAX: Final = 125  # of profiles.avatar_url

PAGE = Query(
    "attachment.page",
    """
    SELECT (SELECT count(*) FROM attachments n
             WHERE n.site_id = %(site_id)s AND n.item_type_id = %(item_type)s AND n.item_id = %(item_id)s),
           a.attachment_id, a.profile_id, a.file_hash, a.file_name, a.file_ext, a.created
      FROM (SELECT 1) AS one
      LEFT JOIN (
            SELECT x.attachment_id, x.profile_id, x.file_hash, x.file_name, x.file_ext, x.created
              FROM attachments x
             WHERE x.site_id = %(site_id)s AND x.item_type_id = %(item_type)s AND x.item_id = %(item_id)s
             ORDER BY x.created, x.attachment_id
             LIMIT %(limit)s OFFSET %(offset)s) a ON true
     ORDER BY a.created, a.attachment_id""",
)

# The comment is locked. No row: the file hangs there already.
ADD_TO_COMMENT = Query(
    "attachment.add_to_comment",
    """
    WITH made AS (
        INSERT INTO attachments (site_id, item_type_id, item_id, profile_id, file_hash, file_name, file_ext)
        VALUES (%(site_id)s, 4, %(item_id)s, %(me)s, %(hash)s, %(name)s, %(ext)s)
            ON CONFLICT (site_id, item_type_id, item_id, file_hash) DO NOTHING
     RETURNING attachment_id),
    shown AS (
        UPDATE comments c
           SET attachments = c.attachments + 1, version = c.version + 1
         WHERE c.site_id = %(site_id)s AND c.comment_id = %(item_id)s AND EXISTS (SELECT 1 FROM made)),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count + 1
         WHERE f.file_hash = %(hash)s AND EXISTS (SELECT 1 FROM made))
    SELECT made.attachment_id FROM made""",
)

REMOVE_FROM_COMMENT = Query(
    "attachment.remove_from_comment",
    """
    WITH gone AS (
        DELETE FROM attachments a
         WHERE a.site_id = %(site_id)s AND a.item_type_id = 4 AND a.item_id = %(item_id)s AND a.file_hash = %(hash)s
     RETURNING a.attachment_id),
    shown AS (
        UPDATE comments c
           SET attachments = c.attachments - 1, version = c.version + 1
         WHERE c.site_id = %(site_id)s AND c.comment_id = %(item_id)s AND EXISTS (SELECT 1 FROM gone)),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count - 1
         WHERE f.file_hash = %(hash)s AND EXISTS (SELECT 1 FROM gone))
    SELECT gone.attachment_id FROM gone""",
)

# The profile is locked. A file that hangs there already becomes the newest again.
ADD_TO_PROFILE = Query(
    "attachment.add_to_profile",
    """
    WITH made AS (
        INSERT INTO attachments AS a (site_id, item_type_id, item_id, profile_id, file_hash, file_name, file_ext,
                                      created)
        VALUES (%(site_id)s, 3, %(item_id)s, %(me)s, %(hash)s, %(name)s, %(ext)s, clock_timestamp())
            ON CONFLICT (site_id, item_type_id, item_id, file_hash) DO UPDATE
           SET created = EXCLUDED.created, file_name = EXCLUDED.file_name, file_ext = EXCLUDED.file_ext
     RETURNING a.attachment_id, a.xmax = 0 AS is_new),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count + 1
         WHERE f.file_hash = %(hash)s AND EXISTS (SELECT 1 FROM made WHERE made.is_new))
    SELECT made.attachment_id FROM made""",
)

REMOVE_FROM_PROFILE = Query(
    "attachment.remove_from_profile",
    """
    WITH gone AS (
        DELETE FROM attachments a
         WHERE a.site_id = %(site_id)s AND a.item_type_id = 3 AND a.item_id = %(item_id)s AND a.file_hash = %(hash)s
     RETURNING a.attachment_id),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count - 1
         WHERE f.file_hash = %(hash)s AND EXISTS (SELECT 1 FROM gone))
    SELECT gone.attachment_id FROM gone""",
)

NEWEST = Query(
    "attachment.newest",
    """
    SELECT a.attachment_id, a.file_hash, a.file_ext
      FROM attachments a
     WHERE a.site_id = %(site_id)s AND a.item_type_id = 3 AND a.item_id = %(item_id)s
     ORDER BY a.created DESC, a.attachment_id DESC
     LIMIT 1""",
)

# The site's document shows its owner and creator, so a change of theirs moves the site's version too.
SET_AVATAR = Query(
    "attachment.set_avatar",
    """
    WITH changed AS (
        UPDATE profiles p
           SET avatar_url = %(url)s, avatar_id = %(attachment_id)s, version = p.version + 1
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
           AND (p.avatar_url, p.avatar_id) IS DISTINCT FROM (%(url)s, %(attachment_id)s)
     RETURNING p.site_id, p.profile_id)
    UPDATE sites s
       SET version = s.version + 1
      FROM changed
     WHERE s.site_id = changed.site_id AND changed.profile_id IN (s.owned_by, s.created_by)""",
)


def file_href(hash: str, ext: str) -> str:
    """The address of a file; one without an extension has no dot."""
    return f"/api/v1/files/{hash}.{quote(ext)}" if ext else f"/api/v1/files/{hash}"


class AttachmentPage(NamedTuple):
    """One page of a thing's attachments, oldest first."""

    total: int
    rows: list[Row]

    def items(self) -> bytes:
        """The entries as a JSON array."""
        return json_fragments.dumps([document(row) for row in self.rows])


# SQL: the oldest attachments of a comment `c`, as a JSON array of the columns of `document`; null where there are none.
MOST_SHOWN: Final = 25
OF_COMMENT: Final = f"""
           CASE WHEN c.attachments > 0 THEN
                (SELECT json_agg(json_build_array(a.attachment_id, a.profile_id, a.file_hash, a.file_name, a.file_ext,
                                                  a.created) ORDER BY a.created, a.attachment_id)::text
                   FROM (SELECT x.* FROM attachments x
                          WHERE x.site_id = c.site_id AND x.item_type_id = 4 AND x.item_id = c.comment_id
                          ORDER BY x.created, x.attachment_id LIMIT {MOST_SHOWN}) a) END"""


def of_comment(shown: str) -> list[dict[str, Any]]:
    """The documents of what OF_COMMENT returned."""
    return [
        document((*columns, datetime.datetime.fromisoformat(created)))
        for *columns, created in json_fragments.loads(shown)
    ]


def document(row: Row) -> dict[str, Any]:
    """An attachment as it is shown (content 10.5)."""
    _, profile_id, hash, name, ext, created = row
    link = {"rel": "related", "href": file_href(hash, ext), "title": "File resource"}
    return {
        "profileId": profile_id,
        "fileHash": hash,
        "fileName": name,
        "fileExt": ext,
        "created": json_fragments.when(created),
        "meta": {"links": [link]},
    }


def page(tx: Reader, site_id: int, item_type: int, item_id: int, at: Paging) -> AttachmentPage:
    """One page of what hangs on a comment or profile. One statement."""
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        item_type=item_type,
        item_id=item_id,
        limit=at.limit,
        offset=at.offset,
    )
    return AttachmentPage(rows[0][0], [row[1:] for row in rows if row[1] is not None])


def add(
    tx: Transaction,
    site_id: int,
    me: int,
    item_type: int,
    item_id: int,
    *,
    hash: str,
    name: str,
    ext: str,
) -> int:
    """Hang a file on a locked comment or profile; the attachment's id, 0 where it hung there. Raises Invalid."""
    is_profile = item_type == itemtypes.PROFILE
    try:
        id = tx.value(
            ADD_TO_PROFILE if is_profile else ADD_TO_COMMENT,
            site_id=site_id,
            me=me,
            item_id=item_id,
            hash=hash,
            name=name,
            ext=ext,
        )
    except pgerrors.ForeignKeyViolation:
        # It was found a moment ago, and then swept away.
        raise Invalid(
            "fileHash", "no file with this hash was uploaded", code=FILE_UNKNOWN
        ) from None
    if is_profile:
        _set_avatar(tx, site_id, item_id, id, hash, ext)
    return id or 0


def remove(tx: Transaction, site_id: int, item_type: int, item_id: int, hash: str) -> int:
    """Take a file off a locked comment or profile; the attachment's id, 0 where there was none.

    Raises Invalid for the last picture of a profile.
    """
    if item_type == itemtypes.COMMENT:
        return tx.value(REMOVE_FROM_COMMENT, site_id=site_id, item_id=item_id, hash=hash) or 0
    id = tx.value(REMOVE_FROM_PROFILE, site_id=site_id, item_id=item_id, hash=hash)
    if id is None:
        return 0
    newest = tx.row(NEWEST, site_id=site_id, item_id=item_id)
    if newest is None:
        raise Invalid("", "The last picture of a profile can't be removed")
    _set_avatar(tx, site_id, item_id, *newest)
    return int(id)


def _set_avatar(
    tx: Transaction, site_id: int, profile_id: int, attachment_id: int, hash: str, ext: str
) -> None:
    url = file_href(hash, ext)
    tx.run(
        SET_AVATAR,
        site_id=site_id,
        profile_id=profile_id,
        attachment_id=attachment_id,
        url=url if len(url) <= AVATAR_MAX else file_href(hash, ""),
    )
