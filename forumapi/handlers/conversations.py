"""Conversations. Wire: docs/api/conversations.md."""

from __future__ import annotations

from forumapi import paging, permissions, schemas
from forumapi.context import Context, Located
from forumapi.errors import NotFound
from forumapi.handler import READ, Handler, needs
from forumapi.models import item
from forumapi.models.item import ItemPage
from forumapi.permissions import Target
from forumapi.response import Page, Result


class LocatedItem(Located):
    """An item with a page of its comments; `page` None if there is none of that id."""

    __slots__ = ("page",)

    page: ItemPage | None


def locate_page(ctx: Context) -> LocatedItem:
    """The item that the address names, with the page of comments asked for."""
    named = ctx.args["item"]
    identity = ctx.identity
    found = item.page(
        ctx.reader,
        ctx.site.id,
        named.type,
        named.id,
        identity.profile_id,
        identity.ignored_profiles,
        ctx.paging,
    )
    if found is None:
        located = LocatedItem(Target(named.type, named.id))
    else:
        node = ctx.tree.nodes.get(found.microcosm_id)
        is_under_live = node is not None and node.is_live
        located = LocatedItem(
            found.target,
            is_hidden=found.is_deleted or found.is_moderated or not is_under_live,
            own_moderated=found.is_moderated and not found.is_deleted and is_under_live,
            version=found.version,
        )
    located.page = found
    return located


def show(ctx: Context) -> Result:
    """The detail of the located item; reading marks it read and counts the view (content 3.3)."""
    located: LocatedItem = ctx.located
    found = located.page
    if found is None:
        raise NotFound("There is no such item")
    ctx.check_paging()
    at = ctx.paging
    paging.check(found.total, at)
    tree = ctx.tree
    view = tree.view(ctx.identity.who)
    permission = permissions.as_json(ctx.can)
    if not ctx.is_head:
        item.mark_read(ctx.reader, ctx.site.id, found, ctx.identity.profile_id, at)
        ctx.app.activity.viewed(ctx.site.id, found.id)

    def comments_page(items: bytes) -> bytes:
        return paging.page(
            items, found.total, at, "/api/v1/comments", ctx.path, ctx.query_string, ctx.pairs
        )

    def build() -> bytes:
        return item.detail(
            ctx.reader,
            ctx.app.documents,
            ctx.site.id,
            found,
            comments_page,
            permission,
            tree,
            view,
            {},
        )

    stamp = (
        found.stamp,
        ctx.can,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        item.places.breadcrumb(tree, view, found.microcosm_id, with_itself=True),
    )
    return Page(found.version, stamp, build)


class ConversationHandler(Handler):
    """One conversation with a page of its comments."""

    allow = "OPTIONS,GET,HEAD"

    def locate(self, ctx: Context) -> Located:
        return locate_page(ctx)

    @needs(READ, answer=schemas.Conversation, paged=True)
    def get(self, ctx: Context) -> Result:
        """The conversation and a page of its comments, oldest first."""
        return show(ctx)
