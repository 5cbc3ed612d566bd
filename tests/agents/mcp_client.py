"""Client of PyPI's `mcp`, run as a program of its own: reads a plan as JSON, writes what it saw as JSON.

All hosts are on loopback here, whatever their names. `mode` of the plan: "auto", "legacy" (a revision with
`initialize`) or a stateless revision; with `client_id` in place of `token` it gets its tokens by OAuth, and plays the
person at the consent page too, whose cookie is `cookie`.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)


class Local(httpx2.AsyncHTTPTransport):
    """The way to a server on loopback; the header Host stays."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._address = address

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(host=self._address[0], port=self._address[1])
        return await super().handle_async_request(request)


class Storage(TokenStorage):
    """Tokens in memory, and a client that was registered beforehand."""

    def __init__(self, client: OAuthClientInformationFull) -> None:
        self.tokens: OAuthToken | None = None
        self._client = client

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


class Consent:
    """A person who is signed in at the consent page and allows what is asked."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._location = ""

    async def open(self, url: str) -> None:
        """Open the page that the client sends the person to, and press its button."""
        headers = {"Cookie": f"oauth={self._plan['cookie']}"}
        async with httpx2.AsyncClient(transport=Local(tuple(self._plan["address"]))) as browser:
            page = await browser.get(url, headers=headers)
            form = {"step": "allow"}
            for name in ("csrf", "scopes"):
                found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
                assert found, page.text
                form[name] = html.unescape(found[1])
            sent = await browser.post(url, data=form, headers=headers)
        assert sent.status_code == 303, sent.text
        self._location = sent.headers["Location"]

    async def answer(self) -> AuthorizationCodeResult:
        """Return what the browser was sent back with."""
        query = {name: one[0] for name, one in parse_qs(urlsplit(self._location).query).items()}
        return AuthorizationCodeResult(
            code=query["code"], state=query.get("state"), iss=query.get("iss")
        )


async def play(plan: dict[str, Any]) -> dict[str, Any]:
    """Use the site's tools as the plan says and return what came back."""
    auth, storage, headers = None, None, {}
    if "token" in plan:
        headers["Authorization"] = f"Bearer {plan['token']}"
    else:
        callback = "https://client.example/back"
        known = {"redirect_uris": [callback], "token_endpoint_auth_method": "none"}
        scope = " ".join(plan["scopes"])
        consent = Consent(plan)
        storage = Storage(
            OAuthClientInformationFull(
                client_id=str(plan["client_id"]), scope=scope, issuer=plan["issuer"], **known
            )
        )
        auth = OAuthClientProvider(
            plan["url"],
            OAuthClientMetadata(client_name="Reader", scope=scope, **known),
            storage,
            redirect_handler=consent.open,
            callback_handler=consent.answer,
        )
    transport = Local(tuple(plan["address"]))
    async with httpx2.AsyncClient(transport=transport, headers=headers, auth=auth) as http:
        to_server = streamable_http_client(plan["url"], http_client=http)
        async with Client(to_server, mode=plan["mode"]) as client:
            tools = (await client.list_tools()).tools
            read = await client.call_tool("get_conversation", {"id": plan["id"]})
            refused = await client.call_tool("get_conversation", {"id": 2**40})
            draft = await client.call_tool(
                "save_draft",
                {"itemType": "conversation", "id": plan["id"], "content": {"markdown": "Hm"}},
            )
            resource = await client.read_resource(plan["resource"])
            prompt = await client.get_prompt(
                "summarize_conversation", {"conversationId": str(plan["id"])}
            )
            shapes = [
                await client.list_resources(),
                await client.list_resource_templates(),
                await client.list_prompts(),
            ]
            return {
                "tools": [tool.name for tool in tools],
                "read": read.structured_content,
                "refused": [refused.is_error, refused.structured_content],
                "draft": draft.structured_content,
                "resource": resource.contents[0].model_dump(mode="json")["text"],
                "prompt": prompt.messages[0].content.model_dump(mode="json")["text"],
                "lists": [len(str(shape)) for shape in shapes],
                "token": storage.tokens.access_token if storage and storage.tokens else "",
            }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(play(json.load(sys.stdin)))))
