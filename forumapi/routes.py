"""The table of contents: every address and its handler class. ROOT is the platform host's set, SITE that of site hosts.

One literal a line, whole address, alphabetical: grep finds it and a diff reads as an API change.
"""

from __future__ import annotations

from forumapi.handler import Handler
from forumapi.handlers.conversations import ConversationHandler
from forumapi.handlers.docs import DocsHandler, OpenapiHandler
from forumapi.handlers.microcosms import MicrocosmHandler, MicrocosmsHandler, MicrocosmTreeHandler

ROOT: dict[str, type[Handler]] = {
    "/api/v1/docs": DocsHandler,
    "/api/v1/openapi.json": OpenapiHandler,
}

SITE: dict[str, type[Handler]] = {
    "/api/v1/conversations/<conversation:item>": ConversationHandler,
    "/api/v1/docs": DocsHandler,
    "/api/v1/microcosms": MicrocosmsHandler,
    "/api/v1/microcosms/<microcosm:item>": MicrocosmHandler,
    "/api/v1/microcosms/tree": MicrocosmTreeHandler,
    "/api/v1/openapi.json": OpenapiHandler,
}
