"""Tests of what search looks in: filled for texts from before, anew for another language, in part without time
(S-08, S-09)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from forumapi.config import Config
from forumapi.cron import search_indexing
from forumapi.errors import SEARCH_TOO_LONG
from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import running
from tests.handlers.discovery.test_search import PATH, hits, named

SETTING = "/api/v1/site/search"
DOCUMENTS = """
    SELECT d.item_type_id, d.item_id, d.shelf, d.place_id, d.person_id, d.author_id, d.created, d.vector::text
      FROM search_documents d WHERE d.site_id = %(site)s ORDER BY 1, 2"""


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def fill(make: Factory) -> None:
    """Let the job run until nothing is left to do."""
    while make.sql("SELECT 1 FROM search_work LIMIT 1"):
        with make.database.write() as tx:
            search_indexing.search_documents(tx, Config())


def test_texts_from_before_are_indexed_as_triggers_would_have(make: Factory, site: Site) -> None:
    chat = make.conversation(site, title="An old title #tagged")
    for text in ("An old text", "Another #old text", "古いテキスト"):
        make.comment(chat, markdown=text)
    make.comment(site.member, markdown="On a profile")
    make.event(site, title="An old ride")
    make.poll(site, title="An old poll")
    make.huddle(site.member, site.newcomer, title="An old secret")
    hidden = make.comment(chat, markdown="hidden")
    make.sql(
        "UPDATE comments SET is_deleted = true WHERE site_id = %(s)s AND comment_id = %(id)s RETURNING 1",
        s=site.id,
        id=hidden.id,
    )
    before = make.sql(DOCUMENTS, site=site.id)
    make.sql("DELETE FROM search_documents WHERE site_id = %(s)s RETURNING 1", s=site.id)
    make.sql(
        """
        INSERT INTO search_work (site_id, item_type_id, upto_id)
        SELECT %(s)s, k, 9223372036854775807 FROM unnest('{2,3,4,6}'::smallint[]) k RETURNING 1""",
        s=site.id,
    )

    fill(make)

    assert len(before) > 10
    assert make.sql(DOCUMENTS, site=site.id) == before


def test_a_run_does_no_more_than_its_share(make: Factory, site: Site) -> None:
    make.comments(make.conversation(site), 7)
    make.sql(
        "UPDATE sites SET search_language = 'german' WHERE site_id = %(s)s RETURNING 1", s=site.id
    )
    done = [
        make.sql("SELECT search_fill(%(s)s, 4::smallint, 3)", s=site.id)[0][0] for _ in range(5)
    ]

    assert done == [3, 3, 1, 0, 0]
    fill(make)


def test_another_language_applies_at_once_and_old_texts_stay_found(
    api: Api, make: Factory, site: Site
) -> None:
    old = make.conversation(site, title="Running downhill")
    assert api.get(SETTING, by=site.owner).data["language"] == "english"

    assert api.put(SETTING, {"language": "german"}, by=site.owner).status == 302
    new = make.conversation(site, title="Die Häuser am See")

    setting = api.get(SETTING, by=site.owner).data
    assert (setting["language"], setting["indexing"]) == ("german", True)
    assert hits(api, site, site.member, q="haus") == [named(new)]
    assert hits(api, site, site.member, q="runs") == [named(old)]
    fill(make)
    assert api.get(SETTING, by=site.owner).data["indexing"] is False
    assert hits(api, site, site.member, q="haus") == [named(new)]
    # In German "running" is no form of "runs".
    assert hits(api, site, site.member, q="runs") == []
    assert hits(api, site, site.member, q="running") == [named(old)]


@pytest.mark.parametrize(
    "language", ["klingon", "", "forum_english", "pg_catalog.english", None, 3]
)
def test_a_language_that_there_is_not_is_refused(api: Api, site: Site, language: object) -> None:
    answer = api.put(SETTING, {"language": language}, by=site.owner)

    assert answer.status == 400
    assert api.get(SETTING, by=site.owner).data["language"] == "english"
    assert {"english", "german", "simple", "russian"} <= set(
        api.get(SETTING, by=site.owner).data["languages"]
    )


@pytest.fixture
def hurried(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """A server without time for a search, whose database gives up on statements soon."""
    url = f"{database_url}&options=-c%20statement_timeout%3D400"
    with running(url, tmp_path, search_time_limit_ms="0") as started:
        yield started.api()


@pytest.mark.wide
def test_without_time_the_newest_are_found_and_it_is_said(
    make: Factory, site: Site, hurried: Api, database_url: str
) -> None:
    chat = make.conversation(site, title="A wurzel")
    first = make.comment(chat, markdown="wurzel one")
    # Some shelves further on.
    make.sql("SELECT setval('comments_comment_id_seq', %(n)s)", n=((first.id >> 13) + 6) << 13)
    second = make.comment(chat, markdown="wurzel two")

    data = hurried.get(f"{PATH}?q=wurzel", by=site.member).data

    assert data["partial"] is True
    assert [entry["item"]["id"] for entry in data["results"]["items"]] == [chat.id, second.id]
    assert data["results"]["total"] == 2

    # And when the database can't even do that:
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE search_documents IN ACCESS EXCLUSIVE MODE")
        answer = hurried.get(f"{PATH}?q=wurzel", by=site.member)
    assert (answer.status, answer.code) == (503, SEARCH_TOO_LONG)
    assert answer.headers["Retry-After"]


def test_comments_are_found_on_all_shelves(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    made = []
    for number in range(12):
        comment = make.comment(chat, markdown=f"shelved {number}")
        made.append(named(comment))
        make.sql("SELECT setval('comments_comment_id_seq', %(n)s)", n=comment.id + 30_000)

    found = api.get(f"{PATH}?q=shelved", by=site.member).data

    assert found["results"]["total"] == 12
    assert "partial" not in found
    assert hits(api, site, site.member, q="shelved", sort="date") == made[::-1]


@pytest.mark.parametrize(
    "text",
    [
        "a猫" * 25_000,
        " ".join(f"#tag{number}" for number in range(7_000)),
        "".join(chr(0x20000 + number) for number in range(40_000)),
        " ".join(f"#{chr(0x4E00 + number)}{chr(0x9000 - number)}" for number in range(12_000)),
        "x" * 50_000,
        "#" * 50_000,
        "<" * 25_000 + "-a" * 12_500,
    ],
    ids=["letters of two scripts", "hashtags", "rare letters", "both", "a word", "signs", "tags"],
)
def test_whatever_somebody_writes_can_be_indexed(make: Factory, text: str) -> None:
    (found,) = make.sql("SELECT search_vector('english', '', 'D', %(text)s)::text", text=text)

    assert isinstance(found[0], str)
