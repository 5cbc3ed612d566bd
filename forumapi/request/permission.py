"""Check of the caller's permission on the located object, and of its visibility to the caller."""

from __future__ import annotations

from typing import Final

from forumapi import errors
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
    Need,
)

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


def permit(ctx: Context, need: Need) -> None:
    """Set `ctx.can`, the caller's permissions on the located object; where none was located, only the site's owner has
    any.

    Raises Forbidden unless they meet `need`. In a write a guest meets no need from CREATE to MODERATE, whatever a role
    grants.
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


def refuse_hidden(ctx: Context, located: Located, *, is_get: bool = False) -> None:
    """Raise NotFound if the located object is hidden from the caller, whose permissions `ctx.can` holds; in a write
    also if it was merged into another item, for moderators too.

    With `is_get` an author may still see an object of theirs that a moderator hid (C-09).
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
