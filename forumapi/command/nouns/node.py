"""Command `node`: check the web process of this machine, take it out of a balancer and back, and replace it."""

from __future__ import annotations

import argparse

from forumapi.command.nouns.common import OK, CommandError, Commands
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `node` with its subcommands."""
    nodes = commands.group("node", "the web process of this machine")
    nodes.add("out", _out, "say that it is not ready, so that balancers leave it")
    nodes.add("in", _in, "take that back")
    checking = nodes.add("check", _check, "does it answer, show a page, say it is ready")
    checking.add_argument("--build", default="", help="it must be of this build")
    checking.add_argument("--out", action="store_true", help="it need not say it is ready")
    checking.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long it may take"
    )
    replacing = nodes.add("replace", _replace, "have `hold` start it anew and hand over to it")
    replacing.add_argument(
        "--website", action="store_true", help="the website's own process, of `hold --website`"
    )


def _out(args: argparse.Namespace, current: Config) -> int:
    return _put(current, is_out=True)


def _in(args: argparse.Namespace, current: Config) -> int:
    return _put(current, is_out=False)


def _put(current: Config, *, is_out: bool) -> int:
    from forumapi.server import health_client

    try:
        health_client.put(current, is_out=is_out)
    except OSError as error:
        raise CommandError(str(error)) from None
    return OK


def _check(args: argparse.Namespace, current: Config) -> int:
    from forumapi.server import health_client

    if found := health_client.check(current, args.build, is_out=args.out, wait_s=args.wait):
        raise CommandError(found)
    return OK


def _replace(args: argparse.Namespace, current: Config) -> int:
    from forumapi.server import listener_holder

    kind = listener_holder.WEBSITE if args.website else listener_holder.WEB
    try:
        failure = listener_holder.replace(current.data_path, current.release_trial_s, kind).failure
    except (listener_holder.HoldError, OSError) as error:
        raise CommandError(str(error)) from None
    if failure:
        raise CommandError(f"the old web process stays: {failure}; see its log")
    return OK
