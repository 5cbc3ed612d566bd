"""Command `links`: block and unblock domains, to which short links then do not lead, and list them."""

from __future__ import annotations

import argparse
from pathlib import Path

from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    as_json,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `links` with its subcommands."""
    links = commands.group("links", "short links: domains that are not followed to")
    refuse = links.add("block", _block, "refuse links to domains and all below them")
    refuse.add_argument("domain", nargs="*")
    refuse.add_argument(
        "--list",
        type=Path,
        action="append",
        default=[],
        help="a file of domains, one a line, or as in a hosts file",
    )
    follow = links.add("unblock", _unblock, "refuse links to these domains no more")
    follow.add_argument("domain", nargs="+")
    as_json(links.add("blocked", _blocked, "the domains that are refused"))


def _block(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.texts import short_link

    listed: list[str] = []
    try:
        for path in args.list:
            with path.open(encoding="utf-8") as lines:
                listed += short_link.domains_in(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(str(error)) from None
    with writing(current) as tx:
        domains = [*(short_link.checked_domain(one) for one in args.domain), *listed]
        count = short_link.block(tx, domains)
    print(f"{count} of {len(domains)} domains were not blocked before")
    return OK


def _unblock(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.texts import short_link

    with writing(current) as tx:
        count = short_link.unblock(tx, [short_link.checked_domain(one) for one in args.domain])
    print(f"{count} domains are followed again")
    return OK if count else FAILED


def _blocked(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.texts import short_link

    with reading(current) as tx:
        found = short_link.list_blocked(tx)
    print_rows(args, [one._asdict() for one in found])
    return OK
