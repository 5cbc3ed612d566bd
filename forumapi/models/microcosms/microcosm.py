"""Microcosm as clients write it: create, change, move, flag, delete (content 2). microcosm_page.py reads microcosms.

Every write increments the site's acl_version, so that access lists kept in memory are loaded anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms.tree import load_tree
from forumapi.permissions.evaluator import Node, Tree

# The lock on the site's row serialises all changes of its tree.
LOCK_TREE = Query(
    "microcosm.lock_tree",
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

FLAGS = ("is_sticky", "is_open", "is_deleted", "is_moderated")


class MicrocosmColumns(NamedTuple):
    """Columns of a microcosm that clients write; `title` and `description`: cleaned and HTML-escaped
    (text_rendering.py), stored as they are; `visibility`: public, protected or private, a value that v1's clients send
    and that gives no rights; `item_types`: the types of items that it takes. None, allowed in an update alone, keeps
    the stored value.
    """

    title: str | None
    description: str | None
    logo_url: str | None
    visibility: str | None
    item_types: Sequence[int] | None


class Microcosm(NamedTuple):
    """Microcosm, as `node` in the `tree` of its site; the tree is locked until the transaction ends."""

    tree: Tree
    node: Node

    @classmethod
    def lock_tree(cls, tx: Transaction, site_id: int) -> Tree:
        """Lock the site's tree against other writes until the transaction ends, increment acl_version, and return the
        tree.
        """
        return load_tree(tx, site_id, int(tx.value(LOCK_TREE, site_id=site_id)))

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, id: int) -> Microcosm | None:
        """Lock the site's tree as `lock_tree` does, and return the microcosm in it; None if it never existed here."""
        tree = cls.lock_tree(tx, site_id)
        node = tree.nodes.get(id)
        return cls(tree, node) if node else None

    @classmethod
    def insert(
        cls, tx: Transaction, author: Author, parent_id: int, columns: MicrocosmColumns
    ) -> int:
        """Store a new microcosm, which the author's profile then owns, below the microcosm `parent_id`; return the new
        one's id. The tree must be locked.
        """
        id = int(
            tx.value(
                INSERT,
                site_id=author.site_id,
                me=author.profile_id,
                parent_id=parent_id,
                **columns._asdict(),
            )
        )
        _record(tx, author, journal.CREATED, id, 1, parent_id)
        return id

    @property
    def is_root(self) -> bool:
        """Return True if this is the site's root, the microcosm above all others."""
        return not self.node.parent_id

    def update(
        self,
        tx: Transaction,
        author: Author,
        columns: MicrocosmColumns,
        *,
        parent_id: int,
        reason: str,
    ) -> None:
        """Store new columns of the microcosm, and place it below the microcosm `parent_id`, its present parent or
        another (0: it is the root). `reason`: the edit reason, HTML-escaped by the caller.
        """
        node = self.node
        version = tx.value(
            UPDATE,
            site_id=author.site_id,
            id=node.id,
            me=author.profile_id,
            parent_id=parent_id or None,
            reason=reason,
            **columns._asdict(),
        )
        moved_from = node.parent_id if parent_id != node.parent_id else 0
        _record(tx, author, journal.REPLACED, node.id, version, parent_id, moved_from)

    def flag(self, tx: Transaction, author: Author, flags: Mapping[str, bool], reason: str) -> None:
        """Set flags of the microcosm to the values that `flags` has by name, each one of FLAGS; others stay. `reason`:
        the edit reason, HTML-escaped by the caller.
        """
        version = tx.value(
            FLAG,
            site_id=author.site_id,
            id=self.node.id,
            me=author.profile_id,
            reason=reason,
            **{name: flags.get(name) for name in FLAGS},
        )
        _record(tx, author, journal.PATCHED, self.node.id, version, self.node.parent_id)

    def delete(self, tx: Transaction, author: Author) -> None:
        """Set the flag `is_deleted` of the microcosm, which hides everything below it too; nothing changes if it is set
        already.
        """
        version = tx.value(DELETE, site_id=author.site_id, id=self.node.id)
        if version is not None:
            _record(tx, author, journal.DELETED, self.node.id, version, self.node.parent_id)


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
        author,
        kind,
        itemtypes.MICROCOSM,
        id,
        version=version,
        parent=(itemtypes.MICROCOSM, parent_id) if parent_id else None,
        microcosm_id=id,
        moved_from=moved_from,
    )
