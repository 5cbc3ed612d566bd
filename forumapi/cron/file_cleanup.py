"""Clean-up of files that nothing uses, and of objects in the store that no row names (strays)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.files.storage import open_storage

# Rows of one run.
MOST: Final = 1000

# Texts that may link to files. The indexes comments_with_files and comment_revisions_with_files serve the first two.
_TEXTS: Final = """
    SELECT c.markdown AS text FROM comments c WHERE c.markdown LIKE '%%/files/%%'
     UNION ALL SELECT r.markdown FROM comment_revisions r WHERE r.markdown LIKE '%%/files/%%'
     UNION ALL SELECT d.content FROM drafts d WHERE d.content LIKE '%%/files/%%'
     UNION ALL SELECT a.string_value FROM attributes a WHERE a.string_value LIKE '%%/files/%%'
     UNION ALL SELECT m.logo_url || ' ' || m.description FROM microcosms m
     UNION ALL SELECT concat_ws(' ', s.logo_url, s.favicon_url, s.background_url, s.description) FROM sites s
     UNION ALL SELECT t.body || ' ' || coalesce(t.link, '') FROM site_templates t
     UNION ALL SELECT v.body FROM legal_versions v
     UNION ALL SELECT n.href FROM menus n
     UNION ALL SELECT p.avatar_url FROM profiles p WHERE p.avatar_url LIKE '/api/v1/files/%%'"""

UNUSED = Query(
    "file_cleanup.unused_files",
    f"""
    WITH linked AS (
        SELECT DISTINCT found[1] AS file_hash
          FROM ({_TEXTS}) AS written,
               regexp_matches(written.text, '/files/([0-9a-f]{{40}})', 'g') AS found)
    SELECT f.file_hash
      FROM files f
     WHERE f.created < now() - make_interval(days => %(days)s::int)
       AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.file_hash = f.file_hash)
       AND NOT EXISTS (SELECT 1 FROM file_uploads u
                        WHERE u.file_hash = f.file_hash
                          AND u.created > now() - make_interval(days => %(days)s::int))
       AND NOT EXISTS (SELECT 1 FROM linked l WHERE l.file_hash = f.file_hash)
     ORDER BY f.created
     LIMIT %(most)s
       FOR UPDATE OF f SKIP LOCKED""",
    scope=PLATFORM,
    unrestricted="finds files that no text names; only hashes come back",
)

# The object of a thumbnail may also be another file, or a thumbnail of another one.
DROP_UNUSED: Final = (
    Query(
        "file_cleanup.unused_files.leave_objects",
        """
        INSERT INTO file_strays (file_hash)
        SELECT h.file_hash FROM unnest(%(hashes)s::text[]) AS h (file_hash)
         UNION SELECT v.variant_hash FROM file_variants v
                WHERE v.file_hash = ANY(%(hashes)s) AND v.variant_hash IS NOT NULL
            ON CONFLICT DO NOTHING""",
    ),
    Query(
        "file_cleanup.unused_files.give_back",
        """
        WITH gone AS (
            DELETE FROM file_uploads u
             WHERE u.file_hash = ANY(%(hashes)s)
         RETURNING u.site_id, u.profile_id, u.file_hash),
        freed AS (
            SELECT g.site_id, p.profile_id, sum(f.file_size) AS bytes
              FROM gone g
              JOIN files f ON f.file_hash = g.file_hash,
                   unnest(ARRAY[0, g.profile_id]) AS p (profile_id)
             GROUP BY g.site_id, p.profile_id)
        UPDATE file_usage t
           SET bytes = t.bytes - freed.bytes
          FROM freed
         WHERE t.site_id = freed.site_id AND t.profile_id = freed.profile_id""",
        scope=PLATFORM,
    ),
    Query(
        "file_cleanup.unused_files.variants",
        "DELETE FROM file_variants v WHERE v.file_hash = ANY(%(hashes)s)",
    ),
    Query(
        "file_cleanup.unused_files.drop", "DELETE FROM files f WHERE f.file_hash = ANY(%(hashes)s)"
    ),
)

_HAS_ROW: Final = """
    (EXISTS (SELECT 1 FROM files f WHERE f.file_hash = s.file_hash)
     OR EXISTS (SELECT 1 FROM file_variants v WHERE v.variant_hash = s.file_hash))"""

# An upload of the same object waits for this lock, and then finds it gone.
STRAYS = Query(
    "file_cleanup.strays",
    f"""
    SELECT s.file_hash, {_HAS_ROW}
      FROM file_strays s
     WHERE s.since < now() - interval '1 hour'
     ORDER BY s.since
     LIMIT %(most)s
       FOR UPDATE SKIP LOCKED""",
)
OBJECTS = Query(
    "file_cleanup.objects",
    """
    SELECT h.file_hash FROM unnest(%(hashes)s::text[]) AS h (file_hash)
     UNION
    SELECT v.variant_hash FROM file_variants v
     WHERE v.file_hash = ANY(%(hashes)s) AND v.variant_hash IS NOT NULL""",
)
STRAYS_OF = Query(
    "file_cleanup.strays_of",
    f"""
    SELECT s.file_hash, {_HAS_ROW}
      FROM file_strays s
     WHERE s.file_hash = ANY(%(hashes)s)
     ORDER BY s.file_hash
       FOR UPDATE""",
)
LINKED = Query(
    "file_cleanup.linked",
    f"""
    SELECT DISTINCT found[1]
      FROM ({_TEXTS}) AS written, regexp_matches(written.text, '/files/([0-9a-f]{{40}})', 'g') AS found
     WHERE found[1] = ANY(%(hashes)s)""",
    scope=PLATFORM,
    unrestricted="finds files that texts name; only hashes come back",
)
FORGET_STRAYS = Query(
    "file_cleanup.forget_strays", "DELETE FROM file_strays s WHERE s.file_hash = ANY(%(hashes)s)"
)


def unused_files(tx: Transaction, config: Config) -> str:
    """Delete the rows of files without attachment, avatar or link, `file_orphan_days` after their last upload (0:
    never), MOST a run; return the result in words. The files' objects become strays.
    """
    if not config.file_orphan_days:
        return "kept for good"
    hashes = [row[0] for row in tx.rows(UNUSED, days=config.file_orphan_days, most=MOST)]
    drop_unused(tx, hashes)
    return f"{len(hashes)} files"


def stray_objects(tx: Transaction, config: Config) -> str:
    """Delete from the store the objects that have been strays for an hour and have no row now, MOST a run; return the
    result in words. Raises StorageError; the next run tries again.
    """
    return f"{_delete_strays(tx, config, tx.rows(STRAYS, most=MOST))} objects"


def drop_unused(tx: Transaction, hashes: Sequence[str]) -> None:
    """Delete the rows of files, by hash, and of their thumbnails; the caller knows that nothing uses these files. The
    files' objects become strays.
    """
    for query in DROP_UNUSED if hashes else ():
        tx.run(query, hashes=list(hashes))


def linked(tx: Transaction, hashes: Sequence[str]) -> set[str]:
    """Return the hashes of those of the files whose address a text of any site names."""
    return {row[0] for row in tx.rows(LINKED, hashes=list(hashes))} if hashes else set()


def objects(tx: Transaction, hashes: Sequence[str]) -> list[str]:
    """Return the names of the objects in the store of these files and of their thumbnails, each name, a hash, once, in
    any order; [] for no hashes.
    """
    return [row[0] for row in tx.rows(OBJECTS, hashes=list(hashes))] if hashes else []


def delete_objects(tx: Transaction, config: Config, hashes: Sequence[str]) -> int:
    """Delete those of the objects, given by name, that are strays (table `file_strays`) from the store at once, except
    those that a row names again; return the number deleted. None of the given objects is a stray then. Raises
    StorageError.
    """
    return _delete_strays(tx, config, tx.rows(STRAYS_OF, hashes=list(hashes)))


def _delete_strays(tx: Transaction, config: Config, rows: Sequence[Row]) -> int:
    strays = [hash for hash, has_row in rows if not has_row]
    storage = open_storage(config)
    for hash in strays:
        storage.delete(hash)
    if rows:
        tx.run(FORGET_STRAYS, hashes=[hash for hash, _ in rows])
    return len(strays)
