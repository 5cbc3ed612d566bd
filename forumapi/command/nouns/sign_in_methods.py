"""Command `sign-in`: list sign-in methods, set them up for a site or for all, and remove a user's second factor."""

from __future__ import annotations

import argparse
import sys

from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    add_user_options,
    as_json,
    find_site,
    find_user,
    operator,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `sign-in` with its subcommands."""
    ways = commands.group(
        "sign-in", "ways to sign in, of one site or of all that have none of their own"
    )
    one = ways.add("list", _list, "the ways there are; secrets are never shown")
    one.add_argument("--site", metavar="KEY", help="as they stand on this site")
    as_json(one)
    put = ways.add("set", _set, "set one up and switch it on, or off")
    put.add_argument("method")
    put.add_argument(
        "settings", nargs="*", metavar="NAME=VALUE", help="- for a value: a line of standard input"
    )
    put.add_argument("--off", action="store_true", help="switch it off")
    put.add_argument("--site", metavar="KEY", help="on this site only")
    clear = ways.add("clear", _clear, "forget what was set up")
    clear.add_argument("method")
    clear.add_argument("--site", metavar="KEY", help="of this site only")

    reset = ways.add("reset", _reset, "take the second factor from a user who has lost it")
    add_user_options(reset)


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with reading(current) as tx:
        found = admin.sign_in_methods(tx, current.beside_run, args.site)
    print_rows(args, [one._asdict() for one in found])
    return OK


def _set(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    settings = {}
    for text in args.settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"{text}: what is it set to? NAME=VALUE")
        settings[name] = sys.stdin.readline().strip() if value == "-" else value
    with writing(current) as tx:
        is_ready = admin.set_sign_in(
            tx,
            current.beside_run,
            args.site,
            args.method,
            settings,
            is_enabled=not args.off,
            operator=operator(),
        )
    print(f"{args.method}: {'off' if args.off else 'on' if is_ready else 'on, but not complete'}")
    return OK


def _reset(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.totp import Totp

    with writing(current) as tx:
        was_on = Totp.delete(tx, find_user(tx, args, find_site(tx, args) if args.site else 0))
    print("the second factor is off" if was_on else "there was none")
    return OK if was_on else FAILED


def _clear(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with writing(current) as tx:
        admin.clear_sign_in(tx, current.beside_run, args.site, args.method, operator())
    print(f"{args.method}: cleared")
    return OK
