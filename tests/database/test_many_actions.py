"""Actions of a site with very many of them: those of a small part of it are found without looking at the others."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

import pytest

from forumapi.database.query import PLATFORM, Query
from forumapi.models.cases import action_page
from forumapi.models.cases.action_page import ShownAction
from tests.factories import Factory, Person, Site

# A million by hand, in half a minute; prints the times of pages:
# ACTIONS=1000000 .venv/bin/python -m pytest -s tests/database/test_many_actions.py
MANY: Final = int(os.environ.get("ACTIONS", "10000"))
IN_PLACE: Final = 20
LIMIT: Final = 25
# Twenty are in the one place, evenly spread. Of the newest some are planned, in that and another place, and in none.
MADE = """
    WITH made AS (
        INSERT INTO actions (site_id, kind, state, actor_id, ground, category, microcosm_ids, total)
        SELECT %(s)s, 'hide', CASE WHEN n %% (%(many)s::int / 100) = 1 THEN 'planned' ELSE 'done' END, %(actor)s,
               'terms', '', CASE WHEN n %% (%(many)s::int / 20) = 0 THEN ARRAY[%(place)s::bigint]
                                 WHEN n > %(many)s::int - 3 THEN ARRAY[%(place)s::bigint, %(root)s]
                                 WHEN n > %(many)s::int - 5 THEN '{}'
                                 ELSE ARRAY[%(root)s::bigint] END, 1
          FROM generate_series(%(first)s::int, %(first)s::int + %(count)s::int - 1) n
     RETURNING 1)
    SELECT count(*) FROM made"""
FETCHED = Query(
    "test.many_actions.fetched",
    """
    SELECT coalesce(sum(t.seq_tup_read + t.idx_tup_fetch), 0)::bigint
      FROM pg_stat_xact_user_tables t WHERE t.relname = 'actions'""",
    scope=PLATFORM,
)


class Many:
    """A site with many actions, and who reads them: the owner, and the keeper of one small place."""

    def __init__(self, make: Factory) -> None:
        self.make = make
        self.site: Site = make.site()
        self.place = make.microcosm(self.site).id
        self.keeper = make.person(self.site)
        ids = {"s": self.site.id, "place": self.place, "root": self.site.root_id}
        # In parts, each of which is quick enough on a machine that does other things.
        count = min(50_000, MANY)
        for first in range(1, MANY + 1, count):
            made = make.sql(
                MADE, many=MANY, first=first, count=count, actor=self.site.moderator.id, **ids
            )
            assert made == [(count,)]
        make.sql("ANALYZE actions")
        # Of the place's newest one the keeper wrote the thing.
        make.sql(
            """INSERT INTO action_changes (site_id, action_id, place, item_type_id, item_id, author_id, state)
               SELECT a.site_id, a.action_id, 1, 4, 1, %(p)s, 'done'
                 FROM actions a
                WHERE a.site_id = %(s)s AND a.microcosm_ids = ARRAY[%(place)s::bigint]
                ORDER BY a.action_id DESC LIMIT 1
               RETURNING 1""",
            p=self.keeper.id,
            s=self.site.id,
            place=self.place,
        )

    def moderated(self, by: Person) -> list[int]:
        return [self.place] if by is self.keeper else [0, self.site.root_id, self.place]

    def page(self, by: Person, before: int = 0) -> tuple[list[int], int, float]:
        """The ids of a page with one more, how many rows of the table it took, and milliseconds."""
        with self.make.database.write() as tx:
            fetched = tx.value(FETCHED)
            began = time.perf_counter()
            found = ShownAction.page(tx, self.site.id, by.id, self.moderated(by), before, LIMIT)
            took = (time.perf_counter() - began) * 1000
            return [one.id for one in found], tx.value(FETCHED) - fetched, took

    def expected(self, by: Person) -> list[int]:
        """The ids of all actions that somebody may see, from all rows one by one."""
        rows = self.make.sql(
            """SELECT a.action_id, a.microcosm_ids FROM actions a
                WHERE a.site_id = %(s)s AND a.state <> 'planned'
                  AND NOT EXISTS (SELECT FROM action_changes x
                                   WHERE x.action_id = a.action_id AND x.author_id = %(p)s)
                ORDER BY a.action_id DESC""",
            s=self.site.id,
            p=by.id,
        )
        moderated = set(self.moderated(by))
        return [id for id, places in rows if set(places) <= moderated]


@pytest.fixture(scope="module")
def many(make: Factory) -> Many:
    return Many(make)


def walk(many: Many, by: Person, most: int) -> list[int]:
    """The ids on up to so many pages."""
    seen, before = list[int](), 0
    for _ in range(most):
        found, _, _ = many.page(by, before)
        seen += found[:LIMIT]
        if len(found) <= LIMIT:
            break
        before = found[LIMIT - 1]
    return seen


@pytest.mark.parametrize("few", [action_page.FEW, 0], ids=["by_place", "by_site"])
def test_pages_show_each_action_once_by_place_and_by_site(
    many: Many, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_page, "FEW", few)
    assert walk(many, many.keeper, 100) == many.expected(many.keeper)
    assert walk(many, many.site.owner, 5) == many.expected(many.site.owner)[: 5 * LIMIT]


def test_a_page_looks_at_few_actions_of_other_places(many: Many) -> None:
    for by, most in ((many.keeper, IN_PLACE + 10), (many.site.owner, 4 * LIMIT)):
        for before in (0, many.expected(by)[IN_PLACE // 2]):
            found, fetched, _ = many.page(by, before)
            assert len(found) >= IN_PLACE // 2 - 1
            assert fetched <= most
    if "ACTIONS" in os.environ:
        for by, who in ((many.keeper, "keeper"), (many.site.owner, "owner")):
            took = sorted(many.page(by)[2] for _ in range(200))
            sys.stdout.write(f"{who}: median {took[100]:.2f}, p99 {took[197]:.2f} ms\n")
