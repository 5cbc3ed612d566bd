"""Targets of permissions: any thing by type and id, and whether it is hidden.

An id of another site is not found, like one that never existed (P-12, C-10): every statement is bound to the site.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.itemtypes import ItemRef
from forumapi.models.content import comment_documents
from forumapi.models.roles import role_recomputation
from forumapi.permissions.evaluator import Principal, Target, Tree

# The item's own state and author, and if somebody else has a live comment in it. Only participants find a huddle, or a
# comment in one: for all others it does not exist.
ITEM_COLUMNS: Final = f"""
           coalesce(i.microcosm_id, 0), i.created_by, i.is_deleted OR i.is_moderated, i.version,
           i.comment_count > coalesce(mine.live, 0), i.item_type_id = {itemtypes.HUDDLE}"""
ITEM = Query(
    "permission_target.item",
    f"""
    SELECT {ITEM_COLUMNS}
      FROM items i
      LEFT JOIN item_authors mine ON mine.site_id = i.site_id AND mine.item_id = i.item_id
                                 AND mine.profile_id = i.created_by
     WHERE i.site_id = %(site_id)s AND i.item_id = %(id)s AND i.item_type_id = %(item_type)s
       AND {comment_documents.HUDDLE_ACCESS}""",
)

COMMENT = Query(
    "permission_target.comment",
    f"""
    SELECT coalesce(i.microcosm_id, 0), c.created_by,
           c.is_deleted OR c.is_moderated OR coalesce(i.is_deleted OR i.is_moderated, false), c.version,
           coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint),
           coalesce(i.item_type_id = {itemtypes.HUDDLE}, false),
           NOT c.is_deleted AND (i.item_id IS NULL
                                 OR NOT i.is_deleted AND (NOT i.is_moderated OR i.created_by = c.created_by))
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND {comment_documents.HUDDLE_ACCESS}""",
)

PROFILE = Query(
    "permission_target.profile",
    "SELECT p.version FROM profiles p WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s",
)

# Where an item leads whose comments were moved into another one, perhaps through several merges; the last is no merged
# one. No chain is that long: the bound ends the statement whatever stands in the table.
MERGED_INTO = Query(
    "permission_target.merged_into",
    """
    WITH RECURSIVE led (item_id, merges) AS (
        SELECT i.merged_into, 1
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.item_id = %(id)s AND i.item_type_id = %(item_type)s
           AND i.merged_into IS NOT NULL
         UNION ALL
        SELECT i.merged_into, l.merges + 1
          FROM led l
          JOIN items i ON i.site_id = %(site_id)s AND i.item_id = l.item_id
         WHERE i.merged_into IS NOT NULL AND l.merges < 1000)
    SELECT i.item_type_id, i.item_id
      FROM led l
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = l.item_id
     WHERE i.merged_into IS NULL""",
)

# SQL: the profile that `id` names for `viewer`, who is named by their user's id, as all others by their profile's.
PROFILE_OF_USER: Final = """
           coalesce((SELECT o.profile_id
                       FROM profiles o
                      WHERE o.site_id = %(site_id)s AND o.profile_id = %(viewer)s AND o.user_id = {id}), {id})"""

USER = Query(
    "permission_target.user",
    f"""
    SELECT p.user_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = {PROFILE_OF_USER.format(id="%(id)s")}""",
)

IS_OPEN = Query(
    "permission_target.is_open",
    "SELECT i.is_open FROM items i WHERE i.site_id = %(site_id)s AND i.item_id = %(id)s",
)

UPDATE = Query(
    "permission_target.update",
    "SELECT x.profile_id FROM updates x WHERE x.site_id = %(site_id)s AND x.update_id = %(id)s",
)

ROLE = Query(
    "permission_target.role",
    """
    SELECT coalesce(r.created_by, 0)
      FROM roles r
     WHERE r.site_id = %(site_id)s AND r.role_id = %(id)s""",
)

WATCHER = Query(
    "permission_target.watcher",
    "SELECT w.profile_id FROM watchers w WHERE w.site_id = %(site_id)s AND w.watcher_id = %(id)s",
)

LOCK_SITE = Query(
    "permission_target.lock_site",
    "SELECT s.site_id FROM sites s WHERE s.site_id = %(site_id)s AND s.site_id = %(id)s FOR NO KEY UPDATE",
)

LOCK_MICROCOSM = Query(
    "permission_target.lock_microcosm",
    """
    SELECT m.microcosm_id
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(id)s
       FOR NO KEY UPDATE""",
)

# Only participants wait for the lock of a huddle, or of a comment in one: waiting would reveal that it exists.
LOCK_ITEM = Query(
    "permission_target.lock_item",
    f"""
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = %(id)s AND {comment_documents.HUDDLE_ACCESS}
       FOR NO KEY UPDATE OF i""",
)

LOCK_COMMENT = Query(
    "permission_target.lock_comment",
    f"""
    SELECT c.comment_id
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND {comment_documents.HUDDLE_ACCESS}
       FOR NO KEY UPDATE OF c""",
)

LOCK_PROFILE = Query(
    "permission_target.lock_profile",
    f"""
    SELECT p.profile_id
      FROM {role_recomputation.LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s
       FOR NO KEY UPDATE OF p""",
)

_LOCKS = {
    itemtypes.SITE: LOCK_SITE,
    itemtypes.MICROCOSM: LOCK_MICROCOSM,
    itemtypes.COMMENT: LOCK_COMMENT,
    itemtypes.PROFILE: LOCK_PROFILE,
}

_OWNED_BY_ONE = {
    itemtypes.UPDATE: UPDATE,
    itemtypes.ROLE: ROLE,
    itemtypes.WATCHER: WATCHER,
}


class PermissionTarget(NamedTuple):
    """Target of a permission; `target` is its form for the evaluator. `exists` False: there is no such thing on this
    site, or none for the caller.

    `is_hidden`: the thing, or one above it, is deleted or moderated. `version`: that of the thing's row, 0 where it was
    not read. `is_own_held`: a comment of the caller that is hidden only because it, or the caller's own item that it is
    on, is moderated; False from all functions but `find`.
    """

    target: Target
    exists: bool = False
    is_hidden: bool = False
    version: int = 0
    is_own_held: bool = False


def find(
    tx: Reader, site_id: int, tree: Tree, principal: Principal, item_type: int, item_id: int
) -> PermissionTarget:
    """Return the target of a permission on the thing of that type and id, with at most one statement. For the type
    user, `item_id` is the id of the user's profile here, or the caller's own user id.

    `exists` is False also for a huddle, or a comment in it, in which `principal` does not participate; and for any id
    of a type that this function can't look up, such as attendee, attribute and attachment. In place of another site's
    id, and of a user without a profile here, the target has type 0.
    """
    nowhere = PermissionTarget(Target(item_type, item_id))
    if item_type == itemtypes.SITE:
        # Another site's id must not count as this site: without a type there is no permission at all.
        is_own = item_id == site_id
        return (
            PermissionTarget(Target(itemtypes.SITE, site_id), True)
            if is_own
            else PermissionTarget(Target(0, item_id))
        )
    if item_type == itemtypes.MICROCOSM:
        return _microcosm(tree, item_id)
    if item_type == itemtypes.COMMENT:
        return _comment(tx, site_id, tree, principal, item_id)
    if item_type == itemtypes.HUDDLE or item_type in itemtypes.IN_MICROCOSM:
        return _item(tx, site_id, tree, principal.participant_id, item_type, item_id)
    if item_type == itemtypes.PROFILE:
        version = tx.value(PROFILE, site_id=site_id, id=item_id)
        if version is None:
            return nowhere
        return PermissionTarget(
            Target(item_type, item_id, owner_ids=(item_id,)), True, version=version
        )
    if item_type == itemtypes.USER:
        # A user without a profile here does not exist here, also for the site's owner.
        user_id = tx.value(USER, site_id=site_id, id=item_id, viewer=principal.profile_id)
        return (
            PermissionTarget(Target(item_type, item_id, user_id=user_id), True)
            if user_id
            else PermissionTarget(Target(0, item_id))
        )
    query = _OWNED_BY_ONE.get(item_type)
    if query is not None:
        owner_id = tx.value(query, site_id=site_id, id=item_id)
        if owner_id is not None:
            return PermissionTarget(Target(item_type, item_id, owner_ids=(owner_id,)), True)
    return nowhere


def is_open(tx: Reader, site_id: int, item_id: int) -> bool:
    """Return True if the item is open: people who don't moderate it may comment on it too. False also if there is no
    such item.
    """
    return bool(tx.value(IS_OPEN, site_id=site_id, id=item_id))


def merged_into(tx: Reader, site_id: int, item_type: int, item_id: int) -> ItemRef | None:
    """Return the item into which this conversation was merged, directly or through further merges, and which has its
    comments now; None for anything that was not merged, and if that item's row is gone. The item may be hidden.
    """
    if item_type != itemtypes.CONVERSATION:
        return None
    row = tx.row(MERGED_INTO, site_id=site_id, item_type=item_type, id=item_id)
    return ItemRef(*row) if row else None


def lock(tx: Transaction, site_id: int, principal: Principal, item_type: int, item_id: int) -> None:
    """Lock the row of a site, microcosm, item, comment or profile, the only types to be given; before a profile's row,
    take the shared lock on the site's roles. A huddle, or a comment in it, in which `principal` does not participate is
    not locked.

    What `find` returns afterwards holds until the transaction ends. The item of a comment is not locked: to keep the
    order of locks, don't lock it later in the transaction.
    """
    lock_it = _LOCKS.get(item_type, LOCK_ITEM)
    tx.rows(lock_it, site_id=site_id, id=item_id, me=principal.participant_id)


def is_live(tree: Tree, microcosm_id: int) -> bool:
    """Return True if a microcosm and all above it are neither deleted nor moderated; True for 0, no microcosm; False
    for an id that `tree` lacks.
    """
    node = tree.nodes.get(microcosm_id)
    return not microcosm_id or (node is not None and node.is_live)


def _microcosm(tree: Tree, id: int) -> PermissionTarget:
    node = tree.nodes.get(id)
    if node is None:
        return PermissionTarget(Target(itemtypes.MICROCOSM, id))
    target = Target(itemtypes.MICROCOSM, id, id, (node.owned_by, node.created_by))
    return PermissionTarget(target, True, not node.is_live, node.version)


def _item(
    tx: Reader, site_id: int, tree: Tree, me: int, item_type: int, id: int
) -> PermissionTarget:
    return item(
        tree, item_type, id, tx.row(ITEM, site_id=site_id, id=id, item_type=item_type, me=me)
    )


def item(tree: Tree, item_type: int, id: int, row: Row | None) -> PermissionTarget:
    """Return the target for the item of that type and id, made of `row`, its ITEM_COLUMNS; with None, or a row of
    nulls, `exists` is False.
    """
    if row is None or row[1] is None:
        return PermissionTarget(Target(item_type, id))
    microcosm_id, author_id, is_hidden, version, others_wrote, is_participant = row
    target = Target(
        item_type,
        id,
        microcosm_id,
        (author_id,),
        is_participant=is_participant,
        others_wrote=others_wrote,
    )
    return PermissionTarget(target, True, is_hidden or not is_live(tree, microcosm_id), version)


def _comment(
    tx: Reader, site_id: int, tree: Tree, principal: Principal, id: int
) -> PermissionTarget:
    row = tx.row(COMMENT, site_id=site_id, id=id, me=principal.participant_id)
    found = comment_at(tree, id, row[:-1] if row else None)
    if row is None or not found.is_hidden:
        return found
    is_own = bool(principal.profile_id) and principal.profile_id in found.target.owner_ids
    is_held = row[-1] and is_live(tree, found.target.microcosm_id)
    return found._replace(is_own_held=is_own and is_held)


def comment_at(tree: Tree, id: int, row: Row | None) -> PermissionTarget:
    """Return the target for the comment `id`, made of `row`, its COMMENT row without the last column; with None
    `exists` is False.
    """
    if row is None:
        return PermissionTarget(Target(itemtypes.COMMENT, id))
    microcosm_id, author_id, is_hidden, version, parent_type, is_participant = row
    target = Target(
        itemtypes.COMMENT,
        id,
        microcosm_id,
        (author_id,),
        parent_type=parent_type,
        is_participant=is_participant,
    )
    return PermissionTarget(target, True, is_hidden or not is_live(tree, microcosm_id), version)
