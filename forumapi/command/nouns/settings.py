"""Command `config`: show, check and change settings."""

from __future__ import annotations

import argparse
import os
from typing import Final

from forumapi import config
from forumapi.command.nouns.common import OK, CommandError, Commands
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `config` with its subcommands."""
    settings = commands.group("config", "settings")
    show = settings.add("show", _show, "every setting with its value")
    show.add_argument("--notes", action="store_true", help="with what each is for")
    settings.add("check", _check, "read the settings and say whether they are good")
    get = settings.add("get", _get, "one setting")
    get.add_argument("name")
    change = settings.add("set", _set, "write one setting into the file, comments kept")
    change.add_argument("name")
    change.add_argument("value", help="lists with commas between")


_EFFECTS: Final = {
    "reload": "SIGHUP to the web and the cron process applies it",
    "replace": "SIGHUP to the web and the cron process puts new ones in their place, no request is lost",
    "restart": "it takes effect at the next start",
}


def _show(args: argparse.Namespace, current: Config) -> int:
    for name in config.SETTINGS:
        if args.notes:
            print(f"\n# {config.note(name)}")
        print(f"{name} = {config.shown(name, getattr(current, name))}")
    return OK


def _check(args: argparse.Namespace, current: Config) -> int:
    changed = config.diff(Config(), current)
    print(f"{current.path} and the environment are good; not at their defaults:")
    for name in sorted((*changed.applied, *changed.replaced, *changed.needs_restart)):
        print(f"  {name} = {config.shown(name, getattr(current, name))}")
    return OK


def _get(args: argparse.Namespace, current: Config) -> int:
    config.known(args.name)
    value = getattr(current, args.name)
    print(
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else str(value).lower()
        if isinstance(value, bool)
        else value
    )
    return OK


def _set(args: argparse.Namespace, current: Config) -> int:
    if config.ENV_FILE not in os.environ:
        raise CommandError(
            f"which settings file? The one that came along belongs to the release: name yours in {config.ENV_FILE}, or"
            " forumapi --config FILE config set …"
        )
    config.set_value(current.path, args.name, args.value)
    name = config.RENAMED.get(args.name, args.name)
    names = [name, *(old for old, present in config.RENAMED.items() if present == name)]
    variables = [config.ENV_PREFIX + one.upper() for one in names]
    if over := [one for one in variables if one in os.environ]:
        print(f"written, but {over[0]} in the environment goes before it")
    else:
        print(f"written; {_EFFECTS[config.effect(name)]}")
    return OK
