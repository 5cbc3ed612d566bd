"""Command `token`: create, list and revoke access tokens."""

from __future__ import annotations

import argparse
import json

from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    add_user_options,
    as_json,
    find_site,
    find_user,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `token` with its subcommands."""
    tokens = commands.group("token", "access tokens")
    make = tokens.add(
        "create",
        _create,
        "make a token and print its secret, once; with --site it is good there only",
    )
    add_user_options(make)
    make.add_argument("--name", default="command line", help="what it is for")
    make.add_argument("--days", type=int, help="its life; the setting token_days when left out")
    make.add_argument(
        "--scope",
        action="append",
        metavar="SCOPE",
        help="limit it to this, such as conversations:read; may be given again",
    )
    as_json(make)
    listed = tokens.add("list", _list, "tokens, without their secrets")
    add_user_options(listed, is_required=False)
    as_json(listed)
    revoke = tokens.add("revoke", _revoke, "delete tokens")
    revoke.add_argument("--id", type=int, help="the number that `token list` shows")
    revoke.add_argument("--secret", help="the token itself")
    add_user_options(revoke, is_required=False)


def _create(args: argparse.Namespace, current: Config) -> int:
    from forumapi import routes
    from forumapi.models.access import api_keys_sessions
    from forumapi.models.access.access_token import DAY_S, KEY, AccessToken
    from forumapi.wire import scopes

    known = scopes.known(
        (url, verb) for url, handler in routes.SITE.items() for verb in handler.operations
    )
    days = current.token_days if args.days is None else args.days
    if not 1 <= days <= 3_650:
        raise CommandError("--days must be between 1 and 3650")
    with writing(current) as tx:
        name = api_keys_sessions.checked_name(args.name, api_keys_sessions.MOST_NAME)
        granted = api_keys_sessions.checked_scopes(args.scope, known) if args.scope else None
        site_id = find_site(tx, args) if args.site else 0
        user_id = find_user(tx, args, site_id)
        secret = AccessToken.insert(
            tx,
            user_id,
            kind=KEY,
            life_s=days * DAY_S,
            name=name,
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


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.access_token import AccessToken

    with reading(current) as tx:
        user_id = 0
        if args.email or args.profile:
            user_id = find_user(tx, args, find_site(tx, args) if args.site else 0)
        tokens = AccessToken.find_all(tx, user_id)
    print_rows(args, [found._asdict() for found in tokens])
    return OK


def _revoke(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.access_token import AccessToken

    if not (args.id or args.secret or args.email or args.profile):
        raise CommandError(
            "which token? --id, --secret, or --email or --profile for all of a user's"
        )
    with writing(current) as tx:
        if args.id:
            count = int(AccessToken.delete_by_id(tx, args.id) > 0)
        elif args.secret:
            count = int(AccessToken.delete(tx, args.secret) > 0)
        else:
            user_id = find_user(tx, args, find_site(tx, args) if args.site else 0)
            count = AccessToken.delete_of_user(tx, user_id)
    print(f"{count} tokens revoked")
    return OK if count else FAILED
