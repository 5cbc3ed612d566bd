"""Helpers that the modules of commands share: exit codes, options, access to the database, printing of tables."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import pwd
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from forumapi import config
from forumapi.config import Config
from forumapi.observability import log

if TYPE_CHECKING:
    from forumapi.database.connections import Database, Reader, Transaction

Command = Callable[[argparse.Namespace, Config], int]

OK: Final = 0
FAILED: Final = 1


class CommandError(Exception):
    """Failure of a command; the message is for the person who called it."""


class Commands:
    """Set of commands of `parser`, to which the function `add` of each module in nouns/ adds the module's commands."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, run: Command, text: str) -> argparse.ArgumentParser:
        """Add the command `name`, which calls `run` with the parsed arguments and the settings; return the command's
        parser, to which options are added. `text`: the command's help.
        """
        added = self._parsers.add_parser(name, help=text, description=text)
        added.set_defaults(command=run)
        return added

    def group(self, name: str, text: str) -> Commands:
        """Add the command `name` with subcommands; return the set to which the subcommands are added. `text`: the
        command's help.
        """
        return Commands(self._parsers.add_parser(name, help=text, description=text))


def check_start(current: Config) -> None:
    """Check that `serve`, `hold` and `cron` may start with these settings: not in embedded mode except below `forumapi
    run`, and with all that production needs. Raises CommandError.
    """
    if current.is_embedded and not config.is_started_by_run():
        raise CommandError(
            "environment: embedded, where anybody signs in as anybody, is what `forumapi run` starts and nothing else;"
            " set it to prod"
        )
    if current.missing:
        raise CommandError(
            f"production needs settings that are not there: {', '.join(current.missing)};"
            f" they go into {current.path} or the environment ({config.ENV_PREFIX}<NAME>), and `forumapi doctor` tells"
            " more. To try it out: `forumapi run`"
        )


def with_database(current: Config) -> Config:
    """Return the settings with a database URL: the configured one or, without it, that of a running embedded server,
    which is put into this process's environment too, for a reload of the settings. Raises CommandError if there is
    neither.
    """
    if current.database_url:
        return current
    from forumapi.database import embedded_postgres

    running = embedded_postgres.find(current.data_path)
    if running is None:
        raise CommandError(
            "there is no database: set database_url (FORUMAPI_DATABASE_URL), or use `forumapi run`, which brings one"
        )
    # Into the environment, so that a reload of the settings finds it there too.
    os.environ["FORUMAPI_DATABASE_URL"] = running.url
    return config.load()


@contextlib.contextmanager
def database_url(current: Config) -> Iterator[str]:
    """Yield the database's direct URL; an embedded server that is not running is started for the duration of the block.
    Raises CommandError if none can be started.
    """
    from forumapi.database import embedded_postgres

    try:
        with embedded_postgres.database(current, lambda text: print(text, file=sys.stderr)) as url:
            yield url
    except embedded_postgres.EmbeddedError as error:
        raise CommandError(str(error)) from None


@contextlib.contextmanager
def open_database(current: Config) -> Iterator[Database]:
    """Open the database for the duration of the block. Raises CommandError if it can't be reached or is not migrated,
    and in place of errors that PostgreSQL or the API's code raises within the block.
    """
    import psycopg

    from forumapi.database import migrations
    from forumapi.database.connections import Database
    from forumapi.errors import ApiError

    # A failure is this command's answer: a line about it in the log would repeat the answer.
    log.configure(level="error")
    with database_url(current) as url:
        try:
            if migrations.pending(url):
                raise CommandError("the database is not migrated: `forumapi migrate`")
            database = Database(url, size=2)
            try:
                yield database
            finally:
                database.close()
        except (psycopg.Error, migrations.MigrateError) as error:
            raise CommandError(f"the database: {error}") from None
        except ApiError as error:
            raise CommandError(error.message) from None


@contextlib.contextmanager
def reading(current: Config) -> Iterator[Reader]:
    """Open a connection for reading, for the duration of the block. Raises CommandError if the database can't be
    reached or is not migrated, and in place of errors of PostgreSQL or the API's code within the block.
    """
    with open_database(current) as database:
        tx = database.read()
        try:
            yield tx
        finally:
            tx.end()


@contextlib.contextmanager
def writing(current: Config) -> Iterator[Transaction]:
    """Open a transaction, committed at the end of the block, rolled back if the block raises. Raises CommandError if
    the database can't be reached or is not migrated, and in place of errors of PostgreSQL or the API's code within the
    block.
    """
    with open_database(current) as database, database.write() as tx:
        yield tx


def operator() -> str:
    """Return who runs the command, for the audit: account and host, `anna@web1`; under sudo the calling account."""
    account = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    return f"{account}@{socket.gethostname()}"


def as_json(command: argparse.ArgumentParser) -> None:
    """Add the option `--json` to a command."""
    command.add_argument("--json", action="store_true", help="as JSON, for programs")


def add_user_options(
    command: argparse.ArgumentParser, *, is_required: bool = True, domain: bool = False
) -> None:
    """Add the options that name a user: --email, or --site with --profile; with `domain` also --domain, for all users
    with an address of the domain or one below it. `is_required`: --email, --profile or --domain must be given.
    """
    command.add_argument("--site", metavar="KEY", help="subdomain of the site")
    who = command.add_mutually_exclusive_group(required=is_required)
    who.add_argument("--email", help="the user with this address")
    who.add_argument("--profile", metavar="NAME_OR_ID", help="the user of this profile of --site")
    if domain:
        who.add_argument("--domain", help="everybody with an address of this domain or below it")


def find_site(tx: Any, args: argparse.Namespace) -> int:
    """Return the id of the site that --site names. Without --site return 0, for all sites, if --everywhere is given and
    neither --profile nor --delete-posts; else raise CommandError. Raises NotFound for a site that is unknown or not
    live (`admin.site_id`).
    """
    from forumapi.command import admin

    if not args.site:
        if (
            getattr(args, "everywhere", False)
            and not args.profile
            and not getattr(args, "delete_posts", False)
        ):
            return 0
        raise CommandError("which site? --site KEY")
    return admin.site_id(tx, args.site)


def find_user(tx: Any, args: argparse.Namespace, site_id: int) -> int:
    """Return the id of the user with the address --email or, without that option, with the profile --profile on the
    site `site_id`, 0 for no site. Raises CommandError for --profile without a site, NotFound for an unknown user or
    profile.
    """
    from forumapi.command import admin

    if args.profile and not site_id:
        raise CommandError("a profile belongs to a site: --site KEY")
    return admin.user_id(tx, site_id, email=args.email, profile=args.profile)


def print_rows(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Print rows with the same keys as a table, "none" if there are none; or, if --json is given, as a JSON array."""
    if args.json:
        print(json.dumps(rows, default=str, indent=1, ensure_ascii=False))
        return
    if not rows:
        print("none")
        return
    cells = [[_cell(value) for value in row.values()] for row in rows]
    names = list(rows[0])
    widths = [max(len(names[i]), *(len(row[i]) for row in cells)) for i in range(len(names))]
    for line in (names, *cells):
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)
