"""Bookmarks: comments and items that a profile saved for itself alone. Wire: docs/api/bookmarks.md."""

from __future__ import annotations

from typing import Final

from forumapi.errors import InsufficientScope, NotFound
from forumapi.handlers.content import carrier_lookup
from forumapi.models.content.bookmark import Bookmark
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, READ, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Page, Result
from forumapi.wire import scopes
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas.content import reactions_bookmarks_drafts as schemas

_NEWEST: Final = 2**63 - 1


class BookmarksHandler(Handler):
    """The caller's bookmarks."""

    @needs(
        LOGIN,
        answer=schemas.Bookmarks,
        params=(
            Param("limit", int, "Entries on a page: 5 to 250, a multiple of 5."),
            Param("before", int, "Where to go on, as the link `next` says it."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The caller's bookmarks, newest first, without those of comments and items that the caller may not read now or
        that are hidden or deleted.
        """
        ctx.check_paging()
        limit = ctx.paging.limit
        bookmarks = Bookmark.page(
            ctx.reader,
            ctx.site.id,
            ctx.identity.profile_id,
            ctx.tree.view(ctx.identity.principal).ids,
            ctx.identity.kinds,
            ctx.number("before") or _NEWEST,
            limit + 1,
        )
        items = [bookmark.document() for bookmark in bookmarks[:limit]]
        before = bookmarks[limit - 1].id if len(bookmarks) > limit else 0
        return Data(ctx.keyset_listed("bookmarks", items, before))


class BookmarkHandler(Handler):
    """The caller's bookmark of a comment or item."""

    def locate(self, ctx: Context) -> Located:
        located = carrier_lookup.find(ctx, is_locked=False)
        # A bookmark can be deleted whatever became of the thing; `get` and `put` check for themselves.
        located.is_hidden = False
        return located

    @needs(READ, answer=schemas.Bookmark)
    def get(self, ctx: Context) -> Result:
        """The caller's bookmark of the comment or item; 404 if there is no bookmark. 403 for guests, and for a token
        that lacks the scope to read comments or items of that type or, for a comment, what the comment is on.
        """
        carrier_lookup.check_signed_in(ctx)
        carrier_lookup.check(ctx)
        target = ctx.target
        # Its title is that of the item, or of the comment's parent.
        for kind in (target.item_type, target.parent_type or target.item_type):
            if kind not in ctx.identity.kinds:
                raise InsufficientScope(scopes.of_kind(kind))
        bookmark = Bookmark.find(ctx.reader, ctx.site.id, ctx.identity.profile_id, ctx.args["item"])
        if bookmark is None:
            raise NotFound("There is no bookmark here")
        return Page(0, (bookmark.id, bookmark.title), lambda: dumps(bookmark.document()))

    @needs(READ, status=302)
    def put(self, ctx: Context) -> Result:
        """Bookmark the comment or item for the caller; nothing changes if it is bookmarked already, 403 for guests.

        Answers 302 to the bookmark.
        """
        carrier_lookup.check_signed_in(ctx)
        carrier_lookup.check(ctx)
        Bookmark(ctx.args["item"]).insert(ctx.writer, ctx.author)
        return Found(ctx.path)

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Remove the caller's bookmark; 200 also if there is none, or if the comment or item was deleted."""
        Bookmark(ctx.args["item"]).delete(ctx.writer, ctx.author)
        return Done()
