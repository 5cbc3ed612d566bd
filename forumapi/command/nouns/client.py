"""Command `client`: register, list and remove applications of operators, which sign people in with a client secret."""

from __future__ import annotations

import argparse
import json

from forumapi.command.nouns.common import OK, Commands, as_json, print_rows, reading, writing
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `client` with its subcommands."""
    clients = commands.group("client", "applications that sign people in with a secret of theirs")
    register = clients.add("create", _create, "register an application and print its secret, once")
    register.add_argument("name", help="what it is, 50 characters at most")
    as_json(register)
    as_json(clients.add("list", _list, "the applications, without their secrets"))
    drop = clients.add("remove", _remove, "forget an application, and end the tokens it has got")
    drop.add_argument("id", type=int, help="the number that `client list` shows")
    drop.add_argument(
        "--keep-tokens", action="store_true", help="those who signed in through it stay signed in"
    )


def _create(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.operator_application import OperatorApplication

    with writing(current) as tx:
        client_id, secret = OperatorApplication.insert(tx, args.name)
    if args.json:
        print(json.dumps({"clientId": client_id, "name": args.name, "clientSecret": secret}))
    else:
        print(secret)
    return OK


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.operator_application import OperatorApplication

    with reading(current) as tx:
        found = OperatorApplication.find_all(tx)
    print_rows(args, [one._asdict() for one in found])
    return OK


def _remove(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.access.operator_application import OperatorApplication

    with writing(current) as tx:
        count = OperatorApplication.delete(tx, args.id, keeps_tokens=args.keep_tokens)
    print(f"removed; {count} tokens {'stay good' if args.keep_tokens else 'ended'}")
    return OK
