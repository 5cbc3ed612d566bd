"""The bot of docs/api/bots.md, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_weekend_forum import NAMES
from tests.factories import Factory
from tests.fixtures import PROJECT, Server

pytestmark = [pytest.mark.wide, pytest.mark.slow]


def test_the_bot_welcomes_whoever_begins_a_conversation(
    package: Any, server: Server, make: Factory, tmp_path: Path
) -> None:
    api, site = server.api(), make.site()
    page = (PROJECT / "docs" / "api" / "bots.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "bot.py").write_text(NAMES + program, encoding="utf-8")
    wanted = {
        "profileName": "Greeter",
        "scopes": ["live:read", "conversations:read", "comments:read", "comments:write"],
    }
    bot = api.post("/api/v1/bots", wanted, by=site.owner).data
    process = subprocess.Popen(
        [sys.executable, "bot.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(package.__file__).parents[1]),
            "SITE": f"http://{site.host}:{server.address[1]}",
            "KEY": bot["secret"],
        },
    )
    try:
        welcomed: list[dict[str, Any]] = []
        begun: list[str] = []
        deadline = time.monotonic() + 60
        while not welcomed:
            assert process.poll() is None and time.monotonic() < deadline
            # Those that began before the bot followed are not welcomed.
            body = {"microcosmId": site.root_id, "title": f"New here {len(begun)}"}
            made = api.post("/api/v1/conversations", body, by=site.member)
            begun.append(made.headers["Location"])
            time.sleep(3)
            shown = [api.get(one, by=site.member).data for one in begun]
            welcomed = [one for one in shown if one["comments"]["items"]]
    finally:
        process.kill()
        process.wait()
        api.close()

    (welcome,) = welcomed[0]["comments"]["items"]
    name = welcomed[0]["meta"]["createdBy"]["profileName"]
    assert f"Welcome, {name}!" in welcome["html"]
    assert welcome["meta"]["createdBy"]["isBot"] is True
