"""Account of what tests of updates share: waiting for the web process to have told everybody, and reading a list."""

from __future__ import annotations

import time
from typing import Any

from tests.api import Api, Response
from tests.factories import Factory, Person, Site

UNREAD = """
    SELECT (SELECT count(*) FROM event_log e
             WHERE e.site_id = %(site)s
               AND NOT EXISTS (SELECT 1 FROM event_sequence s
                                WHERE s.site_id = e.site_id AND s.event_id = e.event_id))
         + (SELECT count(*) FROM event_heads h
             WHERE h.site_id = %(site)s
               AND h.number > coalesce((SELECT c.number FROM event_cursors c
                                         WHERE c.reader = 'updates' AND c.site_id = h.site_id), 0))"""


def told(make: Factory, site: Site) -> None:
    """Return once everybody was told of all that has happened on the site."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if make.sql(UNREAD, site=site.id) == [(0,)]:
            return
        time.sleep(0.02)
    raise AssertionError("events were not read")


def updates(api: Api, person: Person, query: str = "") -> Response:
    """The person's list."""
    answer = api.get(f"/api/v1/updates{query}", by=person)
    assert answer.status == 200, answer.body[:500]
    return answer


def entries(api: Api, person: Person, query: str = "") -> list[Any]:
    """The entries of the person's list."""
    found: list[Any] = updates(api, person, query).data["updates"]["items"]
    return found


def heard(api: Api, person: Person, query: str = "") -> list[tuple[str, str, int]]:
    """(type, item type, item id) of what the person's list shows, newest first; the list counts no more and no less."""
    page = updates(api, person, query).data["updates"]
    assert page["total"] == len(page["items"])
    return [(one["updateType"], one["itemType"], one["item"]["id"]) for one in page["items"]]


# People of a crowd that one statement makes, within its time limit on a busy machine too.
AT_ONCE = 1000


def crowd(
    make: Factory, site: Site, count: int, item_type: int, item_id: int, *, email: bool = False
) -> None:
    """So many people who follow a thing."""
    for first in range(1, count + 1, AT_ONCE):
        make.sql(
            """
            WITH people AS (
                INSERT INTO users (email, canonical_email, person_key)
                SELECT k, k, k
                  FROM (SELECT format('fan%%s@%%s-%%s.test', n, %(key)s::text, %(item)s::bigint) AS k
                          FROM generate_series(%(first)s::int, %(last)s::int) n) f
             RETURNING user_id),
            made AS (
                INSERT INTO profiles (site_id, user_id, profile_name)
                SELECT %(site)s, p.user_id, 'fan' || p.user_id FROM people p
             RETURNING profile_id)
            INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
            SELECT %(site)s, m.profile_id, %(type)s, %(item)s, %(email)s FROM made m""",
            key=site.key,
            first=first,
            last=min(first + AT_ONCE - 1, count),
            site=site.id,
            type=item_type,
            item=item_id,
            email=email,
        )
