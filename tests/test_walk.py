"""The walk through identity that the documents name, on a running platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories import Factory
from tests.fixtures import PLATFORM_DOMAIN, PROJECT, Server

pytestmark = pytest.mark.slow


def test_a_stranger_is_walked_through(server: Server, make: Factory) -> None:
    site = make.site()
    # More people than a page holds are in the role before the stranger is, as on the demo sites.
    for _ in range(26):
        make.person(site)
    make.sql("UPDATE profile_counters SET comment_count = 10 WHERE site_id = %(s)s", s=site.id)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.walk"),
            *("--site", f"http://{site.key}.{PLATFORM_DOMAIN}"),
            *("--port", str(server.address[1])),
            *("--owner", f"owner@{site.key}.test", "--member", f"member@{site.key}.test"),
            *("--mailbox", str(mailbox(server))),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "every answer was the right one"
    assert any("after nine comments" in line and "403" in line for line in lines)
    assert any("lacks the scope comments:write" in line for line in lines)


def mailbox(server: Server) -> Path:
    """Where a server of the tests puts its mail."""
    return server.log.parent / "mailbox"
