"""Command `run`: starts and supervises PostgreSQL, web workers and the cron process, after migrations and the demo
sites.

A process that ends by itself is started again; if serve or cron does so 5 times within a minute, everything is stopped.
No process outlives this one, even if this one is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import psycopg

from forumapi import itemtypes
from forumapi.concurrency import signals
from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.config import Config, embedded_environ
from forumapi.database import embedded_postgres, migrations
from forumapi.server import health_client, listener_holder

DEMO_SITES: Final = ("bikes", "trains")
SHOWN_CAST: Final = ("owner", "moderator", "member")

READY_S: Final = 60.0
STOP_S: Final = 30.0
# A process that ended this often within that time is not started again.
MAX_ENDS: Final = 5
ENDS_WITHIN_S: Final = 60.0


class RunError(Exception):
    """Failure to start the platform or to keep it running; the message is for the operator, and names the log if a
    process failed.
    """


class Progress:
    """Printer of progress on standard output: each call prints a line, after the seconds since this object was made; on
    a terminal the line replaces the one before it if that one is a progress bar.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._is_terminal = sys.stdout.isatty()
        self._bar = False

    def __call__(self, text: str) -> None:
        """Print one line. A text with "[" and "/s" is a progress bar; without a terminal a bar is printed only
        once it is full.
        """
        is_bar = "[" in text and "/s" in text
        if is_bar and not self._is_terminal and not _is_full(text):
            return
        line = f"{time.monotonic() - self._started:6.1f} s  {text}"
        if self._is_terminal:
            start = "\r\x1b[K" if self._bar else ""
            print(start + line, end="" if is_bar else "\n", flush=True)
            self._bar = is_bar
        else:
            print(line, flush=True)

    def end(self) -> None:
        """End the line of a progress bar with a line feed, if one was printed."""
        if self._bar:
            print(flush=True)
            self._bar = False


def _is_full(text: str) -> bool:
    return "." not in text.partition("[")[2].partition("]")[0]


class Child:
    """Child process `forumapi <name>`, such as serve or cron, started at once; its output is appended to the file
    `log`. `environ`: the child's whole environment.
    """

    def __init__(self, name: str, log: Path, environ: dict[str, str]) -> None:
        self.name = name
        self.log = log
        self._environ = environ
        self._ends: deque[float] = deque(maxlen=MAX_ENDS)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                # -P: a folder called forumapi in the working folder is not the package.
                [sys.executable, "-P", "-m", "forumapi", self.name],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # Ctrl-C in a terminal reaches this process alone, which stops the others in their order.
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509
            )

    @property
    def is_running(self) -> bool:
        """Return True while the process runs."""
        return self.process.poll() is None

    def revive(self) -> bool:
        """Start the process again after it has ended, and return True; return False, without starting it, if it has
        ended 5 times within 60 seconds.
        """
        now = time.monotonic()
        self._ends.append(now)
        if len(self._ends) == MAX_ENDS and now - self._ends[0] < ENDS_WITHIN_S:
            return False
        self.process = self._start()
        return True

    def signal(self, sign: int) -> None:
        """Send the signal `sign` to the process, if it runs."""
        if self.is_running:
            self.process.send_signal(sign)

    def stop(self, timeout_s: float) -> None:
        """Wait until the process, which the caller has signalled to end, has ended; after `timeout_s` kill it and the
        rest of its process group (SIGKILL).
        """
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def last_words(self) -> str:
        """Return the last 3,000 characters of the file `log`, in which output of earlier processes may be too."""
        return self.log.read_text(errors="replace")[-3000:]


class Supervisor:
    """Supervisor of the processes of `forumapi run`: PostgreSQL, unless `database_url` is set, web process and cron
    process. `progress`: called with a line on each step.
    """

    def __init__(self, config: Config, progress: Progress) -> None:
        self.config = config
        self.progress = progress
        self.data = config.data_path
        self.url = config.database_url
        self.postgres: embedded_postgres.Server | None = None
        self.children: list[Child] = []
        self._asked = threading.Event()
        self._had_terminal = sys.stdout.isatty()

    def run(self) -> None:
        """Start PostgreSQL, web process and cron process, and start again what ends, until SIGINT or SIGTERM, or until
        the terminal is closed; then stop all. Another SIGHUP is passed on to web and cron process. Raises RunError,
        EmbeddedError, MigrateError.
        """
        for sign in (signal.SIGINT, signal.SIGTERM):
            signals.on(sign, self._asked.set)
        signals.on(signal.SIGHUP, self._hang_up)
        self.data.mkdir(parents=True, exist_ok=True)
        with _only_one(self.data):
            _check_port(self.config)
            try:
                self._start()
                if not self._asked.is_set():
                    self._wait_until_ready()
                    self.progress.end()
                    print(invitation(self.config, self.url), flush=True)
                    self._watch()
            finally:
                self._stop()

    # ------------------------------------------------------------ signals

    def _hang_up(self) -> None:
        if self._had_terminal and not _terminal_is_there():
            # The window was closed: that means stop, not reload.
            self._asked.set()
            return
        for child in self.children:
            child.signal(signal.SIGHUP)

    # ------------------------------------------------------------ start

    def _start(self) -> None:
        config = self.config
        if not config.database_url:
            self.progress("starting PostgreSQL")
            self.postgres = embedded_postgres.start(
                self.data, max_connections=_connections(config), progress=self.progress
            )
            self.url = self.postgres.url
        direct_url = config.direct_url or self.url
        migrations.migrate(direct_url, config, progress=self.progress)
        if not _has_sites(direct_url):
            from forumapi.command import seed

            self.progress("filling the demo sites")
            try:
                seed.demo(direct_url, config, self.progress)
            except seed.SeedError as error:
                raise RunError(str(error)) from None
            self.progress.end()
        if self._asked.is_set():
            return
        logs = self.data / "log"
        logs.mkdir(exist_ok=True)
        self.progress(f"starting {config.worker_count} web workers and the cron process")
        for name in ("serve", "cron"):
            log = logs / f"{name}.log"
            environ = dict(os.environ)
            if config.is_embedded:
                environ |= embedded_environ()
            environ["FORUMAPI_DATABASE_URL"] = self.url
            environ["FORUMAPI_DATA_DIR"] = str(self.data)
            self.children.append(Child(name, log, environ))

    def _wait_until_ready(self) -> None:
        self.progress("waiting for the first answer")
        key = _first_site(self.config.direct_url or self.url)
        host = f"{key}.{self.config.platform_domain}" if key else self.config.platform_domain
        deadline = time.monotonic() + READY_S
        status = 0
        while time.monotonic() < deadline and not self._asked.is_set():
            for child in self.children:
                if not child.is_running:
                    raise RunError(f"{child.name} ended: see {child.log}\n{child.last_words()}")
            status, _ = health_client.ask(self.config.listen, host, "/api/v1/site")
            if status == 200:
                self.progress("ready")
                return
            self._asked.wait(0.1)
        if not self._asked.is_set():
            raise RunError(
                f"GET http://{host}/api/v1/site answered {status} after {READY_S:.0f} s;"
                f" see {self.children[0].log}\n{self.children[0].last_words()}"
            )

    # ------------------------------------------------------------ stay and stop

    def _watch(self) -> None:
        while not self._asked.wait(0.25):
            if self.postgres is not None and not self.postgres.is_running:
                self.progress("PostgreSQL ended; starting it again")
                self.postgres = embedded_postgres.start(
                    self.data,
                    max_connections=_connections(self.config),
                    socket_dir=self.postgres.socket_dir,
                )
            for child in self.children:
                if child.is_running:
                    continue
                code = child.process.returncode
                if not child.revive():
                    raise RunError(
                        f"{child.name} ends again and again (code {code}): see {child.log}\n"
                        f"{child.last_words()}"
                    )
                self.progress(f"{child.name} ended with code {code}; started again")

    def _stop(self) -> None:
        self.progress.end()
        if self.children:
            self.progress("stopping")
        for child in self.children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for child in self.children:
            child.stop(max(0.1, deadline - time.monotonic()))
        if self.postgres is not None:
            self.postgres.stop()
        self.progress("stopped")


def run(config: Config, *, is_open: bool = False) -> None:
    """Run the whole platform until SIGINT or SIGTERM, or until its terminal is closed. Raises RunError, EmbeddedError,
    MigrateError.

    Settings without `environment` count as embedded. In embedded mode, where anybody signs in as anybody, settings that
    name an address which other machines can reach are a RunError, unless `is_open`.
    """
    if not config.environment:
        config = dataclasses.replace(config, environment="embedded")
    if config.is_embedded and not is_open:
        _check_loopback(config)
    Supervisor(config, Progress()).run()


def _terminal_is_there() -> bool:
    try:
        os.tcgetpgrp(1)
    except OSError:
        return False
    return True


def _connections(config: Config) -> int:
    return max(100, config.connections + embedded_postgres.SPARE_CONNECTIONS)


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Lock the data folder for the duration of the block. Raises RunError if another `forumapi run` holds the lock."""
    with (data / "run.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"forumapi runs on {data} already") from None
        yield


def is_loopback(listen: str) -> bool:
    """Return True if the address `listen` is a Unix socket or a loopback address, which other machines can't reach. A
    host name is looked up; False if the look-up fails, or if there is none, as in `:8080`.
    """
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        found = socket.getaddrinfo(host, None) if host else []
    except OSError:
        found = []
    return bool(found) and all(ip_address(one[4][0]).is_loopback for one in found)


def _check_loopback(config: Config) -> None:
    """Check that `listen` and `admin_listen` are empty or reachable from this machine only.

    Raises RunError for an address that other machines can reach.
    """
    for name in ("listen", "admin_listen"):
        address = getattr(config, name)
        if address and not is_loopback(address):
            raise RunError(
                f"{name}: in the embedded mode anybody signs in as anybody, and others can reach {address};"
                " if you want that, say it a second time: forumapi run --open-to-others"
            )


def _check_port(config: Config) -> None:
    """Check that the addresses `listen` and `admin_listen` can be bound; of a Unix socket, that its folder is there.
    Raises RunError.
    """
    try:
        listener_holder.check_free(config)
    except listener_holder.HoldError as error:
        raise RunError(
            f"{error}; choose another address: FORUMAPI_LISTEN=127.0.0.1:8081 make run"
        ) from None


def _has_sites(url: str) -> bool:
    return bool(_first_site(url))


def _first_site(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT subdomain_key FROM sites WHERE site_id <> 1 AND NOT is_deleted ORDER BY site_id LIMIT 1"
        ).fetchone()
    return row[0] if row else ""


# ---------------------------------------------------------------- what is shown when it runs


@dataclass(frozen=True, slots=True)
class _Person:
    key: str
    role: str
    user_id: int


def invitation(config: Config, url: str) -> str:
    """Return the text that is printed once the platform answers: addresses and, in the embedded mode, access tokens of
    the demo users, made if they are missing, and a curl command that posts a comment with such a token. `url`: the
    database's.
    """
    lines = ["", "forumapi is running. Ctrl-C stops it.", ""]
    with psycopg.connect(url) as connection:
        sites = connection.execute(
            "SELECT subdomain_key, title FROM sites WHERE site_id <> 1 AND NOT is_deleted ORDER BY site_id LIMIT 20"
        ).fetchall()
        cast = _cast(connection)
        target = connection.execute(
            f"""
            SELECT i.item_id
              FROM items i
              JOIN sites s ON s.site_id = i.site_id
              JOIN microcosms m ON m.site_id = i.site_id AND m.microcosm_id = i.microcosm_id
             WHERE s.subdomain_key = %s AND i.item_type_id = {itemtypes.CONVERSATION} AND NOT i.is_deleted
                 AND NOT i.is_moderated
               AND i.is_open AND m.visibility = 'public' AND NOT m.is_deleted
               AND NOT EXISTS (SELECT 1 FROM roles r
                                WHERE r.site_id = m.site_id AND r.microcosm_id = m.microcosm_id)
             ORDER BY i.item_id LIMIT 1
            """,
            [DEMO_SITES[0]],
        ).fetchone()
    if sites and config.webclient:
        # The first thing that one reads, and for most the only one that they need.
        lines[1:1] = [f"  {_site_url(config, sites[0][0])}/", ""]
        if config.is_embedded and sites[0][0] in DEMO_SITES:
            lines.insert(-1, f"Sign in there as member@{sites[0][0]}.test, without a code.")
    for key, title in sites:
        path = "/" if config.webclient else "/api/v1/microcosms"
        lines.append(f"  {title + ':':24} {_site_url(config, key)}{path}")
    if sites:
        lines.append(f"  {'API reference:':24} {_site_url(config, sites[0][0])}/api/v1/docs")
    if config.is_embedded:
        lines.append(
            f"  {'A conversation, live:':24} {config.scheme}://{config.platform_domain}{config.port_suffix}/live"
        )
    if sites and not config.listen.startswith("unix:"):
        host, port = health_client.address(config.listen)
        key = f"{sites[0][0]}.{config.platform_domain}"
        lines.append(f"  {'Where that is not known:':24} curl --resolve {key}:{port}:{host} …")
        lines.append(f"  {'':24} or http://{host}:{port} with the header 'Host: {key}'")
    lines.append(f"  {'Logs, data:':24} {config.data_path}")
    if config.is_embedded and not config.smtp_url:
        # Made now, so that the folder exists before the first mail.
        config.mailbox_path.mkdir(parents=True, exist_ok=True)
        lines.append(f"  {'Mail (sign-in codes):':24} {config.mailbox_path}")
    tokens = _tokens(config, url, cast)
    if tokens:
        lines += ["", "Tokens:"]
        lines += [f"  {name:24} {secret}" for name, secret in tokens.items()]
    if target is not None and f"member@{DEMO_SITES[0]}.test" in tokens:
        secret = tokens[f"member@{DEMO_SITES[0]}.test"]
        body = json.dumps(
            {"itemType": "conversation", "itemId": target[0], "markdown": "Hello, **bikes**!"}
        )
        lines += [
            "",
            "Post a comment:",
            f"  curl -sSL {_site_url(config, DEMO_SITES[0])}/api/v1/comments \\",
            f"    -H 'Authorization: Bearer {secret}' \\",
            f"    -H 'Content-Type: application/json' -d '{body}'",
        ]
    return "\n".join(lines) + "\n"


def _site_url(config: Config, key: str) -> str:
    port = (
        "" if config.listen.startswith("unix:") else f":{health_client.address(config.listen)[1]}"
    )
    return f"http://{key}.{config.platform_domain}{port}"


def _cast(connection: psycopg.Connection) -> list[_Person]:
    """Return owner, moderator and member (SHOWN_CAST) of each demo site, site after site; people who do not exist or
    have no profile there are left out.
    """
    emails = {f"{role}@{key}.test": (key, role) for key in DEMO_SITES for role in SHOWN_CAST}
    rows = connection.execute(
        """
        SELECT u.email, u.user_id
          FROM users u
          JOIN profiles p ON p.user_id = u.user_id
          JOIN sites s ON s.site_id = p.site_id
         WHERE u.email = ANY(%s) AND s.subdomain_key = split_part(split_part(u.email, '@', 2), '.', 1)
        """,
        [list(emails)],
    ).fetchall()
    found = {email: _Person(*emails[email], user_id) for email, user_id in rows}
    return [found[email] for email in emails if email in found]


def _tokens(config: Config, url: str, cast: list[_Person]) -> dict[str, str]:
    """Return an access token by e-mail address for each of the people in `cast`; {} outside of the embedded mode.
    `url`: the database's. The tokens are stored in the data folder too (`demo-tokens.json`) and reused at each start; a
    token that expires within a day is replaced by a new one.
    """
    from forumapi.database.connections import Database
    from forumapi.models.access.access_token import AccessToken
    from forumapi.models.access.identity import token_hash

    if not config.is_embedded:
        return {}
    path = config.data_path / "demo-tokens.json"
    try:
        kept: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        kept = {}
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT token_hash FROM access_tokens WHERE token_hash = ANY(%s) AND expires > now() + interval '1 day'",
            [[token_hash(secret) for secret in kept.values()]],
        ).fetchall()
    good = {row[0] for row in rows}
    tokens: dict[str, str] = {}
    database = Database(url, size=1)
    try:
        with database.write() as tx:
            for person in cast:
                email = f"{person.role}@{person.key}.test"
                secret = kept.get(email, "")
                if token_hash(secret) not in good:
                    secret = AccessToken.insert_session(
                        tx, person.user_id, days=config.token_days, name="forumapi run"
                    )
                tokens[email] = secret
    finally:
        database.close()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(tokens, handle, indent=1)
    return tokens
