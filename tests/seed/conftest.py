"""A PostgreSQL of its own for the seeds: they take a whole database, and load faster without fsync."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from forumapi import embedded, migrate


@pytest.fixture(scope="package")
def new_database(tmp_path_factory) -> Iterator[Callable[[str], str]]:
    """Makes a migrated database of this name and gives its address."""
    server = embedded.start(tmp_path_factory.mktemp("seed"), throwaway=True)

    def make(name: str) -> str:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = psycopg.conninfo.make_conninfo(server.url, dbname=name)
        migrate.migrate(url)
        return url

    try:
        yield make
    finally:
        server.stop()
