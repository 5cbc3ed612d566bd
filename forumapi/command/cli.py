"""The command line. Exit codes: 0 done, 1 failed or found wanting, 2 called wrongly.

Nothing heavy is imported before a command is chosen: `serve` must patch the standard library first.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forumapi import __version__, build, config
from forumapi.config import Config
from forumapi.errors import ConfigError
from forumapi.observability import log

if TYPE_CHECKING:
    from forumapi.database.connections import Database

Command = Callable[[argparse.Namespace, Config], int]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2


class CommandError(Exception):
    """A command could not do what it was asked to; the message is for the person who asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(arguments)
    if args.config is not None:
        os.environ[config.ENV_FILE] = str(args.config)
    command: Command = args.command
    try:
        current = config.load()
        return command(args, current)
    except ConfigError as error:
        return _fail(str(error))
    except CommandError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # `forumapi token list | head`: nobody reads on, which is no failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except OSError as error:
        if not error.filename:
            raise
        # A file or folder of the machine: its name and what is wrong are all that there is to say.
        is_data = str(error.filename).startswith(str(current.data_path))
        mend = "; data_dir (FORUMAPI_DATA_DIR) names another folder" if is_data else ""
        return _fail(f"{error.filename}: {error.strerror}{mend}")


def _fail(message: str) -> int:
    print(f"forumapi: {message}", file=sys.stderr)
    return FAILED


# ---------------------------------------------------------------- what can be called


def parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    whole = argparse.ArgumentParser(
        prog="forumapi",
        description="Engine of a multi-tenant forum platform. `forumapi COMMAND --help` tells more.",
    )
    whole.add_argument("--version", action="version", version=f"forumapi {__version__} ({build()})")
    whole.add_argument("--config", type=Path, metavar="FILE", help="settings file")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Command, text: str, into: Any = commands
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = into.add_parser(name, help=text, description=text)
        added.set_defaults(command=run)
        return added

    def group(name: str, text: str) -> Any:
        holder = commands.add_parser(name, help=text, description=text)
        return holder.add_subparsers(title="commands", metavar="COMMAND", required=True)

    running = command("run", _run, "PostgreSQL, demo sites, web and cron: everything, until Ctrl-C")
    running.add_argument(
        "--open-to-others",
        action="store_true",
        help="let it listen beyond this machine, where anybody may sign in as anybody",
    )
    command("serve", _serve, "the web process alone")
    holding = command("hold", _hold, "the web process, replaced on `node replace` without a gap")
    holding.add_argument(
        "program", nargs="?", default="", help="the forumapi to run, by path; this one if left out"
    )
    cron = command("cron", _cron, "the cron process alone")
    cron.add_argument(
        "what",
        nargs="?",
        choices=("list", "run", "history"),
        help="show the schedule and how each job's latest run went, run one job now, show the latest runs",
    )
    cron.add_argument("job", nargs="?", metavar="JOB", help="for run and history: which job")
    cron.add_argument("--once", action="store_true", help="run what is due, and end")
    cron.add_argument("--limit", type=int, default=20, help="how many runs history shows")
    _as_json(cron)
    migrating = command("migrate", _migrate, "bring the database to this release")
    migrating.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if something is pending"
    )
    migrating.add_argument(
        "--wait",
        type=float,
        nargs="?",
        const=math.inf,
        default=0.0,
        metavar="SECONDS",
        help="before that, wait until PostgreSQL answers, with --check until nothing is pending: so long, or as "
        "long as it takes",
    )
    routes = command("routes", _routes, "every address with its methods and what they need")
    routes.add_argument("--host", choices=("root", "site"), help="one of the two sets only")

    nodes = group("node", "the web process of this machine")
    command("out", _node_out, "say that it is not ready, so that balancers leave it", nodes)
    command("in", _node_in, "take that back", nodes)
    checking = command("check", _node_check, "does it answer, show a page, say it is ready", nodes)
    checking.add_argument("--build", default="", help="it must be of this build")
    checking.add_argument("--out", action="store_true", help="it need not say it is ready")
    checking.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long it may take"
    )
    command("replace", _node_replace, "have `hold` start it anew and hand over to it", nodes)

    backups = group("backup", "backups of the database and the files")
    backing = command("create", _backup_create, "make one", backups)
    backing.add_argument("--to", type=Path, required=True, metavar="DIR", help="where they stand")
    backing.add_argument("--keep", type=int, default=0, help="so many of the newest stay; 0: all")
    known = command("list", _backup_list, "those that are complete, newest first", backups)
    known.add_argument("--to", type=Path, required=True, metavar="DIR", help="where they stand")
    _as_json(known)
    again = command("verify", _backup_verify, "read one again, every byte", backups)
    again.add_argument("backup", type=Path)
    back = command("restore", _backup_restore, "into an empty database and a folder", backups)
    back.add_argument("backup", type=Path)
    back.add_argument("--database", required=True, metavar="URL", help="an empty one")
    back.add_argument("--files", type=Path, metavar="DIR", help="where the files are to stand")
    installing = command("install", _install, "put this file where services find it")
    installing.add_argument(
        "--destdir", default="", metavar="FOLDER", help="below this folder, not on this machine"
    )
    installing.add_argument("--upstart", action="store_true", help="with the jobs of Upstart")

    settings = group("config", "settings")
    show = command("show", _config_show, "every setting with its value", settings)
    show.add_argument("--notes", action="store_true", help="with what each is for")
    command("check", _config_check, "read the settings and say whether they are good", settings)
    get = command("get", _config_get, "one setting", settings)
    get.add_argument("name")
    change = command("set", _config_set, "write one setting into the file, comments kept", settings)
    change.add_argument("name")
    change.add_argument("value", help="lists with commas between")

    sites = group("site", "sites")
    create = command("create", _site_create, "make a site", sites)
    create.add_argument("key", help="its subdomain: lower case letters and digits")
    create.add_argument("--title", required=True)
    create.add_argument("--description", default="")
    create.add_argument(
        "--owner", required=True, metavar="EMAIL", help="made a user if there is none"
    )
    _as_json(command("list", _site_list, "all sites", sites))
    owner = command(
        "owner", _site_owner, "say who owns a site; the platform's own is `root`", sites
    )
    owner.add_argument("key", help="its subdomain")
    owner.add_argument(
        "--email", required=True, help="the new owner, who gets a profile there if there is none"
    )

    pages = command("web-url", _site_web_url, "say where a site's pages are, on any host", sites)
    pages.add_argument("key", help="its subdomain")
    pages.add_argument("url", help="https://…; empty for nowhere")
    options = command(
        "options", _site_options, "show the options of a site, after setting those given", sites
    )
    options.add_argument("key", help="its subdomain")
    for name, text in (
        ("--members-create-microcosms", "else its owner alone makes microcosms"),
        ("--send-email", "mail to profiles that are made from now on, unless they turn it off"),
        ("--send-sms", "likewise"),
        (
            "--second-factor",
            "demand one of those who moderate; `no` lets in again who is locked out",
        ),
    ):
        options.add_argument(name, choices=("yes", "no"), help=text)
    _as_json(options)
    law = command("legal", _site_legal, "show a legal document's template, or replace it", sites)
    law.add_argument("key", help="subdomain of the site; the platform's own is `root`")
    law.add_argument("document", help="cookies, privacy or terms; of the platform: service")
    how = law.add_mutually_exclusive_group()
    how.add_argument("--file", type=Path, metavar="FILE", help="the new text, as HTML with $names")
    how.add_argument("--link", metavar="URL", help="it is kept there instead")
    how.add_argument("--reset", action="store_true", help="back to the text of the software")

    bans = group("ban", "bans: who may not take part")
    add = command("add", _ban_add, "ban a user, or everybody of an e-mail domain", bans)
    _who(add, domain=True)
    add.add_argument("--everywhere", action="store_true", help="on all sites, not only on --site")
    add.add_argument("--days", type=int, help="how long; for good when left out")
    add.add_argument("--reason", default="", help="shown to the user")
    add.add_argument("--note", default="", help="for operators only")
    add.add_argument(
        "--delete-posts",
        action="store_true",
        help="delete the user's items and comments on --site too",
    )
    lift = command("lift", _ban_lift, "end the bans of a user or of an e-mail domain", bans)
    _who(lift, domain=True)
    lift.add_argument(
        "--everywhere", action="store_true", help="the platform-wide ones, not those of --site"
    )
    shown = command("list", _ban_list, "the bans there are", bans)
    shown.add_argument("--site", metavar="KEY", help="those that hold on this site")
    _as_json(shown)

    mails = group("mail", "outgoing mail: what waits, what is parked, what came back")
    waiting = command("list", _mail_list, "mails, newest first; never their texts", mails)
    waiting.add_argument(
        "--state",
        choices=("waiting", "dead", "dropped", "sent"),
        help="waiting and dead when left out",
    )
    waiting.add_argument("--site", metavar="KEY", help="of this site only")
    waiting.add_argument("--limit", type=int, default=100, help="at most so many (default 100)")
    _as_json(waiting)
    again = command("retry", _mail_retry, "send what is parked, or waits after a failure", mails)
    again.add_argument("--id", type=int, help="this mail only: the number that `mail list` shows")
    again.add_argument("--site", metavar="KEY", help="of this site only")
    bounce = command(
        "bounce",
        _mail_bounce,
        "read reports of mail that could not be delivered; addresses that are gone get none any more",
        mails,
    )
    bounce.add_argument(
        "mailbox",
        nargs="*",
        type=Path,
        help="mbox file, maildir, folder or file of messages; one message on standard input when left out",
    )

    links = group("links", "short links: domains that are not followed to")
    refuse = command("block", _links_block, "refuse links to domains and all below them", links)
    refuse.add_argument("domain", nargs="*")
    refuse.add_argument(
        "--list",
        type=Path,
        action="append",
        default=[],
        help="a file of domains, one a line, or as in a hosts file",
    )
    follow = command("unblock", _links_unblock, "refuse links to these domains no more", links)
    follow.add_argument("domain", nargs="+")
    _as_json(command("blocked", _links_blocked, "the domains that are refused", links))

    tokens = group("token", "access tokens")
    make = command(
        "create",
        _token_create,
        "make a token and print its secret, once; with --site it is good there only",
        tokens,
    )
    _who(make)
    make.add_argument("--name", default="command line", help="what it is for")
    make.add_argument("--days", type=int, help="its life; the setting token_days when left out")
    make.add_argument(
        "--scope",
        action="append",
        metavar="SCOPE",
        help="limit it to this, such as conversations:read; may be given again",
    )
    _as_json(make)
    listed = command("list", _token_list, "tokens, without their secrets", tokens)
    _who(listed, is_required=False)
    _as_json(listed)
    revoke = command("revoke", _token_revoke, "delete tokens", tokens)
    revoke.add_argument("--id", type=int, help="the number that `token list` shows")
    revoke.add_argument("--secret", help="the token itself")
    _who(revoke, is_required=False)

    clients = group("client", "applications that sign people in with a secret of theirs")
    register = command(
        "create", _client_create, "register an application and print its secret, once", clients
    )
    register.add_argument("name", help="what it is, 50 characters at most")
    _as_json(register)
    _as_json(command("list", _client_list, "the applications, without their secrets", clients))
    drop = command(
        "remove", _client_remove, "forget an application, and end the tokens it has got", clients
    )
    drop.add_argument("id", type=int, help="the number that `client list` shows")
    drop.add_argument(
        "--keep-tokens", action="store_true", help="those who signed in through it stay signed in"
    )

    ways = group("sign-in", "ways to sign in, of one site or of all that have none of their own")
    one = command("list", _sign_in_list, "the ways there are; secrets are never shown", ways)
    one.add_argument("--site", metavar="KEY", help="as they stand on this site")
    _as_json(one)
    put = command("set", _sign_in_set, "set one up and switch it on, or off", ways)
    put.add_argument("method")
    put.add_argument(
        "settings", nargs="*", metavar="NAME=VALUE", help="- for a value: a line of standard input"
    )
    put.add_argument("--off", action="store_true", help="switch it off")
    put.add_argument("--site", metavar="KEY", help="on this site only")
    clear = command("clear", _sign_in_clear, "forget what was set up", ways)
    clear.add_argument("method")
    clear.add_argument("--site", metavar="KEY", help="of this site only")

    reset = command(
        "reset", _sign_in_reset, "take the second factor from a user who has lost it", ways
    )
    _who(reset)

    hooks = group("webhooks", "webhooks: addresses that are told of what happens on a site")
    listing = command("list", _webhooks_list, "all webhooks, without their secrets", hooks)
    listing.add_argument("--site", metavar="KEY", help="those of this site")
    _as_json(listing)
    replay = command("replay", _webhooks_replay, "send the dead letters of one again", hooks)
    replay.add_argument("--site", metavar="KEY", required=True, help="subdomain of the site")
    replay.add_argument(
        "--id", type=int, required=True, help="the number that `webhooks list` shows"
    )

    seed = command("seed", _seed, "fill an empty database with real threads")
    seed.add_argument(
        "--size", choices=("S", "M", "L"), default="S", help="3, 20 or 300 sites (default S)"
    )
    command("openapi", _openapi, "the OpenAPI document")
    pages = command("docs", _docs, "the documentation of this release")
    pages.add_argument("page", nargs="?", help="such as operations; all names when left out")
    command("doctor", _doctor, "check every dependency and say how to mend what is wrong")
    shell = command("shell", _shell, "Python with the settings and the database at hand")
    shell.add_argument("--sql", action="store_true", help="psql instead")
    return whole


def _as_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON, for programs")


def _who(
    command: argparse.ArgumentParser, *, is_required: bool = True, domain: bool = False
) -> None:
    command.add_argument("--site", metavar="KEY", help="subdomain of the site")
    who = command.add_mutually_exclusive_group(required=is_required)
    who.add_argument("--email", help="the user with this address")
    who.add_argument("--profile", metavar="NAME_OR_ID", help="the user of this profile of --site")
    if domain:
        who.add_argument("--domain", help="everybody with an address of this domain or below it")


# ---------------------------------------------------------------- processes


def _run(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import run_everything
    from forumapi.database.embedded_postgres import EmbeddedError
    from forumapi.database.migrations import MigrateError

    log.configure(level="warning")
    try:
        run_everything.run(current, is_open=args.open_to_others)
    except (run_everything.RunError, EmbeddedError, MigrateError) as error:
        raise CommandError(str(error)) from None
    return OK


def _check_start(current: Config) -> None:
    """Raises CommandError unless a process that serves others may start with these settings."""
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


def _serve(args: argparse.Namespace, current: Config) -> int:
    _check_start(current)
    # Before anything that opens a socket is imported, or it would block all requests of a worker.
    from gevent import monkey

    monkey.patch_all()
    from forumapi.server import worker

    try:
        worker.serve(_with_database(current))
    except worker.StartError as error:
        raise CommandError(str(error)) from None
    return OK


def _hold(args: argparse.Namespace, current: Config) -> int:
    _check_start(current)
    from forumapi.server import listener_holder

    try:
        return listener_holder.run(current, args.program)
    except listener_holder.HoldError as error:
        raise CommandError(str(error)) from None


def _node_out(args: argparse.Namespace, current: Config) -> int:
    return _node_put(current, is_out=True)


def _node_in(args: argparse.Namespace, current: Config) -> int:
    return _node_put(current, is_out=False)


def _node_put(current: Config, *, is_out: bool) -> int:
    from forumapi.server import node_status

    try:
        node_status.put(current, is_out=is_out)
    except OSError as error:
        raise CommandError(str(error)) from None
    return OK


def _node_check(args: argparse.Namespace, current: Config) -> int:
    from forumapi.server import node_status

    if found := node_status.check(current, args.build, is_out=args.out, wait_s=args.wait):
        raise CommandError(found)
    return OK


def _node_replace(args: argparse.Namespace, current: Config) -> int:
    from forumapi.server import listener_holder

    try:
        failure = listener_holder.replace(current.data_path, current.release_trial_s).failure
    except (listener_holder.HoldError, OSError) as error:
        raise CommandError(str(error)) from None
    if failure:
        raise CommandError(f"the old web process stays: {failure}; see its log")
    return OK


def _install(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import install

    try:
        install.install(Path(args.destdir or "/"), upstart=args.upstart, progress=print)
    except install.InstallError as error:
        raise CommandError(str(error)) from None
    return OK


def _cron(args: argparse.Namespace, current: Config) -> int:
    if args.what is None or (args.what == "run" and current.beside_run is current):
        _check_start(current)
    from forumapi.cron import runner, schedule

    if args.job is not None and args.job not in {job.name for job in schedule.JOBS}:
        raise CommandError(f"there is no job {args.job}; `forumapi cron list` shows them")
    if args.what == "list":
        return _cron_list(args, current)
    if args.what == "history":
        return _cron_history(args, current)
    if args.what == "run":
        return _cron_run(args, current)
    log.apply(current, access=False)
    if args.once:
        settings = config.Settings(_with_database(current))
        try:
            failed = runner.Runner(settings.current.direct_url, settings).run_pending()
        except runner.LeadsElsewhereError as error:
            raise CommandError(str(error)) from None
        return FAILED if failed else OK
    runner.run(_with_database(current))
    return OK


def _cron_list(args: argparse.Namespace, current: Config) -> int:
    """Each job: its schedule, the same in words, its latest run and how that went, what is next, what it does."""
    from forumapi.cron import runner

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        rows = [
            {
                "job": job.name,
                "schedule": job.line,
                "in words, UTC": job.words,
                "latest": last and _second(last.due),
                "outcome": last and last.outcome,
                "next": _second(due),
                "what it does": " ".join((job.work.__doc__ or "").split()),
            }
            for job, due, last in runner.overview(read.tx, runner.utc_now())
        ]
    _print(args, rows)
    return OK


def _cron_history(args: argparse.Namespace, current: Config) -> int:
    from forumapi.cron import runner

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        runs = runner.history(read.tx, args.job, max(args.limit, 1))
    rows = [
        {
            "due, UTC": _second(run.due),
            "job": run.task,
            "outcome": run.outcome,
            "tries": run.attempts,
            "seconds": round(run.took_s, 2),
            "what it did": run.detail,
        }
        for run in runs
    ]
    _print(args, rows)
    return OK


def _cron_run(args: argparse.Namespace, current: Config) -> int:
    from forumapi.cron import runner

    if args.job is None:
        raise CommandError("which job? `forumapi cron list` shows them")
    current = current.beside_run
    with _database(current) as database:
        print(runner.run_once(database.url, current, args.job))
    return OK


def _second(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _with_database(current: Config) -> Config:
    """The settings with an address of the database: the configured one, else that of a running embedded server."""
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
def _database_url(current: Config) -> Iterator[str]:
    """The direct address of the database; an embedded one is started for the time it is needed."""
    from forumapi.database import embedded_postgres

    try:
        with embedded_postgres.database(current, lambda text: print(text, file=sys.stderr)) as url:
            yield url
    except embedded_postgres.EmbeddedError as error:
        raise CommandError(str(error)) from None


@contextlib.contextmanager
def _database(current: Config) -> Iterator[Database]:
    """The database, migrated. Raises CommandError when it is away, not migrated, or refuses what a command asks."""
    import psycopg

    from forumapi.database import migrations
    from forumapi.database.connections import Database
    from forumapi.errors import ApiError

    # What goes wrong is this command's answer; a second line about it in the log would say nothing new.
    log.configure(level="error")
    with _database_url(current) as url:
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


# ---------------------------------------------------------------- database


def _migrate(args: argparse.Namespace, current: Config) -> int:
    import psycopg

    from forumapi.database import migrations

    with _database_url(current) as url:
        try:
            names = _pending(url, args.wait, is_check=args.check)
            if args.check:
                for name in names:
                    print(f"pending: {name}")
                return FAILED if names else OK
            names = migrations.migrate(url, current, progress=print)
        except (psycopg.Error, migrations.MigrateError) as error:
            raise CommandError(str(error)) from None
    print(f"done: {len(names)} steps" if names else "nothing to do")
    return OK


def _pending(url: str, wait_s: float, *, is_check: bool) -> list[str]:
    """What is pending, as soon as PostgreSQL says so; when `is_check`, as soon as nothing is, or when time is up.

    Raises psycopg.Error, MigrateError.
    """
    import psycopg

    from forumapi.database import migrations

    deadline = time.monotonic() + wait_s
    said = ""
    while True:
        is_over = time.monotonic() >= deadline
        try:
            names = migrations.pending(url)
            if is_over or not is_check or not names:
                return names
            why = f"pending: {', '.join(names)}"
        except psycopg.OperationalError as error:
            if is_over:
                raise
            why = str(error).strip()
        if why != said:
            said = why
            print(f"waiting: {why}", file=sys.stderr, flush=True)
        time.sleep(0.5)


# ---------------------------------------------------------------- backups


def _backup_create(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    files = None if current.s3_bucket else current.files_folder
    with _database_url(current) as url, _backup_errors():
        folder, manifest = backup.create(
            url, files if files is None or files.exists() else None, args.to, keep=args.keep
        )
    if files is None:
        print("files are in the bucket, which has copies of its own (docs/operations.md)")
    if current.backup_status_path is not None:
        backup.note(current.backup_status_path, manifest)
    print(f"{folder}: {manifest.bytes:,} bytes, {manifest.files:,} files")
    return OK


def _backup_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    with _backup_errors():
        found = [(path, backup.Manifest.read(path)) for path in backup.listed(args.to)]
    rows: list[dict[str, Any]] = [
        {
            "backup": str(path),
            "finished": one.finished,
            "release": one.release,
            "bytes": one.bytes,
            "files": one.files,
        }
        for path, one in found
    ]
    _print(args, rows)
    return OK


def _backup_verify(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    with _backup_errors():
        manifest = backup.verify(args.backup)
    print(f"{args.backup} is whole: {manifest.finished}, {manifest.files:,} files")
    return OK


def _backup_restore(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import backup

    with _backup_errors():
        manifest = backup.restore(args.backup, args.database, args.files)
    print(
        f"the same as on {manifest.finished}: {len(manifest.tables)} tables, {manifest.files:,} files"
    )
    return OK


@contextlib.contextmanager
def _backup_errors() -> Iterator[None]:
    import psycopg

    from forumapi.command import backup

    try:
        yield
    except (backup.BackupError, OSError, psycopg.Error) as error:
        raise CommandError(str(error)) from None


def _seed(args: argparse.Namespace, current: Config) -> int:
    import psycopg

    from forumapi.command import seed
    from forumapi.command.run_everything import Progress
    from forumapi.database import migrations

    progress = Progress()
    with _database_url(current) as url:
        try:
            migrations.migrate(url, current, progress=progress)
            seed.load(url, current.beside_run, args.size, progress)
        except (psycopg.Error, migrations.MigrateError, seed.SeedError) as error:
            progress.end()
            raise CommandError(str(error)) from None
    progress.end()
    return OK


def _shell(args: argparse.Namespace, current: Config) -> int:
    import code

    import psycopg

    from forumapi.database import embedded_postgres

    with _database_url(current) as url:
        if args.sql:
            import shutil
            import subprocess

            program = shutil.which("psql") or str(embedded_postgres.binaries() / "psql")
            return subprocess.run([program, url], check=False).returncode
        with psycopg.connect(url, autocommit=True) as db:
            names = {"config": current, "db": db, "psycopg": psycopg}
            banner = f"forumapi {__version__}: config, db (psycopg, autocommit). db.execute('SELECT 1').fetchall()"
            code.interact(banner, local=names, exitmsg="")
    return OK


# ---------------------------------------------------------------- the API's own description


def _routes(args: argparse.Namespace, current: Config) -> int:
    from forumapi import routes

    for host, table in (("root", routes.ROOT), ("site", routes.SITE)):
        if args.host not in (None, host):
            continue
        for address, handler in table.items():
            for verb, operation in handler.operations.items():
                print(f"{host}  {verb:7} {operation.need.name:9} {address}")
    return OK


def _openapi(args: argparse.Namespace, current: Config) -> int:
    from forumapi import routes
    from forumapi.apidocs import openapi

    print(json.dumps(openapi.document(routes.ROOT, routes.SITE), indent=1, ensure_ascii=False))
    return OK


def _docs(args: argparse.Namespace, current: Config) -> int:
    folder = config.resource("docs")
    pages = {
        str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.md"))
    }
    if args.page is None:
        print("\n".join(pages))
    elif args.page in pages:
        print(pages[args.page].read_text(encoding="utf-8"), end="")
    else:
        raise CommandError(f"there is no page {args.page}; `forumapi docs` shows all")
    return OK


def _doctor(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import doctor

    log.configure(level="error")
    return OK if doctor.examine(current, print) else FAILED


# ---------------------------------------------------------------- settings


def _config_show(args: argparse.Namespace, current: Config) -> int:
    for name in config.SETTINGS:
        if args.notes:
            print(f"\n# {config.note(name)}")
        print(f"{name} = {config.shown(name, getattr(current, name))}")
    return OK


def _config_check(args: argparse.Namespace, current: Config) -> int:
    changed = config.diff(Config(), current)
    print(f"{current.path} and the environment are good; not at their defaults:")
    for name in sorted((*changed.applied, *changed.replaced, *changed.needs_restart)):
        print(f"  {name} = {config.shown(name, getattr(current, name))}")
    return OK


def _config_get(args: argparse.Namespace, current: Config) -> int:
    config.known(args.name)
    value = getattr(current, args.name)
    print(
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else str(value).lower()
        if isinstance(value, bool)
        else value
    )
    return OK


_EFFECTS: Final = {
    "reload": "SIGHUP to the web and the cron process applies it",
    "replace": "SIGHUP to the web and the cron process puts new ones in their place, no request is lost",
    "restart": "it takes effect at the next start",
}


def _config_set(args: argparse.Namespace, current: Config) -> int:
    if config.ENV_FILE not in os.environ:
        raise CommandError(
            f"which settings file? The one that came along belongs to the release: name yours in {config.ENV_FILE}, or"
            " forumapi --config FILE config set …"
        )
    config.set_value(current.path, args.name, args.value)
    if config.ENV_PREFIX + args.name.upper() in os.environ:
        print(
            f"written, but {config.ENV_PREFIX}{args.name.upper()} in the environment goes before it"
        )
    else:
        print(f"written; {_EFFECTS[config.effect(args.name)]}")
    return OK


# ---------------------------------------------------------------- sites, bans, tokens


def _site_create(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with _database(current) as database, database.write() as tx:
        text = args.description or args.title
        site_id = admin.create_site(tx, current.beside_run, args.key, args.title, text, args.owner)
    print(f"site {site_id}: {args.key}.{current.platform_domain}")
    return OK


def _site_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        sites = admin.list_sites(read.tx)
    _print(args, [found._asdict() for found in sites])
    return OK


def _site_owner(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with _database(current) as database, database.write() as tx:
        profile_id = admin.set_owner(tx, args.key, args.email)
    print(f"{args.key} is owned by profile {profile_id}")
    return OK


def _site_web_url(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with _database(current) as database, database.write() as tx:
        admin.lock_site(tx, args.key).set_web_url(tx, args.url)
    print(f"mails and feeds of {args.key} lead to {args.url or 'its API'}")
    return OK


def _site_options(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.access import sign_in_rules
    from forumapi.models.journal.journal import Author
    from forumapi.models.sites.site_options import SiteOptions

    def wanted(value: str | None) -> bool | None:
        return None if value is None else value == "yes"

    given = (
        wanted(args.members_create_microcosms),
        wanted(args.send_email),
        wanted(args.send_sms),
    )
    with _database(current) as database, database.write() as tx:
        author = Author(admin.site_id(tx, args.key), 0, "")
        if given != (None, None, None):
            create, email, sms = given
            SiteOptions.update(tx, author, members_create=create, send_email=email, send_sms=sms)
        if args.second_factor is not None:
            sign_in_rules.set_second_factor(tx, author, args.second_factor == "yes")
        shown = SiteOptions.find(tx, author.site_id)._asdict()
        shown["second_factor"] = sign_in_rules.needs_second_factor(tx, author.site_id)
    _print(args, [shown])
    return OK


def _site_legal(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.journal.journal import Author
    from forumapi.models.sites import legal
    from forumapi.models.sites.legal import LegalText

    documents = legal.ROOT_DOCUMENTS if args.key == "root" else legal.SITE_DOCUMENTS
    if args.document not in documents:
        raise CommandError(f"the documents of {args.key} are: {', '.join(documents)}")
    with _database(current) as database, database.write() as tx:
        author = Author(admin.site_id(tx, args.key), 0, "")
        if args.reset:
            LegalText.delete(tx, author, args.document)
        elif args.file or args.link:
            try:
                html = args.file.read_text(encoding="utf-8") if args.file else None
            except (OSError, UnicodeError) as error:
                raise CommandError(f"{args.file} can't be read: {error}") from None
            LegalText.upsert(tx, author, args.document, *legal.checked(html, args.link))
        text = LegalText.find(tx, author.site_id, args.document)
    print(text.link or text.body)
    return OK


def _ban_add(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.people import ban

    if args.days is not None and args.days < 1:
        raise CommandError("--days must be 1 or more")
    expires = None
    if args.days is not None:
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=args.days)
    with _database(current) as database, database.write() as tx:
        site_id = _site(tx, args)
        domain = ban.checked_domain(args.domain) if args.domain else ""
        if domain and args.delete_posts:
            raise CommandError("--delete-posts is for one user")
        user_id = 0 if domain else _user(tx, args, site_id)
        ban_id = ban.add(
            tx,
            user_id,
            domain=domain,
            site_id=0 if args.everywhere else site_id,
            expires=expires,
            display_reason=args.reason,
            admin_reason=args.note,
        )
        deleted = admin.delete_posts(tx, site_id, user_id) if args.delete_posts else 0
    print(
        f"ban {ban_id}" + (f"; {deleted} items and comments deleted" if args.delete_posts else "")
    )
    return OK


def _ban_lift(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.people import ban

    with _database(current) as database, database.write() as tx:
        site_id = _site(tx, args)
        where = 0 if args.everywhere else site_id
        if args.domain:
            lifted = ban.lift_domain(tx, ban.checked_domain(args.domain), site_id=where)
        else:
            lifted = ban.lift_user(tx, _user(tx, args, site_id), site_id=where)
    print(f"{lifted} bans lifted")
    return OK if lifted else FAILED


def _ban_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.people import ban

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        site_id = admin.site_id(read.tx, args.site) if args.site else 0
        bans = ban.list_all(read.tx, site_id)
    _print(args, [found._asdict() for found in bans])
    return OK


def _token_create(args: argparse.Namespace, current: Config) -> int:
    from forumapi import routes
    from forumapi.models.access import access_token, api_keys_sessions
    from forumapi.wire import scopes

    known = scopes.known(
        (url, verb) for url, handler in routes.SITE.items() for verb in handler.operations
    )
    days = current.token_days if args.days is None else args.days
    if not 1 <= days <= 3_650:
        raise CommandError("--days must be between 1 and 3650")
    with _database(current) as database, database.write() as tx:
        granted = api_keys_sessions.checked_scopes(args.scope, known) if args.scope else None
        site_id = _site(tx, args) if args.site else 0
        user_id = _user(tx, args, site_id)
        secret = access_token.make(
            tx,
            user_id,
            kind=access_token.KEY,
            life_s=days * access_token.DAY_S,
            name=args.name,
            site_id=site_id,
            scopes=granted,
        ).secret
    if args.json:
        print(
            json.dumps(
                {"token": secret, "userId": user_id, "siteId": site_id or None, "days": days}
            )
        )
    else:
        print(secret)
    return OK


def _token_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access import access_token

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        user_id = 0
        if args.email or args.profile:
            user_id = _user(read.tx, args, _site(read.tx, args) if args.site else 0)
        tokens = access_token.list_all(read.tx, user_id)
    _print(args, [found._asdict() for found in tokens])
    return OK


def _token_revoke(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access import access_token

    if not (args.id or args.secret or args.email or args.profile):
        raise CommandError(
            "which token? --id, --secret, or --email or --profile for all of a user's"
        )
    with _database(current) as database, database.write() as tx:
        if args.id:
            count = int(access_token.revoke_id(tx, args.id) > 0)
        elif args.secret:
            count = int(access_token.revoke(tx, args.secret) > 0)
        else:
            user_id = _user(tx, args, _site(tx, args) if args.site else 0)
            count = access_token.revoke_user(tx, user_id)
    print(f"{count} tokens revoked")
    return OK if count else FAILED


# ---------------------------------------------------------------- applications


def _client_create(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access import access_token

    with _database(current) as database, database.write() as tx:
        client_id, secret = access_token.add_client(tx, args.name)
    if args.json:
        print(json.dumps({"clientId": client_id, "name": args.name, "clientSecret": secret}))
    else:
        print(secret)
    return OK


def _client_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access import access_token

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        found = access_token.list_clients(read.tx)
    _print(args, [one._asdict() for one in found])
    return OK


def _client_remove(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access import access_token

    with _database(current) as database, database.write() as tx:
        count = access_token.remove_client(tx, args.id, keeps_tokens=args.keep_tokens)
    print(f"removed; {count} tokens {'stay good' if args.keep_tokens else 'ended'}")
    return OK


# ---------------------------------------------------------------- mail


def _mail_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.mail import outbox

    waiting = ("queued", "unwritten")
    states = {None: (*waiting, "dead"), "waiting": waiting}.get(args.state, (args.state,))
    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        site_id = admin.site_id(read.tx, args.site) if args.site else None
        found = outbox.list_all(read.tx, states, site_id=site_id, limit=max(args.limit, 1))
    _print(args, [one._asdict() for one in found])
    return OK


def _mail_retry(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.mail import outbox

    with _database(current) as database, database.write() as tx:
        site_id = admin.site_id(tx, args.site) if args.site else None
        count = outbox.retry(tx, mail_id=args.id, site_id=site_id)
    print(f"{count} mails are due now")
    return OK if count or args.id is None else FAILED


def _mail_bounce(args: argparse.Namespace, current: Config) -> int:
    from forumapi.mail import bounces
    from forumapi.models.access import platform_secret

    try:
        found = [data for path in args.mailbox for data in bounces.messages(path)]
    except OSError as error:
        raise CommandError(str(error)) from None
    if not args.mailbox:
        found = [sys.stdin.buffer.read(bounces.MAX_BYTES)]
    taken = 0
    with _database(current) as database, database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
        for data in found:
            report = bounces.read(data)
            if report is not None:
                taken += 1
                print(bounces.apply(tx, secret, report))
    print(f"{len(found)} messages, {taken} reports of mail that failed for good")
    return OK


# ---------------------------------------------------------------- links


def _links_block(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.content import link

    listed: list[str] = []
    try:
        for path in args.list:
            with path.open(encoding="utf-8") as lines:
                listed += link.domains_in(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(str(error)) from None
    with _database(current) as database, database.write() as tx:
        domains = [*(link.checked_domain(one) for one in args.domain), *listed]
        count = link.block(tx, domains)
    print(f"{count} of {len(domains)} domains were not blocked before")
    return OK


def _links_unblock(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.content import link

    with _database(current) as database, database.write() as tx:
        count = link.unblock(tx, [link.checked_domain(one) for one in args.domain])
    print(f"{count} domains are followed again")
    return OK if count else FAILED


def _links_blocked(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.content import link

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        found = link.list_blocked(read.tx)
    _print(args, [one._asdict() for one in found])
    return OK


# ---------------------------------------------------------------- ways to sign in


def _sign_in_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        found = admin.sign_in_methods(read.tx, current.beside_run, args.site)
    _print(args, [one._asdict() for one in found])
    return OK


def _sign_in_set(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    settings = {}
    for text in args.settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"{text}: what is it set to? NAME=VALUE")
        settings[name] = sys.stdin.readline().strip() if value == "-" else value
    with _database(current) as database, database.write() as tx:
        is_ready = admin.set_sign_in(
            tx, current.beside_run, args.site, args.method, settings, is_enabled=not args.off
        )
    print(f"{args.method}: {'off' if args.off else 'on' if is_ready else 'on, but not complete'}")
    return OK


def _sign_in_reset(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.totp import Totp

    with _database(current) as database, database.write() as tx:
        was_on = Totp.delete(tx, _user(tx, args, _site(tx, args) if args.site else 0))
    print("the second factor is off" if was_on else "there was none")
    return OK if was_on else FAILED


def _sign_in_clear(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with _database(current) as database, database.write() as tx:
        admin.clear_sign_in(tx, current.beside_run, args.site, args.method)
    print(f"{args.method}: cleared")
    return OK


def _webhooks_list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.notices import webhook

    with _database(current) as database, contextlib.closing(_Read(database)) as read:
        site_id = admin.site_id(read.tx, args.site) if args.site else 0
        webhooks = webhook.list_all(read.tx, site_id)
    _print(args, [listed._asdict() for listed in webhooks])
    return OK


def _webhooks_replay(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.notices.webhook import Webhook
    from forumapi.models.notices.webhook_delivery import LAST

    with _database(current) as database:
        count = 0
        while True:
            with database.write() as tx:
                site_id = _site(tx, args)
                webhook = Webhook.lock(tx, site_id, args.id)
                if webhook is None:
                    raise CommandError(f"there is no webhook {args.id} on {args.site}")
                if not webhook.is_enabled:
                    raise CommandError("it is disabled; its owner has to enable it first")
                some, reached = webhook.deliveries.replay(
                    tx, 1, LAST, everything=False, viewer=webhook.acts_as
                )
            count += some
            if reached == LAST:
                break
    print(f"{count} dead letters are sent again")
    return OK


class _Read:
    """A reader that `closing` can end."""

    def __init__(self, database: Database) -> None:
        self.tx = database.read()

    def close(self) -> None:
        self.tx.end()


def _site(tx: Any, args: argparse.Namespace) -> int:
    """The id of --site; 0 where --everywhere needs none. Raises CommandError."""
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


def _user(tx: Any, args: argparse.Namespace, site_id: int) -> int:
    from forumapi.command import admin

    if args.profile and not site_id:
        raise CommandError("a profile belongs to a site: --site KEY")
    return admin.user_id(tx, site_id, email=args.email, profile=args.profile)


def _print(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Rows as a table for people, or as JSON."""
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
