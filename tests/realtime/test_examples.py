"""The programs of docs/api/live.md follow a conversation, are cut, and go on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.stage import wait_for, workers
from tests.factories import Factory
from tests.fixtures import start_server
from tests.realtime.test_socket import write

PAGE = (Path(__file__).parents[2] / "docs" / "api" / "live.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.wide
@pytest.mark.slow
def test_the_python_program_goes_on_where_it_was_cut(
    database_url: str, make: Factory, tmp_path: Path
) -> None:
    site = make.site()
    chat = make.conversation(site)
    server = start_server(database_url, tmp_path)
    api = server.api()
    out = tmp_path / "told"
    with out.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-c", PYTHON[0]],
            env=os.environ
            | {
                "SITE": site.host,
                "ADDRESS": "{}:{}".format(*server.address),
                "TOKEN": site.member.token,
                "TOPIC": f"conversation/{chat.id}",
            },
            stdout=told,
            stderr=told,
        )
    try:
        number = 0

        def is_following() -> bool:
            nonlocal number
            number += 1
            write(api, chat.path, site.moderator, f"Is anybody there? {number}")
            return b"Is anybody" in out.read_bytes()

        wait_for(is_following, 15)
        before = workers(server)
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: b"cut," in out.read_bytes(), 15)
        wait_for(lambda: set(workers(server)) - set(before), 15)
        ids = [write(api, chat.path, site.moderator, f"Meanwhile {n}") for n in range(3)]
        wait_for(lambda: b"Meanwhile 2" in out.read_bytes(), 20)
    finally:
        process.kill()
        process.wait()
        server.stop()
        api.close()

    lines = [line for line in out.read_text().splitlines() if line.endswith(("0", "1", "2"))]
    assert [line for line in lines if "Meanwhile" in line] == [
        f"{id} Meanwhile {n}" for n, id in enumerate(ids)
    ]


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
