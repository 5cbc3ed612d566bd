"""Search against the oracle, on random sites: hits and counts, by words and by filters, for everybody and guests."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.models.access import identity
from forumapi.models.access.identity import Identity
from forumapi.models.discovery import latest_items, search
from forumapi.models.discovery.search import Viewer
from forumapi.models.discovery.search_query import ParsedSearch
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.pages.page_cache import PageCache
from forumapi.permissions.evaluator import Tree
from forumapi.wire.paging import Paging
from tests.factories import Factory
from tests.oracle import compare, draw, store
from tests.oracle.listed import listed
from tests.oracle.may import is_site_banned
from tests.oracle.world import COMMENT, HUDDLE, ITEMS, MICROCOSM, PROFILE, Asked, World

SEED = 71
WORLDS = 12
LEAST = 30
WHOLE = Paging(250, 0)

# What store.py calls things.
WORDS = {MICROCOSM: "microcosm", COMMENT: "comment", HUDDLE: "item", **dict.fromkeys(ITEMS, "item")}


def things(world: World) -> list[Asked]:
    """All that search could find."""
    return [
        *(Asked(kind, id) for kind, id in world.items),
        *(Asked(MICROCOSM, id) for id in world.microcosms),
        *(Asked(HUDDLE, id) for id in world.huddles),
        *(Asked(COMMENT, id) for id in world.comments),
        *(Asked(PROFILE, id) for id in world.profiles),
    ]


def viewer(reader: Reader, site: Tree, world: World, profile_id: int, number: int) -> Viewer:
    """The caller with what they ignore, as a request under a token of theirs has them."""
    who = Identity()
    if profile_id:
        asked = identity.IdentityQuery(identity.IDENTITY)
        who = identity.find(reader, world.site_id, store.token(profile_id, number), asked)
    return search.viewer(
        world.site_id,
        profile_id,
        site,
        site.view(who.principal),
        who.ignored_microcosms,
        who.ignored_items,
        who.ignored_profiles,
        who.kinds,
    )


@pytest.fixture(scope="module")
def worlds(database_url: str, make: Factory) -> list[World]:
    """Sites whose texts the triggers have indexed."""
    random = Random(SEED)
    ids, now = draw.Ids(), compare.clock(make.database)
    made = [draw.world(random, ids, now) for _ in range(WORLDS)]
    store.save(database_url, made)
    store.settle(make.database, made)
    return made


def questions() -> list[tuple[ParsedSearch, frozenset[int]]]:
    """Searches, and the types that each is about."""
    texts = frozenset(WORDS)
    found: list[tuple[ParsedSearch, frozenset[int]]] = [
        (ParsedSearch(text="item OR comment OR microcosm"), texts),
        (ParsedSearch(text="item OR comment OR microcosm", sort="date"), texts),
        (ParsedSearch(text="item OR microcosm", in_title=True), texts - {COMMENT}),
    ]
    for kind in (*texts, PROFILE):
        by_type = ParsedSearch(types=[itemtypes.name_of(kind)])
        found.append((by_type, frozenset({kind})))
        if kind in WORDS:
            words = ParsedSearch(text=WORDS[kind], types=[itemtypes.name_of(kind)])
            found.append((words, frozenset({kind})))
    names = ["conversation", "event", "poll", "comment"]
    in_items = frozenset((*ITEMS, COMMENT))
    found.append((ParsedSearch(types=names), in_items))
    found.append((ParsedSearch(text="item OR comment", types=names), in_items))
    return found


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.wide)])
def test_everybody_finds_exactly_what_they_may_see(
    make: Factory, worlds: list[World], every: int
) -> None:
    seen: Counter[tuple[int, bool]] = Counter()
    reader = make.database.read()
    pages = PageCache(1024 * 1024)
    differences = []
    for world in worlds:
        site = load_tree(reader, world.site_id, 1)
        for place, profile_id in enumerate((0, *world.profiles)):
            if is_site_banned(world, profile_id):
                continue
            number = place % 3 if profile_id else 0
            scopes = world.profiles[profile_id].tokens[number] if profile_id else None
            who = viewer(reader, site, world, profile_id, number)
            shown = {
                one
                for one in things(world)
                if listed(world, profile_id, one, "search", scopes=scopes)
            }
            seen.update((one.type, one in shown) for one in things(world))
            for query, kinds in questions()[::every]:
                expected = {(one.type, one.id) for one in shown if one.type in kinds}
                if len(kinds) > 1 and COMMENT in kinds and query.types:
                    # Comments on things of the types that are named.
                    expected = {
                        (kind, id)
                        for kind, id in expected
                        if kind != COMMENT or world.comments[id].parent_type in ITEMS
                    }
                latest = latest_items.find(pages, reader, who, query, WHOLE)
                found = latest or search.find(reader, who, query, WHOLE, limit_ms=10_000)
                got = [(hit.item_type, hit.id) for hit in found.hits]
                if set(got) != expected or found.total != len(got) or len(set(got)) != len(got):
                    differences.append((world.site_id, profile_id, query, set(got) ^ expected))
    reader.end()

    assert differences[:5] == []
    assert all(
        seen[kind, is_shown] > LEAST for kind in (*WORDS, PROFILE) for is_shown in (True, False)
    )
