"""Matrix of people, things and records of moderation: who sees which, and that nothing tells an author who reported.

On one site as drawn by hand, and on random ones: a hundred thousand triples of these in `make fuzz-permissions`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from forumapi import itemtypes, routes
from tests.api import Api
from tests.factories import Factory, Person, Thing

# Triples on random sites.
CASES = int(os.environ.get("ORACLE_CASES", "1000"))
PLACES, KEEPERS, RECORDS = 4, 6, 14
KINDS = ("case", "note", "report", "action", "statement", "appeal")
REPORTER = "snitchperson"
TOLD, NOTED, INNER = "told-in-secret", "noted-in-secret", "inner-note"


@dataclass
class Record:
    """A thing, who wrote it, where it stands (0: outside of all), and the addresses of what came of it."""

    thing: Thing
    author: Person
    place: int
    paths: dict[str, str] = field(default_factory=dict)


class Stage:
    """A site with two microcosms, their moderators, and a thing of each type, reported and acted on."""

    def __init__(self, api: Api, make: Factory) -> None:
        self.api = api
        self.site = site = make.site()
        self.places = [make.microcosm(site), make.microcosm(site)]
        keepers = [make.person(site) for _ in self.places]
        for place, keeper in zip(self.places, keepers, strict=True):
            role = make.role(
                site, place.id, "Keep", moderator=True, rights=("create", "read", "update")
            )
            make.join(role, keeper)
        self.reporter = make.person(site, REPORTER)
        author = make.person(site, "author")
        self.people: dict[str, Person | None] = {
            "guest": None,
            "reporter": self.reporter,
            "author": author,
            "bystander": site.newcomer,
            "keeper 0": keepers[0],
            "keeper 1": keepers[1],
            "moderator": site.moderator,
            "owner": site.owner,
            "banned": site.banned,
        }
        # Who moderates where, as the roles above were made: an account of its own.
        root = {place.id for place in self.places}
        self.moderates = {
            "keeper 0": {self.places[0].id},
            "keeper 1": {self.places[1].id},
            "moderator": root,
            "owner": root | {0},
        }
        chats = [make.conversation(site, microcosm=place, by=author) for place in self.places]
        huddle = make.huddle(author, self.reporter)
        self.records = [
            Record(make.comment(chats[0], by=author), author, self.places[0].id),
            Record(make.comment(chats[1], by=keepers[1]), keepers[1], self.places[1].id),
            Record(chats[1], author, self.places[1].id),
            Record(make.comment(site.member, by=author), author, 0),
            Record(make.comment(huddle, by=author), author, 0),
            Record(Thing(site, itemtypes.PROFILE, author.id), author, 0),
            Record(make.comment(chats[0], by=site.moderator), site.moderator, self.places[0].id),
        ]
        for record in self.records:
            self._work(record)

    def _work(self, record: Record, kind: str = "hide") -> None:
        """Let the thing be reported, noted on, acted on, stated and appealed against."""
        api, owner, thing = self.api, self.site.owner, record.thing
        named = {"itemType": itemtypes.name_of(thing.type), "itemId": thing.id}
        told = api.request(
            "POST", "/api/v1/reports", by=self.reporter, json={**named, "text": TOLD}
        )
        assert told.status == 302, told.body
        items = api.get("/api/v1/cases?source=reports", by=owner).data["cases"]["items"]
        case = next(
            one["id"]
            for one in items
            if (one["itemType"], one["itemId"]) == (named["itemType"], thing.id)
        )
        path = f"/api/v1/cases/{case}"
        assert api.post(f"{path}/notes", {"text": NOTED}, by=owner).status == 302
        record.paths |= {"report": told.location, "case": path, "note": path}
        sent: dict[str, Any] = {
            "kind": kind,
            "targets": [named],
            "reason": "Against the rules",
            "note": INNER,
            "caseId": case,
        }
        if record.place == 0 and thing.type == itemtypes.PROFILE:
            sent["kind"] = "warn"
        answer = api.request("POST", "/api/v1/actions", by=owner, json=sent)
        if answer.status == 403:
            # A comment in a huddle: nobody touches it.
            return
        assert answer.status == 200, answer.body
        record.paths["action"] = f"/api/v1/actions/{answer.data['id']}"
        found = api.get("/api/v1/statements", by=record.author).data["statements"]["items"]
        statement = f"/api/v1/statements/{found[0]['id']}"
        asked = api.post(f"{statement}/appeal", {"text": "No"}, by=record.author)
        assert asked.status == 302, asked.body
        record.paths |= {"statement": statement, "appeal": asked.location}

    def may(self, name: str, record: Record, kind: str) -> bool:
        """Return if somebody may see a record, by the sentences of docs/api/moderation.md."""
        by = self.people[name]
        if kind == "report":
            return by is self.reporter
        if kind == "statement":
            return by is record.author
        if kind == "appeal" and by is record.author:
            return True
        return record.place in self.moderates.get(name, ()) and by is not record.author


class RandomStage(Stage):
    """A site with random microcosms, some within others, owners and moderators of these, people who are shut out of
    some, and random things of theirs.
    """

    def __init__(self, api: Api, make: Factory, draw: Random) -> None:
        self.api = api
        self.site = site = make.site()
        self.reporter = make.person(site, REPORTER)
        keepers = {f"keeper {number}": make.person(site) for number in range(KEEPERS)}
        self.people = {
            "guest": None,
            "reporter": self.reporter,
            "bystander": site.newcomer,
            "moderator": site.moderator,
            "owner": site.owner,
            "banned": site.banned,
            **keepers,
        }
        root = Thing(site, itemtypes.MICROCOSM, site.root_id)
        self.places = [root]
        # Place -> itself and all above; person -> where they own, moderate and are shut out.
        lineage = {root.id: {root.id}}
        owns, keeps, lacks = (
            {name: set[int]() for name in self.people} for _ in ("owns", "keeps", "lacks")
        )
        for _ in range(PLACES):
            above = draw.choice(self.places)
            name = draw.choice(("owner", *keepers))
            place = make.microcosm(site, parent=above, by=self.people[name])
            lineage[place.id] = lineage[above.id] | {place.id}
            owns[name].add(place.id)
            self.places.append(place)
        keeps["moderator"].add(root.id)
        for name, keeper in keepers.items():
            for _ in range(draw.choice((0, 1, 1, 2))):
                place = draw.choice(self.places[1:])
                rights = draw.choice((("create", "read", "update"), ("create", "read")))
                role = make.role(site, place.id, "Keep", moderator=True, rights=rights)
                make.join(role, keeper)
                if "update" in rights:
                    keeps[name].add(place.id)
            if draw.random() < 0.2:
                place = draw.choice(self.places[1:])
                make.join(make.role(site, place.id, "Out", banned=True), keeper)
                lacks[name].add(place.id)
        self.moderates = {
            name: {
                id
                for id, above in lineage.items()
                if name == "owner"
                or (not lacks[name] & above and (id in owns[name] or keeps[name] & above))
            }
            for name in ("moderator", "owner", *keepers)
        }
        self.moderates["owner"].add(0)
        authors = [site.newcomer, site.moderator, *keepers.values()]
        self.records = []
        for _ in range(RECORDS):
            record, kind = self._drawn(make, draw, draw.choice(authors))
            self.records.append(record)
            self._work(record, kind)

    def _drawn(self, make: Factory, draw: Random, author: Person) -> tuple[Record, str]:
        """A random thing of somebody, and a kind of action on it."""
        site = self.site
        on = draw.choice(
            ("item", "item", "comment", "comment", "comment", "profile", "huddle", "person")
        )
        kind = draw.choice(("hide", "delete"))
        # A thing that was reported and decided on is not reported anew by the same person.
        if on == "person" and not any(
            one.thing.id == author.id for one in self.records if one.thing.type == itemtypes.PROFILE
        ):
            return Record(Thing(site, itemtypes.PROFILE, author.id), author, 0), "warn"
        if on == "profile":
            return Record(make.comment(site.member, by=author), author, 0), kind
        if on == "huddle":
            return Record(
                make.comment(make.huddle(author, self.reporter), by=author), author, 0
            ), kind
        place = draw.choice(self.places)
        chat = make.conversation(site, microcosm=place, by=author)
        if on == "item":
            return Record(chat, author, place.id), draw.choice((kind, "lock"))
        return Record(make.comment(chat, by=author), author, place.id), kind


@pytest.fixture
def stage(api: Api, make: Factory) -> Stage:
    return Stage(api, make)


def differences(api: Api, stage: Stage, draw: Random, seen: Counter[tuple[str, bool]]) -> list[str]:
    """Ask for each record by each person, in a random order, as often as CASES says; the answers that are not as
    `Stage.may` says, in words. `seen`: how often a record of each kind was shown, and was not.
    """
    triples = [
        (name, record, kind)
        for name in stage.people
        for record in stage.records
        for kind in KINDS
        if kind in record.paths
    ]
    draw.shuffle(triples)
    said = []
    for name, record, kind in triples[: CASES - seen.total()]:
        by = stage.people[name]
        answer = api.get(record.paths[kind], by=by, site=stage.site)
        expected = stage.may(name, record, kind)
        seen[kind, expected] += 1
        is_right = (answer.status == 200) == expected
        if kind == "note" and expected:
            is_right = is_right and NOTED.encode() in answer.body
        if answer.status != 200:
            secrets = (TOLD, NOTED, INNER, REPORTER)
            is_right = is_right and not any(one.encode() in answer.body for one in secrets)
        if not is_right:
            said.append(f"{name}, {record.thing}, {kind}: {answer.status}")
    return said


@pytest.mark.wide
def test_nobody_sees_a_record_that_they_may_not(api: Api, stage: Stage) -> None:
    assert differences(api, stage, Random(7), Counter()) == []


@pytest.mark.wide
def test_nobody_sees_a_record_of_a_random_site_that_they_may_not(api: Api, make: Factory) -> None:
    api.checks_schema = False
    draw, seen = Random(15), Counter[tuple[str, bool]]()
    said = list[str]()
    while seen.total() < CASES:
        said += differences(api, RandomStage(api, make, draw), draw, seen)
    for kind in KINDS:
        sys.stdout.write(f"{kind:10}{seen[kind, True]:7} shown {seen[kind, False]:7} not\n")
        assert min(seen[kind, True], seen[kind, False]) > 0, kind
    assert said[:5] == []


@pytest.mark.wide
def test_lists_show_what_one_may_see_and_nothing_else(api: Api, stage: Stage) -> None:
    for name, by in stage.people.items():
        for path, kind, list_name in (
            ("/api/v1/cases?state=decided&limit=250", "case", "cases"),
            ("/api/v1/cases?limit=250", "case", "cases"),
            ("/api/v1/actions?limit=250", "action", "actions"),
            ("/api/v1/reports?limit=250", "report", "reports"),
            ("/api/v1/statements?limit=250", "statement", "statements"),
            ("/api/v1/appeals?limit=250", "appeal", "appeals"),
            ("/api/v1/appeals?toDecide=true&limit=250", "appeal", "appeals"),
        ):
            answer = api.get(path, by=by, site=stage.site)
            if answer.status != 200:
                assert answer.status == 403, (name, path)
                continue
            items = answer.data[list_name]["items"]
            if list_name == "cases":
                # The case of an appeal is for those who may decide the appeal, and not for who appeals.
                appeals = {
                    f"/api/v1/appeals/{one['appealId']}" for one in items if "appealId" in one
                }
                assert appeals <= {
                    record.paths["appeal"]
                    for record in stage.records
                    if "appeal" in record.paths
                    and record.author is not by
                    and stage.may(name, record, "appeal")
                }, (name, path)
                items = [one for one in items if "appealId" not in one]
            shown = {f"/api/v1/{list_name}/{one['id']}" for one in items}
            allowed = {
                record.paths[kind]
                for record in stage.records
                if kind in record.paths and stage.may(name, record, kind)
            }
            assert shown <= allowed, (name, path)


@pytest.mark.wide
def test_no_channel_tells_an_author_who_reported(api: Api, make: Factory, stage: Stage) -> None:
    """Every address of the site's host without a parameter, and everything that came of the things, as their authors
    read it.
    """
    # The list of people shows everybody; what must not be told is that one of them reported.
    whole = [
        url
        for url, handler in routes.SITE.items()
        if "<" not in url and "GET" in handler.operations
    ]
    # Who takes part in a huddle with the author is shown there, and in updates about it.
    people = {"/api/v1/profiles", "/api/v1/users", "/api/v1/huddles", "/api/v1/updates"}
    people |= {"/api/v1/watchers"}
    for record in stage.records:
        by = record.author
        for path in [*whole, record.thing.path, *record.paths.values()]:
            if path.startswith(("/api/v1/live", "/oauth", "/auth", "/live")):
                continue
            answer = api.request("GET", path, by=by, site=stage.site)
            secrets = [TOLD, NOTED, INNER]
            if path not in people:
                secrets.append(REPORTER)
            if path == record.thing.path and record.thing.type == itemtypes.PROFILE:
                secrets.remove(REPORTER)
            for secret in secrets:
                if secret == REPORTER and "/cases" in path:
                    # An author who moderates reads of others' things who reported those.
                    continue
                assert secret.encode() not in answer.body or _is_others(stage, by, path), (
                    path,
                    secret,
                )
    mails = make.sql(
        "SELECT count(*) FROM mail_outbox WHERE text_body LIKE '%%' || %(t)s || '%%'", t=TOLD
    )
    assert mails == [(0,)]


def _is_others(stage: Stage, by: Person, path: str) -> bool:
    """Return if a list is of what others wrote, which a moderator may see although others' things were reported."""
    name = next(name for name, one in stage.people.items() if one is by)
    return path in ("/api/v1/actions", "/api/v1/cases") and name in stage.moderates
