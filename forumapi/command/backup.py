"""Backups: the database as one dump, the files beside it, and hashes that prove a restore equal.

A backup is a folder. `database.dump` is pg_dump's custom format, taken in the snapshot that `manifest.json` counts and
hashes every table in; `files/` holds every object, hard-linked from the backup before where that has it already, since
objects never change; `files.txt` has their SHA-256. The database comes first: an object is stored before the row that
names it, and stays 30 days after the last one, so that no row of the dump lacks its file.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from forumapi import __version__
from forumapi.config import Config
from forumapi.cron import erasures, retention, site_deletions
from forumapi.cron.retention import UnfinishedError
from forumapi.database import embedded_postgres
from forumapi.database.connections import Database
from forumapi.errors import ApiError

FORMAT: Final = 1
DUMP: Final = "database.dump"
MANIFEST: Final = "manifest.json"
FILES: Final = "files"
LISTING: Final = "files.txt"
_STAMP: Final = "%Y%m%dT%H%M%S"
_PIECE: Final = 1024 * 1024
# The first PostgreSQL that knows transaction_timeout.
_KNOWS_TIMEOUT: Final = 17

# Every table with rows of its own: partitions, not partitioned tables.
TABLES: Final = """
    SELECT c.relname FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
     ORDER BY c.relname"""

# Rows as text must not depend on the session that reads them.
SESSION: Final = """
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1"""

Progress = Callable[[str], None]


class BackupError(Exception):
    """Failure of a backup, of its check or of a restore; the message is for the operator."""


@dataclass(frozen=True)
class Manifest:
    """Contents of a backup's `manifest.json`. `format`: version of the manifest; `release`: of the platform; `server`:
    version of PostgreSQL; `finished`: ISO 8601 in UTC.

    `dump_bytes`, `dump_sha256`: of the database's dump; `tables`: (number of rows, hash) by table; `files`,
    `files_bytes`: number of objects, and their bytes in all.
    """

    format: int
    release: str
    server: str
    finished: str
    dump_bytes: int
    dump_sha256: str
    tables: Mapping[str, tuple[int, str]]
    files: int
    files_bytes: int

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of the backup in `folder`. Raises BackupError without one, or for another version of it."""
        try:
            known: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise BackupError(f"{folder} is no backup: {error}") from None
        if known.get("format") != FORMAT:
            raise BackupError(
                f"{folder} is of format {known.get('format')}, this release reads {FORMAT}"
            )
        known["tables"] = {name: (rows, hash) for name, (rows, hash) in known["tables"].items()}
        return cls(**known)

    @property
    def bytes(self) -> int:
        """Return the bytes of dump and files in all, those included that are hard links into an earlier backup."""
        return self.dump_bytes + self.files_bytes


# ---------------------------------------------------------------- make


def create(
    url: str, files: Path | None, target: Path, *, progress: Progress = print
) -> tuple[Path, Manifest]:
    """Create a backup in a new folder below `target`; return the folder and its manifest.

    `url`: direct URL of the database. `files`: folder of the store; None if objects are stored elsewhere. `progress` is
    called with a line at each step. A backup that fails leaves nothing behind. Raises BackupError, psycopg.Error,
    OSError.
    """
    target.mkdir(parents=True, exist_ok=True)
    before = next(iter(listed(target)), None)
    started = datetime.datetime.now(datetime.UTC)
    folder = target / started.strftime(_STAMP)
    part = folder.with_suffix(".part")
    if folder.exists():
        raise BackupError(f"{folder} is there already")
    part.mkdir(mode=0o700)
    try:
        with _snapshot(url) as (connection, snapshot):
            progress("dumping the database")
            server = connection.info.parameter_status("server_version") or ""
            address, environ = client(url)
            _run(
                environ,
                _program("pg_dump", connection.info.server_version // 10000),
                *("--format=custom", "--compress=3", "--no-owner", "--no-privileges"),
                *(f"--snapshot={snapshot}", f"--file={part / DUMP}", f"--dbname={address}"),
            )
            progress("hashing its tables")
            tables = hashes(connection)
        count, size = 0, 0
        if files is not None:
            progress("copying files")
            count, size = _copy_files(files, part, before)
        manifest = Manifest(
            FORMAT,
            __version__,
            server.split()[0],
            datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            (part / DUMP).stat().st_size,
            _sha256(part / DUMP),
            tables,
            count,
            size,
        )
        _write(part / MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")
        part.rename(folder)
        _sync(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder, manifest


def remove_old(target: Path, keep: int) -> None:
    """Remove the backups below `target` but the `keep` newest; 0: none is removed. Raises BackupError, which names the
    backup, at the first that can't be removed.
    """
    for old in listed(target)[keep:] if keep else []:
        try:
            shutil.rmtree(old)
        except OSError as error:
            raise BackupError(f"the old backup {old} can't be removed: {error}") from None


def note(path: Path, manifest: Manifest) -> None:
    """Write the status file at `path`, by which `doctor` and the metrics know the time and size of the last successful
    backup, which has this `manifest`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"finished": manifest.finished, "kind": "dump", "bytes": manifest.bytes}
    fresh = path.with_name(f"{path.name}.new")
    _write(fresh, json.dumps(said) + "\n")
    fresh.rename(path)


def listed(target: Path) -> list[Path]:
    """Return the folders of the complete backups below `target`, those with a manifest, newest first."""
    return sorted((path.parent for path in target.glob(f"*/{MANIFEST}")), reverse=True)


@contextlib.contextmanager
def _snapshot(url: str) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """Open a transaction that sees one snapshot, for as long as the block lasts; yield its connection and the
    snapshot's name for pg_dump.
    """
    with psycopg.connect(url) as connection:
        connection.execute(SESSION)
        connection.commit()
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield connection, row[0]


def hashes(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, str]]:
    """Return number of rows and hash by name of each table of the database; the hash is the same for the same rows in
    any order, if the statements of SESSION have been run on the connection.
    """
    found = {}
    for (name,) in connection.execute(TABLES).fetchall():
        statement = sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {} AS t"
        ).format(sql.Identifier(name))
        row = connection.execute(statement).fetchone()
        assert row is not None
        found[name] = (row[0], row[1])
    return found


def _copy_files(source: Path, part: Path, before: Path | None) -> tuple[int, int]:
    """Copy all objects of the store's folder `source` into the backup `part`, as hard links where the backup `before`
    (None: there is none) has them, and write their names and SHA-256 to `files.txt` of `part`; return the number of
    objects and their bytes, those of hard links included. An object that is deleted meanwhile is left out.
    """
    known: dict[str, str] = {}
    if before is not None and (before / LISTING).exists():
        for line in (before / LISTING).read_text().splitlines():
            sha256, name = line.split()
            known[name] = sha256
    lines = []
    size = 0
    (part / FILES).mkdir()
    for path in sorted(source.rglob("*")):
        name = str(path.relative_to(source))
        # Objects are two folders deep; anything else is on its way in or out.
        if name.count("/") != 2 or not path.is_file():
            continue
        copy = part / FILES / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        sha256 = known.get(name, "")
        if before is not None and sha256:
            try:
                os.link(before / FILES / name, copy)
            except FileNotFoundError:
                sha256 = ""  # that backup has lost it
        if not sha256:
            try:
                shutil.copyfile(path, copy)
            except FileNotFoundError:
                continue  # swept meanwhile: nothing in the dump refers to it
            sha256 = _sha256(copy)
        lines.append(f"{sha256} {name}\n")
        size += copy.stat().st_size
    _write(part / LISTING, "".join(lines))
    return len(lines), size


# ---------------------------------------------------------------- look at, bring back


def verify(folder: Path) -> Manifest:
    """Read the dump and all objects of the backup in `folder`, compare their hashes with the recorded ones, and return
    the manifest. Raises BackupError at the first object that is missing or file that differs, and for a folder that is
    no backup; OSError for a missing dump.
    """
    manifest = Manifest.read(folder)
    if _sha256(folder / DUMP) != manifest.dump_sha256:
        raise BackupError(f"{folder / DUMP} was changed")
    for name, sha256 in _objects(folder):
        path = folder / FILES / name
        if not path.exists() or _sha256(path) != sha256:
            raise BackupError(f"{path} is missing or was changed")
    return manifest


def restore(folder: Path, url: str, files: Path | None, *, progress: Progress = print) -> Manifest:
    """Verify the backup in `folder`, restore it into the empty database `url` and the store's folder `files`, and
    compare each table's hash with the backup's; return the manifest.

    `files` None: objects are not restored. `progress` is called with a line at each step. Raises BackupError if the
    database is not empty, the backup is damaged, or a table differs; psycopg.Error, OSError. After a failure, what was
    restored so far stays.
    """
    progress("reading the backup")
    manifest = verify(folder)
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute(TABLES).fetchone() is not None:
            raise BackupError("the database is not empty; make a new one and restore into that")
        major = connection.info.server_version // 10000
    progress("restoring the database")
    _restore(folder / DUMP, url, major)
    if files is not None:
        progress("restoring files")
        for name, _ in _objects(folder):
            target = files / name
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f"{target.name}.new")
            shutil.copyfile(folder / FILES / name, fresh)
            fresh.rename(target)
    progress("comparing every table with what it was")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute(SESSION)
        found = hashes(connection)
    unlike = sorted(
        name
        for name in manifest.tables.keys() | found.keys()
        if manifest.tables.get(name) != found.get(name)
    )
    if unlike:
        raise BackupError(f"not what was backed up: {', '.join(unlike)}")
    return manifest


def replay_erasures(config: Config, journals: Sequence[Path]) -> int:
    """Delete in a restored database, and in the store, the sites that these journals of erasures name, erase the
    profiles and accounts, and remove again what the retention periods of sites had removed; return the number of
    profiles erased. `config`: settings with the restored database.

    All lines are read before anything is written; sites come first, then people, then texts. A database of an earlier
    release has to be migrated first. Raises OSError for a journal that can't be read, ValueError for a malformed line;
    BackupError, which says whose data may be in the database again, if a step fails.
    """
    entries = list(erasures.read_journal(journals))
    removals = list(retention.read_journal(journals))
    deleted = list(site_deletions.read_journal(journals))
    database = Database(config.direct_url, size=1, prepare=False, timeout_ms=600_000)
    whose = "sites that were deleted are"
    try:
        site_deletions.replay(database, config, deleted)
        whose = "people who were erased are"
        erased = erasures.replay(database, config, entries)
        whose = "texts that were removed may be"
        retention.replay(database, config, removals)
    except (ApiError, UnfinishedError, site_deletions.DeletionFailedError) as error:
        raise BackupError(f"{whose} in the database again: {error}") from error
    else:
        return erased
    finally:
        database.close()


def _restore(dump: Path, url: str, major: int) -> None:
    """Restore the file `dump` into an empty database by pg_restore; on a server before PostgreSQL 17, which does not
    know a parameter that pg_restore sets, through psql without that parameter. `major`: the server's major version.
    Raises BackupError.
    """
    program = _program("pg_restore", major)
    plain = ("--no-owner", "--no-privileges")
    address, environ = client(url)
    if major >= _KNOWS_TIMEOUT:
        words = ("--exit-on-error", "--jobs=2", f"--dbname={address}", str(dump))
        _run(environ, program, *plain, *words)
        return
    # A pg_restore newer than the server sets parameters that the server does not know.
    command = [_program("psql", 1), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    command += ["--single-transaction", "--output=/dev/null", f"--dbname={address}"]
    whole = {**os.environ, **environ, "LC_ALL": "C"}
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, env=whole, stdin=subprocess.PIPE, stderr=said) as taking,
        subprocess.Popen(
            [program, *plain, "--file=-", str(dump)], env=whole, stdout=subprocess.PIPE, stderr=said
        ) as giving,
    ):
        assert taking.stdin is not None
        assert giving.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            is_head = True
            for line in giving.stdout:
                if is_head and line.startswith(b"SET transaction_timeout"):
                    is_head = False
                else:
                    taking.stdin.write(line)
        giving.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            taking.stdin.close()
        if taking.wait() | giving.wait():
            said.seek(0)
            raise BackupError(f"restoring: {said.read().decode(errors='replace').strip()}")


def _objects(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of each object in `files.txt` of the backup in `folder`; nothing without that file."""
    if (folder / LISTING).exists():
        for line in (folder / LISTING).read_text().splitlines():
            sha256, name = line.split()
            yield name, sha256


# ---------------------------------------------------------------- tools


def _program(name: str, major: int) -> str:
    """Return the path of a program of PostgreSQL, such as pg_dump, of the version `major` or later. Raises BackupError
    without one.
    """
    places = []
    with contextlib.suppress(embedded_postgres.EmbeddedError):
        places.append(str(embedded_postgres.binaries()))
    places += [str(path.parent) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    places.append(os.environ.get("PATH", os.defpath))
    for place in places:
        program = shutil.which(name, path=place)
        if program is not None:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, check=False
            )
            version = said.stdout.rpartition(")")[2].split(".")[0].strip()
            if version.isdigit() and int(version) >= major:
                return program
    raise BackupError(f"no {name} of PostgreSQL {major} or later was found")


def client(url: str) -> tuple[str, dict[str, str]]:
    """Return, of the database URL `url`, a connection string (keywords of libpq) without the password, and the
    environment variables that hold the password ({} without one): other users of the machine can read the arguments of
    processes.
    """
    known: dict[str, Any] = conninfo_to_dict(url)
    password = known.pop("password", None)
    return make_conninfo(**known), {"PGPASSWORD": str(password)} if password else {}


def _run(environ: Mapping[str, str], program: str, *arguments: str) -> None:
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise BackupError(f"{Path(program).name}: {done.stderr.strip()[-1000:]}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    with path.open("w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
