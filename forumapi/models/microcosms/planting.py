"""Microcosms in writing: make, change, move, flag, delete (content 2). Every write moves the site's acl_version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forumapi import itemtypes
from forumapi.database.connections import Query, Transaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.permissions.evaluator import Node

# Moves the version that access lists are kept under, and holds other changes of this tree back until the end.
BUMP = Query(
    "microcosm.bump",
    """
    UPDATE sites s
       SET acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.acl_version""",
)

INSERT = Query(
    "microcosm.insert",
    """
    WITH made AS (
        INSERT INTO microcosms (site_id, parent_id, title, description, logo_url, visibility, item_types, created_by,
                                owned_by)
        VALUES (%(site_id)s, %(parent_id)s, %(title)s, %(description)s, %(logo_url)s, %(visibility)s,
                %(item_types)s::smallint[], %(me)s, %(me)s)
     RETURNING microcosm_id),
    counts AS (
        INSERT INTO microcosm_counts (site_id, microcosm_id) SELECT %(site_id)s, microcosm_id FROM made)
    SELECT microcosm_id FROM made""",
)

UPDATE = Query(
    "microcosm.update",
    """
    UPDATE microcosms m
       SET parent_id = %(parent_id)s, title = coalesce(%(title)s, m.title),
           description = coalesce(%(description)s, m.description), logo_url = coalesce(%(logo_url)s, m.logo_url),
           visibility = coalesce(%(visibility)s, m.visibility),
           item_types = coalesce(%(item_types)s::smallint[], m.item_types), edited = now(), edited_by = %(me)s,
           edit_reason = %(reason)s, version = m.version + 1
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(id)s
 RETURNING m.version""",
)

FLAG = Query(
    "microcosm.flag",
    """
    UPDATE microcosms m
       SET is_sticky = coalesce(%(is_sticky)s, m.is_sticky), is_open = coalesce(%(is_open)s, m.is_open),
           is_deleted = coalesce(%(is_deleted)s, m.is_deleted),
           is_moderated = coalesce(%(is_moderated)s, m.is_moderated), edited = now(), edited_by = %(me)s,
           edit_reason = %(reason)s, version = m.version + 1
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(id)s
 RETURNING m.version""",
)

DELETE = Query(
    "microcosm.delete",
    """
    UPDATE microcosms m
       SET is_deleted = true, version = m.version + 1
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(id)s AND NOT m.is_deleted
 RETURNING m.version""",
)


def hold_tree(tx: Transaction, site_id: int) -> int:
    """Begin a change of the site's tree: other changes wait until this transaction ends. The new acl_version."""
    return int(tx.value(BUMP, site_id=site_id))


def insert(
    tx: Transaction,
    author: Author,
    parent_id: int,
    title: str,
    description: str,
    *,
    logo_url: str,
    visibility: str,
    item_types: Sequence[int],
) -> int:
    """Make a microcosm; its id. Call `hold_tree` first."""
    id = int(
        tx.value(
            INSERT,
            site_id=author.site_id,
            me=author.profile_id,
            parent_id=parent_id,
            title=title,
            description=description,
            logo_url=logo_url,
            visibility=visibility,
            item_types=item_types,
        )
    )
    _record(tx, author, journal.CREATED, id, 1, parent_id)
    return id


def update(
    tx: Transaction, author: Author, node: Node, parent_id: int, reason: str, **columns: Any
) -> None:
    """Change a microcosm; a column that is None keeps its value. Call `hold_tree` first."""
    version = tx.value(
        UPDATE,
        site_id=author.site_id,
        id=node.id,
        me=author.profile_id,
        parent_id=parent_id or None,
        reason=reason,
        **columns,
    )
    moved_from = node.parent_id if parent_id != node.parent_id else 0
    _record(tx, author, journal.REPLACED, node.id, version, parent_id, moved_from)


def flag(
    tx: Transaction, author: Author, node: Node, columns: dict[str, bool], reason: str
) -> None:
    """Set flags of a microcosm. Call `hold_tree` first."""
    values = {
        name: columns.get(name) for name in ("is_sticky", "is_open", "is_deleted", "is_moderated")
    }
    version = tx.value(
        FLAG, site_id=author.site_id, id=node.id, me=author.profile_id, reason=reason, **values
    )
    _record(tx, author, journal.PATCHED, node.id, version, node.parent_id)


def delete(tx: Transaction, author: Author, node: Node) -> None:
    """Hide a microcosm and everything below it. Call `hold_tree` first."""
    version = tx.value(DELETE, site_id=author.site_id, id=node.id)
    if version is not None:
        _record(tx, author, journal.DELETED, node.id, version, node.parent_id)


def _record(
    tx: Transaction,
    author: Author,
    kind: str,
    id: int,
    version: int,
    parent_id: int,
    moved_from: int = 0,
) -> None:
    journal.record(
        tx,
        author.site_id,
        kind,
        itemtypes.MICROCOSM,
        id,
        actor=author.profile_id,
        ip=author.ip,
        version=version,
        parent=(itemtypes.MICROCOSM, parent_id) if parent_id else None,
        microcosm_id=id,
        moved_from=moved_from,
    )
