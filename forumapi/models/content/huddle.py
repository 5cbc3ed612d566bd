"""Huddles as participants write them: begin one, add people, leave (content 8). huddle_page.py reads them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Query, Transaction
from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound
from forumapi.models.content.item import SERIALISE, LockedItem
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.notices.watcher import WATCHER_DEFAULTS
from forumapi.models.people import read_mark

MAX_PARTICIPANTS: Final = 100
# The same title by the same author within this time is the same huddle (content 8.3).
DUPLICATE_S: Final = 5

# One that the author has left already is no duplicate: they could not follow the redirect.
DUPLICATE = Query(
    "huddle.duplicate",
    """
    SELECT i.item_id
      FROM items i
      JOIN huddle_participants h ON h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = i.created_by
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = 5 AND i.title = %(title)s
       AND i.created > now() - make_interval(secs => %(window_s)s)
     ORDER BY i.item_id LIMIT 1""",
)

INSERT = Query(
    "huddle.insert",
    """
    WITH made AS (
        INSERT INTO items (site_id, item_type_id, title, created, created_by, last_activity)
        SELECT %(site_id)s, 5, %(title)s, n.now, %(me)s, n.now
          FROM (SELECT clock_timestamp() AS now) n
     RETURNING site_id, item_id)
    INSERT INTO huddles (site_id, item_id, is_confidential)
    SELECT m.site_id, m.item_id, %(is_confidential)s FROM made m
 RETURNING item_id""",
)

# Who of the wanted ones is a profile of this site, is in it already, and ignores the caller (C-40).
CANDIDATES = Query(
    "huddle.candidates",
    """
    SELECT p.profile_id,
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE h.site_id = p.site_id AND h.item_id = %(item_id)s AND h.profile_id = p.profile_id),
           EXISTS (SELECT 1 FROM ignores g
                    WHERE g.site_id = p.site_id AND g.profile_id = p.profile_id AND g.item_type_id = 3
                      AND g.item_id = %(me)s)
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])""",
)

IS_CONFIDENTIAL = Query(
    "huddle.is_confidential",
    """
    SELECT u.is_confidential,
           (SELECT count(*) FROM huddle_participants h WHERE h.site_id = u.site_id AND h.item_id = u.item_id)
      FROM huddles u
     WHERE u.site_id = %(site_id)s AND u.item_id = %(item_id)s""",
)

# Whoever is added follows it, with the defaults of type 4; the one who begins it does with their first comment.
JOIN = Query(
    "huddle.join",
    f"""
    WITH joined AS (
        INSERT INTO huddle_participants (site_id, item_id, profile_id)
        SELECT %(site_id)s, %(item_id)s, a.profile_id FROM unnest(%(ids)s::bigint[]) AS a (profile_id))
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
    SELECT %(site_id)s, a.profile_id, 5, %(item_id)s,
           {WATCHER_DEFAULTS.format(flag="send_email", type="4", who="a.profile_id")},
           {WATCHER_DEFAULTS.format(flag="send_sms", type="4", who="a.profile_id")}
      FROM unnest(%(ids)s::bigint[]) AS a (profile_id)
     WHERE a.profile_id <> %(me)s
        ON CONFLICT DO NOTHING""",
)

# Access follows participation alone (C-38); the watcher and the mark go with it (W-09).
LEAVE = Query(
    "huddle.leave",
    """
    WITH unwatched AS (
        DELETE FROM watchers w
         WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = 5 AND w.item_id = %(item_id)s),
    unmarked AS (
        DELETE FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s AND r.item_type_id = 5 AND r.item_id = %(item_id)s)
    DELETE FROM huddle_participants h
     WHERE h.site_id = %(site_id)s AND h.item_id = %(item_id)s AND h.profile_id = %(me)s""",
)

TOUCH = Query(
    "huddle.touch",
    """
    UPDATE items i
       SET version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)


def insert(
    tx: Transaction,
    author: Author,
    title: str,
    wanted: Collection[int],
    *,
    is_confidential: bool,
    window_s: int = DUPLICATE_S,
) -> int:
    """The id of a new huddle of the author and the `wanted`, or of the equal one of `window_s` seconds ago.

    Raises NotFound for somebody who is no profile of this site, Invalid for too many.
    """
    site_id, me, _ = author
    tx.rows(SERIALISE, key=f"{site_id}:5:{me}:{title}")
    found = tx.value(DUPLICATE, site_id=site_id, me=me, title=title, window_s=window_s)
    if found:
        return int(found)
    others = _admitted(tx, author, 0, set(wanted) - {me}, present=1)
    item_id = int(
        tx.value(
            INSERT,
            site_id=site_id,
            me=me,
            title=title,
            is_confidential=is_confidential,
        )
    )
    tx.run(JOIN, site_id=site_id, item_id=item_id, me=me, ids=sorted([me, *others]))
    _record(tx, author, journal.CREATED, item_id, 1)
    return item_id


def state(tx: Transaction, site_id: int, item_id: int) -> tuple[bool, int]:
    """(confidential, number of participants) of a locked huddle."""
    row = tx.row(IS_CONFIDENTIAL, site_id=site_id, item_id=item_id)
    assert row is not None
    return bool(row[0]), int(row[1])


def add(
    tx: Transaction, author: Author, found: LockedItem, wanted: Collection[int], present: int
) -> None:
    """Add people to a locked huddle that has `present` participants; those in it already stay.

    Raises NotFound for somebody who is no profile of this site, Invalid for too many; then nobody is added.
    """
    site_id, me, _ = author
    others = _admitted(tx, author, found.id, wanted, present=present)
    if not others:
        return
    tx.run(JOIN, site_id=site_id, item_id=found.id, me=me, ids=others)
    _changed(tx, author, journal.REPLACED, found)
    read_mark.count_huddles(tx, site_id, others)


def _admitted(
    tx: Transaction, author: Author, item_id: int, wanted: Collection[int], *, present: int
) -> list[int]:
    """Who of the wanted is to be added, by id. Somebody who ignores the author is left out without a word (C-40)."""
    if not wanted:
        return []
    # Before anybody is looked up: how many there are is no news to the one who sent them.
    if len(wanted) > MAX_PARTICIPANTS:
        raise _too_many()
    rows = tx.rows(
        CANDIDATES,
        site_id=author.site_id,
        item_id=item_id,
        me=author.profile_id,
        ids=sorted(wanted),
    )
    if len(rows) < len(set(wanted)):
        raise NotFound("There is no such profile on this site")
    new = [(id, ignores_author) for id, is_in, ignores_author in rows if not is_in]
    # Whoever ignores the author counts too, so that the limit does not tell who does.
    if present + len(new) > MAX_PARTICIPANTS:
        raise _too_many()
    return sorted(id for id, ignores_author in new if not ignores_author)


def _too_many() -> Invalid:
    return Invalid(
        "participants", f"A huddle has at most {MAX_PARTICIPANTS} participants", code=OUT_OF_RANGE
    )


def leave(tx: Transaction, author: Author, found: LockedItem) -> None:
    """The author leaves a locked huddle. One that nobody is in any more goes with the nightly job."""
    site_id, me, _ = author
    tx.run(LEAVE, site_id=site_id, item_id=found.id, me=me)
    _changed(tx, author, journal.DELETED, found)
    read_mark.count_huddles(tx, site_id, [me])


def _changed(tx: Transaction, author: Author, kind: str, found: LockedItem) -> None:
    version = tx.value(TOUCH, site_id=author.site_id, item_id=found.id)
    _record(tx, author, kind, found.id, version)


def _record(tx: Transaction, author: Author, kind: str, item_id: int, version: int) -> None:
    journal.record(
        tx,
        author.site_id,
        kind,
        itemtypes.HUDDLE,
        item_id,
        actor=author.profile_id,
        ip=author.ip,
        version=version,
    )


def ids_of(wanted: Sequence[int]) -> set[int]:
    """The distinct profile ids that a body names. Raises Invalid for one that is none."""
    for place, id in enumerate(wanted):
        if id < 1:
            raise Invalid(f"[{place}].id", "must be the id of a profile", code=OUT_OF_RANGE)
    return set(wanted)
