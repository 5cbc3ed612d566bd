"""Every statement of the package, at once: it plans, and it stays inside its site."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random

import psycopg
import pytest

import forumapi
from forumapi.database.query import PLATFORM, Query, Replica
from forumapi.models.notifications import update_types
from tests.database import read_conditions
from tests.database.site_conditions import Checker
from tests.syntax import tree


# The web worker must be imported into a patched process only.
@pytest.fixture(scope="module", autouse=True)
def _everything_is_imported() -> None:
    for module in pkgutil.walk_packages(forumapi.__path__, "forumapi."):
        if not module.name.endswith(("__main__", ".worker")):
            importlib.import_module(module.name)


def _queries() -> dict[str, Query]:
    return {name: query for name, query in Query.all.items() if not name.startswith("test.")}


# What numbers of things are called beside `id`, `profile_ids` and the like.
_NUMBERS = frozenset(("concerns", "id", "ids", "me", "participant", "readable"))


def test_every_statement_plans_and_takes_numbers_of_things_in_eight_bytes(
    database_url: str,
) -> None:
    failed = {}
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        for name, query in _queries().items():
            connection.execute("DEALLOCATE ALL")
            try:
                connection.execute(b"PREPARE one AS " + query.text)
                arguments = f"({', '.join(['NULL'] * len(query.names))})" if query.names else ""
                connection.execute(f"EXPLAIN EXECUTE one{arguments}", prepare=False)
            except psycopg.Error as error:
                failed[name] = str(error)
                continue
            row = connection.execute(
                "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'one'",
                prepare=False,
            ).fetchone()
            assert row is not None
            for parameter, kind in zip(query.names, row[0], strict=True):
                is_number = parameter in _NUMBERS or parameter.endswith(("_id", "_ids"))
                if is_number and parameter != "style_id" and kind in ("integer", "integer[]"):
                    failed[name] = f"{parameter} is {kind}"

    assert not failed


# Tables of the whole platform, or found by other keys than their site's.
WITHOUT_SITE = frozenset(
    (
        "access_tokens",
        "account_erasures",
        "attempt_counters",
        "attendee_states",
        "bans",
        "blocked_link_domains",
        "event_cursors",
        "event_log",
        "event_sequencer",
        "file_strays",
        "file_variants",
        "files",
        "geocode_cache",
        "invitation_refusals",
        "item_types",
        "leases",
        "link_hits",
        "links",
        "mail_outbox",
        "mail_suppressions",
        "metrics",
        "oauth_clients",
        "one_time_secrets",
        "passkeys",
        "platform_options",
        "recovery_codes",
        "platform_secrets",
        "refresh_tokens",
        "reserved_subdomains",
        "right_changes",
        "schema_migrations",
        "sign_in_places",
        "single_use",
        "site_deletion_files",
        "site_deletions",
        "sites",
        "task_runs",
        "themes",
        "update_types",
        "usage_billing",
        "users",
        "value_types",
    )
)


def test_bans_are_read_as_a_part_of_each_statement_and_by_no_call(database_url: str) -> None:
    readers = [one for one in _queries().values() if b"ban_reason(" in one.text]
    called = []
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET plan_cache_mode = 'force_generic_plan'")
        for query in readers:
            connection.execute("DEALLOCATE ALL")
            connection.execute(b"PREPARE one AS " + query.text)
            explain = f"EXPLAIN EXECUTE one({', '.join(['NULL'] * len(query.names))})"
            plan = "\n".join(row[0] for row in connection.execute(explain.encode(), prepare=False))
            if "Function Scan on ban" in plan or " on bans" not in plan:
                called.append(query.name)

    assert len(readers) > 10
    assert not called


def test_every_tenant_table_begins_with_its_site(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT c.relname, a.attname FROM pg_index i
                 JOIN pg_class c ON c.oid = i.indrelid
                 JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
                WHERE i.indisprimary AND NOT c.relispartition"""
        ).fetchall()

    first: dict[str, str] = dict(rows)
    allowed = WITHOUT_SITE | {"audit_log"}
    assert {name for name, column in first.items() if column != "site_id"} <= allowed


def test_tables_of_the_glossary_carry_its_terms(database_url: str) -> None:
    glossary = (Path(__file__).parents[2] / "docs/glossary.md").read_text()
    tables = glossary[glossary.index("## Tables") :]
    terms = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", tables, re.MULTILINE))
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT c.relname, d.description FROM pg_description d
                 JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
                WHERE d.objsubid = 0 AND c.relnamespace = 'public'::regnamespace"""
        ).fetchall()

    comments: dict[str, str] = dict(rows)
    assert comments.keys() == terms.keys()
    assert [t for t, term in terms.items() if not comments[t].startswith(term)] == []


SAVED = Path(__file__).parents[1] / "saved"
_CONDITION = re.compile(r"((?:\w+\.)?site_id) = (?:\$\d+|\w+\.site_id)")


@pytest.fixture(scope="module")
def drivers(database_url: str) -> Callable[[Query, str], list[str]]:
    """Check a text of a statement: the aliases in it that no condition binds to a site."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT table_name FROM information_schema.columns
                WHERE table_schema = 'public' AND column_name = 'site_id'"""
        ).fetchall()
    tables = frozenset(row[0] for row in rows)
    return lambda query, text: Checker(tables, query.names).check(text)


def test_a_statement_stands_on_one_site_unless_its_scope_is_the_platform(
    drivers: Callable[[Query, str], list[str]],
) -> None:
    """The aliases that are bound to no site are saved, so that a statement which loses a condition is noticed."""
    found = {name: drivers(query, query.text.decode()) for name, query in _queries().items()}

    platform = {name for name, query in _queries().items() if query.scope == PLATFORM}
    assert {name for name, aliases in found.items() if aliases} == platform
    _compare_aliases("platform_statements.txt", found)


def test_a_list_restricts_to_what_is_readable_unless_it_says_why() -> None:
    """A list statement is a SELECT that writes nothing and has an alias of a table of `THINGS`, which hold what
    microcosms and huddles give rights on; EXISTS, which returns no row, aside. It restricts to what is readable if each
    such alias stands on things that parameters name, on the set of readable microcosms, or on a huddle in which the
    viewer takes part (read_conditions.py says how that is decided). Every other one has `unrestricted`, and its aliases
    are saved, so that a statement which loses a condition is noticed.
    """
    found = {name: _unrestricted(query, query.text.decode()) for name, query in _reads().items()}

    says_why = {name for name, query in _queries().items() if query.unrestricted}
    assert {name for name, aliases in found.items() if aliases} == says_why
    _compare_aliases("unrestricted_statements.txt", found)


def _compare_aliases(saved: str, found: dict[str, list[str]]) -> None:
    """REFRESH_STATEMENTS=1 in the environment writes the aliases anew: read the difference before you commit it."""
    text = "".join(f"{name}: {', '.join(of)}\n" for name, of in sorted(found.items()) if of)
    if os.environ.get("REFRESH_STATEMENTS"):
        (SAVED / saved).write_text(text)
    assert text == (SAVED / saved).read_text()


@cache
def _reads() -> dict[str, Query]:
    return {
        name: query
        for name, query in _queries().items()
        if not read_conditions.writes(query.text.decode())
    }


def _unrestricted(query: Query, text: str) -> list[str]:
    return read_conditions.Checker(query.names).check(text)


def test_a_statement_is_named_after_its_module() -> None:
    wrong = []
    for path in sorted(Path(forumapi.__file__).parent.rglob("*.py")):
        for node in ast.walk(tree(path)) if "Query(" in path.read_text() else ():
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "Query"
            ):
                name = ast.unparse(node.args[0])
                if not re.match(rf"f?'{path.stem}\.", name):
                    wrong.append(f"{path.name}: {name}")

    assert not wrong


def test_what_shows_read_marks_waits_for_all_that_the_primary_shows() -> None:
    careless = [
        name
        for name, query in Query.all.items()
        if query.replica is Replica.ACKNOWLEDGED and "read_marks" in query.sql
    ]

    assert not careless


def _without_one(queries: dict[str, Query]) -> Iterator[tuple[str, str, str]]:
    """Yield (statement, condition, text without it) for each equation of a site's column, but for what UPDATE sets."""
    for name, query in sorted(queries.items()):
        text = query.text.decode()
        for match in _CONDITION.finditer(text):
            before = text[: match.start()]
            if before.rfind("WHERE") < before.rfind(" SET ") > before.rfind(" ON "):
                continue
            neutral = f"{match[1]} = {match[1]}"
            yield name, match[0], before + neutral + text[match.end() :]


def _unfound(
    mutants: Iterable[tuple[str, str, str]], drivers: Callable[[Query, str], list[str]]
) -> list[tuple[str, str]]:
    queries = _queries()
    return [
        (name, condition)
        for name, condition, text in mutants
        if drivers(queries[name], text) == drivers(queries[name], queries[name].text.decode())
    ]


# Of two conditions here either implies the other, or a command's `= 0 OR` stands before it.
IMPLIED = frozenset(
    ("ban.list_all", "file.places", "permission_target.lock_site", "webhook.list_all")
)


def _without_readable(queries: dict[str, Query]) -> Iterator[tuple[str, str, str]]:
    """Yield (statement, condition, text without it) for each comparison with the readable ids."""
    for name, query in sorted(queries.items()):
        if "readable" in query.names:
            text = query.text.decode()
            number = query.names.index("readable") + 1
            for match in re.finditer(rf"[\w.]+ = ANY\(\${number}::bigint\[\]\)", text):
                yield name, match[0], f"{text[: match.start()]}true{text[match.end() :]}"


# Its rows stand on the caller's own comments too; tests/handlers/people/test_erasures.py holds the condition.
ANCHORED = frozenset(("quotation_page.page",))


def test_a_list_that_loses_its_condition_on_what_is_readable_is_found() -> None:
    queries = {name: query for name, query in _reads().items() if name not in ANCHORED}
    mutants = list(_without_readable(queries))

    whole = {
        name: len(_unrestricted(queries[name], queries[name].text.decode()))
        for name in {name for name, _, _ in mutants}
    }
    assert len(mutants) >= 15
    assert [
        (name, condition)
        for name, condition, text in mutants
        if len(_unrestricted(queries[name], text)) <= whole[name]
    ] == []


# The number of a type of item or update beside its column or parameter, where a statement is written; and the names of
# arguments that hold one.
_BARE = re.compile(
    r"\b(?:item|parent|parent_item|place|update)_type(?:_id)?(?:\)s)?\s*"
    r"(?:=|<>|(?:NOT\s+)?IN\s*\(|WHEN)\s*[1-9]\b"
)
_TYPED = frozenset(("item_type", "parent_type", "place_type", "update_type"))


def _bare_numbers(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (line.strip() for line in node.value.splitlines() if _BARE.search(line))
        elif isinstance(node, ast.keyword) and node.arg in _TYPED:
            numbers = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
            if any(isinstance(number, int) and number > 0 for number in numbers):
                yield ast.unparse(node)


def test_numbers_of_types_come_from_itemtypes_and_update_types() -> None:
    modules = Path(forumapi.__file__).parent.rglob("*.py")
    typed = [path for path in sorted(modules) if "_type" in path.read_text()]
    bare = {path.name: found for path in typed if (found := list(_bare_numbers(tree(path))))}

    assert bare == {}


def test_the_database_has_the_types_of_updates(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT update_type_id, name FROM update_types").fetchall()

    assert dict(rows) == update_types.NAMES


def test_a_statement_that_loses_a_condition_on_its_site_is_found(
    drivers: Callable[[Query, str], list[str]],
) -> None:
    mutants = list(_without_one(_queries()))

    assert len(mutants) > 1000
    assert {name for name, _ in _unfound(Random(12).sample(mutants, 100), drivers)} <= IMPLIED


@pytest.mark.wide
def test_every_condition_on_a_site_is_missed_when_it_is_lost(
    drivers: Callable[[Query, str], list[str]],
) -> None:
    assert {name for name, _ in _unfound(_without_one(_queries()), drivers)} <= IMPLIED
