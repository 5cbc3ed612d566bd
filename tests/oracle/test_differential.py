"""The evaluator against the oracle, on random sites that the engine itself has read from a database.

`make test` draws them all; without the slow tests it is a tenth.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from forumapi.permissions import evaluator
from tests.factories import Factory
from tests.oracle import compare, draw
from tests.oracle.may import GRANTS

SEED = 54
# Sites with compare.PER_WORLD questions each: 105,000, and 10,500.
ALL, TENTH = 250, 25
LEAST = 1000
# A wrong evaluator is found out by every so manieth question of the tenth: by 3,500 of them.
EVERY = 3

# Platform 5.4's table: the columns that differ between callers. What is "yes" is not asked to be no; "-" is never true.
CRUD = {"create", "read", "update", "delete"}
VARIES: dict[str, set[str]] = {
    "site": {"create", "update", "delete"},
    "microcosm": set(GRANTS),
    "profile": {"create", "update", "delete"},
    "comment in an item": set(GRANTS),
    "comment on a profile": {"create", "update", "delete"},
    "comment in a huddle": CRUD,
    "huddle": CRUD,
    "item": set(GRANTS),
    "attendee": set(GRANTS),
    "user": {"read", "update"},
    "update": {"read", "update", "delete"},
    "role": set(GRANTS),
    "watcher": CRUD,
    "others": set(),
}
YES = {("site", "read"), ("profile", "read"), ("comment on a profile", "read")}

# Ways to get the evaluator wrong: what is replaced in its text, and by what.
MUTATIONS = {
    "inherited regular roles stay on": (
        "                regular[id] = 0\n",
        "                regular[id] = regular[node.parent_id]\n",
    ),
    "special roles are not inherited": ("up = special[node.parent_id]", "up = 0"),
    "guests are users": (
        "return role.include_guests",
        "return role.include_guests or role.include_users",
    ),
    "people signed in are guests too": (
        "return role.include_users or",
        "return role.include_users or role.include_guests or",
    ),
    "a moderator role lets its members read": (
        "up |= role.rights | MODERATOR",
        "up |= role.rights | MODERATOR | READ",
    ),
    "authors are not banned": (
        "if rights & BANNED and not site_owner:",
        "if rights & BANNED and not site_owner and principal.profile_id not in target.owner_ids:",
    ),
    "a site ban leaves profiles readable": (
        "kind == itemtypes.PROFILE and target.item_id == principal.profile_id",
        "kind == itemtypes.PROFILE",
    ),
    "who made a microcosm loses it": (
        "microcosm_owner |= principal.profile_id in (node.owned_by, node.created_by)",
        "microcosm_owner |= principal.profile_id == node.owned_by",
    ),
    "the microcosm of the query counts everywhere": (
        "microcosm_id = 0 if kind in _NOWHERE else target.microcosm_id",
        "microcosm_id = target.microcosm_id",
    ),
    "participants change each other's comments": (
        "_TypeRights(owner=UPDATE | DELETE, participant=CREATE | READ)",
        "_TypeRights(participant=CRUD)",
    ),
    "the site's owner is in every huddle": (
        "itemtypes.HUDDLE: _TypeRights(participant=CRUD)",
        "itemtypes.HUDDLE: _TypeRights(participant=CRUD, site_owner=CRUD)",
    ),
    "authors delete what others answered": (
        "        if not target.others_wrote:\n",
        "        if True:\n",
    ),
    "the site's owner reads others' updates": (
        "_TypeRights(owner=READ | UPDATE | DELETE)",
        "_TypeRights(owner=READ | UPDATE | DELETE, site_owner=READ)",
    ),
    "a second factor is not missed": (
        "elif role.is_moderator and not is_limited and has(role):",
        "elif role.is_moderator and has(role):",
    ),
}


@pytest.fixture(scope="module")
def ids() -> draw.Ids:
    return draw.Ids()


@pytest.fixture(scope="module")
def tenth(database_url: str, make: Factory, ids: draw.Ids) -> compare.Drawn:
    return compare.drawn(database_url, make.database, SEED, TENTH, ids)


def test_ten_thousand_questions_are_answered_alike(tenth: compare.Drawn) -> None:
    assert len(tenth.cases) == TENTH * compare.PER_WORLD

    assert "\n".join(compare.differences(evaluator, tenth)) == ""


@pytest.mark.wide
@pytest.mark.slow
def test_a_hundred_thousand_questions_are_answered_alike(
    database_url: str, make: Factory, ids: draw.Ids
) -> None:
    drawn = compare.drawn(database_url, make.database, SEED + 1, ALL, ids)

    assert len(drawn.cases) >= 100_000
    assert "\n".join(compare.differences(evaluator, drawn)) == ""
    for row, varies in VARIES.items():
        for right in GRANTS:
            true, false = drawn.counts[row, right, True], drawn.counts[row, right, False]
            sys.stdout.write(f"{row:22} {right:12} {true:6} true {false:6} false\n")
            if right in varies:
                assert min(true, false) >= LEAST, (row, right)
            elif (row, right) in YES:
                assert true >= LEAST, (row, right)
            else:
                assert (true, false >= LEAST) == (0, True), (row, right)


@pytest.fixture(params=MUTATIONS)
def mutant(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The evaluator with one thing wrong in it: a copy in memory."""
    path = Path(str(evaluator.__file__))
    right, wrong = MUTATIONS[request.param]
    text = path.read_text()
    assert text.count(right) == 1, "the evaluator reads otherwise now: change what is replaced"
    module = ModuleType("mutant")
    # Its dataclass looks its module up by name.
    sys.modules["mutant"] = module
    exec(compile(text.replace(right, wrong), str(path), "exec"), module.__dict__)
    yield module
    del sys.modules["mutant"]


def test_a_wrong_evaluator_is_found_out(mutant: ModuleType, tenth: compare.Drawn) -> None:
    assert compare.differences(mutant, tenth, limit=1, every=EVERY)
