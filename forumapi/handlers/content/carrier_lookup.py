"""Look-up of the carrier of attributes, reactions or bookmarks that an address names, and checks of its existence."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.errors import DELETED, SIGN_IN, Forbidden, NotFound
from forumapi.models.access import permission_target
from forumapi.models.access.permission_target import PermissionTarget
from forumapi.permissions.evaluator import MODERATOR
from forumapi.request.context import Context, Located


class LocatedCarrier(Located):
    """Carrier that an address names. `place`: its target of permission and its state; `place.exists` is False if there
    is nothing of that type and id, or only something whose existence the caller may not learn, such as a huddle of
    others.
    """

    __slots__ = ("place",)

    place: PermissionTarget


def find(ctx: Context, *, is_locked: bool = True) -> LocatedCarrier:
    """Find the carrier that the address names; a write locks its row until the transaction ends, unless `is_locked` is
    False.

    Never raises for a missing or hidden carrier: `check` does.
    """
    named = ctx.args["item"]
    principal = ctx.identity.principal
    if ctx.is_write and is_locked:
        permission_target.lock(ctx.writer, ctx.site.id, principal, named.type, named.id)
    place = permission_target.find(
        ctx.reader, ctx.site.id, ctx.tree, principal, named.type, named.id
    )
    located = LocatedCarrier(place.target, is_hidden=place.is_hidden)
    located.place = place
    return located


def check(ctx: Context) -> None:
    """Check the located carrier, once permission is checked. Raises NotFound if the carrier does not exist, also for
    the site's owner, whom the permission check lets pass; and, with the error code DELETED, if the carrier is hidden
    from the caller: from all but moderators, in a huddle from everybody.
    """
    located = ctx.located_as(LocatedCarrier)
    place = located.place
    if not place.exists:
        name = itemtypes.name_of(ctx.args["item"].type)
        raise NotFound(f"There is no such {name}")
    if place.is_hidden and (located.is_in_huddle or not ctx.can & MODERATOR):
        raise NotFound("This was deleted", code=DELETED)


def check_signed_in(ctx: Context) -> None:
    """Raise Forbidden for guests, who can have neither reactions and bookmarks nor ballots."""
    if ctx.identity.is_guest:
        raise Forbidden("Sign in to do this", code=SIGN_IN)
