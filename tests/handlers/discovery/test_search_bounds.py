"""A search, and the jobs beside it, do no more than so much work, however much there is; pages stay one list (S-13)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from forumapi.config import Config
from forumapi.cron import search_indexing
from forumapi.models.discovery.search import RANKED
from tests import services
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import factory
from tests.handlers.discovery.test_search import PATH, hits, named

SHELF = 8_192
WRITE = """
    INSERT INTO comments (site_id, item_id, seq, created, created_by, edited_by, markdown, html)
    SELECT %(site)s, %(chat)s, %(first)s + n, now() + n * interval '1 ms', %(by)s, %(by)s, %(text)s, ''
      FROM generate_series(1, %(count)s::integer) AS n
 RETURNING comment_id"""
BLOCKS = """
    EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)
    SELECT * FROM search_text(%(site)s, 0, %(word)s::tsquery, %(word)s::tsquery, false, '{2,3,5,6,7,9}',
                              %(comments)s, NULL, NULL, ARRAY[%(root)s]::bigint[], true, '{}', '{}', NULL, NULL, NULL,
                              NULL, NULL, NULL, NULL, NULL, '', 10000, %(ranked)s, 25, 0, 60000)"""
# As it is planned for whatever is asked.
PLAN = f"""
    EXPLAIN (GENERIC_PLAN, COSTS OFF)
    SELECT * FROM search_matching({", ".join(f"${n}" for n in range(1, 25))}) LIMIT 500"""

# As many texts each as a site has from its beginning.
SMALL_SITES = """
      WITH written AS (
    INSERT INTO search_documents (site_id, item_type_id, item_id, shelf, person_id, author_id, created, vector)
    SELECT %(first)s + 1 + n / 3, 3, n, search_title_shelf(n), n, n, now(), to_tsvector('simple', 'somebody')
      FROM generate_series(0, 59999) AS n
 RETURNING 1)
    SELECT count(*) FROM written"""


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def write(make: Factory, chat: Thing, word: str, count: int, by: Person | None = None) -> list[int]:
    """Many comments at once, on a shelf of their own; their ids, the newest first."""
    (highest,) = make.sql("SELECT last_value FROM comments_comment_id_seq")[0]
    make.sql("SELECT setval('comments_comment_id_seq', %(n)s)", n=(highest // SHELF + 1) * SHELF)
    rows = make.sql(
        WRITE,
        site=chat.site.id,
        chat=chat.id,
        first=highest,
        by=(by or chat.site.member).id,
        text=f"{word} stands here",
        count=count,
    )
    return sorted((id for (id,) in rows), reverse=True)


@pytest.fixture
def alone(postgres_url: str) -> Iterator[Factory]:
    """Makes sites in a database whose statistics are of this test alone."""
    with services.database(postgres_url, "bounds") as url, factory(url) as make:
        yield make


def analyze(make: Factory) -> None:
    """Let the planner know how many rows there are now, and plan anew."""
    with psycopg.connect(make.database.url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def settle(make: Factory) -> None:
    """Put what waits beside the indexes into them."""
    for index in ("search_documents_vector", "search_documents_titles"):
        make.sql("SELECT gin_clean_pending_list(%(index)s::regclass)", index=index)


def blocks(make: Factory, site: Site, word: str, *, comments: bool = True) -> int:
    """Return how many blocks of tables and indexes the first page of a search reads, once its plans are made.

    Plans are made anew whenever the server's own housekeeping has analyzed a table: the least of some tries is without.
    """
    costs = []
    for _ in range(5):
        ((found,),) = make.sql(
            BLOCKS, site=site.id, word=word, root=site.root_id, ranked=RANKED, comments=comments
        )
        document = found if isinstance(found, list) else json.loads(found)
        plan: dict[str, Any] = document[0]["Plan"]
        costs.append(int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"]))
    return min(costs)


@pytest.mark.wide
def test_the_work_for_a_word_does_not_grow_with_how_often_it_stands_there(
    make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    for _ in range(2):
        write(make, chat, "wumpus", 1_000)
    settle(make)
    few = blocks(make, site, "wumpus")
    for _ in range(4):
        write(make, chat, "wumpus", 2_000)
    settle(make)

    assert blocks(make, site, "wumpus") < 2 * few


def titles(make: Factory, site: Site, word: str) -> Thing:
    """Nine conversations whose titles hold the word, each on a shelf of its own; the last one."""
    for number in range(9):
        chat = make.conversation(site, title=f"A {word} {number}")
        make.sql("SELECT setval('items_item_id_seq', %(n)s)", n=chat.id + SHELF)
    return chat


@pytest.mark.wide
def test_comments_are_no_work_for_a_word_that_few_titles_hold(make: Factory, site: Site) -> None:
    chat = titles(make, site, "grommet")
    write(make, chat, "grommet", 10)
    settle(make)
    few = blocks(make, site, "grommet", comments=False)
    for _ in range(3):
        write(make, chat, "grommet", 2_000)
    settle(make)

    assert blocks(make, site, "grommet", comments=False) < 1.5 * few


@pytest.mark.wide
def test_a_plan_made_when_there_was_little_reads_no_more_when_there_is_much(alone: Factory) -> None:
    analyze(alone)
    site = alone.site()
    chat = titles(alone, site, "grommet")
    write(alone, chat, "grommet", 10)
    settle(alone)
    costs = [blocks(alone, site, "grommet", comments=False)]
    for _ in range(3):
        write(alone, chat, "grommet", 2_000)
        settle(alone)
        costs.append(blocks(alone, site, "grommet", comments=False))

    assert max(costs) < 1.5 * costs[0]


@pytest.mark.wide
def test_a_large_site_is_searched_alike_beside_very_many_small_ones(alone: Factory) -> None:
    site = alone.site()
    write(alone, titles(alone, site, "grommet"), "grommet", 100)
    for _ in range(3):
        write(alone, alone.conversation(site), "else", 2_000)
    analyze(alone)
    settle(alone)
    by_itself = blocks(alone, site, "grommet"), blocks(alone, site, "grommet", comments=False)
    alone.sql(SMALL_SITES, first=site.id)
    analyze(alone)
    settle(alone)
    beside = blocks(alone, site, "grommet"), blocks(alone, site, "grommet", comments=False)

    assert beside[0] < 2 * by_itself[0]
    assert beside[1] < 2 * by_itself[1]


def test_what_was_common_lately_is_not_looked_for_on_each_shelf_before(make: Factory) -> None:
    costs = []
    for shelves in (60, 200):
        site = make.site()
        chat = make.conversation(site)
        (highest,) = make.sql("SELECT last_value FROM comments_comment_id_seq")[0]
        make.sql(
            """INSERT INTO comments (site_id, comment_id, item_id, seq, created_by, edited_by, markdown, html)
               SELECT %(site)s, %(first)s::bigint + n * 8192, %(chat)s, n, %(by)s, %(by)s, 'Something else', ''
                 FROM generate_series(1, %(count)s::integer) AS n RETURNING 1""",
            site=site.id,
            chat=chat.id,
            first=highest,
            by=site.member.id,
            count=shelves,
        )
        make.sql("SELECT setval('comments_comment_id_seq', %(n)s)", n=highest + SHELF * shelves)
        write(make, chat, "quagga", 80)
        settle(make)
        costs.append(blocks(make, site, "quagga"))

    some, many = costs
    assert many < 2 * some


def test_rights_are_asked_about_what_was_found_alone(make: Factory) -> None:
    with psycopg.connect(make.database.url) as connection:
        rows = connection.execute(PLAN, prepare=False).fetchall()
    plan = "\n".join(line for (line,) in rows)

    hashed = set(re.findall(r"hashed SubPlan (\d+)", plan))
    first = {n: re.findall(rf"\bSubPlan {n}\n\s*->  (.*)", plan) for n in hashed}
    # What the caller gave, never all that a table holds.
    assert first
    assert all(nodes and {*nodes} == {"ProjectSet"} for nodes in first.values()), first


@pytest.mark.wide
def test_what_is_counted_no_further_is_said_and_every_page_is_there(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, title="A gribble")
    written = [id for _ in range(3) for id in write(make, chat, "gribble", 400)]

    first = api.get(f"{PATH}?q=gribble", site=site).data
    assert (first["results"]["total"], first["atLeast"]) == (RANKED + 1, True)
    assert first["results"]["items"][0]["item"]["id"] == chat.id

    found: list[int] = []
    total = 0
    while len(found) < total or not found:
        data = api.get(f"{PATH}?q=gribble&limit=250&offset={len(found)}", site=site).data
        total = data["results"]["total"]
        page = [entry["item"]["id"] for entry in data["results"]["items"]]
        assert page
        found += page
    assert "atLeast" not in data
    assert len(found) == len(set(found)) == 1 + len(written)
    assert set(found) == {chat.id, *written}
    # Behind what is weighed comes the rest, the newest first.
    assert found[RANKED + 1 :] == sorted(written)[:-RANKED][::-1]
    beyond = api.get(f"{PATH}?q=gribble&limit=250&offset=1250", site=site)
    assert beyond.status == 400


@pytest.mark.wide
def test_what_is_filtered_is_counted_no_further_either(api: Api, make: Factory, site: Site) -> None:
    write(make, make.conversation(site), "filtered", RANKED + 60)

    first = api.get(f"{PATH}?type=comment", site=site).data
    last = api.get(f"{PATH}?type=comment&limit=250&offset=500", site=site).data

    assert (first["results"]["total"], first["atLeast"]) == (RANKED, True)
    assert (last["results"]["total"], "atLeast" in last) == (RANKED + 60, False)


@pytest.mark.wide
def test_a_common_word_by_somebody_who_seldom_writes_is_found_on_every_shelf(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    theirs = []
    for _ in range(5):
        write(make, chat, "snorkel", 600)
        theirs.append(named(make.comment(chat, by=site.newcomer, markdown="My snorkel")))

    found = hits(api, site, q="snorkel", authorId=site.newcomer.id, sort="date")

    assert found == theirs[::-1]


def test_a_rare_word_is_found_behind_shelves_that_do_not_hold_it(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    rare = named(make.comment(chat, markdown="A quokka"))
    for _ in range(8):
        write(make, chat, "else", 3)

    assert hits(api, site, q="quokka") == [rare]
    assert hits(api, site, q="quokka -snorkel") == [rare]
    assert hits(api, site, q='"a quokka" OR nothing') == [rare]


def test_titles_stand_on_shelves_and_are_found_where_they_stood_before(
    api: Api, make: Factory, site: Site
) -> None:
    made = []
    for number in range(9):
        made.append(named(make.conversation(site, title=f"Mandrill {number}")))
        make.sql("SELECT setval('items_item_id_seq', %(n)s)", n=made[-1][1] + SHELF)
    shelves = "SELECT DISTINCT d.shelf FROM search_documents d WHERE d.site_id = %(s)s AND d.item_type_id = 6"
    where = make.sql(shelves, s=site.id)
    assert len(where) == 9

    make.sql(
        "UPDATE search_documents SET shelf = -1 WHERE site_id = %(s)s AND item_type_id = 6 RETURNING 1",
        s=site.id,
    )
    assert hits(api, site, q="mandrill", sort="date") == made[::-1]
    make.sql(
        "INSERT INTO search_work (site_id, item_type_id, upto_id) VALUES (%(s)s, 6, 9223372036854775807) RETURNING 1",
        s=site.id,
    )
    with make.database.write() as tx:
        search_indexing.search_documents(tx, Config())

    assert sorted(make.sql(shelves, s=site.id)) == sorted(where)
    assert hits(api, site, q="mandrill", sort="date") == made[::-1]


@pytest.mark.wide
def test_titles_that_are_far_apart_are_no_more_work_than_others(make: Factory) -> None:
    costs = []
    for far in (0, 60_000_000_000):
        site = make.site()
        make.conversation(site, title="A zorblat of long ago")
        (behind,) = make.sql("SELECT last_value FROM items_item_id_seq")[0]
        make.sql("SELECT setval('items_item_id_seq', %(n)s)", n=behind + 300)
        make.sql(
            """INSERT INTO items (site_id, item_id, item_type_id, microcosm_id, title, created_by)
               SELECT %(site)s, %(first)s::bigint + n, 6, %(root)s, 'A zorblat', %(by)s
                 FROM generate_series(1, 300) AS n RETURNING 1""",
            site=site.id,
            first=behind + far,
            root=site.root_id,
            by=site.member.id,
        )
        settle(make)
        costs.append(blocks(make, site, "zorblat"))

    near, far_apart = costs
    assert far_apart < 2 * near


@pytest.mark.wide
def test_one_statement_indexes_no_more_than_so_many_bytes(make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    for _ in range(4):
        write(make, chat, "long " * 200_000, 1)
    make.sql(
        "INSERT INTO search_work (site_id, item_type_id, upto_id) VALUES (%(s)s, 4, 9223372036854775807) RETURNING 1",
        s=site.id,
    )

    done = [
        make.sql("SELECT search_fill(%(s)s, 4::smallint, 10000)", s=site.id)[0][0] for _ in range(4)
    ]

    assert done == [3, 1, 0, 0]


@pytest.mark.wide
def test_one_statement_learns_from_no_more_than_so_many_bytes_and_goes_on_there(
    make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    for number in range(6):
        write(make, chat, f"pangolin{number} " + "long " * 9_000, 1)
    make.sql(
        "UPDATE comments SET created = created - interval '1 hour' WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
    )
    words = """
        SELECT w.word, w.documents FROM search_words w
         WHERE w.site_id = %(s)s AND w.word ~ '^pangolin' ORDER BY w.word"""

    with make.database.write() as tx:
        search_indexing.learn(tx, 1, 0, 0)
    steps = []
    at = (4, site.id - 1)
    for _ in range(2):
        # Each in a transaction of its own: what was learnt before stays, whenever the job ends.
        with make.database.write() as tx:
            looked, *to, _ = search_indexing.learn(tx, 100_000, *at)
        at = (to[0], to[1])
        steps.append(looked)

    assert steps == [3, 3]
    assert [row[1] for row in make.sql(words, s=site.id)] == [1] * 6


@pytest.mark.wide
def test_words_are_learnt_behind_texts_that_are_gone(make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    write(make, chat, "gone", 50)
    make.sql("UPDATE comments SET is_deleted = true WHERE site_id = %(s)s RETURNING 1", s=site.id)
    write(make, chat, "axolotl", 1)
    make.sql(
        "UPDATE comments SET created = created - interval '1 hour' WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
    )

    with make.database.write() as tx:
        search_indexing.search_words(tx, Config())

    known = "SELECT count(*) FROM search_words w WHERE w.site_id = %(s)s AND w.word = %(w)s"
    assert make.sql(known, s=site.id, w="axolotl") == [(1,)]
    assert make.sql(known, s=site.id, w="gone") == [(0,)]


def test_the_release_before_still_learns(make: Factory, site: Site) -> None:
    write(make, make.conversation(site), "capybara", 1)
    make.sql(
        "UPDATE comments SET created = created - interval '1 hour' WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
    )

    while make.sql("SELECT search_learn(1000000)")[0][0]:
        pass

    known = "SELECT count(*) FROM search_words w WHERE w.site_id = %(s)s AND w.word = 'capybara'"
    assert make.sql(known, s=site.id) == [(1,)]
