"""Redaction: removal of texts for good, because of a law, from wherever the platform keeps them.

What stands in tables is gone with the transaction: texts, revisions, titles, drafts, mail that waits or was sent, and
archives that hold it. Files are closed with it; they and cached documents are deleted in the background
(cron/redacted_files.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.itemtypes import ItemRef
from forumapi.models.texts import text_removal
from forumapi.models.trust.targets import ITEMS, ActionTarget

REDACTED = Query(
    "redaction.redacted",
    """
    SELECT x.item_type_id, x.item_id
      FROM unnest(%(item_types)s::smallint[], %(item_ids)s::bigint[]) AS u (type, id)
      JOIN action_changes x ON x.site_id = %(site_id)s AND x.item_type_id = u.type AND x.item_id = u.id
                           AND x.state = 'done'
      JOIN actions a ON a.site_id = x.site_id AND a.action_id = x.action_id AND a.kind = 'redact'""",
)
# Before the texts are removed: the files that they link to, or that hang on them.
INSERT = Query(
    "redaction.insert",
    f"""
    INSERT INTO redactions AS r (site_id, item_type_id, item_id, version, file_hashes)
    SELECT c.site_id, {itemtypes.COMMENT}, c.comment_id, c.version,
           ARRAY(SELECT f.found[1]
                   FROM (SELECT c.markdown
                          UNION ALL
                         SELECT v.markdown FROM comment_revisions v
                          WHERE v.site_id = c.site_id AND v.comment_id = c.comment_id) t (markdown),
                        regexp_matches(t.markdown, '/files/([0-9a-f]{{40}})', 'g') AS f (found)
                  UNION
                 SELECT a.file_hash FROM attachments a
                  WHERE a.site_id = c.site_id AND a.item_type_id = {itemtypes.COMMENT} AND a.item_id = c.comment_id)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(comment_ids)s::bigint[])
        ON CONFLICT (site_id, item_type_id, item_id) DO UPDATE
       SET version = EXCLUDED.version, created = now(),
           file_hashes = ARRAY(SELECT unnest(r.file_hashes) UNION SELECT unnest(EXCLUDED.file_hashes))
 RETURNING r.file_hashes <> '{{}}'""",
)
# Processes hold, for guests, rows of files that are open, by the site's version.
TOUCH_SITE = Query(
    "redaction.touch_site",
    "UPDATE sites s SET version = s.version + 1 WHERE s.site_id = %(site_id)s",
)
DROP_MAIL = Query(
    "redaction.drop_mail",
    """
    DELETE FROM mail_outbox m
     WHERE m.site_id = %(site_id)s
       AND (m.comment_id = ANY(%(comment_ids)s::bigint[]) OR m.item_id = ANY(%(item_ids)s::bigint[])
            AND m.item_type_id = ANY(%(item_types)s::smallint[]))""",
)
# Of edits that were begun, of whoever might have copied the text there.
DROP_DRAFTS = Query(
    "redaction.drop_drafts",
    f"""
    DELETE FROM drafts d
     WHERE d.site_id = %(site_id)s
       AND (d.place_type_id = {itemtypes.COMMENT} AND d.place_id = ANY(%(comment_ids)s::bigint[])
            OR d.place_type_id = ANY(%(item_types)s::smallint[]) AND d.place_id = ANY(%(item_ids)s::bigint[])
               AND d.writes_type_id = d.place_type_id)""",
)
# Archives that were made before hold the text, those of whoever took part when it is in a huddle. Whoever asked for one
# asks again.
DROP_EXPORTS = Query(
    "redaction.drop_exports",
    """
    WITH personal AS (
        DELETE FROM personal_exports p
         WHERE p.site_id = %(site_id)s AND (%(is_in_huddle)s::boolean OR p.profile_id = ANY(%(author_ids)s::bigint[]))
     RETURNING p.object),
    whole AS (
        DELETE FROM site_exports s WHERE s.site_id = %(site_id)s
     RETURNING s.object),
    uploaded AS (
        UPDATE site_imports m
           SET object = NULL, expires = NULL, epoch = m.epoch + 1, finished = coalesce(m.finished, now()),
               state = CASE WHEN m.state IN ('waiting', 'running') THEN 'cancelled' ELSE m.state END
          FROM (SELECT k.object, k.bytes FROM site_imports k
                 WHERE k.site_id = %(site_id)s AND k.object IS NOT NULL FOR UPDATE) AS o
         WHERE m.site_id = %(site_id)s
     RETURNING o.object, o.bytes),
    freed AS (
        UPDATE file_usage t
           SET bytes = greatest(0, t.bytes - u.bytes)
          FROM uploaded u
         WHERE t.site_id = %(site_id)s AND t.profile_id = 0)
    INSERT INTO file_strays (file_hash, since)
    SELECT p.object, '-infinity'::timestamptz FROM personal p WHERE p.object <> ''
     UNION
    SELECT w.object, '-infinity'::timestamptz FROM whole w WHERE w.object IS NOT NULL
     UNION
    SELECT u.object, '-infinity'::timestamptz FROM uploaded u
        ON CONFLICT (file_hash) DO UPDATE SET since = '-infinity'""",
)

# Those without files last: documents that a memcached keeps do not hold up the files of others.
WAITING = Query(
    "redaction.waiting",
    """
    SELECT r.site_id, r.item_type_id, r.item_id, r.version, r.file_hashes
      FROM redactions r
     ORDER BY (r.file_hashes = '{}'), r.created
     LIMIT %(most)s
       FOR UPDATE SKIP LOCKED""",
    scope=PLATFORM,
)
FINISH = Query(
    "redaction.finish",
    """
    DELETE FROM redactions r
     WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s""",
)
# Of a redaction whose files are done with: it then waits behind those that have some.
DEFER = Query(
    "redaction.defer",
    """
    UPDATE redactions r
       SET created = now(), file_hashes = '{}'
     WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s""",
)
# Files that hang nowhere any more.
UNATTACHED = Query(
    "redaction.unattached",
    """
    SELECT f.file_hash
      FROM files f
     WHERE f.file_hash = ANY(%(hashes)s::text[])
       AND NOT EXISTS (SELECT FROM attachments a WHERE a.file_hash = f.file_hash)
       FOR UPDATE""",
    scope=PLATFORM,
)


def redacted(tx: Transaction, site_id: int, held: Collection[ActionTarget]) -> set[ItemRef]:
    """Return the things among the locked `held` whose texts an earlier action has redacted."""
    rows = tx.rows(
        REDACTED,
        site_id=site_id,
        item_types=[one.ref.type for one in held],
        item_ids=[one.ref.id for one in held],
    )
    return {ItemRef(*row) for row in rows}


def remove(tx: Transaction, site_id: int, held: Collection[ActionTarget]) -> None:
    """Remove the texts of the locked comments and items `held` from every table that keeps them or copies of them;
    delete drafts of edits of them, mail about them, the authors' personal exports (everybody's if one of them is in a
    huddle), the site's export, and the upload of its import, whose task is cancelled. Files and cached documents of the
    comments are queued, for `waiting`.

    From the commit on the site answers for such a file that there is none, unless the file hangs on something else
    there, until it is known whether another text links to it.
    """
    comment_ids = sorted(one.ref.id for one in held if one.comment)
    item_ids = sorted(one.ref.id for one in held if one.item)
    things = {"comment_ids": comment_ids, "item_ids": item_ids, "item_types": sorted(ITEMS)}
    has_files = [row[0] for row in tx.rows(INSERT, site_id=site_id, comment_ids=comment_ids)]
    if any(has_files):
        tx.run(TOUCH_SITE, site_id=site_id)
    text_removal.remove_comments(tx, site_id, comment_ids)
    text_removal.remove_items(tx, site_id, item_ids)
    tx.run(DROP_MAIL, site_id=site_id, **things)
    tx.run(DROP_DRAFTS, site_id=site_id, **things)
    tx.run(
        DROP_EXPORTS,
        site_id=site_id,
        author_ids=sorted({one.author_id for one in held}),
        is_in_huddle=any(one.is_in_huddle for one in held),
    )


def waiting(tx: Transaction, most: int) -> list[Row]:
    """Lock at most `most` redactions of all sites whose files and cached documents are still there, those with files
    first, then the oldest first, passing over those that others have locked; return them as (site id, type, id, version
    of the thing, hashes of its files).
    """
    return tx.rows(WAITING, most=most)


def finish(tx: Transaction, site_id: int, item_type: int, item_id: int) -> None:
    """Delete the row of the redaction of one thing, of which nothing is left to remove."""
    tx.run(FINISH, site_id=site_id, item_type=item_type, item_id=item_id)


def defer(tx: Transaction, site_id: int, item_type: int, item_id: int) -> None:
    """Let the redaction of one thing wait behind all others: the thing's files have been dealt with, so their hashes
    are deleted from the row of the redaction; a cache may still hold documents of the thing.
    """
    tx.run(DEFER, site_id=site_id, item_type=item_type, item_id=item_id)


def unattached(tx: Transaction, hashes: Sequence[str]) -> list[str]:
    """Lock the files with these hashes that are attached to nothing on any site; return their hashes in any order, []
    for none.
    """
    return [row[0] for row in tx.rows(UNATTACHED, hashes=list(hashes))] if hashes else []
