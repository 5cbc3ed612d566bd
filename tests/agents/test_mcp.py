"""The MCP endpoint: who is let in, the protocol's refusals, tools by level and scope, and what stands where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from forumapi.agents import tools
from tests.agents.stage import MCP, META, SAFE, ask, call, data_of, key, let_in, old
from tests.factories import Site
from tests.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("agents")) as made:
        yield made


@pytest.fixture(scope="module")
def site(stage: Stage) -> Site:
    """A site whose agents may do all that there is."""
    made = stage.make.site()
    let_in(stage, made, "write")
    return made


@pytest.fixture(scope="module")
def token(stage: Stage, site: Site) -> str:
    """A member's key for agents, with all scopes but that of huddles."""
    return key(stage, site.member)


def names(answer: Any) -> set[str]:
    return {tool["name"] for tool in answer.json()["result"]["tools"]}


# ---------------------------------------------------------------- who is let in


def test_agents_are_off_until_the_owner_lets_them_in(stage: Stage) -> None:
    site = stage.make.site()
    token = key(stage, site.member)

    assert stage.get("/site/options", by=site.owner).data["agents"] == "off"
    assert ask(stage, site, token, "tools/list").status == 404
    assert ask(stage, site, "", "tools/list").status == 404
    assert (
        stage.request("GET", "/.well-known/oauth-protected-resource", site=site, below="").status
        == 404
    )
    assert stage.put("/site/options", {"agents": "read"}, by=site.member).status == 403
    assert stage.put("/site/options", {"agents": "all"}, by=site.owner).status == 400

    let_in(stage, site, "read")
    assert ask(stage, site, token, "tools/list").status == 200
    let_in(stage, site, "off")
    assert ask(stage, site, token, "tools/list").status == 404


def test_a_guest_is_told_where_to_get_a_token(stage: Stage, site: Site) -> None:
    answer = ask(stage, site, "", "tools/list")

    assert answer.status == 401
    challenge = answer.headers["WWW-Authenticate"]
    address = challenge.removeprefix('Bearer resource_metadata="').removesuffix('"')
    path = "/.well-known" + address.partition("/.well-known")[2]
    assert path == "/.well-known/oauth-protected-resource/api/v1/mcp"
    for one in (path, "/.well-known/oauth-protected-resource"):
        metadata = stage.request("GET", one, site=site, below="").json()
        assert metadata["resource"] == f"{metadata['authorization_servers'][0]}/api/v1/mcp"
        assert site.host in metadata["resource"]
        assert {"conversations:read", "drafts:write"} < set(metadata["scopes_supported"])
    assert ask(stage, site, "a" * 128, "tools/list").headers["WWW-Authenticate"] == challenge


def test_a_token_is_good_for_its_audience_alone(stage: Stage, site: Site, token: str) -> None:
    other = stage.make.site()
    let_in(stage, other, "write")
    plain = key(stage, site.member, agents=False)

    assert ask(stage, site, plain, "tools/list").status == 401
    assert ask(stage, site, site.member.token, "tools/list").status == 401
    assert ask(stage, other, token, "tools/list").status == 401
    for path in ("/conversations", "/whoami", "/live/poll"):
        assert stage.get(path, site=site, token=token).status == 401, path
    refused = stage.post("/comments", {"itemType": "profile"}, site=site, token=token)
    assert (refused.status, refused.code) == (401, 7)
    # No header makes the request a tool's.
    headers = {"Forumapi-Audience": "mcp", "Forumapi.Audience": "mcp"}
    assert stage.get("/conversations", site=site, token=token, headers=headers).status == 401


def test_pages_of_other_origins_are_refused(stage: Stage, site: Site, token: str) -> None:
    own = f"{stage.config.scheme}://{site.host}{stage.config.port_suffix}"

    for origin in ("https://evil.example", "null", f"{own}.evil.example", f"https://{site.host}:1"):
        answer = ask(stage, site, token, "tools/list", headers={"Origin": origin})
        assert answer.status == 403, origin
    assert ask(stage, site, token, "tools/list", headers={"Origin": own}).status == 200


def test_other_methods_are_not_allowed(stage: Stage, site: Site, token: str) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer = stage.request(method, MCP, site=site, token=token)
        assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS,POST")


# ---------------------------------------------------------------- the protocol


def test_the_protocol_refuses_what_is_no_message(stage: Stage, site: Site, token: str) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for body, status, code in (
        (b"", 400, -32700),
        (b"{", 400, -32700),
        (b"[" * 100_000, 400, -32700),
        (b"[]", 400, -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', 400, -32600),
        (b"1", 400, -32600),
        (b'{"id": 1, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', 400, -32602),
    ):
        answer = stage.post(MCP, raw=(body, "application/json"), site=site, token=token)
        found = answer.json()
        assert (answer.status, found["error"]["code"]) == (status, code), body
        assert found["jsonrpc"] == "2.0" and "id" in found
    wrong = {"MCP-Protocol-Version": "2024-11-05"}
    answer = stage.post(MCP, request, site=site, token=token, headers=wrong)
    assert (answer.status, answer.json()["error"]["code"]) == (400, -32022)
    assert answer.json()["error"]["data"]["requested"] == "2024-11-05"
    too_large = b'{"a": "%s"}' % (b"x" * stage.config.request_body_limit)
    answer = stage.post(MCP, raw=(too_large, "application/json"), site=site, token=token)
    assert answer.status == 413


def test_a_notification_is_not_answered(stage: Stage, site: Site, token: str) -> None:
    message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = stage.post(MCP, message, site=site, token=token)

    assert (answer.status, answer.body) == (202, b"")


def test_the_older_revisions_begin_with_a_handshake(stage: Stage, site: Site, token: str) -> None:
    for asked, answered in (
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
    ):
        params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {}}
        result = old(stage, site, token, "initialize", params).json()["result"]
        assert result["protocolVersion"] == answered
        assert result["serverInfo"]["name"] == "forumapi"
        assert set(result["capabilities"]) == {"tools", "resources", "prompts"}
    assert old(stage, site, token, "ping").json()["result"] == {}
    assert "resultType" not in old(stage, site, token, "tools/list").json()["result"]


def test_an_older_client_gets_refusals_as_answers(stage: Stage, site: Site, token: str) -> None:
    # The clients of these revisions end their session with any other status.
    for method, params, code in (
        ("initialize", {}, -32602),
        ("server/discover", {}, -32601),
        ("completion/complete", {}, -32601),
        ("tools/call", {"name": "drop_everything"}, -32602),
        ("tools/list", {"cursor": "x"}, -32602),
        ("prompts/get", {"name": "drop_everything"}, -32602),
        ("resources/read", {"uri": "test://nothing"}, -32602),
    ):
        answer = old(stage, site, token, method, params)
        assert (answer.status, answer.json()["error"]["code"]) == (200, code), method


def test_a_stateless_request_repeats_itself(stage: Stage, site: Site, token: str) -> None:
    found = ask(stage, site, token, "server/discover").json()["result"]
    assert found["supportedVersions"][0] == "2026-07-28"
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")

    def code(params: dict[str, Any], **headers: str) -> tuple[int, int]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = ask(stage, site, token, "tools/call", params, headers=sent)
        return answer.status, answer.json()["error"]["code"]

    good = {"name": "list_forums"}
    assert code({**good, "_meta": {}}) == (400, -32602)
    assert code(good, MCP_Protocol_Version="2025-11-25") == (400, -32020)
    assert code(good, Mcp_Method="tools/list") == (400, -32020)
    assert code(good, Mcp_Name="search") == (400, -32020)
    assert code(good, Mcp_Name="=?base64?!?=") == (400, -32020)
    future = {**META, "io.modelcontextprotocol/protocolVersion": "2027-01-01"}
    assert code({**good, "_meta": future}, MCP_Protocol_Version="2027-01-01") == (400, -32022)
    assert code({"name": "drop_everything"}) == (400, -32602)
    assert code({**good, "arguments": []}) == (400, -32602)
    encoded = ask(
        *(stage, site, token, "tools/call", good),
        headers={"Mcp-Name": "=?base64?bGlzdF9mb3J1bXM=?="},
    )
    assert encoded.status == 200
    answer = ask(stage, site, token, "tools/list", {"cursor": "x"})
    assert (answer.status, answer.json()["error"]["code"]) == (400, -32602)
    assert ask(stage, site, token, "ping").status == 404


# ---------------------------------------------------------------- tools


def test_tools_are_those_of_the_level_and_of_the_token(stage: Stage) -> None:
    site = stage.make.site()
    token = key(stage, site.member)
    few = key(stage, site.member, ["conversations:read", "drafts:write"])
    private = key(stage, site.member, [tools.HUDDLES, "drafts:write", "watchers:write"])
    seen = {}
    for level in tools.LEVELS[1:]:
        let_in(stage, site, level)
        seen[level] = [names(ask(stage, site, one, "tools/list")) for one in (token, few, private)]

    by_level = {
        level: {t.name for t in tools.TOOLS if t.level == level} for level in tools.LEVELS[1:]
    }
    huddles = {"list_huddles", "get_huddle"}
    assert seen["read"][0] == by_level["read"] - huddles
    assert seen["draft"][0] == seen["read"][0] | by_level["draft"]
    assert seen["write"][0] == seen["draft"][0] | by_level["write"]
    assert seen["read"][1] == {"list_conversations", "get_conversation"}
    assert seen["write"][1] == seen["read"][1] | {"save_draft"}
    assert seen["write"][2] == huddles | {"save_draft", "follow"}

    let_in(stage, site, "draft")
    result = call(stage, site, token, "create_comment", itemType="profile", itemId=1, markdown="x")
    assert result["isError"] and result["structuredContent"]["error"] == {"code": "level_too_low"}
    result = call(stage, site, few, "list_events")
    assert result["structuredContent"]["error"] == {
        "code": "insufficient_scope",
        "scope": "events:read",
    }


def test_tools_read_or_add_and_destroy_nothing() -> None:
    # A tool that removes or moderates would need the ticket of a dry run, which none takes.
    adding = {
        (tool.verb, re.sub(r"<(?:\w+:)?\w+>", "{}", route))
        for tool in tools.TOOLS
        if tool.verb != "GET"
        for route in tool.routes.values()
    }
    things = ("conversations", "events", "polls")
    assert adding == {
        ("POST", "/api/v1/comments"),
        ("POST", "/api/v1/conversations"),
        ("POST", "/api/v1/preview"),
        ("POST", "/api/v1/watchers"),
        ("PUT", "/api/v1/events/{}/attendees/{}"),
        *(("PUT", f"/api/v1/{one}/{{}}/draft") for one in ("huddles", "profiles", *things)),
        *(("PUT", f"/api/v1/{one}/{{}}/bookmark") for one in ("comments", *things)),
        *(("PUT", f"/api/v1/{one}/{{}}/reactions/{{}}") for one in ("comments", *things)),
    }


def test_schemas_of_tools_stand_by_themselves(stage: Stage) -> None:
    for tool in tools.TOOLS:
        shown = tools.described(stage.app.site_routes, tool)
        for name in ("inputSchema", "outputSchema"):
            schema = msgspec.to_builtins(shown[name])
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert '"$ref"' not in json.dumps(schema), tool.name


def test_who_reads_huddles_does_not_publish(stage: Stage, site: Site) -> None:
    body = {"name": "x", "scopes": [tools.HUDDLES, "comments:write"], "forAgents": True}
    refused = stage.post("/keys", body, by=site.member)
    assert (refused.status, "scopes" in refused.error) == (400, True)
    assert stage.post("/keys", {**body, "forAgents": False}, by=site.member).status == 200

    # A token that has both all the same, for a scope that came to publish later.
    token = key(stage, site.member, [tools.HUDDLES])
    stage.sql(
        "UPDATE access_tokens SET scopes = %(scopes)s WHERE audience = 'mcp' AND user_id = %(user)s"
        " AND scopes = %(old)s RETURNING 1",
        scopes=[tools.HUDDLES, *SAFE],
        old=[tools.HUDDLES],
        user=site.member.user_id,
    )
    shown = names(ask(stage, site, token, "tools/list"))
    assert {"get_huddle", "save_draft"} <= shown and "create_comment" not in shown
    result = call(stage, site, token, "create_comment", itemType="profile", itemId=1, markdown="x")
    assert result["structuredContent"]["error"] == {"code": "reads_huddles"}


def test_an_agent_reads_drafts_and_writes(stage: Stage, site: Site, token: str) -> None:
    forum = stage.make.microcosm(site)
    made = call(
        *(stage, site, token, "create_conversation"),
        microcosmId=forum.id,
        title="Hubs",
        idempotencyKey="once",
    )
    again = call(
        *(stage, site, token, "create_conversation"),
        microcosmId=forum.id,
        title="Hubs",
        idempotencyKey="once",
    )
    id = data_of(made)["id"]
    assert made["structuredContent"]["status"] == 201
    assert data_of(again)["id"] == id

    draft = call(
        stage, site, token, "save_draft", itemType="conversation", id=id, content={"markdown": "Hm"}
    )
    assert data_of(draft)["version"] == 1
    assert data_of(
        call(stage, site, token, "get_draft", itemType="conversation", id=id)
    ) == data_of(draft)
    comment = call(
        stage, site, token, "create_comment", itemType="conversation", itemId=id, markdown="Yes"
    )
    liked = call(
        *(stage, site, token, "react"),
        itemType="comment",
        id=data_of(comment)["id"],
        reaction="like",
    )
    assert data_of(liked)["reactions"][0]["own"] is True
    assert (
        call(stage, site, token, "bookmark", itemType="conversation", id=id).get("isError") is None
    )
    assert (
        call(stage, site, token, "follow", itemType="microcosm", itemId=forum.id).get("isError")
        is None
    )
    shown = data_of(call(stage, site, token, "get_conversation", id=id))
    assert shown["comments"]["items"][0]["markdown"] == "Yes"
    assert shown == stage.get(f"/conversations/{id}", by=site.member).data


def test_on_a_read_only_site_an_agent_reads(stage: Stage, site: Site, token: str) -> None:
    chat = stage.make.conversation(site)
    stage.sql(
        """WITH held AS (INSERT INTO site_states (site_id, state) VALUES (%(id)s, 'read-only') RETURNING site_id)
           UPDATE sites SET version = version + 1 FROM held WHERE sites.site_id = held.site_id RETURNING 1""",
        id=site.id,
    )
    stage.app.sites.forget(site.id)
    where = {"itemType": "conversation", "itemId": chat.id}
    assert data_of(call(stage, site, token, "get_conversation", id=chat.id))["id"] == chat.id
    assert call(stage, site, token, "create_comment", **where, markdown="Hi")["isError"] is True
    stage.sql("DELETE FROM site_states WHERE site_id = %(id)s RETURNING 1", id=site.id)
    stage.app.sites.forget(site.id)


def test_wrong_arguments_are_results_that_a_model_can_act_on(
    stage: Stage, site: Site, token: str
) -> None:
    for tool, arguments, words in (
        ("get_conversation", {}, "id: is required"),
        ("get_conversation", {"id": "1"}, "id: must be"),
        ("get_conversation", {"id": True}, "id: must be"),
        ("get_conversation", {"id": 0}, "id: must be"),
        ("get_conversation", {"id": 1, "path": "/../keys"}, "no argument of this name"),
        ("get_conversation", {"id": 1, "limit": 7}, "limit: must be one of"),
        ("get_conversation", {"id": 1, "limit": 250}, "limit: must be one of"),
        ("get_conversation", {"id": 1, "cursor": "access_token=x"}, "cursor: must be"),
        ("get_conversation", {"id": 1, "cursor": "offset=25&limit=250"}, "cursor: must be"),
        ("react", {"itemType": "huddle", "id": 1, "reaction": "like"}, "itemType: must be"),
        ("react", {"itemType": "comment", "id": 1, "reaction": "../../x"}, "reaction: must"),
        ("search", {"q": ["a"]}, "q: must be a text"),
        ("search", {"q": "a" * 2000}, "q: must be a text"),
    ):
        result = call(stage, site, token, tool, **arguments)
        assert result["isError"], (tool, arguments)
        assert words in data_of(result)["errorDetail"], (tool, arguments)
    for tool, arguments, status, code in (
        ("get_conversation", {"id": 2**62}, 403, "no_read"),
        ("create_comment", {"itemType": "conversation", "itemId": 2**62, "markdown": "x"}, 403, ""),
        ("create_conversation", {"microcosmId": 1, "title": {}}, 400, ""),
        ("list_conversations", {"cursor": "offset=100000"}, 400, "out_of_range"),
        ("get_forum", {"id": 10**19}, 400, "invalid_arguments"),
    ):
        result = call(stage, site, token, tool, **arguments)
        found = result["structuredContent"]
        assert result["isError"] and found["status"] == status, (tool, found)
        assert not code or found["error"]["code"] == code, (tool, found)


def test_an_agent_that_floods_is_told_how_long_to_wait(database_url: str, tmp_path: Path) -> None:
    with staged(database_url, tmp_path, comment_rate_per_minute=2) as stage:
        site = stage.make.site()
        let_in(stage, site, "write")
        thread = stage.make.conversation(site)
        token = key(stage, site.member)
        where = {"itemType": "conversation", "itemId": thread.id}

        results = [
            call(stage, site, token, "create_comment", **where, markdown=f"{n}") for n in range(4)
        ]

        assert [one["structuredContent"]["status"] for one in results] == [201, 201, 429, 429]
        error = results[-1]["structuredContent"]["error"]
        assert results[-1]["isError"] and 0 < error["retryAfterSeconds"] <= 60
        # It may still read.
        assert (
            data_of(call(stage, site, token, "get_conversation", id=thread.id))["id"] == thread.id
        )


def test_a_result_is_bounded(stage: Stage, site: Site, token: str) -> None:
    thread = stage.make.conversation(site)
    for _ in range(4):
        stage.make.comment(thread, markdown="word " * 6_000)

    result = call(stage, site, token, "get_conversation", id=thread.id)

    found = result["structuredContent"]
    assert found["truncated"] is True and "isError" not in result
    assert len(result["content"][0]["text"]) <= 100_000
    texts = [one["markdown"] for one in data_of(result)["comments"]["items"]]
    assert {len(text) for text in texts} == {5_000 + len("… [cut]")}
    short = call(stage, site, token, "list_conversations")
    assert "truncated" not in short["structuredContent"]
