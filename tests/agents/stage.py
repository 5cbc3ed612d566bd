"""A site that lets agents in, people with keys for agents, and messages to its MCP endpoint."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from forumapi.agents import tools
from forumapi.agents.tool_calls import DATA
from tests.api import Response
from tests.factories import Person, Site
from tests.stage import Stage

MCP = "/mcp"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
SAFE = sorted({scope for tool in tools.TOOLS for scope in tool.scopes} - {tools.HUDDLES})
_ids = itertools.count(1)


def let_in(stage: Stage, site: Site, level: str) -> None:
    """Set the level of a site, as its owner does."""
    answer = stage.put("/site/options", {"agents": level}, by=site.owner)
    assert answer.status == 302, answer.body


def key(stage: Stage, person: Person, scopes: Iterable[str] = SAFE, *, agents: bool = True) -> str:
    """The secret of a new API key of a person, for agents or for the REST API."""
    body = {"name": "Agent", "scopes": [*scopes], "forAgents": agents}
    answer = stage.post("/keys", body, by=person)
    assert answer.status == 200, answer.body
    return str(answer.data["secret"])


def ask(
    stage: Stage,
    site: Site,
    token: str,
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send a request of the stateless revision, complete with its headers."""
    sent: dict[str, Any] = {"_meta": META, **(params or {})}
    given = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if named := sent.get("name") or sent.get("uri"):
        given["Mcp-Name"] = str(named)
    message = {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": sent}
    return stage.post(MCP, message, site=site, token=token, headers={**given, **(headers or {})})


def old(
    stage: Stage, site: Site, token: str, method: str, params: Mapping[str, Any] | None = None
) -> Response:
    """Send a request of a revision with `initialize`."""
    message = {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": params or {}}
    return stage.post(MCP, message, site=site, token=token)


def call(stage: Stage, site: Site, token: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return its result."""
    answer = ask(stage, site, token, "tools/call", {"name": tool, "arguments": arguments})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()["result"]
    return found


def data_of(result: Mapping[str, Any]) -> Any:
    """The REST API's data in a result."""
    return result["structuredContent"][DATA]
