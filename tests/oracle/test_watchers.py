"""Tests of what one follows, against the oracle, on random sites: all follow everything, and are shown what they may
read."""

from __future__ import annotations

from collections import Counter
from random import Random

import psycopg
import pytest

from forumapi.models.access import identity
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.notifications.watcher_page import WatcherPage
from forumapi.wire.paging import Paging
from tests.factories import Factory
from tests.oracle import compare, draw, store
from tests.oracle.listed import listed
from tests.oracle.may import is_site_banned
from tests.oracle.world import HUDDLE, ITEMS, MICROCOSM, PROFILE, Asked, World

SEED = 83
WORLDS = 8
LEAST = 20
WHOLE = Paging(250, 0)


def things(world: World) -> list[Asked]:
    """All that can be followed."""
    return [
        *(Asked(kind, id) for kind, id in world.items if kind in ITEMS),
        *(Asked(MICROCOSM, id) for id in world.microcosms),
        *(Asked(HUDDLE, id) for id in world.huddles),
        *(Asked(PROFILE, id) for id in world.profiles),
    ]


@pytest.fixture(scope="module")
def worlds(database_url: str, make: Factory) -> list[World]:
    """Sites on which everybody follows everything that ever was there."""
    random = Random(SEED)
    ids, now = draw.Ids(), compare.clock(make.database)
    made = [draw.world(random, ids, now) for _ in range(WORLDS)]
    store.save(database_url, made)
    store.settle(make.database, made)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for world in made:
            every = things(world)
            connection.execute("DELETE FROM watchers WHERE site_id = %s", [world.site_id])
            connection.execute(
                """INSERT INTO watchers (site_id, profile_id, item_type_id, item_id)
                   SELECT %s, p.id, t.kind, t.id
                     FROM unnest(%s::bigint[]) AS p (id), unnest(%s::smallint[], %s::bigint[]) AS t (kind, id)""",
                [
                    world.site_id,
                    list(world.profiles),
                    [one.type for one in every],
                    [one.id for one in every],
                ],
            )
    return made


@pytest.mark.wide
def test_everybody_is_shown_what_they_may_read_and_nothing_else(
    make: Factory, worlds: list[World]
) -> None:
    seen: Counter[tuple[int, bool]] = Counter()
    differences = []
    reader = make.database.read()
    for world in worlds:
        site = load_tree(reader, world.site_id, 1)
        for place, (profile_id, person) in enumerate(world.profiles.items()):
            if is_site_banned(world, profile_id):
                continue
            asked, number = identity.IdentityQuery(identity.IDENTITY), place % 3
            who = identity.find(reader, world.site_id, store.token(profile_id, number), asked)
            expected = {
                one
                for one in things(world)
                if listed(world, profile_id, one, "watchers", scopes=person.tokens[number])
            }
            seen.update((one.type, one in expected) for one in things(world))
            found = WatcherPage.read(
                reader,
                world.site_id,
                profile_id,
                site,
                site.view(who.principal),
                who.ignored_microcosms,
                who.ignored_items,
                who.ignored_profiles,
                WHOLE,
                kinds=who.kinds,
            )
            got = [(one.item_type, one.item_id) for one in found.entries]
            wanted = {(one.type, one.id) for one in expected}
            if set(got) != wanted or found.total != len(got) or len(set(got)) != len(got):
                differences.append((world.site_id, profile_id, set(got) ^ wanted))
    reader.end()

    assert differences[:5] == []
    kinds = (*ITEMS, MICROCOSM, HUDDLE)
    assert all(seen[kind, is_shown] > LEAST for kind in kinds for is_shown in (True, False))
    assert seen[PROFILE, True] > LEAST
