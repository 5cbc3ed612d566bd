"""Commands `install`, `seed`, `doctor` and `shell`, about this machine and its database."""

from __future__ import annotations

import argparse
from pathlib import Path

from forumapi import __version__
from forumapi.command.nouns.common import FAILED, OK, CommandError, Commands, database_url
from forumapi.config import Config
from forumapi.observability import log


def add_install(commands: Commands) -> None:
    """Define the command `install`."""
    installing = commands.add("install", _install, "put this file where services find it")
    installing.add_argument(
        "--destdir", default="", metavar="FOLDER", help="below this folder, not on this machine"
    )
    installing.add_argument("--upstart", action="store_true", help="with the jobs of Upstart")


def add_seed(commands: Commands) -> None:
    """Define the command `seed`."""
    seed = commands.add("seed", _seed, "fill an empty database with real threads")
    seed.add_argument(
        "--size", choices=("S", "M", "L"), default="S", help="3, 20 or 300 sites (default S)"
    )


def add(commands: Commands) -> None:
    """Define the commands `doctor` and `shell`."""
    commands.add("doctor", _doctor, "check every dependency and say how to mend what is wrong")
    shell = commands.add("shell", _shell, "Python with the settings and the database at hand")
    shell.add_argument("--sql", action="store_true", help="psql instead")


def _install(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import install

    try:
        install.install(Path(args.destdir or "/"), upstart=args.upstart, progress=print)
    except install.InstallError as error:
        raise CommandError(str(error)) from None
    return OK


def _seed(args: argparse.Namespace, current: Config) -> int:
    import psycopg

    from forumapi.command import seed
    from forumapi.command.run_everything import Progress
    from forumapi.database import migrations

    progress = Progress()
    with database_url(current) as url:
        try:
            migrations.migrate(url, current, progress=progress)
            seed.load(url, current.beside_run, args.size, progress)
        except (psycopg.Error, migrations.MigrateError, seed.SeedError) as error:
            progress.end()
            raise CommandError(str(error)) from None
    progress.end()
    return OK


def _doctor(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import doctor

    log.configure(level="error")
    return OK if doctor.examine(current, print) else FAILED


def _shell(args: argparse.Namespace, current: Config) -> int:
    import code

    import psycopg

    from forumapi.database import embedded_postgres

    with database_url(current) as url:
        if args.sql:
            import shutil
            import subprocess

            program = shutil.which("psql") or str(embedded_postgres.binaries() / "psql")
            return subprocess.run([program, url], check=False).returncode
        with psycopg.connect(url, autocommit=True) as db:
            names = {"config": current, "db": db, "psycopg": psycopg}
            banner = f"forumapi {__version__}: config, db (psycopg, autocommit). db.execute('SELECT 1').fetchall()"
            code.interact(banner, local=names, exitmsg="")
    return OK
