"""The table of contents: every address and its handler class. ROOT is the platform host's set, SITE that of site hosts.

One literal a line, whole address, alphabetical: grep finds it and a diff reads as an API change.
"""

from __future__ import annotations

from forumapi.handler import Handler
from forumapi.handlers.comments import (
    CommentHandler,
    CommentInContextHandler,
    CommentsHandler,
)
from forumapi.handlers.conversations import (
    ConversationHandler,
    ConversationsHandler,
    LastCommentHandler,
    NewCommentHandler,
)
from forumapi.handlers.docs import DocsHandler, OpenapiHandler
from forumapi.handlers.microcosms import MicrocosmHandler, MicrocosmsHandler, MicrocosmTreeHandler

ROOT: dict[str, type[Handler]] = {
    "/api/v1/docs": DocsHandler,
    "/api/v1/openapi.json": OpenapiHandler,
}

SITE: dict[str, type[Handler]] = {
    "/api/v1/comments": CommentsHandler,
    "/api/v1/comments/<comment:item>": CommentHandler,
    "/api/v1/comments/<comment:item>/incontext": CommentInContextHandler,
    "/api/v1/conversations": ConversationsHandler,
    "/api/v1/conversations/<conversation:item>": ConversationHandler,
    "/api/v1/conversations/<conversation:item>/lastcomment": LastCommentHandler,
    "/api/v1/conversations/<conversation:item>/newcomment": NewCommentHandler,
    "/api/v1/docs": DocsHandler,
    "/api/v1/microcosms": MicrocosmsHandler,
    "/api/v1/microcosms/<microcosm:item>": MicrocosmHandler,
    "/api/v1/microcosms/tree": MicrocosmTreeHandler,
    "/api/v1/openapi.json": OpenapiHandler,
}
