"""The judge of `make bench` on a few hundred texts: known items are found, operators find what a scan finds."""

from __future__ import annotations

from random import Random
from typing import Any

import psycopg
import pytest

from forumapi.command.seed.corpus import Corpus
from forumapi.config import Config
from forumapi.cron import search_indexing
from scripts.bench import known_items
from scripts.bench.known_items import Judge
from tests.api import Api
from tests.factories import Factory, Site

# Enough for more than fifty hits to compare, whichever words are drawn: that depends on ids, which no run repeats.
TEXTS = 1_000
QUERIES = 60


@pytest.fixture(scope="module")
def site(make: Factory) -> Site:
    """A site with real talk, and with texts in scripts without spaces, whose words are known."""
    made = make.site()
    corpus = Corpus.read(("bike", "garden", "music"))
    texts = [corpus.text(number) for number in range(TEXTS)]
    texts += known_items.sentences(Random(known_items.SEED), known_items.UNSPACED)
    chats = [make.conversation(made, title=text.split(".")[0][:80]) for text in texts[:40]]
    make.sql(
        """
        INSERT INTO comments (site_id, item_id, seq, created, created_by, edited_by, markdown, html)
        SELECT %(site)s, (%(chats)s::bigint[])[1 + n %% 40], n, now() - interval '2 minutes', p.id, p.id, t.markdown, ''
          FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS t (markdown, n),
               LATERAL (SELECT (%(people)s::bigint[])[1 + n %% 3] AS id) p
     RETURNING 1""",
        site=made.id,
        chats=[chat.id for chat in chats],
        texts=texts,
        people=[made.owner.id, made.member.id, made.newcomer.id],
    )
    with make.database.write() as tx:
        search_indexing.search_words(tx, Config())
    return made


@pytest.mark.wide
def test_known_items_are_found_and_operators_find_what_a_scan_finds(
    api: Api, site: Site, database_url: str
) -> None:
    def find(query: str) -> Any:
        answer = api.get(f"/api/v1/search?{query}", site=site)
        assert answer.status == 200, answer.body
        return answer.data

    with psycopg.connect(database_url, autocommit=True) as connection:
        report = Judge(connection, site.id, [site.root_id], find).run(QUERIES)

    assert report.is_good, (report.words(), report.missed, report.wrong)
    assert (len(report.exact), len(report.forgiven), report.operated) == (18, 30, 12)
    assert report.compared > 50
