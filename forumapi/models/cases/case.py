"""Cases: all reports and holds of one thing, or one appeal, taken by one moderator at a time, until somebody decides.

An appeal's case stands for its author's profile, and is seen by who may see the action that the appeal is against.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Final, Self

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

PATH: Final = "/api/v1/cases"
# A case that waits is open; the case of an appeal that waits has a state of its own.
OPEN: Final = "open"
APPEAL: Final = "appeal"
DECIDED: Final = "decided"
ACTED: Final = "acted"
DISMISSED: Final = "dismissed"
APPEAL_DAYS: Final = 7
# Minutes for which a moderator has a case to themselves.
LEASE_MINUTES: Final = 15


def of_others(profile_id: str) -> str:
    """Return the SQL condition that a case `k`, or the action that its appeal is against, concerns nothing that a
    profile wrote; `profile_id`: SQL expression of the profile's id.
    """
    return f"""k.author_id <> {profile_id}
       AND (k.appeal_id IS NULL
            OR NOT EXISTS (SELECT FROM action_changes own
                            WHERE own.site_id = k.site_id AND own.action_id = k.action_id
                              AND own.author_id = {profile_id}))"""


# SQL: a case `k` that `me` may see. Nobody sees a case about what they wrote themselves, so that no author learns from
# it who reported them.
SEEN: Final = f"""
    k.microcosm_id = ANY(%(moderated)s::bigint[]) AND k.item_type_id = ANY(%(shown)s::smallint[])
       AND (k.appeal_id IS NULL OR k.places <@ %(moderated)s::bigint[])
       AND {of_others("%(me)s")}"""

# SQL: columns of a locked case `k`.
_LOCKED: Final = """
    k.case_id, k.state, k.item_type_id, k.item_id,
           CASE WHEN k.taken_until > now() THEN coalesce(k.taken_by, 0) ELSE 0 END, coalesce(k.appeal_id, 0),
           k.author_id, k.microcosm_id, k.places"""
LOCK = Query(
    "case.lock",
    f"""
    SELECT {_LOCKED}
      FROM cases k
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s AND {SEEN}
       FOR NO KEY UPDATE""",
)
LOCK_OF_APPEAL = Query(
    "case.lock_of_appeal",
    f"""
    SELECT {_LOCKED}
      FROM cases k
     WHERE k.site_id = %(site_id)s AND k.appeal_id = %(appeal_id)s
       FOR NO KEY UPDATE""",
)
OPEN_APPEAL = Query(
    "case.open_appeal",
    f"""
    INSERT INTO cases (site_id, item_type_id, item_id, microcosm_id, author_id, state, priority, due, appeal_id,
                       action_id, places)
    SELECT a.site_id, {itemtypes.PROFILE}, %(author_id)s, coalesce(a.microcosm_ids[1], 0), %(author_id)s,
           '{APPEAL}', 1, now() + make_interval(days => %(days)s::int), %(appeal_id)s, a.action_id, a.microcosm_ids
      FROM actions a
     WHERE a.site_id = %(site_id)s AND a.action_id = %(action_id)s
 RETURNING case_id""",
)
ASSIGN = Query(
    "case.assign",
    """
    UPDATE cases k
       SET assigned_to = %(to)s
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s""",
)

TAKE = Query(
    "case.take",
    """
    UPDATE cases k
       SET taken_by = %(me)s, taken_until = now() + make_interval(mins => %(minutes)s::int)
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s""",
)

RELEASE = Query(
    "case.release",
    """
    UPDATE cases k
       SET taken_by = NULL, taken_until = NULL
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s""",
)

DECIDE = Query(
    "case.decide",
    """
    UPDATE cases k
       SET state = 'decided', outcome = %(outcome)s, decided = now(), decided_by = %(me)s, taken_by = NULL,
           taken_until = NULL
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s""",
)

ADD_NOTE = Query(
    "case.add_note",
    """
    INSERT INTO case_notes (site_id, case_id, text, created_by)
    VALUES (%(site_id)s, %(id)s, %(text)s, %(me)s)""",
)


@dataclasses.dataclass
class Case:
    """Case, whose row is locked until the transaction ends. `state`: OPEN, APPEAL for one that is about an appeal and
    waits, or DECIDED; `item_type`, `item_id`, `author_id`: the thing that it is about, and that thing's author, for an
    appeal both the profile that appeals; `taken_by`: profile that has taken it, 0 for nobody at present; `appeal_id` 0:
    it is about no appeal; `microcosm_id`: the one that the thing is in, for an appeal the first of the action's, 0:
    outside of all; `places`: further microcosms that a decider must moderate.
    """

    id: int
    state: str
    item_type: int
    item_id: int
    taken_by: int
    appeal_id: int
    author_id: int
    microcosm_id: int
    places: list[int]

    @classmethod
    def lock(
        cls,
        tx: Transaction,
        site_id: int,
        id: int,
        me: int,
        moderated: Collection[int],
        shown: Collection[int],
    ) -> Self | None:
        """Lock the case `id` and return it; None if there is none, or the profile `me`, who moderates the microcosms
        `moderated` (0: outside of all), may not see it, or the case is about a thing whose type is not in `shown`.

        `me` may see a case in one of the microcosms `moderated`, except one about a thing of `me`. For the case of an
        appeal all microcosms of the action must be among `moderated`, and the action must concern no thing of `me`.

        `shown`: types of things that the caller's token may read. To keep the order of locks, lock items and comments
        before their cases.
        """
        row = tx.row(LOCK, site_id=site_id, id=id, me=me, moderated=moderated, shown=shown)
        return cls(*row) if row else None

    @classmethod
    def lock_of_appeal(cls, tx: Transaction, site_id: int, appeal_id: int) -> Self | None:
        """Lock and return the case of an appeal that the caller has found; None for an appeal without one."""
        row = tx.row(LOCK_OF_APPEAL, site_id=site_id, appeal_id=appeal_id)
        return cls(*row) if row else None

    def is_for(self, me: int, moderated: Collection[int]) -> bool:
        """Return True if the profile `me` is not the author of the case's thing, and all microcosms of the case are
        among `moderated` (0: outside of all), those that `me` moderates.
        """
        return me != self.author_id and {self.microcosm_id, *self.places} <= set(moderated)

    def assign(self, tx: Transaction, site_id: int, to: int) -> None:
        """Assign the case to the profile `to`, 0: to nobody. Raises Conflict for a case that is decided."""
        if self.state == DECIDED:
            raise Conflict("This case is decided already")
        tx.run(ASSIGN, site_id=site_id, id=self.id, to=to or None)

    def check_free(self, me: int) -> None:
        """Raise Conflict if the case is decided, or somebody other than the profile `me` has taken it."""
        if self.state == DECIDED:
            raise Conflict("This case is decided already")
        if self.taken_by not in (0, me):
            raise Conflict("Somebody else has taken this case")

    def take(self, tx: Transaction, site_id: int, me: int) -> None:
        """Take the case for the profile `me` for LEASE_MINUTES from now; who has it may take it again. Raises Conflict
        if it is decided or somebody else has it.
        """
        self.check_free(me)
        tx.run(TAKE, site_id=site_id, id=self.id, me=me, minutes=LEASE_MINUTES)

    def release(self, tx: Transaction, site_id: int, me: int) -> None:
        """Give the case back; nothing changes if the profile `me` has not taken it."""
        if self.taken_by == me:
            tx.run(RELEASE, site_id=site_id, id=self.id)

    def decide(
        self, tx: Transaction, site_id: int, me: int, outcome: str, *, by_appeal: bool = False
    ) -> None:
        """Store the decision `outcome` of the profile `me` on the case: ACTED or DISMISSED. `by_appeal`: the case's
        appeal is decided with it. Raises Conflict if the case is decided already or somebody else has taken it, and,
        without `by_appeal`, if it is about an appeal.
        """
        self.check_free(me)
        if self.appeal_id and not by_appeal:
            raise Conflict("This case is an appeal: decide the appeal")
        tx.run(DECIDE, site_id=site_id, id=self.id, me=me, outcome=outcome)
        ref = ItemRef(itemtypes.APPEAL, self.appeal_id) if by_appeal else None
        log_event(tx, site_id, journal.DECIDED, self.id, ref)

    def add_note(self, tx: Transaction, site_id: int, me: int, text: str) -> None:
        """Store `text`, HTML-escaped, as a note of the profile `me` on the case, which may be decided; moderators alone
        read the note.
        """
        tx.run(ADD_NOTE, site_id=site_id, id=self.id, me=me, text=text)


def open_appeal(
    tx: Transaction, site_id: int, appeal_id: int, action_id: int, author_id: int
) -> None:
    """Open the case of a new appeal against an action, due in APPEAL_DAYS days. `author_id`: profile that appeals."""
    case_id = tx.value(
        OPEN_APPEAL,
        site_id=site_id,
        appeal_id=appeal_id,
        action_id=action_id,
        author_id=author_id,
        days=APPEAL_DAYS,
    )
    log_event(tx, site_id, journal.CREATED, case_id, ItemRef(itemtypes.APPEAL, appeal_id))


def log_event(
    tx: Transaction, site_id: int, kind: str, case_id: int, record: ItemRef | None = None
) -> None:
    """Record in the event log, for webhooks of the site's owner, that a case was decided (`kind` journal.DECIDED, no
    `record`), or that its report or appeal `record` was received (journal.CREATED) or decided (journal.DECIDED). The
    event has no actor, so that it names nobody.
    """
    ref = record or ItemRef(itemtypes.CASE, case_id)
    parent = (itemtypes.CASE, case_id) if record else None
    journal.record(tx, Author(site_id, 0, ""), kind, *ref, parent=parent, audit=False)
