"""Command `export`: write a site's content as documents of the neutral layout, or as HTML pages for guests."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from forumapi.command.nouns.common import OK, CommandError, Commands, open_database, operator
from forumapi.config import Config

_SHOWN_EVERY_S: Final = 1.0


def add(commands: Commands) -> None:
    """Define the command `export`."""
    export = commands.add("export", _export, "write a site's content into a folder")
    export.add_argument("key", help="its subdomain")
    export.add_argument("folder", type=Path, help="an empty folder, or one that does not exist yet")
    export.add_argument(
        "--static",
        action="store_true",
        help="HTML pages of what guests may read, in place of the layout, for the end of a community",
    )
    export.add_argument("--quiet", action="store_true", help="show no progress")


def _export(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.files.storage import StorageError, open_storage
    from forumapi.models.journal.journal import Author
    from forumapi.models.sites import site_export
    from forumapi.porting.exports import exporting
    from forumapi.porting.exports.site_reader import SiteReader

    folder: Path = args.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}") from None
    if not is_empty:
        raise CommandError(f"{folder} is not empty")
    if args.static:
        return _static(args, current)
    config = current.beside_run
    with open_database(current) as database:
        with database.write() as tx:
            site_id = admin.site_id(tx, args.key)
            site_export.audit(tx, Author(site_id, 0, "", operator()))
        with exporting.snapshot(database.url) as snapshot:
            reader = SiteReader(snapshot, site_id, config.platform_domain, open_storage(config))
            bar = _Bar(sum(reader.counts().values()), is_quiet=args.quiet)
            try:
                written = exporting.to_folder(reader, folder, bar)
            except (OSError, StorageError) as error:
                reason = getattr(error, "reason", "") or error
                raise CommandError(f"{folder} is incomplete: {reason}") from None
            bar.end()
    print(f"{written.documents:,} documents and {written.files:,} files in {folder}")
    print(f"hash {written.hash}")
    return OK


def _static(args: argparse.Namespace, current: Config) -> int:
    """Write the site `args.key` as HTML pages for guests into the folder `args.folder`; the pages hold nothing private,
    so the audit does not record the command. Return the exit code. Raises CommandError if a file can't be read or
    written; the pages written so far stay.
    """
    import dataclasses

    from forumapi import routes
    from forumapi.app import App
    from forumapi.command import admin
    from forumapi.command.static_archive import StaticArchive
    from forumapi.files.storage import StorageError

    with open_database(current) as database:
        tx = database.read()
        site_id = admin.site_id(tx, args.key)
        # The application reads files itself; nobody counts what it asks for.
        config = dataclasses.replace(
            current.beside_run,
            file_accel_prefix="",
            rate_limit_address_per_minute=0,
            crawl_budget_per_minute=0,
            log_level="error",
        )
        app = App(config, routes.ROOT, routes.SITE, database.url)
        try:
            site = app.sites.by_id(site_id, tx)
            tx.end()
            assert site is not None, "its id was just read"
            bar = _Bar(0, is_quiet=args.quiet, noun="pages")
            written = StaticArchive(app, site, args.folder, bar).write()
            bar.end()
        except (OSError, StorageError) as error:
            reason = getattr(error, "reason", "") or error
            raise CommandError(f"{args.folder} is incomplete: {reason}") from None
        finally:
            app.database.close()
    print(f"{written.pages:,} pages and {written.files:,} files in {args.folder}")
    return OK


class _Bar:
    """Progress line on standard error, renewed at most once a second; called with the number of things done so far.
    `total`: estimate of the number of things in all, 0 for no estimate; `noun`: name of the things, in the plural;
    `is_quiet`: nothing is shown, as without a terminal.
    """

    def __init__(self, total: int, *, is_quiet: bool, noun: str = "documents") -> None:
        self._total = total
        self._noun = noun
        self._is_quiet = is_quiet or not sys.stderr.isatty()
        self._began = self._shown = time.monotonic()

    def __call__(self, documents: int) -> None:
        now = time.monotonic()
        if self._is_quiet or now - self._shown < _SHOWN_EVERY_S:
            return
        self._shown = now
        rate = documents / (now - self._began)
        of = f" of about {self._total:,}" if self._total else ""
        line = f"{documents:,}{of} {self._noun}, {rate:,.0f}/s"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the progress line with a line feed, unless nothing is shown."""
        if not self._is_quiet:
            print(file=sys.stderr)
