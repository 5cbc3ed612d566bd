"""Every statement of the package, at once: it plans, and it stays inside its site."""

from __future__ import annotations

import importlib
import pkgutil
import re

import psycopg
import pytest

import forumapi
from forumapi.db import Query


# The web worker must be imported into a patched process only.
@pytest.fixture(scope="module", autouse=True)
def _everything_is_imported() -> None:
    for module in pkgutil.walk_packages(forumapi.__path__, "forumapi."):
        if not module.name.endswith(("__main__", ".worker")):
            importlib.import_module(module.name)


def _queries() -> dict[str, Query]:
    return {name: query for name, query in Query.all.items() if not name.startswith("test.")}


def test_every_statement_plans(database_url: str) -> None:
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

    assert not failed


# What finds a site rather than standing in one, or belongs to the whole platform.
PLATFORM = frozenset(
    (
        "access_tokens",
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
        "single_use",
        "sites",
        "task_runs",
        "themes",
        "update_types",
        "users",
        "value_types",
    )
)
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)(?:\s+(?:AS\s+)?([a-z_]+))?")


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
    allowed = PLATFORM | {"audit_log"}
    assert {name for name, column in first.items() if column != "site_id"} <= allowed


def test_every_statement_on_a_tenant_table_names_the_site(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = {
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
        } - PLATFORM
    loose = []
    for name, query in _queries().items():
        touched = {match[1] for match in _TABLE.finditer(query.sql)} & tables
        # Retention looks at age alone, and figures at how many, on all sites at once.
        if name.startswith(("cron.", "audit.", "figures.")):
            continue
        if touched and "site_id" not in query.sql:
            loose.append((name, touched))

    assert not loose
