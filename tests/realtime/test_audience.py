"""Tests of who is told what, against the oracle: random sites, people, rights, states, events and topics.

`make test` draws them all; without the slow tests it is a tenth.
"""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from forumapi.database.connections import Database
from forumapi.events.event_log import LoggedEvent
from forumapi.models.access import identity
from forumapi.models.notifications import live_event_queries
from forumapi.models.notifications.live_event_queries import Fact, ThingKey
from forumapi.permissions.evaluator import Tree
from forumapi.realtime import delivery_permissions
from forumapi.realtime.live_clients import Follow, LiveClient
from forumapi.realtime.subscription_index import Index
from forumapi.realtime.topic_names import HUDDLES, SITE, UPDATES, Topic
from tests.factories import Factory
from tests.oracle import compare, draw, store
from tests.oracle import told as oracle
from tests.oracle.limits import Scopes
from tests.oracle.may import lineage
from tests.oracle.world import (
    ATTENDEE,
    ATTRIBUTE,
    COMMENT,
    EVENT,
    HUDDLE,
    MICROCOSM,
    PROFILE,
    ROLE,
    UPDATE,
    Asked,
    World,
)

SEED = 91
ALL, TENTH = 160, 16
KINDS = ("created", "replaced", "patched", "deleted")
NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)

# Ways to get delivery wrong: what is replaced in its text, and by what.
MUTATIONS = {
    "the site's owner hears of huddles": (
        "if principal.profile_id not in fact.insiders:",
        "if principal.profile_id not in fact.insiders and not principal.is_site_owner:",
    ),
    "what is hidden is told of as it is": (
        "return WHOLE if is_own and not (fact.is_deleted or is_gone_above) else GONE",
        "return WHOLE",
    ),
    "what is below something hidden is shown": (
        "fact.is_deleted or fact.is_moderated or fact.is_gone_above",
        "fact.is_deleted or fact.is_moderated",
    ),
    "what moved out of sight is not told": (
        "        seen = GONE\n",
        "        return NOTHING\n",
    ),
    "whoever could not read the old place is told": (
        "if policy.visibility(caller.principal, fact) != WHOLE:",
        "if False:",
    ),
    "every event of a hidden thing is told": (
        "(seen == GONE and event.kind not in _ENDS)",
        "False",
    ),
    "authors share an answer with those who only read": (
        "me = principal.profile_id if is_special",
        "me = 0 if is_special",
    ),
    "a token shows every kind of thing": (
        "    if not caller.has_scope(event.item_type, parent_type):\n        return NOTHING\n",
        "",
    ),
    "tokens of one person share an answer": ("            principal.sees_huddles,\n", ""),
    "people of other roles share an answer": ("            principal.role_ids,\n", ""),
    "the banned hear on": (
        "        if principal.is_site_banned:\n            return NOTHING\n",
        "",
    ),
    "nobody is ignored": (
        "return NOTHING if policy.is_ignored(caller, fact, topic) else seen",
        "return seen",
    ),
    "behind somebody who has the document nobody is told": (
        "                    continue\n                seen = ",
        "                    break\n                seen = ",
    ),
    "whoever follows the site hears of huddles": (
        "        return found + [Topic(own, profile_id) for profile_id in sorted(fact.insiders)]\n",
        "        found += [Topic(own, profile_id) for profile_id in sorted(fact.insiders)]\n",
    ),
}


class Told(NamedTuple):
    """A site's events with what the engine read for them, and what the oracle says that each client is told."""

    events: list[tuple[LoggedEvent, Asked]]
    facts: dict[ThingKey, Fact]
    tree: Tree
    followers: Index
    clients: dict[LiveClient, tuple[int, set[oracle.Topic], Scopes]]
    world: World


def _moved_from(random: Random, world: World, kind: str, asked: Asked) -> int:
    """The microcosm that a thing was moved out of, for half of those that were changed; never one below itself."""
    if kind != "replaced" or random.random() < 0.5:
        return 0
    if asked.type in (6, 7, EVENT):
        here = world.items[asked.type, asked.id].microcosm_id
        return random.choice([0, *(id for id in world.microcosms if id != here)])
    if asked.type == MICROCOSM:
        parent = world.microcosms[asked.id].parent_id
        others = [
            id for id in world.microcosms if id != parent and asked.id not in lineage(world, id)
        ]
        return random.choice([0, *others]) if parent is not None else 0
    return 0


def _event(world: World, number: int, kind: str, asked: Asked, moved_from: int = 0) -> LoggedEvent:
    """An event as models write it."""
    parent = (0, 0)
    item_id = asked.id
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        parent = comment.parent_type, comment.parent_id
    elif asked.type == ATTENDEE:
        parent = EVENT, world.attendees[asked.id].event_id
        item_id = world.attendees[asked.id].profile_id
    elif asked.type == ATTRIBUTE:
        parent = world.owned[ATTRIBUTE, asked.id].on
        item_id = parent[1]
    elif asked.type == ROLE:
        parent = MICROCOSM, world.roles[asked.id].microcosm_id
    return LoggedEvent(number, kind, asked.type, item_id, *parent, 0, 0, 1, False, NOW, moved_from)


def _things(world: World) -> list[Asked]:
    found = [Asked(1, world.site_id)]
    found += [Asked(MICROCOSM, id) for id in world.microcosms]
    found += [Asked(PROFILE, id) for id in world.profiles]
    found += [Asked(*key) for key in world.items]
    found += [Asked(HUDDLE, id) for id in world.huddles]
    found += [Asked(COMMENT, id) for id in world.comments]
    found += [Asked(ATTENDEE, id) for id in world.attendees]
    found += [Asked(ROLE, id) for id in world.roles]
    found += [Asked(*key) for key in world.owned if key[0] in (UPDATE, ATTRIBUTE)]
    return [one for one in found if one.type != ATTRIBUTE or _is_carried(world, one)]


def _is_carried(world: World, asked: Asked) -> bool:
    """Attributes hang on what is drawn; the oracle has rules for these."""
    return world.owned[ATTRIBUTE, asked.id].on[0] in (MICROCOSM, PROFILE, COMMENT, 6, 7, 9)


def _topics(random: Random, world: World, profile_id: int) -> dict[Topic, oracle.Topic]:
    """Return what somebody follows: the engine's name of each topic, and the oracle's."""
    things = [*[(MICROCOSM, id) for id in world.microcosms], *world.items]
    things += [(HUDDLE, id) for id in world.huddles] + [(PROFILE, id) for id in world.profiles]
    chosen: dict[Topic, oracle.Topic] = {Topic(*thing): thing for thing in random.sample(things, 4)}
    if random.random() < 0.6:
        chosen[Topic(SITE, 0)] = oracle.SITE_TOPIC
    if profile_id and random.random() < 0.7:
        chosen[Topic(HUDDLES, profile_id)] = oracle.HUDDLES_TOPIC
    if profile_id and random.random() < 0.7:
        chosen[Topic(UPDATES, profile_id)] = oracle.UPDATES_TOPIC
    return chosen


def drawn(url: str, database: Database, seed: int, worlds: int) -> list[Told]:
    """Random sites as the engine has read them back from a database."""
    random = Random(seed)
    ids = draw.Ids()
    made = [draw.world(random, ids, compare.clock(database)) for _ in range(worlds)]
    store.save(url, made, skip_triggers=True)
    store.settle(database, made)
    found = []
    for world in made:
        loader = store.Loader(database, world)
        events: list[tuple[LoggedEvent, Asked]] = []
        for thing in _things(world):
            for kind in random.sample(KINDS, 2):
                moved_from = _moved_from(random, world, kind, thing)
                events.append((_event(world, len(events) + 1, kind, thing, moved_from), thing))
        named = {
            named
            for event, _ in events
            if (named := delivery_permissions.subject(event)) is not None
        }
        facts = live_event_queries.facts(loader.reader, world.site_id, loader.tree, named)
        index = Index()
        clients: dict[LiveClient, tuple[int, set[oracle.Topic], Scopes]] = {}
        connection: Any = None
        nowhere: Any = None
        # Some listen under two tokens, and every second one wants documents.
        for profile_id in (0, *world.profiles, *random.sample(list(world.profiles), 2)):
            person = world.profiles.get(profile_id)
            number = random.choice((0, 0, 1, 2))
            caller = delivery_permissions.Caller(
                identity.find(
                    loader.reader,
                    world.site_id,
                    store.token(profile_id, number),
                    identity.IdentityQuery(identity.IDENTITY),
                )
                if profile_id
                else identity.GUEST
            )
            client = LiveClient(nowhere, caller, connection)
            topics = _topics(random, world, profile_id)
            for topic in topics:
                index.add(client, Follow(topic, wants_documents=len(clients) % 2 == 0))
            scopes = person.tokens[number] if person else None
            clients[client] = (profile_id, set(topics.values()), scopes)
        loader.reader.end()
        found.append(Told(events, facts, loader.tree, index, clients, world))
    return found


def differences(module: ModuleType, sites: list[Told], counts: Counter[int]) -> list[str]:
    """Return where delivery and the oracle differ, in words; at most five."""
    said: list[str] = []
    for site in sites:
        got: dict[tuple[int, LiveClient], int] = {}
        events = [event for event, _ in site.events]
        for one in module.deliveries(events, site.facts, site.followers, site.tree):
            for client, _ in one.clients:
                key = (one.event.number, client)
                assert key not in got, "told twice"
                got[key] = oracle.GONE if one.is_gone else oracle.WHOLE
        for event, thing in site.events:
            for client, (profile_id, topics, scopes) in site.clients.items():
                expected = oracle.told(
                    site.world, profile_id, event.kind, thing, topics, event.moved_from, scopes
                )
                counts[expected] += 1
                told = got.get((event.number, client), oracle.NOTHING)
                if told != expected and len(said) < 5:
                    said.append(
                        f"{event.kind} {thing} to {profile_id} of {site.world.site_id}, {topics}, {scopes}:"
                        f" {told}, the oracle says {expected}"
                    )
    return said


@pytest.fixture(scope="module")
def tenth(database_url: str, make: Factory) -> list[Told]:
    return drawn(database_url, make.database, SEED, TENTH)


def test_ten_thousand_listeners_are_told_what_the_oracle_says(tenth: list[Told]) -> None:
    counts: Counter[int] = Counter()

    assert "\n".join(differences(delivery_permissions, tenth, counts)) == ""
    assert counts.total() >= 10_000
    assert min(counts.values()) > 100


@pytest.mark.slow
@pytest.mark.wide
def test_a_hundred_thousand_listeners_are_told_what_the_oracle_says(
    database_url: str, make: Factory
) -> None:
    counts: Counter[int] = Counter()
    sites = drawn(database_url, make.database, SEED + 1, ALL)

    assert "\n".join(differences(delivery_permissions, sites, counts)) == ""
    sys.stdout.write(f"told {counts[2]}, told that it is gone {counts[1]}, not told {counts[0]}\n")
    assert counts.total() >= 100_000


@pytest.fixture(params=MUTATIONS)
def mutant(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Delivery with one thing wrong in it: a copy in memory."""
    path = Path(str(delivery_permissions.__file__))
    right, wrong = MUTATIONS[request.param]
    text = path.read_text()
    assert text.count(right) == 1, "delivery reads otherwise now: change what is replaced"
    module = ModuleType("mutant_audience")
    sys.modules["mutant_audience"] = module
    exec(compile(text.replace(right, wrong), str(path), "exec"), module.__dict__)
    yield module
    del sys.modules["mutant_audience"]


def test_wrong_delivery_is_found_out(mutant: ModuleType, tenth: list[Told]) -> None:
    # The first site with a difference is enough.
    assert any(differences(mutant, [site], Counter()) for site in tenth)
