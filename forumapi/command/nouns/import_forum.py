"""Command `import`: plan, run, verify and undo the import of another product's forum into a site, and switch its old
addresses on (docs/moving.md).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import zipfile
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    open_database,
    print_rows,
)
from forumapi.config import Config

if TYPE_CHECKING:
    from forumapi.database.connections import Database, Transaction
    from forumapi.models.sites.site import Site
    from forumapi.porting.layout import Board, ForumReader
    from forumapi.porting.loading.imported_ids import Origin
    from forumapi.porting.loading.loader import ImportProgress


def add(commands: Commands) -> None:
    """Define the command `import` with its subcommands."""
    imports = commands.group("import", "move a forum of other software into a site")
    plan = imports.add("plan", _plan, "say what would come and what would not; writes nothing")
    _name_source(plan)
    run = imports.add("run", _run, "load a forum, or go on where an earlier run ended")
    _name_source(run)
    _name_site(run)
    run.add_argument(
        "--owner", metavar="EMAIL", help="make the site, owned by this person, if there is none yet"
    )
    run.add_argument(
        "--address",
        action="append",
        default=[],
        metavar="URL",
        help="an address that the forum had, as https://forum.example.org/board; repeatable",
    )
    run.add_argument(
        "--granted",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field of people that counts for roles' criteria, since the site's owner vouches for it; repeatable",
    )
    verify = imports.add("verify", _verify, "compare what was loaded with its source")
    _name_source(verify)
    _name_site(verify)
    left = imports.add("leftovers", _leftovers, "list what was left out, and why")
    _name_site(left)
    left.add_argument("--json", action="store_true", help="as JSON, for programs")
    switch = imports.add("switch", _switch, "let old addresses lead to what was imported")
    _name_site(switch)
    switch.add_argument("--off", action="store_true", help="let them lead nowhere again")
    undo = imports.add("undo", _undo, "remove an import, or list what was written in it since")
    _name_site(undo)
    undo.add_argument(
        "--untouched",
        action="store_true",
        help="remove what nobody has written in since, and leave the rest",
    )
    listed = imports.add("list", _list, "all imports of a site")
    listed.add_argument("--site", required=True, metavar="KEY", help="subdomain of the site")
    listed.add_argument("--json", action="store_true", help="as JSON, for programs")
    refuse = imports.add(
        "refuse", _refuse, "let nobody take over the imported profiles of an address"
    )
    refuse.add_argument("--site", required=True, metavar="KEY", help="subdomain of the site")
    refuse.add_argument("--email", required=True, help="the address that the profiles had")


def _name_source(command: argparse.ArgumentParser) -> None:
    from forumapi.porting.readers import NAMES

    command.add_argument("product", choices=NAMES, help="the software that the forum ran on")
    command.add_argument(
        "source", type=_source, help="its dump, export or folder, or postgresql://… of its database"
    )
    command.add_argument(
        "--files", type=Path, metavar="FOLDER", help="folder of its uploads, where a dump has none"
    )
    command.add_argument(
        "--prefix", help="what its tables' names begin with, where a dump holds several forums"
    )
    command.add_argument(
        "--encoding", default="", help="character set of a dump that names a wrong one"
    )


def _source(written: str) -> Path | str:
    is_address = written.startswith(("postgresql://", "postgres://"))
    return written if is_address else Path(written)


def _name_site(command: argparse.ArgumentParser) -> None:
    command.add_argument("--site", required=True, metavar="KEY", help="subdomain of the site")
    command.add_argument(
        "--title", default="import", help="a name for this import, if the site has several"
    )


def _plan(args: argparse.Namespace, current: Config) -> int:
    from forumapi.porting.loading import planning

    with _reading(args) as reader:
        for line in planning.lines(planning.Planner(reader).run()):
            print(line)
    return OK


def _run(args: argparse.Namespace, current: Config) -> int:
    from forumapi.porting.loading.imported_ids import Origin
    from forumapi.porting.loading.loader import Loader, PortingError

    with _reading(args) as reader, open_database(current) as database:
        board = _board(args, reader)
        with database.write() as tx:
            site_id = _site_id(tx, args, current)
            origin = Origin.find_or_create(tx, site_id, args.title, board)
        if origin.product != board.product:
            raise CommandError(
                f"import {args.title} is of {origin.product}; name another one: --title"
            )
        if unknown := origin.unknown(args.address):
            raise CommandError(
                f"import {args.title} was begun without the address {unknown}: leave it out, or undo the import first"
            )
        site = _site(database, current, site_id)
        show = _ImportBar()
        try:
            loader = Loader(
                database, current.beside_run, site, origin, reader, granted=args.granted, show=show
            )
            outcome = loader.run()
        except PortingError as error:
            raise CommandError(str(error)) from None
        finally:
            show.end()
        tx_read = database.read()
        try:
            left = len(origin.left_out(tx_read))
        finally:
            tx_read.end()
    for name, count in outcome.read.items():
        print(f"{name:14}{count:>10,}")
    texts = outcome.read.get("comments", 0) + outcome.read.get("messages", 0)
    pace = texts / outcome.seconds if outcome.seconds else 0
    print(f"{outcome.seconds:.1f} s, {pace:,.0f} posts a second; {left:,} left out")
    if left:
        print(f"forumapi import leftovers --site {args.site} --title {args.title}: which, and why")
    return OK


def _verify(args: argparse.Namespace, current: Config) -> int:
    from forumapi.porting.loading import verification

    with _reading(args) as reader, open_database(current) as database:
        origin = _origin(database, args)
        site = _site(database, current, origin.site_id)
        tx = database.read()
        try:
            report = verification.Verifier(tx, current.beside_run, site, origin, reader).run()
        finally:
            tx.end()
    for line in verification.table(report):
        print(line)
    print("all is there" if report.is_right else "there are differences")
    return OK if report.is_right else FAILED


def _leftovers(args: argparse.Namespace, current: Config) -> int:
    with open_database(current) as database:
        origin = _origin(database, args)
        tx = database.read()
        try:
            left = origin.left_out(tx)
        finally:
            tx.end()
    print_rows(args, [{"kind": one.kind, "id": one.id, "reason": one.reason} for one in left])
    return OK


def _switch(args: argparse.Namespace, current: Config) -> int:
    with open_database(current) as database:
        origin = _origin(database, args)
        if origin.stage != "done" and not args.off:
            raise CommandError(
                f"import {args.title} has come to {origin.stage}: `forumapi import run` goes on"
            )
        with database.write() as tx:
            origin.switch(tx, on=not args.off)
    print(f"old addresses of {args.title} lead {'nowhere' if args.off else 'here'}")
    return OK


def _undo(args: argparse.Namespace, current: Config) -> int:
    from forumapi import itemtypes
    from forumapi.porting.loading import undoing

    with open_database(current) as database:
        origin = _origin(database, args)
        tx = database.read()
        try:
            touched = undoing.touched(tx, origin)
        finally:
            tx.end()
        for one in touched:
            holder = f"{itemtypes.BY_ID[one.on_type].name} {one.on_id}"
            said = {
                "claim": f"profile {one.id} has been taken over",
                "edit": f"a text of {holder} was edited",
                "ballots": f"somebody voted in {holder}",
                "attendee": f"profile {one.id} answered {holder}",
            }
            print(
                f"{one.at:%Y-%m-%d %H:%M} UTC: " if one.at else "",
                said.get(one.kind, f"{one.kind} {one.id} on {holder} did not come with the import"),
                sep="",
            )
        if touched and not args.untouched:
            raise CommandError(
                f"{len(touched)} things of others are in it: nothing was removed; --untouched removes the rest"
            )
        done = undoing.undo(database, origin)
    print(f"removed: {done.items:,} items, {done.microcosms:,} microcosms, {done.people:,} people")
    if done.left:
        print(f"{done.left:,} things of the import stay")
    return OK


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.porting.loading import imported_ids

    with open_database(current) as database:
        tx = database.read()
        try:
            rows = tx.rows(imported_ids.ORIGINS, site_id=admin.site_id(tx, args.site))
        finally:
            tx.end()
    names = ("title", "product", "version", "switched", "stage", "begun", "finished")
    print_rows(args, [dict(zip(names, row, strict=True)) for row in rows])
    return OK


def _refuse(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.people import imported_profile, user
    from forumapi.text import email_address

    key = email_address.same_person_key(user.checked_email(args.email))
    with open_database(current) as database, database.write() as tx:
        freed = imported_profile.refuse(tx, admin.site_id(tx, args.site), key)
    print(f"{len(freed)} profiles that {args.email} does not take over")
    return OK


# ---------------------------------------------------------------- helpers


@contextlib.contextmanager
def _reading(args: argparse.Namespace) -> Iterator[ForumReader]:
    from forumapi.porting import readers
    from forumapi.porting.dumps.dump_types import DumpError
    from forumapi.porting.readers.layout_reader import LayoutError

    try:
        reader = readers.open_reader(
            args.product, args.source, args.files, prefix=args.prefix, encoding=args.encoding
        )
    except (LayoutError, DumpError, OSError) as error:
        raise CommandError(str(error)) from None
    try:
        yield reader
    except (LayoutError, DumpError, zipfile.BadZipFile, zlib.error) as error:
        raise CommandError(f"{args.source} is damaged: {error}") from None
    finally:
        reader.close()


def _board(args: argparse.Namespace, reader: ForumReader) -> Board:
    import msgspec

    board = reader.board()
    addresses = tuple(dict.fromkeys((*board.addresses, *args.address)))
    return msgspec.structs.replace(board, addresses=addresses)


def _site_id(tx: Transaction, args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.errors import NotFound
    from forumapi.models.people.user import User

    try:
        id = admin.site_id(tx, args.site)
    except NotFound:
        if not args.owner:
            raise CommandError(
                f"there is no site {args.site}; --owner EMAIL makes it, owned by this person"
            ) from None
        title, config = args.site, current.beside_run
        id = admin.create_site(tx, config, args.site, title, title, args.owner)
        print(f"site {id}: {args.site}.{config.platform_domain}")
        return id
    if args.owner:
        person = User.find_by_email(tx, args.owner)
        if person is None or person.id != admin.lock_site(tx, args.site).owner_user_id:
            raise CommandError(
                f"site {args.site} is there already, and {args.owner} does not own it: name another, or no --owner"
            )
    return id


def _site(database: Database, current: Config, site_id: int) -> Site:
    from forumapi.models.sites.site_cache import SiteCache

    tx = database.read()
    try:
        site = SiteCache(database, current.beside_run.platform_domain).by_id(site_id, tx)
    finally:
        tx.end()
    if site is None:
        raise CommandError("the site is deleted")
    return site


def _origin(database: Database, args: argparse.Namespace) -> Origin:
    from forumapi.command import admin
    from forumapi.porting.loading.imported_ids import Origin

    tx = database.read()
    try:
        found = Origin.find(tx, admin.site_id(tx, args.site), args.title)
    finally:
        tx.end()
    if found is None:
        raise CommandError(
            f"{args.site} has no import {args.title}: `forumapi import list --site {args.site}`"
        )
    return found


class _ImportBar:
    """Progress line of an import on standard error, if that is a terminal; each call shows the ImportProgress given in
    place of the one before.
    """

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._width = 0

    def __call__(self, progress: ImportProgress) -> None:
        told = f"{progress.stage}: {progress.done:,}"
        if progress.total:
            told += f" of {progress.total:,}"
        if progress.seconds_left is not None and progress.stage != "done":
            # More than a day as "1 day, 2:03:04".
            told += f", about {timedelta(seconds=int(progress.seconds_left))} left"
        if self._is_shown:
            print(f"\r{told.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(told)

    def end(self) -> None:
        """End the progress line with a line feed, if one was shown."""
        if self._is_shown and self._width:
            print(file=sys.stderr)
