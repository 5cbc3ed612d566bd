"""Call of the REST API in this process by the MCP server: the request enters where one from the network does, as bytes,
with the client address and token of the agent's own request.
"""

from __future__ import annotations

import io
import sys
from typing import Any, Final, NamedTuple

from forumapi.request import processor
from forumapi.request.context import Context
from forumapi.request.handler import AUDIENCE

# Members of the agent's request that the call takes over, beside its token.
_KEPT: Final = (
    "HTTP_HOST",
    "HTTP_USER_AGENT",
    "HTTP_X_FORUMAPI_FRONT_END",
    "HTTP_X_FORUMAPI_VISITOR",
    "HTTP_X_FORWARDED_FOR",
    "REMOTE_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "forumapi.is_gone",
    "forumapi.time_limit",
    "wsgi.url_scheme",
)


class ToolReply(NamedTuple):
    """Answer of the API to a call, of any status: `headers` by name in lower case, `body` b"" for none."""

    status: int
    headers: dict[str, str]
    body: bytes


def call(
    ctx: Context, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> ToolReply:
    """Send one request to the API of the site of `ctx`, the agent's own request, with that request's token and client
    address; return the whole answer, whatever its status. The agent's request must hold no database connection any
    more.

    `path` is not percent-encoded, `query` is; `method`: of HTTP; `headers`: by the names that WSGI gives them, such as
    HTTP_PREFER; `body`: b"" for none. Raises AssertionError for an operation that streams or takes over the connection.
    """
    outer = ctx.environ
    environ: dict[str, Any] = {name: outer[name] for name in _KEPT if name in outer}
    environ |= {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {ctx.token}",
        "HTTP_X_REQUEST_ID": ctx.request_id,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        # No request from the network has such a member: the token that is good here alone is good for this call.
        AUDIENCE: ctx.identity.audience,
        **headers,
    }
    line, fields, data = processor.respond(ctx.app, environ)
    assert isinstance(data, bytes), "no tool's operation streams or takes over the connection"
    return ToolReply(int(line[:3]), {name.lower(): value for name, value in fields}, data)
