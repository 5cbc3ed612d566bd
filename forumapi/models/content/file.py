"""Uploaded files: one row per content for the platform, one per uploader and site, and who may see them (content 10).

A file is found by the SHA-1 of its bytes. Its name and upload time come from each uploader's own row, and it exists
for callers who may see it, so that one site learns nothing of another's files.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import FILE_TOO_LARGE, TooLarge
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import GUEST_CALLER, Principal, Target, Tree
from forumapi.wire import json_fragments

PICTURES: Final = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}
INLINE: Final = frozenset(PICTURES.values())
MEGABYTE: Final = 1024 * 1024

# ---------------------------------------------------------------- uploads

USAGE = Query(
    "file.usage",
    """
    SELECT coalesce(max(u.bytes) FILTER (WHERE u.profile_id = 0), 0),
           coalesce(max(u.bytes) FILTER (WHERE u.profile_id <> 0), 0)
      FROM file_usage u
     WHERE u.site_id = %(site_id)s AND u.profile_id IN (0, %(profile_id)s::bigint)""",
)

# In the order of the hashes, so that two uploads of the same files don't deadlock.
ANNOUNCE = Query(
    "file.announce",
    """
    INSERT INTO file_strays (file_hash)
    SELECT h.file_hash FROM unnest(%(hashes)s::text[]) AS h (file_hash) ORDER BY h.file_hash
        ON CONFLICT (file_hash) DO UPDATE SET since = now()""",
)

# The update that changes nothing locks the content's row, so that no clean-up deletes it meanwhile.
INSERT = Query(
    "file.insert",
    """
    WITH kept AS (
        INSERT INTO files AS f (file_hash, file_name, file_ext, file_size, mime_type, width, height, is_animated)
        VALUES (%(hash)s, '', %(ext)s, %(size)s, %(mime_type)s, %(width)s, %(height)s, %(is_animated)s)
            ON CONFLICT (file_hash) DO UPDATE SET file_size = f.file_size),
    settled AS (
        DELETE FROM file_strays s WHERE s.file_hash = %(hash)s),
    uploaded AS (
        INSERT INTO file_uploads AS u (site_id, profile_id, file_hash, file_name, file_ext)
        VALUES (%(site_id)s, %(profile_id)s, %(hash)s, %(name)s, %(ext)s)
            ON CONFLICT (site_id, profile_id, file_hash) DO UPDATE
           SET created = now(), file_name = EXCLUDED.file_name, file_ext = EXCLUDED.file_ext
     RETURNING u.created, u.xmax = 0 AS is_new),
    used AS (
        INSERT INTO file_usage AS t (site_id, profile_id, bytes)
        SELECT %(site_id)s, p.profile_id, %(size)s
          FROM uploaded, unnest(ARRAY[0, %(profile_id)s::bigint]) AS p (profile_id)
         WHERE uploaded.is_new
            ON CONFLICT (site_id, profile_id) DO UPDATE SET bytes = t.bytes + EXCLUDED.bytes
     RETURNING t.profile_id, t.bytes)
    SELECT uploaded.created, coalesce((SELECT used.bytes FROM used WHERE used.profile_id = 0), 0),
           coalesce((SELECT used.bytes FROM used WHERE used.profile_id <> 0), 0)
      FROM uploaded""",
)


class File(NamedTuple):
    """File to be stored. `hash`: SHA-1 of its bytes; `size` in bytes; `name`: file name that its uploader gives it;
    `ext`: extension without the dot, a picture's by its format, "" for none; `width` and `height` in pixels, None for
    no picture.
    """

    hash: str
    size: int
    name: str
    ext: str
    mime_type: str
    width: int | None = None
    height: int | None = None
    is_animated: bool = False

    def insert(
        self, tx: Transaction, site_id: int, profile_id: int, quota: Quota
    ) -> datetime.datetime:
        """Store the rows of a file whose bytes are stored already, as an upload of this profile; return the time of
        this upload, which takes the place of the profile's earlier upload of the same file.

        Raises TooLarge or PlanLimit, as `quota.check` does, if the site or the profile then has stored more than
        `quota` allows; a file that the profile has uploaded before adds nothing, and is never refused.
        """
        row = tx.row(INSERT, site_id=site_id, profile_id=profile_id, **self._asdict())
        assert row is not None
        created: datetime.datetime
        created, site_bytes, profile_bytes = row
        quota.check(site_bytes, profile_bytes)
        return created

    def document(self, created: datetime.datetime) -> dict[str, Any]:
        """Return the file as a dict for JSON (content 10.2). `created`: time of its upload, a result of `insert`."""
        data: dict[str, Any] = {
            "created": json_fragments.format_time(created),
            "fileName": self.name,
            "fileExt": self.ext,
            "fileSize": self.size,
            "fileHash": self.hash,
            "mimeType": self.mime_type,
        }
        if self.width and self.height:
            data |= {"width": self.width, "height": self.height}
        return data


class Quota(NamedTuple):
    """Limits of what a whole site may store, `site_mb`, and each of its profiles, `profile_mb`, in units of MEGABYTE
    bytes; 0: no limit. `check_site(bytes)`, given all bytes that the site stores, raises PlanLimit if the site's plan,
    a further limit, allows fewer; by default it allows any number.
    """

    site_mb: int
    profile_mb: int
    check_site: Callable[[int], None] = lambda _: None

    def check(self, site_bytes: int, profile_bytes: int) -> None:
        """Raise PlanLimit if the stored bytes of the site are above its plan's limit, else TooLarge if those of the
        site or of the profile are above theirs.
        """
        self.check_site(site_bytes)
        for limit_mb, used, whose in (
            (self.site_mb, site_bytes, "This site"),
            (self.profile_mb, profile_bytes, "You"),
        ):
            if limit_mb and used > limit_mb * MEGABYTE:
                raise TooLarge(f"{whose} may store at most {limit_mb:,} MB", code=FILE_TOO_LARGE)


def usage(tx: Reader, site_id: int, profile_id: int) -> tuple[int, int]:
    """Return (bytes that the whole site has stored, bytes that this profile of it has stored), each 0 if there are
    none.
    """
    row = tx.row(USAGE, site_id=site_id, profile_id=profile_id)
    assert row is not None, "an aggregate has a row"
    return row[0], row[1]


def announce(tx: Transaction, hashes: Iterable[str]) -> None:
    """Record that the objects with these hashes are about to be written to the file storage; a job deletes the objects
    for which neither `File.insert` nor `add_variant` follows.
    """
    tx.run(ANNOUNCE, hashes=sorted(set(hashes)))


# ---------------------------------------------------------------- downloads

# A site has the files that were uploaded to it or are attached to its comments. Pictures of profiles, and files that
# guests read on other sites, are public. Upload time and name on another site are not read. A file of a redacted text
# is none, unless it hangs on something else, until the redaction is finished.
FIND = Query(
    "file.find",
    f"""
    SELECT f.mime_type, f.file_size, f.file_ext, coalesce(u.created, 'epoch'), coalesce(u.file_name, ''),
           EXISTS (SELECT 1 FROM attachments a WHERE a.file_hash = f.file_hash AND a.item_type_id = {itemtypes.PROFILE})
           OR EXISTS (SELECT FROM (
                             SELECT DISTINCT c.site_id, coalesce(i.microcosm_id, 0) AS microcosm_id
                               FROM attachments a
                               JOIN comments c ON c.site_id = a.site_id AND c.comment_id = a.item_id
                                              AND NOT c.is_deleted AND NOT c.is_moderated
                               JOIN sites s ON s.site_id = c.site_id AND NOT s.is_deleted
                               LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
                                                AND NOT i.is_deleted AND NOT i.is_moderated
                              WHERE a.file_hash = f.file_hash AND a.item_type_id = {itemtypes.COMMENT}
                                AND a.site_id <> %(site_id)s
                                AND (c.on_profile_id IS NOT NULL OR i.microcosm_id IS NOT NULL)
                              LIMIT 500) AS p
                       WHERE p.microcosm_id = 0 OR guests_read(p.site_id, p.microcosm_id)),
           u.created IS NOT NULL,
           EXISTS (SELECT 1 FROM attachments a
                    WHERE a.site_id = %(site_id)s AND a.file_hash = f.file_hash
                      AND a.item_type_id = {itemtypes.COMMENT}),
           EXISTS (SELECT 1 FROM file_uploads m
                     JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id
                    WHERE m.file_hash = f.file_hash AND p.user_id = %(user_id)s)
      FROM files f
      LEFT JOIN LATERAL (
           SELECT x.created, x.file_name FROM file_uploads x
            WHERE x.site_id = %(site_id)s AND x.file_hash = f.file_hash
            ORDER BY x.created, x.profile_id LIMIT 1) u ON true
     WHERE f.file_hash = %(hash)s
       AND (NOT EXISTS (SELECT FROM redactions r
                         WHERE r.site_id = %(site_id)s AND %(hash)s::text = ANY(r.file_hashes))
            OR EXISTS (SELECT FROM attachments a WHERE a.site_id = %(site_id)s AND a.file_hash = %(hash)s))""",
    scope=PLATFORM,
)

# Comments of this site with the file, as far as they differ in what permission depends on.
PLACES = Query(
    "file.places",
    f"""
    SELECT DISTINCT coalesce(i.microcosm_id, 0), c.created_by,
           c.is_deleted OR c.is_moderated OR coalesce(i.is_deleted OR i.is_moderated, false),
           coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint),
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE i.item_type_id = {itemtypes.HUDDLE} AND h.site_id = i.site_id AND h.item_id = i.item_id
                      AND h.site_id = %(site_id)s AND h.profile_id = %(me)s)
      FROM attachments a
      JOIN comments c ON c.site_id = a.site_id AND c.comment_id = a.item_id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE a.site_id = %(site_id)s AND a.file_hash = %(hash)s AND a.item_type_id = {itemtypes.COMMENT}
     ORDER BY 1
     LIMIT %(limit)s""",
    unrestricted="the evaluator decides on them; none is shown",
)
# A file with more places than this is no secret of the places that are not looked at.
MAX_PLACES: Final = 500


class StoredFile(NamedTuple):
    """File as one site knows it. `created` and `name`: those of its first upload to this site, 1970 and "" without one;
    `ext`: extension of its first upload to any site; `is_public`: it is a profile's picture on any site, or guests of
    another site read it; `is_uploaded`: to this site; `is_hung`: on comments of this site; `is_mine`: the user who asks
    uploaded it, to any site.
    """

    mime_type: str
    size: int
    ext: str
    created: datetime.datetime
    name: str
    is_public: bool  # a profile's picture on any site, or read by guests of another one
    is_uploaded: bool  # to this site
    is_hung: bool  # on comments of this site
    is_mine: bool  # the asking user uploaded it, to any site

    def is_open(self, access: str) -> bool:
        """Return True if everybody who knows the hash may see the file; else the function `visibility` decides, by the
        comments that have the file.

        Open are public files, and files uploaded to this site that hang on none of its comments. `access`: the
        configuration's `file_access`: "anyone" opens files on comments of this site too, "readers" does not.
        """
        is_known = self.is_uploaded or self.is_hung
        return self.is_public or (is_known and (access == "anyone" or not self.is_hung))


def find(tx: Reader, site_id: int, user_id: int, hash: str) -> StoredFile | None:
    """Return the file with this hash as the site `site_id` knows it, with `is_mine` for the user `user_id` (0: none);
    None if no site has a file with this hash, or if a redaction of a text with this file is under way on this site and
    no comment or profile here has the file.
    """
    row = tx.row(FIND, site_id=site_id, user_id=user_id, hash=hash)
    return StoredFile(*row) if row else None


class FileVisibility(NamedTuple):
    """Visibility of a file: True for `caller` if the caller may see it, for `everybody` if guests may."""

    caller: bool
    everybody: bool


OPEN: Final = FileVisibility(True, True)


def visibility(
    tx: Reader, site_id: int, principal: Principal, hash: str, tree: Tree
) -> FileVisibility:
    """Return the visibility of a file that is not open: whoever may read one of this site's comments with the file may
    see it, but of a comment that is hidden, or whose item or microcosm is hidden, only those who may moderate it. Of
    comments that differ in what permission depends on, at most MAX_PLACES are looked at.

    Call it also for a hash without a file, so that the time taken does not reveal that there is none.
    """
    rows = tx.rows(PLACES, site_id=site_id, me=principal.profile_id, hash=hash, limit=MAX_PLACES)
    by_caller = False
    for microcosm_id, author_id, is_hidden, parent_type, takes_part in rows:
        target = Target(
            itemtypes.COMMENT,
            1,
            microcosm_id,
            (author_id,),
            parent_type=parent_type,
            is_participant=takes_part,
        )
        node = tree.nodes.get(microcosm_id)
        hidden = is_hidden or (bool(microcosm_id) and (node is None or not node.is_live))
        # Huddle participation is the caller's, so it doesn't count for everybody.
        others = target._replace(is_participant=False)
        if not hidden and evaluator.effective(GUEST_CALLER, others, tree) & evaluator.READ:
            return OPEN
        if not by_caller:
            can = evaluator.effective(principal, target, tree)
            needed = evaluator.MODERATOR if hidden else evaluator.READ
            by_caller = bool(can & needed)
    return FileVisibility(by_caller, False)


# ---------------------------------------------------------------- sizes beside the original

VARIANT = Query(
    "file.variant",
    """
    SELECT v.state, v.variant_hash, v.variant_size
      FROM file_variants v
     WHERE v.file_hash = %(hash)s AND v.max_width = %(width)s AND v.max_height = %(height)s""",
)

ADD_VARIANT = Query(
    "file.add_variant",
    """
    WITH settled AS (
        DELETE FROM file_strays s WHERE s.file_hash = %(variant)s)
    INSERT INTO file_variants (file_hash, max_width, max_height, variant_hash, variant_size, state)
    SELECT f.file_hash, %(width)s, %(height)s, %(variant)s, %(size)s, %(state)s
      FROM files f
     WHERE f.file_hash = %(hash)s
        ON CONFLICT (file_hash, max_width, max_height) DO UPDATE
       SET variant_hash = EXCLUDED.variant_hash, variant_size = EXCLUDED.variant_size, state = EXCLUDED.state""",
)


class Variant(NamedTuple):
    """Picture made of an original to fit a box of some width and height; `size` in bytes. `hash`: that of the picture's
    own file, which is the original's if the original fits already; "" if the original can't be scaled.
    """

    hash: str
    size: int


def variant(tx: Reader, hash: str, width: int, height: int) -> Variant | None:
    """Return the picture made from the file `hash` for a box of this many pixels, with `hash` "" if a try has failed;
    None if it was not tried yet.
    """
    row = tx.row(VARIANT, hash=hash, width=width, height=height)
    if row is None or row[0] == "wanted":
        return None
    return Variant(row[1] or "", row[2] or 0)


def add_variant(tx: Transaction, hash: str, width: int, height: int, made: Variant | None) -> None:
    """Record the picture that was made from the file `hash` for a box of this many pixels, in place of an earlier
    record; `made` None: it can't be scaled. Nothing is recorded if that file is gone.
    """
    tx.run(
        ADD_VARIANT,
        hash=hash,
        width=width,
        height=height,
        variant=made.hash if made else None,
        size=made.size if made else None,
        state="made" if made else "failed",
    )
