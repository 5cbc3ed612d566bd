"""Decision on sending a mail or web push message about an update, made when it is sent, by the evaluator that answers
requests. If anything that the message shows is missing, it is not sent.
"""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.models.access import permission_target
from forumapi.models.notifications.update_types import (
    COMMENTED,
    DIGEST,
    EVENT_INVITATION,
    EVENT_REMINDER,
    NEW_ATTENDEE,
    NEW_USER,
    PREFERRED,
)
from forumapi.permissions.evaluator import READ, Principal, Target, Tree, effective
from forumapi.updates.message_context import MessageContext


def objection(context: MessageContext, tree: Tree) -> str:
    """Return in words, for the log, why a mail or web push message must not be sent: no right, no wish, nothing to
    show; "" if it may be sent. `tree`: the microcosms of the context's site.
    """
    if context.is_site_deleted:
        return "the site is gone"
    if context.is_off:
        return "the address is off: mail to it came back"
    if context.principal.is_site_banned:
        return "the reader is banned"
    if not context.wants_any:
        return "the reader wants no mail"
    if context.type == DIGEST:
        return "" if context.digest != "none" else "the reader wants no digest"
    if not (context.prefers if context.type in PREFERRED else context.wants):
        return "the reader wants no mail of this any more"
    if context.actor_id == context.profile_id and context.type != EVENT_REMINDER:
        return "the reader did it"
    if context.type == NEW_ATTENDEE and not context.is_attending:
        return "the attendee does not come any more"
    if context.type == EVENT_INVITATION and not context.is_attending:
        return "the reader has answered, or is invited no more"
    places = _places(context, tree)
    if not places or any(_is_closed(context.principal, place, tree) for place in places):
        return "the reader may not read it"
    if _ignores(context, tree):
        return "the reader ignores it"
    return ""


def is_public(context: MessageContext, tree: Tree) -> bool:
    """Return True if guests may read all that a notification would show; False for anything in a huddle. `tree`: the
    microcosms of the context's site.
    """
    if context.item_type == itemtypes.HUDDLE or context.participates:
        return False
    guest = Principal(0, None)
    places = _places(context, tree)
    return bool(places) and not any(_is_closed(guest, place, tree) for place in places)


def _places(context: MessageContext, tree: Tree) -> list[permission_target.PermissionTarget]:
    """Return the permission targets of all that the mail or message of `context` shows; [] if one of these things does
    not exist. `tree`: the microcosms of the context's site.
    """
    if context.type == NEW_USER:
        target = Target(itemtypes.PROFILE, context.actor_id, owner_ids=(context.actor_id,))
        return [permission_target.PermissionTarget(target, bool(context.actor_id))]
    places = []
    if context.type in COMMENTED:
        if context.comment is None:
            return []
        places.append(permission_target.comment_at(tree, context.comment_id, context.comment))
        if context.on_profile[0]:
            return places
    if context.item is None:
        return []
    kind, id, row = context.item
    return [*places, permission_target.item(tree, kind, id, row)]


def _is_closed(principal: Principal, place: permission_target.PermissionTarget, tree: Tree) -> bool:
    return (
        not place.exists or place.is_hidden or not effective(principal, place.target, tree) & READ
    )


def _ignores(context: MessageContext, tree: Tree) -> bool:
    """Return True if the reader of the mail or message of `context` ignores the actor, the item, the profile that was
    commented on, or a microcosm above the item (U-08). `tree`: the microcosms of the context's site.
    """
    if not context.ignored:
        return False
    kinds = [(itemtypes.PROFILE, context.actor_id), (itemtypes.PROFILE, context.on_profile[0])]
    if context.item is not None:
        kind, id, row = context.item
        kinds.append((kind, id))
        node = tree.nodes.get(row[0])
        kinds += [(itemtypes.MICROCOSM, place) for place in node.path] if node else []
    ignored = set(context.ignored)
    return any(id * 32 + kind in ignored for kind, id in kinds)
