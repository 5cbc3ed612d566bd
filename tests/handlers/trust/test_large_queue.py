"""Queue of a site with 100,000 cases, of which 10,000 are open: pages come from the index, first and last alike."""

from __future__ import annotations

import time

import pytest

from tests.api import Api
from tests.factories import Factory, Person

# Open cases stand in the root, every hundredth in the one microcosm that the keeper moderates.
CASES = """
    WITH made AS (
        INSERT INTO cases (site_id, item_type_id, item_id, microcosm_id, author_id, state, priority, reports, opened,
                           due, decided, outcome)
        SELECT %(s)s, 4, 1000000 + n, CASE WHEN n %% 100 = 0 THEN %(place)s ELSE %(root)s END::bigint, %(author)s,
               CASE WHEN n %% 10 = 0 THEN 'open' ELSE 'decided' END, n %% 3, 1, now() - n * interval '1 second',
               now(), CASE WHEN n %% 10 = 0 THEN NULL ELSE now() END,
               CASE WHEN n %% 10 = 0 THEN '' ELSE 'acted' END
          FROM generate_series(%(first)s::int, %(first)s::int + 9999) n
     RETURNING 1)
    SELECT count(*) FROM made"""


@pytest.mark.wide
def test_a_page_of_a_large_queue_is_read_from_the_index(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    keeper = make.person(site)
    make.join(make.role(site, place.id, "Keep", moderator=True, rights=("read", "update")), keeper)
    # In parts, each of which is quick enough on a machine that does other things.
    for first in range(1, 100_001, 10_000):
        made = make.sql(
            CASES, s=site.id, place=place.id, root=site.root_id, author=site.member.id, first=first
        )
        assert made == [(10_000,)]

    def took(by: Person, path: str) -> tuple[float, int, str]:
        """The seconds of the fastest of several tries, how many cases there are, and the link to the next page."""
        best = 9.0
        for _ in range(7):
            began = time.perf_counter()
            answer = api.get(path, by=by)
            best = min(best, time.perf_counter() - began)
        page = answer.data["cases"]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        return best, len(page["items"]), following[0] if following else ""

    figures = []
    for by, query in (
        (site.owner, ""),
        (keeper, ""),
        (site.owner, "priority=normal"),
        (site.owner, "state=decided"),
        (site.owner, "mine=true"),
        (site.owner, "after=2-1000000000000000-1"),
    ):
        seconds, count, _ = took(by, f"/api/v1/cases?{query}")
        assert count == (0 if "mine" in query else 25), query
        figures.append(f"{by.name} {query or 'all'}: {count} cases, {seconds * 1000:.1f} ms")
    # A walk through what the keeper sees meets each case once.
    path, seen = "/api/v1/cases?limit=250", 0
    while path:
        _, count, path = took(keeper, path)
        seen += count
    # The open ones of every hundredth of all: n is a multiple of 100.
    assert seen == 1_000, figures
