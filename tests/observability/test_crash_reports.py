"""Crashes: told whole, recognised again, without secrets, and sent to a Sentry-compatible address."""

from __future__ import annotations

import atexit
import http.client
import json
import logging
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk

from forumapi.observability import crash_reports, log
from forumapi.observability.crash_reports import Crash, Gate
from forumapi.observability.sentry import Sentry
from tests.observability.sentry_sink import Sink
from tests.services import free_port

SOURCE = """
def find(id):
    raise LookupError(f"no row {id} for ana@example.org with token=hunter2hunter2")

def answer(id):
    try:
        find(id)
    except LookupError as error:
        raise RuntimeError("it failed") from error
"""


def module(source: str) -> types.ModuleType:
    """A module of the engine that is not there."""
    made = types.ModuleType("forumapi.handlers.example")
    exec(compile(source, "/srv/forumapi/handlers/example.py", "exec"), made.__dict__)
    return made


def crash(run: Callable[[], object]) -> Crash:
    """Return what is told of the exception that `run` raises."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 - whichever it is
        return crash_reports.describe(error)
    raise AssertionError("it did not crash")


def test_a_crash_is_told_with_what_caused_it() -> None:
    told = crash(lambda: module(SOURCE).answer(7))

    assert [link.kind for link in told.links] == ["LookupError", "RuntimeError"]
    assert 'File "/srv/forumapi/handlers/example.py", line 3, in find' in told.text
    assert "LookupError: no row 7" in told.text
    assert told.text.endswith("RuntimeError: it failed")


def test_a_crash_holds_no_secret_and_no_address() -> None:
    told = crash(lambda: module(SOURCE).answer(7))

    assert "no row 7 for [email] with token=[secret]" in told.text
    assert "hunter2" not in repr(told)
    assert "ana@" not in repr(told)


def test_the_fingerprint_survives_moved_lines_and_other_values() -> None:
    first = crash(lambda: module(SOURCE).answer(7))
    moved = crash(lambda: module("# a licence\n\n\n" + SOURCE.replace("no row", "no")).answer(8))

    assert first.fingerprint == moved.fingerprint
    assert len(first.fingerprint) == 16


@pytest.mark.parametrize(
    "change",
    [("LookupError", "KeyError"), ("find", "look_up")],
    ids=["another kind", "another place"],
)
def test_another_fault_has_another_fingerprint(change: tuple[str, str]) -> None:
    first = crash(lambda: module(SOURCE).answer(7))
    other = crash(lambda: module(SOURCE.replace(*change)).answer(7))

    assert first.fingerprint != other.fingerprint


def test_a_recursion_has_one_fingerprint_however_deep() -> None:
    source = "def down(n):\n    if not n:\n        raise ValueError\n    down(n - 1)\n"

    depths = {crash(lambda n=n: module(source).down(n)).fingerprint for n in (1, 5, 900)}  # type: ignore[misc]
    assert len(depths) == 1


def test_every_part_of_a_group_is_told() -> None:
    def fail() -> None:
        raise ExceptionGroup("two", [ValueError("the first"), KeyError("the second")])

    assert [link.kind for link in crash(fail).links] == ["ValueError", "KeyError", "ExceptionGroup"]


@pytest.mark.parametrize("length", [50, 3000])
def test_of_a_long_chain_the_last_twenty_are_told(length: int) -> None:
    error = ValueError("0")
    for number in range(1, length):
        later = ValueError(str(number))
        later.__cause__ = error
        error = later
    told = [one.message for one in crash_reports.describe(error).links]
    assert told == [str(number) for number in range(length - 20, length)]


def test_of_a_large_group_twenty_are_told() -> None:
    group = ExceptionGroup("many", [ValueError(str(number)) for number in range(50)])
    assert len(crash_reports.describe(group).links) == 20


def test_an_exception_that_can_not_be_shown_is_told_all_the_same() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise TypeError

    def fail() -> None:
        raise Odd

    assert "(its message can't be shown: TypeError)" in crash(fail).text


def test_the_gate_counts_what_it_holds_back() -> None:
    gate = Gate(every_s=3600)

    assert [gate.admit("a") for _ in range(3)] == [0, None, None]
    assert gate.admit("b") == 0


def test_the_gate_lets_so_many_through_and_no_more() -> None:
    gate = Gate(every_s=3600, most=5)

    assert [gate.admit(str(n)) for n in range(7)] == [0, 0, 0, 0, 0, None, None]


def test_what_was_held_back_is_said_when_it_comes_again() -> None:
    gate = Gate(every_s=0)
    gate.admit("a")
    assert gate.admit("a") == 0


# ---------------------------------------------------------------- Sentry


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A running sink."""
    with Sink() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_crash_is_sent_as_sentry_wants_it(sink: Sink) -> None:
    sentry = Sentry(sink.dsn, environment="prod")
    told = crash(lambda: module(SOURCE).answer(7))
    sentry.take(told, "error", {"request": "r1", "route": "/api/v1/comments/{id}", "site": 7})
    path, headers, event = sink.got.get(timeout=10)

    assert path == "/sub/api/42/envelope/"
    assert "sentry_key=publickey" in headers["X-Sentry-Auth"]
    assert event["fingerprint"] == [told.fingerprint]
    assert (event["level"], event["environment"], event["platform"]) == ("error", "prod", "python")
    assert event["tags"] == {"request": "r1", "route": "/api/v1/comments/{id}", "site": "7"}
    values = event["exception"]["values"]
    assert [value["type"] for value in values] == ["LookupError", "RuntimeError"]
    frame = values[0]["stacktrace"]["frames"][-1]
    assert (frame["function"], frame["lineno"], frame["in_app"]) == ("find", 3, True)
    assert "hunter2" not in json.dumps(event)
    assert "ana@" not in json.dumps(event)


def test_the_same_crash_is_sent_once(sink: Sink) -> None:
    sentry = Sentry(sink.dsn)
    told = crash(lambda: module(SOURCE).answer(7))
    for _ in range(5):
        sentry.take(told, "error", {})
    sentry.take(crash(lambda: 1 / 0), "error", {})
    sentry.flush(10)

    assert sink.got.qsize() == 2
    assert sentry.dropped == 0


def test_a_sentry_that_says_too_many_is_left_alone(sink: Sink) -> None:
    sink.status = 429
    sentry = Sentry(sink.dsn)
    sentry.take(crash(lambda: module(SOURCE).answer(7)), "error", {})
    sentry.flush(10)
    sentry.take(crash(lambda: 1 / 0), "error", {})
    sentry.flush(10)

    assert sink.got.qsize() == 1
    assert sentry.dropped == 2


def test_a_sentry_that_is_away_costs_the_crash_alone() -> None:
    sentry = Sentry(f"http://key@127.0.0.1:{free_port()}/1")
    sentry.take(crash(lambda: 1 / 0), "error", {})
    sentry.flush(10)

    assert sentry.dropped == 1


def test_more_than_can_wait_is_dropped(sink: Sink) -> None:
    sentry = Sentry(sink.dsn)
    many = [
        crash(lambda n=n: module(SOURCE.replace("find", f"find_{n}")).answer(7))  # type: ignore[misc]
        for n in range(30)
    ]
    for one in many:
        sentry.take(one, "error", {})
    sentry.flush(10)

    assert sink.got.qsize() + sentry.dropped == 30


def _hooks() -> list[object]:
    """Return what Sentry's library replaces in a process unless it is told not to."""
    return [
        *(sys.excepthook, threading.excepthook, threading.Thread.start, threading.Thread.run),
        *(logging.Logger.callHandlers, logging.Logger.handle, logging.root.handlers[:]),
        *(http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse),
        *(subprocess.Popen.__init__, atexit._ncallbacks()),
    ]


def test_sentrys_library_hooks_nothing(sink: Sink) -> None:
    before = _hooks()
    sentry = Sentry(sink.dsn)
    sentry.take(crash(lambda: 1 / 0), "error", {})
    sentry.flush(10)

    assert _hooks() == before
    assert not sentry_sdk.get_client().is_active()


def test_the_environment_does_not_say_where_crashes_go(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("SENTRY_ENVIRONMENT", "elsewhere")
    sentry = Sentry(sink.dsn)
    sentry.take(crash(lambda: 1 / 0), "error", {})

    assert sink.got.get(timeout=10).event["environment"] == ""


@pytest.fixture
def untouched() -> Iterator[None]:
    """The process's log as it was."""
    handlers, level, propagate = log.logger.handlers[:], log.logger.level, log.logger.propagate
    yield
    log.configure()
    log.logger.handlers[:], log.logger.propagate = handlers, propagate
    log.logger.setLevel(level)


def test_whatever_is_logged_with_an_exception_is_sent(
    sink: Sink, untouched: None, tmp_path: Any
) -> None:
    target = tmp_path / "log"
    log.configure(target=str(target), form="json", sentry_dsn=sink.dsn)
    try:
        module(SOURCE).answer(7)
    except RuntimeError:
        for _ in range(2):
            log.logger.exception("a request failed", extra={"context": {"request": "r9"}})
    event = sink.got.get(timeout=10).event

    first, second = map(json.loads, target.read_text().splitlines())
    assert event["fingerprint"] == [first["fingerprint"]] == [second["fingerprint"]]
    assert first["request"] == event["tags"]["request"] == "r9"
    assert "LookupError: no row 7 for [email]" in first["trace"]
    # The second time its last line is enough.
    assert "trace" not in second
    assert second["error"] == "RuntimeError: it failed"


@pytest.mark.wide
def test_crashes_name_the_environment_that_was_set_last(sink: Sink, untouched: None) -> None:
    for environment in ("dev", "prod"):
        log.configure(target="/dev/null", sentry_dsn=sink.dsn, environment=environment)
        log.logger.error("failed", exc_info=ValueError("no luck"))
        assert sink.got.get(timeout=10).event["environment"] == environment


def test_an_exception_that_ends_a_thread_is_logged(untouched: None, tmp_path: Any) -> None:
    before = threading.excepthook, sys.excepthook
    target = tmp_path / "log"
    output = log.configure(target=str(target))
    log.start()
    try:
        thread = threading.Thread(target=module(SOURCE).answer, args=[7], name="walker")
        thread.start()
        thread.join()
        output.stop()
    finally:
        threading.excepthook, sys.excepthook = before

    assert "CRITICAL" in target.read_text()
    assert "walker ended" in target.read_text()
    assert "RuntimeError: it failed" in target.read_text()
