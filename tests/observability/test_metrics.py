"""Figures: counted in shared memory, told to Prometheus, StatsD and Riemann."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from forumapi.config import Config
from forumapi.observability import metrics
from forumapi.observability.metrics_push import (
    ExportTarget,
    Point,
    Reporter,
    packets,
    riemann_event,
    riemann_messages,
    riemann_services,
    statsd_lines,
)
from tests.fixtures import PROJECT
from tests.observability import riemann
from tests.services import free_port

ROUTES = PROJECT / "tests" / "saved" / "routes.txt"


def run(code: str) -> str:
    """Return what a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what Prometheus reads: (name, labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# ---------------------------------------------------------------- counting

FORKS = """
import os, sys
from forumapi.observability import metrics
metrics.share(8)
def worker(count):
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        assert metrics.join()
        metrics.WORKERS.set(1)
        metrics.share_load(count)
        for _ in range(count):
            metrics.request("/api/v1/site", "GET", 200, 0.003, 2, 0.001)
        os.write(writing, b"1")
        os.close(reading)
        import signal; signal.pause()
    os.read(reading, 1)
    return pid
def end(pid):
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"""


def test_whoever_is_asked_tells_the_sum_of_all() -> None:
    text = run(
        FORKS
        + "pids = [worker(n) for n in (1000, 200, 30)]\n"
        + "sys.stdout.write(metrics.exposition(metrics.gather()).decode())\n"
        + "for pid in pids: end(pid)\n"
    )
    found = parsed(text)

    labels = (("method", "GET"), ("route", "/api/v1/site"), ("status", "200"))
    route = (("route", "/api/v1/site"),)
    assert found["forumapi_requests_total", labels] == 1230
    assert found["forumapi_request_seconds_count", route] == 1230
    assert found["forumapi_request_seconds_sum", route] == pytest.approx(3.69)
    assert found["forumapi_request_seconds_bucket", (("le", "0.0025"), *route)] == 0
    assert found["forumapi_request_seconds_bucket", (("le", "0.005"), *route)] == 1230
    assert found["forumapi_statements_total", route] == 2460
    assert found["forumapi_workers", ()] == 3


def test_a_worker_that_was_killed_leaves_its_counts_to_the_next() -> None:
    text = run(
        FORKS
        + "a, b = worker(100), worker(10)\n"
        + "end(a)\n"
        + "show = lambda: print(*[int(s.value) for s in metrics.gather() if s.metric.name in"
        + " ('forumapi_requests_total', 'forumapi_workers')])\n"
        + "show()\n"
        + "c = worker(5)\n"
        + "show()\n"
        + "end(b); end(c)\n"
        + "show()\n"
        + "print(len(list(metrics._state.shared.regions())))\n"
    )

    assert text.split("\n") == ["110 1", "115 2", "115", "2", ""]


def test_what_alerts_look_at_is_zero_before_it_is_one() -> None:
    found = parsed(
        run(
            "from forumapi.observability import metrics\nmetrics.share(2)\nmetrics.join()\n"
            "print(metrics.exposition(metrics.gather()).decode())\n"
        )
    )

    assert found["forumapi_crashes_total", ()] == 0
    assert found["forumapi_database_refused_total", (("reason", "busy"),)] == 0
    assert found["forumapi_database_wait_seconds_count", ()] == 0
    assert ("forumapi_database_up", ()) not in found


def test_only_the_first_of_those_that_live_speaks_for_all() -> None:
    text = run(
        "import os, signal\n"
        "from forumapi.observability import metrics\n"
        "metrics.share(4)\n"
        "ends = []\n"
        "for number in range(2):\n"
        "    reading, writing = os.pipe(); asked, ask = os.pipe()\n"
        "    if not (pid := os.fork()):\n"
        "        metrics.join(); os.write(writing, b'1')\n"
        "        while os.read(asked, 1): os.write(writing, b'yes' if metrics.is_first() else b'no')\n"
        "    os.read(reading, 1); ends.append((pid, ask, reading))\n"
        "def told(end): os.write(end[1], b'?'); return os.read(end[2], 9).decode()\n"
        "print(*map(told, ends))\n"
        "os.kill(ends[0][0], 9); os.waitpid(ends[0][0], 0)\n"
        "print(told(ends[1]))\n"
        "os.kill(ends[1][0], 9)\n"
    )

    assert text == "yes no\nyes\n"


def test_the_least_load_is_that_of_somebody_alive_who_takes_connections() -> None:
    text = run(
        FORKS
        + "show = lambda: print(metrics.load(), metrics.least_load())\n"
        + "a, b = worker(1), worker(3)\n"
        + "metrics.join()\n"
        + "show()\n"
        + "metrics.share_load(7)\n"
        + "show()\n"
        + "end(a)\n"
        + "metrics.add_load(-2)\n"
        + "show()\n"
        + "end(b)\n"
        + "show()\n"
    )

    assert text.split("\n") == ["inf 1.0", "7.0 1.0", "5.0 3.0", "5.0 5.0", ""]


def test_more_processes_than_there_is_room_for_are_told_so() -> None:
    text = run(
        "import os\nfrom forumapi.observability import metrics\nmetrics.share(1)\nprint(metrics.join(), flush=True)\n"
        "if not os.fork():\n    metrics._state.shared.own = -1\n    print(metrics.join(), flush=True); os._exit(0)\n"
        "os.wait()\n"
    )

    assert text.split() == ["True", "False"]


@pytest.mark.wide
def test_a_series_too_many_is_counted_as_dropped_and_harms_nobody() -> None:
    text = run(
        "from forumapi.observability import metrics\n"
        "for n in range(40_000): metrics.CRON_RUNS.add(1, f'job{n}', 'done')\n"
        "for n in range(40_000): metrics.CRON_SECONDS.observe(1, f'job{n}')\n"
        "print(metrics.exposition(metrics.gather()).decode())\n"
    )
    found = parsed(text)

    kept = [labels for name, labels in found if name == "forumapi_cron_runs_total"]
    assert 1_000 < len(kept) < 40_000
    assert all(found["forumapi_cron_runs_total", labels] == 1 for labels in kept)
    counted = sum(name == "forumapi_cron_seconds_count" for name, _ in found)
    assert found["forumapi_metrics_dropped_total", ()] == 80_000 - len(kept) - counted


def test_a_series_without_room_is_not_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    full = metrics.Region(memoryview(bytearray(metrics._REGION)))
    assert full.slot("everything", metrics._WASTE) == 0
    monkeypatch.setattr(metrics._state, "region", full)
    monkeypatch.setattr(metrics._state, "values", full.values)
    lost = metrics.Counter("forumapi_lost_total", "Counted where there is no room.", "what")
    try:
        lost.add(7, "first")
        lost.add(2, "second")
        assert list(lost.counted()) == []
    finally:
        del metrics.Metric.all[lost.name]


@pytest.mark.wide
def test_there_is_room_for_every_statement_and_every_answer_of_every_route() -> None:
    # Twice the routes, since there will be more of them; four statuses are common to a method of a route.
    text = run(
        "import pathlib\n"
        "import forumapi.app\n"
        "from forumapi.database.query import Query\n"
        "from forumapi.observability import metrics\n"
        "for name in Query.all:\n"
        "    metrics.QUERY_CALLS.add(1, name), metrics.QUERY_SECONDS.add(1, name)\n"
        f"routes = pathlib.Path({str(ROUTES)!r}).read_text().splitlines()\n"
        "for _, method, _, _, path in map(str.split, routes):\n"
        "    for route in (path, f'/next{path}'):\n"
        "        for status in (200, 302, 401, 404): metrics.request(route, method, status, 1, 1, 1)\n"
        "print(metrics.DROPPED.value())\n"
    )
    assert float(text) == 0


def test_labels_arrive_as_they_were() -> None:
    odd = 'a "quoted"\\path\nof two lines}'
    text = run(
        "from forumapi.observability import metrics\n"
        f"metrics.QUERY_CALLS.add(3, {odd!r})\n"
        "print(metrics.exposition(metrics.gather()).decode())\n"
    )

    assert parsed(text)["forumapi_query_calls_total", (("query", odd),)] == 3
    assert metrics.labels_of(metrics.series("x", {"a": odd, "b": "2"})) == (odd, "2")


@pytest.mark.parametrize("value", ["C:\\new", "\\", "\\\\n", '\\"', "\\\n", "n", ""])
def test_label_values_are_read_back_from_the_name_of_a_series(value: str) -> None:
    assert metrics.labels_of(metrics.series("x", {"a": value})) == (value,)


def test_methods_that_clients_invent_share_a_series() -> None:
    text = run(
        "from forumapi.observability import metrics\n"
        "for n in range(50): metrics.request('/x', f'ODD{n}', 405, 0.1, 0, 0)\n"
        "print(metrics.exposition(metrics.gather()).decode())\n"
    )
    found = {labels: value for (name, labels), value in parsed(text).items() if "requests" in name}

    assert found == {(("method", "other"), ("route", "/x"), ("status", "405")): 50}


def test_every_figure_has_a_name_with_its_unit_and_a_sentence() -> None:
    for metric in metrics.Metric.all.values():
        assert re.fullmatch(r"forumapi_[a-z_]+", metric.name)
        assert metric.text.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert isinstance(metric, metrics.Timing) <= metric.name.endswith("_seconds")


# ---------------------------------------------------------------- StatsD


def test_statsd_gets_labels_as_parts_of_the_name() -> None:
    points = [
        Point("forumapi_requests_total", ("/api/v1/comments/{id}", "GET", "200"), "c", 12),
        Point("forumapi_requests_total", ("", "GET", "404"), "c", 1),
        Point("forumapi_database_waiting", (), "g", 3),
        Point("forumapi_request_seconds", ("/",), "ms", 0.0123456),
        Point("forumapi_request_seconds", ("/",), "ms", 0.5, 0.25),
    ]

    assert statsd_lines(points, "velo") == [
        "velo.requests.api_v1_comments_id.GET.200:12|c",
        "velo.requests.GET.404:1|c",
        "velo.database_waiting:3|g",
        "velo.request_seconds.root:12.3456|ms",
        "velo.request_seconds.root:500|ms|@0.25",
    ]


def test_packets_are_small_and_hold_whole_lines() -> None:
    lines = [f"forumapi.some.figure.{n}:{n}|c" for n in range(500)]
    made = packets(lines)

    assert max(map(len, made)) <= 1_400
    assert b"\n".join(made).decode().split("\n") == lines
    assert len(made) < 15


# ---------------------------------------------------------------- Riemann


def test_riemann_reads_our_events() -> None:
    event = riemann_event(
        "forumapi requests é", 12.5, host="web1", at=1_790_000_000, ttl_s=30, tags=("a", "b")
    )
    (message,) = riemann_messages([event])
    (found,) = riemann.events(message)

    assert (found.service, found.metric_d, found.host) == ("forumapi requests é", 12.5, "web1")
    assert (found.time, found.ttl, list(found.tags)) == (1_790_000_000, 30.0, ["a", "b"])
    assert found.state == "ok"


def test_many_events_go_in_messages_that_fit_into_a_packet() -> None:
    made = [riemann_event(f"service {n}", n, host="h", at=1, ttl_s=1) for n in range(1_000)]
    messages = riemann_messages(made)

    assert max(map(len, messages)) <= 8_000
    assert [e.metric_d for m in messages for e in riemann.events(m)] == list(range(1_000))


def test_riemann_is_told_rates_and_percentiles() -> None:
    points = [
        Point("forumapi_requests_total", ("/", "GET", "200"), "c", 50),
        Point("forumapi_outbox", ("mail", "queued"), "g", 7),
        *(Point("forumapi_request_seconds", ("/",), "ms", n / 100) for n in range(101)),
    ]

    assert riemann_services(points, "forumapi", 10) == [
        ("forumapi requests / GET 200", 5.0, "rate"),
        ("forumapi outbox mail queued", 7, "gauge"),
        ("forumapi request_seconds / mean", pytest.approx(0.5), "timing"),
        ("forumapi request_seconds / p95", 0.95, "timing"),
        ("forumapi request_seconds / p99", 0.99, "timing"),
        ("forumapi request_seconds / max", 1.0, "timing"),
    ]


# ---------------------------------------------------------------- sending


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A socket that takes packets on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        yield server


def address(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def reporter(platform: Sequence[Point] = (), **settings: str) -> Reporter:
    """One that speaks for all."""
    config = Config(**settings)  # type: ignore[arg-type]
    return Reporter(lambda: config, platform=lambda: platform, leads=lambda: bool(platform))


def test_what_happened_is_sent_once(udp: socket.socket) -> None:
    reports = reporter(metrics_address=address(udp))
    reports.report(10)
    metrics.CRON_RUNS.add(2, "a_job", "done")
    metrics.CRON_SECONDS.observe(0.25, "a_job")
    reports.report(10)
    metrics.CRON_RUNS.add(1, "a_job", "done")
    reports.report(10)
    lines: list[str] = []
    while lines.count("forumapi.cron_runs.a_job.done:1|c") < 1:
        lines += udp.recv(2_000).decode().split("\n")

    assert "forumapi.cron_runs.a_job.done:2|c" in lines
    assert lines.count("forumapi.cron_seconds.a_job:250|ms") == 1
    reports.stop()
    metrics.want_samples(False)


def test_the_platform_is_told_by_who_leads(udp: socket.socket) -> None:
    reporter(
        [Point("forumapi_outbox", ("mail", "dead"), "g", 4)], metrics_address=address(udp)
    ).report(1)
    metrics.want_samples(False)
    lines: list[str] = []
    while "forumapi.outbox.mail.dead:4|g" not in lines:
        lines += udp.recv(2_000).decode().split("\n")


def test_riemann_gets_events_over_udp(udp: socket.socket) -> None:
    reports = reporter(riemann_url=f"udp://{address(udp)}")
    reports.report(10)
    metrics.CRON_RUNS.add(20, "b_job", "done")
    reports.report(10)
    metrics.want_samples(False)
    found: dict[str, float] = {}
    while "forumapi cron_runs b_job done" not in found:
        found |= {event.service: event.metric_d for event in riemann.events(udp.recv(9_000))}

    assert found["forumapi cron_runs b_job done"] == 2.0


def test_riemann_gets_events_over_tcp_and_over_a_new_connection_after_a_loss() -> None:
    services: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            for job in ("first", "third"):
                connection, _ = server.accept()
                with connection:
                    # What other tests of this process have counted comes first, in messages of its own.
                    while f"forumapi cron_runs {job} done" not in services:
                        (size,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
                        message = connection.recv(size, socket.MSG_WAITALL)
                        services.extend(event.service for event in riemann.events(message))
                        answer = riemann.Msg(ok=True).SerializeToString()
                        connection.sendall(struct.pack(">I", len(answer)) + answer)

        thread = threading.Thread(target=serve)
        thread.start()
        reports = reporter(riemann_url=f"tcp://{address(server)}")
        # The second finds the connection closed, and is lost; the third makes a new one.
        for job in ("first", "second", "third"):
            metrics.CRON_RUNS.add(1, job, "done")
            reports.report(10)
        thread.join(10)
        metrics.want_samples(False)

    assert "forumapi cron_runs first done" in services
    assert "forumapi cron_runs third done" in services


@pytest.mark.parametrize(
    "answer",
    [riemann.Msg(ok=False, error="full").SerializeToString(), b"HTTP/1.1 400 Bad Request"],
    ids=["an error", "another protocol"],
)
def test_a_riemann_that_refuses_costs_the_figures_and_its_connection_alone(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    (size,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
                    connection.recv(size, socket.MSG_WAITALL)
                    connection.sendall(struct.pack(">I", len(answer)) + answer)

        thread = threading.Thread(target=serve)
        thread.start()
        reports = reporter(riemann_url=f"tcp://{address(server)}")
        for _ in range(2):
            metrics.CRON_RUNS.add(1, "e_job", "done")
            reports.report(10)
        thread.join(10)
        metrics.want_samples(False)

    assert not thread.is_alive()


def test_nobody_need_listen() -> None:
    reports = reporter(
        metrics_address=f"127.0.0.1:{free_port()}", riemann_url=f"tcp://127.0.0.1:{free_port()}"
    )
    metrics.CRON_RUNS.add(1, "c_job", "done")
    for _ in range(3):
        reports.report(10)
    reporter(metrics_address="nowhere.invalid:8125").report(10)
    metrics.want_samples(False)


def test_of_many_timings_an_even_sample_is_kept() -> None:
    metrics.want_samples(True)
    for number in range(10_000):
        metrics.CRON_SECONDS.observe(number, "d_job")
    kept, seen = metrics.take_samples()["forumapi_cron_seconds", ("d_job",)]
    metrics.want_samples(False)

    assert (len(kept), seen) == (metrics.SAMPLES, 10_000)
    assert min(kept) < 2_000
    assert max(kept) > 8_000


@pytest.mark.parametrize("address", ["a..b:1", "localhost:port"])
def test_an_address_that_is_none_ends_nothing(address: str) -> None:
    def connect(host: str, port: int) -> Any:
        return socket.create_connection((host, port))

    ExportTarget(address, connect).send([b"x"])
