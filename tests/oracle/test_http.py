"""Every read, write, list, count and search over HTTP, on random sites, against the oracle.

A thousand cases in `make test`, ten thousand in `make test-wide`, a hundred thousand in `make fuzz-permissions`,
which prints how often each answer came.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from random import Random
from typing import Any

import pytest

from tests.factories import Factory
from tests.fixtures import PLATFORM_DOMAIN, Server
from tests.oracle import compare, draw, over_http, store
from tests.oracle.listed import MIXED

SEED = 1335
CASES = int(os.environ.get("ORACLE_CASES", "10000"))
A_WORLD = 125
# Worlds that are stored at a time.
A_BATCH = 20

# The answers that each kind of case is to have met, and the lists that were not empty.
ANSWERS = {
    "permission": (200, 403),
    "get": (200, 403, 404),
    "put": (302, 403, 404),
    "delete": (200, 403, 404),
    "patch": (200, 403, 404),
    "post_comment": (302, 403, 404),
    "post_item": (302, 403, 404),
    "post_microcosm": (302, 400, 403),
    "list_huddles": (200, 403),
    "microcosm": (200, 403, 404),
    "comments": (200, 403, 404),
    **dict.fromkeys(("conversations", "events", "polls"), (200, 403)),
    **dict.fromkeys(("tree", "huddles", "profiles", "search"), (200, 403)),
    **dict.fromkeys(MIXED, (200, 403)),
}
LISTED = [kind for kind in ANSWERS if kind in over_http.WHOLE or kind in ("microcosm", "comments")]
# Of ten thousand cases.
LEAST = 1


def play(
    url: str, make: Factory, server: Server, seed: int, cases: int
) -> tuple[list[str], Counter[Any]]:
    """(differences in words, how often each kind of case had which answer) of so many cases."""
    random, ids = Random(seed), draw.Ids()
    seen: Counter[Any] = Counter()
    said: list[str] = []
    client = over_http.Client(server.address, PLATFORM_DOMAIN)
    dealt = over_http.deal(cases, A_WORLD)
    for begin in range(0, len(dealt), A_BATCH):
        many = dealt[begin : begin + A_BATCH]
        now = compare.clock(make.database)
        worlds = [draw.world(random, ids, now) for _ in many]
        store.save(url, worlds)
        store.settle(make.database, worlds)
        over_http.follow_all(url, worlds)
        for place, (world, asked) in enumerate(zip(worlds, many, strict=True)):
            foreign = worlds[place - 1] if len(worlds) > 1 else draw.world(random, ids, now)
            played = over_http.Play(random, world, foreign, client, seen)
            found = played.cases(asked)
            seen["played"] += played.number
            if found is not None:
                said.append(f"{world.site_id}, case {played.number}: {found} {played.about()}")
    client.close()
    return said, seen


def test_a_thousand_cases_are_answered_as_the_oracle_says(
    database_url: str, make: Factory, server: Server
) -> None:
    said, seen = play(database_url, make, server, SEED, 1_000)

    assert "\n".join(said[:5]) == ""
    assert seen["played"] == 1_000


@pytest.mark.wide
@pytest.mark.slow
def test_many_more_cases_are_answered_as_the_oracle_says(
    database_url: str, make: Factory, server: Server
) -> None:
    said, seen = play(database_url, make, server, SEED + 1, CASES)

    assert "\n".join(said[:5]) == ""
    assert seen["played"] == CASES
    for kind, answers in ANSWERS.items():
        counts = {answer: seen[kind, answer] for answer in answers}
        shown = f"{seen[kind, 'shown']:7} shown" if kind in LISTED else ""
        told = " ".join(f"{many:6} x {answer}" for answer, many in counts.items())
        sys.stdout.write(f"{kind:16}{told} {shown}\n")
        assert min(counts.values()) >= LEAST * CASES // 10_000, (kind, counts)
        assert kind not in LISTED or seen[kind, "shown"] >= LEAST * CASES // 10_000, kind
