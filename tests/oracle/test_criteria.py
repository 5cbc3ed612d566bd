"""Criteria, evaluated over sets in SQL, against the oracle's evaluation of one profile at a time."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from forumapi.database.query import Query
from forumapi.models.roles import role_members_page, role_recomputation
from forumapi.wire.paging import Paging
from tests.factories import Factory
from tests.oracle import compare, criteria, draw, store
from tests.oracle.world import World

SITES, PEOPLE, ROLES = 6, 40, 40

ROLE_SETS = "SELECT p.profile_id, p.role_ids FROM profiles p WHERE p.site_id = %(site_id)s"
FORGET = Query(
    "test.forget_role_sets", "UPDATE profiles SET role_ids = '{}' WHERE site_id = %(site_id)s"
)
ODD = Query(
    "test.odd_criterion",
    """
    INSERT INTO criteria (site_id, role_id, or_group, attr_key, predicate, value)
    VALUES (%(site_id)s, %(role_id)s, %(or_group)s, 'colour', 'ne', '{}')""",
)


@pytest.fixture(scope="module")
def crowds(database_url: str, make: Factory) -> list[World]:
    random = Random(53)
    ids = draw.Ids()
    now = compare.clock(make.database)
    worlds = [draw.crowd(random, ids, now, PEOPLE, ROLES) for _ in range(SITES)]
    store.save(database_url, worlds, skip_triggers=True)
    return worlds


def expected(world: World) -> dict[int, list[int]]:
    """The roles of each profile, without those that include everybody."""
    return {
        profile.id: [
            role.id
            for role in sorted(world.roles.values(), key=lambda role: role.id)
            if profile.id in role.profiles or criteria.matches(world, role.criteria, profile)
        ]
        for profile in world.profiles.values()
    }


def stored(make: Factory, world: World) -> dict[int, list[int]]:
    return {id: list(roles) for id, roles in make.sql(ROLE_SETS, site_id=world.site_id)}


@pytest.mark.wide
def test_the_draws_reach_every_column_and_predicate_with_both_answers(
    crowds: list[World],
) -> None:
    counts: Counter[tuple[str, str, bool]] = Counter()
    for world in crowds:
        for role in world.roles.values():
            for criterion in role.criteria:
                kind = criterion.column or type(criterion.value).__name__.replace("float", "int")
                for profile in world.profiles.values():
                    met = criteria.holds(world, criterion, profile)
                    counts[kind, criterion.predicate, met] += 1

    lacking = [
        (kind, predicate)
        for kind, predicate, _ in counts
        if not (counts[kind, predicate, True] and counts[kind, predicate, False])
    ]
    assert sum(counts.values()) > 20_000
    assert not lacking


def test_settling_profiles_finds_whom_the_oracle_finds(make: Factory, crowds: list[World]) -> None:
    store.settle(make.database, crowds)

    for world in crowds:
        assert stored(make, world) == expected(world)


@pytest.mark.wide
def test_settling_one_role_after_another_comes_to_the_same(
    make: Factory, crowds: list[World]
) -> None:
    for world in crowds:
        with make.database.write() as tx:
            tx.run(FORGET, site_id=world.site_id)
            role_recomputation.lock_roles(tx, world.site_id)
            for role_id in world.roles:
                role_recomputation.recompute_role(tx, world.site_id, role_id)

        assert stored(make, world) == expected(world)


def test_the_page_of_members_shows_whom_the_oracle_finds(
    make: Factory, crowds: list[World]
) -> None:
    world = crowds[0]
    members = expected(world)
    for role_id in world.roles:
        with make.database.write() as tx:
            page = role_members_page.page(
                tx, world.site_id, role_id, Paging(250, 0), everyone=False
            )
        inside = [id for id, roles in sorted(members.items()) if role_id in roles]
        assert (page.total, list(page.versions)) == (len(inside), inside)


def test_a_criterion_that_cannot_be_evaluated_lets_nobody_in_with_its_group(
    make: Factory, crowds: list[World]
) -> None:
    world = crowds[1]
    for role in world.roles.values():
        group = role.criteria[0].or_group
        with make.database.write() as tx:
            tx.run(ODD, site_id=world.site_id, role_id=role.id, or_group=group)
        role.criteria = [one for one in role.criteria if one.or_group != group]

    store.settle(make.database, [world])

    assert stored(make, world) == expected(world)
