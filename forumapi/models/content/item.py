"""Items as clients write them: create, change, move, flag, delete (content 3 and 4). item_page.py reads them."""

from __future__ import annotations

from typing import Any, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query, Transaction
from forumapi.models.content import draft
from forumapi.models.content.item_type_spec import New
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.notices.watcher import watch
from forumapi.models.people import profile_counters, role_members
from forumapi.permissions.evaluator import Target

# Two equal submissions at once: the second waits for the first and then finds it.
SERIALISE = Query("item.serialise", "SELECT pg_advisory_xact_lock(hashtextextended(%(key)s, 0))")

DUPLICATE = Query(
    "item.duplicate",
    """
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = %(item_type)s
       AND i.microcosm_id = %(microcosm_id)s AND i.title = %(title)s AND NOT i.is_deleted
       AND i.created > now() - make_interval(secs => %(window_s)s)
     ORDER BY i.item_id LIMIT 1""",
)

INSERT = Query(
    "item.insert",
    f"""
    WITH made AS (
        INSERT INTO items (site_id, item_type_id, microcosm_id, title, created, created_by, last_activity)
        SELECT %(site_id)s, %(item_type)s, %(microcosm_id)s, %(title)s, n.now, %(me)s, n.now
          FROM (SELECT clock_timestamp() AS now) n
     RETURNING item_id, created),
    counted AS (
        INSERT INTO microcosm_deltas (site_id, microcosm_id, items, polls, item_id, activity)
        SELECT %(site_id)s, %(microcosm_id)s, 1, (%(item_type)s = 7)::int,
               CASE WHEN %(item_type)s = 7 THEN NULL ELSE item_id END,
               CASE WHEN %(item_type)s = 7 THEN NULL ELSE created END
          FROM made),
    watched AS ({watch("1", "%(item_type)s", "(SELECT item_id FROM made)")}),
    drafted AS ({draft.published("2::smallint", "%(microcosm_id)s", "%(item_type)s")})
    SELECT item_id FROM made""",
)

LOCK = Query(
    "item.lock",
    """
    SELECT i.item_id, i.item_type_id, i.version, i.microcosm_id, i.title, i.created_by, i.is_sticky, i.is_open,
           i.is_deleted, i.is_moderated, i.comment_count, i.last_seq
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s AND i.item_type_id = %(item_type)s
       FOR NO KEY UPDATE""",
)

# A huddle is there for its participants alone; the caller's own row is locked too, so that leaving waits.
LOCK_HUDDLE = Query(
    "item.lock_huddle",
    """
    SELECT i.item_id, i.item_type_id, i.version, i.microcosm_id, i.title, i.created_by, i.is_sticky, i.is_open,
           i.is_deleted, i.is_moderated, i.comment_count, i.last_seq
      FROM items i
      JOIN huddle_participants h ON h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = %(me)s
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s AND i.item_type_id = 5
       FOR NO KEY UPDATE OF i FOR KEY SHARE OF h""",
)

OTHERS_WROTE = Query(
    "item.others_wrote",
    """
    SELECT EXISTS (SELECT 1 FROM item_authors x
                    WHERE x.site_id = %(site_id)s AND x.item_id = %(item_id)s AND x.profile_id <> %(me)s
                      AND x.live > 0)""",
)

UPDATE = Query(
    "item.update",
    """
    UPDATE items i
       SET title = %(title)s, microcosm_id = %(microcosm_id)s, edited = now(), edited_by = %(me)s,
           edit_reason = %(reason)s, version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)

FLAG = Query(
    "item.flag",
    """
    UPDATE items i
       SET is_sticky = %(is_sticky)s, is_open = %(is_open)s, is_deleted = %(is_deleted)s,
           is_moderated = %(is_moderated)s, edited = now(), edited_by = %(me)s, edit_reason = %(reason)s,
           version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)

DELETE = Query(
    "item.delete",
    """
    UPDATE items i
       SET is_deleted = true, version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)


class LockedItem(NamedTuple):
    """The current row of an item, locked until the transaction ends."""

    id: int
    item_type: int
    version: int
    microcosm_id: int
    title: str
    author_id: int
    is_sticky: bool
    is_open: bool
    is_deleted: bool
    is_moderated: bool
    comment_count: int
    last_seq: int

    @property
    def is_visible(self) -> bool:
        """Neither deleted nor moderated itself."""
        return not self.is_deleted and not self.is_moderated


def lock(
    tx: Transaction, site_id: int, item_type: int, item_id: int, me: int = 0
) -> LockedItem | None:
    """Lock an item; None if it never existed here, or is a huddle that `me` is no participant of."""
    if item_type == itemtypes.HUDDLE:
        row = tx.row(LOCK_HUDDLE, site_id=site_id, item_id=item_id, me=me)
    else:
        row = tx.row(LOCK, site_id=site_id, item_type=item_type, item_id=item_id)
    return LockedItem(*row) if row else None


def target(
    tx: Transaction, site_id: int, found: LockedItem, me: int, *, asks_delete: bool = True
) -> Target:
    """What a write on a locked item asks permission for, on current rows.

    `asks_delete` False spares the look for other authors, which decides nothing but `delete` (C-24).
    """
    others_wrote = True
    is_huddle = found.item_type == itemtypes.HUDDLE
    if asks_delete and not is_huddle and me and me == found.author_id:
        others_wrote = bool(tx.value(OTHERS_WROTE, site_id=site_id, item_id=found.id, me=me))
    return Target(
        found.item_type,
        found.id,
        found.microcosm_id or 0,
        (found.author_id,),
        others_wrote=others_wrote,
        is_participant=is_huddle,  # or it would not have been locked
    )


def insert(
    tx: Transaction,
    author: Author,
    item_type: int,
    microcosm_id: int,
    title: str,
    *,
    window_s: int,
    new: New | None = None,
) -> tuple[int, bool]:
    """(id, made): a new item, or the equal one that the same author made within `window_s` seconds (C-15).

    `new` are the details of a type that has any.
    """
    site_id, me, ip = author
    key = f"{site_id}:{item_type}:{microcosm_id}:{me}:{title}"
    tx.rows(SERIALISE, key=key)
    role_members.lock_roles_shared(tx, site_id)
    same = {
        "site_id": site_id,
        "me": me,
        "item_type": item_type,
        "microcosm_id": microcosm_id,
        "title": title,
    }
    if new is None:
        found = tx.value(DUPLICATE, window_s=window_s, **same)
    else:
        found = tx.value(new.duplicate, window_s=window_s, **same, **new.values)
    if found:
        return int(found), False
    item_id = int(tx.value(INSERT, **same))
    if new is not None:
        tx.run(new.insert, site_id=site_id, item_id=item_id, **new.values)
    journal.record(
        tx,
        site_id,
        journal.CREATED,
        item_type,
        item_id,
        actor=me,
        ip=ip,
        version=1,
        microcosm_id=microcosm_id,
    )
    if item_type == itemtypes.CONVERSATION:
        profile_counters.items(tx, site_id, me, 1)
    return item_id, True


def update(
    tx: Transaction, author: Author, found: LockedItem, title: str, microcosm_id: int, reason: str
) -> None:
    """Change title and place of a locked item; counters of both microcosms follow (content 3.5)."""
    site_id, me, _ = author
    version = tx.value(
        UPDATE,
        site_id=site_id,
        item_id=found.id,
        title=title,
        microcosm_id=microcosm_id,
        me=me,
        reason=reason,
    )
    if microcosm_id != found.microcosm_id:
        if found.is_visible:
            _count(tx, site_id, found, found.microcosm_id, -1)
            _count(tx, site_id, found, microcosm_id, 1)
        microcosm_counters.refresh(tx, site_id, [found.microcosm_id, microcosm_id])
    moved_from = found.microcosm_id if microcosm_id != found.microcosm_id else 0
    _record(tx, author, journal.REPLACED, found, version, microcosm_id, moved_from=moved_from)


def flag(
    tx: Transaction, author: Author, found: LockedItem, changes: dict[str, Any], reason: str
) -> None:
    """Set flags of a locked item (`is_sticky`, `is_open`, `is_deleted`, `is_moderated`)."""
    new = found._replace(**changes)
    version = tx.value(
        FLAG,
        site_id=author.site_id,
        item_id=found.id,
        is_sticky=new.is_sticky,
        is_open=new.is_open,
        is_deleted=new.is_deleted,
        is_moderated=new.is_moderated,
        me=author.profile_id,
        reason=reason,
    )
    _shown(tx, author.site_id, found, new.is_visible)
    _record(tx, author, journal.PATCHED, found, version, found.microcosm_id)


def delete(tx: Transaction, author: Author, found: LockedItem) -> None:
    """Hide a locked item and everything in it. Nothing changes if it is deleted already."""
    if found.is_deleted:
        return
    version = tx.value(DELETE, site_id=author.site_id, item_id=found.id)
    _shown(tx, author.site_id, found, False)
    _record(tx, author, journal.DELETED, found, version, found.microcosm_id)


def _shown(tx: Transaction, site_id: int, found: LockedItem, is_visible: bool) -> None:
    """Let the counters follow a change of visibility (C-16)."""
    if is_visible == found.is_visible:
        return
    by = 1 if is_visible else -1
    role_members.lock_roles_shared(tx, site_id)
    if found.microcosm_id:
        _count(tx, site_id, found, found.microcosm_id, by)
        microcosm_counters.refresh(tx, site_id, [found.microcosm_id])
    if found.item_type == itemtypes.CONVERSATION:
        profile_counters.items(tx, site_id, found.author_id, by)


def _count(tx: Transaction, site_id: int, found: LockedItem, microcosm_id: int, by: int) -> None:
    microcosm_counters.add(
        tx,
        site_id,
        microcosm_id,
        items=by,
        polls=by if found.item_type == itemtypes.POLL else 0,
        comments=by * found.comment_count,
    )


def _record(
    tx: Transaction,
    author: Author,
    kind: str,
    found: LockedItem,
    version: int,
    microcosm_id: int,
    *,
    moved_from: int = 0,
) -> None:
    journal.record(
        tx,
        author.site_id,
        kind,
        found.item_type,
        found.id,
        actor=author.profile_id,
        ip=author.ip,
        version=version,
        microcosm_id=microcosm_id,
        moved_from=moved_from,
    )
