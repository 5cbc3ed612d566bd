"""A page that nothing keeps yet is filled once, however many open it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.cache.document_cache import Cache
from forumapi.database.connections import Database, Reader
from forumapi.itemtypes import ItemRef
from forumapi.models.content import comment_documents, item_page
from forumapi.models.pages.document_reader import Documents
from forumapi.models.pages.page_cache import PageCache
from forumapi.wire.paging import Paging
from tests.factories import Factory, Site

T = TypeVar("T")
READERS = 8


class Waiting(Reader):
    """A reader that says when it waits for others."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.waits = threading.Event()

    def end(self) -> None:
        super().end()
        self.waits.set()


@pytest.fixture
def database(database_url: str) -> Database:
    """As many connections as it takes that nobody waits for one."""
    return Database(database_url, size=READERS + 1)


def at_once(database: Database, url: str, table: str, work: Callable[[Reader], T]) -> list[T]:
    """Return what `work` returns to many, who all ask while the first one is held up at `table`."""
    readers = [Waiting(database) for _ in range(READERS)]
    with ThreadPoolExecutor(READERS) as pool, psycopg.connect(url) as holding:
        holding.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        first = pool.submit(work, readers[0])
        while True:
            row = holding.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass",
                [table],
            ).fetchone()
            if row and row[0]:
                break
            assert not first.done()
            time.sleep(0.01)
        others = [pool.submit(work, reader) for reader in readers[1:]]
        for reader in readers[1:]:
            assert reader.waits.wait(10)
        holding.rollback()
        found = [one.result(10) for one in (first, *others)]
    for reader in readers:
        reader.end()
    return found


def test_a_cold_page_is_read_once(
    database: Database, database_url: str, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    make.comment(chat)
    pages = PageCache(1_000_000)
    before = item_page.PAGE.calls

    def read(tx: Reader) -> item_page.ItemView | None:
        return item_page.page(
            pages, tx, bikes.id, ItemRef(itemtypes.CONVERSATION, chat.id), 0, (), Paging(25, 0)
        )

    seen = at_once(database, database_url, "items", read)

    assert item_page.PAGE.calls - before == 1
    assert len({id(one.page) for one in seen if one is not None}) == 1
    assert None not in seen


def test_its_documents_are_loaded_once(
    database: Database, database_url: str, make: Factory, bikes: Site
) -> None:
    made = make.comment(make.conversation(bikes))
    documents = Documents(Cache(), lambda tx, site_id, place, id, text: (0, ""))
    before = comment_documents.LOAD.calls

    def fetch(tx: Reader) -> object:
        return documents.fetch(tx, bikes.id, {comment_documents.SUMMARY: {made.id: 1}})

    found = at_once(database, database_url, "comments", fetch)

    assert comment_documents.LOAD.calls - before == 1
    assert all(one == found[0] for one in found)
    assert made.id in found[0][comment_documents.SUMMARY]  # type: ignore[index]
