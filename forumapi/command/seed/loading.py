"""Loading of all sites of a size into a database: the same rows each time, but for the time of loading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from forumapi.command.seed import shape as shapes
from forumapi.command.seed.bulk_loader import Bar, Progress, Store, vacuum_analyze
from forumapi.command.seed.corpus import Corpus, SeedError
from forumapi.command.seed.rendered_texts import Texts
from forumapi.command.seed.shape import SIZES, SizeName
from forumapi.command.seed.sites import SeededUser, SiteWriter
from forumapi.config import Config

TAKEN_KEYS: Final = """
    SELECT string_agg(subdomain_key, ', ' ORDER BY subdomain_key)
      FROM sites
     WHERE subdomain_key = ANY(%(keys)s)"""


def load(database_url: str, config: Config, size: SizeName, progress: Progress) -> None:
    """Load the sites of a size into a migrated database, in one transaction, and vacuum it.

    Ids, names and texts are the same every time in an empty database; times end shortly before now. Each line that
    `progress` gets replaces the previous one. Nobody can write while it runs. Raises SeedError if one of the sites
    exists already.
    """
    plans = shapes.plan(SIZES[size])
    with filling(database_url, [plan.key for plan in plans], progress, build_last=True) as store:
        progress("reading the corpus")
        corpus = Corpus.read()
        texts = Texts(store, corpus, config.short_links)
        bar = Bar(progress, "comments", SIZES[size].comments)
        neighbours: list[SeededUser] = []
        for plan in plans:
            shape = shapes.site(plan, corpus)
            neighbours = SiteWriter(store, texts, shape, bar, neighbours).write()


@contextmanager
def filling(
    database_url: str, keys: list[str], progress: Progress, *, build_last: bool
) -> Iterator[Store]:
    """Yield a store for sites with these subdomain keys; commit and vacuum at the end of the block.

    Raises SeedError if a key is taken.
    """
    with psycopg.connect(database_url) as connection:
        store = Store(connection, progress, build_last=build_last)
        taken = store.value(TAKEN_KEYS, keys=keys)
        if taken:
            raise SeedError(f"these sites are there already: {taken}")
        yield store
        store.finish()
    progress("vacuum")
    with psycopg.connect(database_url, autocommit=True) as connection:
        vacuum_analyze(connection)
