"""Microcosms: the nodes of a site's tree, singly and all at once. Wire: docs/api/microcosms.md."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NO_CREATE, Forbidden, Invalid, known
from forumapi.handlers.content.item_base import edit_reason
from forumapi.models.access.identity import WITH_PLACES, IdentityQuery
from forumapi.models.microcosms import (
    microcosm_links,
    microcosm_moderators,
    microcosm_page,
    microcosm_summary,
)
from forumapi.models.microcosms.microcosm import Microcosm, MicrocosmColumns
from forumapi.models.microcosms.microcosm_page import MicrocosmScope, MicrocosmView
from forumapi.models.people import profile_summary
from forumapi.models.people.profile_summary import SUMMARY as PEOPLE
from forumapi.models.sites.site_validation import check_url
from forumapi.models.texts import text_rendering
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Node, Target, Tree
from forumapi.request import patch
from forumapi.request.context import Context, Located, LocatedObject
from forumapi.request.handler import ANYONE, CREATE, DELETE, READ, UPDATE, Handler, needs
from forumapi.request.handler_results import Done, Found, Page, Result
from forumapi.wire import body, paging
from forumapi.wire.body import UNSET, Body, Meta, UnsetType
from forumapi.wire.entity_tags import check_match
from forumapi.wire.openapi_enums import closed, closed_types
from forumapi.wire.schemas import microcosms as schemas


class LocatedMicrocosm(LocatedObject[MicrocosmView]):
    """Microcosm with a page of its child microcosms and items, read without a lock."""

    noun = "microcosm"


def _target(node: Node) -> Target:
    return Target(itemtypes.MICROCOSM, node.id, node.id, (node.owned_by, node.created_by))


def locate(ctx: Context, id: int) -> LocatedMicrocosm:
    """Read the microcosm `id`, hidden or not, with the page of its child microcosms and items that the query asks for.

    The result has no object if there is no such microcosm.
    """
    tree, identity = ctx.tree, ctx.identity
    node = tree.nodes.get(id)
    scope = MicrocosmScope(
        ctx.site.id,
        id,
        identity.profile_id,
        identity.ignored_items,
        identity.ignored_profiles,
        identity.ignored_in(id),
        tree,
        ctx.listable,
        ctx.paging,
    )
    # A microcosm that is not in the tree is asked for as well: the cost must not distinguish the two.
    seen = microcosm_page.page(ctx.app.pages, ctx.reader, scope)
    if node is None:
        return LocatedMicrocosm(seen, Target(itemtypes.MICROCOSM, id))
    return LocatedMicrocosm(seen, _target(node), is_hidden=not node.is_live, version=node.version)


def show(ctx: Context) -> Result:
    """Answer with the located microcosm and its page. Raises NotFound if there is no such microcosm, Invalid for a
    malformed limit or offset and for a page past the end.
    """
    seen = ctx.located_as(LocatedMicrocosm).required()
    ctx.check_paging()
    head = seen.head
    tree, site_id, at = ctx.tree, ctx.site.id, ctx.paging
    paging.check(head.total, at)
    view = tree.view(ctx.identity.principal)
    is_ignored = head.id in ctx.identity.ignored_microcosms
    permission = evaluator.as_json(ctx.can)
    # One statement, on sites that choose it alone.
    moderators: list[int] = []
    if ctx.site.names_moderators:
        moderators = microcosm_moderators.find(ctx.reader, site_id, tree, head.id)
    named = profile_summary.summaries(ctx.reader, ctx.app.documents, site_id, moderators)

    def build() -> bytes:
        fetched = ctx.app.documents.fetch(ctx.reader, site_id, microcosm_page.wanted(seen))
        people = fetched[PEOPLE]
        entries = microcosm_page.entries(
            seen, fetched[microcosm_summary.SUMMARY], people, tree, view, site_id
        )
        page = ctx.page(entries, head.total, "/api/v1/comments")
        return microcosm_page.detail(
            seen,
            people,
            page,
            permission,
            tree,
            view,
            site_id,
            is_ignored=is_ignored,
            moderators=[(id, named[id]) for id in moderators if id in named],
        )

    stamp = (
        seen.stamp,
        is_ignored,
        ctx.can,
        ctx.path,
        ctx.query_string,
        tree.acl_version,
        view.stamp,
        tuple(named.items()),
    )
    return Page(head.version, stamp, build)


_PATHS: Final = (patch.STICKY, patch.OPEN, patch.DELETED, patch.MODERATED)
_VISIBILITIES: Final = ("public", "protected", "private")
_DEFAULT_TYPES: Final = (itemtypes.MICROCOSM, itemtypes.CONVERSATION, itemtypes.EVENT)


class MicrocosmBody(Body):
    """Body of a microcosm as a client sends it (content 2.3). `title`, `description`: plain text of up to 50 and 10,000
    characters; `itemTypes`: types of what can be made in it, unknown ones are ignored; absent in a new one: microcosms,
    conversations and events; `visibility`: a value of v1, which gives no rights, `public` for any text but `protected`
    and `private`; `removeLogo`: remove the logo, and ignore `logoUrl`.
    """

    parentId: int | UnsetType = UNSET
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    visibility: Annotated[str, closed(_VISIBILITIES)] | UnsetType = UNSET
    itemTypes: list[Annotated[str, closed_types(itemtypes.MICROCOSM_CHILDREN)]] | UnsetType = UNSET
    logoUrl: str | UnsetType = UNSET
    removeLogo: bool | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


def _given(value: str | UnsetType) -> str | None:
    return None if isinstance(value, UnsetType) else value


def _visibility(sent: MicrocosmBody) -> str | None:
    value = _given(sent.visibility)
    if value is None:
        return None
    return value if value in _VISIBILITIES else "public"


def _item_types(sent: MicrocosmBody) -> tuple[int, ...] | None:
    """Return the ids of the item types that the body names, in the order sent, without repetitions and unknown names;
    None if the key is absent.
    """
    if isinstance(sent.itemTypes, UnsetType):
        return None
    known = {itemtypes.name_of(id): id for id in itemtypes.MICROCOSM_CHILDREN}
    return tuple(dict.fromkeys(known[name] for name in sent.itemTypes if name in known))


def _logo_url(sent: MicrocosmBody) -> str | None:
    """Return the address of the logo that the body sets: None, also for a blank one, leaves the logo as it is, ""
    removes it. Raises Invalid for an unsuitable address.
    """
    if body.given(sent.removeLogo, False):
        return ""
    url = body.given(sent.logoUrl, "").strip()
    if not url:
        return None
    return check_url("logoUrl", url)


def _parent(ctx: Context, tree: Tree, parent_id: int, moved: Node | None) -> int:
    """Check that a microcosm may be put below `parent_id` (C-17), and return `parent_id`.

    `tree`: the site's, locked; `moved`: the microcosm that is moved there, None for a new one. Raises Forbidden if the
    caller may not create there, Invalid for a parent that is missing, hidden or not readable to the caller, takes no
    microcosms, or is `moved` or below it.
    """
    parent = tree.nodes.get(parent_id)
    if parent is not None:
        can = evaluator.effective(ctx.identity.principal, _target(parent), tree)
    if parent is None or not parent.is_live or not can & evaluator.READ:
        raise Invalid("parentId", "must be a microcosm of this site")
    if not can & evaluator.CREATE:
        raise Forbidden("You may not create something in that microcosm", code=NO_CREATE)
    if itemtypes.MICROCOSM not in parent.item_types:
        raise Invalid("parentId", "names a microcosm that does not take microcosms")
    if moved is not None and moved.id in parent.path:
        raise Invalid("parentId", "may not be the microcosm itself or one below it")
    return parent.id


class MicrocosmsHandler(Handler):
    """The site's root microcosm, which is the index of the forum; POST makes another microcosm."""

    identity = IdentityQuery(WITH_PLACES)

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("title", "description")}

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return Located(Target(itemtypes.SITE, ctx.site.id))
        return locate(ctx, ctx.tree.root_id)

    @needs(READ, answer=schemas.Microcosm, paged=True)
    def get(self, ctx: Context) -> Result:
        """The root microcosm with a page of its child microcosms and items.

        Sticky microcosms and items come first. Within the sticky ones, and within the rest, microcosms come before
        items: microcosms in the order of the tree, items with the latest active first. Polls are left out.
        """
        return show(ctx)

    @needs(CREATE, body=MicrocosmBody, status=302)
    def post(self, ctx: Context, sent: MicrocosmBody) -> Result:
        """Make a microcosm below `parentId`, by default below the root.

        403 without the right to create in the parent and, unless the site lets members create microcosms, for all but
        the site's owner. 400 for a parent that is missing, hidden, not readable to the caller, or takes no microcosms.
        Answers 302 to the microcosm.
        """
        title = text_rendering.title(_given(sent.title), "title", 50, quiet=False)
        description = text_rendering.block(_given(sent.description), "description", 10_000)
        logo_url = _logo_url(sent) or ""
        types = _item_types(sent)
        columns = MicrocosmColumns(
            title,
            description,
            logo_url,
            _visibility(sent) or "public",
            _DEFAULT_TYPES if types is None else types,
        )
        tree = Microcosm.lock_tree(ctx.writer, ctx.site.id)
        parent_id = _parent(ctx, tree, body.given(sent.parentId, 0) or tree.root_id, None)
        id = Microcosm.insert(ctx.writer, ctx.author, parent_id, columns)
        return Found(f"/api/v1/microcosms/{id}")


def _locate_for_writing(ctx: Context) -> Located:
    id = ctx.args["item"].id
    node = ctx.tree.nodes.get(id)
    if node is None:
        return Located(Target(itemtypes.MICROCOSM, id))
    return Located(_target(node), is_hidden=not node.is_live, version=node.version)


class MicrocosmHandler(Handler):
    """One microcosm with a page of its child microcosms and items."""

    identity = IdentityQuery(WITH_PLACES)

    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"
    required_keys: ClassVar = {"PUT": ("meta.editReason",)}

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return _locate_for_writing(ctx)
        return locate(ctx, ctx.args["item"].id)

    @needs(READ, answer=schemas.Microcosm, paged=True)
    def get(self, ctx: Context) -> Result:
        """The microcosm with a page of its child microcosms and items.

        Sticky microcosms and items come first. Within the sticky ones, and within the rest, microcosms come before
        items: microcosms in the order of the tree, items with the latest active first. Polls are left out.
        """
        return show(ctx)

    @needs(UPDATE, body=MicrocosmBody, status=302)
    def put(self, ctx: Context, sent: MicrocosmBody) -> Result:
        """Change the microcosm, or move it below another; keys that are not sent stay, meta.editReason is required.

        400 if the root is to move, and for a new parent that is missing, hidden, not readable to the caller, takes no
        microcosms, or is the microcosm itself or below it; 403 without the right to create in the new parent. Answers
        302 to the microcosm.
        """
        microcosm = _lock(ctx)
        tree, node = microcosm
        reason = edit_reason(sent.meta)
        parent_id = body.given(sent.parentId, 0) or node.parent_id
        if parent_id != node.parent_id:
            if microcosm.is_root:
                raise Invalid("parentId", "can't be set: the root microcosm never moves")
            _parent(ctx, tree, parent_id, node)
        microcosm.update(
            ctx.writer, ctx.author, _changed(sent, node.title), parent_id=parent_id, reason=reason
        )
        return Found(itemtypes.href(itemtypes.MICROCOSM, node.id))

    @needs(UPDATE, body=list[patch.Operation])
    def patch(self, ctx: Context, sent: list[patch.Operation]) -> Result:
        """Set the microcosm's flags `sticky`, `open`, `deleted` and `moderated`.

        Moderators may set each to true or false; others with the right to delete the microcosm may only set `deleted`
        to true, else 403. `deleted` and `moderated` hide everything below it as well; 400 if one of them is to be true
        on the root. By operations `replace` of RFC 6902: 501 for its other operations, 400 for another flag.
        """
        changes = patch.changes(sent, _PATHS)
        for change in changes:
            patch.permit(change, ctx.can)
        microcosm = _lock(ctx)
        hides = any(c.value and c.path in (patch.DELETED, patch.MODERATED) for c in changes)
        if hides and microcosm.is_root:
            raise Invalid("", "The root microcosm can't be deleted or moderated")
        flags = {patch.FLAGS[change.path][0]: change.value for change in changes}
        microcosm.flag(ctx.writer, ctx.author, flags, patch.reason(changes[-1]))
        return Done()

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Delete the microcosm: it and everything below it are hidden from all but moderators; 200 also if it is
        deleted already, 400 for the root.
        """
        microcosm = _lock(ctx)
        if microcosm.is_root:
            raise Invalid("", "The root microcosm can't be deleted")
        microcosm.delete(ctx.writer, ctx.author)
        return Done()


def _lock(ctx: Context) -> Microcosm:
    """Lock the site's tree until the transaction ends, and return the located microcosm as read under that lock.

    Raises NotFound if the microcosm does not exist, PreconditionFailed if its version is not the one that If-Match
    names, which is checked again here since the version may have changed before the lock.
    """
    microcosm = known(Microcosm.lock(ctx.writer, ctx.site.id, ctx.args["item"].id), "microcosm")
    wanted = ctx.environ.get("HTTP_IF_MATCH")
    if wanted is not None:
        check_match(wanted, microcosm.node.version)
    return microcosm


def _changed(sent: MicrocosmBody, now: str) -> MicrocosmColumns:
    """Return the columns that the body changes, None for those that stay. Raises Invalid for a bad title, description
    or address of the logo.

    `now`: the present title, which is accepted as it is even if it is too long.
    """
    title, description = _given(sent.title), _given(sent.description)
    return MicrocosmColumns(
        None if title is None else text_rendering.kept_title(title, "title", 50, now, quiet=False),
        None if description is None else text_rendering.block(description, "description", 10_000),
        _logo_url(sent),
        _visibility(sent),
        _item_types(sent),
    )


class MicrocosmTreeHandler(Handler):
    """The microcosms that the caller may read and does not ignore."""

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, answer=list[schemas.MicrocosmTreeNode])
    def get(self, ctx: Context) -> Result:
        """The microcosms that the caller may read and does not ignore, as a flat list, each before those below it."""
        document = microcosm_links.whole_tree(ctx.tree, ctx.listable)
        return Page(0, document, lambda: document)
