"""Commands `run`, `serve`, `hold` and `webclient`, which run processes that answer requests."""

from __future__ import annotations

import argparse
import os

from forumapi import config
from forumapi.command.nouns.common import OK, CommandError, Commands, check_start, with_database
from forumapi.config import Config
from forumapi.observability import log


def add(commands: Commands) -> None:
    """Define the commands `run`, `serve`, `hold` and `webclient`."""
    running = commands.add(
        "run", _run, "PostgreSQL, demo sites, web and cron: everything, until Ctrl-C"
    )
    running.add_argument(
        "--open-to-others",
        action="store_true",
        help="let it listen beyond this machine, where anybody may sign in as anybody",
    )
    commands.add("serve", _serve, "the web process alone")
    commands.add("webclient", _webclient, "the website alone, a client of the API over HTTP")
    holding = commands.add(
        "hold", _hold, "the web process, replaced on `node replace` without a gap"
    )
    holding.add_argument(
        "program", nargs="?", default="", help="the forumapi to run, by path; this one if left out"
    )
    holding.add_argument(
        "--website",
        action="store_true",
        help="the website's own process (`webclient`) in its place",
    )


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


def _serve(args: argparse.Namespace, current: Config) -> int:
    check_start(current)
    # Before anything that opens a socket is imported, or it would block all requests of a worker.
    from gevent import monkey

    monkey.patch_all()
    from forumapi.server import master
    from forumapi.server.worker import StartError

    try:
        master.serve(with_database(current))
    except StartError as error:
        raise CommandError(str(error)) from None
    return OK


def _webclient(args: argparse.Namespace, current: Config) -> int:
    # Into the environment, so that a reload of the settings finds it there too.
    api_url = current.webclient_api_url or config.url_of(current.listen)
    if not api_url:
        raise CommandError(
            "the API listens at a Unix socket: set webclient_api_url to an address of it"
        )
    os.environ["FORUMAPI_WEBCLIENT_API_URL"] = api_url
    os.environ["FORUMAPI_LISTEN"] = current.webclient_listen
    os.environ["FORUMAPI_ADMIN_LISTEN"] = ""
    own = config.load()
    from gevent import monkey

    monkey.patch_all()
    from forumapi.server import master, standalone_website
    from forumapi.server.worker import StartError

    try:
        master.serve(own, standalone_website.WebsiteProcess)
    except StartError as error:
        raise CommandError(str(error)) from None
    return OK


def _hold(args: argparse.Namespace, current: Config) -> int:
    if not args.website:
        check_start(current)
    from forumapi.server import listener_holder

    kind = listener_holder.WEBSITE if args.website else listener_holder.WEB
    try:
        return listener_holder.run(current, args.program, kind)
    except listener_holder.HoldError as error:
        raise CommandError(str(error)) from None
