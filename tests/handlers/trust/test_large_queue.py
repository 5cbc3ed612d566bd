"""Queue of a site with 100,000 cases, of which 1,000 are open: a page costs little, whatever is asked for."""

from __future__ import annotations

import functools
import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from forumapi import itemtypes
from forumapi.database.query import PLATFORM, Query
from forumapi.models.cases import case_page
from forumapi.models.cases.case_page import CaseFilters, QueueCursor, QueuePage
from tests.api import Api
from tests.factories import Factory, Person

# A million by hand, of which 10,000 are open, in some minutes; prints the times of each filter:
# FORUMAPI_CASES=1000000 .venv/bin/python -m pytest -s tests/handlers/trust/test_large_queue.py
MANY: Final = int(os.environ.get("FORUMAPI_CASES", "100000"))
# Requests for each filter, where times are printed.
TIMES: Final = 100

# Every hundredth case is open. Two of every thousand are in the one microcosm that the keeper moderates; few are urgent
# or held, and of the oldest alone some are about profiles and some assigned to the owner.
CASES = """
    WITH made AS (
        INSERT INTO cases (site_id, item_type_id, item_id, microcosm_id, author_id, state, priority, reports, opened,
                           due, decided, decided_by, outcome, is_held, assigned_to)
        SELECT %(s)s, CASE WHEN n < 100 THEN 3 WHEN n %% 7 = 0 THEN 6 ELSE 4 END, 1000000 + n,
               CASE WHEN n %% 1000 < 2 THEN %(place)s ELSE %(root)s END::bigint, %(author)s,
               CASE WHEN n %% 100 = 0 THEN 'open' ELSE 'decided' END,
               CASE WHEN n %% 5000 < 2 THEN 0 WHEN n %% 50 < 2 THEN 1 ELSE 2 END,
               CASE WHEN n %% 3000 < 2 THEN 0 ELSE 1 END, now() - (%(many)s::int - n) * interval '30 seconds',
               now() - (%(many)s::int - n) * interval '30 seconds' + interval '7 days',
               CASE WHEN n %% 100 = 0 THEN NULL ELSE now() END,
               CASE WHEN n %% 100 = 0 THEN NULL ELSE %(owner)s END::bigint,
               CASE WHEN n %% 100 = 0 THEN '' ELSE 'acted' END, n %% 3000 < 2,
               CASE WHEN n < 202 THEN %(owner)s::bigint END
          FROM generate_series(%(first)s::int, %(first)s::int + %(count)s::int - 1) n
     RETURNING 1)
    SELECT count(*) FROM made"""
FETCHED = Query(
    "test.large_queue.fetched",
    """
    SELECT coalesce(sum(t.seq_tup_read + t.idx_tup_fetch), 0)::bigint
      FROM pg_stat_xact_user_tables t WHERE t.relname = 'cases'""",
    scope=PLATFORM,
)
FILTERS: Final[dict[str, tuple[object, ...]]] = {
    "priority": (None, 0, 1, 2),
    "item_type": (0, itemtypes.COMMENT, itemtypes.CONVERSATION, itemtypes.PROFILE, itemtypes.POLL),
    "microcosm_id": (0, -1),
    "mine": (False, True),
    "assigned": (False, True),
    "overdue": (False, True),
    "source": ("", *case_page.SOURCES),
}


class Queue:
    """A site with many cases, and who looks at them."""

    def __init__(self, make: Factory, many: int) -> None:
        self.make = make
        self.site = make.site()
        self.place = make.microcosm(self.site)
        self.keeper = make.person(self.site)
        rights = ("read", "update")
        role = make.role(self.site, self.place.id, "Keep", moderator=True, rights=rights)
        make.join(role, self.keeper)
        # In parts, each of which is quick enough on a machine that does other things.
        count = min(10_000, many)
        for first in range(1, many + 1, count):
            made = make.sql(
                CASES,
                s=self.site.id,
                place=self.place.id,
                root=self.site.root_id,
                author=self.site.member.id,
                owner=self.site.owner.id,
                many=many,
                first=first,
                count=count,
            )
            assert made == [(count,)]

    @property
    def people(self) -> tuple[Person, Person]:
        """The moderator of everything, and that of the one microcosm."""
        return self.site.owner, self.keeper

    def filters(self, most: int) -> Iterator[CaseFilters]:
        """All sets of up to so many filters, for open and for decided cases."""
        for values in itertools.product(*FILTERS.values()):
            given = dict(zip(FILTERS, values, strict=True))
            if sum(given[name] != FILTERS[name][0] for name in given) <= most:
                if given["microcosm_id"]:
                    given["microcosm_id"] = self.place.id
                for is_decided in (False, True):
                    yield CaseFilters(is_decided, **given)  # type: ignore[arg-type]

    def page(
        self, by: Person, filters: CaseFilters, after: QueueCursor | None, limit: int
    ) -> tuple[QueuePage, int]:
        """A page, and how many rows of the table it took."""
        moderated = [self.place.id] + ([] if by is self.keeper else [0, self.site.root_id])
        with self.make.database.write() as tx:
            before = tx.value(FETCHED)
            page = case_page.queue(
                tx, self.site.id, by.id, moderated, range(1, 20), filters, after, limit
            )
            return page, tx.value(FETCHED) - before

    @functools.cached_property
    def rows(self) -> list[tuple[Any, ...]]:
        """All cases."""
        return self.make.sql(
            """SELECT case_id, state = 'decided', priority, item_type_id, microcosm_id, assigned_to, due < now(),
                      reports > 0, is_held, opened
                 FROM cases WHERE site_id = %(s)s""",
            s=self.site.id,
        )

    def expected(self, by: Person, filters: CaseFilters) -> list[int]:
        """The ids of all cases that the pages have to show, from all rows one by one."""
        found = []
        for id, decided, priority, kind, place, assigned, overdue, *has_them, opened in self.rows:
            reported, held = has_them
            has = {"": True, "reports": reported, "hold": held, "appeal": False}
            if (
                decided == filters.is_decided
                and filters.priority in (None, priority)
                and filters.item_type in (0, kind)
                and filters.microcosm_id in (0, place)
                and (place == self.place.id or by is not self.keeper)
                and not filters.mine
                and (assigned == by.id or not filters.assigned)
                and (overdue or not filters.overdue)
                and has[filters.source]
            ):
                found.append(((-id,) if decided else (priority, opened, id), id))
        return [id for _, id in sorted(found)]


def test_pages_show_each_case_that_fits_once_whatever_is_asked_for(
    make: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_page, "LOOKED", 300)
    queue = Queue(make, 1_000)
    for by, filters in itertools.product(queue.people, queue.filters(1)):
        shown, pages = list[int](), 0
        after: QueueCursor | None = None
        while after is not None or not pages:
            page, _ = queue.page(by, filters, after, 100)
            shown += [one.id for one in page.cases]
            after, pages = page.after, pages + 1
        assert shown == queue.expected(by, filters), (by.name, filters)
        assert pages <= 20


@pytest.mark.wide
def test_no_page_of_a_large_queue_looks_at_many_cases(api: Api, make: Factory) -> None:
    queue = Queue(make, MANY)
    asked = itertools.product(queue.people, queue.filters(2))
    looked = max(
        ((queue.page(by, filters, None, 25)[1], by.name, filters) for by, filters in asked),
        key=lambda one: one[0],
    )
    sys.stdout.write(f"At most {looked[0]} rows, for {looked[1:]}\n")
    # Of decided ones some may be looked at twice: for what fits, and for where the page ended.
    assert looked[0] <= 2 * max(case_page.LOOKED, MANY // 100) + 2_000, looked

    # A walk through what the keeper sees meets each open case once.
    path, seen = "/api/v1/cases?limit=250", list[int]()
    while path:
        page = api.get(path, by=queue.keeper).data["cases"]
        seen += [one["id"] for one in page["items"]]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert seen == queue.expected(queue.keeper, CaseFilters())
    assert len(seen) == MANY // 1_000

    if "FORUMAPI_CASES" in os.environ:
        _print_times(api, queue)


def _print_times(api: Api, queue: Queue) -> None:
    """Print the times of requests for each filter, those of the slowest ones first."""
    api.checks_schema = False
    figures, every = [], list[float]()
    for by, filters in itertools.product(queue.people, queue.filters(1)):
        asked = {
            "state": "decided" if filters.is_decided else "",
            "priority": "" if filters.priority is None else case_page.PRIORITIES[filters.priority],
            "itemType": itemtypes.name_of(filters.item_type) if filters.item_type else "",
            "microcosmId": filters.microcosm_id or "",
            **{name: "true" for name in ("mine", "assigned", "overdue") if getattr(filters, name)},
            "source": filters.source,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        took = []
        for _ in range(TIMES):
            began = time.perf_counter()
            assert api.get(f"/api/v1/cases?{query}", by=by).status == 200
            took.append((time.perf_counter() - began) * 1000)
        every += took
        took.sort()
        who = "owner" if by is queue.site.owner else "keeper"
        figures.append((took[-1 - TIMES // 100], took[TIMES // 2], f"{who} {query or 'all'}"))
    for p99, median, what in sorted(figures, reverse=True):
        sys.stdout.write(f"{what}: median {median:.1f}, p99 {p99:.1f} ms\n")
    every.sort()
    p99 = every[len(every) * 99 // 100]
    sys.stdout.write(
        f"{len(every)} requests: median {every[len(every) // 2]:.1f}, p99 {p99:.1f} ms\n"
    )
