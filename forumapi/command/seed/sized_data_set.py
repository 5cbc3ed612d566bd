"""Loading of a data set, all sites of a size, into a database; each run makes the same rows, but for their times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from forumapi.command.seed import simulated_activity as shapes
from forumapi.command.seed.bulk_loader import Bar, Progress, Store, vacuum_analyze
from forumapi.command.seed.corpus import Corpus, SeedError
from forumapi.command.seed.rendered_texts import Texts
from forumapi.command.seed.simulated_activity import SIZES, SizeName
from forumapi.command.seed.site_rows import SeededUser, SiteWriter
from forumapi.config import Config

TAKEN_KEYS: Final = """
    SELECT string_agg(subdomain_key, ', ' ORDER BY subdomain_key)
      FROM sites
     WHERE subdomain_key = ANY(%(keys)s)"""


def load(database_url: str, config: Config, size: SizeName, progress: Progress) -> None:
    """Load all sites of a size, S, M or L, into a migrated database, in one transaction, and vacuum it.

    In an empty database ids, names and texts are the same every time; times end shortly before now. Each line for
    `progress` replaces the previous one. Nobody else can write meanwhile. Raises SeedError if one of the sites exists
    already, or the package of the texts is missing.
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
    """Yield the Store of a bulk load, in a transaction of its own, for new sites with the subdomains `keys`; at the end
    of the block finish the load, commit, and vacuum. `build_last`: secondary indexes are dropped first and built at the
    end; False: they are kept up row by row. `progress` is called with a line on each step.

    An exception of the block rolls the transaction back. Raises SeedError, before the block, if a subdomain is taken.
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
