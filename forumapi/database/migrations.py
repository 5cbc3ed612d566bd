"""Migration of a database to the schema of this release: new migrations in order, then functions, then seeds.

May be run on several nodes at once: one advisory lock is held for the whole run. Each migration is a transaction that
also writes its row into schema_migrations, so a crash leaves both or neither. Migrations are never undone, and never
edited once run. If functions or triggers have changed, all are dropped and made anew; seeds change no row that is
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from forumapi.config import Config, resource

# Key of the advisory lock, the same for every node of every release.
LOCK: Final = 7_205_159_403_792_793

# Longer than any statement of a busy site should hold a table, shorter than its users' patience.
LOCK_TIMEOUT_MS: Final = 10_000

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name        text        PRIMARY KEY,
        checksum    text        NOT NULL,
        applied     timestamptz NOT NULL DEFAULT now()
    )"""

# Our triggers, functions and procedures, nothing that an extension brought. Without CASCADE: an index or a generated
# column that depends on a function must fail here, not vanish.
_OURS: Final = """
    SELECT statement FROM (
        SELECT 1, format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
          FROM pg_trigger t
          JOIN pg_class c ON c.oid = t.tgrelid
         WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relnamespace = 'public'::regnamespace
         UNION ALL
        SELECT 2, format('DROP %s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                         p.oid::regprocedure)
          FROM pg_proc p
         WHERE p.pronamespace = 'public'::regnamespace
           AND p.prokind IN ('f', 'p')
           AND NOT EXISTS (SELECT 1 FROM pg_depend d
                            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    ) AS ours (step, statement)
     ORDER BY step, statement"""


class MigrateError(Exception):
    """Failure to migrate the database; the message names the reason."""


@dataclass(frozen=True, slots=True)
class Step:
    """Step of a plan: `name` is its key in schema_migrations, `text` its SQL, `checksum` the SHA-256 of that text."""

    name: str
    text: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Plan:
    """SQL of a release: the migrations in order, a step each; all functions as one step, and all seeds as one, None if
    there are none.
    """

    migrations: tuple[Step, ...]
    functions: Step | None
    seeds: Step | None


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _together(folder: Path, name: str) -> Step | None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))]
    return Step(name, "\n".join(texts), _checksum("\n".join(texts))) if texts else None


def read(folder: Path | None = None) -> Plan:
    """Read the SQL files of `folder` (None: those of this release) as a plan; no database is asked."""
    folder = folder or resource("sql")
    migrations = []
    for path in sorted((folder / "migrations").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        migrations.append(Step(path.stem, text, _checksum(text)))
    return Plan(
        tuple(migrations),
        _together(folder / "functions", "functions"),
        _together(folder / "seeds", "seeds"),
    )


def _known(connection: psycopg.Connection) -> dict[str, str]:
    if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
        return {}
    return dict(connection.execute("SELECT name, checksum FROM schema_migrations").fetchall())


def _pending(plan: Plan, known: Mapping[str, str]) -> list[str]:
    """Return the names of the plan's steps that are not in `known` (checksum by name) or, of functions and seeds, have
    changed. Raises MigrateError for a migration that was edited after it ran.
    """
    for step in plan.migrations:
        if known.get(step.name, step.checksum) != step.checksum:
            raise MigrateError(
                f"{step.name} was edited after it ran here; restore it and write a new migration instead"
            )
    names = [step.name for step in plan.migrations if step.name not in known]
    together = (step for step in (plan.functions, plan.seeds) if step is not None)
    return names + [step.name for step in together if known.get(step.name) != step.checksum]


def pending(url: str, folder: Path | None = None) -> list[str]:
    """Return the names of the steps that `migrate` would run on the database at `url`, in order; nothing is changed.
    `folder`: that with the steps' files, None for the package's. Raises MigrateError, psycopg.Error.
    """
    with psycopg.connect(url, connect_timeout=5) as connection:
        return _pending(read(folder), _known(connection))


def migrate(
    url: str,
    config: Config | None = None,
    *,
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> list[str]:
    """Run the pending steps on the database at `url`, which no pooler may be before; return their names in order, [] if
    none was pending. Waits while another process migrates the database.

    With `config`, requests' time limits in it become defaults of the connecting role in this database. `folder`: that
    with the steps' files, None for the package's. `progress` is called with words on what is done now. Raises
    MigrateError, psycopg.Error.
    """
    plan = read(folder)
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        # The role's own limits are for requests; a migration may take its time, but not hold up the site for a lock.
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET lock_timeout = 0")
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        connection.execute(_TABLE)
        known = _known(connection)
        names = _pending(plan, known)
        for step in plan.migrations:
            if step.name in names:
                progress(f"migrating: {step.name}")
                _run(connection, step)
        if plan.functions is not None and plan.functions.name in names:
            progress("migrating: functions")
            _run(connection, plan.functions, drop_functions=True)
        if plan.seeds is not None and plan.seeds.name in names:
            progress("migrating: constants")
            _run(connection, plan.seeds)
        if config is not None:
            _set_limits(connection, config)
    return names


def _run(connection: psycopg.Connection, step: Step, *, drop_functions: bool = False) -> None:
    try:
        with connection.transaction():
            if drop_functions:
                for (statement,) in connection.execute(_OURS).fetchall():
                    connection.execute(statement)
            # Without parameters psycopg sends the text as it is, many statements at once.
            connection.execute(step.text.encode())
            connection.execute(
                """
                INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)
                ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied = now()
                """,
                [step.name, step.checksum],
            )
    except psycopg.Error as error:
        raise MigrateError(f"{step.name} failed and changed nothing: {error}") from error


def _set_limits(connection: psycopg.Connection, config: Config) -> None:
    """Make the time limits of requests defaults of the connecting role in this database: killing a greenlet does not
    stop its statement, the server has to.
    """
    limits = {
        "statement_timeout": config.statement_timeout_ms,
        "lock_timeout": config.lock_timeout_ms,
        "idle_in_transaction_session_timeout": config.idle_transaction_timeout_ms,
    }
    role = connection.info.user
    database = connection.info.dbname
    wanted = sorted(f"{name}={value}" for name, value in limits.items())
    current = connection.execute(
        """
        SELECT s.setconfig
          FROM pg_db_role_setting s
          JOIN pg_database d ON d.oid = s.setdatabase
          JOIN pg_roles r ON r.oid = s.setrole
         WHERE d.datname = %s AND r.rolname = %s
        """,
        [database, role],
    ).fetchone()
    if current is not None and set(wanted) <= set(current[0]):
        return
    for name, value in limits.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                sql.Identifier(role),
                sql.Identifier(database),
                sql.Identifier(name),
                sql.Literal(value),
            )
        )
