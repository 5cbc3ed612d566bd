"""Eight clients write at random: no deadlock, no fault, and every count is right afterwards (architecture 3)."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api import Api, Response
from tests.chaos.stage import differences, factory, own_database
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import Server, start_server

pytestmark = pytest.mark.slow

CLIENTS = 8
RUN_S = 8.0
COMMENTS = "/api/v1/comments"


class World:
    """A few places, conversations and people, so few that everybody meets everybody."""

    def __init__(self, make: Factory) -> None:
        self.site: Site = make.site()
        self.places: list[Thing] = [make.microcosm(self.site) for _ in range(3)]
        self.chats: list[Thing] = [
            make.conversation(self.site, microcosm=place) for place in self.places for _ in (1, 2)
        ]
        # The keepers may do everything, the others only what authors may.
        self.people: list[Person] = [make.person(self.site) for _ in range(CLIENTS)]
        role = make.role(self.site, self.site.root_id, "Keepers", moderator=True, rights=RIGHTS)
        make.join(role, *self.people[: CLIENTS // 2])
        self.comments: list[str] = [make.comment(chat).path for chat in self.chats]
        self.lock = threading.Lock()

    def add(self, known: list[Any], one: Any) -> None:
        """Let everybody know of something new; the list stays short."""
        with self.lock:
            known.append(one)
            if len(known) > 40:
                del known[random.randrange(20)]


class Client:
    """One of the eight. Its dice are its own, so that a run can be repeated as far as threads allow."""

    def __init__(self, world: World, server: Server, number: int) -> None:
        self.world = world
        self.api: Api = server.api()
        self.by = world.people[number]
        self.dice = random.Random(number)
        self.number = number
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.faults: list[bytes] = []
        self.steps = [
            (self.comment, 10),
            (self.reply, 4),
            (self.edit, 4),
            (self.flag_comment, 8),
            (self.delete_comment, 4),
            (self.move, 4),
            (self.rename, 2),
            (self.flag_chat, 5),
            (self.delete_chat, 2),
            (self.begin, 2),
            (self.biography, 2),
            (self.flag_place, 1),
            (self.rename_oneself, 1),
            (self.read, 4),
        ]

    def run(self, until: float) -> None:
        """Do things until then."""
        steps, weights = zip(*self.steps, strict=True)
        while time.monotonic() < until:
            (step,) = self.dice.choices(steps, weights)
            answer: Response = step()
            self.statuses[step.__name__, answer.status] += 1
            if answer.status >= 500:
                self.faults.append(answer.body)
        self.api.close()

    def chat(self) -> Thing:
        return self.dice.choice(self.world.chats)

    def known(self) -> str:
        return self.dice.choice(self.world.comments)

    def say(self, **more: Any) -> Response:
        body = {
            "itemType": "conversation",
            "itemId": self.chat().id,
            "markdown": f"{self.number} {self.dice.random()} *so*",
            **more,
        }
        answer = self.api.post(COMMENTS, body, by=self.by)
        if answer.status == 302 and body["itemType"] == "conversation":
            self.world.add(self.world.comments, answer.location)
        return answer

    def comment(self) -> Response:
        return self.say()

    def reply(self) -> Response:
        return self.say(inReplyTo=int(self.known().rpartition("/")[2]))

    def biography(self) -> Response:
        return self.say(itemType="profile", itemId=self.by.id)

    def edit(self) -> Response:
        text = {"markdown": f"edited {self.dice.random()}"}
        return self.api.put(self.known(), text, by=self.by)

    def flag_comment(self) -> Response:
        name = self.dice.choice(("deleted", "moderated"))
        return self.api.patch(self.known(), (name, self.dice.random() < 0.5), by=self.by)

    def delete_comment(self) -> Response:
        return self.api.delete(self.known(), by=self.by)

    def move(self) -> Response:
        to = self.dice.choice(self.world.places).id
        body = {"microcosmId": to, "meta": {"editReason": "elsewhere"}}
        return self.api.put(self.chat().path, body, by=self.by)

    def rename(self) -> Response:
        body = {"title": f"Chat {self.dice.random()}", "meta": {"editReason": "better"}}
        return self.api.put(self.chat().path, body, by=self.by)

    def flag_chat(self) -> Response:
        name = self.dice.choice(("deleted", "moderated", "sticky", "open", "deleted"))
        value = self.dice.random() < (0.8 if name == "open" else 0.3)
        return self.api.patch(self.chat().path, (name, value), by=self.by)

    def delete_chat(self) -> Response:
        return self.api.delete(self.chat().path, by=self.by)

    def begin(self) -> Response:
        place = self.dice.choice(self.world.places).id
        body = {"microcosmId": place, "title": f"New {self.number} {self.dice.random()}"}
        answer = self.api.post("/api/v1/conversations", body, by=self.by)
        if answer.status == 302:
            id = int(answer.location.rpartition("/")[2])
            self.world.add(self.world.chats, Thing(self.world.site, 6, id))
        return answer

    def flag_place(self) -> Response:
        place = self.dice.choice(self.world.places)
        flag = ("moderated", self.dice.random() < 0.3)
        return self.api.patch(place.path, flag, by=self.by)

    def rename_oneself(self) -> Response:
        body = {"profileName": f"p{self.number}x{self.dice.randrange(10**6)}"}
        return self.api.put(self.by.path, body, by=self.by)

    def read(self) -> Response:
        path = self.dice.choice((self.chat().path, "/api/v1/microcosms", self.known()))
        return self.api.get(path, by=self.by)


def deadlocks(url: str) -> int:
    """How many PostgreSQL has had to break in this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def totals(api: Api, world: World) -> list[Any]:
    """What the API says of every place."""
    items = api.get("/api/v1/microcosms", by=world.site.owner).data["items"]["items"]
    return [
        (one["item"]["id"], one["item"].get("totalItems"), one["item"]["totalComments"])
        for one in items
    ]


def test_random_writers_leave_every_count_right(tmp_path: Path) -> None:
    with own_database("random") as url, factory(url) as make:
        world = World(make)
        server = start_server(url, tmp_path, workers="2", database_connections="8")
        try:
            clients = [Client(world, server, number) for number in range(CLIENTS)]
            until = time.monotonic() + RUN_S
            with ThreadPoolExecutor(CLIENTS) as pool:
                for one in [pool.submit(client.run, until) for client in clients]:
                    one.result()
            statuses: Counter[tuple[str, int]] = Counter()
            for client in clients:
                statuses += client.statuses

            assert [fault for client in clients for fault in client.faults] == []
            assert {status for _, status in statuses} <= {200, 302, 400, 403, 404}
            # Everything was done, and done with success, many times.
            for step, _ in clients[0].steps:
                good = statuses[step.__name__, 200] + statuses[step.__name__, 302]
                assert good >= 3, (step.__name__, statuses)
            # Everything is shown again, so that nothing is right only because it is hidden.
            for place in world.places:
                shown = server.api().patch(place.path, ("moderated", False), by=world.site.owner)
                assert shown.status == 200
            api = server.api()
            before = totals(api, world)
            assert sum(comments for _, _, comments in before) > 20
            make.fold(world.site)
            assert totals(api, world) == before
            assert differences(url) == []
            time.sleep(1.1)  # what sessions counted is reported once a second
            assert deadlocks(url) == 0
        finally:
            server.stop()


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
