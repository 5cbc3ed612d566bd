"""Drafts: unfinished comments and items, which their author alone sees. Wire: docs/api/drafts.md."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound
from forumapi.handlers.content import carrier_lookup
from forumapi.models.content.draft import Draft
from forumapi.request.context import Context, Located
from forumapi.request.handler import CREATE, LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Page, Result
from forumapi.wire import body, paging
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed_types
from forumapi.wire.schemas.content import reactions_bookmarks_drafts as schemas

_MAX_VERSION = 2**31 - 1


class DraftBody(Struct):
    """Draft as a client sends it. `content`: any JSON object, which the server does not look into.

    `version`: the number of the stored draft that the client has changed; absent or 0 if no draft is stored yet.
    `itemType`: type of the item that the draft is of, required in a microcosm, not looked at elsewhere.
    """

    content: dict[str, Any] | UnsetType = UNSET
    itemType: Annotated[str, closed_types(itemtypes.MICROCOSM_CHILDREN[1:])] | UnsetType = UNSET
    version: int | UnsetType = UNSET


def _item_type(ctx: Context, sent: DraftBody) -> int:
    """Return the id of the item type that the draft would be posted as: a comment or, in a microcosm, the type of item
    in the body.

    Raises Invalid, in a microcosm, for a type that no item there can have.
    """
    if ctx.args["item"].type != itemtypes.MICROCOSM:
        return itemtypes.COMMENT
    kind = itemtypes.BY_NAME.get(body.given(sent.itemType, "").lower())
    allowed = [id for id in itemtypes.MICROCOSM_CHILDREN if id != itemtypes.MICROCOSM]
    if kind is None or kind.id not in allowed:
        names = ", ".join(itemtypes.name_of(id) for id in allowed)
        raise Invalid("itemType", f"must be one of: {names}")
    return kind.id


class DraftsHandler(Handler):
    """The caller's drafts."""

    @needs(LOGIN, answer=schemas.Drafts, paged=True)
    def get(self, ctx: Context) -> Result:
        """The caller's drafts, sorted by the time at which each was first stored, newest first; without drafts for
        huddles if the token lacks the scope of huddles.
        """
        principal = ctx.identity.principal
        total, drafts = Draft.page(ctx.reader, ctx.site.id, principal, ctx.paging)
        paging.check(total, ctx.paging)
        items = dumps([draft.document() for draft in drafts])
        return Data(ctx.listed("drafts", items, total))


class DraftHandler(Handler):
    """The caller's draft for one place: of a comment on an item or profile, or of an item in a microcosm."""

    required_keys: ClassVar = {"PUT": ("content",)}

    def locate(self, ctx: Context) -> Located | None:
        """Find the place of the draft, without a lock; None for GET, which reads the draft whatever became of its
        place.

        The place counts as visible here: DELETE works for a hidden place too, and PUT checks afterwards.
        """
        if not ctx.is_write:
            return None
        located = carrier_lookup.find(ctx, is_locked=False)
        located.is_hidden = False
        return located

    @needs(LOGIN, answer=schemas.Draft)
    def get(self, ctx: Context) -> Result:
        """The caller's draft for this place, with its version; 404 if there is none, and for a huddle if the token
        lacks the scope of huddles.
        """
        is_seen = ctx.identity.principal.sees_huddles or ctx.args["item"].type != itemtypes.HUDDLE
        draft = Draft.find(ctx.reader, ctx.author, ctx.args["item"]) if is_seen else None
        if draft is None:
            raise NotFound("There is no draft here")
        return Page(draft.version, draft.stamp, lambda: dumps(draft.document()))

    @needs(CREATE, body=DraftBody, status=302)
    def put(self, ctx: Context, sent: DraftBody) -> Result:
        """Store the draft in place of the one whose `version` is sent, 0 for a new draft; 409 if another version is
        stored, or if none is stored though a version was sent.

        413 beyond 256 KiB, 400 for a new draft of a caller who has 200; 404 if the place does not exist or is hidden
        from the caller, 403 without the right to write there. Answers 302 to the draft.
        """
        carrier_lookup.check(ctx)
        if isinstance(sent.content, UnsetType):
            raise Invalid("content", "is required")
        version = given(sent.version, 0)
        if not 0 <= version <= _MAX_VERSION:
            raise Invalid("version", "must be 0 or a version", code=OUT_OF_RANGE)
        draft = Draft(ctx.args["item"], _item_type(ctx, sent), version=version)
        draft.save(ctx.writer, ctx.author, sent.content)
        return Found(draft.href)

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Delete the caller's draft for this place; 200 also if there is none."""
        Draft.delete(ctx.writer, ctx.author, ctx.args["item"])
        return Done()
