"""PostgreSQL and memcached for tests: throw-away ones on this machine, started when needed, gone when nobody uses them.

PostgreSQL's cluster stays in var/testdb between runs, so that only the first run makes one. Several runs may share the
server: each holds a lock while it works, and the last to leave stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

import psycopg
from psycopg import sql

from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.config import Config, resource
from forumapi.database import embedded_postgres, migrations

FOLDER: Final = Path(__file__).resolve().parent.parent / "var" / "testdb"
# Web processes of several test processes at once, each with its own connections.
MAX_CONNECTIONS: Final = 400
PREFIX: Final = "test_"
TEMPLATE: Final = "template_test_"


def start_postgres(*, folder: Path = FOLDER) -> embedded_postgres.Server:
    """The server of this folder, running; it outlives this process."""
    return embedded_postgres.start(
        folder, throwaway=True, detached=True, max_connections=MAX_CONNECTIONS
    )


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of the running server; stopped at the end unless others use it or `scripts/testdb` started it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "users.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        server = start_postgres()
        drop_left_over(server.url)
        try:
            yield server.url
        finally:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                if not (FOLDER / "keep").exists():
                    server.stop()


def connect(url: str) -> psycopg.Connection:
    """A connection for statements about whole databases."""
    return psycopg.connect(url, autocommit=True)


def in_database(url: str, name: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


def drop_left_over(url: str) -> None:
    """Drop databases of test processes that were killed, and templates of other schemas."""
    current = template_name()
    with connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        for (name,) in rows:
            if name.startswith(PREFIX):
                is_old = not Path(f"/proc/{name.split('_')[1]}").exists()
            else:
                is_old = name.startswith(TEMPLATE) and name != current
            if is_old:
                # Another run may be making a database from it, or dropping it, right now.
                with contextlib.suppress(psycopg.Error):
                    connection.execute(
                        sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
                    )


def template_name() -> str:
    """The template database of the SQL as it is now."""
    digest = hashlib.sha256()
    for path in sorted(resource("sql").rglob("*.sql")):
        digest.update(path.read_bytes())
    return TEMPLATE + digest.hexdigest()[:16]


def template(url: str) -> str:
    """The name of a migrated database to clone; made by whichever test process comes first."""
    name = template_name()
    with (FOLDER / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with connect(url) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                draft = f"{PREFIX}{os.getpid()}_draft"
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
                migrations.migrate(in_database(url, draft))
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(draft), sql.Identifier(name)
                    )
                )
    return name


@contextlib.contextmanager
def new_database(url: str, label: str, *, source: str = "template1") -> Iterator[str]:
    """The address of a copy of the database `source`, this process's own; dropped at the end.

    `url` is any database of the server, `label` one that this process uses no second time at once.
    """
    name = f"{PREFIX}{os.getpid()}_{label}"
    with connect(url) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
    try:
        yield in_database(url, name)
    finally:
        with connect(url) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


@contextlib.contextmanager
def database(url: str, label: str) -> Iterator[str]:
    """The address of a migrated database, otherwise as new_database()."""
    with new_database(url, label, source=template(url)) as made:
        # A copy does not take over the time limits that migrate sets: they belong to a database's name.
        migrations.migrate(made, Config())
        yield made


def older_postgres() -> list[Path]:
    """Folders with the programs of a PostgreSQL that is older than the embedded one, from the distribution."""
    return [path.parent for path in Path("/usr/lib/postgresql").glob("1[56]/bin/initdb")]


# ---------------------------------------------------------------- mail


def mailed(folder: Path) -> list[Path]:
    """Mails that web processes of this test process put into their mailboxes, oldest first: each process on a database
    sends what it finds there. `folder`: the data folder of one of them.
    """
    # Each folder of pytest has a link to it, too.
    found = {path.resolve() for path in folder.parent.glob("*/mailbox/*.eml")}
    return sorted(found, key=lambda path: path.name)


# ---------------------------------------------------------------- memcached


def memcached_program() -> str | None:
    """Return where memcached is, if it is installed."""
    return shutil.which("memcached", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")


def wait_until(is_so: Callable[[], bool], otherwise: str, *, limit_s: float = 20.0) -> None:
    """Until `is_so` says so. Raises AssertionError with `otherwise` when it takes too long."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


# Below what the system gives to those who ask for any port, and to connections.
_PORTS: Final = range(15_000, 32_000)
_claims: list[socket.socket] = []


def free_port() -> int:
    """A loopback port that nobody listens on, and that no other test of this machine is given."""
    start = random.randrange(len(_PORTS))
    for place in range(len(_PORTS)):
        port = _PORTS[(start + place) % len(_PORTS)]
        # The name is this process's as long as the socket stays open: no test run gets the port meanwhile.
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0forumapi-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise RuntimeError("every port is taken")


def start_memcached(program: str, port: int, *, ends_with_us: bool) -> subprocess.Popen[bytes]:
    """Start memcached on a loopback port; ready when this returns."""
    command = [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", "-t", "1"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=end_with_parent if ends_with_us else None,  # noqa: PLW1509
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process
    process.kill()
    raise RuntimeError(f"memcached did not start on port {port}")


@contextlib.contextmanager
def memcached() -> Iterator[str]:
    """host:port of a memcached of our own; "" where it is not installed."""
    program = memcached_program()
    if program is None:
        yield ""
        return
    port = free_port()
    process = start_memcached(program, port, ends_with_us=True)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def memcached_keys(address: str) -> list[str]:
    """Return the key of each entry of the memcached at `address`, "host:port"."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=60) as connection,
        connection.makefile("rb") as lines,
    ):
        found: list[str] = []
        # Its lists by age leave out entries that were just asked for, which wait there to be moved.
        connection.sendall(b"lru_crawler metadump hash\r\n")
        while (line := lines.readline()) != b"END\r\n":
            if line.startswith(b"key="):
                found.append(unquote(line.split()[0].removeprefix(b"key=").decode()))
            elif line.startswith(b"BUSY"):
                # It goes through its entries already, such as for what has expired.
                time.sleep(0.02)
                connection.sendall(b"lru_crawler metadump hash\r\n")
            else:
                raise RuntimeError(f"memcached does not list its entries: {line!r}")
    return found


# ---------------------------------------------------------------- nginx


def nginx_program() -> str | None:
    """Return where nginx is, if it is installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def brotli_module() -> str | None:
    """Return where nginx's module for brotli is, if it is installed."""
    path = Path("/usr/lib/nginx/modules/ngx_http_brotli_filter_module.so")
    return str(path) if path.exists() else None


# ---------------------------------------------------------------- logrotate


def logrotate_program() -> str | None:
    """Return where logrotate is, if it is installed."""
    return shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


# ---------------------------------------------------------------- sshd


def sshd_program() -> str | None:
    """Return where sshd is, if it is installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


# ---------------------------------------------------------------- Chromium


class Chromium(NamedTuple):
    """Chromium as a headless shell, which has no window and takes half the CPU, the whole browser, and the program that
    drives both, by path.
    """

    headless: str
    whole: str
    driver: str


def chromium_programs() -> Chromium | None:
    """Return where Debian's Chromium and its driver are, if all are installed."""
    whole, driver = shutil.which("chromium"), shutil.which("chromedriver")
    # Not the script of that name in /usr/bin: the browser that it starts would outlive it.
    headless = shutil.which("chromium-headless-shell", path="/usr/lib/chromium")
    return Chromium(headless, whole, driver) if headless and whole and driver else None


# ---------------------------------------------------------------- programs from npm


class NpmPrograms(NamedTuple):
    """Packages of npm that tests run: `lock` is the folder of their lock file, `folder` where npm installs them."""

    lock: Path
    folder: Path

    def found(self) -> Path | None:
        """Return the folder `node_modules`, if npm has filled it by the present lock file."""
        name = "package-lock.json"
        try:
            is_current = (self.folder / name).read_bytes() == (self.lock / name).read_bytes()
        except OSError:
            return None
        modules = self.folder / "node_modules"
        # Written by npm when it is done.
        return modules if is_current and (modules / ".package-lock.json").exists() else None

    def install(self, npm: str) -> None:
        """Install from npm's registry exactly what the lock file names, by its hashes, without scripts of theirs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(self.lock / name, self.folder / name)
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )


_TESTS: Final = Path(__file__).resolve().parent
PAGE_CHECKERS: Final = NpmPrograms(_TESTS / "browser" / "npm", FOLDER.parent / "npm")
DOCUMENT_CHECKERS: Final = NpmPrograms(_TESTS / "apidocs" / "npm", FOLDER.parent / "npm-apidocs")
MCP_CHECKER: Final = NpmPrograms(_TESTS / "agents" / "npm", FOLDER.parent / "npm-mcp")
