"""Command `backup`: create, list, verify and restore backups of database and files."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from forumapi.command.nouns.common import (
    OK,
    CommandError,
    Commands,
    as_json,
    database_url,
    print_rows,
)
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `backup` with its subcommands."""
    backups = commands.group("backup", "backups of the database and the files")
    backing = backups.add("create", _create, "make one")
    backing.add_argument("--to", type=Path, required=True, metavar="DIR", help="where they stand")
    backing.add_argument(
        "--keep", type=_count, default=0, help="so many of the newest stay; 0: all"
    )
    known = backups.add("list", _list, "those that are complete, newest first")
    known.add_argument("--to", type=Path, required=True, metavar="DIR", help="where they stand")
    as_json(known)
    again = backups.add("verify", _verify, "read one again, every byte")
    again.add_argument("backup", type=Path)
    back = backups.add("restore", _restore, "into an empty database and a folder")
    back.add_argument("backup", type=Path)
    back.add_argument("--database", required=True, metavar="URL", help="an empty one")
    back.add_argument("--files", type=Path, metavar="DIR", help="where the files are to stand")
    back.add_argument(
        "--erasures",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="journals of erasures to repeat; without it the one of the settings, if it is there",
    )


def _create(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    files = None if current.s3_bucket else current.files_folder
    with database_url(current) as url, _errors():
        folder, manifest = backup.create(
            url, files if files is None or files.exists() else None, args.to
        )
    if files is None:
        print("files are in the bucket, which has copies of its own (docs/operations.md)")
    print(f"{folder}: {manifest.bytes:,} bytes, {manifest.files:,} files")
    # Last: the new backup counts, also if its time can't be noted, or an old one stays.
    with _errors():
        try:
            if current.backup_status_path is not None:
                backup.note(current.backup_status_path, manifest)
        finally:
            backup.remove_old(args.to, args.keep)
    return OK


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    with _errors():
        found = [(path, backup.Manifest.read(path)) for path in backup.listed(args.to)]
    rows: list[dict[str, Any]] = [
        {
            "backup": str(path),
            "finished": one.finished,
            "release": one.release,
            "bytes": one.bytes,
            "files": one.files,
        }
        for path, one in found
    ]
    print_rows(args, rows)
    return OK


def _verify(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    with _errors():
        manifest = backup.verify(args.backup)
    print(f"{args.backup} is whole: {manifest.finished}, {manifest.files:,} files")
    return OK


def _restore(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    with _errors():
        journals = _journals(args, current)
        manifest = backup.restore(args.backup, args.database, args.files)
        if journals:
            erased = backup.replay_erasures(
                replace(
                    current,
                    database_url=args.database,
                    database_direct_url="",
                    files_path=str(args.files.absolute()) if args.files else current.files_path,
                ),
                journals,
            )
            print(f"erased again: {erased} profiles of {len(journals)} journals")
    print(
        f"the same as on {manifest.finished}: {len(manifest.tables)} tables, {manifest.files:,} files"
    )
    return OK


def _journals(args: argparse.Namespace, current: Config) -> list[Path]:
    """Return the paths of the journals of erasures to replay after a restore: those named, as given, else the
    configured one, or none if that has not been written yet. Raises CommandError if a named one does not exist.
    """
    if args.erasures is None:
        return [path for path in [current.erasure_journal_path] if path.exists()]
    for path in args.erasures:
        if not path.is_file():
            raise CommandError(f"{path}: there is no such journal")
    return list(args.erasures)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    import psycopg

    from forumapi.command import backup

    try:
        yield
    except (backup.BackupError, OSError, ValueError, psycopg.Error) as error:
        raise CommandError(str(error)) from None
