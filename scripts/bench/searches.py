"""Choice of what is searched for in the benchmark: common and rare words of the site; and the texts that known_items.py
needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg

from forumapi.config import Config
from forumapi.cron import search_indexing
from forumapi.database.connections import Database
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


# Bytes of text that words are learnt from in one statement: more at once than the job does, which is faster.
LEARNT_AT_ONCE = 20_000_000


def prepare(url: str, progress: Callable[[str], None]) -> None:
    """Run the jobs of search until they have nothing left to do."""
    # The role's limit is meant for requests.
    unlimited = f"{url}{'&' if '?' in url else '?'}options=-c%20statement_timeout%3D0"
    database = Database(unlimited, size=1, prepare=False, timeout_ms=600_000)
    try:
        said = ""
        while not said.startswith("0 "):
            with database.write() as tx:
                said = search_indexing.search_documents(tx, Config())
            progress(f"search: {said}")
        learnt, kind, site_id, is_last = 0, 0, 0, False
        while not is_last:
            with database.write() as tx:
                looked, kind, site_id, is_last = search_indexing.learn(
                    tx, LEARNT_AT_ONCE, kind, site_id
                )
            learnt += looked
            progress(f"search: words of {learnt:,} texts learnt")
    finally:
        database.close()


def words(connection: psycopg.Connection[Any], site_id: int) -> dict[str, list[str]]:
    """Return the words to search for, by page."""
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
    """Post the texts in scripts without spaces that known_items.py asks for, unless an earlier run has. Raises
    RuntimeError if one is refused.
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
