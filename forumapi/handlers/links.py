"""Short links: public, and the same on every host. Wire: docs/api/links.md."""

from __future__ import annotations

from typing import ClassVar

from werkzeug.urls import iri_to_uri

from forumapi.context import Context
from forumapi.handler import ANYONE, Handler, needs
from forumapi.models import link
from forumapi.response import Elsewhere, Result


class OutHandler(Handler):
    """Where a short link leads."""

    allow = "OPTIONS,GET,HEAD"
    ignores_token = True
    also_answers: ClassVar = {"GET": (403,)}

    @needs(ANYONE, status=307)
    def get(self, ctx: Context) -> Result:
        """Leads to the stored address and counts the use; 403 for a domain that is blocked."""
        config = ctx.app.config
        found = link.find(ctx.reader, ctx.args["code"], config.blocked_link_domains)
        if not ctx.is_head:
            ctx.app.activity.followed(found.id)
        return Elsewhere(iri_to_uri(found.url))
