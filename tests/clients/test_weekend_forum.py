"""The forums of docs/clients.md, in each language: somebody signs in by a code, and writes."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import Node
from tests.factories import Factory
from tests.fixtures import PROJECT, Server
from tests.services import free_port, mailed

pytestmark = [pytest.mark.wide, pytest.mark.slow]

PAGE = (PROJECT / "docs" / "clients.md").read_text()
MOST_LINES = 60
# Names of the tests' hosts are known to nobody else.
NAMES = """
import socket
known = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **how: known(
    "127.0.0.1" if str(host).endswith(".forum.test") else host, *more, **how
)
"""
_NODE_NAMES = """
import dns from "node:dns";
const lookup = dns.lookup;
dns.lookup = (name, ...more) => lookup(name.endsWith(".forum.test") ? "127.0.0.1" : name, ...more);
"""


def program(language: str) -> str:
    """The program of the page."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[1].count("\n") <= MOST_LINES
    return found[1]


@contextmanager
def running(command: list[str], folder: Path, **env: str) -> Iterator[httpx.Client]:
    """A browser, of sorts, on a forum."""
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PORT": str(port), **env},
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as browser:
            deadline = time.monotonic() + 30
            while True:
                try:
                    browser.get("/sign-in")
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline and process.poll() is None, (
                        folder / "log"
                    ).read_text()
                    time.sleep(0.1)
            yield browser
    finally:
        process.kill()
        process.wait()


def code_for(email: str, folder: Path) -> str:
    """The code of the mail to an address, once it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for path in mailed(folder):
            text = path.read_text()
            found = re.search(r"^ +(\d{4}) (\d{4})$", text, re.MULTILINE)
            if f"To: {email}" in text and found:
                return found[1] + found[2]
        time.sleep(0.1)
    raise AssertionError("no mail")


def use(browser: httpx.Client, folder: Path, email: str) -> None:
    """Sign in, write and read, as the page's forms ask for it."""
    refused = browser.post("/", data={"title": "By nobody"})
    assert refused.status_code == 403 and "By nobody" not in browser.get("/").text
    asked = browser.post("/sign-in", data={"email": email}).text
    action = re.search(r'action="(/sign-in/[^"]+)"', asked)
    assert action is not None, asked
    code = code_for(email, folder)
    wrong = browser.post(action[1], data={"code": "00000000"})
    assert wrong.status_code == 401
    assert "Welcome" in browser.post(action[1], data={"code": code}).text

    front = browser.post("/", data={"title": "Tea & cake"}).text
    link = re.search(r'<p><a href="(/c/\d+)">([^<]*)</a>', front)
    assert link is not None and html.unescape(link[2]) == "Tea & cake"
    shown = browser.post(link[1], data={"text": "*Both* <script>alert(1)</script>"}).text
    assert "<em>Both</em>" in shown and "<script" not in shown
    assert browser.get("/c/999999").status_code in (403, 404)
    assert browser.get("/nowhere").status_code == 404


@pytest.mark.parametrize("language", ["python", "js"])
def test_a_weekend_forum_of_sixty_lines(
    language: str,
    package: Any,
    request: pytest.FixtureRequest,
    server: Server,
    make: Factory,
    tmp_path: Path,
) -> None:
    site = make.site()
    address = f"http://{site.host}:{server.address[1]}"
    env = {"SITE": address}
    if language == "python":
        (tmp_path / "forum.py").write_text(NAMES + program(language))
        env["PYTHONPATH"] = str(Path(package.__file__).parents[1])
        command = [sys.executable, "forum.py"]
    else:
        node: Node = request.getfixturevalue("node")
        (tmp_path / "node_modules").mkdir()
        (tmp_path / "node_modules" / "forumapi-client").symlink_to(node.folder)
        (tmp_path / "names.mjs").write_text(_NODE_NAMES)
        (tmp_path / "forum.mjs").write_text(program(language))
        command = ["node", "--import", "./names.mjs", "forum.mjs"]

    with running(command, tmp_path, **env) as browser:
        use(browser, server.log.parent, f"weekend-{language}@forum.test")
