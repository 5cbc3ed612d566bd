"""Messages of JSON-RPC 2.0 as MCP sends them over HTTP: one message a request, in each revision that is spoken here.

Revisions up to 2025-11-25 begin with `initialize`. Since 2026-07-28 each request stands for itself: it repeats its
revision in `params._meta` and its method and target in headers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from forumapi.wire.json_fragments import dumps

HANDSHAKE_REVISIONS: Final = ("2025-06-18", "2025-11-25")
STATELESS_REVISIONS: Final = ("2026-07-28",)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_REVISION: Final = -32022

_STATUS: Final[Mapping[int, int]] = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_REVISION: 400,
    METHOD_NOT_FOUND: 404,
}
_REVISION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
# Method -> member of its params that the header Mcp-Name repeats.
_NAMED_BY: Final[Mapping[str, str]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
}
_MOST_ID: Final = 200


class ProtocolError(Exception):
    """Refusal of a message by the protocol. `code`, of JSON-RPC or MCP, `message` and `data`: members of the error that
    the agent gets; `data` None: without it.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class AgentMessage(NamedTuple):
    """Request or notification of JSON-RPC that an agent sent. `id` None: a notification, which is not answered;
    `params`: {} for absent ones; `is_stateless`: of a revision without `initialize`.
    """

    id: int | float | str | None
    method: str
    params: dict[str, Any]
    is_stateless: bool


def id_of(sent: Any) -> int | float | str | None:
    """Return the id of the message in a decoded body; None for a body that is no object, and for an id that is neither
    a number nor a text of up to 200 characters.
    """
    found = sent.get("id") if isinstance(sent, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        return None
    return None if isinstance(found, str) and len(found) > _MOST_ID else found


def decoded(raw: bytes) -> Any:
    """Return the JSON of a body, decoded. Raises ProtocolError, code PARSE_ERROR, for a body that is no JSON."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(PARSE_ERROR, "The body is no JSON") from None


def parsed(sent: Any, headers: Mapping[str, str]) -> AgentMessage:
    """Return the decoded body `sent` as a message, checked against the headers. `headers`: WSGI environ.

    Raises ProtocolError: INVALID_REQUEST for several messages in one body, and for anything else that is no request and
    no notification; INVALID_PARAMS for `params` that are no object; INVALID_PARAMS, HEADER_MISMATCH or
    UNSUPPORTED_REVISION for a message that its revision does not allow. Of a notification's headers the revision alone
    is checked: it must be known or absent.
    """
    if isinstance(sent, list):
        raise ProtocolError(INVALID_REQUEST, "One message a request: batches are not accepted")
    if not isinstance(sent, dict) or sent.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, "The body must be a message of JSON-RPC 2.0")
    method, params = sent.get("method"), sent.get("params", {})
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "The body must be a request or a notification")
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "params must be an object")
    revision = headers.get("HTTP_MCP_PROTOCOL_VERSION", "")
    if "id" not in sent:
        _check_known(revision)
        return AgentMessage(None, method, params, revision in STATELESS_REVISIONS)
    found = id_of(sent)
    if found is None:
        raise ProtocolError(
            INVALID_REQUEST, "id must be a number or a text of up to 200 characters"
        )
    meta = params.get("_meta")
    claimed = meta.get(_REVISION_KEY) if isinstance(meta, dict) else None
    if claimed is None and revision not in STATELESS_REVISIONS:
        if method != "initialize":
            _check_known(revision)
        return AgentMessage(found, method, params, False)
    _check_envelope(method, params, revision, headers)
    return AgentMessage(found, method, params, True)


def _check_known(revision: str) -> None:
    if revision and revision not in (*HANDSHAKE_REVISIONS, *STATELESS_REVISIONS):
        raise _unsupported(revision)


def _unsupported(revision: str) -> ProtocolError:
    return ProtocolError(
        UNSUPPORTED_REVISION,
        "Unsupported protocol version",
        {
            "supported": [*STATELESS_REVISIONS, *reversed(HANDSHAKE_REVISIONS)],
            "requested": revision,
        },
    )


def _check_envelope(
    method: str, params: dict[str, Any], revision: str, headers: Mapping[str, str]
) -> None:
    """Check that a request of a stateless revision has the revision and the client's capabilities in `params._meta`,
    and that its headers repeat the revision, the method and, for a method on a tool, prompt or resource, its name or
    address, if `params` have that. `revision`: that of the headers, which are a WSGI environ. Raises ProtocolError:
    INVALID_PARAMS, HEADER_MISMATCH, or UNSUPPORTED_REVISION for a revision that is not stateless.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict) or _REVISION_KEY not in meta or _CAPABILITIES_KEY not in meta:
        text = f"params._meta must have {_REVISION_KEY} and {_CAPABILITIES_KEY}"
        raise ProtocolError(INVALID_PARAMS, text)
    if revision != meta[_REVISION_KEY]:
        text = "The header MCP-Protocol-Version must repeat the version in params._meta"
        raise ProtocolError(HEADER_MISMATCH, text)
    if revision not in STATELESS_REVISIONS:
        raise _unsupported(revision)
    if headers.get("HTTP_MCP_METHOD") != method:
        raise ProtocolError(HEADER_MISMATCH, "The header Mcp-Method must repeat the method")
    key = _NAMED_BY.get(method)
    named = params.get(key) if key else None
    if named is not None and _plain(headers.get("HTTP_MCP_NAME", "")) != named:
        raise ProtocolError(HEADER_MISMATCH, f"The header Mcp-Name must repeat params.{key}")


def _plain(value: str) -> str | None:
    """Return the value of a header, decoded if it is in base64 (`=?base64?…?=`), else as it is; None for malformed
    base64.
    """
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def answer(id: int | float | str | None, result: dict[str, Any]) -> bytes:
    """Return as JSON the answer to the request with this id, with `result` as its result."""
    return dumps({"jsonrpc": "2.0", "id": id, "result": result})


def refusal(id: int | float | str | None, error: ProtocolError) -> bytes:
    """Return as JSON the error that answers the request with this id; None: the request has no usable id."""
    found: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        found["data"] = error.data
    return dumps({"jsonrpc": "2.0", "id": id, "error": found})


def status_of(error: ProtocolError, message: AgentMessage | None) -> int:
    """Return the HTTP status of an answer with this error; 200 for INTERNAL_ERROR and for codes that this module does
    not name. `message`: the request that is refused; None where the body or its headers are at fault.
    """
    if message is not None and not message.is_stateless:
        # Clients of revisions with `initialize` read no error of another status and end their session.
        return 200
    return _STATUS.get(error.code, 200)
