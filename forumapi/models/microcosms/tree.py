"""Loader of a site's tree of microcosms and roles, on which the permission evaluator works."""

from __future__ import annotations

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.permissions import evaluator as p
from forumapi.permissions.evaluator import Node, RoleGrant, Tree

MICROCOSMS = Query(
    "tree.microcosms",
    """
    SELECT m.microcosm_id, coalesce(m.parent_id, 0), m.title, m.logo_url, m.item_types, m.sequence, m.is_sticky,
           m.is_open, m.is_deleted, m.is_moderated, m.created_by, m.owned_by, m.version
      FROM microcosms m
     WHERE m.site_id = %(site_id)s""",
    unrestricted="the evaluator is made of them",
)

ROLES = Query(
    "tree.roles",
    """
    SELECT r.role_id, r.microcosm_id, r.is_moderator, r.is_banned, r.include_guests, r.include_users,
           r.can_create, r.can_read, r.can_update, r.can_delete, r.can_close_own, r.can_open_own, r.can_read_others
      FROM roles r
     WHERE r.site_id = %(site_id)s""",
)

# The columns of ROLES from can_create on, as flags.
_RIGHTS = (p.CREATE, p.READ, p.UPDATE, p.DELETE, p.CLOSE_OWN, p.OPEN_OWN, p.READ_OTHERS)


def load_tree(tx: Reader, site_id: int, acl_version: int) -> Tree:
    """Read the tree of the site and return it with the version `acl_version`, which the caller has read before, so that
    the tree is at least as new as that.
    """
    nodes = []
    for row in tx.rows(MICROCOSMS, site_id=site_id):
        id, parent_id, title, logo_url, types, *rest = row
        nodes.append(Node(id, parent_id, title, logo_url, tuple(types), *rest))
    roles = []
    for row in tx.rows(ROLES, site_id=site_id):
        rights = sum(flag for flag, is_set in zip(_RIGHTS, row[6:], strict=True) if is_set)
        roles.append(RoleGrant._make((*row[:6], rights)))
    return Tree(acl_version, nodes, roles)
