"""Eight clients write at random: no deadlock, no fault, and every count is right afterwards (architecture, writing)."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api import Api
from tests.chaos.stage import differences, own_database
from tests.chaos.writers import COMMENTS, Client, Tickets, World
from tests.factories import Factory, Person
from tests.fixtures import Server, factory, start_server

pytestmark = pytest.mark.slow

CLIENTS = 8
# As many as every run of the suite has time for; `make chaos` asks for ten thousand.
OPERATIONS = int(os.environ.get("CHAOS_OPERATIONS", "600"))


def deadlocks(url: str) -> int:
    """Return how many PostgreSQL has had to break in this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def unread(api: Api, person: Person) -> bool:
    """Return whether the API counts as many unread huddles as it lists."""
    (stat,) = api.get("/api/v1/whoami", by=person).data["meta"]["stats"]
    listed = api.get("/api/v1/huddles?unread=true", by=person).data["huddles"]
    return bool(stat["value"] == listed["total"])


def totals(api: Api, world: World) -> list[Any]:
    """Return what the API says of every place."""
    items = api.get("/api/v1/microcosms", by=world.site.owner).data["items"]["items"]
    return [
        (one["item"]["id"], one["item"].get("totalItems"), one["item"]["totalComments"])
        for one in items
    ]


@pytest.mark.wide
def test_random_writers_leave_every_count_right(tmp_path: Path) -> None:
    # No cron process runs: whatever is right afterwards is right by the writes alone.
    with own_database("random") as url, factory(url) as make:
        world = World(make, CLIENTS)
        server = start_server(url, tmp_path, workers="2", database_connections="8")
        try:
            clients = [Client(world, server, number) for number in range(CLIENTS)]
            tickets = Tickets(OPERATIONS)
            with ThreadPoolExecutor(CLIENTS) as pool:
                for one in [pool.submit(client.run, tickets) for client in clients]:
                    one.result()
            statuses: Counter[tuple[str, int]] = Counter()
            for client in clients:
                statuses += client.statuses

            assert [fault for client in clients for fault in client.faults] == []
            assert {status for _, status in statuses} <= {200, 302, 400, 403, 404}
            # Everything was done, and done with success, again and again.
            for step, _ in clients[0].steps:
                name = step.__name__
                good = statuses[name, 200] + statuses[name, 302]
                assert good >= OPERATIONS / 1000, (name, statuses)
            # Everything is shown again, so that nothing is right only because it is hidden.
            for place in world.places:
                shown = server.api().patch(place.path, ("moderated", False), by=world.site.owner)
                assert shown.status == 200
            api = server.api()
            before = totals(api, world)
            assert sum(comments for _, _, comments in before) > OPERATIONS / 100
            for person in world.people:
                assert unread(api, person)
            assert differences(url) == []
            make.fold(world.site)
            assert totals(api, world) == before
            assert differences(url) == []
            time.sleep(1.1)  # what sessions counted is reported once a second
            assert deadlocks(url) == 0
        finally:
            server.stop()


@pytest.mark.wide
def test_an_owner_renames_everything_at_once(
    server: Server, make: Factory, database_url: str
) -> None:
    # The site shows its owner: a new name moves the site, while each change of the tree holds it and names the owner.
    site = make.site()
    before = deadlocks(database_url)

    def repeat(method: str, path: str, body: dict[str, Any]) -> set[int]:
        api = server.api()
        found = set()
        for number in range(15):
            varied = ("title", "profileName", "markdown")
            sent = {
                key: f"{value}{number}" if key in varied else value for key, value in body.items()
            }
            found.add(api.request(method, path, by=site.owner, json=sent).status)
        api.close()
        return found

    with ThreadPoolExecutor(6) as pool:
        runs = [
            pool.submit(repeat, *each)
            for each in (
                ("PUT", site.owner.path, {"profileName": "one"}),
                ("PUT", site.owner.path, {"profileName": "two"}),
                ("POST", "/api/v1/microcosms", {"title": "M", "description": "x"}),
                ("POST", "/api/v1/microcosms", {"title": "N", "description": "x"}),
                ("PUT", "/api/v1/site", {"title": "S"}),
                (
                    "POST",
                    COMMENTS,
                    {"itemType": "profile", "itemId": site.owner.id, "markdown": "me "},
                ),
            )
        ]
        statuses = set().union(*(run.result() for run in runs))

    # A deadlock is broken by refusing one of the two: 503.
    assert statuses == {302}
    time.sleep(1.1)
    assert deadlocks(database_url) == before


@pytest.mark.wide
def test_huddles_written_in_at_once_all_count(server: Server, make: Factory) -> None:
    # Each comment counts for everybody in its huddle: the later of two must see the earlier one.
    site = make.site()
    reader, *writers = (make.person(site) for _ in range(7))
    huddles = [make.huddle(reader, *writers) for _ in writers]
    clients = [server.api() for _ in writers]

    def say(number: int, text: str) -> int:
        body = {"itemType": "huddle", "itemId": huddles[number].id, "markdown": text}
        return clients[number].post(COMMENTS, body, by=writers[number]).status

    api = server.api()
    found = []
    with ThreadPoolExecutor(len(writers)) as pool:
        for turn in range(8):
            runs = [pool.submit(say, number, f"{turn}") for number in range(len(writers))]
            assert [run.result() for run in runs] == [302] * len(writers)
            (stat,) = api.get("/api/v1/whoami", by=reader).data["meta"]["stats"]
            found.append(stat["value"])
            api.put("/api/v1/profiles/read", {"itemType": "huddle", "itemId": 0}, by=reader)
    for client in (api, *clients):
        client.close()

    assert found == [len(writers)] * 8
