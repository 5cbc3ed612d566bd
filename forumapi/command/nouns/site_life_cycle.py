"""Commands `site state`, `site delete` and `site deletions`: a site's state, its deletion, receipts of deletions."""

from __future__ import annotations

import argparse
from typing import Any

from forumapi.command.nouns.common import (
    OK,
    Commands,
    as_json,
    operator,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config


def add(sites: Commands) -> None:
    """Add the subcommands `state`, `delete` and `deletions` to the command `site`."""
    state = sites.add("state", _state, "show what holds a site back, or set it")
    state.add_argument("key", help="its subdomain")
    state.add_argument(
        "state",
        nargs="?",
        choices=("active", "read-only", "suspended"),
        help="active also takes a deletion back that has not begun",
    )
    as_json(state)
    delete = sites.add(
        "delete",
        _delete,
        "close a site, and delete it with all that it holds in 30 days; until then its owner may export it",
    )
    delete.add_argument("key", help="its subdomain")
    as_json(delete)
    as_json(
        sites.add(
            "deletions", _deletions, "sites to be deleted, and the receipts of those that were"
        )
    )


def _state(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.sites.site_state import SiteLifeCycle

    if args.state is None:
        with reading(current) as tx:
            found = SiteLifeCycle.find(tx, admin.any_site_id(tx, args.key))
        print_rows(args, [{"key": args.key, **found._asdict()}])
        return OK
    return _set(args, current, args.state)


def _delete(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.sites.site_state import EXPORT_WINDOW

    return _set(args, current, EXPORT_WINDOW)


def _set(args: argparse.Namespace, current: Config, state: str) -> int:
    from forumapi.command import admin
    from forumapi.mail import site_state_mail
    from forumapi.models.journal.journal import Author

    with writing(current) as tx:
        author = Author(admin.any_site_id(tx, args.key), 0, "", operator())
        found = site_state_mail.change(tx, current, author, state)
    print_rows(args, [{"key": args.key, **found._asdict()}])
    return OK


def _deletions(args: argparse.Namespace, current: Config) -> int:
    from forumapi.models.journal import audit_hash
    from forumapi.models.sites import site_deletion
    from forumapi.models.sites.site_deletion import ListedDeletion

    keys = audit_hash.keys(current.audit_key, current.data_path)
    with reading(current) as tx:
        found = ListedDeletion.all(tx)
    rows: list[dict[str, Any]] = []
    for one in found:
        figures = one.figures()
        row: dict[str, Any] = {
            "site": one.site_id,
            "key": one.key,
            "state": one.state,
            "asked": one.asked,
            "begins": one.begins,
            "finished": one.finished,
            "rows": sum(figures.get("rowsDeleted", {}).values()),
            "left": sum(figures.get("rowsLeft", {}).values()) if figures else None,
            "objects": figures.get("objectsDeleted"),
            "sha256": site_deletion.digest(one.receipt).hex() if one.receipt else "",
            "signature": ("good" if one.is_signed(keys) else "BAD") if one.receipt else "",
        }
        if args.json:
            row["receipt"] = dict(figures)
        rows.append(row)
    print_rows(args, rows)
    return OK
