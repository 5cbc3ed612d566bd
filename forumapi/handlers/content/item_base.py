"""Base handlers of conversations, events and polls (content 3). Wire: docs/api/conversations.md.

A type subclasses `ItemHandler` and `ItemsHandler` and adds its body, its answer, and its model, which stores more than
title and place. Its own members of answers come from models/content/type_specific_fields.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final, NamedTuple, TypeVar

from forumapi import itemtypes
from forumapi.database.query import Query
from forumapi.errors import NO_CREATE, Forbidden, Invalid, NoRoom, NotFound
from forumapi.handlers.content import holding
from forumapi.itemtypes import ItemRef
from forumapi.models.content import comment_documents, item_page, item_summary, reaction
from forumapi.models.content.item import Item, ItemChange
from forumapi.models.content.item_page import ItemView
from forumapi.models.journal import journal
from forumapi.models.microcosms import microcosm_counters, microcosm_links
from forumapi.models.people.profile_summary import SUMMARY as PEOPLE
from forumapi.models.texts import text_rendering
from forumapi.models.trust import patched_flags
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request import patch
from forumapi.request.context import Context, Located, LocatedObject
from forumapi.request.handler import DELETE, UPDATE, Handler, Param, needs
from forumapi.request.handler_results import Done, Found, Page, Result
from forumapi.wire import body, paging
from forumapi.wire.body import UNSET, Body, Meta, UnsetType


class ItemBody(Body):
    """Body of an item in a microcosm: the members that all types share (content 4.2). `title`: plain text of 1 to 150
    characters. A PUT with another `microcosmId` moves the item.
    """

    microcosmId: int | UnsetType = UNSET
    title: str | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


# ---------------------------------------------------------------- reading one item


class ShownItem(LocatedObject[ItemView]):
    """Item that the address names, with a page of its comments, read without a lock."""

    noun = "item"


def locate_page(ctx: Context) -> ShownItem:
    """Read the item that the address names, hidden or not, with the page of comments that the query asks for; no object
    if there is no such item.
    """
    ref: ItemRef = ctx.args["item"]
    identity = ctx.identity
    view = item_page.page(
        ctx.app.pages,
        ctx.reader,
        ctx.site.id,
        ref,
        identity.profile_id,
        identity.ignored_profiles,
        ctx.paging,
    )
    if view is None:
        return ShownItem(None, Target(ref.type, ref.id))
    page = view.page
    node = ctx.tree.nodes.get(page.microcosm_id)
    is_under_live = node is not None and node.is_live
    return ShownItem(
        view,
        page.target,
        is_hidden=page.is_deleted or page.is_moderated or not is_under_live,
        own_moderated=is_under_live
        and ((page.is_moderated and not page.is_deleted) or bool(view.statement_id)),
        version=page.version,
    )


def show(ctx: Context) -> Result:
    """Answer with the located item and its page of comments. Except under HEAD, moves the caller's read mark and counts
    a view (content 3.3). Raises NotFound if there is no item, Invalid for a malformed limit or offset and for a page
    past the end.
    """
    view = ctx.located_as(ShownItem).required()
    page = view.page
    ctx.check_paging()
    at = ctx.paging
    paging.check(page.total, at)
    tree = ctx.tree
    readable = tree.view(ctx.identity.principal)
    permission = evaluator.as_json(ctx.can)
    if not ctx.is_head:
        # A full disk stops no reader.
        with contextlib.suppress(NoRoom):
            item_page.mark_read(ctx.reader, ctx.site.id, view, ctx.identity.profile_id, at)
        ctx.app.activity.viewed(ctx.site.id, page.id)

    is_ignored = page.id in ctx.identity.ignored_items
    reacted = reaction.own_of_comments(view.viewer.reacted if view.viewer else None)
    bookmarked = view.viewer.bookmarked if view.viewer else ()
    rights = comment_documents.CommentRights.of(
        ctx.identity.principal, page.target, tree, reacted, bookmarked
    )

    comments_page = partial(ctx.page, total=page.total, type_path="/api/v1/comments")

    def build() -> bytes:
        return item_page.detail(
            ctx.reader,
            ctx.app.documents,
            ctx.site.id,
            view,
            comments_page,
            permission,
            tree,
            readable,
            is_ignored=is_ignored,
            rights=rights,
        )

    stamp = (
        view.stamp,
        rights and rights.stamp(page.comments),
        is_ignored,
        ctx.can,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        microcosm_links.breadcrumb(tree, readable, page.microcosm_id, with_itself=True),
    )
    return Page(page.version, stamp, build)


# ---------------------------------------------------------------- writing one item

_PATHS: Final = (patch.STICKY, patch.OPEN, patch.DELETED, patch.MODERATED)


def edit_reason(sent: Meta | UnsetType) -> str:
    """Return meta.editReason of a body as it is stored: one line without tags, HTML-escaped (C-14). Raises Invalid if
    it is missing, empty or over 150 characters.
    """
    reason = UNSET if isinstance(sent, UnsetType) else sent.editReason
    return text_rendering.title(
        None if isinstance(reason, UnsetType) else reason, "meta.editReason", 150
    )


class LockedItem(LocatedObject[Item]):
    """Item that the address names, locked for writing."""

    noun = "item"


AnyItem = TypeVar("AnyItem", bound=Item)


def locate_locked(ctx: Context, model: type[Item] = Item) -> LockedItem:
    """Lock the item that the address names, hidden or not, as an instance of `model`, until the transaction ends; no
    object if there is no such item.
    """
    ref: ItemRef = ctx.args["item"]
    item = model.lock(ctx.writer, ctx.site.id, ref)
    if item is None:
        return LockedItem(None, Target(ref.type, ref.id))
    node = ctx.tree.nodes.get(item.microcosm_id)
    return LockedItem(
        item,
        item.target(ctx.writer, ctx.author),
        is_hidden=not item.is_visible or node is None or not node.is_live,
        version=item.version,
    )


def required(ctx: Context, model: type[AnyItem]) -> AnyItem:
    """Return the item that `locate_locked` located as `model`. Raises NotFound if there is none."""
    item = ctx.located_as(LockedItem).required()
    assert isinstance(item, model)
    return item


def check_place(ctx: Context, microcosm_id: int, item_type: int) -> None:
    """Check that the caller may put an item of `item_type` into the microcosm, as a new one or by moving it (C-13,
    C-22).

    Raises Forbidden without the right to post there, and for a closed microcosm unless the caller moderates it;
    NotFound for a deleted or hidden one; Invalid if it takes no items of that type. For a missing microcosm it is
    NotFound for the site's owner, Forbidden for others.
    """
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


def change(ctx: Context, sent: ItemBody) -> ItemChange:
    """Return the title, microcosm and edit reason of the located item after a PUT; writes nothing (content 1.3).

    Members that were not sent stay as they are. Raises NotFound if no item was located, Invalid for a bad title or edit
    reason. For another microcosm than the item's, raises NotFound, Forbidden or Invalid, by `check_place`, if the
    caller may not put the item there.
    """
    item = required(ctx, Item)
    reason = edit_reason(sent.meta)
    title = item.title
    if not isinstance(sent.title, UnsetType):
        title = text_rendering.kept_title(sent.title, "title", 150, title)
    microcosm_id = body.given(sent.microcosmId, 0) or item.microcosm_id
    if microcosm_id != item.microcosm_id:
        check_place(ctx, microcosm_id, item.item_type)
    return ItemChange(title, microcosm_id, reason)


def hold_edited(ctx: Context, item: Item) -> None:
    """Let the site's rules and checks hide the item, whose change has just been stored, unless it is hidden already."""
    if item.is_visible:
        holding.hold(
            ctx, ItemRef(item.item_type, item.id), journal.REPLACED, item.author_id, item.title
        )


class ItemHandler(Handler):
    """Base class of handlers of one item in a microcosm: finds it, sets its flags and deletes it.

    A subclass adds `get` and `put`, and sets `model` to the class of its type.
    """

    model: ClassVar[type[Item]] = Item
    required_keys: ClassVar = {"PUT": ("meta.editReason",)}

    def locate(self, ctx: Context) -> Located:
        return locate_locked(ctx, self.model) if ctx.is_write else locate_page(ctx)

    @needs(UPDATE, body=list[patch.Operation])
    def patch(self, ctx: Context, sent: list[patch.Operation]) -> Result:
        """Set the item's flags `sticky`, `open`, `deleted` and `moderated`.

        Moderators may set each to true or false; others with the right to delete the item may set `deleted` to true,
        and its author `open` to true with the right `openOwn`, to false with `closeOwn`; else 403. By operations
        `replace` of RFC 6902: 501 for its other operations, 400 for another flag. A change by a moderator is recorded
        as an action of moderation.
        """
        changes = patch.changes(sent, _PATHS)
        item = required(ctx, Item)
        for change in changes:
            patch.permit(change, ctx.can)
        flags = {patch.FLAGS[change.path][0]: change.value for change in changes}
        reason = patch.reason(changes[-1])
        if ctx.can & evaluator.MODERATOR:
            patched_flags.flag_item(ctx.writer, ctx.author, item, flags, reason)
        else:
            item.flag(ctx.writer, ctx.author, flags, reason)
        return Done()

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Delete the item: it and its comments are hidden from all but moderators; 200 also if already deleted. What a
        moderator deletes of others is recorded as an action of moderation.
        """
        item = required(ctx, Item)
        if ctx.can & evaluator.MODERATOR and item.author_id != ctx.identity.profile_id:
            patched_flags.delete_item(ctx.writer, ctx.author, item)
        else:
            item.delete(ctx.writer, ctx.author)
        return Done()


# ---------------------------------------------------------------- the items of one type


class ItemsHandler(Handler):
    """Base class of handlers of all items of `item_type` on a site. A write needs permission on the microcosm that its
    body names, a read on the site's root microcosm; for a caller who may not read the root, but the microcosm that the
    query names, a read needs permission on the latter.

    A subclass adds `get` and `post`.
    """

    item_type: ClassVar[int]

    def locate(self, ctx: Context) -> Located | None:
        tree = ctx.tree
        if ctx.is_write:
            id = body.given(ctx.body_as(ItemBody).microcosmId, 0)
            node = tree.nodes.get(id)
            if node is None:
                return Located(Target(self.item_type))
            return Located(Target(itemtypes.MICROCOSM, id, id, (node.owned_by, node.created_by)))
        readable = tree.view(ctx.identity.principal).set
        # A bad number is refused once the caller may read the root.
        named = ctx.query.get("microcosmId", "")
        wanted = int(named) if named.isascii() and named.isdigit() and len(named) < 19 else 0
        is_beside = tree.root_id not in readable and wanted in readable
        at = tree.nodes.get(wanted if is_beside else tree.root_id)
        if at is None:
            return Located(Target(itemtypes.MICROCOSM))
        return Located(Target(itemtypes.MICROCOSM, at.id, at.id, (at.owned_by, at.created_by)))


def create(
    ctx: Context, sent: ItemBody, item_type: int, model: Callable[[int, int, str], Item] = Item
) -> Found:
    """Insert an item of the type `item_type` with the body's title into the body's microcosm, where the site's rules
    and checks may hide it at once; redirect to it. `model` makes the item, from its type, its microcosm's id and its
    title.

    An equal item (in title, of an event also in all else but the duration, of a poll in question) of the same author,
    made there in the last `duplicate_window_s` (a setting) and not deleted, is redirected to instead. Raises Invalid
    for a bad title; NotFound, Forbidden or Invalid, by `check_place`, if the caller may not put the item there.
    """
    microcosm_id = body.given(sent.microcosmId, 0)
    title = text_rendering.title(
        None if isinstance(sent.title, UnsetType) else sent.title, "title", 150
    )
    check_place(ctx, microcosm_id, item_type)
    item = model(item_type, microcosm_id, title)
    window_s = ctx.app.config.duplicate_window_s
    may_be_held = holding.is_possible(ctx, item_type, journal.CREATED)
    if item.insert(ctx.writer, ctx.author, window_s=window_s, may_be_held=may_be_held):
        me = ctx.identity.profile_id
        holding.hold(ctx, ItemRef(item_type, item.id), journal.CREATED, me, item.title)
        microcosm_counters.maybe_fold(ctx.app.database, ctx.writer, ctx.site.id, item.id)
    return Found(item.href)


class Listing(NamedTuple):
    """Statements of one list of items: `rows` reads a page of summaries, `total` counts the whole list.

    Parameters of both: site_id, item_type, `readable` (ids of the microcosms to list from), `ignored` (ids of items
    that the caller ignores), `ignored_people` (ids of profiles) and `me` (id of the caller's profile); of `rows` also
    limit and offset.
    """

    rows: Query
    total: Query


IN_MICROCOSM: Final = Param("microcosmId", int, "Only what stands in this microcosm itself.")
ALL: Final = Listing(item_summary.LIST, item_summary.COUNT)


def list_items(ctx: Context, item_type: int, key: str, listing: Listing = ALL) -> Result:
    """Answer with a page of the items of `item_type` that `listing` selects (content 3.6). `key`: name of the list in
    the answer's data.

    Only items that the caller may read and does not ignore; with `microcosmId` in the query, only those of that
    microcosm. A microcosm that the caller may not read or ignores gives an empty list, like one that does not exist.
    Raises Invalid for a bad `microcosmId` and for a page past the end.
    """
    tree, site_id, at = ctx.tree, ctx.site.id, ctx.paging
    view = tree.view(ctx.identity.principal)
    readable = ctx.listable.ids
    if "microcosmId" in ctx.query:
        wanted = ctx.number("microcosmId")
        readable = (wanted,) if wanted in ctx.listable.set else ()
    scope = {
        "site_id": site_id,
        "item_type": item_type,
        "readable": readable,
        "ignored": ctx.identity.ignored_items,
        "ignored_people": ctx.identity.ignored_profiles,
        "me": ctx.identity.profile_id,
    }
    total = int(ctx.reader.value(listing.total, **scope))
    paging.check(total, at)
    rows = ctx.reader.rows(listing.rows, limit=at.limit, offset=at.offset, **scope)
    width = item_summary.SUMMARY_WIDTH
    times = slice(width, width + item_summary.TIMES_WIDTH)
    is_member = ctx.identity.profile_id != 0
    permission = evaluator.as_json(ctx.can)

    def build() -> bytes:
        people = ctx.app.documents.fetch(
            ctx.reader, site_id, {PEOPLE: item_summary.summary_people(rows)}
        )
        entries = [
            item_summary.summary(
                row[:width],
                row[times],
                people[PEOPLE],
                tree,
                view,
                unread=row[-2] is not None if is_member else None,
                new=row[-2] or 0,
                mine=row[-1],
            )
            for row in rows
        ]
        page = ctx.page(b"[%b]" % b",".join(entries), total)
        return item_summary.listed(key, page, ctx.own_href, permission)

    stamp = (
        [(row[:width], *row[-2:]) for row in rows],
        total,
        ctx.can,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        view.stamp,
    )
    return Page(0, stamp, build)
