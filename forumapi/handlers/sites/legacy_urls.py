"""Look-up of today's address for an address of the forum software that a site came from. Wire: docs/api/resolve.md."""

from __future__ import annotations

from typing import Any

from forumapi import itemtypes
from forumapi.errors import Invalid
from forumapi.models.access import permission_target
from forumapi.models.pages import page_of_comment
from forumapi.models.sites import legacy_ids
from forumapi.models.sites.legacy_ids import LegacyMatch
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import READ
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, Param, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.schemas import legacy_urls as schemas

_ONLINE = "online"
_SEARCH = "search"
_IN_CONTEXT = "incontext"


class ResolveHandler(Handler):
    """Translation of addresses of the forum software that the site was moved from into today's."""

    @needs(
        ANYONE,
        answer=schemas.Resolved,
        params=(Param("url", str, "The old address; only its path and query matter."),),
    )
    def get(self, ctx: Context) -> Result:
        """Today's address for the old address in `url`: `status` in the data is 301 if it leads to something that the
        caller may read, else 404.

        The HTTP status is 200 in both cases, and 400 without `url`.
        """
        url = ctx.query.get("url", "")
        if not url:
            raise Invalid("url", "is required")
        found = legacy_ids.find(ctx.reader, ctx.site.id, ctx.app.old_sites, url)
        target = None if found is None else _target(ctx, found)
        if target is None:
            target = {"status": 404, "redirect": {"href": ""}}
        return Data(json_fragments.dumps({"url": url, **target}))


def _target(ctx: Context, found: LegacyMatch) -> dict[str, Any] | None:
    old = found.old
    if not found.item_id:
        return _list(old.item_type, old.action, old.search)
    kind, id, action, offset = old.item_type, found.item_id, old.action, 0
    if kind == itemtypes.ATTACHMENT:
        if not found.file_hash or not _may_read(ctx, found.holder_type, found.holder_id):
            return None
        href = f"{ctx.site.origin}/api/v1/files/{found.file_hash}"
        return {"status": 301, "redirect": {"href": href}, "itemType": "attachment", "itemId": id}
    if not _may_read(ctx, kind, id):
        return None
    if kind == itemtypes.CONVERSATION and old.go:
        comment = page_of_comment.target_comment(
            ctx.reader,
            ctx.site.id,
            id,
            ctx.identity.profile_id,
            ctx.identity.ignored_profiles,
            newest=old.go == "lastcomment",
        )
        if comment is not None:
            kind, id, action = itemtypes.COMMENT, comment[0], _IN_CONTEXT
    elif old.offset:
        offset = _clamped(ctx, kind, id, old.offset)
    answer: dict[str, Any] = {
        "status": 301,
        "redirect": {
            "rel": itemtypes.name_of(kind),
            "href": paging.href(itemtypes.href(kind, id), (), offset=offset or None),
        },
        "itemType": itemtypes.name_of(kind),
        "itemId": id,
    }
    if offset:
        answer["offset"] = offset
    if action:
        answer["action"] = action
    return answer


def _list(kind: int, action: str, search: str) -> dict[str, Any]:
    """Return the answer for an old address of a list, such as a search or the people online, as a dict for JSON.

    `kind`: item type of what is listed. `action`: _SEARCH, _ONLINE or "" for the plain list; `search`: words searched
    for, "" for none.
    """
    path, name = itemtypes.BY_ID[kind].path, itemtypes.name_of(kind)
    if action == _SEARCH:
        # Conversations are searched with all else.
        path = "/api/v1/search" if kind == itemtypes.CONVERSATION else path
        path = paging.href(path, (), q=search)
    elif action == _ONLINE:
        path = paging.href(path, (), online="true")
    answer: dict[str, Any] = {
        "status": 301,
        "redirect": {"rel": name, "href": path},
        "itemType": name,
    }
    if action:
        answer["action"] = action
    if search:
        answer["search"] = search
    return answer


def _may_read(ctx: Context, kind: int, id: int) -> bool:
    """Return True if the object of type `kind` exists, is not hidden, and the caller may read it (V-04)."""
    principal = ctx.identity.principal
    where = permission_target.find(ctx.reader, ctx.site.id, ctx.tree, principal, kind, id)
    can = evaluator.effective(principal, where.target, ctx.tree)
    return where.exists and not where.is_hidden and bool(can & READ)


def _clamped(ctx: Context, kind: int, id: int, offset: int) -> int:
    """Return the offset of the page, of this API's default size, that holds the entry at `offset` in the old forum's
    list of the object (`kind`, `id`); at most the offset of the last page (V-03). The object must exist.

    0 for objects of other types than conversation and microcosm, which have no pages.
    """
    tx, site_id, identity = ctx.reader, ctx.site.id, ctx.identity
    if kind == itemtypes.CONVERSATION:
        total = legacy_ids.comment_total(tx, site_id, id, identity.ignored_profiles)
    elif kind == itemtypes.MICROCOSM:
        listable = ctx.listable.set
        below = sum(one in listable for one in ctx.tree.nodes[id].children)
        total = below + legacy_ids.item_total(tx, site_id, id, identity.ignored_items)
    else:
        return 0
    size = paging.DEFAULT_LIMIT
    return min(offset // size, max(total - 1, 0) // size) * size
