"""A page that shows a conversation changing live, for whoever tries the platform out. Wire: docs/api/docs.md."""

from __future__ import annotations

from forumapi import pages
from forumapi.context import Context
from forumapi.errors import NotFound
from forumapi.handler import ANYONE, Handler, needs
from forumapi.response import Bare, Result


class LivePageHandler(Handler):
    """The page; there is none outside the embedded mode."""

    allow = "OPTIONS,GET,HEAD"
    ignores_token = True
    error_form = "Page"

    @needs(ANYONE, media_type=pages.TYPE)
    def get(self, ctx: Context) -> Result:
        """HTML with a script of its own: choose a conversation, write into it with curl, see it appear."""
        config = ctx.app.config
        if not config.is_embedded:
            raise NotFound("There is nothing at this address")
        host = f"{config.platform_domain}{config.port_suffix}"
        body = pages.page(
            "live",
            "A conversation, live",
            script="live",
            scheme=config.scheme,
            host=pages.escape(host),
        )
        socket = "wss" if config.scheme == "https" else "ws"
        reached = f"'self' {config.scheme}://*.{host} {socket}://*.{host}"
        return Bare(body, pages.TYPE, pages.headers(script="live", connects_to=reached))
