"""Uploaded files: one row per content for the platform, one per uploader and site, and who may see them (content 10).

A file is found by the SHA-1 of its bytes. What it is called and when it came is told by each uploader's own row, and
whether there is one by what the caller may see, so that one site learns nothing of another's.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import FILE_TOO_LARGE, TooLarge
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import (
    GUEST_CALLER,
    Principal,
    Target,
    Tree,
)
from forumapi.wire import json_fragments

HASH_LENGTH: Final = 40
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

# In the order of the hashes, so that two uploads of the same files don't wait for each other crosswise.
ANNOUNCE = Query(
    "file.announce",
    """
    INSERT INTO file_strays (file_hash)
    SELECT h.file_hash FROM unnest(%(hashes)s::text[]) AS h (file_hash) ORDER BY h.file_hash
        ON CONFLICT (file_hash) DO UPDATE SET since = now()""",
)

# The row of the content is locked by the update that changes nothing, so that no sweep takes it away meanwhile.
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


class Received(NamedTuple):
    """A file as it is stored: its content, and what its uploader calls it."""

    hash: str
    size: int
    name: str
    ext: str
    mime_type: str
    width: int | None = None
    height: int | None = None
    is_animated: bool = False

    def document(self, created: datetime.datetime) -> dict[str, Any]:
        """The file object of content 10.2."""
        data: dict[str, Any] = {
            "created": json_fragments.when(created),
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
    """What may be stored, in megabytes; 0 is no limit."""

    site_mb: int
    profile_mb: int

    def check(self, site_bytes: int, profile_bytes: int) -> None:
        """Raises TooLarge for what is over."""
        for limit_mb, used, whose in (
            (self.site_mb, site_bytes, "This site"),
            (self.profile_mb, profile_bytes, "You"),
        ):
            if limit_mb and used > limit_mb * MEGABYTE:
                raise TooLarge(f"{whose} may store at most {limit_mb:,} MB", code=FILE_TOO_LARGE)


def usage(tx: Reader, site_id: int, profile_id: int) -> tuple[int, int]:
    """Bytes stored by the whole site and by one profile."""
    row = tx.row(USAGE, site_id=site_id, profile_id=profile_id)
    assert row is not None, "an aggregate has a row"
    return row[0], row[1]


def announce(tx: Transaction, hashes: Iterable[str]) -> None:
    """Note that objects are about to be written: should their rows never come, a job deletes them."""
    tx.run(ANNOUNCE, hashes=sorted(set(hashes)))


def insert(
    tx: Transaction, site_id: int, profile_id: int, file: Received, quota: Quota
) -> datetime.datetime:
    """The rows of a file whose object is stored; when it was uploaded, which is now. Raises TooLarge."""
    row = tx.row(
        INSERT,
        site_id=site_id,
        profile_id=profile_id,
        **file._asdict(),
    )
    assert row is not None
    created, site_bytes, profile_bytes = row
    quota.check(site_bytes, profile_bytes)
    return created  # type: ignore[no-any-return]


# ---------------------------------------------------------------- downloads

# A site has what was uploaded to it, and what hangs on its comments. Pictures of people, and what guests read on other
# sites, are everybody's. When the same bytes came to another site, and what they are called there, is not told.
FIND = Query(
    "file.find",
    """
    SELECT f.mime_type, f.file_size, f.file_ext, coalesce(u.created, 'epoch'), coalesce(u.file_name, ''),
           EXISTS (SELECT 1 FROM attachments a WHERE a.file_hash = f.file_hash AND a.item_type_id = 3)
           OR EXISTS (SELECT FROM (
                             SELECT DISTINCT c.site_id, coalesce(i.microcosm_id, 0) AS microcosm_id
                               FROM attachments a
                               JOIN comments c ON c.site_id = a.site_id AND c.comment_id = a.item_id
                                              AND NOT c.is_deleted AND NOT c.is_moderated
                               JOIN sites s ON s.site_id = c.site_id AND NOT s.is_deleted
                               LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
                                                AND NOT i.is_deleted AND NOT i.is_moderated
                              WHERE a.file_hash = f.file_hash AND a.item_type_id = 4 AND a.site_id <> %(site_id)s
                                AND (c.on_profile_id IS NOT NULL OR i.microcosm_id IS NOT NULL)
                              LIMIT 500) AS p
                       WHERE p.microcosm_id = 0 OR guests_read(p.site_id, p.microcosm_id)),
           u.created IS NOT NULL,
           EXISTS (SELECT 1 FROM attachments a
                    WHERE a.site_id = %(site_id)s AND a.file_hash = f.file_hash AND a.item_type_id = 4),
           EXISTS (SELECT 1 FROM file_uploads m
                     JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id
                    WHERE m.file_hash = f.file_hash AND p.user_id = %(user_id)s)
      FROM files f
      LEFT JOIN LATERAL (
           SELECT x.created, x.file_name FROM file_uploads x
            WHERE x.site_id = %(site_id)s AND x.file_hash = f.file_hash
            ORDER BY x.created, x.profile_id LIMIT 1) u ON true
     WHERE f.file_hash = %(hash)s""",
)

# Where a file hangs on this site: each kind of place once.
PLACES = Query(
    "file.places",
    """
    SELECT DISTINCT coalesce(i.microcosm_id, 0), c.created_by,
           c.is_deleted OR c.is_moderated OR coalesce(i.is_deleted OR i.is_moderated, false),
           coalesce(i.item_type_id, 3::smallint),
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE i.item_type_id = 5 AND h.site_id = i.site_id AND h.item_id = i.item_id
                      AND h.site_id = %(site_id)s AND h.profile_id = %(me)s)
      FROM attachments a
      JOIN comments c ON c.site_id = a.site_id AND c.comment_id = a.item_id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE a.site_id = %(site_id)s AND a.file_hash = %(hash)s AND a.item_type_id = 4
     ORDER BY 1
     LIMIT %(limit)s""",
)
# More places than this are not looked at: a file that hangs in so many is no secret of the next one.
MAX_PLACES: Final = 500


class Stored(NamedTuple):
    """A file as one site knows it. `created`: when it first came to this site."""

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
        """True where the hash is enough to see it; `access` is the setting `file_access`."""
        is_known = self.is_uploaded or self.is_hung
        return self.is_public or (is_known and (access == "anyone" or not self.is_hung))


def find(tx: Reader, site_id: int, user_id: int, hash: str) -> Stored | None:
    """The file with this hash as `site_id` knows it; None if it was never uploaded. One statement."""
    row = tx.row(FIND, site_id=site_id, user_id=user_id, hash=hash)
    return Stored(*row) if row else None


class Sight(NamedTuple):
    """Who may see a file: the caller, and everybody."""

    caller: bool
    everybody: bool


OPEN: Final = Sight(True, True)


def sight(tx: Reader, site_id: int, principal: Principal, hash: str, tree: Tree) -> Sight:
    """Return who may see a file that is not open: whoever may read one of the comments of this site that it hangs on.

    Ask it of a file that isn't there too, which then takes as long.
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
        # Taking part is the caller's, not everybody's.
        others = target._replace(is_participant=False)
        if not hidden and evaluator.effective(GUEST_CALLER, others, tree) & evaluator.READ:
            return OPEN
        if not by_caller:
            can = evaluator.effective(principal, target, tree)
            needed = evaluator.MODERATOR if hidden else evaluator.READ
            by_caller = bool(can & needed)
    return Sight(by_caller, False)


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
    """A picture in one box. `hash` is the original's where that fits already."""

    hash: str
    size: int


def variant(tx: Reader, hash: str, width: int, height: int) -> Variant | None:
    """The picture in this box, if it was made; one that can't be made has the empty hash."""
    row = tx.row(VARIANT, hash=hash, width=width, height=height)
    if row is None or row[0] == "wanted":
        return None
    return Variant(row[1] or "", row[2] or 0)


def add_variant(tx: Transaction, hash: str, width: int, height: int, made: Variant | None) -> None:
    """Note a picture that is stored in another size; None: it can't be made."""
    tx.run(
        ADD_VARIANT,
        hash=hash,
        width=width,
        height=height,
        variant=made.hash if made else None,
        size=made.size if made else None,
        state="made" if made else "failed",
    )
