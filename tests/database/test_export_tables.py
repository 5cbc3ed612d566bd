"""Tables and exports: each table is exported, or docs/export.md says why not."""

from __future__ import annotations

import re
from pathlib import Path

from forumapi.database.query import Query
from forumapi.models.content import reaction
from forumapi.porting.exports import site_reader
from tests.factories import Factory

PROJECT = Path(__file__).resolve().parent.parent.parent


def _left_out() -> set[str]:
    page = (PROJECT / "docs" / "export.md").read_text()
    _, _, section = page.partition("## What stays behind")
    section = section.partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def _exported() -> set[str]:
    statements = [query.sql for query in vars(site_reader).values() if isinstance(query, Query)]
    statements.append(reaction.KINDS.sql)
    return {
        name
        for statement in statements
        for name in re.findall(r"(?:FROM|JOIN)\s+([a-z_]+)\s+[a-z]", statement)
    }


# Tables that other tests make in the database of their process.
OF_TESTS = {"cron_notes", "db_notes", "db_wide", "taken"}


def test_each_table_is_exported_or_said_to_stay_behind(make: Factory) -> None:
    tables = {
        row[0]
        for row in make.sql(
            """SELECT c.relname FROM pg_class c
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"""
        )
    } - OF_TESTS

    exported, left_out = _exported(), _left_out()

    assert not exported & left_out
    assert sorted(tables - exported - left_out) == [], (
        "add a line to docs/export.md, or a statement"
    )
    assert sorted(left_out - tables) == []
    assert exported <= tables
