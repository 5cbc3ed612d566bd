"""Drawing cases, and holding an evaluator against the oracle on each."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from types import ModuleType
from typing import NamedTuple

from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Principal, Target, Tree
from tests.oracle import draw, limits, store
from tests.oracle.may import GRANTS, rights, row_of
from tests.oracle.world import Asked, World

PER_WORLD = 420
NOW = Query("test.oracle_now", "SELECT now()")


def clock(database: Database) -> datetime.datetime:
    """The database's time, by which criteria count days."""
    with database.write() as tx:
        found: datetime.datetime = tx.value(NOW)
    return found


class Case(NamedTuple):
    """A question, what the engine was given for it, and what the oracle says."""

    world: World
    profile_id: int
    asked: Asked
    row: str
    principal: Principal
    target: Target
    expected: frozenset[str]


@dataclass
class Drawn:
    """Cases of many worlds, with each world's tree, and how often each cell of the table was true and false."""

    cases: list[Case] = field(default_factory=list)
    trees: dict[int, Tree] = field(default_factory=dict)
    counts: Counter[tuple[str, str, bool]] = field(default_factory=Counter)


def drawn(url: str, database: Database, seed: int, worlds: int, ids: draw.Ids) -> Drawn:
    """PER_WORLD cases of each of so many worlds, which are stored in the database and read back by the engine."""
    random = Random(seed)
    now = clock(database)
    made = [draw.world(random, ids, now) for _ in range(worlds)]
    store.save(url, made, skip_triggers=True)
    store.settle(database, made)
    found = Drawn()
    rows = itertools.cycle(draw.ROWS)
    for world in made:
        loader = store.Loader(database, world)
        found.trees[world.site_id] = loader.tree
        foreign = made[made.index(world) - 1]
        for row in itertools.islice(rows, PER_WORLD):
            profile_id, asked = draw.question(random, world, row, foreign)
            person = world.profiles.get(profile_id)
            number = random.randrange(len(person.tokens)) if person and random.random() < 0.5 else 0
            shown = limits.under(world, profile_id, person.tokens[number] if person else None)
            expected = frozenset(rights(shown, profile_id, asked))
            case = Case(
                world,
                profile_id,
                asked,
                row_of(shown, profile_id, asked),
                loader.principal(profile_id, number),
                loader.target(profile_id, number, asked),
                expected,
            )
            found.cases.append(case)
            for right in GRANTS:
                found.counts[case.row, right, right in expected] += 1
        loader.reader.end()
    return found


def answer(module: ModuleType, case: Case, tree: Tree) -> frozenset[str]:
    """Return what an evaluator says: the engine's own, or a changed copy of it."""
    can = module.effective(
        case.principal,
        case.target,
        tree,
        members_create_microcosms=case.world.everyone_creates_microcosms,
    )
    return frozenset(name for name, flag in evaluator.NAMES if can & flag)


def differences(module: ModuleType, found: Drawn, *, limit: int = 5, every: int = 1) -> list[str]:
    """The first cases, of every so manieth, in which an evaluator and the oracle disagree, in words."""
    trees: dict[int, Tree] = {}
    said = []
    for case in found.cases[::every]:
        site_id = case.world.site_id
        if site_id not in trees:
            trees[site_id] = _copied(module, found.trees[site_id])
        got = answer(module, case, trees[site_id])
        if got != case.expected:
            said.append(
                f"{case.row}: {case.asked} by {case.profile_id} of {case.world.site_id}:"
                f" more than the oracle {sorted(got - case.expected)},"
                f" less {sorted(case.expected - got)}; {case.principal} {case.target}"
            )
            if len(said) == limit:
                break
    return said


def _copied(module: ModuleType, tree: Tree) -> Tree:
    """The tree as `module` makes it of the same rows."""
    nodes = [
        module.Node(
            n.id,
            n.parent_id,
            n.title,
            n.logo_url,
            n.item_types,
            n.sequence,
            n.is_sticky,
            n.is_open,
            n.is_deleted,
            n.is_moderated,
            n.created_by,
            n.owned_by,
            n.version,
        )
        for n in tree.nodes.values()
    ]
    roles = [module.RoleGrant._make(role) for at in tree.roles.values() for role in at]
    return module.Tree(tree.acl_version, nodes, roles)  # type: ignore[no-any-return]
