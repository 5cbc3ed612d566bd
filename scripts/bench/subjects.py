"""Events, polls and huddles with a page of comments each, which the seed does not have: made once for a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import psycopg

from scripts.bench.exchange import Answer, Request
from scripts.bench.services import Server

COUNT = 20
COMMENTS = 25
TITLE = "Measured"
KINDS: Mapping[str, int] = {"event": 9, "poll": 7, "huddle": 5}

MADE = """
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id = %(kind)s AND i.title LIKE %(title)s
       AND NOT i.is_deleted AND i.comment_count >= %(comments)s
     ORDER BY i.item_id"""

# A microcosm takes polls only where it says so; the tree that processes hold is of an older acl_version then.
TAKE_ALL = """
    WITH told AS (
        UPDATE microcosms m
           SET item_types = '{2,6,7,9}'
         WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(microcosm)s AND m.item_types <> '{2,6,7,9}'
     RETURNING m.site_id)
    UPDATE sites s
       SET acl_version = s.acl_version + 1
      FROM told
     WHERE s.site_id = told.site_id"""


def find(
    connection: psycopg.Connection[tuple[int]],
    server: Server,
    host: str,
    site_id: int,
    microcosm: int,
    people: Sequence[tuple[int, str]],
) -> dict[str, list[int]]:
    """Return the ids by kind; those that are missing are made over HTTP.

    `people`: (profile id, token) of those who write, the first of whom reads; all are participants of every huddle.
    `microcosm`: id of one in which all may create. Raises RuntimeError if a write is refused.
    """
    connection.execute(TAKE_ALL, {"site_id": site_id, "microcosm": microcosm})
    found = {}
    for kind, number in KINDS.items():
        values = {
            "site_id": site_id,
            "kind": number,
            "title": f"{TITLE} {kind} %",
            "comments": COMMENTS,
        }
        ids = [row[0] for row in connection.execute(MADE, values).fetchall()]
        if len(ids) < COUNT:
            print(f"making {COUNT - len(ids)} {kind}s with {COMMENTS} comments each", flush=True)
        while len(ids) < COUNT:
            ids.append(_make(kind, len(ids), server, host, microcosm, people))
        found[kind] = ids[:COUNT]
    return found


def _make(
    kind: str,
    number: int,
    server: Server,
    host: str,
    microcosm: int,
    people: Sequence[tuple[int, str]],
) -> int:
    bodies: dict[str, dict[str, object]] = {
        "event": {
            "microcosmId": microcosm,
            "when": "2099-06-13T09:30:00",
            "tz": "Europe/Lisbon",
            "duration": 90,
            "where": "North gate",
            "lat": 41.15,
            "lon": -8.61,
            "rsvpLimit": 50,
        },
        "poll": {
            "microcosmId": microcosm,
            "question": "Which one?",
            "choices": [{"choice": f"Choice {n}"} for n in range(1, 6)],
        },
        "huddle": {"participants": [{"id": profile} for profile, _ in people]},
    }
    body = bodies[kind] | {"title": f"{TITLE} {kind} {number}"}
    answer = server.ask(
        Request("POST", f"/api/v1/{kind}s", host, people[0][1], json.dumps(body).encode())
    )
    id = int(_location(answer).rpartition("/")[2])
    comments = [
        Request(
            "POST",
            "/api/v1/comments",
            host,
            people[n % len(people)][1],
            json.dumps(
                {"itemType": kind, "itemId": id, "markdown": f"Remark {n} on **{kind}** {number}."}
            ).encode(),
        )
        for n in range(COMMENTS)
    ]
    for answer in server.ask_all(comments):
        _location(answer)
    return id


def _location(answer: Answer) -> str:
    if answer.status != 302:
        raise RuntimeError(f"answered {answer.status}: {answer.body[:300]!r}")
    return answer.headers["location"]
