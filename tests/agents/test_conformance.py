"""MCP's own conformance suite (npm) against the MCP endpoint: every scenario for servers, and which are none of its."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import PROJECT

NO_STREAM = "it needs messages from the server while a tool works; answers here are plain JSON"
NO_SUCH_CONTENT = "no tool, resource or prompt here has pictures, sounds or embedded resources"
NOT_OFFERED = "the server does not offer this capability"
# Scenario -> "" for one that must pass, else why it is none of this server's.
SCENARIOS: Mapping[str, str] = {
    "server-initialize": "",
    "logging-set-level": NOT_OFFERED,
    "ping": "",
    "completion-complete": NOT_OFFERED,
    "tools-list": "",
    "tools-call-simple-text": "",
    "tools-call-image": NO_SUCH_CONTENT,
    "tools-call-audio": NO_SUCH_CONTENT,
    "tools-call-embedded-resource": NO_SUCH_CONTENT,
    "tools-call-mixed-content": NO_SUCH_CONTENT,
    "tools-call-with-logging": NO_STREAM,
    "tools-call-error": "",
    "tools-call-with-progress": NO_STREAM,
    "tools-call-sampling": NO_STREAM,
    "tools-call-elicitation": NO_STREAM,
    "json-schema-2020-12": "it wants a tool of the suite's own, with its own schema",
    "elicitation-sep1034-defaults": NO_STREAM,
    "elicitation-sep1330-enums": NO_STREAM,
    "server-sse-polling": NO_STREAM,
    "server-sse-multiple-streams": "it needs sessions; each request here stands for itself",
    "resources-list": "",
    "resources-read-text": "",
    "resources-read-binary": NO_SUCH_CONTENT,
    "resources-templates-read": "",
    "resources-subscribe": NOT_OFFERED,
    "resources-unsubscribe": NOT_OFFERED,
    "prompts-list": "",
    "prompts-get-simple": "",
    "prompts-get-with-args": "it wants a prompt with two free texts; numbers alone go into prompts here",
    "prompts-get-embedded-resource": NO_SUCH_CONTENT,
    "prompts-get-with-image": NO_SUCH_CONTENT,
    "dns-rebinding-protection": "",
}

Params = dict[str, Any]


def translated(site: Site, origin: str, thread: int) -> Callable[[Params], Params]:
    """Return the function that puts names of this server for those that the suite made up."""
    known: Mapping[str, Params] = {
        "test_simple_text": {"name": "list_forums"},
        "test_error_handling": {"name": "get_conversation", "arguments": {"id": 2**40}},
        "test_simple_prompt": {
            "name": "summarize_conversation",
            "arguments": {"conversationId": str(thread)},
        },
        "test://static-text": {"uri": f"{origin}/api/v1/microcosms/tree"},
        "test://template/123/data": {"uri": f"{origin}/api/v1/conversations/{thread}"},
    }
    return lambda params: {
        **params,
        **known.get(str(params.get("name") or params.get("uri")), {}),
    }


@contextlib.contextmanager
def with_a_token(
    api: Api, site: Site, origin: str, token: str, change: Callable[[Params], Params]
) -> Iterator[str]:
    """The address of a proxy before the site's MCP endpoint, for a client that has no token and knows no host: it adds
    the token, puts the site's name for its own, and changes the `params` of messages.
    """

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            own = f"localhost:{server.server_port}"
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            message = json.loads(body) if body else {}
            if "params" in message:
                body = json.dumps({**message, "params": change(message["params"])}).encode()
            headers = {"Authorization": f"Bearer {token}"} | {
                name: {own: site.host, f"http://{own}": origin}.get(value, value)
                for name, value in self.headers.items()
                if name.lower() not in ("connection", "content-length", "transfer-encoding")
            }
            connection = http.client.HTTPConnection(*api.address, timeout=30)
            connection.request(self.command, "/api/v1/mcp", body, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in ("content-type", "allow", "www-authenticate"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            # The suite does not wait for all that it asks for.
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        do_GET = do_POST = do_DELETE = forward

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://localhost:{server.server_port}/mcp"
        finally:
            server.shutdown()


def outcomes(folder: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The checks of each scenario, by its name, from the folders that the suite wrote."""
    for file in folder.glob("server-*/checks.json"):
        name = re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*$", "", file.parent.name)
        yield name, json.loads(file.read_text())


@pytest.mark.wide
def test_every_scenario_that_applies_passes(api: Api, make: Factory, tmp_path: Path) -> None:
    modules = services.MCP_CHECKER.found()
    node = next(iter(modules.glob("node-linux-*/bin/node")), None) if modules else None
    if modules is None or node is None:
        pytest.skip("MCP's conformance suite is not installed (`scripts/testdb prepare`)")
    site = make.site()
    options = {"agents": "write"}
    assert api.request("PUT", "/api/v1/site/options", by=site.owner, json=options).status == 302
    # The number that the suite looks for in what it reads.
    thread = make.conversation(site, title="123 ways to true a wheel").id
    scopes = ["conversations:read", "comments:write", "microcosms:read"]
    body = {"name": "Suite", "scopes": scopes, "forAgents": True}
    token = api.post("/api/v1/keys", body, by=site.member).data["secret"]
    metadata = api.get("/.well-known/oauth-protected-resource", site=site).json()
    origin = metadata["authorization_servers"][0]

    suite = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    with with_a_token(api, site, origin, token, translated(site, origin, thread)) as url:
        done = subprocess.run(
            [node, suite, "server", "--suite", "all", "--url", url, "--output-dir", tmp_path],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    found = dict(outcomes(tmp_path))
    assert found.keys() == SCENARIOS.keys(), done.stderr[-2000:]
    faults = {
        name: checks
        for name, checks in found.items()
        if bool(SCENARIOS[name]) == ({check["status"] for check in checks} == {"SUCCESS"})
    }
    assert not faults
    # What does not apply is refused in words, not by a fault of the server.
    refused = "-3260[12]|not found|does not implement"
    for name, checks in found.items():
        for check in checks:
            text = check.get("errorMessage") or ""
            assert not text or re.search(refused, text), (name, check)
