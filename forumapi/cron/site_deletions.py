"""Deletion of sites whose export window has ended, and of sandboxes after their day: every row, document and object,
and the proof that nothing is left.

Tables, and the order in which they are emptied, come from the catalog of the database. The journal of erasures has a
line for each deletion, synced to disk before its first batch, by which a restored backup deletes the site again.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import psycopg
from psycopg import errors as pgerrors

from forumapi.cache.document_cache import Cache
from forumapi.config import Config
from forumapi.cron import erasure_journal_file, file_cleanup
from forumapi.cron.erasure_journal_file import MAX_ID
from forumapi.database.connections import Database, Transaction
from forumapi.mail import outbox
from forumapi.models.content import comment_documents
from forumapi.models.journal import audit_hash
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_summary
from forumapi.models.people import profile_summary
from forumapi.models.privacy import erasure_steps
from forumapi.models.sites import sandbox, site_deletion, site_state
from forumapi.models.sites.site_deletion import MOST, MOST_OBJECTS, SiteDeletion
from forumapi.models.texts import text_removal
from forumapi.observability.log import logger
from forumapi.porting.moving import carried_tables

# How long one run works; the next one, a minute later, goes on.
WORKING_S: Final = 20.0
_ALL: Final = 2**31
# Kinds of documents, by the table whose rows they show.
_KINDS: Final = {
    "comments": (comment_documents.SUMMARY.name, comment_documents.DETAIL.name),
    "microcosms": (microcosm_summary.SUMMARY.name,),
    "profiles": (profile_summary.SUMMARY.name,),
}


class DeletionFailedError(Exception):
    """Failure of the deletion of one site or several; the log has each one's reason."""


def site_deletions(tx: Transaction, config: Config) -> str:
    """Announce the ends of export windows, forget custom domains of sites deleted long ago, and delete the sites whose
    window has ended and the sandboxes that have ended, working for WORKING_S seconds at most, in transactions of its
    own and not in `tx`; return the result in words. Raises DeletionFailedError.
    """
    database = Database(config.direct_url, size=1, prepare=False, timeout_ms=60_000)
    try:
        done = work_off(database, config, until=time.monotonic() + WORKING_S)
    finally:
        database.close()
    return f"{done} sites deleted"


def work_off(database: Database, config: Config, *, until: float | None = None) -> int:
    """Announce the ends of export windows by mail, forget custom domains of sites deleted over REST_DAYS ago, and
    delete the sites whose export window has ended and the sandboxes that have ended, until none is left or the
    monotonic clock reaches `until` (None: no limit); return the number of sites that are gone. A deletion that fails is
    logged and left to the next run; raises DeletionFailedError after the others.
    """
    with database.write() as tx:
        _announce(tx, config)
        tx.run(site_deletion.FORGET_NAMES, days=site_deletion.REST_DAYS)
    while _begin(database):
        pass
    return _carry_out(database, config, until=until)


def _carry_out(database: Database, config: Config, *, until: float | None = None) -> int:
    """Advance the deletions that have begun until none is left or the monotonic clock reaches `until` (None: no limit),
    and begin no other; return the number of sites that are gone. Raises DeletionFailedError as `work_off` does.
    """
    with database.write() as tx:
        _note(tx, config.erasure_journal_path)
    run = _Run(database, config)
    while (until is None or time.monotonic() < until) and run.advance():
        pass
    if run.failed:
        ids = ", ".join(map(str, run.failed.values()))
        raise DeletionFailedError(f"the deletion failed of sites {ids}")
    return run.done


def _begin(database: Database) -> bool:
    """Begin the deletion of the site whose export window ended first, or if there is none, of the sandbox whose day
    ended first; return False if none was begun.
    """
    with database.write() as tx:
        site_id = tx.value(site_deletion.DUE)
        if site_id is None:
            return sandbox.begin_deletion(tx)
        return site_deletion.begin(tx, site_id)


def _announce(tx: Transaction, config: Config) -> None:
    """Queue a mail to the owner of each site that will be deleted within ANNOUNCED_DAYS, once, and record that in the
    site's audit; without outgoing mail, or an owner with an address, only the audit is written.
    """
    days = site_deletion.ANNOUNCED_DAYS
    for site_id, due, title, key, email in tx.rows(site_deletion.ANNOUNCE, days=days):
        if email and outbox.is_possible(config):
            name = outbox.plain(title)
            outbox.queue_notice(
                tx,
                "site_deletion_soon",
                cause=f"site-deletion:{site_id}:{due.isoformat()}:soon",
                site_id=site_id,
                recipient=email,
                subject=f"{name} will be deleted on {due:%-d %B}",
                site_title=name,
                host=f"{key}.{config.platform_domain}",
                due=f"{due:%-d %B %Y, %H:%M} UTC",
            )
        site_state.audit(tx, Author(site_id, 0, ""))


class _Pass:
    """Pass through all tables of one site, which deletes their rows. `left`: names of the tables still to be emptied;
    `has_found`: a table had rows in this pass; `is_whole`: all rows of the first table in `left` go in one batch.
    """

    def __init__(self, tables: list[str]) -> None:
        self.left = list(tables)
        self.has_found = self.is_whole = False


class _Run:
    """Run of the job: batch after batch of the deletions that have begun. `done`: number of sites that are gone;
    `failed`: for deletions that failed in this run, the site's id by the deletion's id.
    """

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config
        self._cache = Cache(config.memcached, memory_mb=1, prefix=config.cache_prefix)
        self._tables: list[str] = []
        self._passes: dict[int, _Pass] = {}
        self.done = 0
        self.failed: dict[int, int] = {}

    def advance(self) -> bool:
        """Do one batch of the oldest deletion, in a transaction of its own; return False if none is left. A deletion
        that fails is logged, put into `failed`, and passed over from then on.
        """
        found: SiteDeletion | None = None
        try:
            with self._database.write() as tx:
                found = SiteDeletion.lock(tx, [*self.failed])
                if found is None:
                    return False
                has_rows = self._delete_batch(tx, found)
            if not has_rows and not self._delete_objects(found):
                self._finish(found)
                self.done += 1
        except Exception as error:
            if found is None:
                raise
            way = self._passes.get(found.id)
            if isinstance(error, pgerrors.ForeignKeyViolation) and way and not way.is_whole:
                # Rows of the table refer to each other: all of them go at once.
                way.is_whole = True
            else:
                logger.exception("the deletion of site %d failed", found.site_id)
                self.failed[found.id] = found.site_id
        return True

    def _names(self) -> list[str]:
        """Return the names of the tables whose rows belong to a site, but for `sites`; those first to which no others
        refer.
        """
        if not self._tables:
            with psycopg.connect(self._database.url, autocommit=True) as connection:
                found = carried_tables.all_with_a_site(connection)
            self._tables = [one.name for one in reversed(found) if one.name != "sites"]
        return self._tables

    def _delete_batch(self, tx: Transaction, deletion: SiteDeletion) -> bool:
        """Delete up to MOST rows of the next table that has some, or all of its rows if the pass `is_whole`, and count
        them in `deletion`; return False once a pass through all tables has found none, else True.

        Raises ForeignKeyViolation where rows of the table refer to each other: the caller then sets `is_whole` and
        calls again.
        """
        way = self._passes.setdefault(deletion.id, _Pass(self._names()))
        while True:
            if not way.left:
                if not way.has_found:
                    return False
                # Triggers have noted what was deleted in tables that were empty.
                way = self._passes[deletion.id] = _Pass(self._names())
            table = way.left[0]
            most = _ALL if way.is_whole else MOST
            rows = self._delete_rows(tx, deletion, table, most)
            if rows < most:
                way.left.pop(0)
                way.is_whole = False
            if rows:
                way.has_found = True
                return True

    def _delete_rows(
        self,
        tx: Transaction,
        deletion: SiteDeletion,
        table: str,
        most: int,
        *,
        is_last: bool = False,
    ) -> int:
        """Delete up to `most` rows of a table, and their documents from memcached, and count both in `deletion`; return
        the number of rows. The owner's profile stays unless `is_last`.
        """
        site_id = deletion.site_id
        stale: list[tuple[int, int]] = []
        if table in ("comments", "microcosms"):
            query = site_deletion.COMMENTS if table == "comments" else site_deletion.MICROCOSMS
            stale = [(id, version) for id, version in tx.rows(query, site_id=site_id, most=most)]
            rows = len(stale)
        elif table == "profiles":
            gone = tx.rows(site_deletion.PROFILES, site_id=site_id, most=most, with_owner=is_last)
            stale = [(id, version) for id, version, _ in gone]
            tx.run(site_deletion.NOBODIES, user_ids=[user_id for _, _, user_id in gone])
            rows = len(gone)
        elif table == "link_uses":
            uses = tx.rows(site_deletion.LINK_USES, site_id=site_id, most=most)
            links = sorted({link_id for (link_id,) in uses})
            for query in text_removal.DROP_UNUSED_LINKS if links else ():
                tx.run(query, link_ids=links)
            rows = len(uses)
        else:
            rows = int(tx.value(site_deletion.ROWS, tab=table, site_id=site_id, most=most))
        if rows:
            keys = [
                (site_id, kind, id, version)
                for id, newest in stale
                for kind in _KINDS[table]
                for version in range(1, newest + 1)
            ]
            # Before the commit, since a process that is killed in between would leave them: nobody stores them again.
            has_confirmed = self._cache.delete_many(keys)
            deletion.add(
                tx,
                table,
                rows,
                documents=len(keys),
                unconfirmed=0 if has_confirmed else len(keys),
            )
        return rows

    def _delete_objects(self, deletion: SiteDeletion) -> bool:
        """Take up to MOST_OBJECTS of the site's objects, and delete from the store, with their thumbnails, those that
        no other site has or names in a text; return False if none was left to take. Raises StorageError.
        """
        with self._database.write() as tx:
            hashes = [
                row[0]
                for row in tx.rows(
                    site_deletion.OBJECTS, deletion_id=deletion.id, most=MOST_OBJECTS
                )
            ]
            if not hashes:
                return False
            linked = file_cleanup.linked(tx, hashes)
            free = [hash for hash in hashes if hash not in linked]
            unheld = erasure_steps.lock_unheld(tx, free)
            awaited = {row[0] for row in tx.rows(site_deletion.AWAITED, hashes=unheld)}
            unheld = [hash for hash in unheld if hash not in awaited]
            objects = file_cleanup.objects(tx, unheld)
            file_cleanup.drop_unused(tx, unheld)
            tx.run(site_deletion.COUNT_HUNG, hashes=hashes)
            # A process that is killed before they are gone finds them here.
            tx.run(site_deletion.ADD_OBJECTS, deletion_id=deletion.id, hashes=objects)
        whole = sorted({*hashes, *objects})
        with self._database.write() as tx:
            deleted = file_cleanup.delete_objects(tx, self._config, whole)
            kept = tx.value(site_deletion.KEPT, hashes=whole)
            tx.run(
                site_deletion.DONE_OBJECTS,
                deletion_id=deletion.id,
                hashes=whole,
                deleted=deleted,
                kept=kept,
            )
        return True

    def _finish(self, deletion: SiteDeletion) -> None:
        """Delete the site's own row with its owner's profile, prove that nothing is left, store the receipt, and queue
        a mail to that owner, unless the deletion is silent, as that of a sandbox is, in one transaction.
        """
        keys = audit_hash.keys(self._config.audit_key, self._config.data_path)
        with self._database.write() as tx:
            owner = tx.row(site_deletion.OWNER, site_id=deletion.site_id)
            for table in self._names():
                self._delete_rows(tx, deletion, table, _ALL, is_last=True)
            tx.run(site_deletion.LAST, site_id=deletion.site_id)
            sandbox.delete_people(tx, deletion.key)
            receipt = deletion.finish(tx, keys)
            email = owner[0] if owner else ""
            if email and not deletion.is_silent and outbox.is_possible(self._config):
                host = f"{deletion.key}.{self._config.platform_domain}"
                outbox.queue_notice(
                    tx,
                    "site_deleted",
                    cause=f"site-deletion:{deletion.site_id}:{deletion.begun.isoformat()}:done",
                    recipient=email,
                    subject=f"{host} was deleted",
                    site_title=host,
                    host=host,
                    hash=site_deletion.digest(receipt).hex(),
                )
            site_state.audit(tx, Author(deletion.site_id, 0, ""), "D")
        logger.info("site %d (%s) was deleted", deletion.site_id, deletion.key)


# ---------------------------------------------------------------- the journal


class DeletedSite(NamedTuple):
    """Line of the journal of erasures about a deleted site. `created`: when the site was made, aware, which tells it
    from another site with the same id.
    """

    site_id: int
    created: datetime.datetime


class _DeletionLine(msgspec.Struct):
    """Line of a deletion, as JSON has it. `deletion`: the site's id; `created`: when the site was made."""

    deletion: Annotated[int, msgspec.Meta(ge=2, le=MAX_ID)]
    created: Annotated[datetime.datetime, msgspec.Meta(tz=True)]


def _note(tx: Transaction, path: Path) -> None:
    """Append the deletions that have begun and are not in the journal to the file at `path`, sync it, and mark them as
    written.
    """
    found = tx.rows(site_deletion.UNJOURNALED)
    erasure_journal_file.append(
        path,
        [
            json.dumps({"deletion": site_id, "created": created.isoformat()})
            for site_id, created in found
        ],
    )


def read_journal(paths: Iterable[Path]) -> Iterator[DeletedSite]:
    """Yield the deleted sites that the journals at `paths` name, in order. Raises OSError, and ValueError for a line
    that is no entry.
    """
    for path in paths:
        for place, known in erasure_journal_file.read_lines(path):
            if "deletion" in known:
                line = erasure_journal_file.converted(place, known, _DeletionLine)
                yield DeletedSite(line.deletion, line.created)


def replay(database: Database, config: Config, sites: Iterable[DeletedSite]) -> int:
    """Delete again those of the sites that a restored database has, and go on with the deletions that had begun there;
    return the number of sites that are gone. A site with the same id that was made at another time is another one and
    stays. Raises DeletionFailedError.

    No deletion begins that only the database knows, since it may have been cancelled after the backup: export windows
    last ANNOUNCED_DAYS more at least, and their ends are announced again.
    """
    with database.write() as tx:
        tx.run(site_deletion.POSTPONE, days=site_deletion.ANNOUNCED_DAYS)
    for site in sites:
        with database.write() as tx:
            id = tx.value(site_deletion.REPLAYED, site_id=site.site_id, created=site.created)
            if id is not None:
                site_deletion.begin(tx, id, is_silent=True, is_journaled=True)
    return _carry_out(database, config)
