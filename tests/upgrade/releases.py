"""Releases to replace each other: the package, copied with another build into a folder that has an executable."""

from __future__ import annotations

import compileall
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.fixtures import PROJECT


def release(folder: Path, build: str, added: Mapping[str, str] | None = None) -> Path:
    """A release called `build` in `folder`, its executable; `added` is code at the end of modules, by file."""
    root = folder / build
    # With its bytecode, as one that was unpacked before has it; but not what another process is just writing.
    compileall.compile_dir(PROJECT / "forumapi", quiet=1)
    ignored = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(PROJECT / "forumapi", root / "forumapi", ignore=ignored)
    (root / "forumapi" / "BUILD").write_text(f"{build}\n")
    for name in ("docs", "etc", "sql", "setup.cfg"):
        (root / name).symlink_to(PROJECT / name)
    for name, code in (added or {}).items():
        with (root / "forumapi" / name).open("a") as module:
            module.write(f"\n\n{code}\n")
    program = root / "run"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -P -m forumapi "$@"\n')
    program.chmod(0o755)
    return program


def switch(link: Path, program: Path) -> None:
    """Let `link` lead to another release, in one step."""
    fresh = link.with_suffix(".new")
    fresh.symlink_to(program)
    fresh.rename(link)
