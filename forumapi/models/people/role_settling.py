"""Queue of roles whose members are worked out anew outside the request that changed them: table role_settlings.

A change of a role's members or criteria on a large site queues the role in its transaction, which so is short, and
others hardly wait for its lock. Then the profiles follow in batches (forumapi/models/people/role_settler.py).
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction

# Whoever queues a role works on it at once. Should that process end, another does it after so many seconds.
LEASE_S: Final = 30
# After an upgrade, once more when workers of the release before are certainly gone.
AGAIN_S: Final = 600

QUEUE = Query(
    "role_settling.queue",
    """
    INSERT INTO role_settlings (site_id, role_id, queued, not_before)
    VALUES (%(site_id)s, %(role_id)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(lease_s)s))
        ON CONFLICT (site_id, role_id) DO UPDATE
       SET queued = EXCLUDED.queued, not_before = EXCLUDED.not_before, passes = 1
 RETURNING queued""",
)

# Takes those that nobody works on. What an upgrade queued waits until the owners had their hours.
CLAIM = Query(
    "role_settling.claim",
    """
    UPDATE role_settlings q
       SET not_before = clock_timestamp() + make_interval(secs => %(lease_s)s)
      FROM (SELECT d.site_id, d.role_id
              FROM role_settlings d
             WHERE d.not_before <= clock_timestamp()
               AND (d.passes = 1 OR d.queued <= clock_timestamp() - make_interval(hours => %(grace_h)s))
             ORDER BY d.not_before
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED) due
     WHERE q.site_id = due.site_id AND q.role_id = due.role_id
 RETURNING q.site_id, q.role_id, q.queued""",
)

# What was queued again meanwhile stays.
FINISH = Query(
    "role_settling.finish",
    """
    DELETE FROM role_settlings q
     WHERE q.site_id = %(site_id)s AND q.role_id = %(role_id)s AND q.queued = %(queued)s AND q.passes = 1""",
)
REPEAT = Query(
    "role_settling.repeat",
    """
    UPDATE role_settlings q
       SET passes = q.passes - 1, not_before = clock_timestamp() + make_interval(secs => %(again_s)s)
     WHERE q.site_id = %(site_id)s AND q.role_id = %(role_id)s AND q.queued = %(queued)s AND q.passes > 1""",
)

LEAVE = Query(
    "role_settling.leave",
    """
    UPDATE role_settlings q
       SET not_before = clock_timestamp()
     WHERE q.site_id = %(site_id)s AND q.role_id = %(role_id)s AND q.queued = %(queued)s""",
)

BANS = Query(
    "role_settling.bans",
    "SELECT r.is_banned FROM roles r WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s",
)


class Settling(NamedTuple):
    """A role whose profiles are to follow a change, made at `queued`."""

    site_id: int
    role_id: int
    queued: datetime.datetime


def queue(tx: Transaction, site_id: int, role_id: int) -> Settling:
    """Take up a role, for the caller to work on at once after the commit."""
    queued = tx.value(QUEUE, site_id=site_id, role_id=role_id, lease_s=LEASE_S)
    return Settling(site_id, role_id, queued)


def claim(tx: Transaction, limit: int, *, grace_h: int) -> list[Settling]:
    """Roles that nobody works on, for the caller to. `grace_h`: hours that what an upgrade queued waits."""
    rows = tx.rows(CLAIM, limit=limit, lease_s=LEASE_S, grace_h=grace_h)
    return [Settling(*row) for row in rows]


def finish(tx: Transaction, done: Settling) -> None:
    """Take a role off the queue, or plan its second pass."""
    if not tx.run(FINISH, site_id=done.site_id, role_id=done.role_id, queued=done.queued):
        tx.run(
            REPEAT,
            site_id=done.site_id,
            role_id=done.role_id,
            queued=done.queued,
            again_s=AGAIN_S,
        )


def leave(tx: Transaction, queued: Settling) -> None:
    """Let the next process that looks work on a role at once."""
    tx.run(LEAVE, site_id=queued.site_id, role_id=queued.role_id, queued=queued.queued)


def takes_by_coming(tx: Reader, site_id: int, role_id: int) -> bool:
    """Test whether being in the role takes rights away: it bans. False for a role that is gone."""
    return bool(tx.value(BANS, site_id=site_id, role_id=role_id))
