"""Targets of permissions of many things of any type at once, equal to those of permission_target.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.errors import NotFound
from forumapi.models.access import permission_target
from forumapi.models.access.permission_target import PermissionTarget
from forumapi.models.content import comment_documents
from forumapi.permissions.evaluator import READ, Principal, Target, Tree, effective, unseen_comment

# Each branch is the statement of models/access/permission_target.py for its types: (type, id, microcosm, owner, if
# others wrote, if the caller takes part, the type of a comment's parent).
MANY = Query(
    "permission_target_batch.targets",
    f"""
    WITH asked AS MATERIALIZED (
        SELECT a.type, a.id FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS a (type, id))
    SELECT a.type, a.id, coalesce(i.microcosm_id, 0), i.created_by, i.comment_count > coalesce(mine.live, 0),
           i.item_type_id = {itemtypes.HUDDLE}, 0::smallint
      FROM asked a
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = a.id AND i.item_type_id = a.type
      LEFT JOIN item_authors mine ON mine.site_id = i.site_id AND mine.item_id = i.item_id
                                 AND mine.profile_id = i.created_by
     WHERE {comment_documents.HUDDLE_ACCESS}
     UNION ALL
    SELECT a.type, a.id, coalesce(i.microcosm_id, 0), c.created_by, true,
           coalesce(i.item_type_id = {itemtypes.HUDDLE}, false),
           coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint)
      FROM asked a
      JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = a.id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE a.type = {itemtypes.COMMENT} AND {comment_documents.HUDDLE_ACCESS}
     UNION ALL
    SELECT a.type, a.id, 0, p.profile_id, true, false, 0::smallint
      FROM asked a
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = a.id
     WHERE a.type = {itemtypes.PROFILE}
     UNION ALL
    SELECT a.type, a.id, 0, p.user_id, true, false, 0::smallint
      FROM asked a
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id =
      {permission_target.PROFILE_OF_USER.format(id="a.id")}
     WHERE a.type = {itemtypes.USER}
     UNION ALL
    SELECT a.type, a.id, 0, x.profile_id, true, false, 0::smallint
      FROM asked a
      JOIN updates x ON x.site_id = %(site_id)s AND x.update_id = a.id
     WHERE a.type = {itemtypes.UPDATE}
     UNION ALL
    SELECT a.type, a.id, 0, coalesce(r.created_by, 0), true, false, 0::smallint
      FROM asked a
      JOIN roles r ON r.site_id = %(site_id)s AND r.role_id = a.id
     WHERE a.type = {itemtypes.ROLE}
     UNION ALL
    SELECT a.type, a.id, 0, w.profile_id, true, false, 0::smallint
      FROM asked a
      JOIN watchers w ON w.site_id = %(site_id)s AND w.watcher_id = a.id
     WHERE a.type = {itemtypes.WATCHER}""",
)

# Profiles and items that exist, hidden or not, as targets of permissions.
PLACES = Query(
    "permission_target_batch.places",
    f"""
    SELECT w.item_type_id, w.item_id, p.profile_id IS NOT NULL OR i.item_id IS NOT NULL,
           coalesce(i.microcosm_id, 0), coalesce(i.created_by, 0), coalesce(i.is_deleted OR i.is_moderated, false),
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE i.item_type_id = {itemtypes.HUDDLE} AND h.site_id = i.site_id AND h.item_id = i.item_id
                      AND h.profile_id = %(me)s)
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS w (item_type_id, item_id)
      LEFT JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = w.item_id
                          AND w.item_type_id = {itemtypes.PROFILE}
      LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = w.item_id AND i.item_type_id = w.item_type_id""",
)

# Types that are found in memory.
_KNOWN: Final = frozenset((itemtypes.SITE, itemtypes.MICROCOSM))


def targets(
    tx: Reader, site_id: int, tree: Tree, principal: Principal, named: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Target]:
    """Return the target of permissions of each thing in `named`, by (type, id), with one statement at most.

    A thing that does not exist, or not for `principal`, has a target without an owner: in place of another site, or of
    a user without a profile here, a target of type 0; in place of a comment the evaluator's unseen_comment.
    """
    asked = sorted(one for one in set(named) if one[0] not in _KNOWN)
    found: dict[tuple[int, int], Target] = {}
    for kind, id in set(named) - set(asked):
        found[kind, id] = permission_target.find(tx, site_id, tree, principal, kind, id).target
    if asked:
        types, ids = zip(*asked, strict=True)
        me = principal.participant_id
        viewer = principal.profile_id
        for row in tx.rows(MANY, site_id=site_id, me=me, viewer=viewer, types=types, ids=ids):
            found[row[0], row[1]] = _target(*row)
    for kind, id in asked:
        # A user without a profile here has no type; any other missing thing is one of its type without an owner.
        nothing = Target(0 if kind == itemtypes.USER else kind, id)
        if kind == itemtypes.COMMENT:
            nothing = unseen_comment(id)
        found.setdefault((kind, id), nothing)
    return found


def _target(
    kind: int,
    id: int,
    microcosm_id: int,
    owner_id: int,
    others_wrote: bool,
    is_participant: bool,
    parent_type: int,
) -> Target:
    if kind == itemtypes.USER:
        return Target(kind, id, user_id=owner_id)
    return Target(
        kind,
        id,
        microcosm_id,
        (owner_id,),
        parent_type=parent_type,
        others_wrote=others_wrote,
        is_participant=is_participant,
    )


def permission_targets(
    tx: Reader, site_id: int, tree: Tree, principal: Principal, named: Collection[tuple[int, int]]
) -> dict[tuple[int, int], PermissionTarget]:
    """Return each thing in `named`, of which all are sites, microcosms, profiles or items, as a target of permissions,
    by (type, id), with one statement at most.

    `exists` is True also for a huddle in which `principal` does not participate, unlike that of permission_target.find.
    Of profiles and items `version` is 0 and `others_wrote` of the target True, since neither is read.
    """
    asked = sorted(one for one in set(named) if one[0] not in _KNOWN)
    found: dict[tuple[int, int], PermissionTarget] = {}
    for kind, id in set(named) - set(asked):
        found[kind, id] = permission_target.find(tx, site_id, tree, principal, kind, id)
    if not asked:
        return found
    types, ids = zip(*asked, strict=True)
    rows = tx.rows(PLACES, site_id=site_id, me=principal.participant_id, types=types, ids=ids)
    for kind, id, exists, microcosm_id, author_id, is_hidden, is_participant in rows:
        target = Target(
            kind,
            id,
            microcosm_id,
            (id if kind == itemtypes.PROFILE else author_id,) if exists else (),
            is_participant=is_participant,
        )
        hidden = is_hidden or not permission_target.is_live(tree, microcosm_id)
        found[kind, id] = PermissionTarget(target, exists, hidden)
    return found


def check_readable(
    tx: Reader,
    site_id: int,
    principal: Principal,
    tree: Tree,
    things: Sequence[tuple[int, int]],
    verb: str,
    *,
    place: str = "",
) -> None:
    """Raise NotFound unless `principal` may read each of `things`, (type, id), and none is deleted, moderated, or in
    one that is. The things are sites, microcosms, profiles or items.

    The error names the first bad one, and not the reason. For its message: `verb`, what the request does with the
    things, and `place`, the list in the body that they come from, "" for none.
    """
    found = permission_targets(tx, site_id, tree, principal, things)
    for number, thing in enumerate(things):
        where = found[thing]
        if (
            not where.exists
            or where.is_hidden
            or not effective(principal, where.target, tree) & READ
        ):
            field = f"{place}[{number}].itemId" if place else "itemId"
            raise NotFound(f"{field}: there is nothing of that type and id to {verb}")
