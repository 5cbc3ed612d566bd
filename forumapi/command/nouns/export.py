"""Command `export`: a site's content as files."""

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
    """Add `export`."""
    export = commands.add("export", _export, "write a site's content into a folder")
    export.add_argument("key", help="its subdomain")
    export.add_argument("folder", type=Path, help="an empty folder, or one that does not exist yet")
    export.add_argument("--quiet", action="store_true", help="show no progress")


def _export(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.files.storage import StorageError, open_storage
    from forumapi.models.journal.journal import Author
    from forumapi.models.sites import site_export
    from forumapi.porting import exporting
    from forumapi.porting.site_reader import SiteReader

    folder: Path = args.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}") from None
    if not is_empty:
        raise CommandError(f"{folder} is not empty")
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


class _Bar:
    """Progress on standard error, at most once a second."""

    def __init__(self, total: int, *, is_quiet: bool) -> None:
        self._total = total
        self._is_quiet = is_quiet or not sys.stderr.isatty()
        self._began = self._shown = time.monotonic()

    def __call__(self, documents: int) -> None:
        now = time.monotonic()
        if self._is_quiet or now - self._shown < _SHOWN_EVERY_S:
            return
        self._shown = now
        rate = documents / (now - self._began)
        line = f"{documents:,} of about {self._total:,} documents, {rate:,.0f}/s"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if not self._is_quiet:
            print(file=sys.stderr)
