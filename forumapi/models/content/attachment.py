"""Attachments: files on comments and profiles. A profile's newest attachment is its avatar (content 10.5, 10.6)."""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.errors import FILE_UNKNOWN, Invalid
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.permissions.evaluator import Target
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

AVATAR_MAX: Final = 125  # of profiles.avatar_url

PAGE = Query(
    "attachment.page",
    """
    SELECT (SELECT count(*) FROM attachments n
             WHERE n.site_id = %(site_id)s AND n.item_type_id = %(item_type)s AND n.item_id = %(item_id)s),
           a.attachment_id, a.profile_id, a.file_hash, a.file_name, a.file_ext, f.width, f.height, a.created
      FROM (SELECT 1) AS one
      LEFT JOIN (
            SELECT x.attachment_id, x.profile_id, x.file_hash, x.file_name, x.file_ext, x.created
              FROM attachments x
             WHERE x.site_id = %(site_id)s AND x.item_type_id = %(item_type)s AND x.item_id = %(item_id)s
             ORDER BY x.created, x.attachment_id
             LIMIT %(limit)s OFFSET %(offset)s) a ON true
      LEFT JOIN files f ON f.file_hash = a.file_hash
     ORDER BY a.created, a.attachment_id""",
)

# The comment is locked. No row: the file is attached already.
INSERT_ON_COMMENT = Query(
    "attachment.insert_on_comment",
    f"""
    WITH made AS (
        INSERT INTO attachments (site_id, item_type_id, item_id, profile_id, file_hash, file_name, file_ext)
        VALUES (%(site_id)s, {itemtypes.COMMENT}, %(item_id)s, %(me)s, %(hash)s, %(name)s, %(ext)s)
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

DELETE_ON_COMMENT = Query(
    "attachment.delete_on_comment",
    f"""
    WITH gone AS (
        DELETE FROM attachments a
         WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.COMMENT}
           AND a.item_id = %(item_id)s AND a.file_hash = %(hash)s
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

# The profile is locked. A file that is attached already becomes the newest again.
INSERT_ON_PROFILE = Query(
    "attachment.insert_on_profile",
    f"""
    WITH made AS (
        INSERT INTO attachments AS a (site_id, item_type_id, item_id, profile_id, file_hash, file_name, file_ext,
                                      created)
        VALUES (%(site_id)s, {itemtypes.PROFILE}, %(item_id)s, %(me)s, %(hash)s, %(name)s, %(ext)s,
                clock_timestamp())
            ON CONFLICT (site_id, item_type_id, item_id, file_hash) DO UPDATE
           SET created = EXCLUDED.created, file_name = EXCLUDED.file_name, file_ext = EXCLUDED.file_ext
     RETURNING a.attachment_id, a.xmax = 0 AS is_new),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count + 1
         WHERE f.file_hash = %(hash)s AND EXISTS (SELECT 1 FROM made WHERE made.is_new))
    SELECT made.attachment_id FROM made""",
)

DELETE_ON_PROFILE = Query(
    "attachment.delete_on_profile",
    f"""
    WITH gone AS (
        DELETE FROM attachments a
         WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE}
           AND a.item_id = %(item_id)s AND a.file_hash = %(hash)s
     RETURNING a.attachment_id),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count - 1
         WHERE f.file_hash = %(hash)s AND EXISTS (SELECT 1 FROM gone))
    SELECT gone.attachment_id FROM gone""",
)

NEWEST = Query(
    "attachment.newest",
    f"""
    SELECT a.attachment_id, a.file_hash, a.file_ext
      FROM attachments a
     WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE} AND a.item_id = %(item_id)s
     ORDER BY a.created DESC, a.attachment_id DESC
     LIMIT 1""",
)

# The site's document shows its owner and creator, so their avatars move the site's version too.
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
    """Return the host-relative address of a file by its hash and extension; with `ext` "" the address has no dot."""
    return f"/api/v1/files/{hash}.{quote(ext)}" if ext else f"/api/v1/files/{hash}"


class AttachmentPage(NamedTuple):
    """Page of the attachments of a comment or profile, oldest first, each of `rows` an argument for the function
    `document`; `total`: the number of all attachments of the comment or profile.
    """

    total: int
    rows: list[Row]

    def items(self) -> bytes:
        """Render the attachments of the page as a JSON array."""
        return json_fragments.dumps([document(row) for row in self.rows])


# SQL: the oldest attachments of a comment `c`, as a JSON array of the columns of `document`; null without any.
MOST_SHOWN: Final = 25
OF_COMMENT: Final = f"""
           CASE WHEN c.attachments > 0 THEN
                (SELECT json_agg(json_build_array(a.attachment_id, a.profile_id, a.file_hash, a.file_name, a.file_ext,
                                                  f.width, f.height, a.created)
                                 ORDER BY a.created, a.attachment_id)::text
                   FROM (SELECT x.* FROM attachments x
                          WHERE x.site_id = c.site_id AND x.item_type_id = {itemtypes.COMMENT}
                            AND x.item_id = c.comment_id
                          ORDER BY x.created, x.attachment_id LIMIT {MOST_SHOWN}) a
                   JOIN files f ON f.file_hash = a.file_hash) END"""


def of_comment(shown: str) -> list[dict[str, Any]]:
    """Return the oldest attachments of a comment, at most MOST_SHOWN, as dicts for JSON, oldest first. `shown`: JSON
    text, the comment's value of the column OF_COMMENT; not for a comment without attachments, whose value is null.
    """
    return [
        document((*columns, datetime.datetime.fromisoformat(created)))
        for *columns, created in json_fragments.loads(shown)
    ]


def document(row: Row) -> dict[str, Any]:
    """Render a row of AttachmentPage as a dict for JSON (content 10.5); only a picture has `width` and `height`."""
    _, profile_id, hash, name, ext, width, height, created = row
    link = {"rel": "related", "href": file_href(hash, ext), "title": "File resource"}
    size = {"width": width, "height": height} if width and height else {}
    return {
        "profileId": profile_id,
        "fileHash": hash,
        "fileName": name,
        "fileExt": ext,
        **size,
        "created": json_fragments.format_time(created),
        "meta": {"links": [link]},
    }


def page(tx: Reader, site_id: int, ref: ItemRef, at: Paging) -> AttachmentPage:
    """Read one page of the attachments of the comment or profile `ref`, oldest first, in one statement. The caller
    checks permission.
    """
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        item_type=ref.type,
        item_id=ref.id,
        limit=at.limit,
        offset=at.offset,
    )
    return AttachmentPage(rows[0][0], [row[1:] for row in rows if row[1] is not None])


class Attachment(NamedTuple):
    """File on a comment or profile, the `carrier`, whose row the caller has locked. `hash`: that of the file; `name`
    and `ext`: the file's name and extension on this carrier.
    """

    carrier: Target
    hash: str
    name: str = ""
    ext: str = ""

    def insert(self, tx: Transaction, author: Author) -> int:
        """Attach the file, and record that as an event without an audit entry; return the attachment's id, or 0, and
        attach nothing, if the comment has the file already. On a profile the file becomes the avatar, even if it was
        attached there before. Raises Invalid if no file with this hash is stored for any site.
        """
        site_id, me = author[:2]
        is_profile = self.carrier.item_type == itemtypes.PROFILE
        try:
            id = tx.value(
                INSERT_ON_PROFILE if is_profile else INSERT_ON_COMMENT,
                site_id=site_id,
                me=me,
                item_id=self.carrier.item_id,
                hash=self.hash,
                name=self.name,
                ext=self.ext,
            )
        except pgerrors.ForeignKeyViolation:
            # The clean-up deleted it after it was found.
            raise Invalid(
                "fileHash", "no file with this hash was uploaded", code=FILE_UNKNOWN
            ) from None
        if is_profile:
            self._set_avatar(tx, site_id, id, self.hash, self.ext)
        if id:
            self._record(tx, author, journal.CREATED, id)
        return id or 0

    def delete(self, tx: Transaction, author: Author) -> bool:
        """Detach the file, and record that as an event without an audit entry; return False if it was not attached. The
        newest attachment left of a profile becomes its avatar; Invalid is raised for a profile's last attachment.
        """
        site_id, item_id = author.site_id, self.carrier.item_id
        is_profile = self.carrier.item_type == itemtypes.PROFILE
        id = tx.value(
            DELETE_ON_PROFILE if is_profile else DELETE_ON_COMMENT,
            site_id=site_id,
            item_id=item_id,
            hash=self.hash,
        )
        if id is None:
            return False
        if is_profile:
            newest = tx.row(NEWEST, site_id=site_id, item_id=item_id)
            if newest is None:
                raise Invalid("", "The last picture of a profile can't be removed")
            self._set_avatar(tx, site_id, *newest)
        self._record(tx, author, journal.DELETED, id)
        return True

    def _set_avatar(self, tx: Transaction, site_id: int, id: int, hash: str, ext: str) -> None:
        url = file_href(hash, ext)
        tx.run(
            SET_AVATAR,
            site_id=site_id,
            profile_id=self.carrier.item_id,
            attachment_id=id,
            url=url if len(url) <= AVATAR_MAX else file_href(hash, ""),
        )

    def _record(self, tx: Transaction, author: Author, kind: str, id: int) -> None:
        journal.record(
            tx,
            author,
            kind,
            itemtypes.ATTACHMENT,
            id,
            parent=(self.carrier.item_type, self.carrier.item_id),
            microcosm_id=self.carrier.microcosm_id,
            audit=False,
        )
