"""Work on imports that owners began by uploading a dump: plan, run, verify and undo, by a thread of the cron process,
one at a time.

Any cron process works on them, not the leading one alone. A claim in the import's row keeps two processes from one
site, and expires if its process dies, so that another goes on where the loaded rows end. Every batch of rows checks the
claim under the lock of the site's imports, so that nothing is written for a claim that was lost or cancelled.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import psycopg

from forumapi import itemtypes
from forumapi.concurrency.background_thread import PollingThread
from forumapi.config import Config, Settings
from forumapi.database.connections import Database, Transaction
from forumapi.errors import ApiError, TooSlow
from forumapi.files.storage import MissingError, Storage, StorageError, clear_scratch, open_storage
from forumapi.files.thumbnails import scratch
from forumapi.mail import outbox
from forumapi.models.content import file
from forumapi.models.sites import site_import
from forumapi.models.sites.site import Site
from forumapi.models.sites.site_cache import SiteCache
from forumapi.models.sites.site_import import PLAN, RUN, UNDO, VERIFY, ImportClaim
from forumapi.observability.log import logger
from forumapi.porting import readers
from forumapi.porting.dumps import product_detection
from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.layout import STREAMS, ForumReader
from forumapi.porting.loading import attachments, planning, undoing, value_cleaning, verification
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.loader import ImportProgress, Loader, PortingError
from forumapi.porting.readers.layout_reader import LayoutError
from forumapi.wire import json_fragments

POLL_S: Final = 2.0
# Interval of renewals and progress.
RENEW_S: Final = 1.0
# Bytes of an upload after decompression, as a multiple of `import_file_limit`.
UNPACKED: Final = 20
# Uses of an import by others that are listed.
SHOWN: Final = 100
_CHARACTERS: Final = 500

_DONE: Final = {
    PLAN: "It has been read, and the site shows what would come and what would not. Nothing was written yet.",
    RUN: "It is loaded. The site shows what was left out; its old addresses lead nowhere yet.",
    VERIFY: "It has been compared with what was loaded.",
    UNDO: "The site shows what was removed, and what stays because others have used it since.",
}


class ImportLostError(Exception):
    """Signal that work on an import must end: it was cancelled, another process has claimed it, or this process
    stops.
    """


class ImportRefusedError(Exception):
    """Failure of an import that its owner can mend; the message is for the owner."""


class ImportThread(PollingThread):
    """Thread that works on the imports into sites that owners began. `url`: direct address of the database; `settings`:
    of which each task takes the present ones.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__("site-imports", "imports into sites: the work failed", POLL_S)
        self._settings = settings
        self._database = Database(url, size=4, prepare=False, timeout_ms=60_000)

    def poll(self) -> None:
        """Do, one by one, the tasks of imports that wait or whose claim by another process has expired, the one queued
        earliest first, until none is left or the thread stops. A task that was claimed MAX_ATTEMPTS (5) times without
        reading further into its dump than before is marked as failed instead, and mail about that is queued.
        """
        while not self.is_stopping:
            with self._database.write() as tx:
                claim = ImportClaim.take(tx)
                if claim is not None and claim.is_given_up:
                    self._fail(tx, claim, "none of several attempts got further")
            if claim is None:
                return
            if not claim.is_given_up:
                self._work(claim)

    def stop(self) -> None:
        """Ask the thread to end; it gives up the task in work, with which another process goes on."""
        super().stop()
        self._database.close()

    def _work(self, claim: ImportClaim) -> None:
        began = time.monotonic()
        config = self._settings.current
        told = "%s of the import into site %d"
        try:
            results = _ImportRun(self._database, config, claim, self).results()
        except ImportLostError:
            logger.info(f"{told}: ended", claim.task, claim.site_id)
            return
        except StorageError as error:
            reason = "files could not be read or stored; the operator of the platform knows more"
            logger.error(f"{told}: %s", claim.task, claim.site_id, error.reason)
        except TooSlow:
            reason = "a step took longer than the database gives it: begin the task again, which goes on from there"
            logger.exception(f"{told}: a statement was cancelled", claim.task, claim.site_id)
        except (ApiError, psycopg.OperationalError, psycopg.InterfaceError):
            # The database is away: this or another process tries again when the claim is over.
            raise
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # Without the details, which list the whole row.
            told_by = error.diag.message_primary or str(error).partition("\n")[0]
            reason = f"a value of the dump could not be stored: {_clean(told_by)}"
            logger.info(f"{told}: %s", claim.task, claim.site_id, reason)
        except (ImportRefusedError, DumpError, LayoutError, PortingError) as error:
            reason = _told(error)
            logger.info(f"{told}: %s", claim.task, claim.site_id, reason)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            reason = f"the archive is damaged: {_told(error)}"
        except Exception:  # noqa: BLE001 - the edge: what strangers send must not keep others' imports waiting
            reason = "the dump could not be read; the operator of the platform knows more"
            logger.exception(f"{told} failed", claim.task, claim.site_id)
        else:
            with self._database.write() as tx:
                emails = claim.finish(tx, **results)
                _notify(tx, self._database, config, claim, emails, _DONE[claim.task])
            took = time.monotonic() - began
            logger.info(f"{told}: done in %.1f s", claim.task, claim.site_id, took)
            return
        with self._database.write() as tx:
            self._fail(tx, claim, reason)

    def _fail(self, tx: Transaction, claim: ImportClaim, reason: str) -> None:
        emails = claim.fail(tx, reason)
        config = self._settings.current
        _notify(tx, self._database, config, claim, emails, f"It failed: {reason}.")


class _ClaimedOrigin(Origin):
    """Source of an import whose `lock` raises ImportLostError once the claim is lost, so that no further batch is
    written.
    """

    claim: ImportClaim

    def lock(self, tx: Transaction) -> None:
        super().lock(tx)
        if not self.claim.is_held(tx):
            raise ImportLostError


class _ImportRun:
    """Attempt at the task of one site's import, under `claim`. `thread`: the thread that the attempt runs in, whose
    stop ends it.
    """

    def __init__(
        self, database: Database, config: Config, claim: ImportClaim, thread: PollingThread
    ) -> None:
        self._database = database
        self._config = config
        self._claim = claim
        self._thread = thread
        self._is_lost = False
        self._folder = Path()
        self._phase = "reading"
        self._counts: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._seconds_left: float | None = None

    def results(self) -> dict[str, dict[str, Any]]:
        """Do the task of the claim; return its result by the column of the import's row that it goes into, {} for a
        task without one. Raises ImportLostError, ImportRefusedError, DumpError, LayoutError, PortingError,
        StorageError, ApiError.
        """
        keeper = _ImportClaimKeeper(self)
        keeper.start()
        try:
            if self._claim.task == UNDO:
                return {"undoing": self._undo()}
            storage = open_storage(self._config)
            with scratch(storage) as self._folder, self._opened(storage) as reader:
                self._totals = dict(reader.counts())
                if self._claim.task == PLAN:
                    return {"plan": self._plan(reader)}
                if self._claim.task == VERIFY:
                    return {"verification": self._verify(reader)}
                self._run(reader)
                return {}
        finally:
            keeper.stop()

    @contextlib.contextmanager
    def _opened(self, storage: Storage) -> Iterator[ForumReader]:
        """Fetch the upload and open the reader of the product that the owner named, else of the one that the upload
        shows, for the duration of the block. Raises ImportRefusedError, DumpError, LayoutError, StorageError,
        ImportLostError.
        """
        claim, path = self._claim, self._folder / "dump"
        if not claim.object:
            raise ImportRefusedError("the upload is gone: upload the dump again")
        try:
            storage.fetch(claim.object, path)
        except MissingError:
            raise ImportRefusedError("the upload is gone: upload the dump again") from None
        self._check()
        product_detection.check_kind(path)
        most = UNPACKED * self._config.import_file_limit
        product = claim.product or product_detection.detect(path, most)
        if not claim.product:
            with self._database.write() as tx:
                claim.detect(tx, product)
        if product == product_detection.LAYOUT:
            product_detection.check_archive(path, most)
        elif product == product_detection.MAIL:
            product_detection.check_size(path, most)
        reader = readers.open_reader(
            product,
            path,
            prefix=claim.prefix,
            encoding=claim.encoding,
            folder=self._folder,
            most=most,
        )
        try:
            yield reader
        finally:
            reader.close()

    # ---------------------------------------------------------------- tasks

    def _plan(self, reader: ForumReader) -> dict[str, Any]:
        plan = planning.Planner(self._counted(reader)).run()
        return {
            "streams": [
                {"name": name, "comes": plan.come.get(name, 0), "stays": plan.stay.get(name, 0)}
                for name in STREAMS
                if plan.come.get(name) or plan.stay.get(name)
            ],
            "changes": _counted_texts(plan.changes),
            "unsaid": _counted_texts(plan.unsaid),
            "never": [
                {"subject": _clean(loss.subject), "reason": _clean(loss.reason)}
                for loss in plan.losses
            ],
            "reasons": [
                {
                    "kind": one.kind,
                    "id": value_cleaning.old_id(one.id),
                    "reason": _clean(one.reason),
                }
                for one in plan.reasons
            ],
            "seconds": round(plan.seconds),
        }

    def _run(self, reader: ForumReader) -> None:
        claim, config = self._claim, self._config
        board = reader.board()
        addresses = tuple(dict.fromkeys((*board.addresses, *claim.addresses)))
        board = msgspec.structs.replace(board, addresses=addresses)
        with self._database.write() as tx:
            if not claim.is_held(tx):
                raise ImportLostError
            origin = _ClaimedOrigin.find_or_create(tx, claim.site_id, claim.title, board)
        if origin.product != board.product:
            raise ImportRefusedError(
                f"the import {claim.title} is of {origin.product}: upload this dump with another title"
            )
        if unknown := origin.unknown(claim.addresses):
            raise ImportRefusedError(
                f"the import {claim.title} was begun without the address {unknown}: undo it first, or upload without it"
            )
        loader = Loader(
            self._database,
            config,
            self._site(),
            self._claimed(origin),
            reader,
            granted=claim.granted,
            room=self._room(),
            show=self._show,
        )
        try:
            loader.run()
        except PortingError as error:
            cause = error.__cause__
            if isinstance(cause, ApiError) and cause.status >= 500:
                raise cause from None
            raise

    def _verify(self, reader: ForumReader) -> dict[str, Any]:
        origin, site = self._origin(), self._site()
        tx = self._database.read()
        try:
            verifier = verification.Verifier(tx, self._config, site, origin, self._counted(reader))
            report = verifier.run()
        finally:
            tx.end()
        return {
            "isRight": report.is_right,
            "checks": [
                {
                    "name": row.check,
                    "source": row.source,
                    "here": row.here,
                    "leftOut": row.left_out,
                    "different": row.different,
                }
                for row in report.rows
            ],
            "differences": [
                {
                    "check": one.check,
                    "id": value_cleaning.old_id(one.old_id),
                    "text": _clean(one.told),
                }
                for one in report.differences
            ],
            "commentsSince": report.strangers[0],
            "itemsSince": report.strangers[1],
        }

    def _undo(self) -> dict[str, Any]:
        origin = self._origin()
        tx = self._database.read()
        try:
            touched = undoing.touched(tx, origin)
        finally:
            tx.end()
        found: dict[str, Any] = {
            "isDone": False,
            "touched": [
                {
                    "kind": one.kind,
                    "id": one.id,
                    "onType": itemtypes.BY_ID[one.on_type].name,
                    "onId": one.on_id,
                    **({"created": json_fragments.format_time(one.at)} if one.at else {}),
                }
                for one in touched[:SHOWN]
            ],
            "touchedTotal": len(touched),
        }
        if touched and not self._claim.untouched:
            return found | {"items": 0, "microcosms": 0, "people": 0, "left": 0}
        done = undoing.undo(self._database, self._claimed(origin), self._removed)
        return found | {"isDone": True, **done._asdict()}

    # ---------------------------------------------------------------- parts

    def _origin(self) -> Origin:
        tx = self._database.read()
        try:
            found = _ClaimedOrigin.find(tx, self._claim.site_id, self._claim.title)
        finally:
            tx.end()
        if found is None:
            raise ImportRefusedError("nothing of it was loaded")
        return found

    def _claimed(self, origin: Origin) -> Origin:
        assert isinstance(origin, _ClaimedOrigin)
        origin.claim = self._claim
        return origin

    def _site(self) -> Site:
        tx = self._database.read()
        try:
            directory = SiteCache(self._database, self._config.platform_domain)
            site = directory.by_id(self._claim.site_id, tx)
        finally:
            tx.end()
        if site is None or site.is_deleted:
            raise ImportRefusedError("the site is deleted")
        return site

    def _room(self) -> int | None:
        """Return the number of bytes of the site's quota that are free, 0 at least; None without a quota. Files that
        earlier runs stored take their bytes of it also where they hang on nothing.
        """
        quota = self._config.file_quota_site_mb * file.MEGABYTE
        tx = self._database.read()
        try:
            used, _ = file.usage(tx, self._claim.site_id, 0)
            used += attachments.uncounted(tx, self._claim.site_id) if quota else 0
        finally:
            tx.end()
        return max(0, quota - used) if quota else None

    def _counted(self, reader: ForumReader) -> ForumReader:
        return cast(ForumReader, _CountedReader(reader, self))

    # ---------------------------------------------------------------- progress

    def count(self, stream: str, number: int) -> None:
        """Note that the document `number`, from 1, of a stream was read. Raises ImportLostError."""
        self._phase = stream
        self._counts[stream] = max(number, self._counts.get(stream, 0))
        self._check()

    def _show(self, progress: ImportProgress) -> None:
        self._phase = progress.stage
        self._counts[progress.stage] = progress.done
        self._seconds_left = progress.seconds_left
        self._check()

    def _removed(self, kind: str, number: int) -> None:
        self._phase = kind
        self._counts[kind] = number
        self._check()

    def _check(self) -> None:
        if self._is_lost or self._thread.is_stopping:
            raise ImportLostError

    def renew(self) -> None:
        """Renew the claim and store the progress, in a transaction of its own, and mark the folder of the run as in
        use; if the claim is lost, the next step raises ImportLostError. Raises psycopg.Error.
        """
        phase, left = self._phase, self._seconds_left
        documents = sum(list(self._counts.values()))
        with self._database.write() as tx:
            self._is_lost = not self._claim.renew(
                tx,
                phase,
                self._counts.get(phase, 0),
                self._totals.get(phase, 0),
                documents,
                sum(list(self._totals.values())),
                None if left is None else round(left),
            )
        # Leftovers are told by their age (files.storage.clear_scratch).
        if self._folder.name:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._folder)


class _CountedReader:
    """Reader that passes on the streams of `reader`, and calls `run.count` for each document as it is read."""

    def __init__(self, reader: ForumReader, run: _ImportRun) -> None:
        self._reader = reader
        self._of = run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._reader, name)
        return (lambda: self._each(name)) if name in STREAMS else found

    def _each(self, name: str) -> Iterator[Any]:
        for number, one in enumerate(getattr(self._reader, name)(), 1):
            self._of.count(name, number)
            yield one


class _ImportClaimKeeper(PollingThread):
    """Thread that renews the claim of a run every RENEW_S seconds, also while a dump is read."""

    def __init__(self, run: _ImportRun) -> None:
        super().__init__(
            "site-import-claim", "imports into sites: the claim was not renewed", RENEW_S
        )
        self._of = run

    def poll(self) -> None:
        """Renew the run's claim on the import once, and store the run's progress. Raises psycopg.Error."""
        self._of.renew()


def _clean(text: str) -> str:
    return value_cleaning.plain(text)[:_CHARACTERS]


def _told(error: Exception) -> str:
    """Return an error's message, cleaned and at most _CHARACTERS long, in which each path has its last part alone, so
    that the folder of the upload is not shown.
    """
    words = (one.rpartition("/")[2] if one.startswith("/") else one for one in str(error).split())
    return _clean(" ".join(words))


def _counted_texts(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"text": _clean(text), "count": count} for text, count in sorted(counts.items()) if count
    ]


def _notify(
    tx: Transaction,
    database: Database,
    config: Config,
    claim: ImportClaim,
    emails: list[str],
    outcome: str,
) -> None:
    if not emails or not outbox.is_possible(config):
        return
    directory = SiteCache(
        database,
        config.platform_domain,
        scheme=config.scheme,
        port_suffix=config.port_suffix,
        has_website=config.has_website,
    )
    found = directory.by_id(claim.site_id, tx)
    assert found is not None, "rows of sites are not deleted"
    title = outbox.plain(found.title)
    for email in emails:
        outbox.queue_notice(
            tx,
            "site_imported",
            cause=f"site-imported:{secrets.token_hex(16)}",
            site_id=claim.site_id,
            recipient=email,
            subject=f"About the import into {title}",
            site_title=title,
            outcome=outcome,
            url=found.page(""),
        )


def expired_imports(tx: Transaction, config: Config) -> str:
    """Delete the uploads of imports a day after their last task ended, and the folders that processes which were killed
    left in the store's scratch folder; return the result in words.
    """
    clear_scratch(open_storage(config))
    return f"{site_import.expire(tx)} uploads"
