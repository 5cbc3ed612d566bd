"""Tables of another forum in a live PostgreSQL."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.dumps.live_source import LiveSource
from forumapi.porting.layout import STREAMS, BaseReader, PortedComment
from forumapi.porting.readers import open_reader

BOARDS = Path(__file__).parents[1] / "boards"


@pytest.fixture
def loaded(database_url: str) -> Iterator[str]:
    """The address of a database with the small Misago and NodeBB boards in a schema of their own."""
    schema = f"old_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        for name in ("discourse", "misago", "nodebb"):
            text = (BOARDS / f"{name}.sql").read_text().replace("public.", f"{schema}.")
            for statement in re.findall(r"^CREATE TABLE [^;]*;$", text, re.M | re.S):
                connection.execute(statement.encode())
            for head, rows in re.findall(
                r"^(COPY [^\n]* FROM stdin);\n(.*?)\\\.$", text, re.M | re.S
            ):
                with connection.cursor() as cursor, cursor.copy(head.encode()) as copy:
                    copy.write(rows)
        joined = "&" if "?" in database_url else "?"
        yield f"{database_url}{joined}options={quote(f'-c search_path={schema}')}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.mark.parametrize("product", ["discourse", "misago", "nodebb"])
def test_a_live_database_reads_as_its_dump_does(loaded: str, product: str) -> None:
    live = open_reader(product, loaded)
    dumped = open_reader(product, BOARDS / f"{product}.sql")
    try:
        for stream in STREAMS:
            assert list(getattr(live, stream)()) == list(getattr(dumped, stream)()), stream
        assert live.counts() == dumped.counts()
        assert isinstance(live, BaseReader)
    finally:
        live.close()
        dumped.close()


def test_nothing_can_be_written(loaded: str) -> None:
    source = LiveSource(loaded, ["users_user"], marker="users_user")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        source._connection.execute("DELETE FROM misago_users_user")
    source.close()


def test_what_changes_while_it_is_read_comes_in_the_next_run(
    loaded: str, database_url: str
) -> None:
    schema = loaded.rpartition("%3D")[2]
    live = open_reader("misago", loaded)
    before = list(live.comments())
    with psycopg.connect(database_url, autocommit=True) as connection:
        table = f"{schema}.misago_threads_post"
        ids = sorted(int(one.id) for one in before if isinstance(one, PortedComment))
        for change in (
            f"UPDATE {table} SET original = 'Changed meanwhile' WHERE id = {ids[0]}",
            f"DELETE FROM {table} WHERE id = {ids[-1]}",
        ):
            assert connection.execute(change.encode()).rowcount == 1
    later = open_reader("misago", loaded)
    try:
        assert list(live.comments()) == before
        texts = {one.id: one.versions for one in later.comments() if isinstance(one, PortedComment)}
        assert texts[str(ids[0])][-1].text == "Changed meanwhile"
        assert str(ids[-1]) not in texts
    finally:
        live.close()
        later.close()


def test_numbers_that_are_none_are_texts(loaded: str, database_url: str) -> None:
    schema = loaded.rpartition("%3D")[2]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {schema}.odd (a numeric, b numeric)".encode())
        connection.execute(f"INSERT INTO {schema}.odd VALUES ('Infinity', 'NaN')".encode())
    source = LiveSource(loaded, ["odd"], marker="odd")
    assert [tuple(row.values()) for row in source.rows("odd", ["a", "b"])] == [("Infinity", "NaN")]
    source.close()


def test_what_is_no_board_is_refused(loaded: str) -> None:
    with pytest.raises(DumpError, match="no table …privmsgs_to"):
        open_reader("phpbb", loaded)
    with pytest.raises(DumpError, match="can't be reached"):
        open_reader("phpbb", "postgresql://nobody@127.0.0.1:1/nothing")
