"""Preview of Markdown as HTML, before it is posted. Wire: docs/api/comments.md."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NO_CREATE, OUT_OF_RANGE, Forbidden, Invalid
from forumapi.models.access import permission_target
from forumapi.models.content import comment_documents
from forumapi.models.texts import text_rendering
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import CREATE, Handler, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire import body, json_fragments
from forumapi.wire.openapi_enums import COMMENTABLE, closed_types
from forumapi.wire.schemas.content import comments as schemas


class PreviewBody(Struct):
    """Markdown, and the place to post it in: an item or profile to comment on, or the microcosm of a new item;
    `microcosmId` wins if both are sent.
    """

    itemType: Annotated[str, closed_types(COMMENTABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    microcosmId: int | UnsetType = UNSET
    markdown: str | UnsetType = UNSET


class PreviewHandler(Handler):
    """Preview of a text as HTML."""

    takes_idempotency_key = False
    needs_no_consent = ("POST",)
    required_keys = {"POST": ("markdown",)}

    def locate(self, ctx: Context) -> Located:
        """Find the place that the body names, without a lock, since nothing is written.

        Raises Invalid for a bad type, id or text.
        """
        sent = ctx.body_as(PreviewBody)
        item_type, name = itemtypes.MICROCOSM, "microcosmId"
        id = body.given(sent.microcosmId, 0)
        if not isinstance(sent.microcosmId, int):
            kind = itemtypes.BY_NAME.get(body.given(sent.itemType, "").lower())
            if kind is None or not kind.commentable:
                raise Invalid("itemType", "must be conversation, event, poll, huddle or profile")
            item_type, name, id = kind.id, "itemId", body.given(sent.itemId, 0)
        if id <= 0:
            raise Invalid(name, "must be a positive number", code=OUT_OF_RANGE)
        text_rendering.source(sent.markdown)
        place = permission_target.find(
            ctx.reader, ctx.site.id, ctx.tree, ctx.identity.principal, item_type, id
        )
        return Located(place.target, is_hidden=place.is_hidden)

    @needs(CREATE, body=PreviewBody, answer=schemas.Preview)
    def post(self, ctx: Context, sent: PreviewBody) -> Result:
        """The Markdown as HTML, with mentions and embeds, and with links that are not shortened; stores nothing.

        403 without the right to write in that place, and for a comment on a closed item unless the caller moderates the
        item; for a new item, a closed microcosm is no obstacle.
        """
        target = ctx.target
        is_moderator = bool(ctx.can & evaluator.MODERATOR)
        if (
            target.item_type in itemtypes.IN_MICROCOSM
            and not is_moderator
            and not permission_target.is_open(ctx.reader, ctx.site.id, target.item_id)
        ):
            raise Forbidden("This is closed", code=NO_CREATE)
        html = text_rendering.preview(
            ctx.reader,
            ctx.site,
            body.given(sent.markdown, ""),
            short_links=ctx.app.config.short_links,
        )
        return Data(json_fragments.dumps({"html": html or comment_documents.NOTHING}))
