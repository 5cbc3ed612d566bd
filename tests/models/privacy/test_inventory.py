"""The persons' inventory: each column that may hold something of a person has its line, by the catalog."""

from __future__ import annotations

import re

import psycopg
import pytest

from forumapi.models.privacy import inventory
from forumapi.models.privacy.inventory import NOBODYS_TABLES, PERSON_TABLES
from tests import services

# Columns that name a person by what they are called, beside those that refer to one.
_NAMES_A_PERSON = re.compile(
    r"(^|_)(user|profile|actor|author|person|member)_id$|_by$|^acts_as$|email|^ip|_ip$|recipient|subject|person_key"
)
_TEXTS = frozenset(
    ("text", "jsonb", "bytea", "text[]", "tsvector", "inet", "json", "character varying")
)

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, NULL),
           EXISTS (SELECT FROM pg_constraint k
                    WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY(k.conkey)
                      AND k.confrelid IN ('users'::regclass, 'profiles'::regclass) AND a.attname <> 'site_id')
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     ORDER BY c.relname, a.attnum"""


@pytest.fixture(scope="module")
def catalog(postgres_url: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """Columns of each table of the migrations: type, and whether they refer to a person."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    # Not the database that other tests put tables of their own into.
    with (
        services.database(postgres_url, "inventory") as url,
        psycopg.connect(url) as connection,
    ):
        for table, column, kind, refers in connection.execute(_COLUMNS).fetchall():
            found.setdefault(table, {})[column] = (kind, refers)
    return found


def _with_person(columns: dict[str, tuple[str, bool]]) -> set[str]:
    return {
        name
        for name, (kind, refers) in columns.items()
        if refers or kind == "inet" or (kind != "boolean" and _NAMES_A_PERSON.search(name))
    }


@pytest.mark.wide
def test_each_table_and_column_has_its_line(
    catalog: dict[str, dict[str, tuple[str, bool]]],
) -> None:
    listed = {table.name: table for table in PERSON_TABLES}
    missing = []
    for name, columns in catalog.items():
        texts = {column for column, (kind, _) in columns.items() if kind in _TEXTS}
        people = _with_person(columns)
        if name in NOBODYS_TABLES:
            if people:
                missing.append(
                    f"{name} is among NOBODYS_TABLES but has {sorted(people)}: make it a PersonTable"
                )
            continue
        if name not in listed:
            missing.append(
                f'no line for the table {name}: add PersonTable("{name}", (Line("{" ".join(sorted(people | texts))}",'
                f" <fate>),), Export(<rows>, <columns>)) to PERSON_TABLES if it names people or holds their words,"
                f' else "{name}": "<why not>" to NOBODYS_TABLES'
            )
            continue
        table = listed[name]
        known = {column for line in table.lines for column in line.columns.split()}
        for column in sorted((texts | people) - known - set(table.plain.split())):
            missing.append(
                f'no line for {name}.{column}: add Line("{column}", <fate>, <why>) to PersonTable("{name}"), or the'
                f" column to `plain` if it holds nothing of a person"
            )
    assert not missing, (
        "forumapi/models/privacy/inventory.py:\n  "
        + "\n  ".join(missing)
        + "\n  A column that is to be DELETED, CHOSEN or NOBODYS also needs its statement in"
        " models/privacy/erasure_steps.py, and a table its row in tests/cron/test_erased_person.py."
    )


def test_no_line_is_of_what_is_not_there(catalog: dict[str, dict[str, tuple[str, bool]]]) -> None:
    wrong = sorted(NOBODYS_TABLES.keys() - catalog.keys())
    for table in PERSON_TABLES:
        named = {column for line in table.lines for column in line.columns.split()}
        wrong += [
            f"{table.name}.{column}"
            for column in sorted(named | set(table.plain.split()))
            if column not in catalog.get(table.name, {})
        ]
    assert not wrong


def test_each_line_says_what_becomes_of_it() -> None:
    names = [table.name for table in PERSON_TABLES]

    assert len(names) == len(set(names))
    for table in PERSON_TABLES:
        assert (table.export is None) == bool(table.not_exported), table.name
        for line in table.lines:
            assert line.fate in inventory.FATES, table.name
            assert line.fate != inventory.KEPT or line.why, f"{table.name}: {line.columns}"
        seen = [column for line in table.lines for column in line.columns.split()]
        assert len(seen) == len(set(seen)), table.name
