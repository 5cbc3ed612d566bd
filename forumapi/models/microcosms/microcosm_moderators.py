"""Moderators of a microcosm, for sites that choose to name them."""

from __future__ import annotations

from typing import Final

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.permissions.evaluator import Tree

# People that a microcosm names.
MOST: Final = 100

FIND = Query(
    "microcosm_moderators.find",
    """
    SELECT p.profile_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.role_ids <> '{}' AND p.role_ids && %(role_ids)s::bigint[]
     ORDER BY p.profile_id
     LIMIT %(limit)s""",
)


def find(tx: Reader, site_id: int, tree: Tree, microcosm_id: int) -> list[int]:
    """Return the ids of the profiles that own a microcosm or are in a role that moderates it, its own or one of an
    ancestor: at most MOST, ascending; [] for an unknown microcosm.
    """
    node = tree.nodes.get(microcosm_id)
    if node is None:
        return []
    roles = sorted(
        role.role_id for id in node.path for role in tree.roles.get(id, ()) if role.is_moderator
    )
    found: set[int] = {node.owned_by}
    if roles:
        rows = tx.rows(FIND, site_id=site_id, role_ids=roles, limit=MOST)
        found.update(row[0] for row in rows)
    return sorted(found - {0})[:MOST]
