"""Command `audit`: verify the audit's hash chains, show the changes of one profile, erase details of audit entries."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Final

from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    as_json,
    database_url,
    open_database,
    operator,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config

if TYPE_CHECKING:
    from forumapi.models.journal.audit_hash import Head

_HEAD: Final = re.compile(r"\b\d+\.\d+\.\d+\.[\w-]{43}\.[\w-]{86}")


def add(commands: Commands) -> None:
    """Define the command `audit` with its subcommands."""
    audit = commands.group("audit", "audit: who did what, and the proof that nobody changed it")
    verify = audit.add("verify", _verify, "check the audit of all sites, or of one")
    verify.add_argument(
        "head",
        nargs="*",
        metavar="HEAD",
        help="a signed head from the log: finds a cut tail and a chain that was made anew; -: standard input,"
        " such as the log itself",
    )
    verify.add_argument("--site", metavar="KEY", help="that site alone")
    as_json(verify)
    changes = audit.add("list", _list, "the latest changes of a profile, with addresses")
    changes.add_argument("--site", metavar="KEY", required=True, help="subdomain of the site")
    changes.add_argument("--profile", metavar="ID", type=int, required=True)
    changes.add_argument("--limit", type=int, default=100, help="how many; 1000 at most")
    as_json(changes)
    erase = audit.add(
        "erase",
        _erase,
        "erase addresses and texts in entries by or about a profile; the chain stays valid",
    )
    erase.add_argument("--site", metavar="KEY", required=True, help="subdomain of the site")
    erase.add_argument("--profile", metavar="ID", type=int, required=True)
    erase.add_argument("--reason", default="", help="for the entry that says so")


def _heads(given: list[str]) -> list[Head]:
    from forumapi.models.journal.audit_hash import Head

    texts = []
    for one in given:
        if one == "-":
            texts += _HEAD.findall(sys.stdin.read())
        else:
            texts.append(one)
    try:
        return [Head.parse(text) for text in texts]
    except (ValueError, OverflowError):
        raise CommandError(
            "a head is <site>.<number>.<time>.<hash>.<signature>, as the log has it"
        ) from None


def _verify(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.journal import audit_check, audit_hash

    heads = _heads(args.head)
    keys = audit_hash.keys(current.audit_key, current.data_path)
    with open_database(current) as database, database_url(current) as url:
        with database.write() as tx:
            only = admin.site_id(tx, args.site) if args.site else 0
        snapshot = audit_check.Snapshot(url)
        ids = [only] if only else [*audit_check.sites(snapshot), *(one.site_id for one in heads)]
        checks = [audit_check.check(snapshot, id, keys, heads) for id in sorted(set(ids))]
        snapshot.close()
    if args.json:
        print(json.dumps([one._asdict() for one in checks], indent=1))
    else:
        for one in checks:
            print(f"site {one.site_id}: {one.entries} entries, {one.first} to {one.last}")
            for fault in one.faults:
                print(f"  {fault}")
    return FAILED if any(one.faults for one in checks) else OK


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi import itemtypes
    from forumapi.command import admin
    from forumapi.models.journal import audit_page

    with reading(current) as tx:
        found = audit_page.of_profile(tx, admin.site_id(tx, args.site), args.profile, args.limit)
    rows = [
        {
            "created": one.created,
            "action": one.action,
            "type": itemtypes.name_of(one.item_type_id),
            "id": one.item_id,
            "address": one.ip,
        }
        for one in found
    ]
    print_rows(args, rows)
    return OK


def _erase(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.journal import audit_chain
    from forumapi.models.journal.journal import Author

    with writing(current) as tx:
        author = Author(admin.site_id(tx, args.site), 0, "", operator())
        erased = audit_chain.erase(tx, author, args.profile, args.reason)
    print(f"details of {erased} entries erased")
    return OK
