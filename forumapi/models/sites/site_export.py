"""Exports of a whole site for its owner: one row a site, with the progress of its job and the place of its archive.

A process claims an export for CLAIM_S, renews the claim as it works, and can change the row only while the claim's
epoch is the row's: after a crash another process claims the export and begins it anew. The archive is an object of the
store of files, under a random name that no row of `files` has, so that it has no public address.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import audit_chain
from forumapi.models.journal.journal import Author

HOURS: Final = 24
CLAIM_S: Final = 30
MAX_ATTEMPTS: Final = 5

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
EXPIRED: Final = "expired"

FIND = Query(
    "site_export.find",
    """
    SELECT e.user_id, e.token_id,
           CASE WHEN e.state = 'done' AND e.expires < now() THEN 'expired' ELSE e.state END,
           e.created, e.started, e.finished, e.expires, e.documents, e.total, coalesce(e.object, ''), e.bytes,
           e.sha256, e.hash, e.reason
      FROM site_exports e
     WHERE e.site_id = %(site_id)s""",
)

# The object of the export before is deleted by the job that deletes strays.
_DROPPED: Final = """
        INSERT INTO file_strays (file_hash, since)
        SELECT d.object, now() - interval '1 day' FROM dropped d WHERE d.object IS NOT NULL
            ON CONFLICT DO NOTHING"""

INSERT = Query(
    "site_export.insert",
    f"""
    WITH dropped AS (
        SELECT o.object FROM site_exports o WHERE o.site_id = %(site_id)s AND o.state NOT IN ('waiting', 'running')),
    left_behind AS ({_DROPPED})
    INSERT INTO site_exports AS e (site_id, user_id, profile_id, token_id)
    VALUES (%(site_id)s, %(user_id)s, %(profile_id)s, %(token_id)s)
        ON CONFLICT (site_id) DO UPDATE
       SET user_id = EXCLUDED.user_id, profile_id = EXCLUDED.profile_id, token_id = EXCLUDED.token_id,
           state = 'waiting', created = now(), started = NULL, finished = NULL, expires = NULL, epoch = e.epoch + 1,
           claimed_until = '-infinity', attempts = 0, documents = 0, total = 0, object = NULL, bytes = 0, sha256 = '',
           hash = '', reason = ''
     WHERE e.state NOT IN ('waiting', 'running')
 RETURNING true""",
)

DELETE = Query(
    "site_export.delete",
    f"""
    WITH dropped AS (
        DELETE FROM site_exports e WHERE e.site_id = %(site_id)s RETURNING e.object)
    {_DROPPED}""",
)

CLAIM = Query(
    "site_export.claim",
    """
    WITH due AS MATERIALIZED (
        SELECT q.site_id
          FROM site_exports q
         WHERE q.state IN ('waiting', 'running') AND q.claimed_until < now()
         ORDER BY q.created
         LIMIT 1
           FOR UPDATE SKIP LOCKED)
    UPDATE site_exports e
       SET state = CASE WHEN e.attempts >= %(most)s THEN 'failed' ELSE 'running' END,
           reason = CASE WHEN e.attempts >= %(most)s THEN 'the process died each time' ELSE '' END,
           finished = CASE WHEN e.attempts >= %(most)s THEN now() END,
           attempts = e.attempts + 1, epoch = e.epoch + 1, started = now(), documents = 0,
           claimed_until = now() + make_interval(secs => %(claim_s)s::int)
      FROM due
     WHERE e.site_id = due.site_id
 RETURNING e.site_id, e.epoch, e.state = 'running'""",
    scope=PLATFORM,
)

PROGRESS = Query(
    "site_export.progress",
    """
    UPDATE site_exports e
       SET documents = %(documents)s, total = %(total)s,
           claimed_until = now() + make_interval(secs => %(claim_s)s::int)
     WHERE e.site_id = %(site_id)s AND e.epoch = %(epoch)s AND e.state = 'running'
 RETURNING true""",
)

# With its mail's recipient. The object has a row now, so it is no stray.
FINISH = Query(
    "site_export.finish",
    """
    WITH settled AS (
        DELETE FROM file_strays s WHERE s.file_hash = %(object)s)
    UPDATE site_exports e
       SET state = 'done', finished = now(), expires = now() + make_interval(hours => %(hours)s::int),
           documents = %(documents)s, total = %(documents)s, object = %(object)s, bytes = %(bytes)s,
           sha256 = %(sha256)s, hash = %(hash)s
      FROM users u
     WHERE e.site_id = %(site_id)s AND e.epoch = %(epoch)s AND e.state = 'running' AND u.user_id = e.user_id
 RETURNING u.email""",
)

FAIL = Query(
    "site_export.fail",
    """
    UPDATE site_exports e
       SET state = 'failed', finished = now(), reason = %(reason)s
     WHERE e.site_id = %(site_id)s AND e.epoch = %(epoch)s AND e.state = 'running'""",
)

EXPIRE = Query(
    "site_export.expire",
    f"""
    WITH gone AS MATERIALIZED (
        SELECT e.site_id, e.object
          FROM site_exports e
         WHERE e.state = 'done' AND e.expires < now()
           FOR UPDATE SKIP LOCKED),
    dropped AS (
        UPDATE site_exports e SET state = 'expired', object = NULL
          FROM gone
         WHERE e.site_id = gone.site_id
     RETURNING gone.object),
    strays AS ({_DROPPED})
    SELECT count(*) FROM dropped""",
    scope=PLATFORM,
)


class SiteExport(NamedTuple):
    """Export of a site, the latest. `state`: WAITING, RUNNING, DONE, FAILED or EXPIRED; `user_id` and `token_id`: user
    and token of the request for it; `started`: when a process last claimed it, `finished`: when it was done or failed,
    None before; `documents` of `total` are written so far; `object`: name of the archive in the store, "" for none;
    `expires`: when the archive is deleted; `size` of the archive, in bytes; `sha256` of the archive, `hash` of the
    content; `reason`: why it failed, for the site's owner, "" if it did not.
    """

    user_id: int
    token_id: int
    state: str
    created: datetime.datetime
    started: datetime.datetime | None
    finished: datetime.datetime | None
    expires: datetime.datetime | None
    documents: int
    total: int
    object: str
    size: int
    sha256: str
    hash: str
    reason: str

    @property
    def is_underway(self) -> bool:
        """Return True if the export waits for a process or one works on it."""
        return self.state in (WAITING, RUNNING)

    @classmethod
    def find(cls, tx: Reader, site_id: int) -> SiteExport | None:
        """Return the latest export of the site, in any state; None if there is none."""
        row = tx.row(FIND, site_id=site_id)
        return cls(*row) if row else None

    @staticmethod
    def insert(tx: Transaction, author: Author, user_id: int, token_id: int) -> bool:
        """Queue an export of the author's site, in place of its earlier one; return False, and change nothing, while
        the earlier one is under way. `user_id` and `token_id`: of the request.
        """
        return bool(
            tx.value(
                INSERT,
                site_id=author.site_id,
                user_id=user_id,
                profile_id=author.profile_id,
                token_id=token_id,
            )
        )

    @staticmethod
    def delete(tx: Transaction, site_id: int) -> None:
        """Delete the export of the site, if there is one, and have its archive deleted; a process that works on it
        loses its claim.
        """
        tx.run(DELETE, site_id=site_id)


def audit(tx: Transaction, author: Author) -> None:
    """Record in the audit that the author, or without a profile an operator, exported their site."""
    ref = ItemRef(itemtypes.SITE, author.site_id)
    audit_chain.record(tx, author, audit_chain.EXPORTED, ref)


def expire(tx: Transaction) -> int:
    """Mark exports of all sites as EXPIRED whose archive's time is over, and have these archives deleted by a job;
    return their number.
    """
    return int(tx.value(EXPIRE))


class ExportClaim(NamedTuple):
    """Claim of one process on the export of a site. `epoch`: the row's when it was claimed; another claim increments
    that of the row.
    """

    site_id: int
    epoch: int

    @classmethod
    def take(cls, tx: Transaction) -> ExportClaim | None:
        """Claim the export, of any site, that waits longest or whose claim has ended without a result; None if there is
        none.

        An export that was claimed MAX_ATTEMPTS times before is marked as failed instead, and None returned, even if
        others wait.
        """
        row = tx.row(CLAIM, most=MAX_ATTEMPTS, claim_s=CLAIM_S)
        return cls(row[0], row[1]) if row is not None and row[2] else None

    def renew(self, tx: Transaction, documents: int, total: int) -> bool:
        """Store the progress, `documents` written of `total`, and renew the claim; return False if the claim was lost
        or the export deleted.
        """
        return bool(
            tx.value(PROGRESS, **self._asdict(), documents=documents, total=total, claim_s=CLAIM_S)
        )

    def finish(
        self, tx: Transaction, documents: int, object: str, size: int, sha256: str, hash: str
    ) -> str | None:
        """Mark the export as done, until it expires in HOURS, and store the number of its `documents`, the archive's
        name in the store (`object`), its `size` in bytes and its `sha256`, and the canonical `hash` of the content.
        Return the e-mail address of the user who asked for the export, None if the claim was lost.
        """
        email: str | None = tx.value(
            FINISH,
            **self._asdict(),
            documents=documents,
            object=object,
            bytes=size,
            sha256=sha256,
            hash=hash,
            hours=HOURS,
        )
        return email

    def fail(self, tx: Transaction, reason: str) -> None:
        """Mark the export as failed, with `reason`, cut to 500 characters, for the site's owner; nothing changes if the
        claim was lost.
        """
        tx.run(FAIL, **self._asdict(), reason=reason[:500])
