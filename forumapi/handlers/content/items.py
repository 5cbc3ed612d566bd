"""What the handlers of conversations, events, polls and huddles share (content 3). Wire: docs/api/conversations.md.

A type subclasses `ItemHandler` and `ItemsHandler` and says what is its own: the body, the answer, what it stores beyond
title and place. Its own members of answers come from models/content/item_details.py.
"""

from __future__ import annotations

import contextlib
from typing import ClassVar, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query
from forumapi.errors import NO_CREATE, Forbidden, Invalid, NoRoom, NotFound
from forumapi.models.content import (
    comment_page,
    item,
    item_page,
    reaction,
    text,
)
from forumapi.models.content.item import LockedItem
from forumapi.models.content.item_page import Seen
from forumapi.models.content.item_type_spec import New
from forumapi.models.microcosms import microcosm_counters, microcosm_links
from forumapi.models.people.profile import SUMMARY as PEOPLE
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request import patch
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    DELETE,
    READ,
    UPDATE,
    Handler,
    needs,
)
from forumapi.request.response import (
    Done,
    Found,
    Page,
    Result,
    TemporaryRedirect,
)
from forumapi.wire import body, paging
from forumapi.wire.body import (
    UNSET,
    Body,
    Meta,
    UnsetType,
)


class ItemBody(Body):
    """What a client sends of any item that stands in a microcosm (content 4.2)."""

    microcosmId: int | UnsetType = UNSET
    title: str | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


# ---------------------------------------------------------------- reading one item


class LocatedItem(Located):
    """An item with a page of its comments; `seen` None if there is none of that id."""

    __slots__ = ("seen",)

    seen: Seen | None


def locate_page(ctx: Context) -> LocatedItem:
    """The item that the address names, with the page of comments asked for."""
    named = ctx.args["item"]
    identity = ctx.identity
    seen = item_page.page(
        ctx.app.pages,
        ctx.reader,
        ctx.site.id,
        named.type,
        named.id,
        identity.profile_id,
        identity.ignored_profiles,
        ctx.paging,
    )
    if seen is None:
        located = LocatedItem(Target(named.type, named.id))
    else:
        found = seen.page
        node = ctx.tree.nodes.get(found.microcosm_id)
        is_under_live = node is not None and node.is_live
        located = LocatedItem(
            found.target,
            is_hidden=found.is_deleted or found.is_moderated or not is_under_live,
            own_moderated=found.is_moderated and not found.is_deleted and is_under_live,
            version=found.version,
        )
    located.seen = seen
    return located


def show(ctx: Context) -> Result:
    """The detail of the located item; reading marks it read and counts the view (content 3.3)."""
    located: LocatedItem = ctx.located
    seen = located.seen
    if seen is None:
        raise NotFound("There is no such item")
    found = seen.page
    ctx.check_paging()
    at = ctx.paging
    paging.check(found.total, at)
    tree = ctx.tree
    view = tree.view(ctx.identity.principal)
    permission = evaluator.as_json(ctx.can)
    if not ctx.is_head:
        # A full disk stops no reader.
        with contextlib.suppress(NoRoom):
            item_page.mark_read(ctx.reader, ctx.site.id, seen, ctx.identity.profile_id, at)
        ctx.app.activity.viewed(ctx.site.id, found.id)

    is_ignored = found.id in ctx.identity.ignored_items
    reacted = reaction.own_of_comments(seen.viewer.reacted if seen.viewer else None)
    own = comment_page.Own.of(ctx.identity.principal, found.target, tree, reacted)

    def comments_page(items: bytes) -> bytes:
        return paging.page(
            items, found.total, at, "/api/v1/comments", ctx.path, ctx.query_string, ctx.pairs
        )

    def build() -> bytes:
        return item_page.detail(
            ctx.reader,
            ctx.app.documents,
            ctx.site.id,
            seen,
            comments_page,
            permission,
            tree,
            view,
            is_ignored=is_ignored,
            own=own,
        )

    stamp = (
        seen.stamp,
        own and own.stamp(found.comments),
        is_ignored,
        ctx.can,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        microcosm_links.breadcrumb(tree, view, found.microcosm_id, with_itself=True),
    )
    return Page(found.version, stamp, build)


# ---------------------------------------------------------------- writing one item

_PATHS: Final = (patch.STICKY, patch.OPEN, patch.DELETED, patch.MODERATED)


def edit_reason(sent: Meta | UnsetType) -> str:
    """The reason that a PUT must give (C-14). Raises Invalid."""
    reason = UNSET if isinstance(sent, UnsetType) else sent.editReason
    return text.title(None if isinstance(reason, UnsetType) else reason, "meta.editReason", 150)


class LockedLocated(Located):
    """An item for writing, locked; `item` None if there is none of that id."""

    __slots__ = ("item",)

    item: LockedItem | None


def locate_locked(ctx: Context) -> LockedLocated:
    """The item that the address names, locked until the end of the request."""
    named = ctx.args["item"]
    found = item.lock(ctx.writer, ctx.site.id, named.type, named.id)
    if found is None:
        located = LockedLocated(Target(named.type, named.id))
    else:
        node = ctx.tree.nodes.get(found.microcosm_id)
        located = LockedLocated(
            item.target(ctx.writer, ctx.site.id, found, ctx.identity.profile_id),
            is_hidden=not found.is_visible or node is None or not node.is_live,
            version=found.version,
        )
    located.item = found
    return located


def required(ctx: Context) -> LockedItem:
    """The located item. Raises NotFound."""
    found: LockedItem | None = ctx.located.item
    if found is None:
        raise NotFound("There is no such item")
    return found


def check_place(ctx: Context, microcosm_id: int, item_type: int) -> None:
    """Raises unless the caller may put an item of this type there (C-13, C-22): NotFound, Forbidden, Invalid."""
    tree = ctx.tree
    node = tree.nodes.get(microcosm_id)
    if node is None:
        target = Target(item_type)
    else:
        target = Target(
            itemtypes.MICROCOSM, microcosm_id, microcosm_id, (node.owned_by, node.created_by)
        )
    can = evaluator.effective(ctx.identity.principal, target, tree)
    if not can & evaluator.CREATE:
        raise Forbidden("You may not post in this microcosm", code=NO_CREATE)
    if node is None or not node.is_live:
        raise NotFound("There is no such microcosm")
    if not node.is_open and not can & evaluator.MODERATOR:
        raise Forbidden("This microcosm is closed", code=NO_CREATE)
    if item_type not in node.item_types:
        raise Invalid("microcosmId", f"does not take {itemtypes.name_of(item_type)}s")


class Change(NamedTuple):
    """What a PUT of any item says about it, checked."""

    title: str
    microcosm_id: int
    reason: str


def change(ctx: Context) -> Change:
    """Title, place and reason of a PUT, laid over the located item (content 1.3). Raises Invalid, Forbidden."""
    found = required(ctx)
    sent: ItemBody = ctx.body
    reason = edit_reason(sent.meta)
    title = found.title
    if not isinstance(sent.title, UnsetType):
        title = text.title(sent.title, "title", 150)
    microcosm_id = body.given(sent.microcosmId, 0) or found.microcosm_id
    if microcosm_id != found.microcosm_id:
        check_place(ctx, microcosm_id, found.item_type)
    return Change(title, microcosm_id, reason)


def here(ctx: Context) -> Found:
    """Where a write on the located item leads."""
    found = required(ctx)
    return Found(itemtypes.href(found.item_type, found.id))


class ItemHandler(Handler):
    """One item in a microcosm, with a page of its comments. A type adds `get` and `put`."""

    required_keys: ClassVar = {"PUT": ("meta.editReason",)}

    def locate(self, ctx: Context) -> Located:
        return locate_locked(ctx) if ctx.is_write else locate_page(ctx)

    @needs(UPDATE, body=list[patch.Operation])
    def patch(self, ctx: Context) -> Result:
        """Set the flags `sticky`, `open`, `deleted`, `moderated`."""
        changes = patch.changes(ctx.body, _PATHS)
        found = required(ctx)
        for change in changes:
            patch.permit(change, ctx.can)
        columns = {patch.FLAGS[change.path][0]: change.value for change in changes}
        item.flag(ctx.writer, ctx.author, found, columns, patch.reason(changes[-1]))
        return Done()

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Hide it and its comments from everybody but moderators; 200 also when it is gone."""
        item.delete(ctx.writer, ctx.author, required(ctx))
        return Done()


# ---------------------------------------------------------------- the items of one type


class ItemsHandler(Handler):
    """The site's items of one type, across its microcosms. A type adds `get` and `post`."""

    item_type: ClassVar[int]

    def locate(self, ctx: Context) -> Located | None:
        tree = ctx.tree
        if ctx.is_write:
            id = body.given(ctx.body.microcosmId, 0)
            node = tree.nodes.get(id)
            if node is None:
                return Located(Target(self.item_type))
            return Located(Target(itemtypes.MICROCOSM, id, id, (node.owned_by, node.created_by)))
        root = tree.nodes.get(tree.root_id)
        if root is None:
            return Located(Target(itemtypes.MICROCOSM))
        return Located(
            Target(itemtypes.MICROCOSM, root.id, root.id, (root.owned_by, root.created_by))
        )


def create(ctx: Context, item_type: int, new: New | None = None) -> Found:
    """Make the item that the body describes; `new` are the details of its type. The same one again within minutes
    leads to the first. Raises Invalid, Forbidden, NotFound."""
    sent: ItemBody = ctx.body
    microcosm_id = body.given(sent.microcosmId, 0)
    title = text.title(None if isinstance(sent.title, UnsetType) else sent.title, "title", 150)
    check_place(ctx, microcosm_id, item_type)
    id, is_new = item.insert(
        ctx.writer,
        ctx.author,
        item_type,
        microcosm_id,
        title,
        window_s=ctx.app.config.duplicate_window_s,
        new=new,
    )
    if is_new:
        microcosm_counters.maybe_fold(ctx.app.database, ctx.writer, ctx.site.id, id)
    return Found(itemtypes.href(item_type, id))


class Listing(NamedTuple):
    """The statements of a list: its summaries and how many there are in all."""

    rows: Query
    total: Query


ALL: Final = Listing(item_page.LIST, item_page.COUNT)


def list_items(ctx: Context, item_type: int, key: str, listing: Listing = ALL) -> Result:
    """The list of one type of item (content 3.6), or of those of it that `listing` picks."""
    tree, site_id, at = ctx.tree, ctx.site.id, ctx.paging
    view = tree.view(ctx.identity.principal)
    readable = microcosm_links.visible(view, tree, ctx.identity.ignored_microcosms)
    scope = {
        "site_id": site_id,
        "item_type": item_type,
        "readable": readable.ids,
        "ignored": ctx.identity.ignored_items,
        "me": ctx.identity.profile_id,
    }
    total = int(ctx.reader.value(listing.total, **scope))
    paging.check(total, at)
    rows = ctx.reader.rows(listing.rows, limit=at.limit, offset=at.offset, **scope)
    width = item_page.SUMMARY_WIDTH
    permission = evaluator.as_json(ctx.can)

    def build() -> bytes:
        found = ctx.app.documents.fetch(
            ctx.reader, site_id, {PEOPLE: item_page.summary_people(rows)}
        )
        entries = [
            item_page.summary(
                row[:width], row[width:-1], found[PEOPLE], tree, view, unread=None, mine=row[-1]
            )
            for row in rows
        ]
        page = paging.page(
            b"[%b]" % b",".join(entries),
            total,
            at,
            ctx.path,
            ctx.path,
            ctx.query_string,
            ctx.pairs,
        )
        return item_page.listed(key, page, ctx.own_href, permission)

    stamp = (
        [(row[:width], row[-1]) for row in rows],
        total,
        ctx.can,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        view.stamp,
    )
    return Page(0, stamp, build)


# ---------------------------------------------------------------- finding the page of a comment (content 3.4)


class LastCommentHandler(Handler):
    """The page of an item that holds its last comment."""

    allow = "OPTIONS,GET,HEAD"
    is_newest = True

    def locate(self, ctx: Context) -> Located:
        return locate_page(ctx)

    @needs(READ, status=307, paged=True)
    def get(self, ctx: Context) -> Result:
        """307 to the item's page that holds the comment; to the item itself while it has none."""
        if ctx.located.seen is None:
            raise NotFound("There is no such item")
        href = item_page.redirect(
            ctx.reader,
            ctx.site.id,
            ctx.args["item"].type,
            ctx.args["item"].id,
            ctx.identity.profile_id,
            ctx.identity.ignored_profiles,
            ctx.paging.limit,
            ctx.pairs,
            newest=self.is_newest,
        )
        return TemporaryRedirect(href)


class NewCommentHandler(LastCommentHandler):
    """The page of an item that holds the first comment the caller has not read."""

    is_newest = False
