"""Demonstration page on which a conversation changes live. Wire: docs/api/docs.md."""

from __future__ import annotations

from forumapi.errors import NotFound
from forumapi.request.answers import html_answers
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Result
from forumapi.wire import html_pages


class LivePageHandler(Handler):
    """Page for trying live events out; 404 outside the embedded mode."""

    ignores_token = True
    error_form = "Page"

    @needs(ANYONE, media_type=html_pages.TYPE)
    def get(self, ctx: Context) -> Result:
        """HTML page on which a conversation changes while one writes comments into it with curl.

        404 outside the embedded mode.
        """
        config = ctx.app.config
        if not config.is_embedded:
            raise NotFound("There is nothing at this address")
        host = f"{config.platform_domain}{config.port_suffix}"
        socket = "wss" if config.scheme == "https" else "ws"
        reached = f"'self' {config.scheme}://*.{host} {socket}://*.{host}"
        return html_answers.page(
            ctx, "live", script="live", connects_to=reached, scheme=config.scheme, host=host
        )
