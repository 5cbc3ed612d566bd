"""Making of exports of whole sites that their owners asked for, by a thread of the cron process, one at a time.

Any cron process works on them, not the leading one alone. A claim in the export's row keeps two processes from one
export, and expires if its process dies, so that another begins the export anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

from forumapi.concurrency.background_thread import PollingThread
from forumapi.config import Config, Settings
from forumapi.database.connections import Database, Transaction
from forumapi.files.storage import StorageError, open_storage
from forumapi.files.thumbnails import scratch
from forumapi.mail import outbox
from forumapi.models.content import file
from forumapi.models.sites import site_export
from forumapi.models.sites.site_cache import SiteCache
from forumapi.models.sites.site_export import ExportClaim
from forumapi.observability.log import logger
from forumapi.porting.exports import exporting
from forumapi.porting.exports.site_reader import SiteReader

POLL_S: Final = 2.0
# Interval of renewals and progress.
RENEW_S: Final = 1.0
_MEGABYTE: Final = 1_000_000


class ClaimLostError(Exception):
    """Signal that work on an export must end: it was deleted, another process has claimed it, or this process stops."""


class ExportThread(PollingThread):
    """Thread that makes the exports of sites that owners asked for. `url`: direct address of the database; `settings`:
    of which each export takes the present ones.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__("site-exports", "exports of sites: the work failed", POLL_S)
        self._url = url
        self._settings = settings
        self._database = Database(url, size=1, prepare=False)

    def poll(self) -> None:
        """Make every export of a site that waits, the oldest first."""
        while not self.is_stopping:
            with self._database.write() as tx:
                claim = ExportClaim.take(tx)
            if claim is None:
                return
            self._work(claim)

    def stop(self) -> None:
        """Ask the thread to end; it gives up an export in work, which another process begins anew."""
        super().stop()
        self._database.close()

    def _work(self, claim: ExportClaim) -> None:
        began = time.monotonic()
        config = self._settings.current
        try:
            run = _ExportRun(self._database, self._url, config, claim, self)
            run.make()
        except ClaimLostError:
            logger.info("export of site %d: ended", claim.site_id)
            return
        except (OSError, StorageError) as error:
            # A full disk is the operator's to solve, and trying again would fill it again.
            logger.error("export of site %d: %s", claim.site_id, getattr(error, "reason", error))
            with self._database.write() as tx:
                claim.fail(
                    tx, "the archive could not be stored; the operator of the platform knows more"
                )
            return
        logger.info("export of site %d: done in %.1f s", claim.site_id, time.monotonic() - began)


class _ExportRun:
    """Attempt to make one site's export, under `claim`. `url`: direct address of the database, for the snapshot;
    `thread`: the thread that the attempt runs in, whose stop ends it.
    """

    def __init__(
        self,
        database: Database,
        url: str,
        config: Config,
        claim: ExportClaim,
        thread: PollingThread,
    ) -> None:
        self._database = database
        self._url = url
        self._config = config
        self._claim = claim
        self._thread = thread
        self._total = 0
        self._documents = 0
        self._is_lost = False
        self._folder = Path()

    def make(self) -> None:
        """Write the archive, put it into the store, finish the row, and mail whoever asked for the export. Raises
        ClaimLostError, OSError, StorageError.
        """
        config, claim = self._config, self._claim
        storage = open_storage(config)
        object = secrets.token_hex(20)
        with scratch(storage) as folder:
            self._folder = folder
            path = folder / "export.zip"
            keeper = _ClaimKeeper(self)
            # Hashing and storing a large archive take minutes too.
            keeper.start()
            try:
                with exporting.snapshot(self._url) as tx:
                    reader = SiteReader(tx, claim.site_id, config.platform_domain, storage)
                    self._total = sum(reader.counts().values())
                    archived = exporting.to_archive(reader, path, self._step)
                self._step(archived.written.documents)
                with self._database.write() as tx:
                    file.announce(tx, [object])
                storage.put(object, path, "application/zip")
            finally:
                keeper.stop()
        with self._database.write() as tx:
            email = claim.finish(
                tx,
                archived.written.documents,
                object,
                archived.size,
                archived.sha256,
                archived.written.hash,
            )
            if email is None:
                raise ClaimLostError
            _notify(tx, self._database, config, claim.site_id, email, archived.size)

    def _step(self, documents: int) -> None:
        self._documents = documents
        if self._is_lost or self._thread.is_stopping:
            raise ClaimLostError

    def renew(self) -> None:
        """Renew the claim and store the progress, in a transaction of its own, and mark the folder of the run as in
        use; if the claim is lost, the next step of `make` raises ClaimLostError. Raises psycopg.Error.
        """
        with self._database.write() as tx:
            documents = self._documents
            self._is_lost = not self._claim.renew(tx, documents, max(self._total, documents))
        # Leftovers are told by their age (files.storage.clear_scratch).
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._folder)


class _ClaimKeeper(PollingThread):
    """Thread that renews the claim of a run every RENEW_S seconds, also while the archive is hashed and stored."""

    def __init__(self, run: _ExportRun) -> None:
        super().__init__(
            "site-export-claim", "exports of sites: the claim was not renewed", RENEW_S
        )
        self._of = run

    def poll(self) -> None:
        """Renew the claim once."""
        self._of.renew()


def _notify(
    tx: Transaction, database: Database, config: Config, site_id: int, email: str, size: int
) -> None:
    if not outbox.is_possible(config):
        return
    directory = SiteCache(
        database,
        config.platform_domain,
        scheme=config.scheme,
        port_suffix=config.port_suffix,
        has_website=config.has_website,
    )
    found = directory.by_id(site_id, tx)
    assert found is not None, "rows of sites are not deleted"
    title = outbox.plain(found.title)
    outbox.queue_notice(
        tx,
        "site_exported",
        cause=f"site-exported:{secrets.token_hex(16)}",
        site_id=site_id,
        recipient=email,
        subject=f"The export of {title} is done",
        site_title=title,
        size=f"{max(size / _MEGABYTE, 0.1):,.1f} MB",
        url=found.page(""),
    )


def expired_exports(tx: Transaction, config: Config) -> str:
    """Delete the archives of site exports a day after they were made; return the result in words."""
    return f"{site_export.expire(tx)} archives"
