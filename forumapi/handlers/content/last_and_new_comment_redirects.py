"""Redirects to the page of an item's comments that holds the last comment, or the first that the caller has not read
(content 3.4). Wire: docs/api/conversations.md.
"""

from __future__ import annotations

from forumapi.handlers.content.item_base import locate_page
from forumapi.models.pages import page_of_comment
from forumapi.request.context import Context, Located, LocatedObject
from forumapi.request.handler import READ, Handler, needs
from forumapi.request.handler_results import Result, TemporaryRedirect


class LastCommentHandler(Handler):
    """Redirect to the page of an item's comments that holds the last comment."""

    is_newest = True

    def locate(self, ctx: Context) -> Located:
        return locate_page(ctx)

    @needs(READ, status=307, paged=True)
    def get(self, ctx: Context) -> Result:
        """Redirect (307) to the page of the item or huddle that holds the last comment or, at an address that ends in
        `newcomment`, the first comment that the caller has not read, the last one if all are read; to the first page if
        there are no comments.
        """
        ctx.located_as(LocatedObject).required()
        href = page_of_comment.redirect(
            ctx.reader,
            ctx.site.id,
            ctx.args["item"],
            ctx.identity.profile_id,
            ctx.identity.ignored_profiles,
            ctx.paging.limit,
            ctx.pairs,
            newest=self.is_newest,
        )
        return TemporaryRedirect(href)


class NewCommentHandler(LastCommentHandler):
    """Redirect to the page of an item that holds the first comment that the caller has not read; to the page with the
    last one if all are read.
    """

    is_newest = False
