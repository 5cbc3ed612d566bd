"""Command `ban`: ban users and e-mail domains, on a site or on all, lift bans, and list them."""

from __future__ import annotations

import argparse
import datetime

from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    add_user_options,
    as_json,
    find_site,
    find_user,
    open_database,
    operator,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `ban` with its subcommands."""
    bans = commands.group("ban", "bans: who may not take part")
    add = bans.add("add", _add, "ban a user, or everybody of an e-mail domain")
    add_user_options(add, domain=True)
    add.add_argument("--everywhere", action="store_true", help="on all sites, not only on --site")
    add.add_argument("--days", type=int, help="how long; for good when left out")
    add.add_argument("--reason", default="", help="shown to the user")
    add.add_argument("--note", default="", help="for operators only")
    add.add_argument(
        "--delete-posts",
        action="store_true",
        help="delete the user's items and comments on --site too",
    )
    lift = bans.add("lift", _lift, "end the bans of a user or of an e-mail domain")
    add_user_options(lift, domain=True)
    lift.add_argument(
        "--everywhere", action="store_true", help="the platform-wide ones, not those of --site"
    )
    shown = bans.add("list", _list, "the bans there are")
    shown.add_argument("--site", metavar="KEY", help="those that hold on this site")
    as_json(shown)


def _add(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.journal.journal import Author
    from forumapi.models.people import ban
    from forumapi.models.people.ban import Ban

    if args.days is not None and args.days < 1:
        raise CommandError("--days must be 1 or more")
    expires = None
    if args.days is not None:
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=args.days)
    with writing(current) as tx:
        site_id = find_site(tx, args)
        domain = ban.checked_domain(args.domain) if args.domain else ""
        if domain and args.delete_posts:
            raise CommandError("--delete-posts is for one user")
        reason = ban.checked_text(args.reason, "--reason", ban.MAX_REASON)
        note = ban.checked_text(args.note, "--note", ban.MAX_NOTE)
        user_id = 0 if domain else find_user(tx, args, site_id)
        ban_id = Ban.insert(
            tx,
            user_id,
            domain=domain,
            site_id=0 if args.everywhere else site_id,
            expires=expires,
            display_reason=reason,
            admin_reason=note,
        )
        account = operator()
        told = {"verb": "ban", "reason": reason, "note": note}
        admin.record_ban(tx, account, told, 0 if args.everywhere else site_id, user_id, domain)
        author = Author(site_id, 0, "", account)
        action_id = deleted = 0
        if args.delete_posts:
            action_id, deleted = admin.delete_posts(tx, author, user_id, reason)
    if action_id:
        with open_database(current) as database:
            admin.carry_out(database, site_id, action_id)
    said = f"ban {ban_id}"
    if args.delete_posts:
        said += f"; {deleted} items and comments deleted"
    if action_id:
        said += f"; moderators can undo action {action_id} for 30 days"
    print(said)
    return OK


def _lift(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.people import ban
    from forumapi.models.people.ban import Ban

    with writing(current) as tx:
        site_id = find_site(tx, args)
        where = 0 if args.everywhere else site_id
        user_id = 0 if args.domain else find_user(tx, args, site_id)
        domain = ban.checked_domain(args.domain) if args.domain else ""
        if domain:
            lifted = Ban.delete_of_domain(tx, domain, site_id=where)
        else:
            lifted = Ban.delete_of_user(tx, user_id, site_id=where)
        if lifted:
            admin.record_ban(tx, operator(), {"verb": "lift"}, where, user_id, domain)
    print(f"{lifted} bans lifted")
    return OK if lifted else FAILED


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.people.ban import Ban

    with reading(current) as tx:
        site_id = admin.site_id(tx, args.site) if args.site else 0
        bans = Ban.list_all(tx, site_id)
    print_rows(args, [found._asdict() for found in bans])
    return OK
