"""Rendering of a document as a given identity sees it, outside of any request: for webhook payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forumapi import errors
from forumapi.errors import Forbidden, NotFound
from forumapi.request import routing
from forumapi.request.answers import steps_of_get
from forumapi.request.context import Context
from forumapi.request.handler_results import Data, Page
from forumapi.wire.json_envelope import PLAIN

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site
    from forumapi.request.services import Services


def render_as(app: Services, site: Site, identity: Identity, path: str) -> bytes:
    """Return the `data` of the answer to GET `path` (without query), as `identity` would get it on the site, except
    that the `userId` of their own profile is the profile's id, as others see it; without any side effect.

    Nothing is marked as read and no view is counted. Raises Forbidden, NotFound as the request would; NotFound also for
    an address without GET, and for an answer that is no JSON document.
    """
    ctx = Context(app, {})
    ctx.site, ctx.identity = site, identity
    ctx.path, ctx.query_string, ctx.pairs, ctx.query = path, "", [], {}
    ctx.switches = PLAIN
    ctx.ip = ctx.request_id = ""
    ctx.is_head = True
    ctx.reader = app.database.read()
    try:
        handler, ctx.args = routing.route(app, ctx)
        if identity.ban_reason is not None and not handler.admits_banned(ctx):
            raise Forbidden(identity.ban_reason, code=errors.BANNED)
        if "GET" not in handler.operations:
            raise NotFound("There is no document at this address")
        result = steps_of_get.read_document(ctx, handler, handler.operations["GET"])
        if isinstance(result, Page):
            return result.build()
        if isinstance(result, Data):
            return result.data
        raise NotFound("There is no document at this address")
    finally:
        ctx.reader.end()
