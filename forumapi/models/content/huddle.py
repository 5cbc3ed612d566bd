"""Huddles as participants write them: begin one, add people, leave (content 8). huddle_page.py reads huddles."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Final, Self

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import NO_UPDATE, OUT_OF_RANGE, Forbidden, Invalid, NotFound
from forumapi.itemtypes import ItemRef
from forumapi.models.content.item import COLUMNS, SERIALISE, Item
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.notifications import update_types
from forumapi.models.notifications.watcher import WATCHER_DEFAULTS
from forumapi.models.people import read_mark

MAX_PARTICIPANTS: Final = 100
# The same title by the same author within this time is the same huddle (content 8.3).
DUPLICATE_S: Final = 5

# A huddle exists for its participants alone; the caller's own row is locked too, so that leaving waits.
LOCK = Query(
    "huddle.lock",
    f"""
    SELECT {COLUMNS.strip()}
      FROM items i
      JOIN huddle_participants h ON h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = %(me)s
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s AND i.item_type_id = {itemtypes.HUDDLE}
       FOR NO KEY UPDATE OF i FOR KEY SHARE OF h""",
)

# A huddle that its author has left is no duplicate: the author could not follow the redirect.
DUPLICATE = Query(
    "huddle.duplicate",
    f"""
    SELECT i.item_id
      FROM items i
      JOIN huddle_participants h ON h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = i.created_by
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = {itemtypes.HUDDLE}
       AND i.title = %(title)s AND i.created > now() - make_interval(secs => %(window_s)s)
     ORDER BY i.item_id LIMIT 1""",
)

INSERT = Query(
    "huddle.insert",
    f"""
    WITH made AS (
        INSERT INTO items (site_id, item_type_id, title, created, created_by, last_activity)
        SELECT %(site_id)s, {itemtypes.HUDDLE}, %(title)s, n.now, %(me)s, n.now
          FROM (SELECT clock_timestamp() AS now) n
     RETURNING site_id, item_id)
    INSERT INTO huddles (site_id, item_id, is_confidential)
    SELECT m.site_id, m.item_id, %(is_confidential)s FROM made m
 RETURNING item_id""",
)

# The profiles of this site among some ids: whether each participates already, and whether it ignores the caller (C-40).
CANDIDATES = Query(
    "huddle.candidates",
    f"""
    SELECT p.profile_id,
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE h.site_id = p.site_id AND h.item_id = %(item_id)s AND h.profile_id = p.profile_id),
           EXISTS (SELECT 1 FROM ignores g
                    WHERE g.site_id = p.site_id AND g.profile_id = p.profile_id AND g.item_type_id = {itemtypes.PROFILE}
                      AND g.item_id = %(me)s)
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])""",
)

STATE = Query(
    "huddle.state",
    """
    SELECT u.is_confidential,
           (SELECT count(*) FROM huddle_participants h WHERE h.site_id = u.site_id AND h.item_id = u.item_id)
      FROM huddles u
     WHERE u.site_id = %(site_id)s AND u.item_id = %(item_id)s""",
)

# A profile that is added watches the huddle, with the defaults of comments in huddles; its author does from their first
# comment on.
JOIN = Query(
    "huddle.join",
    f"""
    WITH joined AS (
        INSERT INTO huddle_participants (site_id, item_id, profile_id)
        SELECT %(site_id)s, %(item_id)s, a.profile_id FROM unnest(%(ids)s::bigint[]) AS a (profile_id))
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
    SELECT %(site_id)s, a.profile_id, {itemtypes.HUDDLE}, %(item_id)s,
           {WATCHER_DEFAULTS.format(flag="send_email", type=update_types.NEW_COMMENT_IN_HUDDLE, who="a.profile_id")},
           {WATCHER_DEFAULTS.format(flag="send_sms", type=update_types.NEW_COMMENT_IN_HUDDLE, who="a.profile_id")}
      FROM unnest(%(ids)s::bigint[]) AS a (profile_id)
     WHERE a.profile_id <> %(me)s
        ON CONFLICT DO NOTHING""",
)

# Access follows participation alone (C-38); the watcher and the read mark go with it (W-09).
LEAVE = Query(
    "huddle.leave",
    f"""
    WITH unwatched AS (
        DELETE FROM watchers w
         WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s
           AND w.item_type_id = {itemtypes.HUDDLE} AND w.item_id = %(item_id)s),
    unmarked AS (
        DELETE FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
           AND r.item_type_id = {itemtypes.HUDDLE} AND r.item_id = %(item_id)s)
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


@dataclasses.dataclass
class Huddle(Item):
    """Huddle as its participants write it: a new one, or its current row, locked until the transaction ends.

    A huddle exists for its participants alone, is in no microcosm, and has no flags. `is_confidential`: nobody can be
    added to it later; `participants`: profile ids that a new huddle is to have beside its author. `lock` reads neither:
    both then have their defaults.
    """

    is_confidential: bool = False
    participants: Collection[int] = ()  # of a new one, beside its author

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, ref: ItemRef, me: int = 0) -> Self | None:
        """Lock a huddle and return it; None if it never existed here, or the profile `me` is not a participant."""
        row = tx.row(LOCK, site_id=site_id, item_id=ref.id, me=me)
        return cls(*row) if row else None

    def insert(
        self,
        tx: Transaction,
        author: Author,
        *,
        window_s: int = DUPLICATE_S,
        may_be_held: bool = False,
    ) -> bool:
        """Store the new huddle with its author and `participants` in it; return False, and store nothing, if its author
        began one with the same title within `window_s` seconds, and has not left that one.

        `id` is set in both cases: to that of the new huddle, or of the earlier one. Participants who ignore the author
        are left out. Raises NotFound for an unknown profile, Invalid if the huddle would have more than
        MAX_PARTICIPANTS participants, those left out counted. `may_be_held` changes nothing: no rule and no check looks
        into huddles.
        """
        site_id, me = author[:2]
        tx.rows(SERIALISE, key=f"{site_id}:{itemtypes.HUDDLE}:{me}:{self.title}")
        duplicate = tx.value(DUPLICATE, site_id=site_id, me=me, title=self.title, window_s=window_s)
        if duplicate:
            self.id = int(duplicate)
            return False
        others = self._admitted(tx, author, set(self.participants) - {me}, present=1)
        self.id = int(
            tx.value(
                INSERT,
                site_id=site_id,
                me=me,
                title=self.title,
                is_confidential=self.is_confidential,
            )
        )
        tx.run(JOIN, site_id=site_id, item_id=self.id, me=me, ids=sorted([me, *others]))
        self._record(tx, author, journal.CREATED)
        return True

    def add(self, tx: Transaction, author: Author, wanted: Collection[int]) -> None:
        """Add the profiles `wanted` to the locked huddle, beside its present participants; those who ignore the author
        are left out.

        Raises Forbidden for a confidential huddle (C-37), NotFound for an unknown profile, Invalid if `wanted` has, or
        the huddle would have, more than MAX_PARTICIPANTS profiles, those left out counted; then none is added.
        """
        site_id, me = author[:2]
        row = tx.row(STATE, site_id=site_id, item_id=self.id)
        assert row is not None
        self.is_confidential, present = row
        if self.is_confidential:
            raise Forbidden("Nobody can be added to a confidential huddle", code=NO_UPDATE)
        others = self._admitted(tx, author, wanted, present=present)
        if not others:
            return
        tx.run(JOIN, site_id=site_id, item_id=self.id, me=me, ids=others)
        self._touch(tx, author, journal.REPLACED)
        read_mark.count_huddles(tx, site_id, others)

    def _admitted(
        self, tx: Transaction, author: Author, wanted: Collection[int], *, present: int
    ) -> list[int]:
        """Return the ids in `wanted` to be added, ascending, without participants and without profiles that ignore the
        author (C-40). `present`: number of participants.

        Raises NotFound for an unknown profile, Invalid if `wanted` has more than MAX_PARTICIPANTS ids, or `present` and
        the new ones, those left out for ignoring the author among them, are more.
        """
        if not wanted:
            return []
        # Before anybody is looked up: the number sent is no secret to its sender.
        if len(wanted) > MAX_PARTICIPANTS:
            raise _too_many()
        rows = tx.rows(
            CANDIDATES,
            site_id=author.site_id,
            item_id=self.id,
            me=author.profile_id,
            ids=sorted(wanted),
        )
        if len(rows) < len(set(wanted)):
            raise NotFound("There is no such profile on this site")
        new = [(id, ignores_author) for id, is_in, ignores_author in rows if not is_in]
        # Those who ignore the author count too, so that the limit does not tell who does.
        if present + len(new) > MAX_PARTICIPANTS:
            raise _too_many()
        return sorted(id for id, ignores_author in new if not ignores_author)

    def leave(self, tx: Transaction, author: Author) -> None:
        """Remove the author, who is one of them, from the participants of the locked huddle, with the author's
        watcher and read mark. A nightly job deletes huddles without participants.
        """
        site_id, me = author[:2]
        tx.run(LEAVE, site_id=site_id, item_id=self.id, me=me)
        self._touch(tx, author, journal.DELETED)
        read_mark.count_huddles(tx, site_id, [me])

    def _touch(self, tx: Transaction, author: Author, kind: str) -> None:
        self.version = tx.value(TOUCH, site_id=author.site_id, item_id=self.id)
        self._record(tx, author, kind)


def _too_many() -> Invalid:
    return Invalid(
        "participants", f"A huddle has at most {MAX_PARTICIPANTS} participants", code=OUT_OF_RANGE
    )
