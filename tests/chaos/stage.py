"""Account of what the tests here share: a database of their own, worker processes to kill, a look at every derived
count."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from forumapi.command.seed.counter_verification import CHECKS, COUNTS
from tests import services
from tests.conftest import _SERVER
from tests.fixtures import Server

# Counts that seeded databases do not have: how each is stored, and how it is counted.
MORE = {
    "profile_counters.unread_huddles": """
        SELECT n.site_id, n.profile_id, n.unread_huddles, u.unread
          FROM profile_counters n
          JOIN profiles p USING (site_id, profile_id)
         CROSS JOIN LATERAL (
               SELECT count(*) AS unread
                 FROM huddle_participants h
                 JOIN items i USING (site_id, item_id)
                WHERE h.site_id = n.site_id AND h.profile_id = n.profile_id
                  AND i.last_activity > p.huddles_read_at
                  AND NOT EXISTS (SELECT FROM read_marks r
                                   WHERE r.site_id = h.site_id AND r.profile_id = h.profile_id
                                     AND r.item_type_id = 5 AND r.item_id = h.item_id
                                     AND r.read_at >= i.last_activity)
                  AND EXISTS (SELECT FROM comments c
                               WHERE c.site_id = i.site_id AND c.item_id = i.item_id
                                 AND c.created >= i.last_activity AND NOT c.is_deleted
                                 AND NOT c.is_moderated)) u
         WHERE n.unread_huddles <> u.unread""",
    "events.rsvp_attending": """
        SELECT e.site_id, e.item_id, e.rsvp_attending, count(a.*)
          FROM events e
          LEFT JOIN attendees a ON a.site_id = e.site_id AND a.item_id = e.item_id AND a.state_id = 1
         GROUP BY e.site_id, e.item_id
        HAVING e.rsvp_attending <> count(a.*)""",
    "events.rsvp_limit": """
        SELECT site_id, item_id, rsvp_attending, rsvp_limit FROM events
         WHERE rsvp_limit > 0 AND rsvp_attending > rsvp_limit""",
    "poll_choices.vote_count": """
        SELECT c.site_id, c.item_id, c.choice_id, c.vote_count, count(b.*)
          FROM poll_choices c
          LEFT JOIN poll_ballots b ON b.site_id = c.site_id AND b.item_id = c.item_id
                                  AND c.choice_id = ANY(b.choice_ids)
         GROUP BY c.site_id, c.item_id, c.choice_id
        HAVING c.vote_count <> count(b.*)""",
    "polls.voter_count": """
        SELECT p.site_id, p.item_id, p.voter_count, count(b.*)
          FROM polls p
          LEFT JOIN poll_ballots b ON b.site_id = p.site_id AND b.item_id = p.item_id
         GROUP BY p.site_id, p.item_id
        HAVING p.voter_count <> count(b.*)""",
    "comments.reactions": """
        SELECT c.site_id, c.comment_id, c.reactions, r.counts
          FROM comments c
          LEFT JOIN (SELECT site_id, item_id, jsonb_object_agg(name, given) AS counts
                       FROM (SELECT site_id, item_id, name, count(*) AS given FROM reactions
                              WHERE item_type_id = 4 GROUP BY site_id, item_id, name) n
                      GROUP BY site_id, item_id) r
            ON r.site_id = c.site_id AND r.item_id = c.comment_id
         WHERE c.reactions IS DISTINCT FROM r.counts""",
}
# With no live comment left the last activity stays what it was (content 7.7).
LAST_ACTIVITY = """
    SELECT site_id, item_id, last_activity, last_comment_at FROM items
     WHERE last_comment_at IS NOT NULL AND last_activity <> last_comment_at"""


@contextlib.contextmanager
def own_database(label: str) -> Iterator[str]:
    """The address of a migrated database that nobody else uses."""
    with services.database(os.environ[_SERVER], label) as url:
        yield url


def differences(url: str) -> list[str]:
    """Every stored count that is not what counting gives, a line each."""
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        for name, query in ({name: CHECKS[name] for name in COUNTS} | MORE).items():
            rows = connection.execute(sql.SQL(query)).fetchall()
            found += [f"{name}: {row}" for row in rows]
        rows = connection.execute(sql.SQL(LAST_ACTIVITY)).fetchall()
        found += [f"items.last_activity: {row}" for row in rows]
    return found


def children(pid: int) -> list[int]:
    """The process ids of a process's children."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(server: Server) -> list[int]:
    """The process ids of a server's workers."""
    return children(server.pid)


def wait_for(true: Callable[[], Any], within_s: float) -> float:
    """Seconds until it came true. Raises AssertionError when it does not within `within_s`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, "it never came true"
        time.sleep(0.02)
    return time.monotonic() - began
