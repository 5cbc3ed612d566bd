"""Migrations: each once, in order, safely from several nodes."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import psycopg
import pytest

from forumapi.config import Config, resource
from forumapi.database import migrations
from forumapi.database.migrations import MigrateError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An sql folder with one migration, one function and one seed."""
    for name in ("migrations", "functions", "seeds"):
        (tmp_path / name).mkdir()
    (tmp_path / "migrations/0001_first.sql").write_text(
        "CREATE TABLE things (id int PRIMARY KEY); CREATE TABLE others (id int); -- no % here"
    )
    (tmp_path / "functions/one.sql").write_text(
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    )
    (tmp_path / "seeds/things.sql").write_text(
        "INSERT INTO things VALUES (1), (2) ON CONFLICT DO NOTHING;"
    )
    return tmp_path


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def test_a_new_database_gets_migrations_functions_and_seeds(empty_database, folder):
    done = migrations.migrate(empty_database, folder=folder)

    assert done == ["0001_first", "functions", "seeds"]
    assert rows(empty_database, "SELECT one(), (SELECT count(*) FROM things)") == [(1, 2)]


def test_a_second_run_has_nothing_to_do(empty_database, folder):
    migrations.migrate(empty_database, folder=folder)

    assert migrations.pending(empty_database, folder) == []
    assert migrations.migrate(empty_database, folder=folder) == []


def test_migrations_run_in_the_order_of_their_names(empty_database, folder):
    (folder / "migrations/0003_third.sql").write_text("ALTER TABLE more RENAME TO third;")
    (folder / "migrations/0002_second.sql").write_text("CREATE TABLE more (id int);")

    assert migrations.migrate(empty_database, folder=folder)[:3] == [
        "0001_first",
        "0002_second",
        "0003_third",
    ]


def test_check_says_what_is_pending_and_changes_nothing(empty_database, folder):
    assert migrations.pending(empty_database, folder) == ["0001_first", "functions", "seeds"]
    assert rows(empty_database, "SELECT to_regclass('things')") == [(None,)]


def test_a_migration_that_fails_changes_nothing_and_can_be_mended(empty_database, folder):
    bad = folder / "migrations/0002_bad.sql"
    bad.write_text("CREATE TABLE half (id int); SELECT 1/0;")

    with pytest.raises(MigrateError, match="0002_bad failed and changed nothing"):
        migrations.migrate(empty_database, folder=folder)

    assert rows(empty_database, "SELECT to_regclass('half'), to_regclass('things')::text") == [
        (None, "things")
    ]
    bad.write_text("CREATE TABLE half (id int);")
    assert migrations.migrate(empty_database, folder=folder)[0] == "0002_bad"


def test_an_applied_migration_must_not_be_edited(empty_database, folder):
    migrations.migrate(empty_database, folder=folder)
    (folder / "migrations/0001_first.sql").write_text("CREATE TABLE things (id bigint);")

    with pytest.raises(MigrateError, match="0001_first was edited after it ran"):
        migrations.migrate(empty_database, folder=folder)
    with pytest.raises(MigrateError, match="0001_first was edited"):
        migrations.pending(empty_database, folder)


def test_changed_functions_are_dropped_and_made_anew(empty_database, folder):
    migrations.migrate(empty_database, folder=folder)
    (folder / "functions/one.sql").write_text(
        """
        CREATE FUNCTION one(why text) RETURNS bigint LANGUAGE sql AS 'SELECT 2::bigint';
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER noted BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION note();
        """
    )

    assert migrations.migrate(empty_database, folder=folder) == ["functions"]
    assert rows(empty_database, "SELECT one('')") == [(2,)]
    with pytest.raises(psycopg.errors.UndefinedFunction):
        rows(empty_database, "SELECT one()")
    # And once more, with a trigger in the way.
    (folder / "functions/two.sql").write_text(
        "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2';"
    )
    assert migrations.migrate(empty_database, folder=folder) == ["functions"]


def test_functions_of_extensions_stay(empty_database, folder):
    (folder / "migrations/0002_trigrams.sql").write_text("CREATE EXTENSION pg_trgm;")
    migrations.migrate(empty_database, folder=folder)
    (folder / "functions/one.sql").write_text("SELECT 1;")

    migrations.migrate(empty_database, folder=folder)

    assert rows(empty_database, "SELECT similarity('a', 'a')::int") == [(1,)]


@pytest.mark.slow
def test_several_nodes_at_once_run_each_migration_once(empty_database, folder):
    (folder / "migrations/0002_slow.sql").write_text(
        "CREATE TABLE slow (id int); SELECT pg_sleep(0.2);"
    )
    done: list[list[str]] = []
    nodes = [
        threading.Thread(
            target=lambda: done.append(migrations.migrate(empty_database, folder=folder))
        )
        for _ in range(4)
    ]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()

    assert sorted(done, key=len) == [[], [], [], ["0001_first", "0002_slow", "functions", "seeds"]]


def test_the_server_itself_keeps_the_time_limits_of_requests(empty_database, folder):
    migrations.migrate(empty_database, Config(statement_timeout_ms=1_234), folder=folder)

    assert rows(empty_database, "SHOW statement_timeout") == [("1234ms",)]
    assert rows(empty_database, "SHOW lock_timeout") == [("5s",)]
    assert rows(empty_database, "SHOW idle_in_transaction_session_timeout") == [("15s",)]
    migrations.migrate(empty_database, Config(statement_timeout_ms=2_000), folder=folder)
    assert rows(empty_database, "SHOW statement_timeout") == [("2s",)]


def test_the_schema_of_this_release_loads_and_its_functions_load_twice(empty_database):
    assert migrations.migrate(empty_database)[0] == "0001_initial"
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(
            "UPDATE schema_migrations SET checksum = '' WHERE name IN ('functions', 'seeds')"
        )

    assert set(migrations.migrate(empty_database)) == {"functions", "seeds"}


def test_what_the_release_before_deletes_after_0096_is_noted(empty_database, folder):
    # Of the tables before it, what the migration names.
    (folder / "migrations/0001_first.sql").write_text(
        """CREATE TABLE things (id int PRIMARY KEY);
           CREATE TABLE sites (site_id bigint PRIMARY KEY);
           CREATE TABLE items (site_id bigint, item_id bigint, item_type_id smallint, is_deleted boolean);
           CREATE TABLE comments (site_id bigint, comment_id bigint, is_deleted boolean);
           CREATE TABLE audit_log (site_id bigint, created timestamptz, ip inet);
           CREATE TABLE mail_outbox (site_id bigint, sent timestamptz, created timestamptz, state text);
           INSERT INTO sites VALUES (1);
           INSERT INTO items VALUES (1, 1, 6, true), (1, 2, 6, false);
           INSERT INTO comments VALUES (1, 3, true), (1, 4, false)"""
    )
    # A run that ends before its functions.
    shutil.rmtree(folder / "functions")
    shutil.copy(resource("sql/migrations/0096_retention.sql"), folder / "migrations")
    migrations.migrate(empty_database, folder=folder)

    with psycopg.connect(empty_database) as connection:
        for table in ("items", "comments"):
            connection.execute(f"UPDATE {table} SET is_deleted = true WHERE NOT is_deleted")
    noted = "SELECT item_type_id, item_id FROM deletions ORDER BY 1, 2"
    assert rows(empty_database, noted) == [(4, 3), (4, 4), (6, 1), (6, 2)]
