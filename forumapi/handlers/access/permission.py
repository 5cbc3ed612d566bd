"""Permissions of the caller on the site or any object of it, singly or many at once. Wire: docs/api/permission.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.access import permission_target, permission_target_batch
from forumapi.models.access.identity import WITH_ITEM, IdentityQuery
from forumapi.models.notifications import update_page, update_types
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target, unseen_comment
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, Handler, Param, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire.body import UNSET, Body, UnsetType, given
from forumapi.wire.openapi_enums import closed_types
from forumapi.wire.schemas import parts as schemas

_BIGINT: Final = 2**63 - 1


# Things that one request may ask about.
MOST_AT_ONCE: Final = 100


class PermissionBody(Body):
    """Object whose permissions are asked for, in a batch; the keys are the parameters of GET /permission."""

    microcosmId: int | UnsetType = UNSET
    itemType: Annotated[str, closed_types(itemtypes.ALL)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


class PermissionHandler(Handler):
    """The caller's permissions on the site, a microcosm, or an object of any type (platform 5.4)."""

    allow = "OPTIONS,HEAD,GET"

    def asked(self, ctx: Context) -> IdentityQuery:
        """Return the statement that identifies the caller. If the query names an item in a microcosm, the statement
        reads that item too, which saves a second statement; objects of other types are read by `locate`.
        """
        kind = itemtypes.BY_NAME.get(ctx.query.get("itemType", "").lower())
        if kind is None or kind.id not in itemtypes.IN_MICROCOSM:
            return self.identity
        try:
            return IdentityQuery(WITH_ITEM, {"item_type": kind.id, "id": _id(ctx, "itemId")})
        except Invalid:
            return self.identity

    def locate(self, ctx: Context) -> Located:
        """Find the object that the query names, in what `asked` read or by statements of its own; a missing object is
        located too, as a target without owners.

        Raises Invalid for an unknown type or a bad id. An id without a type is no error, but names no object.
        """
        return Located(_target(ctx))

    @needs(
        ANYONE,
        answer=schemas.Permissions,
        params=(
            Param("microcosmId", int, "A microcosm; not looked at where an item is named."),
            Param(
                "itemType",
                str,
                "The name of an item type, in any letter case.",
                tuple(itemtypes.BY_NAME),
            ),
            Param("itemId", int, "An item of that type; 0: something new of that type."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The caller's twelve permission flags on the microcosm `microcosmId` or the object `itemId` of `itemType` in
        the query (0 or absent: something new of that type, in that microcosm if one is named); all but `guest` and
        `banned` are false if the query names nothing, or an `itemId` without `itemType`.

        For an object that is not on this site the flags depend on its type and on the caller alone.
        """
        return Data(evaluator.as_json(ctx.can))


class PermissionBatchHandler(Handler):
    """The caller's permissions on many objects at once."""

    @needs(ANYONE, body=list[PermissionBody], answer=list[schemas.Permissions])
    def post(self, ctx: Context, sent: list[PermissionBody]) -> Result:
        """The caller's twelve permission flags on each of up to 100 objects, in the order of the body, each as by GET
        /permission; an object that is named twice is answered twice.

        400 for no object, for more than 100, for an unknown type, and for an id below 0.
        """
        if not 1 <= len(sent) <= MOST_AT_ONCE:
            rule = f"must name 1 to {MOST_AT_ONCE} things"
            raise Invalid("body", rule, code=OUT_OF_RANGE)
        asked = [_checked(one, f"[{number}].") for number, one in enumerate(sent)]
        tree, identity = ctx.tree, ctx.identity
        named = [(one.item_type, one.item_id) for one in asked if one.item_type and one.item_id]
        found = permission_target_batch.targets(
            ctx.reader, ctx.site.id, tree, identity.principal, named
        )
        updates = [one.item_id for one in asked if one.item_type == itemtypes.UPDATE]
        own = _own_updates(ctx, updates)
        answers = []
        for one in asked:
            target = found.get((one.item_type, one.item_id), one)
            if one.item_type == itemtypes.UPDATE and one.item_id in own:
                target = one._replace(owner_ids=(identity.profile_id,))
            can = evaluator.effective(
                identity.principal,
                target,
                tree,
                members_create_microcosms=not ctx.site.only_admins_create,
            )
            answers.append(evaluator.as_json(can))
        return Data(b"[%b]" % b",".join(answers))


def _own_updates(ctx: Context, ids: Sequence[int]) -> frozenset[int]:
    """Return those of `ids`, ids of updates, that the caller's list of updates has now although no row of the database
    stores them: updates about followed things and about decisions are computed when the list is read.
    """
    identity = ctx.identity
    return update_page.own(
        ctx.reader,
        ctx.site.id,
        identity.principal,
        ctx.listable.ids,
        identity.ignored_profiles,
        identity.ignored_items,
        ids,
        decisions=update_types.readable_decisions(identity.scopes),
    )


def _checked(sent: PermissionBody, place: str) -> Target:
    """Return the object that the body names as a target, its type and ids checked but not looked up; type and ids that
    the body does not name are 0.

    `place`: prefix of the field's name in errors. Raises Invalid for an unknown type or an id below 0.
    """
    ids = {"microcosmId": given(sent.microcosmId, 0), "itemId": given(sent.itemId, 0)}
    for name, id in ids.items():
        if id < 0:
            raise Invalid(f"{place}{name}", "must be 0 or more", code=OUT_OF_RANGE)
    name = given(sent.itemType, "")
    kind = itemtypes.BY_NAME.get(name.lower())
    if name and kind is None:
        raise Invalid(f"{place}itemType", "must be the name of an item type")
    return Target(kind.id if kind else 0, ids["itemId"], ids["microcosmId"])


def _target(ctx: Context) -> Target:
    microcosm_id = _id(ctx, "microcosmId")
    item_id = _id(ctx, "itemId")
    name = ctx.query.get("itemType", "")
    if not name:
        return Target(0, item_id, microcosm_id)
    kind = itemtypes.BY_NAME.get(name.lower())
    if kind is None:
        raise Invalid("itemType", "must be the name of an item type")
    if item_id:
        if ctx.identity.more:
            return permission_target.item(ctx.tree, kind.id, item_id, ctx.identity.more).target
        principal = ctx.identity.principal
        place = permission_target.find(
            ctx.reader, ctx.site.id, ctx.tree, principal, kind.id, item_id
        )
        if place.exists:
            return place.target
        if kind.id == itemtypes.COMMENT:
            return unseen_comment(item_id)
        if kind.id == itemtypes.UPDATE and item_id in _own_updates(ctx, [item_id]):
            return place.target._replace(owner_ids=(principal.profile_id,))
        return place.target
    return Target(kind.id, 0, microcosm_id)


def _id(ctx: Context, name: str) -> int:
    """Return the id in the query parameter `name`, 0 when absent. Raises Invalid unless it is a whole number from 0 to
    2^63 - 1.
    """
    text = ctx.query.get(name, "")
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19 or int(digits) > _BIGINT:
        raise Invalid(name, "must be a whole number", code=WRONG_TYPE)
    if int(text) < 0:
        raise Invalid(name, "must be 0 or more", code=OUT_OF_RANGE)
    return int(text)
