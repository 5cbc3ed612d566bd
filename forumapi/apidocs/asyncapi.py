"""AsyncAPI 3 document of a site's live events over WebSocket, made of the structs in realtime/message_schemas.py."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from forumapi import __version__
from forumapi.realtime.message_schemas import PROTOCOL, RECEIVED, SENT

Schema = dict[str, Any]

VERSION: Final = "3.0.0"
_REF: Final = "#/components/schemas/{name}"
_CHANNEL: Final = "live"

_TEXT: Final = """\
What happens on a site, pushed to whoever may know of it. Sign in with a header, with the sub-protocol `bearer.<token>`
beside `forumapi.live.v1`, or with a ticket from POST /api/v1/live/tickets. Writing is the REST API's alone."""


def _name(struct: type[msgspec.Struct]) -> str:
    return struct.__name__


def _message(struct: type[msgspec.Struct]) -> Schema:
    return {
        "name": struct.__struct_config__.tag,
        "title": _name(struct).removesuffix("Frame"),
        "summary": (struct.__doc__ or "").strip(),
        "contentType": "application/json",
        "payload": {"$ref": _REF.format(name=_name(struct))},
    }


def _operation(action: str, structs: tuple[type[msgspec.Struct], ...], summary: str) -> Schema:
    messages = [{"$ref": f"#/channels/{_CHANNEL}/messages/{_name(one)}"} for one in structs]
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": f"#/channels/{_CHANNEL}"},
        "messages": messages,
    }


def document(host: str, *, is_tls: bool) -> Schema:
    """Return the document of the WebSocket at `host` (with port, if not the usual one), by wss if `is_tls`, else ws;
    "send" and "receive" in it are said of the server.
    """
    _, schemas = msgspec.json.schema_components((*SENT, *RECEIVED), ref_template=_REF)
    return {
        "asyncapi": VERSION,
        "info": {"title": "forumapi, live", "version": __version__, "description": _TEXT},
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": host,
                "protocol": "wss" if is_tls else "ws",
                "protocolVersion": "13",
                "description": "A site.",
                "security": [
                    {"$ref": "#/components/securitySchemes/bearer"},
                    {"$ref": "#/components/securitySchemes/ticket"},
                ],
            }
        },
        "channels": {
            _CHANNEL: {
                "address": "/api/v1/live",
                "description": "The WebSocket of the site.",
                "messages": {
                    _name(one): {"$ref": f"#/components/messages/{_name(one)}"}
                    for one in (*SENT, *RECEIVED)
                },
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "headers": {
                            "type": "object",
                            "properties": {
                                "Sec-WebSocket-Protocol": {
                                    "type": "string",
                                    "description": f"{PROTOCOL}, bearer.<token>",
                                }
                            },
                        },
                        "query": {
                            "type": "object",
                            "properties": {"ticket": {"type": "string"}},
                        },
                        "bindingVersion": "0.1.0",
                    }
                },
            }
        },
        "operations": {
            "ask": _operation("receive", SENT, "What a client may send."),
            "tell": _operation("send", RECEIVED, "What the server sends."),
        },
        "components": {
            "messages": {_name(one): _message(one) for one in (*SENT, *RECEIVED)},
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "ticket": {"type": "httpApiKey", "name": "ticket", "in": "query"},
            },
        },
    }
