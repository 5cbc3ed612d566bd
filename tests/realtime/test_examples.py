"""The programs of docs/api/live.md follow a conversation, are cut, and go on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from queue import Queue

import pytest

from tests.chaos.stage import wait_for, workers
from tests.factories import Factory
from tests.fixtures import Server, start_server
from tests.realtime.test_socket import write

PAGE = (Path(__file__).parents[2] / "docs" / "api" / "live.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


# Only a program or a server that hangs takes as long.
HANGS_S = 120


@pytest.mark.wide
@pytest.mark.slow
def test_the_python_program_goes_on_where_it_was_cut(
    database_url: str, make: Factory, tmp_path: Path
) -> None:
    site = make.site()
    chat = make.conversation(site)
    server = start_server(database_url, tmp_path)
    api = server.api()
    process = subprocess.Popen(
        [sys.executable, "-c", PYTHON[0]],
        env=os.environ
        | {
            "SITE": site.host,
            "ADDRESS": "{}:{}".format(*server.address),
            "TOKEN": site.member.token,
            "TOPIC": f"conversation/{chat.id}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: Queue[str] = Queue()
    listening = threading.Thread(target=deque, args=(map(lines.put, process.stdout), 0))
    listening.start()

    def until(text: str) -> list[str]:
        """Return the lines of the program up to one with this text."""
        said = [lines.get(timeout=HANGS_S)]
        while text not in said[-1]:
            said.append(lines.get(timeout=HANGS_S))
        return said

    try:
        # Nothing says that the program follows but what it is told.
        number = 0
        while lines.empty():
            assert process.poll() is None
            number += 1
            write(api, chat.path, site.moderator, f"Is anybody there? {number}")
            time.sleep(0.2)
        until("Is anybody")
        for killed in workers(server):
            os.kill(killed, signal.SIGKILL)
        until("cut,")
        wait_for(lambda: is_served(server), HANGS_S)
        ids = [write(api, chat.path, site.moderator, f"Meanwhile {n}") for n in range(3)]
        said = until("Meanwhile 2")
    finally:
        process.kill()
        process.wait()
        listening.join()
        process.stdout.close()
        server.stop()
        api.close()

    assert [line for line in said if "Meanwhile" in line] == [
        f"{id} Meanwhile {n}\n" for n, id in enumerate(ids)
    ]


def is_served(server: Server) -> bool:
    """Return True if a worker answers."""
    try:
        return server.api().get("/api/v1/site").status == 200
    except OSError:
        return False


@pytest.mark.wide
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_shows_what_happens(database_url: str, make: Factory, tmp_path: Path) -> None:
    assert "curl -N" in PAGE
    site = make.site()
    chat = make.conversation(site)
    server = start_server(database_url, tmp_path)
    api = server.api()
    address = "http://{}:{}".format(*server.address)
    url = f"{address}/api/v1/live/events?topic=conversation/{chat.id}"
    sent = ["-H", f"Host: {site.host}", "-H", f"Authorization: Bearer {site.member.token}"]
    try:
        with subprocess.Popen(["curl", "-sN", url, *sent], stdout=subprocess.PIPE) as first:
            assert first.stdout is not None
            for line in first.stdout:
                if line.startswith(b"event: subscribed"):
                    write(api, chat.path, site.moderator, "Seen")
                if line.startswith(b"id: "):
                    last = line[4:].decode().strip()
                if b'"itemType":"comment"' in line:
                    break
            first.kill()
        missed = write(api, chat.path, site.moderator, "Missed")
        again = ["curl", "-sN", url, *sent, "-H", f"Last-Event-ID: {last}"]
        with subprocess.Popen(again, stdout=subprocess.PIPE) as second:
            assert second.stdout is not None
            told = next(line for line in second.stdout if b'"itemType":"comment"' in line)
            second.kill()
    finally:
        server.stop()
        api.close()

    assert b'"itemId":%d,' % missed in told
