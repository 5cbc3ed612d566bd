"""Command line: the parser of all commands, and exit codes: 0 done, 1 failed or a check found a problem, 2 wrong usage.

The commands are defined in `nouns`, one module a noun. Nothing heavy is imported before a command is chosen: `serve`
must patch the standard library first.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from forumapi import __version__, build, config
from forumapi.command.nouns import (
    audit,
    backup,
    ban,
    client,
    cron,
    export,
    import_forum,
    install_seed_doctor_shell,
    links,
    mail,
    migrate,
    node,
    processes,
    routes_openapi_docs,
    settings,
    sign_in_methods,
    site,
    token,
    webhooks,
)
from forumapi.command.nouns.common import FAILED, OK, Command, CommandError, Commands
from forumapi.errors import ConfigError

# In the order of `forumapi --help`.
_ALL: Final[tuple[Callable[[Commands], None], ...]] = (
    processes.add,
    cron.add,
    migrate.add,
    routes_openapi_docs.add_routes,
    node.add,
    backup.add,
    install_seed_doctor_shell.add_install,
    settings.add,
    site.add,
    export.add,
    import_forum.add,
    ban.add,
    audit.add,
    mail.add,
    links.add,
    token.add,
    client.add,
    sign_in_methods.add,
    webhooks.add,
    install_seed_doctor_shell.add_seed,
    routes_openapi_docs.add,
    install_seed_doctor_shell.add,
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line with all commands."""
    whole = argparse.ArgumentParser(
        prog="forumapi",
        description="Engine of a multi-tenant forum platform. `forumapi COMMAND --help` tells more.",
    )
    whole.add_argument("--version", action="version", version=f"forumapi {__version__} ({build()})")
    whole.add_argument("--config", type=Path, metavar="FILE", help="settings file")
    commands = Commands(whole)
    for add in _ALL:
        add(commands)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, those of the process if None; return the exit code, after a line on
    standard error for a failure that is foreseen; 1 after Ctrl-C, 0 if the reader of the output has gone. Raises
    SystemExit with 2 for wrong usage, with 0 for --help and --version; other exceptions pass, such as an OSError that
    names no file. The path after --config is put into the process's environment.
    """
    args = parser().parse_args(arguments)
    if args.config is not None:
        os.environ[config.ENV_FILE] = str(args.config)
    command: Command = args.command
    try:
        current = config.load()
        return command(args, current)
    except ConfigError as error:
        return _fail(str(error))
    except CommandError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # `forumapi token list | head`: nobody reads on, which is no failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except OSError as error:
        if not error.filename:
            raise
        # A file or folder of the machine: its name and what is wrong are all that there is to say.
        is_data = str(error.filename).startswith(str(current.data_path))
        mend = "; data_dir (FORUMAPI_DATA_DIR) names another folder" if is_data else ""
        return _fail(f"{error.filename}: {error.strerror}{mend}")


def _fail(message: str) -> int:
    print(f"forumapi: {message}", file=sys.stderr)
    return FAILED
