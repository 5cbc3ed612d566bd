"""Dumps of other forums' databases, read without their servers."""

from __future__ import annotations

import datetime
import gzip
import io
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forumapi.porting.dumps import dump_types, mysql_dump, postgres_dump, row_values
from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.dumps.source import DumpSource

MYSQL = """-- MySQL dump 10.19
/*!40101 SET NAMES utf8mb4 */;
/*!50003 CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW BEGIN INSERT INTO b VALUES (1); END */;
DROP TABLE IF EXISTS `x_posts`;
CREATE TABLE `x_posts` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `text` mediumtext NOT NULL COMMENT 'with; a semicolon',
  `ip` varbinary(16) DEFAULT NULL,
  `score` float DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;
LOCK TABLES `x_posts` WRITE;
INSERT INTO `x_posts` VALUES
(2,'O\\'Neil; ''said'' \\\\ \\n(3,4),',0xC0000201,-1.5e2),
(1,'Grüße 🚲\\0',NULL,3);
INSERT INTO `other` VALUES (1,'ignored');
INSERT INTO `x_posts` (`text`, `id`) VALUES ('named',3);
-- Dump completed on 2026-01-01
"""
POSTGRES = """--
-- PostgreSQL database dump
--
SET client_encoding = 'UTF8';
CREATE TABLE public.x_posts (
    id integer NOT NULL,
    text text NOT NULL,
    "ip" bytea,
    score real
);
COPY public.x_posts (id, text, ip, score) FROM stdin;
2\tO'Neil; 'said' \\\\ \\n(3,4),\t\\\\xc0000201\t-150
1\tGrüße 🚲\\t\t\\N\t3
\\.

COPY public.other (id) FROM stdin;
1
\\.
--
-- PostgreSQL database dump complete
--
"""


def _opened(folder: Path, text: str | bytes, **more: Any) -> DumpSource:
    path = folder / "dump.sql"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return DumpSource(path, ["posts"], marker="posts", **more)


def _rows(dump: DumpSource) -> list[tuple[object, ...]]:
    columns = ("id", "text", "ip", "score", "absent")
    return [tuple(row.values()) for row in dump.rows("posts", columns, ["id"])]


def test_rows_of_a_mysql_dump(tmp_path: Path) -> None:
    with _opened(tmp_path, MYSQL) as dump:
        assert dump.tables == {"posts": ("id", "text", "ip", "score")}
        assert _rows(dump) == [
            (1, "Grüße 🚲\0", None, 3, None),
            (2, "O'Neil; 'said' \\ \n(3,4),", b"\xc0\0\2\1", -150, None),
            (3, "named", None, None, None),
        ]
        assert [row["id"] for row in dump.rows("posts", ["id"], text="named")] == [3]
        assert list(dump.rows("nothing", ["id"])) == []


def test_rows_of_a_postgresql_dump(tmp_path: Path) -> None:
    with _opened(tmp_path, POSTGRES) as dump:
        assert _rows(dump) == [
            (1, "Grüße 🚲\t", None, 3, None),
            (2, "O'Neil; 'said' \\ \n(3,4),", b"\xc0\0\2\1", -150, None),
        ]


@pytest.mark.parametrize("text", [MYSQL, POSTGRES])
def test_a_compressed_dump_reads_alike(tmp_path: Path, text: str) -> None:
    with (
        _opened(tmp_path, text) as plain,
        _opened(tmp_path, gzip.compress(text.encode())) as packed,
    ):
        assert _rows(plain) == _rows(packed)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_mysql_dump_reads_alike_in_small_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    with _opened(tmp_path, MYSQL) as whole:
        expected = _rows(whole)
    monkeypatch.setattr(mysql_dump, "_CHUNK", size)
    with _opened(tmp_path, MYSQL) as dump:
        assert _rows(dump) == expected


@pytest.mark.parametrize("text", [MYSQL, POSTGRES])
def test_a_dump_that_is_cut_off_anywhere_is_refused(tmp_path: Path, text: str) -> None:
    whole = text.encode()
    for end in range(text.index("posts"), len(whole) - 40, 5):
        with pytest.raises(DumpError, match=r"cut off|no table"):
            _opened(tmp_path, whole[:end])
    with pytest.raises(DumpError, match="cut off or damaged"):
        _opened(tmp_path, gzip.compress(whole)[:-9])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (MYSQL.replace("3);\n", "(SELECT 1));\n", 1), "row 2 of x_posts: value 4 is no literal"),
        (MYSQL.replace(",NULL,3)", ",3)"), "row 2 of x_posts has 3 values, the table 4 columns"),
        (MYSQL.replace("('named',3)", "SELECT 1"), "row 3 of x_posts"),
        (MYSQL.replace("utf8mb4", "big5"), "big5"),
        (POSTGRES.replace("\\t\t\\N\t3", ""), "row 2 of x_posts has 2 values, the table 4 columns"),
        (POSTGRES.replace("UTF8", "BIG5"), "BIG5"),
        (MYSQL.replace("x_posts", "x_threads"), "no table …posts"),
        (MYSQL + MYSQL.replace("x_posts", "y_posts"), "the prefixes x_, y_"),
        (b"PK\x03\x04whatever", "neither SQL text nor gzip"),
        (b"PGDMP\x01", "neither SQL text nor gzip"),
        ("", "no table …posts"),
        ("\x00\x01" * 5000, "no SQL text"),
    ],
)
def test_what_is_no_dump_is_refused_by_table_and_row(
    tmp_path: Path, text: str | bytes, error: str
) -> None:
    with pytest.raises(DumpError) as refused:
        _opened(tmp_path, text)

    assert error in str(refused.value)


@pytest.mark.parametrize("text", [MYSQL, POSTGRES])
def test_another_character_set_is_named_by_row_and_column(tmp_path: Path, text: str) -> None:
    latin = text.replace("🚲", "").encode("latin-1")
    with pytest.raises(DumpError, match=r"row 2 of x_posts, column text: byte 0xfc is not utf-8"):
        _opened(tmp_path, latin)
    with _opened(tmp_path, latin, encoding="cp1252") as dump:
        assert str(_rows(dump)[0][1]).startswith("Grüße")
    with pytest.raises(DumpError, match="no character set"):
        _opened(tmp_path, MYSQL, encoding="klingon")


def test_the_dump_names_its_own_character_set(tmp_path: Path) -> None:
    latin = MYSQL.replace("🚲", "").replace("utf8mb4", "latin1").encode("cp1252")
    with _opened(tmp_path, latin) as dump:
        assert str(_rows(dump)[0][1]).startswith("Grüße")


def test_one_of_several_boards_is_chosen_by_its_prefix(tmp_path: Path) -> None:
    text = MYSQL + MYSQL.replace("x_posts", "y_posts").replace("named", "of y")
    with _opened(tmp_path, text, prefix="y_") as dump:
        assert _rows(dump)[2][1] == "of y"
    with pytest.raises(DumpError, match="no table z_posts"):
        _opened(tmp_path, text, prefix="z_")


@pytest.mark.parametrize("text", [MYSQL, POSTGRES])
def test_a_value_that_is_too_long_leaves_its_row_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for module in (mysql_dump, postgres_dump):
        monkeypatch.setattr(module, "MAX_VALUE", 4000)
    monkeypatch.setattr(mysql_dump, "_CHUNK", 1000)
    monkeypatch.setattr(postgres_dump, "_MAX_LINE", 16000)
    for size in (5000, 20_000):
        with _opened(tmp_path, text.replace("Grüße", "x" * size)) as dump:
            assert 1 not in [row[0] for row in _rows(dump)]
            assert [(row.table, row.number) for row in dump.skipped] == [("x_posts", 2)]
            assert "longer than" in dump.skipped[0].reason


def test_a_bomb_ends_at_its_limit(tmp_path: Path) -> None:
    bomb = gzip.compress(MYSQL.encode() + b" " * 10_000_000)
    with pytest.raises(DumpError, match="more than 1000000 bytes"):
        _opened(tmp_path, bomb, most=1_000_000)


def test_rows_are_read_as_a_stream() -> None:
    class Endless(io.RawIOBase):
        """Dump with rows without end."""

        sent = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            head = b"CREATE TABLE `x_posts` (\n  `id` int\n);\nINSERT INTO `x_posts` VALUES "
            data = b"(1)," * 256 if self.sent else head
            buffer[: len(data)] = data
            self.sent += len(data)
            return len(data)

    endless = Endless()
    rows = mysql_dump.read(io.BufferedReader(endless), lambda _: True)
    read = [next(rows) for _ in range(10)]

    assert isinstance(read[9], dump_types.DumpRow)
    assert endless.sent < 5_000_000


@pytest.mark.parametrize("number", ["9" * 26, "-" + "9" * 19, "9" * 5000])
def test_a_number_of_too_many_digits_ends_no_reading(tmp_path: Path, number: str) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(
        "CREATE TABLE `p_users` (\n `id` int(8),\n `name` text\n);\n"
        f"INSERT INTO `p_users` VALUES ({number},'x'),(7,'y');\n"
    )
    with DumpSource(path, ["users"], marker="users") as source:
        assert [row["name"] for row in source.rows("users", ("name",))] == ["x", "y"]
        assert [row["id"] for row in source.rows("users", ("id",))][1] == 7


@pytest.mark.parametrize("text", ["9999-12-31 23:00:00-05", "0001-01-01 00:30:00+01"])
def test_a_time_beyond_the_calendar_in_utc_is_none(text: str) -> None:
    assert row_values.as_moment(text) is None
    assert row_values.as_utc(text) is None


def test_an_end_before_the_calendar_is_past_and_one_after_it_is_none() -> None:
    for text in ("0001-01-01 00:30:00+01", "0044-03-15 12:00:00+00 BC", "-infinity"):
        end = row_values.as_end(text)
        assert end is not None, text
        assert (end.year, end.tzinfo) == (1, datetime.UTC)
    for text in ("9999-12-31 23:00:00-05", "infinity", "", "x"):
        assert row_values.as_end(text) is None
    assert str(row_values.as_end("2026-01-01 00:30:00+01")) == "2025-12-31 23:30:00+00:00"


def test_a_time_of_the_calendars_last_year_is_read() -> None:
    moment = row_values.as_moment("9999-12-31 23:00:00+01")
    assert str(moment) == "9999-12-31 22:00:00+00:00"


@pytest.mark.parametrize("days", [0, 36_500, -(10**12)])
def test_no_time_is_beyond_the_calendar_after_days(days: int) -> None:
    assert row_values.days_after(row_values.as_time(253_402_300_799), days) is None
    assert row_values.days_after(None, days) is None


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("`x.posts`", "x.posts"),
        ("`my.db`.`x_posts`", "x_posts"),
        ("`db` . `x.posts`", "x.posts"),
        ("`x``posts`", "x`posts"),
        ("`x_posts```", "x_posts`"),
        ("db.x_posts", "x_posts"),
        ("x_posts", "x_posts"),
        (".", ""),
    ],
)
def test_a_dot_in_quotation_marks_is_part_of_a_tables_name(written: str, name: str) -> None:
    text = (
        f"CREATE TABLE {written} (\n  `a,b` int,\n  `c``d` int\n);\n"
        f"INSERT INTO {written} (`a,b`, `c``d`) VALUES (1,2);\n"
    )
    parts = list(mysql_dump.read(io.BufferedReader(io.BytesIO(text.encode())), lambda _: True))

    tables = [part for part in parts if isinstance(part, dump_types.DumpTable)]
    assert [part.name for part in tables] == [name, name]
    assert [list(part.columns) for part in tables] == [["a,b", "c`d"]] * 2


def test_a_column_whose_name_is_no_utf_8_ends_no_reading() -> None:
    text = b"INSERT INTO `x_posts` (`gr\xf6sse`) VALUES (1);\n"
    table, row = mysql_dump.read(io.BufferedReader(io.BytesIO(text)), lambda _: True)

    assert isinstance(table, dump_types.DumpTable)
    assert isinstance(row, dump_types.DumpRow)
    assert list(table.columns) == ["gr\N{REPLACEMENT CHARACTER}sse"]


def test_bytes_that_are_none_are_named_by_row_and_column(tmp_path: Path) -> None:
    for bytes in ("xc00002zz", "xc0000"):
        text = POSTGRES.replace("xc0000201", bytes)
        with (
            pytest.raises(DumpError, match="row 1 of x_posts, column ip"),
            _opened(tmp_path, text) as dump,
        ):
            _rows(dump)


def test_a_table_with_a_column_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_text("CREATE TABLE `p_users` (\n `id` int(8),\n `ID` int(8)\n);\n")
    with pytest.raises(DumpError, match="p_users: duplicate column name"):
        DumpSource(path, ["users"], marker="users")


def test_the_copy_of_an_sqlite_file_lies_in_the_folder_of_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dump.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE x_posts (id INTEGER)")
        database.execute("INSERT INTO x_posts VALUES (1)")
        database.commit()
    folder = tmp_path / "import"
    folder.mkdir()
    # The system's folder is not there, so that a file in it fails.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))

    with DumpSource(path, ["posts"], marker="posts", prefix="x_", folder=folder) as source:
        assert source.count("posts") == 1
    assert not list(folder.iterdir())
