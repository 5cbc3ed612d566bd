"""Cases: all reports about one thing, taken by one moderator at a time, until somebody decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Final, Self

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict

PATH: Final = "/api/v1/cases"
OPEN: Final = "open"
DECIDED: Final = "decided"
ACTED: Final = "acted"
DISMISSED: Final = "dismissed"
# Minutes for which a moderator has a case to themselves.
LEASE_MINUTES: Final = 15

# SQL: a case `k` that `me` may see. Nobody sees a case about what they wrote themselves, so that no author learns from
# it who reported them.
SEEN: Final = """
    k.microcosm_id = ANY(%(moderated)s::bigint[]) AND k.item_type_id = ANY(%(shown)s::smallint[])
       AND k.author_id <> %(me)s"""

LOCK = Query(
    "case.lock",
    f"""
    SELECT k.case_id, k.state, k.item_type_id, k.item_id,
           CASE WHEN k.taken_until > now() THEN coalesce(k.taken_by, 0) ELSE 0 END
      FROM cases k
     WHERE k.site_id = %(site_id)s AND k.case_id = %(id)s AND {SEEN}
       FOR NO KEY UPDATE""",
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
    """Case, whose row is locked until the transaction ends. `taken_by`: profile that has taken it, 0 for nobody at
    present.
    """

    id: int
    state: str
    item_type: int
    item_id: int
    taken_by: int

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
        """Lock a case and return it; None if there is none with this id, or `me`, who moderates the microcosms
        `moderated` (0: outside of all), may not see it.

        `shown`: types of things that may be shown. To keep the order of locks, lock items and comments before their
        cases.
        """
        row = tx.row(LOCK, site_id=site_id, id=id, me=me, moderated=moderated, shown=shown)
        return cls(*row) if row else None

    def check_free(self, me: int) -> None:
        """Raise Conflict if the case is decided, or somebody other than the profile `me` has taken it."""
        if self.state != OPEN:
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

    def decide(self, tx: Transaction, site_id: int, me: int, outcome: str) -> None:
        """Store the decision of the profile `me` on the case: ACTED or DISMISSED. Raises Conflict if it is decided
        already, or somebody else has taken it.
        """
        self.check_free(me)
        tx.run(DECIDE, site_id=site_id, id=self.id, me=me, outcome=outcome)

    def add_note(self, tx: Transaction, site_id: int, me: int, text: str) -> None:
        """Store a note of the profile `me` on the case, which moderators alone read."""
        tx.run(ADD_NOTE, site_id=site_id, id=self.id, me=me, text=text)
