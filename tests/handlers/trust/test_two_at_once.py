"""Two people act on one case at once, each by a process of their own: one wins, the other gets 409."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Thing
from tests.fixtures import Server
from tests.handlers.trust.test_appeals import decide

AT_ONCE = 20
HIDE = {"kind": "hide", "reason": "Advertising is not allowed here"}


class Race:
    """Two moderators of a site, and requests that both send at once."""

    def __init__(self, make: Factory, api: Api, servers: tuple[Server, Server]) -> None:
        self.make = make
        self.api = api
        self.servers = servers
        self.site = make.site()
        self.other = make.person(self.site)
        role = make.role(self.site, self.site.root_id, "More", moderator=True, rights=RIGHTS)
        make.join(role, self.other)
        self.chat = make.conversation(self.site)

    @property
    def people(self) -> tuple[Person, Person]:
        return self.site.moderator, self.other

    def reported(self) -> tuple[Thing, int]:
        """A comment that was reported, and its case."""
        said = self.make.comment(self.chat)
        return said, self.make.report(said)[1]

    def run(self, *asks: Callable[[Api, Person], Response]) -> tuple[Person, int]:
        """Send the requests of both at once, and return (who wins, the winner's status); the other one gets 409."""
        start = threading.Barrier(2)

        def send(number: int) -> Response:
            client = self.servers[number].api()
            try:
                # The connection is open before the race.
                client.get("/api/v1/site", by=self.people[number])
                start.wait(60)
                return asks[number](client, self.people[number])
            finally:
                client.close()

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(send, range(2)))
        (winner,) = [number for number in range(2) if answers[number].status != 409]
        assert answers[winner].status in (200, 302), answers[winner].body
        return self.people[winner], winner

    def case(self, id: int) -> dict[str, Any]:
        case: dict[str, Any] = self.api.get(f"/api/v1/cases/{id}", by=self.site.owner).data
        return case

    def is_shown(self, said: Thing) -> bool:
        return self.api.get(said.path, by=self.site.newcomer).status == 200

    def count(self, table: str, where: str, id: int) -> int:
        sql = f"SELECT count(*) FROM {table} WHERE site_id = %(s)s AND {where}"
        ((count,),) = self.make.sql(sql, s=self.site.id, id=id)
        return int(count)


@pytest.fixture
def race(make: Factory, api: Api, server: Server, elsewhere: Server) -> Race:
    return Race(make, api, (server, elsewhere))


def take(race: Race) -> None:
    _, case = race.reported()
    lease = f"/api/v1/cases/{case}/lease"
    winner, _ = race.run(*[lambda api, by: api.request("PUT", lease, by=by)] * 2)
    assert race.case(case)["takenBy"]["id"] == winner.id


def dismiss(race: Race) -> None:
    said, case = race.reported()

    def ask(api: Api, by: Person) -> Response:
        sent = {"outcome": "dismissed", "note": f"Is fine, says {by.name}"}
        return api.post(f"/api/v1/cases/{case}/decision", sent, by=by)

    winner, _ = race.run(ask, ask)
    found = race.case(case)
    assert (found["outcome"], found["decidedBy"]["id"]) == ("dismissed", winner.id)
    assert [one["createdBy"]["id"] for one in found["notes"]] == [winner.id]
    assert race.count("audit_log", "detail->>'verb' = 'dismiss' AND item_id = %(id)s", said.id) == 1


def act(race: Race) -> None:
    said, case = race.reported()
    sent = HIDE | {"caseId": case, "targets": [{"itemType": "comment", "itemId": said.id}]}
    winner, _ = race.run(*[lambda api, by: api.post("/api/v1/actions", sent, by=by)] * 2)
    found = race.case(case)
    assert (found["outcome"], found["decidedBy"]["id"]) == ("acted", winner.id)
    assert race.count("actions", "case_id = %(id)s", case) == 1
    assert len(found["actions"]) == 1 and not race.is_shown(said)


def act_or_dismiss(race: Race) -> None:
    said, case = race.reported()
    sent = HIDE | {"caseId": case, "targets": [{"itemType": "comment", "itemId": said.id}]}
    dismissal, at = {"outcome": "dismissed"}, f"/api/v1/cases/{case}/decision"
    winner, number = race.run(
        lambda api, by: api.post("/api/v1/actions", sent, by=by),
        lambda api, by: api.post(at, dismissal, by=by),
    )
    found = race.case(case)
    outcome = ("acted", "dismissed")[number]
    assert (found["outcome"], found["decidedBy"]["id"]) == (outcome, winner.id)
    # Nothing is half done: an action that came too late has left no trace.
    assert race.is_shown(said) == (outcome == "dismissed")
    assert race.count("actions", "case_id = %(id)s", case) == (outcome == "acted")


def decide_appeal(race: Race) -> None:
    said = race.make.comment(race.chat)
    targets = [{"itemType": "comment", "itemId": said.id}]
    hidden = race.api.post("/api/v1/actions", HIDE | {"targets": targets}, by=race.site.owner)
    assert hidden.status == 200, hidden.body
    (stated,) = race.make.sql(
        "SELECT statement_id FROM statements WHERE site_id = %(s)s AND action_id = %(a)s",
        s=race.site.id,
        a=hidden.data["id"],
    )
    path = f"/api/v1/appeals/{race.make.appeal(stated[0], race.site.member)}"
    winner, number = race.run(
        lambda api, by: decide(api, path, by, "granted"),
        lambda api, by: decide(api, path, by, "refused"),
    )
    found = race.api.get(path, by=race.site.owner).data
    outcome = ("granted", "refused")[number]
    assert (found["state"], found["decidedBy"]["id"]) == (outcome, winner.id)
    # The appeal itself, and the text of the one decision.
    assert len(found["messages"]) == 2
    assert race.is_shown(said) == (outcome == "granted")


def undo(race: Race) -> None:
    said = race.make.comment(race.chat)
    targets = [{"itemType": "comment", "itemId": said.id}]
    hidden = race.api.post("/api/v1/actions", HIDE | {"targets": targets}, by=race.site.owner)
    path = f"/api/v1/actions/{hidden.data['id']}"
    winner, _ = race.run(*[lambda api, by: api.post(f"{path}/undo", {}, by=by)] * 2)
    found = race.api.get(path, by=race.site.owner).data
    assert (found["counts"]["undone"], found["undoneBy"]["id"]) == (1, winner.id)
    assert race.is_shown(said)


@pytest.mark.parametrize("times", [1, pytest.param(AT_ONCE, marks=pytest.mark.wide)])
@pytest.mark.parametrize("what", [take, dismiss, act, act_or_dismiss, decide_appeal, undo])
def test_of_two_at_once_one_wins_and_the_other_gets_409(
    race: Race, what: Callable[[Race], None], times: int
) -> None:
    for _ in range(times):
        what(race)
