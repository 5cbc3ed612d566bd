"""MCP endpoint of a site, where agents use the API with tools, and its metadata. Wire: docs/api/agents.md.

A request holds one message of JSON-RPC and an answer one JSON document: there are no sessions and no streams. Refusals
that come before the message is looked at (no token, too many requests) are those of the API.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from forumapi.agents import jsonrpc, mcp_server, tools
from forumapi.agents.jsonrpc import INTERNAL_ERROR, ProtocolError
from forumapi.auth.oauth_request_validator import RESOURCE_PATH
from forumapi.errors import TOKEN_INVALID, Forbidden, NotFound, Unauthorized
from forumapi.models.access.access_token import AGENTS
from forumapi.models.access.identity import WITH_AGENT_LEVEL, IdentityQuery
from forumapi.observability.log import logger
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, LOGIN, Handler, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.wire.json_fragments import dumps

METADATA: Final = f"/.well-known/oauth-protected-resource{RESOURCE_PATH}"
_JSON: Final = "application/json"


def resource(ctx: Context) -> str:
    """Return the address of the site's MCP endpoint (RFC 8707, RFC 9728): on the site's own domain for a request that
    came there, else on the site's subdomain of the platform.
    """
    host = ctx.environ.get("HTTP_HOST", "").lower()
    own = ctx.site.url
    return f"{own if urlsplit(own).netloc.lower() == host else ctx.site.origin}{RESOURCE_PATH}"


def _check_on(ctx: Context) -> None:
    if ctx.site.agents == tools.OFF:
        raise NotFound("There is nothing at this address")


class McpHandler(Handler):
    """MCP server of the site."""

    audience = AGENTS
    identity = IdentityQuery(WITH_AGENT_LEVEL)
    resource_metadata = METADATA
    error_form = "JsonRpc"
    also_answers = {"POST": (202, 401)}

    def locate(self, ctx: Context) -> Located | None:
        """Check the request, and return None, since the request is about no object of the site. Raises NotFound where
        agents are off, Forbidden for a page of another origin and for the token of a person who turned agents off,
        Unauthorized for a guest.
        """
        _check_on(ctx)
        origin = ctx.environ.get("HTTP_ORIGIN")
        if origin is not None and origin not in (ctx.site.origin, ctx.site.url):
            raise Forbidden("Pages of other sites may not call this address")
        if ctx.identity.is_guest:
            raise Unauthorized("Agents need a token that was made for them", code=TOKEN_INVALID)
        if tools.level_of(ctx) == tools.OFF:
            raise Forbidden("The person of this token lets agents do nothing here")
        return None

    @needs(LOGIN, answer=dict[str, Any], media_type=_JSON)
    def post(self, ctx: Context) -> Result:
        """Answer one message of the Model Context Protocol (JSON-RPC 2.0), with a token that was made for agents.

        404 where the site's owner has not turned agents on; 401 without such a token; 403 for a page of another origin,
        and where the token's person has turned agents off; 202, without a body, for a notification. Errors are those of
        JSON-RPC, with the status 400, 404 or 500 by their kind, else 200; in revisions that begin with `initialize`
        200 wherever the message was read.
        """
        raw = ctx.raw_body
        # A tool's request is one of its own, with a connection of its own.
        ctx.end_writer()
        sent: Any = None
        message = None
        try:
            sent = jsonrpc.decoded(raw)
            message = jsonrpc.parsed(sent, ctx.environ)
            if message.id is None:
                return RawResponse(b"", _JSON, (), 202)
            return RawResponse(jsonrpc.answer(message.id, mcp_server.run(ctx, message)), _JSON)
        except ProtocolError as error:
            body = jsonrpc.refusal(jsonrpc.id_of(sent), error)
            return RawResponse(body, _JSON, (), jsonrpc.status_of(error, message))
        except Exception:  # noqa: BLE001 - the client waits for an answer in its own protocol
            logger.exception("request %s failed: a message of an agent", ctx.request_id)
            failure = ProtocolError(INTERNAL_ERROR, "Internal error")
            return RawResponse(jsonrpc.refusal(jsonrpc.id_of(sent), failure), _JSON, (), 500)


class McpMetadataHandler(Handler):
    """Metadata of the MCP endpoint as a protected resource (RFC 9728)."""

    ignores_token = True

    @needs(ANYONE, answer=dict[str, Any], media_type=_JSON)
    def get(self, ctx: Context) -> Result:
        """The address of the site's MCP endpoint, the OAuth provider that makes tokens for it, and the scopes needed by
        the tools that the site's level of agents allows; 404 where the site's owner has not turned agents on.
        """
        _check_on(ctx)
        level = tools.LEVELS.index(ctx.site.agents)
        needed = {
            scope
            for tool in tools.TOOLS
            if tools.LEVELS.index(tool.level) <= level
            for scope in tool.scopes
        }
        document = {
            "resource": resource(ctx),
            "authorization_servers": [ctx.site.origin],
            "scopes_supported": sorted(needed),
            "bearer_methods_supported": ["header"],
            "resource_name": "forumapi",
            "resource_documentation": f"{ctx.site.origin}/api/v1/docs",
        }
        return RawResponse(dumps(document), _JSON)
