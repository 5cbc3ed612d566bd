"""The list of people when there are many: pages deep in it, their cost, and that they follow names and comments."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from forumapi.models.people import profile_list
from tests import services
from tests.factories import Person, Site
from tests.fixtures import factory
from tests.handlers.people.test_profiles import names
from tests.stage import Stage, staged

MANY = 2_600


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("people")) as made:
        yield made


@pytest.fixture(scope="module")
def crowd(stage: Stage) -> Site:
    """A site with thousands of people, some of whom wrote something, and a placeholder."""
    site = stage.make.site()
    stage.sql(
        """WITH person AS (
               INSERT INTO users (email, canonical_email, person_key)
               SELECT e.address, e.address, e.address
                 FROM (SELECT format('%%s-%%s@crowd.example', %(s)s::bigint, n) AS address
                         FROM generate_series(1, %(many)s::int) n) e
            RETURNING user_id),
           made AS (
               INSERT INTO profiles (site_id, user_id, profile_name)
               SELECT %(s)s, user_id, CASE WHEN row_number() OVER () = 700 THEN 'deleted'
                                      ELSE substr(md5(user_id::text), 1, 12) END
                 FROM person
            RETURNING site_id, profile_id, profile_name)
           INSERT INTO profile_counters (site_id, profile_id, name_key, comment_count)
           SELECT site_id, profile_id, lower(profile_name), greatest(profile_id %% 7 - 3, 0) FROM made""",
        s=site.id,
        many=MANY,
    )
    stage.sql("ANALYZE profiles")
    stage.sql("ANALYZE profile_counters")
    return site


def expected(stage: Stage, site: Site, order: str = "") -> list[str]:
    """Every name of a site in its place."""
    return [
        row[0]
        for row in stage.sql(
            f"""SELECT p.profile_name FROM profiles p
                  JOIN profile_counters n USING (site_id, profile_id)
                 WHERE p.site_id = %(s)s AND p.profile_name <> 'deleted'
                 ORDER BY {order} lower(p.profile_name) COLLATE "C" """,
            s=site.id,
        )
    ]


@pytest.mark.wide
def test_any_page_holds_what_stands_there(stage: Stage, crowd: Site) -> None:
    everybody = expected(stage, crowd)
    for query, order in (
        ("", everybody),
        ("top=true&", expected(stage, crowd, "comment_count DESC,")),
    ):
        for offset in (0, 475, 500, 525, 1_000, 2_250, len(order) // 25 * 25):
            answer = stage.get(f"/profiles?{query}offset={offset}", site=crowd)
            assert names(answer) == order[offset : offset + 25], (query, offset)
            assert answer.data["profiles"]["total"] == len(order)
    answer = stage.get("/profiles?limit=250&offset=2500", site=crowd)
    assert names(answer) == everybody[2_500:2_750]
    for offset in (3_000, 1_000_000):
        assert stage.get(f"/profiles?offset={offset}", site=crowd).status == 400


@pytest.mark.wide
def test_whom_one_ignores_moves_the_pages_of_nobody_else(stage: Stage, crowd: Site) -> None:
    me = stage.make.person(crowd)
    everybody = expected(stage, crowd)
    rows = dict(
        stage.sql("SELECT profile_name, profile_id FROM profiles WHERE site_id = %(s)s", s=crowd.id)
    )
    for place in (3, 249, 250, 251, 777, 1_500, 2_400):
        name = everybody[place]
        stage.make.ignore(me, Person(crowd, rows[name], 0, name, "", ""))
    left = [
        name
        for place, name in enumerate(everybody)
        if place not in (3, 249, 250, 251, 777, 1_500, 2_400)
    ]
    for offset in (0, 500, 750, 1_475, 1_500, 2_250, 2_500):
        answer = stage.get(f"/profiles?offset={offset}", by=me)
        assert names(answer) == left[offset : offset + 25], offset
        assert answer.data["profiles"]["total"] == len(left)
    assert names(stage.get("/profiles?offset=1500", by=crowd.member)) == everybody[1_500:1_525]


def test_a_new_and_a_changed_name_move_deep_pages_at_once(stage: Stage, crowd: Site) -> None:
    def looks_right() -> None:
        everybody = expected(stage, crowd)
        for offset in (500, 1_250, 2_500):
            answer = stage.get(f"/profiles?offset={offset}", site=crowd)
            assert names(answer) == everybody[offset : offset + 25]
            assert answer.data["profiles"]["total"] == len(everybody)

    looks_right()
    for _ in range(3):
        stage.make.person(crowd, f"0000{random.randrange(10**9)}")
        looks_right()
    stage.put(f"/profiles/{crowd.newcomer.id}", {"profileName": "0aa"}, by=crowd.newcomer)
    looks_right()
    stage.put(f"/profiles/{crowd.newcomer.id}", {"profileName": "zzz"}, by=crowd.newcomer)
    looks_right()
    assert names(stage.get("/profiles?top=true&q=zzz", site=crowd)) == ["zzz"]


def test_a_page_costs_two_statements_wherever_it_is(stage: Stage, crowd: Site) -> None:
    for query in (
        "",
        "offset=500",
        "offset=2500",
        "top=1&offset=2500",
        "q=a",
        "online=1",
        "following=1",
    ):
        for by, most in ((crowd.member, 2), (None, 1)):
            stage.get(f"/profiles?{query}", by=by, site=crowd)
            answer = stage.get(f"/profiles?{query}", by=by, site=crowd)
            assert answer.statements == most, query


def explained(stage: Stage, name: str, **params: object) -> str:
    """The plan that a statement of the list ran by."""
    query = next(
        one for one in (*profile_list._PAGES.values(), profile_list.FROM_MARK) if one.name == name
    )
    return "\n".join(
        row[0]
        for row in stage.sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query.sql}", **params)
    )


def test_pages_are_read_in_the_order_of_an_index(stage: Stage, crowd: Site) -> None:
    everybody = expected(stage, crowd)
    given = {"site_id": crowd.id, "me": crowd.member.id, "ignored": [], "prefix": "", "limit": 25}
    deep = explained(
        stage, "profile_list.from_mark", offset=2_500, mark=everybody[2_500], start=2_500, **given
    )
    assert "profiles_name" in deep
    walked = max(
        int(rows) for rows in re.findall(r"profiles_name on profiles p.*?rows=(\d+)", deep)
    )
    assert walked <= 2 * profile_list.STEP + 50
    first = explained(stage, "profile_list.page", offset=0, **given)
    assert "profiles_name" in first
    top = explained(stage, "profile_list.page.top", offset=0, **given)
    assert "profile_counters_top" in top
    for plan in (deep, first, top):
        # No more than the page is put in order.
        sorted_rows = [int(rows) for rows in re.findall(r"Sort \(actual rows=(\d+)", plan)]
        assert max(sorted_rows, default=0) <= 25, plan


# Without the people's sites and logins: no triggers, no keys of others. `per` people on each site from `first` on.
OTHERS = """
      WITH made AS (
    INSERT INTO profiles (site_id, user_id, profile_name)
    SELECT %(first)s + n / %(per)s, 1000000 + n, substr(md5(n::text), 1, 12)
      FROM generate_series(0, %(count)s - 1) AS n
 RETURNING site_id, profile_id, profile_name)
    INSERT INTO profile_counters (site_id, profile_id, name_key, comment_count)
    SELECT site_id, profile_id, lower(profile_name), greatest(profile_id %% 7 - 3, 0) FROM made"""


@pytest.mark.wide
def test_a_large_site_reads_a_page_of_people_beside_very_many_small_ones(postgres_url: str) -> None:
    costs = {}
    with (
        services.database(postgres_url, "people") as url,
        factory(url) as make,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        site = make.site()
        given = {"site_id": site.id, "me": site.member.id, "limit": 25, "offset": 0, "start": 0}
        connection.execute("SET session_replication_role = replica")
        for first, per, count in ((site.id, MANY, MANY), (1_000_000, 2, 40_000)):
            connection.execute(OTHERS, {"first": first, "per": per, "count": count})
        connection.execute("ANALYZE")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        for query in (profile_list._PAGES[False, False, False, False], profile_list.FROM_MARK):
            values = {"ignored": [site.newcomer.id], "mark": "", **given}
            connection.execute(b"PREPARE one AS " + query.text)
            marks = ", ".join(f"%({name})s" for name in query.names)
            with psycopg.ClientCursor(connection) as cursor:
                cursor.execute(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE one ({marks})".encode(),
                    values,
                )
                ((found,),) = cursor.fetchall()
            connection.execute("DEALLOCATE one")
            document: Any = found if isinstance(found, list) else json.loads(found)
            plan = document[0]["Plan"]
            assert plan["Actual Rows"] == 25
            costs[query.name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    # Each of 25 people, by the order and by their key, a few blocks; not every one of the site.
    assert max(costs.values()) < 400, costs


@pytest.mark.wide
def test_counts_are_right_after_writes_at_the_same_time(stage: Stage) -> None:
    site = stage.make.site()
    chat = stage.make.conversation(site)
    writers = [stage.make.person(site) for _ in range(3)]

    def work(number: int) -> list[int]:
        by = writers[number % 3]
        made = stage.post(
            "/comments",
            {"itemType": "conversation", "itemId": chat.id, "markdown": f"Number {number}"},
            by=by,
        )
        address = made.location.removeprefix("/api/v1")
        statuses = [made.status]
        if number % 4 == 0:
            statuses.append(stage.request("DELETE", address, by=by).status)
        if number % 2 == 0:
            body = {"microcosmId": site.root_id, "title": f"Conversation {number}"}
            statuses.append(stage.post("/conversations", body, by=by).status)
        body = {"method": "development", "email": f"new{number}@{site.key}.example"}
        statuses.append(stage.post("/auth", body, site=site, ip=f"198.18.0.{number}").status)
        return statuses

    with ThreadPoolExecutor(6) as pool:
        statuses = [status for one in pool.map(work, range(24)) for status in one]

    assert set(statuses) == {200, 302}
    for number, by in enumerate(writers):
        mine = [n for n in range(24) if n % 3 == number]
        shown = stage.get(f"/profiles/{by.id}", by=by).data
        assert shown["commentCount"] == sum(n % 4 != 0 for n in mine)
        assert shown["itemCount"] == sum(n % 2 == 0 for n in mine)
    # The cast of five, the writers, and who signed in.
    total = 5 + 3 + 24
    assert stage.get("/profiles", by=site.member).data["profiles"]["total"] == total
    assert stage.sql("SELECT total FROM site_people WHERE site_id = %(s)s", s=site.id) == [(total,)]
