"""The web process from outside: reload, stop, limits, what it refuses."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from forumapi import config
from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.server.worker import _last_answer
from forumapi.wire.status_and_base_headers import NO_CACHE
from tests import services
from tests.fixtures import PROJECT, Server, start_server
from tests.schema_check import ALWAYS
from tests.services import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings file of the server of this module."""
    path = tmp_path_factory.mktemp("settings") / "forumapi.toml"
    path.write_text("request_body_limit = 2000\nheader_limit = 2048\nkeepalive_s = 20\n")
    return path


@pytest.fixture(scope="module")
def web(database_url: str, file: Path, tmp_path_factory: pytest.TempPathFactory):
    """A web process with a settings file of its own and two workers."""
    folder = tmp_path_factory.mktemp("worker")
    started = start_server(
        database_url, folder, config=str(file), workers="2", log_level="info", access_log="true"
    )
    yield started
    started.stop()


def raw(web: Server, request: bytes) -> tuple[int, dict[str, object]]:
    """Status and envelope of the answer to raw bytes."""
    with socket.create_connection(web.address, timeout=10) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())


def get(web: Server, path: str = "/api/v1/site") -> int:
    connection = http.client.HTTPConnection(*web.address)
    connection.request("GET", path, headers={"Host": "forum.test"})
    return connection.getresponse().status


def wait_for(web: Server, text: str, count: int = 1, log: int = 0) -> None:
    """Until the log says it, after its first `log` characters."""
    deadline = time.monotonic() + 30
    while web.log.read_text()[log:].count(text) < count:
        assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{web.log.read_text()}"
        time.sleep(0.05)


class Load:
    """Some clients that ask one thing after the other while this lasts."""

    def __init__(self, web: Server, clients: int = 4) -> None:
        self._web = web
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        self.failures: list[str] = []
        self.answered = 0

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._web.address, timeout=20)
        while not self._ends.is_set():
            try:
                connection.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
                answer = connection.getresponse()
                answer.read()
                self.answered += 1
                if answer.status != 200:
                    self.failures.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            self._ends.wait(0.01)
        connection.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(20)


HEAD = b"GET /api/v1/site HTTP/1.1\r\nHost: forum.test\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n", 414),
        (HEAD + b"X-Long: " + b"x" * 3000 + b"\r\n\r\n", 431),
        (HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(150)) + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (HEAD + b"Bad Name: 1\r\n\r\n", 400),
        (HEAD + b"Host: forum.test\r\n\r\n", 400),
    ],
    ids=[
        "line",
        "header",
        "headers",
        "nonsense",
        "lengths",
        "smuggling",
        "coding",
        "name",
        "hosts",
    ],
)
def test_what_the_parser_refuses_is_said_in_the_envelope(web, request_bytes, status):
    found, envelope = raw(web, request_bytes)

    assert found == status == envelope["status"]
    assert list(envelope) == ["context", "status", "data", "error"]
    assert envelope["error"]


def test_a_fault_of_a_connection_has_a_last_answer():
    head, _, body = _last_answer("500 Internal Server Error", "Internal error").partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 500 ")
    assert json.loads(body)["data"]["code"] == "internal_error"


def test_what_the_parser_refuses_can_be_read_by_a_page(web):
    with socket.create_connection(web.address, timeout=20) as connection:
        connection.sendall(HEAD + b"Bad Name: 1\r\n\r\n")
        head = connection.recv(65536).partition(b"\r\n\r\n")[0]

    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert {name: value.lower() for name, value in ALWAYS.items()}.items() <= headers.items()
    assert headers["cache-control"] == NO_CACHE


POST = b"POST /api/v1/sites HTTP/1.1\r\nHost: forum.test\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
# Each is sent whole; after the last two the client ends its side of the connection.
MALFORMED = {
    "size": (b"xyz\r\n{}\r\n0\r\n\r\n", False),
    "no size": (b"\r\n{}\r\n0\r\n\r\n", False),
    "negative": (b"-2\r\n{}\r\n0\r\n\r\n", False),
    "endless size": (b"2" * 5000, False),
    "extension": (b'2;a="\r\n{}\r\n0\r\n\r\n', False),
    "bare CR": (b"2;a\rb\r\n{}\r\n0\r\n\r\n", False),
    "terminator": (b"2\r\n{}xx0\r\n\r\n", False),
    "trailer name": (b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", False),
    "trailer line end": (b"2\r\n{}\r\n0\r\nX: 1\nY: 2\r\n", False),
    "endless trailer": (b"2\r\n{}\r\n0\r\n" + b"X: 1\r\n" * 50_000, False),
    "cut chunk": (b"9\r\n{}", True),
    "cut trailer": (b"2\r\n{}\r\n0\r\n", True),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_chunked_body_is_the_senders_fault_and_ends_the_connection(web, kind):
    body, ends = MALFORMED[kind]
    log = len(web.log.read_text())

    with socket.create_connection(web.address, timeout=10) as connection:
        connection.sendall(CHUNKED + body)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        envelope = json.loads(answer.read())
        rest = _until_closed(connection)

    assert (answer.status, envelope["data"]["errorCode"]) == (400, 2)
    assert answer.headers["Connection"] == "close"
    assert rest == b""
    assert "Traceback" not in web.log.read_text()[log:]


def test_a_malformed_body_that_nobody_reads_ends_the_connection_without_another_answer(web):
    with socket.create_connection(web.address, timeout=10) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + HEAD + b"\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        rest = _until_closed(connection)

    assert (answer.status, rest) == (200, b"")


def test_a_connection_that_is_reset_within_a_body_leaves_no_traceback(web):
    log = len(web.log.read_text())
    with socket.create_connection(web.address, timeout=10) as connection:
        connection.sendall(POST + b"Content-Length: 500\r\n\r\n{")
        # A close without lingering is a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for(web, "POST /api/v1/sites 400 ", log=log)

    assert "Traceback" not in web.log.read_text()[log:]


def _until_closed(connection: socket.socket) -> bytes:
    """The rest of what the server sends; a reset, for what it did not read, is an end too."""
    found = b""
    try:
        while data := connection.recv(4096):
            found += data
    except ConnectionResetError:
        pass
    return found


def test_the_access_log_has_a_line_a_request_without_ids_or_query(web):
    get(web, "/api/v1/sites/123456?access_token=hunter2")
    wait_for(web, "GET /api/v1/sites/{id} ")

    log = web.log.read_text()
    assert "hunter2" not in log
    assert "123456" not in log
    assert "ip=..0.1" in log


def test_sighup_applies_settings_in_every_worker_without_closing_a_connection(web, file):
    kept = http.client.HTTPConnection(*web.address)
    kept.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
    kept.getresponse().read()
    workers = _workers(web)
    file.write_text(file.read_text() + "guest_cache_seconds = 77\nprivate_listen = '[::1]:9'\n")

    os.kill(web.pid, signal.SIGHUP)

    wait_for(web, "settings reloaded: guest_cache_seconds")
    wait_for(web, "these wait for a restart: admin_listen")
    deadline = time.monotonic() + 60
    seen: list[str | None] = []
    while seen[-8:] != ["public, max-age=77"] * 8 and time.monotonic() < deadline:
        seen.append(_cache_control(web))
    assert seen[-8:] == ["public, max-age=77"] * 8
    kept.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
    assert kept.getresponse().status == 200
    assert _workers(web) == workers


@pytest.mark.wide
def test_sighup_replaces_the_workers_where_a_setting_needs_it_and_loses_no_request(web, file):
    workers = _workers(web)
    with Load(web) as load:
        file.write_text(file.read_text() + "memory_cache_mb = 9\nworkers = 3\n")
        os.kill(web.pid, signal.SIGHUP)
        wait_for(web, "settings reloaded, with new workers: memory_cache_mb")
        deadline = time.monotonic() + 30
        while set(_workers(web)) & set(workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    assert load.failures == [], web.log.read_text()
    assert load.answered > 20
    # How many there are comes from the environment here, which goes before the file.
    assert len(_workers(web)) == 2


@pytest.mark.wide
def test_new_workers_that_do_not_start_leave_the_old_ones_at_work(database_url, tmp_path):
    file = tmp_path / "forumapi.toml"
    port = free_port()
    file.write_text(
        f"listen = '127.0.0.1:{port}'\ndata_dir = '{tmp_path}'\nworkers = 1\n"
        f"platform_domain = 'forum.test'\ndatabase_url = '{database_url}'\n"
        "rate_limit_address_per_minute = 0\n"
        "crawl_budget_per_minute = 0\n"
    )
    log = tmp_path / "web.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "forumapi", "--config", str(file), "serve"],
            cwd=PROJECT,
            env=kept,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
    web = Server(process, ("127.0.0.1", port), log)
    try:
        wait_for(web, "files are kept")
        workers = _workers(web)
        with Load(web) as load:
            good = file.read_text()
            file.write_text(good.replace(database_url, "postgresql://nobody@127.0.0.1:1/none"))
            os.kill(web.pid, signal.SIGHUP)
            wait_for(web, "the old ones stay: no worker starts with the new database_url")
            file.write_text(good + "token_days = 7\n")
            os.kill(web.pid, signal.SIGHUP)
            wait_for(web, "settings reloaded: token_days")
        assert load.failures == [], log.read_text()
        assert workers[0] in _workers(web)
        assert len(_workers(web)) == 1
    finally:
        web.stop()
    assert process.returncode == 0


def test_a_bad_file_is_refused_and_everything_goes_on(web, file):
    before = file.read_text()
    file.write_text("guest_cache_seconds = 'x'\n")

    os.kill(web.pid, signal.SIGHUP)

    wait_for(web, "settings not reloaded, the old ones stay")
    assert get(web) == 200
    file.write_text(before)


def test_a_killed_worker_is_replaced(web):
    first = _workers(web)
    os.kill(first[0], signal.SIGKILL)

    deadline = time.monotonic() + 60
    while len(_workers(web)) < 2 or first[0] in _workers(web):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert get(web) == 200


@pytest.mark.wide
def test_clients_that_connect_while_nothing_happens_are_shared_by_the_workers(web):
    # One that was started a moment ago does not serve yet.
    services.wait_until(lambda: len(_shares(web, 2)) == 2, "two clients, one worker", limit_s=60)

    shares = _shares(web, 40)

    assert set(shares) == set(_workers(web))
    assert min(shares.values()) >= 15, shares


@pytest.mark.wide
def test_a_worker_that_stands_still_with_few_connections_keeps_nobody_waiting(web):
    kept = http.client.HTTPConnection(*web.address)
    kept.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
    kept.getresponse().read()
    busy = _who_has(web, kept)
    (still,) = set(_workers(web)) - {busy}
    os.kill(still, signal.SIGSTOP)
    try:
        answers = [get(web) for _ in range(20)]
    finally:
        os.kill(still, signal.SIGCONT)

    assert answers == [200] * 20
    kept.close()


@pytest.mark.wide
def test_a_stop_under_load_loses_no_request(database_url, tmp_path):
    web = start_server(database_url, tmp_path, workers="2")
    failures: list[str] = []
    answered = [0]
    stopping = threading.Event()

    def client() -> None:
        connection = http.client.HTTPConnection(*web.address)
        while True:
            is_new = connection.sock is None
            try:
                connection.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
                answer = connection.getresponse()
                answer.read()
                answered[0] += 1
                if answer.status != 200:
                    failures.append(str(answer.status))
            except (ConnectionError, http.client.HTTPException) as error:
                # A new connection may have waited in the backlog, or come too late; one that was
                # kept alive has been told of its end, so it never loses a request.
                if not stopping.is_set() or not is_new:
                    failures.append(repr(error))
                return

    clients = [threading.Thread(target=client) for _ in range(6)]
    for one in clients:
        one.start()
    deadline = time.monotonic() + 60
    while answered[0] <= 50:
        assert time.monotonic() < deadline, web.log.read_text()
        time.sleep(0.01)
    stopping.set()
    started = time.monotonic()
    web.process.send_signal(signal.SIGTERM)
    for one in clients:
        one.join(20)
    web.process.wait(20)

    assert failures == [], web.log.read_text()
    # Nobody was waited for to the last: that would be 20 s, `graceful_stop_s`.
    assert time.monotonic() - started < 20
    assert web.process.returncode == 0


@pytest.mark.wide
def test_idle_connections_do_not_hold_up_a_stop(database_url, tmp_path):
    web = start_server(database_url, tmp_path)
    idle = [http.client.HTTPConnection(*web.address) for _ in range(3)]
    for connection in idle:
        connection.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
        connection.getresponse().read()

    started = time.monotonic()
    web.stop()

    assert time.monotonic() - started < 20
    # Nothing but their end: an answer that nobody asked for would be taken for that to the next request.
    assert [connection.sock.recv(100) for connection in idle] == [b""] * 3
    assert "a connection failed" not in web.log.read_text()


@pytest.mark.wide
def test_workers_end_when_their_master_is_killed(database_url, tmp_path):
    web = start_server(database_url, tmp_path)
    workers = _workers(web)
    os.kill(web.pid, signal.SIGKILL)
    web.process.wait()

    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.wide
def test_psycopg_imported_too_early_is_refused():
    code = (
        "import psycopg\n"
        "from gevent import monkey; monkey.patch_all()\n"
        "from forumapi.server import worker\n"
        "worker._check_waiting()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "every query would block its worker" in done.stderr


@pytest.mark.wide
def test_gunicorn_alone_reads_the_shipped_file(database_url, tmp_path):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FORUMAPI_")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            str(config.resource("etc/gunicorn.conf.py")),
            "--check-config",
        ],
        cwd=PROJECT,
        env=environ | {"FORUMAPI_DATABASE_URL": database_url, "FORUMAPI_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.wide
def test_what_a_worker_has_loaded_is_not_looked_through_for_garbage_again(tmp_path):
    (tmp_path / "told.py").write_text(
        """
import gc

def application(environ, start_response):
    body = b"%d %d" % (gc.get_freeze_count(), len(gc.get_objects()))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
    )
    port = free_port()
    shipped = str(config.resource("etc/gunicorn.conf.py"))
    command = [sys.executable, "-m", "gunicorn", "-c", shipped, "--bind", f"127.0.0.1:{port}"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FORUMAPI_")}
    process = subprocess.Popen(
        [*command, "--workers", "1", "told:application"],
        cwd=tmp_path,
        env=environ | {"FORUMAPI_DATA_DIR": str(tmp_path)},
    )
    try:
        frozen, watched = map(int, _first_answer(port).split())
    finally:
        process.terminate()
        process.wait()

    assert frozen > 5 * watched


def _first_answer(port: int) -> bytes:
    """Return what a server says that is being started."""
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finally:
            connection.close()


def _cache_control(web: Server) -> str | None:
    connection = http.client.HTTPConnection(*web.address)
    connection.request("GET", "/api/v1/site", headers={"Host": "forum.test"})
    return connection.getresponse().getheader("Cache-Control")


def _shares(web: Server, clients: int) -> Counter[int | None]:
    """Return how many of so many clients each worker has, who connect one after the other and ask nothing."""
    kept = [http.client.HTTPConnection(*web.address) for _ in range(clients)]
    shares: Counter[int | None] = Counter()
    for connection in kept:
        connection.connect()
        services.wait_until(partial(_is_taken, web, connection), "nobody came", limit_s=60)
        shares[_who_has(web, connection)] += 1
    for connection in kept:
        connection.close()
    return shares


def _is_taken(web: Server, connection: http.client.HTTPConnection) -> bool:
    return _who_has(web, connection) is not None


def _who_has(web: Server, connection: http.client.HTTPConnection) -> int | None:
    """The worker that has taken a client's connection; None while nobody has."""
    ends = tuple(f"{port:04X}" for port in (web.address[1], connection.sock.getsockname()[1]))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if (row[1][-4:], row[2][-4:]) == ends}
    for pid in _workers(web):
        if any(_leads_to(entry) in sockets for entry in Path(f"/proc/{pid}/fd").iterdir()):
            return pid
    return None


def _leads_to(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""  # closed meanwhile


def _workers(web: Server) -> list[int]:
    children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()
    return sorted(int(pid) for pid in children)
