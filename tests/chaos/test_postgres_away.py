"""PostgreSQL goes away: 503 at once, back without a restart, nothing acknowledged is lost (architecture, failure)."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.database import embedded_postgres, migrations
from tests.api import Api, Response
from tests.chaos.stage import children, differences, wait_for, workers
from tests.factories import Person, Site, Thing
from tests.fixtures import Server, begin_server, factory, start_server

pytestmark = pytest.mark.slow

# What "at once" may take on a busy machine.
AT_ONCE_S = 1.0


class Postgres:
    """A PostgreSQL of these tests' own that can be killed and started again under the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = embedded_postgres.start(folder, max_connections=60)
        self.url = self.server.url
        migrations.migrate(self.url)

    def crash(self) -> None:
        """End it as a power cut would."""
        os.kill(self.server.pid, signal.SIGQUIT)
        wait_for(lambda: not self.server.is_running, 10)

    def freeze(self, sign: signal.Signals = signal.SIGSTOP) -> None:
        """Stop it in the middle, as a machine that is moved or swaps does: it takes connections and answers nothing."""
        for pid in (self.server.pid, *children(self.server.pid)):
            # One that has just ended.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)

    def thaw(self) -> None:
        """Let it go on."""
        self.freeze(signal.SIGCONT)

    def start(self) -> None:
        """Start it again; it recovers first."""
        self.server = embedded_postgres.start(
            self.folder, max_connections=60, socket_dir=self.server.socket_dir
        )


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """One that keeps its promises: acknowledged is on the disk."""
    folder = Path(tempfile.mkdtemp(prefix="forumapi-chaos-"))
    folder.chmod(0o755)
    made = Postgres(folder)
    yield made
    made.server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def postgres(own_postgres: Postgres) -> Postgres:
    """The same, running whatever a test before has left."""
    if not own_postgres.server.is_running:
        own_postgres.start()
    return own_postgres


def send(api: Api, chat: Thing, by: Person, text: str) -> Response:
    """A new comment."""
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    return api.post("/api/v1/comments", body, by=by)


@pytest.mark.wide
def test_every_request_is_refused_at_once_and_served_again_without_a_restart(
    postgres: Postgres, tmp_path: Path
) -> None:
    with factory(postgres.url) as make:
        site = make.site()
        chat = make.conversation(site)
    server = start_server(postgres.url, tmp_path)
    try:
        api = server.api()
        assert api.get(chat.path, by=site.member).status == 200
        assert send(api, chat, site.member, "before").status == 302
        (worker,) = workers(server)

        postgres.crash()
        # What a guest gets from memory is good for a second, no longer.
        time.sleep(1.1)
        for _ in range(5):
            for refused in (
                *(timed(api.get, chat.path, by=site.member) for _ in range(2)),
                timed(api.get, chat.path, site=site),
                timed(api.get, "/api/v1/site", site=site),
                timed(api.get, "/api/v1/whoami", by=site.member),
                timed(send, api, chat, site.member, "lost"),
                timed(api.delete, chat.path, by=site.owner),
            ):
                assert refused.status == 503
                assert int(refused.headers["Retry-After"]) >= 1
                assert refused.data["errorDetail"] == refused.error
        assert ready(server) == (503, "down")
        # What needs no database is served all the same.
        assert api.request("OPTIONS", chat.path, site=site).status == 200
        assert api.get("/api/v1/nothing", site=site).status == 404

        postgres.start()
        wait_for(lambda: api.get(chat.path, by=site.member).status == 200, 2)
        wait_for(lambda: ready(server) == (200, "ready"), 2)
        assert send(api, chat, site.member, "after").status == 302
        assert send(api, chat, site.member, "before").status == 302
        shown = api.get(chat.path, site=site).data["comments"]["items"]
        assert [one["markdown"] for one in shown] == ["before", "after"]
        assert workers(server) == [worker]
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()


def ready(server: Server) -> tuple[int, str]:
    """Return what a balancer is told."""
    connection = http.client.HTTPConnection(*server.address, timeout=AT_ONCE_S * 2)
    connection.request("GET", "/api/v1/ready")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())["data"]["state"]


def timed(ask: object, *args: object, within_s: float = AT_ONCE_S, **how: object) -> Response:
    """An answer that came at once, or at least in time."""
    assert callable(ask)
    began = time.monotonic()
    answer = ask(*args, **how)
    assert time.monotonic() - began < within_s
    assert isinstance(answer, Response)
    return answer


@pytest.mark.wide
def test_a_worker_that_starts_meanwhile_refuses_and_serves_once_it_is_back(
    postgres: Postgres, tmp_path: Path
) -> None:
    with factory(postgres.url) as make:
        site = make.site()
        chat = make.conversation(site)
    postgres.crash()
    server = begin_server(postgres.url, tmp_path)
    try:
        api = server.api()
        wait_for(lambda: refusal(api, chat, site), 60)
        (first,) = workers(server)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: workers(server) not in ([], [first]), 20)
        (second,) = workers(server)
        wait_for(lambda: refusal(api, chat, site), 20)
        assert ready(server) == (503, "down")

        postgres.start()
        wait_for(lambda: api.get(chat.path, by=site.member).status == 200, 5)
        assert send(api, chat, site.member, "served").status == 302
        assert workers(server) == [second]
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()


@pytest.mark.wide
def test_requests_to_one_that_is_frozen_are_refused_in_time_and_block_no_other(
    postgres: Postgres, tmp_path: Path
) -> None:
    with factory(postgres.url) as make:
        site = make.site()
        chat = make.conversation(site)
    # Nobody waits longer than a statement may take: 10 s unless it is set.
    assert Config().statement_timeout_ms == 10_000
    limits = {"statement_timeout_ms": "2000", "database_connections": "4"}
    server = start_server(postgres.url, tmp_path, **limits)
    try:
        api = server.api()
        for _ in range(2):
            assert api.get(chat.path, by=site.member).status == 200
        (worker,) = workers(server)
        postgres.freeze()
        try:
            with ThreadPoolExecutor(6) as pool:
                refused = [
                    *(
                        pool.submit(timed, server.api().get, chat.path, by=site.member, within_s=9)
                        for _ in range(3)
                    ),
                    *(
                        pool.submit(
                            timed, send, server.api(), chat, site.member, f"{n}", within_s=9
                        )
                        for n in range(3)
                    ),
                ]
                while not all(one.done() for one in refused):
                    assert timed(api.request, "OPTIONS", chat.path, site=site).status == 200
                    time.sleep(0.05)
            for one in refused:
                assert one.result().status == 503
                assert int(one.result().headers["Retry-After"]) >= 1
        finally:
            postgres.thaw()
        wait_for(lambda: api.get(chat.path, by=site.member).status == 200, 10)
        assert send(api, chat, site.member, "after").status == 302
        assert workers(server) == [worker]
    finally:
        server.stop()


def refusal(api: Api, chat: Thing, site: Site) -> bool:
    """Return if a page is refused in the right way; False while nobody answers."""
    try:
        refused = api.get(chat.path, by=site.member)
    except OSError:
        return False
    return refused.status == 503 and int(refused.headers["Retry-After"]) >= 1


@pytest.mark.wide
def test_nothing_acknowledged_is_lost_in_a_crash_under_writes(
    postgres: Postgres, tmp_path: Path
) -> None:
    with factory(postgres.url) as make:
        site = make.site()
        chat = make.conversation(site)
        people = [make.person(site) for _ in range(6)]
    server = start_server(postgres.url, tmp_path)
    try:
        stop = threading.Event()
        acknowledged: list[str] = []
        statuses: set[int] = set()

        def write(by: Person) -> None:
            api = server.api()
            number = 0
            while not stop.is_set():
                number += 1
                text = f"{by.name} {number}"
                answer = send(api, chat, by, text)
                statuses.add(answer.status)
                if answer.status == 302:
                    acknowledged.append(text)
                else:
                    time.sleep(0.05)
            api.close()

        with ThreadPoolExecutor(len(people)) as pool:
            done = [pool.submit(write, by) for by in people]
            for _ in range(2):
                time.sleep(1)
                postgres.crash()
                time.sleep(0.3)
                postgres.start()
            before = len(acknowledged)
            wait_for(lambda: len(acknowledged) > before + 20, 10)
            stop.set()
            for one in done:
                one.result()

        with factory(postgres.url) as make:
            rows = make.sql("SELECT markdown FROM comments WHERE item_id = %(i)s", i=chat.id)
        stored = [row[0] for row in rows]
        assert set(acknowledged) <= set(stored)
        assert len(stored) == len(set(stored))
        assert differences(postgres.url) == []
        assert_only_refusals(statuses, site, server)
    finally:
        server.stop()


def assert_only_refusals(statuses: set[int], site: Site, server: Server) -> None:
    """A crash in the middle of a request is 503 as well, never a fault of ours."""
    assert {302, 503} <= statuses <= {302, 502, 503}, server.log.read_text()[-3000:]
    assert server.api().get("/api/v1/site", site=site).status == 200
