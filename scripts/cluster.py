"""Installation of several machines, on loopback: `make cluster` starts it and prints its addresses; Ctrl-C ends it.

Two web nodes behind nginx, PgBouncer in transaction mode before a PostgreSQL primary with a synchronous standby, three
memcacheds, a cron process. Statements that a standby may answer are read there. Every part is a context manager, which
tests/beyond uses one by one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import psycopg

from forumapi.config import embedded_environ
from forumapi.database import embedded_postgres, migrations

ROOT = Path(__file__).resolve().parent.parent
READY_S = 60.0
REPLICATION: Mapping[str, str] = {
    "wal_level": "replica",
    "max_wal_senders": "8",
    "max_replication_slots": "4",
    "wal_keep_size": "256MB",
    "hot_standby": "on",
    "hot_standby_feedback": "on",
    "synchronous_commit": "on",
}

# Statement preparation is off in forumapi (database_prepare), LISTEN and locks go past it (database_direct_url).
PGBOUNCER = """
[databases]
{name} = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 500
server_reset_query =
ignore_startup_parameters = extra_float_digits,options
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
admin_users = {user}
"""

NGINX = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log {folder}/error.log warn; {user}
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream forumapi {{ {servers} keepalive 32; }}
    server {{
        listen 127.0.0.1:{listen};
        location / {{
            proxy_pass http://forumapi; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Request-Id $request_id;
            proxy_connect_timeout 1s; proxy_next_upstream error timeout; client_max_body_size 100m;
        }}
    }}
}}
"""


class ClusterError(Exception):
    """Failure of a part to start; the message has its output."""


# Below what the system gives to those who ask for any port, and to connections.
_PORTS: Final = range(10_000, 15_000)


def free_port() -> int:
    """Return a loopback port on which nothing listens."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def program(name: str) -> str | None:
    """Return the path of a program; None if it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")


def _needed(name: str) -> str:
    found = program(name)
    if found is None:
        raise ClusterError(f"{name} is not installed")
    return found


@contextlib.contextmanager
def process(
    command: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    as_nobody: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with its output in `log`; at the end of the with statement it is sent SIGTERM, then killed."""
    nobody = pwd.getpwnam("nobody") if as_nobody and os.geteuid() == 0 else None
    with log.open("ab") as out:
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(env) if env is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            user=nobody.pw_uid if nobody else None,
            group=nobody.pw_gid if nobody else None,
            extra_groups=[] if nobody else None,
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()


def wait_for_port(port: int, of: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process listens on the port. Raises ClusterError, with the end of the log, after READY_S or if `of`
    ends first.
    """
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and of.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise ClusterError(f"nothing listens on {port}: {log.read_text(errors='replace')[-2000:]}")


# ---------------------------------------------------------------- PostgreSQL


class Pair(NamedTuple):
    """Primary, and the standby that replays its log."""

    primary: embedded_postgres.Server
    standby: embedded_postgres.Server

    @property
    def url(self) -> str:
        """Return the libpq address of both, by which a client finds the one that accepts writes."""
        hosts = f"{self.primary.socket_dir},{self.standby.socket_dir}"
        return (
            f"postgresql://{embedded_postgres.USER}@/{embedded_postgres.DATABASE}?host={hosts}&port=5432,5432"
            "&target_session_attrs=read-write&connect_timeout=2"
        )

    def promote(self) -> None:
        """Make the standby accept writes."""
        with psycopg.connect(self.standby.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 30)")


@contextlib.contextmanager
def postgres_pair(folder: Path, *, throwaway: bool = False) -> Iterator[Pair]:
    """Run both; a commit is acknowledged once both have it. `folder` must be one that the user `nobody` can enter.

    `throwaway`: no commit waits for a disk, only for the processes.
    """
    primary = embedded_postgres.start(
        folder / "primary", settings=REPLICATION, max_connections=150, throwaway=throwaway
    )
    try:
        with standby_of(primary, folder / "standby", "standby", throwaway=throwaway) as standby:
            with psycopg.connect(primary.url, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
                connection.execute("SELECT pg_reload_conf()")
            yield Pair(primary, standby)
    finally:
        primary.stop()


@contextlib.contextmanager
def standby_of(
    primary: embedded_postgres.Server, folder: Path, name: str, *, throwaway: bool = False
) -> Iterator[embedded_postgres.Server]:
    """Run a standby called `name`, copied from a running primary."""
    base = folder / "postgres"
    base.parent.mkdir(mode=0o755, exist_ok=True)
    copied = subprocess.run(
        [
            str(embedded_postgres.binaries() / "pg_basebackup"),
            *("-d", primary.url, "-D", str(base), "--checkpoint=fast", "--wal-method=stream"),
            *(["--no-sync"] if throwaway else []),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if copied.returncode:
        raise ClusterError(copied.stderr)
    (base / "standby.signal").touch()
    give_to_server(base.parent)
    server = start_standby(primary, folder, name, throwaway=throwaway)
    try:
        yield server
    finally:
        server.stop()


def start_standby(
    primary: embedded_postgres.Server,
    folder: Path,
    name: str,
    *,
    throwaway: bool = False,
    socket_dir: Path | None = None,
) -> embedded_postgres.Server:
    """Start the standby whose data was copied into `folder`."""
    source = (
        f"host={primary.socket_dir} port=5432 user={embedded_postgres.USER} application_name={name}"
    )
    return embedded_postgres.start(
        folder,
        settings={**REPLICATION, "primary_conninfo": source},
        max_connections=150,
        throwaway=throwaway,
        socket_dir=socket_dir,
    )


def give_to_server(folder: Path) -> None:
    """Make a folder belong to the user that PostgreSQL runs as."""
    account = embedded_postgres.server_account()
    if account is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


@contextlib.contextmanager
def pgbouncer(url: str, folder: Path, *, pool: int = 5) -> Iterator[str]:
    """Run a PgBouncer in transaction mode before the database `url` on a Unix socket; yield its address."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    name, listen = parts.path.lstrip("/"), free_port()
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    config = folder / "pgbouncer.ini"
    config.write_text(
        PGBOUNCER.format(
            name=name,
            host=query["host"][0],
            port=query.get("port", ["5432"])[0],
            user=parts.username,
            listen=listen,
            pool=pool,
            folder=folder,
        )
    )
    log = folder / "output.log"
    with process([_needed("pgbouncer"), str(config)], log, as_nobody=True) as running:
        wait_for_port(listen, running, log)
        yield f"postgresql://{parts.username}@127.0.0.1:{listen}/{name}"


# ---------------------------------------------------------------- memcached, nodes, nginx


@contextlib.contextmanager
def memcached(folder: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a memcached on `port` (0: a free one); yield its address and process."""
    port = port or free_port()
    command = [_needed("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64"]
    log = folder / f"memcached-{port}.log"
    with process(command, log, as_nobody=True) as running:
        wait_for_port(port, running, log)
        yield f"127.0.0.1:{port}", running


@contextlib.contextmanager
def node(
    folder: Path, settings: Mapping[str, str], command: str = "serve"
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a web node, or by `command` a cron process, with these settings; yield its port and process."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    given = {"listen": f"127.0.0.1:{port}", "data_dir": str(folder), "workers": "1", **settings}
    env = (
        kept
        | embedded_environ()
        | {f"FORUMAPI_{name.upper()}": value for name, value in given.items()}
    )
    log = folder / f"{command}.log"
    with process([sys.executable, "-m", "forumapi", command], log, env=env) as running:
        if command == "serve":
            wait_for_port(port, running, log)
        yield port, running


@contextlib.contextmanager
def nginx(folder: Path, nodes: Sequence[int], *, listen: int = 0) -> Iterator[int]:
    """Run an nginx before the web nodes; yield its port. A node that does not answer is left out for two seconds."""
    listen = listen or free_port()
    folder.mkdir(exist_ok=True)
    servers = " ".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in nodes)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, user=user, servers=servers, listen=listen))
    log = folder / "output.log"
    command = [_needed("nginx"), "-p", str(folder), "-c", str(config)]
    with process(command, log) as running:
        wait_for_port(listen, running, log)
        yield listen


# ---------------------------------------------------------------- everything


def main() -> int:
    """Start everything, print the addresses, and wait for Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--listen", type=int, default=8088, help="nginx's port")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="forumapi-cluster-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        try:
            with contextlib.ExitStack() as stack:
                run(folder, args.listen, stack)
                signal.pause()
        except KeyboardInterrupt:
            print("stopping")
        except (ClusterError, embedded_postgres.EmbeddedError) as error:
            print(f"cluster: {error}", file=sys.stderr)
            return 1
    return 0


def run(folder: Path, listen: int, stack: contextlib.ExitStack) -> Pair:
    """Start the parts, each after those that it needs; return the database servers."""
    print("PostgreSQL: a primary and a synchronous standby, which is read from", flush=True)
    pair = stack.enter_context(postgres_pair(folder))
    migrations.migrate(pair.url)
    pooled = stack.enter_context(pgbouncer(pair.primary.url, folder / "pgbouncer", pool=10))
    print(f"PgBouncer:  {pooled}")
    ring = ",".join(stack.enter_context(memcached(folder))[0] for _ in range(3))
    print(f"memcached:  {ring}")
    settings = {
        "database_url": pooled,
        "database_direct_url": pair.url,
        "database_replica_url": pair.standby.url,
        "database_prepare": "false",
        "memcached": ring,
        "trusted_proxies": "127.0.0.1",
        "files_path": str(folder / "files"),
        "public_port": str(listen),
    }
    ports = [stack.enter_context(node(folder / f"node{n}", settings))[0] for n in (1, 2)]
    stack.enter_context(node(folder / "cron", settings, "cron"))
    stack.enter_context(nginx(folder / "nginx", ports, listen=listen))
    print(f"web nodes:  {', '.join(f'127.0.0.1:{port}' for port in ports)}")
    seed(folder, settings)
    print(
        f"nginx:      http://bikes.localhost:{listen}/api/v1/microcosms\nCtrl-C ends it.",
        flush=True,
    )
    return pair


def seed(folder: Path, settings: Mapping[str, str]) -> None:
    """Load the small data set, and make a site to look at."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    env = kept | {f"FORUMAPI_{name.upper()}": value for name, value in settings.items()}
    env["FORUMAPI_DATA_DIR"] = str(folder / "node1")
    command = [sys.executable, "-m", "forumapi", "site", "create", "bikes", "--title", "Bikes"]
    subprocess.run([*command, "--owner", "owner@bikes.test"], cwd=ROOT, env=env, check=True)


if __name__ == "__main__":
    sys.exit(main())
