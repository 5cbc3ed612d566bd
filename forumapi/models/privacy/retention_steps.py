"""Steps that carry out the retention periods of a site, each a batch in a transaction: addresses are hashed, mail that
was sent or given up is deleted, and texts of things that were deleted long ago are removed.

A batch finds what is left by itself, so that nothing is stored of how far the work is: a process that is killed loses
one batch. The audit has a job of its own (cron/audit_chain_maintenance.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.privacy.retention import AGED, HELD
from forumapi.models.texts import text_removal
from forumapi.models.texts.text_removal import REMOVED

# Rows of a batch, whose locks others wait for.
MOST: Final = 500
MOST_TRACES: Final = 5_000
MOST_ITEMS: Final = 20

FORGET_MAIL = Query(
    "retention_steps.forget_mail",
    """
    DELETE FROM mail_outbox m
     WHERE m.site_id = %(site_id)s
       AND m.mail_id IN (SELECT o.mail_id
                           FROM mail_outbox o
                          WHERE o.site_id = %(site_id)s AND o.state IN ('sent', 'dropped', 'dead')
                            AND coalesce(o.sent, o.created) < now() - make_interval(days => %(days)s::int)
                          ORDER BY coalesce(o.sent, o.created)
                          LIMIT %(most)s
                            FOR UPDATE SKIP LOCKED)""",
)

DUE_COMMENTS = Query(
    "retention_steps.due_comments",
    f"""
    WITH {HELD}
    SELECT d.item_id {AGED} AND d.item_type_id = {itemtypes.COMMENT}
     ORDER BY d.deleted
     LIMIT %(most)s""",
    unrestricted="numbers of comments whose texts are removed",
)
# One that was restored meanwhile is not deleted any more when its lock is granted.
LOCK_COMMENTS = Query(
    "retention_steps.lock_comments",
    """
    SELECT c.comment_id, c.version, c.created, c.markdown = %(removed)s
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[]) AND c.is_deleted
     ORDER BY c.comment_id
       FOR NO KEY UPDATE""",
)
DUE_ITEMS = Query(
    "retention_steps.due_items",
    f"""
    WITH {HELD}
    SELECT d.item_id {AGED} AND d.item_type_id <> {itemtypes.COMMENT}
     ORDER BY d.deleted
     LIMIT %(most)s""",
    unrestricted="numbers of items whose texts are removed",
)
LOCK_ITEMS = Query(
    "retention_steps.lock_items",
    """
    SELECT i.item_id, i.item_type_id, i.version, i.created, i.title = %(removed)s
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[]) AND i.is_deleted
     ORDER BY i.item_id
       FOR NO KEY UPDATE""",
)
COMMENTS_ON = Query(
    "retention_steps.comments_on",
    """
    SELECT c.comment_id, c.version, c.created
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(ids)s::bigint[]) AND c.markdown <> %(removed)s
     ORDER BY c.comment_id
     LIMIT %(most)s
       FOR NO KEY UPDATE""",
)
# A file that was uploaded to the site and is attached to nothing there is open to everybody: one that was on a removed
# comment alone stops being the site's.
DROP_UPLOADS = Query(
    "retention_steps.drop_uploads",
    """
    WITH gone AS (
        DELETE FROM file_uploads u
         WHERE u.site_id = %(site_id)s AND u.file_hash = ANY(%(hashes)s::text[])
           AND NOT EXISTS (SELECT FROM attachments a
                            WHERE a.site_id = %(site_id)s AND a.file_hash = u.file_hash)
     RETURNING u.profile_id, u.file_hash),
    freed AS (
        SELECT p.profile_id, sum(f.file_size) AS bytes
          FROM gone g
          JOIN files f ON f.file_hash = g.file_hash, unnest(ARRAY[0, g.profile_id]) AS p (profile_id)
         GROUP BY p.profile_id)
    UPDATE file_usage t
       SET bytes = t.bytes - freed.bytes
      FROM freed
     WHERE t.site_id = %(site_id)s AND t.profile_id = freed.profile_id""",
)
# The texts of `done` are gone. Of the others in `ids` those go that are not deleted any more.
FINISH = Query(
    "retention_steps.finish",
    f"""
    DELETE FROM deletions d
     WHERE d.site_id = %(site_id)s AND (d.item_type_id = {itemtypes.COMMENT}) = %(is_comment)s::boolean
       AND d.item_id = ANY(%(ids)s::bigint[])
       AND (d.item_id = ANY(%(done)s::bigint[])
            OR %(is_comment)s::boolean
               AND NOT EXISTS (SELECT FROM comments c
                                WHERE c.site_id = %(site_id)s AND c.comment_id = d.item_id AND c.is_deleted)
            OR NOT %(is_comment)s::boolean
               AND NOT EXISTS (SELECT FROM items i
                                WHERE i.site_id = %(site_id)s AND i.item_id = d.item_id AND i.is_deleted))""",
)

# The same things in a restored database, unless they are alive there or were changed after the removal. Others with
# their numbers were made at another time.
SAME_COMMENTS = Query(
    "retention_steps.same_comments",
    """
    SELECT c.comment_id, c.version, c.created
      FROM comments c
      JOIN unnest(%(ids)s::bigint[], %(times)s::timestamptz[], %(versions)s::integer[]) AS n (id, created, version)
        ON n.id = c.comment_id AND n.created = c.created AND n.version >= c.version
      LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.markdown <> %(removed)s AND (c.is_deleted OR i.is_deleted)
     ORDER BY c.comment_id
       FOR NO KEY UPDATE OF c""",
)
SAME_ITEMS = Query(
    "retention_steps.same_items",
    """
    SELECT i.item_id
      FROM items i
      JOIN unnest(%(ids)s::bigint[], %(times)s::timestamptz[], %(versions)s::integer[]) AS n (id, created, version)
        ON n.id = i.item_id AND n.created = i.created AND n.version >= i.version
     WHERE i.site_id = %(site_id)s AND i.title <> %(removed)s AND i.is_deleted
     ORDER BY i.item_id
       FOR NO KEY UPDATE OF i""",
)


class Gone(NamedTuple):
    """Comment or item whose texts were removed. `created`: when the thing was made; `version`: the thing's, just before
    the removal.
    """

    ref: ItemRef
    created: datetime.datetime
    version: int


class RemovalBatch(NamedTuple):
    """Result of a batch of removals. `rows`: number of things dealt with, 0 once nothing is left to do; `gone`: those
    whose texts went; `files`: hashes of the files that were attached to these, each once, which may be nobody's now.
    """

    rows: int
    gone: list[Gone]
    files: list[str]


def forget_mail(tx: Transaction, site_id: int, days: int) -> int:
    """Delete up to MOST_TRACES mails of a site, the oldest first, that were sent longer than `days` ago, or that were
    given up and had been queued longer than `days` ago; return their number. Mails that another transaction has locked
    stay.
    """
    return tx.run(FORGET_MAIL, site_id=site_id, days=days, most=MOST_TRACES)


def remove_comments(tx: Transaction, site_id: int, days: int) -> RemovalBatch:
    """Remove the texts of the up to MOST comments that were deleted first, longer than `days` ago, without those that
    an open case or a possible appeal concerns; one that was restored meanwhile keeps its text.
    """
    ids = [row[0] for row in tx.rows(DUE_COMMENTS, site_id=site_id, days=days, most=MOST)]
    if not ids:
        return RemovalBatch(0, [], [])
    rows = tx.rows(LOCK_COMMENTS, site_id=site_id, ids=ids, removed=REMOVED)
    gone = [
        Gone(ItemRef(itemtypes.COMMENT, id), created, version)
        for id, version, created, is_removed in rows
        if not is_removed
    ]
    files = _remove(tx, site_id, gone)
    done = [row[0] for row in rows]
    count = tx.run(FINISH, site_id=site_id, ids=ids, done=done, is_comment=True)
    return RemovalBatch(count, gone, files)


def remove_items(tx: Transaction, site_id: int, days: int) -> RemovalBatch:
    """Take the up to MOST_ITEMS items that were deleted first, longer than `days` ago, without those that an open case
    or a possible appeal concerns. Remove the texts of up to MOST comments on them; if they had fewer, also the texts of
    the items themselves, such as their titles.
    """
    ids = [row[0] for row in tx.rows(DUE_ITEMS, site_id=site_id, days=days, most=MOST_ITEMS)]
    if not ids:
        return RemovalBatch(0, [], [])
    items = tx.rows(LOCK_ITEMS, site_id=site_id, ids=ids, removed=REMOVED)
    done = [row[0] for row in items]
    rows = tx.rows(COMMENTS_ON, site_id=site_id, ids=done, removed=REMOVED, most=MOST)
    gone = [Gone(ItemRef(itemtypes.COMMENT, id), created, version) for id, version, created in rows]
    if len(rows) == MOST:
        return RemovalBatch(len(rows), gone, _remove(tx, site_id, gone))
    gone += [
        Gone(ItemRef(type, id), created, version)
        for id, type, version, created, is_removed in items
        if not is_removed
    ]
    files = _remove(tx, site_id, gone)
    finished = tx.run(FINISH, site_id=site_id, ids=ids, done=done, is_comment=False)
    return RemovalBatch(len(rows) + finished, gone, files)


def remove_again(tx: Transaction, site_id: int, gone: Sequence[Gone]) -> RemovalBatch:
    """Remove the texts of those things in `gone` that are deleted in a restored database (a comment also if its item
    is) and have there the version of the removal or an earlier one. A thing that is alive there, or was changed after
    the removal, stays.
    """
    found = []
    for query, is_comment in ((SAME_COMMENTS, True), (SAME_ITEMS, False)):
        ones = {
            one.ref.id: one for one in gone if (one.ref.type == itemtypes.COMMENT) == is_comment
        }
        rows = tx.rows(
            query,
            site_id=site_id,
            ids=list(ones),
            times=[one.created for one in ones.values()],
            versions=[one.version for one in ones.values()],
            removed=REMOVED,
        )
        found += [ones[row[0]] for row in rows]
    return RemovalBatch(len(found), found, _remove(tx, site_id, found))


def _remove(tx: Transaction, site_id: int, gone: Sequence[Gone]) -> list[str]:
    comments = [one.ref.id for one in gone if one.ref.type == itemtypes.COMMENT]
    files = text_removal.remove_comments(tx, site_id, comments)
    if files:
        tx.run(DROP_UPLOADS, site_id=site_id, hashes=files)
    items = [one.ref.id for one in gone if one.ref.type != itemtypes.COMMENT]
    text_removal.remove_items(tx, site_id, items)
    return files
