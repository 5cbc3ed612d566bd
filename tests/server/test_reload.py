"""Tests of what operators change while a web process runs is so a moment later, and a crash reaches whom they name."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.factories import Factory
from tests.fixtures import Server, factory, running
from tests.observability.sentry_sink import Sink

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings file of the server of this module."""
    path = tmp_path_factory.mktemp("settings") / "forumapi.toml"
    path.write_text("metrics_interval_s = 1\n")
    return path


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database of this module alone: figures of the platform are sent by the one process that leads on it."""
    with services.database(postgres_url, "reload") as made:
        yield made


@pytest.fixture(scope="module")
def make(url: str) -> Iterator[Factory]:
    """Makes content there."""
    with factory(url) as maker:
        yield maker


@pytest.fixture(scope="module")
def web(url: str, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A web process with a settings file of its own."""
    folder = tmp_path_factory.mktemp("reload")
    settings = {"config": str(file), "log_level": "info", "access_log": "1"}
    with running(url, folder, **settings) as started:
        yield started


@pytest.fixture
def change(web: Server, file: Path) -> Callable[[str], None]:
    """Writes lines into the settings file and has them taken over."""

    def write(text: str) -> None:
        before = web.log.read_text().count("settings reloaded")
        file.write_text(file.read_text() + text)
        os.kill(web.pid, signal.SIGHUP)
        until(lambda: web.log.read_text().count("settings reloaded") > before)

    return write


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.wide
def test_figures_are_sent_to_a_server_that_is_named_later(
    web: Server, change: Callable[[str], None]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(20)
        change(
            f"metrics_address = '127.0.0.1:{statsd.getsockname()[1]}'\nmetrics_prefix = 'velo'\n"
        )
        missing = {
            "velo.requests.api_v1_whoami.GET.",
            "velo.request_seconds.api_v1_whoami:",
            "velo.database_connections.idle:",
            "velo.events_unnumbered:",
        }
        api = web.api()
        deadline = time.monotonic() + 20
        while missing:
            assert time.monotonic() < deadline, missing
            api.get("/api/v1/whoami")
            lines = statsd.recv(2_000).decode().split("\n")
            missing = {one for one in missing if not any(line.startswith(one) for line in lines)}


@pytest.mark.wide
def test_a_crash_is_sent_with_its_request_to_a_sentry_that_is_named_later(
    web: Server, change: Callable[[str], None], make: Factory
) -> None:
    site = make.site()
    comment = make.comment(make.conversation(site))
    # A value that the database lets in and no writer of ours makes: the answer can't be worked out.
    make.sql(
        "UPDATE comments SET created = '4714-11-24 00:00:00+00 BC' WHERE comment_id = %(c)s",
        c=comment.id,
    )
    with Sink() as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        change(f"sentry_dsn = '{sink.dsn}'\n")
        api = web.api()
        deadline = time.monotonic() + 20
        event: dict[str, Any] = {}
        # The worker reloads after the process that says so, and crashes of its threads are sent too.
        while event.get("tags", {}).get("request") != "crashed":
            assert time.monotonic() < deadline, event
            answer = api.get(
                comment.path, site=site, by=site.member, headers={"X-Request-Id": "crashed"}
            )
            with contextlib.suppress(queue.Empty):
                event = sink.got.get(timeout=0.5).event
        sink.shutdown()

    assert answer.status == 500
    assert event["transaction"] == event["tags"]["route"] == "/api/v1/comments/{id}"
    assert event["tags"]["request"] == "crashed"
    assert event["tags"]["profile"] == str(site.member.id)
    assert event["environment"] == "embedded"
    assert any(
        frame["module"] == "forumapi.request.processor"
        for frame in event["exception"]["values"][-1]["stacktrace"]["frames"]
    )
    assert site.member.token not in json.dumps(event)


# The last: afterwards the log is elsewhere.
@pytest.mark.wide
def test_the_log_goes_elsewhere_and_looks_otherwise(
    web: Server, file: Path, change: Callable[[str], None], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "other.log"
    change("access_log_format = '{status} {request} {route}'\n")
    web.api().get("/api/v1/site", headers={"X-Request-Id": "otherwise"})
    until(lambda: "\n200 otherwise /api/v1/site\n" in web.log.read_text())

    file.write_text(file.read_text() + f"log_target = '{elsewhere}'\n")
    os.kill(web.pid, signal.SIGHUP)
    until(lambda: elsewhere.exists() and "settings reloaded: log_target" in elsewhere.read_text())

    def is_said() -> bool:
        web.api().get("/api/v1/site", headers={"X-Request-Id": "elsewhere"})
        return "200 elsewhere /api/v1/site\n" in elsewhere.read_text()

    until(is_said)
