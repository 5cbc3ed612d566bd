"""Imports that owners begin by uploading a dump: one row a site, with the task in work, its progress and its results.

A process claims a task for CLAIM_S, renews the claim as it works, and can change the row only while the claim's epoch
is the row's: after a crash another process claims the task, which goes on where the loaded rows end. The upload is an
object of the store of files, under a random name that no row of `files` has, so that it has no public address; it
counts to what the site stores.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import audit_chain
from forumapi.models.journal.journal import Author

HOURS: Final = 24
CLAIM_S: Final = 30
# Attempts at a task of which none gets further than the one before.
MAX_ATTEMPTS: Final = 5

PLAN: Final = "plan"
RUN: Final = "run"
VERIFY: Final = "verify"
UNDO: Final = "undo"

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

FIND = Query(
    "site_import.find",
    """
    SELECT m.token_id, m.title, m.product, m.task, m.state, m.created, m.started, m.finished,
           CASE WHEN m.object IS NOT NULL THEN m.expires END, m.phase, m.done, m.total, m.documents, m.whole,
           m.seconds_left, m.object IS NOT NULL, m.bytes, m.plan::text, m.verification::text, m.undoing::text, m.reason,
           coalesce(o.stage, ''), coalesce(o.is_resolved, false),
           (SELECT count(*) FROM import_leftouts l WHERE l.site_id = m.site_id AND l.origin_id = o.origin_id)
      FROM site_imports m
      LEFT JOIN import_origins o ON o.site_id = m.site_id AND o.title = m.title
     WHERE m.site_id = %(site_id)s""",
)
LEFT_OUT = Query(
    "site_import.left_out",
    """
    SELECT l.kind, l.old_id, l.reason
      FROM site_imports m
      JOIN import_origins o ON o.site_id = m.site_id AND o.title = m.title
      JOIN import_leftouts l ON l.site_id = o.site_id AND l.origin_id = o.origin_id
     WHERE m.site_id = %(site_id)s
     ORDER BY l.kind, length(l.old_id), l.old_id
     LIMIT %(limit)s OFFSET %(offset)s""",
)

# The upload leaves the store by the job that deletes strays, and what the site stores at once.
_DROPPED: Final = """
    left_behind AS (
        INSERT INTO file_strays (file_hash, since)
        SELECT d.object, now() - interval '1 day' FROM dropped d WHERE d.object IS NOT NULL
            ON CONFLICT DO NOTHING),
    freed AS (
        UPDATE file_usage u
           SET bytes = greatest(0, u.bytes - d.bytes)
          FROM dropped d
         WHERE d.object IS NOT NULL AND u.site_id = d.site_id AND u.profile_id = 0)"""

# The row's upload, if nothing is under way. `FOR UPDATE` also holds off another upload.
DROP = Query(
    "site_import.drop",
    f"""
    WITH old AS MATERIALIZED (
        SELECT m.site_id, m.object, m.bytes
          FROM site_imports m
         WHERE m.site_id = %(site_id)s AND m.state NOT IN ('waiting', 'running')
           FOR UPDATE),
    dropped AS (
        UPDATE site_imports m
           SET object = NULL, expires = NULL
          FROM old
         WHERE m.site_id = old.site_id
     RETURNING old.site_id, old.object, old.bytes),
    {_DROPPED}
    SELECT count(*) FROM dropped""",
)
# The object has a row now, so it is no stray.
INSERT = Query(
    "site_import.insert",
    """
    WITH kept AS (
        INSERT INTO site_imports AS m (site_id, user_id, profile_id, token_id, title, product, prefix, encoding,
                                       addresses, granted, object, bytes)
        VALUES (%(site_id)s, %(user_id)s, %(profile_id)s, %(token_id)s, %(title)s, %(product)s, %(prefix)s,
                %(encoding)s, %(addresses)s::text[], %(granted)s::text[], %(object)s, %(bytes)s)
            ON CONFLICT (site_id) DO UPDATE
           SET user_id = EXCLUDED.user_id, profile_id = EXCLUDED.profile_id, token_id = EXCLUDED.token_id,
               title = EXCLUDED.title, product = EXCLUDED.product, prefix = EXCLUDED.prefix,
               encoding = EXCLUDED.encoding, addresses = EXCLUDED.addresses, granted = EXCLUDED.granted,
               task = 'plan', untouched = false, state = 'waiting', created = now(), queued = now(), started = NULL,
               finished = NULL, expires = NULL, epoch = m.epoch + 1, attempts = 0, claimed_until = '-infinity',
               phase = '', done = 0, total = 0, documents = 0, reached = 0, whole = 0, seconds_left = NULL,
               object = EXCLUDED.object, bytes = EXCLUDED.bytes, plan = NULL, verification = NULL, undoing = NULL,
               reason = ''
         WHERE m.state NOT IN ('waiting', 'running')
     RETURNING m.site_id),
    settled AS (
        DELETE FROM file_strays s USING kept WHERE s.file_hash = %(object)s)
    INSERT INTO file_usage AS t (site_id, profile_id, bytes)
    SELECT kept.site_id, 0, %(bytes)s FROM kept
        ON CONFLICT (site_id, profile_id) DO UPDATE SET bytes = t.bytes + EXCLUDED.bytes
 RETURNING t.bytes""",
)
QUEUE = Query(
    "site_import.queue",
    """
    UPDATE site_imports m
       SET task = %(task)s, untouched = %(untouched)s, state = 'waiting', queued = now(), started = NULL,
           finished = NULL, expires = NULL, epoch = m.epoch + 1, attempts = 0, claimed_until = '-infinity', phase = '',
           done = 0, total = 0, documents = 0, reached = 0, whole = 0, seconds_left = NULL, reason = ''
     WHERE m.site_id = %(site_id)s AND m.state NOT IN ('waiting', 'running')
 RETURNING true""",
)
CANCEL = Query(
    "site_import.cancel",
    """
    UPDATE site_imports m
       SET state = 'cancelled', epoch = m.epoch + 1, finished = now(),
           expires = now() + make_interval(hours => %(hours)s::int), seconds_left = NULL
     WHERE m.site_id = %(site_id)s AND m.state IN ('waiting', 'running')
 RETURNING true""",
)
CLAIM = Query(
    "site_import.claim",
    """
    WITH due AS MATERIALIZED (
        SELECT q.site_id
          FROM site_imports q
         WHERE q.state IN ('waiting', 'running') AND q.claimed_until < now()
         ORDER BY q.queued
         LIMIT 1
           FOR UPDATE SKIP LOCKED)
    UPDATE site_imports m
       SET state = 'running',
           attempts = m.attempts + 1, epoch = m.epoch + 1, started = coalesce(m.started, now()), documents = 0,
           claimed_until = now() + make_interval(secs => %(claim_s)s::int)
      FROM due
     WHERE m.site_id = due.site_id
 RETURNING m.site_id, m.epoch, m.task, m.title, m.product, m.prefix, m.encoding, m.addresses, m.granted, m.untouched,
           coalesce(m.object, ''), m.attempts > %(most)s""",
    scope=PLATFORM,
)
HOLDS = Query(
    "site_import.holds",
    """
    SELECT true
      FROM site_imports m
     WHERE m.site_id = %(site_id)s AND m.epoch = %(epoch)s AND m.state = 'running'""",
)
PROGRESS = Query(
    "site_import.progress",
    """
    UPDATE site_imports m
       SET phase = %(phase)s, done = %(done)s, total = %(total)s, documents = %(documents)s, whole = %(whole)s,
           seconds_left = %(seconds_left)s, reached = greatest(m.reached, %(documents)s),
           attempts = CASE WHEN %(documents)s > m.reached THEN 0 ELSE m.attempts END,
           claimed_until = now() + make_interval(secs => %(claim_s)s::int)
     WHERE m.site_id = %(site_id)s AND m.epoch = %(epoch)s AND m.state = 'running'
       AND EXISTS (SELECT FROM sites s WHERE s.site_id = m.site_id AND NOT s.is_deleted)
 RETURNING true""",
)
DETECTED = Query(
    "site_import.detected",
    """
    UPDATE site_imports m
       SET product = %(product)s
     WHERE m.site_id = %(site_id)s AND m.epoch = %(epoch)s AND m.state = 'running'""",
)
# With the addresses of whoever uploaded the dump and of the site's owner.
FINISH = Query(
    "site_import.finish",
    """
    WITH ended AS (
        UPDATE site_imports m
           SET state = %(state)s, reason = %(reason)s, finished = now(), seconds_left = NULL,
               expires = now() + make_interval(hours => %(hours)s::int),
               plan = coalesce(%(plan)s::json, m.plan),
               verification = coalesce(%(verification)s::json, m.verification),
               undoing = coalesce(%(undoing)s::json, m.undoing)
         WHERE m.site_id = %(site_id)s AND m.epoch = %(epoch)s AND m.state = 'running'
     RETURNING m.site_id, m.user_id)
    SELECT DISTINCT u.email
      FROM ended e
      JOIN sites s ON s.site_id = e.site_id AND NOT s.is_deleted
      JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
      JOIN users u ON u.user_id IN (e.user_id, p.user_id)
     WHERE u.email <> ''""",
)
OWNERS = Query(
    "site_import.owners",
    """
    SELECT DISTINCT u.email
      FROM sites s
      JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
      JOIN users u ON u.user_id IN (p.user_id, %(user_id)s)
     WHERE s.site_id = %(site_id)s AND u.email <> ''""",
)
EXPIRE = Query(
    "site_import.expire",
    f"""
    WITH gone AS MATERIALIZED (
        SELECT m.site_id, m.object, m.bytes
          FROM site_imports m
         WHERE m.object IS NOT NULL AND m.expires < now()
           FOR UPDATE SKIP LOCKED),
    dropped AS (
        UPDATE site_imports m SET object = NULL, expires = NULL
          FROM gone
         WHERE m.site_id = gone.site_id
     RETURNING gone.site_id, gone.object, gone.bytes),
    {_DROPPED}
    SELECT count(*) FROM dropped""",
    scope=PLATFORM,
)


class SiteImport(NamedTuple):
    """Import of a site, the latest that its owner began. `task`: the last one queued, PLAN, RUN, VERIFY or UNDO;
    `state`: that of the task, WAITING, RUNNING, DONE, FAILED or CANCELLED; `reason`: why the task failed, "" if it did
    not; `title`, `product`: as in ImportRequest; `token_id`: token of the upload; `started`: when a process first
    claimed the task, `finished`: when the task ended, None before; `has_upload`: the upload is still stored; `expires`:
    when the upload is deleted, None while a task is under way or the upload is gone.

    `phase`, `done`, `total`: stream that is loaded, its documents so far and in all; `documents`, `whole`: the same for
    all streams, `whole` 0 while unknown; `seconds_left`: estimate for the task, None while unknown; `size`: of the
    upload, in bytes. `plan`, `verification`, `undoing`: results as JSON, None before. `stage`, `is_resolved`: as in
    Origin (porting/loading/imported_ids.py), `stage` "" before the first run; `left_out`: number of documents left out.
    """

    token_id: int
    title: str
    product: str
    task: str
    state: str
    created: datetime.datetime
    started: datetime.datetime | None
    finished: datetime.datetime | None
    expires: datetime.datetime | None
    phase: str
    done: int
    total: int
    documents: int
    whole: int
    seconds_left: int | None
    has_upload: bool
    size: int
    plan: str | None
    verification: str | None
    undoing: str | None
    reason: str
    stage: str
    is_resolved: bool
    left_out: int

    @property
    def is_underway(self) -> bool:
        """Return True if the task waits for a process or one works on it."""
        return self.state in (WAITING, RUNNING)

    @classmethod
    def find(cls, tx: Reader, site_id: int) -> SiteImport | None:
        """Return the latest import of the site, in any state; None if there is none."""
        row = tx.row(FIND, site_id=site_id)
        return cls(*row) if row else None

    @staticmethod
    def queue(tx: Transaction, site_id: int, task: str, *, untouched: bool = False) -> bool:
        """Queue `task`, the next one of the site's import; return False, and change nothing, while a task is under way
        or if there is no import. `untouched`, for an undo: remove only what nobody has used since the import.
        """
        return bool(tx.value(QUEUE, site_id=site_id, task=task, untouched=untouched))

    @staticmethod
    def cancel(tx: Transaction, site_id: int) -> bool:
        """End the task of the site's import that is under way, and let the upload expire in HOURS; return False if no
        task is under way. What was loaded stays.
        """
        return bool(tx.value(CANCEL, site_id=site_id, hours=HOURS))

    @staticmethod
    def drop(tx: Transaction, site_id: int) -> None:
        """Have the upload of the site's import deleted, by a job; nothing changes while a task is under way, or without
        an upload.
        """
        tx.rows(DROP, site_id=site_id)


class ImportRequest(NamedTuple):
    """Upload of a dump for a site's import. `title`: the import's name, by which a later import goes on with it;
    `product`: the forum software, "" to detect it; `prefix`: of the names of the dump's tables, None for the one that
    is found; `encoding`: of its text, "" for the one that the dump names; `addresses`: base addresses of the old forum;
    `granted`: keys of profiles' attributes that count for roles' criteria; `object`: name in the store; `bytes`: size.
    """

    title: str
    product: str
    prefix: str | None
    encoding: str
    addresses: Sequence[str]
    granted: Sequence[str]
    object: str
    bytes: int

    def insert(self, tx: Transaction, author: Author, user_id: int, token_id: int) -> int | None:
        """Queue the plan of this import into the author's site, in place of its earlier import, whose upload is
        deleted; return how many bytes the site stores then. While a task is under way, change nothing and return None.
        `user_id` and `token_id`: of the request.
        """
        tx.rows(DROP, site_id=author.site_id)
        used: int | None = tx.value(
            INSERT,
            site_id=author.site_id,
            user_id=user_id,
            profile_id=author.profile_id,
            token_id=token_id,
            **self._asdict(),
        )
        return used


def left_out(tx: Reader, site_id: int, limit: int, offset: int) -> list[dict[str, str]]:
    """Return up to `limit` of the documents that the site's import left out, sorted by kind and old id, behind the
    first `offset`, as dicts with `kind`, old `id` and `reason`.
    """
    rows = tx.rows(LEFT_OUT, site_id=site_id, limit=limit, offset=offset)
    return [{"kind": kind, "id": id, "reason": reason} for kind, id, reason in rows]


def owners(tx: Reader, site_id: int, user_id: int) -> list[str]:
    """Return the e-mail addresses of the site's owner and of the user `user_id`, in any order; one address if they are
    the same person; [] if the site has no owner.
    """
    return [row[0] for row in tx.rows(OWNERS, site_id=site_id, user_id=user_id)]


def audit(tx: Transaction, author: Author) -> None:
    """Record in the audit that the author began a task of their site's import, or switched its addresses."""
    ref = ItemRef(itemtypes.SITE, author.site_id)
    audit_chain.record(tx, author, audit_chain.IMPORTED, ref)


def expire(tx: Transaction) -> int:
    """Have a job delete the uploads whose time `expires` has passed, of the imports of all sites; return how many."""
    return int(tx.value(EXPIRE))


class ImportClaim(NamedTuple):
    """Claim of one process on the task of a site's import, with the import's request (see ImportRequest) and
    `untouched` of SiteImport.queue. `epoch`: the row's when it was claimed; another claim, and a cancellation,
    increments that of the row. `is_given_up`: the task was claimed MAX_ATTEMPTS times before without getting further,
    and is to be marked as failed, in the transaction of this claim.
    """

    site_id: int
    epoch: int
    task: str
    title: str
    product: str
    prefix: str | None
    encoding: str
    addresses: tuple[str, ...]
    granted: tuple[str, ...]
    untouched: bool
    object: str
    is_given_up: bool

    @classmethod
    def take(cls, tx: Transaction) -> ImportClaim | None:
        """Claim the task, of any site, that waits longest or whose claim has ended without a result; None if there is
        none.
        """
        row = tx.row(CLAIM, most=MAX_ATTEMPTS, claim_s=CLAIM_S)
        return cls(*row) if row else None

    @property
    def _key(self) -> dict[str, int]:
        return {"site_id": self.site_id, "epoch": self.epoch}

    def is_held(self, tx: Reader) -> bool:
        """Return True while the task of this claim is running; False once it has ended, or another claim or a
        cancellation has ended this claim.
        """
        return bool(tx.value(HOLDS, **self._key))

    def renew(
        self,
        tx: Transaction,
        phase: str,
        done: int,
        total: int,
        documents: int,
        whole: int,
        seconds_left: int | None,
    ) -> bool:
        """Store the progress of the task and renew the claim; return False if the claim was lost, or the site deleted.
        `phase` to `seconds_left`: as in SiteImport.
        """
        return bool(
            tx.value(
                PROGRESS,
                **self._key,
                phase=phase,
                done=done,
                total=total,
                documents=documents,
                whole=whole,
                seconds_left=seconds_left,
                claim_s=CLAIM_S,
            )
        )

    def detect(self, tx: Transaction, product: str) -> None:
        """Store `product`, the forum software that the dump is of, once it is detected; nothing changes if the claim
        was lost.
        """
        tx.run(DETECTED, **self._key, product=product)

    def finish(self, tx: Transaction, **results: Mapping[str, Any]) -> list[str]:
        """Mark the task as done, and let the upload expire in HOURS; store the task's result, a mapping for JSON that
        is passed as `plan`, `verification` or `undoing`; return the e-mail addresses of the site's owner and of the
        user who uploaded the dump, in any order, [] if the claim was lost, or the site is deleted or has no owner.
        """
        return self._end(tx, DONE, "", **results)

    def fail(self, tx: Transaction, reason: str) -> list[str]:
        """Mark the task as failed, with `reason`, cut to 500 characters, for the site's owner, and let the upload
        expire in HOURS; return the same addresses as `finish`.
        """
        return self._end(tx, FAILED, reason[:500])

    def _end(
        self, tx: Transaction, state: str, reason: str, **results: Mapping[str, Any]
    ) -> list[str]:
        sent = {
            name: msgspec.json.encode(results[name]).decode() if name in results else None
            for name in ("plan", "verification", "undoing")
        }
        rows = tx.rows(FINISH, **self._key, state=state, reason=reason, hours=HOURS, **sent)
        return [row[0] for row in rows]
