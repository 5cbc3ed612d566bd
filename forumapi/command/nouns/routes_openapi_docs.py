"""Commands `routes`, `openapi` and `docs`: print the API's routes, its OpenAPI document, and the documentation."""

from __future__ import annotations

import argparse
import json

from forumapi import config
from forumapi.command.nouns.common import OK, CommandError, Commands
from forumapi.config import Config


def add_routes(commands: Commands) -> None:
    """Define the command `routes`."""
    routes = commands.add(
        "routes", _routes, "every address with its methods, what they need, operation ids"
    )
    routes.add_argument("--host", choices=("root", "site"), help="one of the two sets only")


def add(commands: Commands) -> None:
    """Define the commands `openapi` and `docs`."""
    commands.add("openapi", _openapi, "the OpenAPI document")
    pages = commands.add("docs", _docs, "the documentation of this release")
    pages.add_argument("page", nargs="?", help="such as operations; all names when left out")


def _routes(args: argparse.Namespace, current: Config) -> int:
    from forumapi import routes
    from forumapi.apidocs.openapi import template
    from forumapi.apidocs.operation_ids import operation_id

    for host, table in (("root", routes.ROOT), ("site", routes.SITE)):
        if args.host not in (None, host):
            continue
        for address, handler in table.items():
            for verb, operation in handler.operations.items():
                name = operation_id(verb, template(address))
                print(f"{host}  {verb:7} {operation.need.name:9} {name:44} {address}")
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
