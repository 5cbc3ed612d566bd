"""Check of the caller's permission on the located object, and the steps of a GET around that check."""

from __future__ import annotations

from typing import Final

from forumapi import errors, itemtypes
from forumapi.errors import Forbidden, NotFound
from forumapi.models.access import identity as identities
from forumapi.models.access import permission_target
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    ANYONE,
    CREATE,
    DELETE,
    LOGIN,
    MODERATE,
    OWNER,
    READ,
    REMOVE,
    UPDATE,
    Handler,
    HandlerOperation,
    Need,
)
from forumapi.request.response import PermanentRedirect, Result
from forumapi.wire import paging

# The right that a need asks for, and the code that its refusal carries (platform 1.6).
_RIGHTS: Final[dict[Need, tuple[int, int, str]]] = {
    READ: (evaluator.READ, errors.NO_READ, "You may not read this"),
    CREATE: (evaluator.CREATE, errors.NO_CREATE, "You may not post here"),
    UPDATE: (evaluator.UPDATE, errors.NO_UPDATE, "You may not change this"),
    DELETE: (evaluator.DELETE, errors.NO_DELETE, "You may not delete this"),
    REMOVE: (
        evaluator.UPDATE | evaluator.DELETE,
        errors.NO_DELETE,
        "You may not remove anything from this",
    ),
    MODERATE: (evaluator.MODERATOR, 0, "Only moderators may do this"),
    OWNER: (evaluator.SITE_OWNER, errors.NEEDS_OWNER, "Only the owner of this site may do this"),
}

_CHANGING: Final = frozenset((CREATE, UPDATE, DELETE, REMOVE, MODERATE))


def read_document(ctx: Context, handler: Handler, operation: HandlerOperation) -> Result:
    """Answer a GET by its handler: locate the object, check permission, visibility and paging, run the method.

    Raises Forbidden, NotFound, Invalid.
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


def permit(ctx: Context, need: Need) -> None:
    """Set `ctx.can`, the caller's permissions on the located object; where none was located, only the site's owner has
    any.

    Raises Forbidden unless they meet `need`; a guest's rights never allow a write.
    """
    located = ctx.located
    if located is not None:
        ctx.can = evaluator.effective(
            ctx.identity.principal,
            located.target,
            ctx.tree,
            members_create_microcosms=not ctx.site.only_admins_create,
        )
    elif ctx.identity.principal.is_site_owner:
        ctx.can = evaluator.SITE_OWNER
    if need is ANYONE:
        return
    if need is LOGIN:
        if ctx.identity.is_guest:
            raise Forbidden("Sign in to do this", code=errors.SIGN_IN)
        return
    right, code, text = _RIGHTS[need]
    # Guests write nothing, whatever a role lets them do: their rights only decide what they may see.
    if not ctx.can & right or (ctx.is_write and need in _CHANGING and ctx.identity.is_guest):
        if ctx.can & evaluator.BANNED:
            raise Forbidden(identities.DEFAULT_BAN, code=errors.BANNED)
        raise Forbidden(text, code=code)


def _merged(ctx: Context, located: Located) -> PermanentRedirect | None:
    """Return a redirect from a merged item to the same address of the item that has its comments now; None if there is
    no such item that the caller may read.
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


def refuse_hidden(ctx: Context, located: Located, *, is_get: bool = False) -> None:
    """Raise NotFound if the located object is hidden from the caller, whose permissions `ctx.can` holds.

    With `is_get` an author may still see an object of theirs that a moderator hid (C-09). Nobody writes to a merged
    item, moderators included.
    """
    if ctx.is_write and located.is_hidden:
        target = located.target
        site_id = ctx.site.id
        if permission_target.merged_into(ctx.reader, site_id, target.item_type, target.item_id):
            raise NotFound("This was merged into another conversation", code=errors.DELETED)
    if not located.is_hidden_from(ctx.can):
        return
    if is_get and located.own_moderated and ctx.can & evaluator.OWNER:
        return
    raise NotFound("This was deleted", code=errors.DELETED)
