"""What is searched for in the benchmark: common and rare words of the site, and what the judge of search needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg

from forumapi.config import Config
from forumapi.cron import searching
from forumapi.db import Database
from scripts.bench import known_items
from scripts.bench.exchange import Answer, Request

COMMON, RARE = "search-common", "search-rare"

# Words that a search counts: none that the language leaves out.
WORDS = {
    COMMON: """
        SELECT w.word FROM search_words w
         WHERE w.site_id = %(site_id)s AND w.word ~ '^[a-z]{4,12}$'
           AND to_tsvector('public.forum_english', w.word) <> ''
         ORDER BY w.documents DESC, w.word LIMIT 20""",
    RARE: """
        SELECT w.word FROM search_words w
         WHERE w.site_id = %(site_id)s AND w.word ~ '^[a-z]{5,12}$' AND w.documents BETWEEN 2 AND 20
         ORDER BY md5(w.word) LIMIT 200""",
}
PLANTED = (
    "SELECT EXISTS (SELECT FROM comments c WHERE c.site_id = %(site_id)s AND c.markdown = %(text)s)"
)


def prepare(url: str) -> None:
    """Let the jobs of search do all there is to do."""
    # At size L a round takes longer than the role's limit, which is meant for requests.
    unlimited = f"{url}{'&' if '?' in url else '?'}options=-c%20statement_timeout%3D0"
    database = Database(unlimited, size=1, prepare=False, timeout_ms=600_000)
    try:
        for job in (searching.search_documents, searching.search_words):
            said = ""
            while not said.startswith(("0 ", "words of 0 ")):
                with database.write() as tx:
                    said = job(tx, Config())
    finally:
        database.close()


def words(connection: psycopg.Connection[Any], site_id: int) -> dict[str, list[str]]:
    """The words to search for, by page."""
    return {
        page: [word for (word,) in connection.execute(query, {"site_id": site_id}).fetchall()]
        for page, query in WORDS.items()
    }


def plant(
    connection: psycopg.Connection[Any],
    site_id: int,
    ask: Callable[[Request], Answer],
    host: str,
    tokens: list[str],
    items: list[int],
) -> None:
    """Write the texts in scripts without spaces that the judge asks for, unless they stand there from another run.

    Raises RuntimeError when one is refused.
    """
    texts = known_items.sentences(Random(known_items.SEED), known_items.UNSPACED)
    row = connection.execute(PLANTED, {"site_id": site_id, "text": texts[-1]}).fetchone()
    if row and row[0]:
        return
    for number, text in enumerate(texts):
        item = items[number % len(items)]
        body = {"itemType": "conversation", "itemId": item, "markdown": text}
        token = tokens[number % len(tokens)]
        answer = ask(Request("POST", "/api/v1/comments", host, token, json.dumps(body).encode()))
        if answer.status != 302:
            raise RuntimeError(f"a text was answered {answer.status}: {answer.body[:200]!r}")
