"""Command `mail`: list queued and dead mails, send them again, and take bounces in."""

from __future__ import annotations

import argparse
import sys
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
    """Define the command `mail` with its subcommands."""
    mails = commands.group("mail", "outgoing mail: queued and dead mails, bounces")
    waiting = mails.add("list", _list, "mails, newest first; never their texts")
    waiting.add_argument(
        "--state",
        choices=("waiting", "dead", "dropped", "sent"),
        help="waiting and dead when left out",
    )
    waiting.add_argument("--site", metavar="KEY", help="of this site only")
    waiting.add_argument("--limit", type=int, default=100, help="at most so many (default 100)")
    as_json(waiting)
    again = mails.add("retry", _retry, "send dead mails and those that wait after a failure")
    again.add_argument("--id", type=int, help="this mail only: the number that `mail list` shows")
    again.add_argument("--site", metavar="KEY", help="of this site only")
    bounce = mails.add(
        "bounce",
        _bounce,
        "read reports of mail that could not be delivered; addresses that are gone get none any more",
    )
    bounce.add_argument(
        "mailbox",
        nargs="*",
        type=Path,
        help="mbox file, maildir, folder or file of messages; one message on standard input when left out",
    )


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.mail import outbox

    waiting = ("queued", "unwritten")
    states = {None: (*waiting, "dead"), "waiting": waiting}.get(args.state, (args.state,))
    with reading(current) as tx:
        site_id = admin.site_id(tx, args.site) if args.site else None
        found = outbox.list_all(tx, states, site_id=site_id, limit=max(args.limit, 1))
    print_rows(args, [one._asdict() for one in found])
    return OK


def _retry(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.mail import outbox

    with writing(current) as tx:
        site_id = admin.site_id(tx, args.site) if args.site else None
        count = outbox.retry(tx, mail_id=args.id, site_id=site_id)
    print(f"{count} mails are due now")
    return OK if count or args.id is None else FAILED


def _bounce(args: argparse.Namespace, current: Config) -> int:
    from forumapi.mail import bounces
    from forumapi.models.access import platform_secret

    try:
        found = [data for path in args.mailbox for data in bounces.messages(path)]
    except OSError as error:
        raise CommandError(str(error)) from None
    if not args.mailbox:
        found = [sys.stdin.buffer.read(bounces.MAX_BYTES)]
    taken = 0
    with writing(current) as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
        for data in found:
            report = bounces.read(data)
            if report is not None:
                taken += 1
                print(bounces.apply(tx, secret, report))
    print(f"{len(found)} messages, {taken} reports of mail that failed for good")
    return OK
