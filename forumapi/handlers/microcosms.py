"""Microcosms. Wire: docs/api/microcosms.md."""

from __future__ import annotations

from forumapi import itemtypes, paging, permissions, schemas
from forumapi.context import Context, Located
from forumapi.errors import NotFound
from forumapi.handler import ANYONE, READ, Handler, needs
from forumapi.models import microcosm, places
from forumapi.models.microcosm import Head
from forumapi.models.profile import SUMMARY as PEOPLE
from forumapi.permissions import Target
from forumapi.response import Data, Page, Result


class LocatedMicrocosm(Located):
    """A microcosm with its page; `head` None if there is none of that id."""

    __slots__ = ("head", "others", "sticky")

    head: Head | None
    others: list[int]
    sticky: list[int]


def locate(ctx: Context, id: int) -> LocatedMicrocosm:
    """The microcosm `id` with the page asked for."""
    tree = ctx.tree
    node = tree.nodes.get(id)
    if node is None:
        # The same statement as for a microcosm that is there: its cost must not tell the two apart.
        microcosm.page(ctx.reader, ctx.site.id, id, ctx.identity.profile_id, ctx.paging, 0, 0)
        located = LocatedMicrocosm(Target(itemtypes.MICROCOSM, id))
        located.head = None
        return located
    view = tree.view(ctx.identity.who)
    allowed = frozenset(places.visible(view, tree, ctx.identity.ignored_microcosms))
    children = [child for child in node.children if child in allowed]
    sticky = [child for child in children if tree.nodes[child].is_sticky]
    others = [child for child in children if not tree.nodes[child].is_sticky]
    head = microcosm.page(
        ctx.reader, ctx.site.id, id, ctx.identity.profile_id, ctx.paging, len(sticky), len(others)
    )
    located = LocatedMicrocosm(
        Target(itemtypes.MICROCOSM, id, id, (node.owned_by, node.created_by)),
        is_hidden=not node.is_live,
        version=node.version,
    )
    located.head = head
    located.sticky = sticky
    located.others = others
    return located


def show(ctx: Context) -> Result:
    """The detail of the located microcosm."""
    located: LocatedMicrocosm = ctx.located
    head = located.head
    if head is None:
        raise NotFound("There is no such microcosm")
    ctx.check_paging()
    me = ctx.identity.profile_id
    tree, site_id, at = ctx.tree, ctx.site.id, ctx.paging
    listed = microcosm.listing(head, located.sticky, located.others, at)
    paging.check(listed.total, at)
    view = tree.view(ctx.identity.who)
    allowed = frozenset(places.visible(view, tree, ctx.identity.ignored_microcosms))
    on_page = [*listed.sticky, *listed.others]
    everything = [*located.sticky, *located.others]
    # Whether anything below is unread must not depend on the page: other pages ask for all children too.
    asks_all = bool(me) and not head.has_unread and len(on_page) < len(everything)
    found = microcosm.children(
        ctx.reader, site_id, me, tree, everything if asks_all else on_page, allowed
    )
    is_unread = bool(me) and (head.has_unread or any(child.is_unread for child in found.values()))
    shown = [found[id] for id in on_page if id in found]
    permission = permissions.as_json(ctx.can)

    def build() -> bytes:
        fetched = ctx.app.documents.fetch(ctx.reader, site_id, microcosm.wanted(head, shown))
        people = fetched[PEOPLE]
        entries = microcosm.entries(
            head, listed, found, fetched[microcosm.SUMMARY], people, tree, view, site_id
        )
        page = paging.page(
            entries, listed.total, at, "/api/v1/comments", ctx.path, ctx.query_string, ctx.pairs
        )
        return microcosm.detail(
            head, people, page, permission, tree, view, site_id, is_unread=is_unread
        )

    stamp = (
        head.stamp,
        [tuple(child[:9]) for child in shown],
        is_unread,
        ctx.can,
        listed.total,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        hash_ids(view.ids),
    )
    return Page(head.version, stamp, build)


def hash_ids(ids: tuple[int, ...]) -> bytes:
    """The places that a viewer sees, short enough for a stamp."""
    return b",".join(b"%d" % id for id in ids)


class MicrocosmsHandler(Handler):
    """The site's root microcosm, which is the forum index; POST makes a microcosm."""

    allow = "OPTIONS,HEAD,GET"

    def locate(self, ctx: Context) -> Located:
        return locate(ctx, ctx.tree.root_id)

    @needs(READ, answer=schemas.Microcosm, paged=True)
    def get(self, ctx: Context) -> Result:
        """The root microcosm with its page of microcosms and items."""
        return show(ctx)


class MicrocosmHandler(Handler):
    """One microcosm with a page of its child microcosms and items."""

    allow = "OPTIONS,HEAD,GET"

    def locate(self, ctx: Context) -> Located:
        return locate(ctx, ctx.args["item"].id)

    @needs(READ, answer=schemas.Microcosm, paged=True)
    def get(self, ctx: Context) -> Result:
        """The microcosm with its page of microcosms and items."""
        return show(ctx)


class MicrocosmTreeHandler(Handler):
    """Every microcosm of the site that the caller may read and does not ignore."""

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, answer=list[schemas.MicrocosmTreeNode])
    def get(self, ctx: Context) -> Result:
        """A flat list, parents before children."""
        view = ctx.tree.view(ctx.identity.who)
        visible = frozenset(places.visible(view, ctx.tree, ctx.identity.ignored_microcosms))
        return Data(places.whole_tree(ctx.tree, visible))
