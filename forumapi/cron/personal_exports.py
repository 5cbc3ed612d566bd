"""Making of personal exports, the copies that people ask for of what belongs to them: a ZIP of JSON, of pages to read,
and of their files.

A thread of each cron process makes one at a time, from one snapshot of the database, over a connection of its own. If a
process dies over one, another process takes it up after two minutes.
"""

from __future__ import annotations

import datetime
import html
import json
import secrets
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Final

import psycopg

from forumapi.concurrency.background_thread import PollingThread
from forumapi.config import Config
from forumapi.cron import file_cleanup
from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.files.storage import MissingError, Storage, StorageError, open_storage
from forumapi.files.thumbnails import scratch
from forumapi.models.content import file
from forumapi.models.privacy import personal_export
from forumapi.models.privacy.inventory import PERSON_TABLES
from forumapi.models.privacy.personal_export import Claimed
from forumapi.observability.log import logger

# Rows of one fetch, texts of one page, and seconds between two reports of progress.
FETCHED: Final = 1_000
PAGE: Final = 500
REPORT_S: Final = 2.0
_HEX: Final = 20  # bytes of an object's name

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ max-width: 45rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif }}
article {{ border-top: 1px solid #ccc; padding: 1rem 0 }} img {{ max-width: 100% }}</style>
</head><body>
<h1>{title}</h1>
"""
_FOOT: Final = "</body></html>\n"


class GoneError(Exception):
    """Signal that work on an export must end: it was deleted meanwhile, or asked for anew."""


class Exporter(PollingThread):
    """Thread that makes personal exports that people have asked for, and deletes those that are a day old. `current`:
    function that returns the present settings.
    """

    POLL_S = 2.0

    def __init__(self, current: Callable[[], Config]) -> None:
        super().__init__("exports", "a copy of what belongs to a person was not made")
        self._current = current
        # The site that had the last turn.
        self._after = 0

    def poll(self) -> None:
        """Make every personal export that waits, one after the other."""
        while not self.is_stopping and (site_id := work_off(self._current(), self._after)):
            self._after = site_id


def work_off(config: Config, after: int = 0) -> int:
    """Delete personal exports that are a day old, and make one of those that wait, of the next site after the site
    `after` that has one; return the id of its site, 0 if none waited.

    An export that can't be made is logged, and marked as failed.
    """
    database = Database(config.direct_url, size=1, prepare=False, timeout_ms=60_000)
    try:
        with database.write() as tx:
            gone = personal_export.expire(tx)
        if gone:
            with database.write() as tx:
                file_cleanup.delete_objects(tx, config, gone)
        with database.write() as tx:
            work = personal_export.claim(tx, after=after)
        if work is None:
            return 0
        try:
            _make(database, config, work)
        except GoneError:
            logger.info("an export was deleted while it was made")
        except (OSError, StorageError, ValueError) as error:
            logger.error("the export of profile %d failed: %s", work.profile_id, error)
            with database.write() as tx:
                tx.run(personal_export.FAIL, **work.where)
        return work.site_id
    finally:
        database.close()


def _make(database: Database, config: Config, work: Claimed) -> None:
    storage = open_storage(config)
    name = secrets.token_hex(_HEX)
    with scratch(storage) as folder:
        path = folder / "export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            _Maker(database, config, storage, work).write(archive)
        size = path.stat().st_size
        with database.write() as tx:
            file.announce(tx, [name])
        storage.put(name, path, "application/zip")
    with database.write() as tx:
        tx.run(personal_export.FINISH, object=name, bytes=size, **work.where)


class _Maker:
    """Writer of the archive of the personal export `work`, which this process has claimed; stores the progress every
    REPORT_S seconds.
    """

    def __init__(self, database: Database, config: Config, storage: Storage, work: Claimed) -> None:
        self._database = database
        self._url = config.direct_url
        self._storage = storage
        self._work = work
        self._done = 0
        self._total = 0
        self._reported = 0.0
        self._pages: list[tuple[str, str]] = []

    def write(self, archive: zipfile.ZipFile) -> None:
        """Write data, pages, files and index into the archive. Raises GoneError once the export is deleted."""
        work = self._work
        with psycopg.connect(self._url) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute("SET LOCAL statement_timeout = '60s'")
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = '600s'")
            with self._database.write() as tx:
                found = tx.value(
                    personal_export.COUNT, site_id=work.site_id, profile_id=work.profile_id
                )
            self._total = int(found or 0)
            for table in PERSON_TABLES:
                if table.export is None:
                    continue
                self._table(
                    archive,
                    table.name,
                    personal_export.columns_of(table),
                    self._rows(connection, personal_export.ROWS[table.name]),
                )
            self._table(
                archive,
                "huddle_messages",
                list(personal_export.MESSAGE_COLUMNS),
                self._rows(connection, personal_export.MESSAGES),
            )
            self._files(archive, list(self._rows(connection, personal_export.FILES)))
        self._index(archive)
        self._report(now=True)

    def _rows(self, connection: psycopg.Connection[Any], query: Query) -> Iterator[tuple[Any, ...]]:
        """Run `query` for the person whose export this is, and yield its rows, of which FETCHED are in memory at a
        time.
        """
        work = self._work
        params = {
            "site_id": work.site_id,
            "profile_id": work.profile_id,
            "user_id": work.user_id,
        }
        with connection.cursor(name="rows") as cursor:
            cursor.itersize = FETCHED
            cursor.execute(query.sql.encode(), {name: params[name] for name in query.names} or None)
            for row in cursor:
                self._done += 1
                self._report()
                yield row

    def _report(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._reported < REPORT_S:
            return
        self._reported = time.monotonic()
        with self._database.write() as tx:
            total = max(self._total, self._done)
            if not tx.run(personal_export.BEAT, done=self._done, total=total, **self._work.where):
                raise GoneError

    def _table(
        self,
        archive: zipfile.ZipFile,
        name: str,
        columns: list[str],
        rows: Iterator[tuple[Any, ...]],
    ) -> None:
        """Write rows, whose columns have the names `columns`, as data/`name`.json and, if there is a column `html`, as
        pages to read too; nothing if there are no rows.
        """
        first = next(rows, None)
        if first is None:
            return
        parts: list[dict[str, Any]] = []
        page = 0
        # The archive takes one file at a time: pages are written after the JSON that they are made of.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as texts:
            with archive.open(f"data/{name}.json", "w", force_zip64=True) as target:
                self._dump(target, columns, first, rows, texts if "html" in columns else None)
            texts.seek(0)
            for line in texts:
                parts.append(json.loads(line))
                if len(parts) == PAGE:
                    page += 1
                    self._page(archive, name, page, parts)
                    parts = []
            if parts:
                self._page(archive, name, page + 1, parts)

    @staticmethod
    def _dump(
        target: IO[bytes],
        columns: list[str],
        first: tuple[Any, ...],
        rows: Iterable[tuple[Any, ...]],
        texts: IO[str] | None,
    ) -> None:
        separator = b"[\n"
        for row in _chain(first, rows):
            entry = dict(zip(columns, row, strict=True))
            line = json.dumps(entry, default=_plain, ensure_ascii=False)
            target.write(separator + line.encode())
            if texts is not None:
                texts.write(f"{line}\n")
            separator = b",\n"
        target.write(b"\n]\n")

    def _page(
        self, archive: zipfile.ZipFile, name: str, number: int, entries: list[dict[str, Any]]
    ) -> None:
        title = f"{name.replace('_', ' ').capitalize()}, page {number}"
        path = f"read/{name}-{number:04}.html"
        self._pages.append((path, title))
        parts = [_HEAD.format(title=title)]
        for entry in entries:
            who = f"{entry['profile_name']}, " if "profile_name" in entry else ""
            what = f"<h2>{entry['title']}</h2>" if "title" in entry else ""
            parts.append(
                f"<article>{what}<p>{who}{entry['created']}, comment {entry['comment_id']}</p>"
                f"{entry['html']}</article>\n"
            )
        archive.writestr(path, "".join((*parts, _FOOT)))

    def _files(self, archive: zipfile.ZipFile, files: list[tuple[Any, ...]]) -> None:
        """Write the person's files, given by hash, name, extension and size, each under a part of its hash and the name
        of its upload; a file that the store lacks is left out and logged.
        """
        for hash, given, ext, size in files:
            self._report()
            label = _safe(given) or f"file.{ext}".rstrip(".")
            info = zipfile.ZipInfo(f"files/{hash[:12]}-{label}")
            info.compress_type = zipfile.ZIP_STORED
            try:
                pieces = self._storage.read(hash, 0, size)
                with archive.open(info, "w", force_zip64=True) as target:
                    for piece in pieces:
                        target.write(piece)
            except MissingError:
                logger.warning("export: the store has no object for file %s", hash)

    def _index(self, archive: zipfile.ZipFile) -> None:
        work = self._work
        title = f"What belongs to {html.unescape(work.name)} on {html.unescape(work.site_title)}"
        made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        names = sorted(archive.namelist())
        parts = [_HEAD.format(title=html.escape(title)), f"<p>As of {made}.</p>\n"]
        for heading, begins in (("To read", "read/"), ("Files", "files/"), ("Data", "data/")):
            links = "".join(
                f'<li><a href="{html.escape(name)}">{html.escape(name)}</a></li>'
                for name in names
                if name.startswith(begins)
            )
            if links:
                parts.append(f"<h2>{heading}</h2><ul>{links}</ul>\n")
        archive.writestr("index.html", "".join((*parts, _FOOT)))


def _chain(first: tuple[Any, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    yield first
    yield from rows


def _plain(value: object) -> object:
    """Convert a value that JSON has no form for: times as ISO 8601, in UTC if they have a date, bytes as hexadecimal
    digits, anything else as text. For `default` of json.dumps.
    """
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _safe(name: str) -> str:
    """Return a file's name with "_" for control characters and those that separate folders or are forbidden in some
    file system, and without dots and spaces at its ends; "" if nothing is left.
    """
    return "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).strip(
        ". "
    )
