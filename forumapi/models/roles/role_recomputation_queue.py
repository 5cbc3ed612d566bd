"""Queue of roles whose members are recomputed outside the request that changed them: table role_settlings.

A change of a role's members or criteria on a large site only queues the role, so its transaction is short and holds the
lock on roles briefly. The profiles follow in batches (role_recomputation_worker.py).
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database import site_turns
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query

# The process that queues a role works on it at once. If that process ends, another takes over after so many seconds.
LEASE_S: Final = 30
# After an upgrade a role is settled again once no workers of the release before are left.
AGAIN_S: Final = 600

INSERT = Query(
    "role_recomputation_queue.insert",
    """
    INSERT INTO role_settlings (site_id, role_id, queued, not_before)
    VALUES (%(site_id)s, %(role_id)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(lease_s)s))
        ON CONFLICT (site_id, role_id) DO UPDATE
       SET queued = EXCLUDED.queued, not_before = EXCLUDED.not_before, passes = 1
 RETURNING queued""",
)

_IS_DUE: Final = """q.not_before <= now()
               AND (q.passes = 1 OR q.queued <= now() - make_interval(hours => %(grace_h)s::int))"""
# Claims roles that no process works on. Roles that an upgrade queued wait for the hours that owners are given.
CLAIM = Query(
    "role_recomputation_queue.claim",
    f"""{
        site_turns.claim(
            "role_settlings",
            "q.site_id, q.role_id",
            waits="true",
            is_due=_IS_DUE,
            order="q.not_before",
        )
    }
    UPDATE role_settlings w
       SET not_before = clock_timestamp() + make_interval(secs => %(lease_s)s)
      FROM due
     WHERE w.site_id = due.site_id AND w.role_id = due.role_id
 RETURNING w.site_id, w.role_id, w.queued""",
    scope=PLATFORM,
)

# A role that was queued again meanwhile stays.
FINISH = Query(
    "role_recomputation_queue.finish",
    """
    DELETE FROM role_settlings q
     WHERE q.site_id = %(site_id)s AND q.role_id = %(role_id)s AND q.queued = %(queued)s AND q.passes = 1""",
)
REPEAT = Query(
    "role_recomputation_queue.repeat",
    """
    UPDATE role_settlings q
       SET passes = q.passes - 1, not_before = clock_timestamp() + make_interval(secs => %(again_s)s)
     WHERE q.site_id = %(site_id)s AND q.role_id = %(role_id)s AND q.queued = %(queued)s AND q.passes > 1""",
)

RELEASE = Query(
    "role_recomputation_queue.release",
    """
    UPDATE role_settlings q
       SET not_before = clock_timestamp()
     WHERE q.site_id = %(site_id)s AND q.role_id = %(role_id)s AND q.queued = %(queued)s""",
)

BANS = Query(
    "role_recomputation_queue.bans",
    "SELECT r.is_banned FROM roles r WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s",
)


class Settling(NamedTuple):
    """Entry of the queue: a role whose members are recomputed after a change that was made at `queued`."""

    site_id: int
    role_id: int
    queued: datetime.datetime

    @classmethod
    def insert(cls, tx: Transaction, site_id: int, role_id: int) -> Settling:
        """Put a role into the queue and return its entry, claimed for LEASE_S seconds for the caller, who recomputes it
        after the commit. A role that is queued already is queued anew.
        """
        queued = tx.value(INSERT, site_id=site_id, role_id=role_id, lease_s=LEASE_S)
        return cls(site_id, role_id, queued)

    @classmethod
    def claim(cls, tx: Transaction, limit: int, *, grace_h: int, after: int = 0) -> list[Settling]:
        """Claim up to `limit` roles that no process has claimed, in fair turns of their sites, of each those due
        longest, and return them in any order. `grace_h`: number of hours for which a role that an upgrade has queued is
        not claimed; `after`: the site that had the last turn before.
        """
        rows = tx.rows(CLAIM, batch=limit, lease_s=LEASE_S, grace_h=grace_h, after=after)
        return [cls(*row) for row in rows]

    def finish(self, tx: Transaction) -> None:
        """Delete the role from the queue; if it was queued again meanwhile, or needs a second pass, leave it there for
        later.
        """
        if not tx.run(FINISH, **self._asdict()):
            tx.run(REPEAT, **self._asdict(), again_s=AGAIN_S)

    def release(self, tx: Transaction) -> None:
        """Give up the claim before the work is done, so that another process can claim the role."""
        tx.run(RELEASE, **self._asdict())


def joining_takes_rights(tx: Reader, site_id: int, role_id: int) -> bool:
    """Return True if the role bans, so that a profile which joins it loses rights. False also for a deleted role."""
    return bool(tx.value(BANS, site_id=site_id, role_id=role_id))
