"""Steps of a GET: location of the object, permission, redirect from a merged item, visibility, paging, and the
handler's method.
"""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.models.access import permission_target
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import Handler, HandlerOperation
from forumapi.request.handler_results import PermanentRedirect, Result
from forumapi.request.permission import permit, refuse_hidden
from forumapi.wire import paging


def read_document(ctx: Context, handler: Handler, operation: HandlerOperation) -> Result:
    """Answer a GET by its handler: locate the object, check permission, visibility and paging, run the method; or
    redirect from a merged item.

    Raises Forbidden without the right that `operation` needs, NotFound for a hidden object, Invalid for a bad limit or
    offset, and the errors of `locate` and the method.
    """
    located = ctx.located = handler.locate(ctx)
    permit(ctx, operation.need)
    if located is not None:
        if located.is_hidden and (moved := _merged(ctx, located)):
            return moved
        refuse_hidden(ctx, located, is_get=True)
    if operation.paged:
        ctx.check_paging()
    return handler.call("GET", ctx)


def _merged(ctx: Context, located: Located) -> PermanentRedirect | None:
    """Return a redirect from a merged item to the same address of the item that has its comments now; None if it is not
    merged, or the caller may not read one of the two.
    """
    target = located.target
    tx, tree, principal = ctx.reader, ctx.tree, ctx.identity.principal
    ref = permission_target.merged_into(tx, ctx.site.id, target.item_type, target.item_id)
    if ref is None or not ctx.can & evaluator.READ:
        return None
    found = permission_target.find(tx, ctx.site.id, tree, principal, *ref)
    can = evaluator.effective(principal, found.target, tree)
    if not found.exists or not can & evaluator.READ:
        return None
    if found.is_hidden and not can & evaluator.MODERATOR:
        return None
    own = itemtypes.href(target.item_type, target.item_id)
    rest = ctx.path.removeprefix(own)
    # Its pages are others now.
    return PermanentRedirect(paging.href(f"{ref.href}{rest}", ctx.pairs, offset=None))
