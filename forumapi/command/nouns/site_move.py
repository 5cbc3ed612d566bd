"""Command `site move`: move a site to another platform, with a read-only time of a minute at most."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from forumapi.command.nouns.common import OK, CommandError, Commands, database_url, print_rows
from forumapi.config import Config

if TYPE_CHECKING:
    from forumapi.porting.moving.site_moving import FinishedMove, Planned

_SHOWN_EVERY_S: Final = 0.5


def add(sites: Commands) -> None:
    """Add the subcommand `move` to the command `site`."""
    move = sites.add("move", _move, "move a site to another platform, whose database is in reach")
    move.add_argument("key", help="its subdomain, on both platforms")
    move.add_argument(
        "--to", required=True, type=Path, metavar="FILE", help="settings file of the other platform"
    )
    how = move.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", action="store_true", help="say what would be moved, and write nothing"
    )
    how.add_argument(
        "--copy-only", action="store_true", help="copy, and leave the switch to a later call"
    )
    how.add_argument(
        "--undo", action="store_true", help="remove the copy from the other platform again"
    )
    move.add_argument("--quiet", action="store_true", help="show no progress")


def _move(args: argparse.Namespace, current: Config) -> int:
    import psycopg

    from forumapi import config
    from forumapi.database import migrations
    from forumapi.errors import ConfigError
    from forumapi.files.storage import StorageError
    from forumapi.observability import log
    from forumapi.porting.moving.site_moving import MoveError, Platform, SiteMove

    log.configure(level="error")
    try:
        other = config.load(args.to, {})
    except ConfigError as error:
        raise CommandError(str(error)) from None
    bar = _CopyProgress(is_quiet=args.quiet)
    try:
        with database_url(current) as url, database_url(other) as url_there:
            for name, one in (("this", url), ("the other", url_there)):
                if migrations.pending(one):
                    raise CommandError(f"{name} platform is not migrated: `forumapi migrate`")
            here, there = Platform(current.beside_run, url), Platform(other.beside_run, url_there)
            with SiteMove(here, there, args.key, bar.say, bar) as move:
                if args.dry_run:
                    return _print_plan(args, move.plan())
                if args.undo:
                    print(f"{move.undo():,} rows removed")
                    return OK
                moved = move.run(is_copy_only=args.copy_only)
    except MoveError as error:
        raise CommandError(str(error)) from None
    except StorageError as error:
        raise CommandError(f"a store of files: {error.reason or error}") from None
    except psycopg.Error as error:
        raise CommandError(
            f"a database: {error}; run the same command again, which goes on from there"
        ) from None
    finally:
        bar.end()
    if moved is None:
        print("copied; the site is still here")
    else:
        _print_moved(args, moved)
    return OK


def _print_plan(args: argparse.Namespace, planned: Planned) -> int:
    args.json = False
    print_rows(
        args, [{"table": name, "rows": f"{count:,}"} for name, count in planned.rows.items()]
    )
    print(f"{planned.files:,} files, {planned.bytes:,} bytes")
    left = ", ".join(f"{name} ({count:,})" for name, count in planned.left_behind.items())
    print(f"stay here: {left or 'nothing'}")
    print(f"the site would be {planned.address}")
    if planned.problems:
        raise CommandError("; ".join(planned.problems))
    return OK


def _print_moved(args: argparse.Namespace, moved: FinishedMove) -> None:
    args.json = False
    if moved.compared:
        shown = [one for one in moved.compared if one.here.rows]
        print_rows(
            args,
            [
                {
                    "table": one.table,
                    "rows": f"{one.here.rows:,}",
                    "hash": one.here.digest[:16],
                    "equal": "yes" if one.here == one.there else "no",
                }
                for one in shown
            ],
        )
        print(f"{moved.rows:,} rows and {moved.files:,} files in {moved.copies} copies")
        if moved.missing_files:
            print(f"{moved.missing_files:,} files are missing in the store here")
        print(f"read-only for {moved.read_only_s:.1f} s")
    print(f"moved to {moved.address}")


class _CopyProgress:
    """Progress on standard error: a line for each finished copy and, on a terminal alone, one for the running copy,
    renewed at most twice a second; nothing with `is_quiet`. Called with the running copy's name and the number of rows
    compared since the last call.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._is_live = not is_quiet and sys.stderr.isatty()
        self._name = ""
        self._rows = 0
        self._shown = 0.0

    def __call__(self, name: str, rows: int) -> None:
        if name != self._name:
            self._name, self._rows = name, 0
        self._rows += rows
        now = time.monotonic()
        if self._is_live and now - self._shown > _SHOWN_EVERY_S:
            self._shown = now
            print(
                f"\r\x1b[K{name}: {self._rows:,} rows compared", end="", file=sys.stderr, flush=True
            )

    def say(self, line: str) -> None:
        """Print a line about what is done, in place of the running line; nothing with `is_quiet`."""
        if not self._is_quiet:
            self.end()
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the running line, if one is shown."""
        if self._is_live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
