"""A web process is replaced without a failed request, and only by one that works."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.config import Config
from tests import services
from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN
from tests.nginx.stage import nginx
from tests.realtime.listener import Listener
from tests.services import free_port
from tests.upgrade.releases import release, switch
from tests.upgrade.stage import (
    Held,
    Load,
    OverTls,
    answers,
    children,
    environment,
    held,
    plain,
    until,
)

pytestmark = pytest.mark.slow

# Its workers can't start while a file is there, and while another one is they end as soon as they serve; politely, or a
# request under way would end with one.
FICKLE = """import os as _os, signal as _signal, threading as _threading, time as _time
def _is_there(name):
    return _os.path.exists(_os.path.join(_os.environ["FORUMAPI_DATA_DIR"], name))
def _crash():
    while not _is_there("crash"):
        _time.sleep(0.05)
    _os.kill(_os.getpid(), _signal.SIGTERM)
if _is_there("broken"):
    raise RuntimeError("can't start")
_threading.Thread(target=_crash, daemon=True).start()"""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    return {
        "first": release(folder, "first"),
        "second": release(folder, "second"),
        "broken": release(folder, "broken", {"wsgi.py": "raise RuntimeError('broken')"}),
        "fickle": release(folder, "fickle", {"wsgi.py": FICKLE}),
    }


@pytest.fixture(scope="module")
def node(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, releases: dict[str, Path]
) -> Iterator[Held]:
    """A machine; each test leaves it with one of the two good releases and in service, the last one dead."""
    with held(database_url, tmp_path_factory.mktemp("node"), releases["first"]) as running:
        yield running


def other(build: str) -> str:
    """The good release that does not run now."""
    return "second" if build == "first" else "first"


# Six clients who pause so briefly keep a core busy: `make test` asks less often.
@pytest.mark.wide
@pytest.mark.parametrize("pause_s", [0.1, pytest.param(0.02, marks=pytest.mark.wide)])
def test_reload_upgrade_and_failed_upgrades_under_load_fail_no_request(
    node: Held, releases: dict[str, Path], tmp_path: Path, pause_s: float
) -> None:
    program = services.nginx_program()
    if program is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path / "nginx"
    folder.mkdir()
    changes = {
        "rate=50r/s": "rate=100000r/s",
        "proxy_next_upstream error timeout;\nproxy_next_upstream_tries 2;": "proxy_next_upstream off;",
    }
    load = Load(pause_s)
    before = node.build()
    web = ("127.0.0.1", node.port)
    with nginx(program, folder, web, files=tmp_path, changes=changes) as front:
        for n in range(2):
            load.start(f"nginx kept {n}", lambda: OverTls(front), keeps=True)
            load.start(f"web kept {n}", lambda: plain(node.port), keeps=True)
        load.start("nginx fresh", lambda: OverTls(front), keeps=False)
        load.start("web fresh", lambda: plain(node.port), keeps=False)
        try:
            node.process.send_signal(signal.SIGHUP)
            until(lambda: "settings reloaded" in node.text, node)

            switch(node.current, releases["broken"])
            refused = node.node("replace")
            assert (refused.returncode, "ended with code" in refused.stderr) == (1, True)
            assert node.build() == before

            node.settings("release_trial_s = 60")
            switch(node.current, releases["fickle"])
            with node.replacing() as replacing:
                until(lambda: "is on trial for 60 s" in node.text, node)
                with crashing(node):
                    assert replacing.wait(60) == 1, node.text
            assert "its workers crash" in node.text
            assert node.build() == before

            node.settings("release_trial_s = 1")
            switch(node.current, releases[other(before)])
            assert node.node("replace").returncode == 0, node.text
            assert node.build() == other(before)
        finally:
            load.end()

    assert load.failures == []
    assert len(load.answered) == 6
    assert min(load.answered.values()) > 20


@contextlib.contextmanager
def crashing(node: Held) -> Iterator[None]:
    """While this lasts, workers of the fickle release end as soon as they serve."""
    mark = node.folder / "var" / "crash"
    mark.touch()
    try:
        yield
    finally:
        mark.unlink()


@pytest.mark.wide
def test_a_release_that_crashes_again_and_again_once_it_has_taken_over_is_rolled_back(
    node: Held, releases: dict[str, Path]
) -> None:
    before = node.build()
    switch(node.current, releases["fickle"])
    assert node.node("replace").returncode == 0, node.text
    assert node.build() == "fickle"
    with crashing(node):
        until(lambda: f"rolled back to {releases[before].resolve()}" in node.text, node)

    assert node.build() == before
    switch(node.current, releases[before])


@pytest.mark.wide
def test_two_releases_side_by_side_take_no_more_connections_than_doctor_counts(
    postgres_url: str, tmp_path: Path, releases: dict[str, Path]
) -> None:
    few = Config(workers=2, database_connections=2)
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    found: list[int] = []

    def ask(n: int) -> None:
        connection = plain(node.port)
        with contextlib.suppress(OSError, http.client.HTTPException):
            # Each is looked for by itself.
            connection.request("GET", "/api/v1/site", headers={"Host": f"n{n}.{PLATFORM_DOMAIN}"})
            connection.getresponse().read()

    def is_full() -> bool:
        for (taken,) in watching.execute(count):
            found.append(taken - 2)
        # Of both releases: those for requests, and the one for events.
        return max(found) >= 2 * few.workers * (few.database_connections + 1)

    with (
        services.database(postgres_url, "fits") as url,
        held(url, tmp_path, releases["first"], database_connections="2") as node,
        services.connect(url) as watching,
        psycopg.connect(url) as locking,
        ThreadPoolExecutor(48) as pool,
    ):
        node.settings("release_trial_s = 60")
        switch(node.current, releases["second"])
        node.process.send_signal(signal.SIGUSR2)
        until(lambda: node.build() == "second", node)
        # Whoever comes now waits, with a connection.
        locking.execute("LOCK TABLE sites")
        pool.map(ask, range(48))
        until(is_full, node)
        locking.rollback()

    assert max(found) <= few.connections


@pytest.mark.wide
def test_a_program_that_is_not_there_is_refused(node: Held) -> None:
    before = node.build()
    there = node.current.readlink()
    node.current.unlink()
    refused = subprocess.run(
        [there, "node", "replace"], env=node.environ, capture_output=True, text=True
    )
    node.current.symlink_to(there)

    assert (refused.returncode, "No such file" in refused.stderr) == (1, True), refused.stderr
    assert node.build() == before


@pytest.mark.wide
def test_a_silent_connection_outlives_the_process_it_leads_to(
    node: Held, releases: dict[str, Path]
) -> None:
    connection = plain(node.port)
    connection.request("GET", "/api/v1/version")
    connection.getresponse().read()
    old = node.web()[-1]
    before = node.build()
    taken = node.text.count("another web process has taken over")
    switch(node.current, releases[other(before)])
    assert node.node("replace").returncode == 0, node.text
    until(lambda: node.text.count("another web process has taken over") > taken, node)
    assert old in node.web()

    connection.request("GET", "/api/v1/version")
    answer = connection.getresponse()

    said = f'"{before}"'.encode()
    assert (said in answer.read(), answer.headers["Connection"]) == (True, "close")
    until(lambda: old not in node.web(), node)
    assert node.build() == other(before)


@pytest.mark.wide
def test_one_holds_and_says_where_it_is(node: Held) -> None:
    other = subprocess.run([node.current, "hold"], env=node.environ, capture_output=True, text=True)

    assert other.returncode == 1
    assert "another `forumapi hold` runs" in other.stderr
    build = node.build()
    assert node.node("check", "--build", build).returncode == 0
    assert f"it is of build {build}" in node.node("check", "--build", "next").stderr


@pytest.mark.wide
def test_out_of_service_means_not_ready_and_still_served(node: Held) -> None:
    assert node.node("out").returncode == 0
    refused = node.node("check")
    assert (refused.returncode, "not ready: draining" in refused.stderr) == (1, True)
    assert node.node("check", "--out").returncode == 0

    assert node.node("in").returncode == 0
    assert node.node("check").returncode == 0


@pytest.mark.wide
def test_sockets_are_told_to_come_back_and_miss_nothing(
    node: Held, releases: dict[str, Path], bikes: Site, make: Factory, api: Api
) -> None:
    chat = make.conversation(bikes)
    address = ("127.0.0.1", node.port)

    def comment() -> int:
        said = {"itemType": "conversation", "itemId": chat.id, "markdown": f"No. {len(made)}"}
        wrote = api.post("/api/v1/comments", said, by=bikes.member)
        return int(wrote.location.rsplit("/", 1)[1])

    made: list[int] = []
    with Listener(address, bikes, bikes.member) as before:
        before.follow(f"conversation/{chat.id}")
        made.append(comment())
        heard = before.comments(1)
        switch(node.current, releases[other(node.build())])
        assert node.node("replace").returncode == 0, node.text
        bye = before.next("bye")
        assert (bye["reason"], before.close_code()) == ("stopping", 1001)
        cursor = before.cursor
    made.append(comment())
    with Listener(address, bikes, bikes.member) as after:
        after.follow(f"conversation/{chat.id}", cursor=cursor)
        made.append(comment())
        heard += after.comments(2)

    assert heard == made


@pytest.mark.wide
def test_a_disk_that_takes_nothing_ends_nobody(node: Held) -> None:
    until(lambda: len(node.web()) == 1, node)  # one that was replaced before may still be ending
    (before,) = node.web()
    build = node.build()
    # Nothing can be written there.
    (node.folder / "var" / "hold.new").mkdir()
    node.process.send_signal(signal.SIGUSR2)
    until(lambda: bool(node.web()) and before not in node.web(), node)

    assert node.process.poll() is None
    assert node.build() == build
    (node.folder / "var" / "hold.new").rmdir()


def test_a_web_process_that_is_killed_is_started_again(node: Held) -> None:
    until(lambda: len(node.web()) == 1, node)
    (before,) = node.web()
    os.kill(before, signal.SIGKILL)
    until(lambda: node.web() not in ([], [before]) and answers(node), node)

    assert "ended by itself" in node.text


@pytest.mark.wide
def test_workers_that_can_not_start_end_none_that_serves(
    database_url: str, tmp_path: Path, releases: dict[str, Path]
) -> None:
    with held(database_url, tmp_path, releases["fickle"]) as running:
        (web,) = running.web()
        until(lambda: running.text.count("files are kept") == 2, running)
        (tmp_path / "var" / "broken").touch()
        os.kill(children(web)[0], signal.SIGKILL)
        until(lambda: running.text.count("can't start") >= 2, running)
        assert running.build() == "fickle"

        (tmp_path / "var" / "broken").unlink()
        until(lambda: len(children(web)) == 2 and answers(running), running)
        assert running.web() == [web]


@pytest.mark.wide
def test_killed_it_leaves_nothing_behind(node: Held) -> None:
    web = node.web()
    node.process.kill()
    node.process.wait()

    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in web), node)
    assert node.node("replace").returncode == 1


@pytest.mark.wide
def test_a_web_process_that_is_not_held_stays_when_told_of_a_successor(
    database_url: str, tmp_path: Path, releases: dict[str, Path]
) -> None:
    port = free_port()
    output = tmp_path / "serve.log"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [releases["first"], "serve"],
            env=environment(database_url, tmp_path, port, workers="1"),
            stdout=out,
            stderr=out,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
    running = Held(process, releases["first"], port, tmp_path, {})
    (tmp_path / "hold.log").symlink_to(output)
    until(lambda: answers(running), running)
    process.send_signal(signal.SIGUSR2)
    until(lambda: "nobody would take over" in output.read_text(), running)

    assert running.build() == "first"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


# ---------------------------------------------------------------- as systemd starts it


def activated(
    releases: dict[str, Path], environ: dict[str, str], opened: socket.socket, notify: str
) -> subprocess.Popen[bytes]:
    """`forumapi hold` with a listening socket as its descriptor 3, and where to notify."""
    # LISTEN_PID is that of the process itself, which only it can know.
    code = (
        f"import os; os.dup2({opened.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid());"
        f"os.execv('{releases['first']}', ['forumapi', 'hold', '{releases['first']}'])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environ | {"LISTEN_FDS": "1", "NOTIFY_SOCKET": notify},
        pass_fds=[opened.fileno()],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )


@pytest.mark.wide
def test_sockets_that_systemd_opened_are_used_and_it_is_told(
    database_url: str, tmp_path: Path, releases: dict[str, Path]
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as opened,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        port = opened.getsockname()[1]
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        # It waits in the socket's queue until there is somebody to answer.
        early = plain(port)
        early.request("GET", "/api/v1/version")
        environ = environment(database_url, tmp_path, port, workers="1")
        process = activated(releases, environ, opened, str(tmp_path / "notify"))

        assert told.recv(1000).startswith(b"READY=1\n")
        assert early.getresponse().status == 200
        web = Held(process, tmp_path, port, tmp_path, {}).web()
        process.send_signal(signal.SIGTERM)
        assert told.recv(1000) == b"STOPPING=1"
        assert process.wait(30) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in web)


@pytest.mark.wide
def test_a_socket_that_no_setting_names_is_refused(
    database_url: str, tmp_path: Path, releases: dict[str, Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        environ = environment(database_url, tmp_path, free_port())
        process = activated(releases, environ, opened, "")
        _, error = process.communicate(timeout=60)

    assert process.returncode == 1
    assert b"systemd has opened" in error


@pytest.mark.wide
def test_it_listens_on_a_unix_socket_and_takes_it_away_at_the_end(
    database_url: str, tmp_path: Path, releases: dict[str, Path]
) -> None:
    path = tmp_path / "web.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    environ = environment(database_url, tmp_path, 1, listen=f"unix:{path}", workers="1")
    process = subprocess.Popen(
        [releases["first"], "hold", releases["first"]],
        env=environ,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )
    command = [str(releases["first"]), "node", "check", "--wait", "60"]
    checked = subprocess.run(command, env=environ, capture_output=True, text=True)
    process.send_signal(signal.SIGTERM)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert process.wait(30) == 0
    assert not path.exists()
