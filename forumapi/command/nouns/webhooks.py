"""Command `webhooks`: list webhooks, and list and replay their dead letters."""

from __future__ import annotations

import argparse

from forumapi.command.nouns.common import (
    OK,
    CommandError,
    Commands,
    as_json,
    find_site,
    open_database,
    print_rows,
    reading,
)
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `webhooks` with its subcommands."""
    hooks = commands.group(
        "webhooks", "webhooks: addresses that are told of what happens on a site"
    )
    listing = hooks.add("list", _list, "all webhooks, without their secrets")
    listing.add_argument("--site", metavar="KEY", help="those of this site")
    as_json(listing)
    replay = hooks.add("replay", _replay, "send the dead letters of one again")
    replay.add_argument("--site", metavar="KEY", required=True, help="subdomain of the site")
    replay.add_argument(
        "--id", type=int, required=True, help="the number that `webhooks list` shows"
    )


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.notifications import webhook

    with reading(current) as tx:
        site_id = admin.site_id(tx, args.site) if args.site else 0
        webhooks = webhook.list_all(tx, site_id)
    print_rows(args, [listed._asdict() for listed in webhooks])
    return OK


def _replay(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.notifications.webhook import Webhook
    from forumapi.models.notifications.webhook_delivery import LAST

    with open_database(current) as database:
        count = 0
        while True:
            with database.write() as tx:
                site_id = find_site(tx, args)
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
