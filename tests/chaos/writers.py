"""Clients that write at random on one small site: so few things that everybody meets everybody."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from forumapi import itemtypes, routes
from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import Server

COMMENTS = "/api/v1/comments"
# Of each kind of thing, as many as the clients know of; an older one is forgotten then.
KNOWN = 40


class World:
    """A few places, things in them, huddles, and people: half of them keepers who may do everything."""

    def __init__(self, make: Factory, clients: int) -> None:
        self.site: Site = make.site()
        self.places: list[Thing] = [make.microcosm(self.site) for _ in range(3)]
        self.people: list[Person] = [make.person(self.site) for _ in range(clients)]
        role = make.role(self.site, self.site.root_id, "Keepers", moderator=True, rights=RIGHTS)
        make.join(role, *self.people[: clients // 2])
        self.items: list[Thing] = [
            make.conversation(self.site, microcosm=place) for place in self.places for _ in (1, 2)
        ]
        self.events: list[Thing] = []
        self.polls: list[Thing] = []
        self.huddles: list[Thing] = [make.huddle(*self.people) for _ in range(3)]
        self.comments: list[str] = [make.comment(item).path for item in self.items]
        self._lock = threading.Lock()

    def add(self, known: list[Any], one: Any) -> None:
        """Let everybody know of something new."""
        with self._lock:
            known.append(one)
            if len(known) > KNOWN:
                del known[random.randrange(KNOWN // 2)]


class Tickets:
    """So many operations among all clients."""

    def __init__(self, operations: int) -> None:
        self._numbers = iter(range(operations))
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether there is one more to do."""
        with self._lock:
            return next(self._numbers, None) is not None


Step = Callable[[], Response]


class Client:
    """One of them. Its dice are its own, so that a run can be repeated as far as threads allow."""

    def __init__(self, world: World, server: Server, number: int) -> None:
        self.world = world
        self.api: Api = server.api()
        # What is answered is compared with the document everywhere else.
        self.api.checks_schema = False
        self.by = world.people[number]
        self.dice = random.Random(number)
        self.number = number
        self.words = itertools.count(1)
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.faults: list[bytes] = []
        # Step, weight, and the address without which there is nothing to do.
        table: list[tuple[Step, int, str]] = [
            (self.comment, 10, COMMENTS),
            (self.reply, 4, COMMENTS),
            (self.edit, 4, COMMENTS),
            (self.revert, 3, COMMENTS),
            (self.flag_comment, 8, COMMENTS),
            (self.delete_comment, 4, COMMENTS),
            (self.react, 3, f"{COMMENTS}/<comment:item>/reactions/<key:key>"),
            (self.move, 5, COMMENTS),
            (self.rename, 2, COMMENTS),
            (self.flag_item, 6, COMMENTS),
            (self.delete_item, 2, COMMENTS),
            (self.begin, 2, COMMENTS),
            (self.biography, 2, COMMENTS),
            (self.flag_place, 1, COMMENTS),
            (self.rename_oneself, 1, COMMENTS),
            (self.read, 4, COMMENTS),
            (self.begin_huddle, 2, "/api/v1/huddles"),
            (self.talk, 8, "/api/v1/huddles"),
            (self.read_huddle, 6, "/api/v1/huddles"),
            (self.invite, 4, "/api/v1/huddles"),
            (self.leave, 2, "/api/v1/huddles"),
            (self.all_huddles_read, 1, "/api/v1/huddles"),
            (self.announce, 2, "/api/v1/events"),
            (self.attend, 8, "/api/v1/events"),
            (self.ask, 2, "/api/v1/polls"),
            (self.vote, 6, "/api/v1/polls/<poll:item>/votes"),
        ]
        self.steps = [(step, weight) for step, weight, address in table if address in routes.SITE]

    def run(self, tickets: Tickets) -> None:
        """Do things until none is left to do."""
        steps, weights = zip(*self.steps, strict=True)
        while tickets.take():
            (step,) = self.dice.choices(steps, weights)
            answer: Response = step()
            self.statuses[step.__name__, answer.status] += 1
            if answer.status >= 500:
                self.faults.append(answer.body)
        self.api.close()

    # ------------------------------------------------------------ what there is, and what is said

    def item(self) -> Thing:
        world = self.world
        return self.dice.choice([*world.items, *world.events, *world.polls])

    def huddle(self) -> Thing:
        return self.dice.choice(self.world.huddles)

    def known(self) -> str:
        return self.dice.choice(self.world.comments)

    def text(self) -> str:
        return f"{self.number} {next(self.words)}"

    def made(self, known: list[Thing], item_type: int, answer: Response) -> Response:
        """Remember what a POST made."""
        if answer.status == 302:
            id = int(answer.location.rpartition("/")[2])
            self.world.add(known, Thing(self.world.site, item_type, id))
        return answer

    def say(self, on: Thing | Person, **more: Any) -> Response:
        kind = "profile" if isinstance(on, Person) else itemtypes.name_of(on.type)
        body = {"itemType": kind, "itemId": on.id, "markdown": f"*{self.text()}*", **more}
        answer = self.api.post(COMMENTS, body, by=self.by)
        if answer.status == 302 and kind != "profile":
            self.world.add(self.world.comments, answer.location)
        return answer

    # ------------------------------------------------------------ comments

    def comment(self) -> Response:
        return self.say(self.item())

    def reply(self) -> Response:
        return self.say(self.item(), inReplyTo=int(self.known().rpartition("/")[2]))

    def biography(self) -> Response:
        return self.say(self.by)

    def edit(self) -> Response:
        return self.api.put(self.known(), {"markdown": f"edited {self.text()}"}, by=self.by)

    def revert(self) -> Response:
        body = {"revision": self.dice.choice((1, 1, 2))}
        return self.api.post(f"{self.known()}/revisions", body, by=self.by)

    def flag_comment(self) -> Response:
        name = self.dice.choice(("deleted", "moderated"))
        return self.api.patch(self.known(), (name, self.dice.random() < 0.5), by=self.by)

    def delete_comment(self) -> Response:
        return self.api.delete(self.known(), by=self.by)

    def react(self) -> Response:
        path = f"{self.known()}/reactions/{self.dice.choice(('like', 'love'))}"
        method = self.dice.choice(("PUT", "PUT", "DELETE"))
        return self.api.request(method, path, by=self.by)

    # ------------------------------------------------------------ items and places

    def begin(self) -> Response:
        place = self.dice.choice(self.world.places).id
        body = {"microcosmId": place, "title": f"New {self.text()}"}
        answer = self.api.post("/api/v1/conversations", body, by=self.by)
        return self.made(self.world.items, itemtypes.CONVERSATION, answer)

    def move(self) -> Response:
        to = self.dice.choice(self.world.places).id
        body = {"microcosmId": to, "meta": {"editReason": "elsewhere"}}
        return self.api.put(self.item().path, body, by=self.by)

    def rename(self) -> Response:
        body = {"title": f"Item {self.text()}", "meta": {"editReason": "better"}}
        return self.api.put(self.item().path, body, by=self.by)

    def flag_item(self) -> Response:
        name = self.dice.choice(("deleted", "moderated", "sticky", "open", "deleted"))
        value = self.dice.random() < (0.8 if name == "open" else 0.3)
        return self.api.patch(self.item().path, (name, value), by=self.by)

    def delete_item(self) -> Response:
        return self.api.delete(self.item().path, by=self.by)

    def flag_place(self) -> Response:
        place = self.dice.choice(self.world.places)
        flag = ("moderated", self.dice.random() < 0.3)
        return self.api.patch(place.path, flag, by=self.by)

    def rename_oneself(self) -> Response:
        body = {"profileName": f"p{self.number}x{next(self.words)}"}
        return self.api.put(self.by.path, body, by=self.by)

    def read(self) -> Response:
        path = self.dice.choice((self.item().path, "/api/v1/microcosms", self.known()))
        return self.api.get(path, by=self.by)

    # ------------------------------------------------------------ huddles

    def begin_huddle(self) -> Response:
        others = self.dice.sample(self.world.people, 3)
        body = {"title": f"Psst {self.text()}", "participants": [{"id": one.id} for one in others]}
        answer = self.api.post("/api/v1/huddles", body, by=self.by)
        return self.made(self.world.huddles, itemtypes.HUDDLE, answer)

    def talk(self) -> Response:
        return self.say(self.huddle())

    def read_huddle(self) -> Response:
        path = self.dice.choice(
            (self.huddle().path, f"{self.huddle().path}?limit=5", "/api/v1/huddles")
        )
        return self.api.get(path, by=self.by)

    def invite(self) -> Response:
        others = self.dice.sample(self.world.people, 2)
        body = [{"id": one.id} for one in others]
        return self.api.put(f"{self.huddle().path}/participants", body, by=self.by)

    def leave(self) -> Response:
        return self.api.delete(self.huddle().path, by=self.by)

    def all_huddles_read(self) -> Response:
        body = {"itemType": "huddle", "itemId": 0}
        return self.api.put("/api/v1/profiles/read", body, by=self.by)

    # ------------------------------------------------------------ events and polls

    def announce(self) -> Response:
        body = {
            "microcosmId": self.dice.choice(self.world.places).id,
            "title": f"Ride {self.text()}",
            "rsvpLimit": self.dice.choice((0, 2, 3)),
        }
        answer = self.api.post("/api/v1/events", body, by=self.by)
        return self.made(self.world.events, itemtypes.EVENT, answer)

    def attend(self) -> Response:
        if not self.world.events:
            return self.announce()
        path = f"{self.dice.choice(self.world.events).path}/attendees"
        if self.dice.random() < 0.2:
            return self.api.delete(f"{path}/{self.by.id}", by=self.by)
        body = [{"profileId": self.by.id, "rsvp": self.dice.choice(("yes", "yes", "maybe", "no"))}]
        return self.api.put(path, body, by=self.by)

    def ask(self) -> Response:
        body = {
            "microcosmId": self.dice.choice(self.world.places).id,
            "title": f"Poll {self.text()}",
            "question": "Which?",
            "choices": [{"choice": "Green"}, {"choice": "Blue"}],
            "multi": self.dice.random() < 0.5,
        }
        answer = self.api.post("/api/v1/polls", body, by=self.by)
        return self.made(self.world.polls, itemtypes.POLL, answer)

    def vote(self) -> Response:
        if not self.world.polls:
            return self.ask()
        poll = self.dice.choice(self.world.polls)
        shown = self.api.get(poll.path, by=self.by)
        if shown.status != 200:
            return shown
        choices = [one["id"] for one in shown.data["choices"]]
        most = len(choices) if shown.data["multi"] else 1
        chosen = self.dice.sample(choices, self.dice.randint(0, most))
        return self.api.put(f"{poll.path}/votes", [{"id": id} for id in chosen], by=self.by)
