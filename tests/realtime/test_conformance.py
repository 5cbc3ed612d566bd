"""The protocol by Autobahn's cases: framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import kosoku
import pytest

from forumapi.concurrency.end_with_parent import end_with_parent
from tests.fixtures import PROJECT
from tests.services import free_port

# 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 10 automatic fragments.
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
# Large messages and many of them.
LARGE = ["9.*"]


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The address of a server that says back what it is told."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.realtime.echo", str(port)],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
    yield f"ws://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def failures(url: str, cases: list[str]) -> tuple[list[str], int]:
    """(what a case found wrong, how many cases there were)."""
    try:
        results = asyncio.run(kosoku.run_fuzzingclient(url, cases, concurrency=4))
    except kosoku.FailureError as error:
        results = error.results
    wrong = [
        f"{one.case_id}: {one.behavior.value}, closing {one.behavior_close.value}"
        for one in results
        if one.behavior.value not in ("OK", "NON-STRICT", "INFORMATIONAL")
        or one.behavior_close.value not in ("OK", "INFORMATIONAL")
    ]
    sys.stdout.write(f"{Counter(one.behavior.value for one in results)}\n")
    return wrong, len(results)


@pytest.mark.wide
def test_the_protocol_is_spoken_as_autobahn_asks(echo: str) -> None:
    wrong, total = failures(echo, QUICK)

    assert wrong == []
    assert total > 200


@pytest.mark.wide
@pytest.mark.slow
def test_large_messages_are_taken_as_autobahn_sends_them(echo: str) -> None:
    wrong, total = failures(echo, LARGE)

    assert wrong == []
    assert total > 50
