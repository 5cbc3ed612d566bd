"""The client of PyPI's `mcp` against the MCP endpoint over HTTP: each kind of revision with a key, and with OAuth."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api
from tests.auth.consent import Client, page_cookie
from tests.factories import Factory, Site, Thing
from tests.fixtures import PROJECT

SCOPES = ("conversations:read", "drafts:write")
# In place of a model, and of names that are known to the tests alone.
MODEL = """
import json, sys
told = json.load(sys.stdin)
comments = [one for page in told["untrustedUserContent"] for one in page["comments"]["items"]]
print(told["instruction"].split()[0], len(comments))
"""
NAMES = """
import socket
known = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **how: known("127.0.0.1", *more, **how)
"""
METADATA = "/.well-known/oauth-protected-resource"


@pytest.fixture
def site(api: Api, make: Factory) -> Site:
    made = make.site()
    answer = api.request("PUT", "/api/v1/site/options", by=made.owner, json={"agents": "draft"})
    assert answer.status == 302
    return made


@pytest.fixture
def thread(make: Factory, site: Site) -> Thing:
    made = make.conversation(site)
    make.comments(made, 3)
    return made


def play(api: Api, site: Site, thread: Thing, mode: str, **more: Any) -> dict[str, Any]:
    """Run the client by a plan and return what it saw."""
    metadata = api.get(METADATA, site=site).json()
    issuer = metadata["authorization_servers"][0]
    plan = {
        "url": metadata["resource"],
        "address": list(api.address),
        "mode": mode,
        "id": thread.id,
        "issuer": issuer,
        "resource": f"{issuer}/api/v1/conversations/{thread.id}",
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.agents.mcp_client"],
        input=json.dumps(plan),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    rest = api.get(f"/api/v1/conversations/{thread.id}", by=site.member).data
    assert seen["tools"] == ["list_conversations", "get_conversation", "save_draft"]
    assert seen["read"]["status"] == 200
    assert seen["read"]["untrustedUserContent"]["comments"]["total"] == 3
    assert seen["read"]["untrustedUserContent"]["title"] == rest["title"]
    assert seen["refused"][0] is True and seen["refused"][1]["status"] == 403
    # The token may not read drafts.
    assert seen["draft"] == {"status": 302, "untrustedUserContent": None}
    draft = api.get(f"/api/v1/conversations/{thread.id}/draft", by=site.member).data
    assert draft["content"] == {"markdown": "Hm"}
    assert json.loads(seen["resource"])["untrustedUserContent"]["id"] == thread.id
    assert f"conversation {thread.id}" in seen["prompt"]
    return seen


@pytest.mark.wide
@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_the_client_speaks_each_kind_of_revision(
    api: Api, site: Site, thread: Thing, mode: str
) -> None:
    body = {"name": "Agent", "scopes": [*SCOPES], "forAgents": True}
    key = api.post("/api/v1/keys", body, by=site.member).data["secret"]

    play(api, site, thread, mode, token=key)


@pytest.mark.wide
def test_the_client_gets_its_token_by_oauth(
    api: Api, make: Factory, site: Site, thread: Thing
) -> None:
    client = Client.registered(api, make, site, scopes=SCOPES)
    cookie = page_cookie(make, site.member, site)
    seen = play(*(api, site, thread, "auto"), client_id=client.id, cookie=cookie, scopes=[*SCOPES])

    assert seen["token"].startswith("fapi")
    assert not client.works(seen["token"])
    (grant,) = api.get("/api/v1/oauth/grants", by=site.member).data["grants"]["items"]
    assert grant["forAgents"] is True


@pytest.mark.wide
def test_the_documented_agent_summarizes_and_drafts(
    api: Api, make: Factory, site: Site, thread: Thing, tmp_path: Path
) -> None:
    page = (PROJECT / "docs" / "api" / "agents.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "agent.py").write_text(NAMES + program, encoding="utf-8")
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    # More than a page.
    make.comments(thread, 30)

    def run(*scopes: str) -> subprocess.CompletedProcess[str]:
        body = {"name": "Agent", "scopes": [*scopes], "forAgents": True}
        return subprocess.run(
            [sys.executable, "agent.py", str(thread.id)],
            cwd=tmp_path,
            env={
                **os.environ,
                "SITE": f"http://{site.host}:{api.address[1]}",
                "KEY": api.post("/api/v1/keys", body, by=site.member).data["secret"],
                "MODEL": f"{sys.executable} model.py",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = run(*SCOPES)

    assert done.stdout == "Summarize: 33\n", done.stderr[-2000:]
    there = f"/api/v1/conversations/{thread.id}"
    draft = api.get(f"{there}/draft", by=site.member).data
    assert draft["content"] == {"markdown": "Write 33"} and draft["meta"]["byAgent"] is True
    assert api.get(there, by=site.member).data["comments"]["total"] == 33
    # Without the scope of drafts there is no such tool.
    refused = run("conversations:read")
    assert refused.returncode and refused.stdout == "Summarize: 33\n"
