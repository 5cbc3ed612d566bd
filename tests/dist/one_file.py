"""The one file, built once a run of the tests, and run as on a machine that has nothing of the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fixtures import PROJECT

# Where the file finds the Python it was built with: the system's own, not that of a virtual environment.
PATH: Final = f"{sys.base_prefix}/bin:/usr/bin:/bin"


def build(folder: Path, umask: str = "022", zone: str = "UTC") -> Path:
    """Build into `folder`, as somebody with that umask and time zone."""
    done = subprocess.run(
        ["sh", "-c", f"umask {umask}; exec {PROJECT}/scripts/dist {folder}"],
        env={**os.environ, "TZ": zone, "PYTHONHASHSEED": umask},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "forumapi"


def bare(home: Path, **settings: str) -> dict[str, str]:
    """An environment with nothing in it but a path and a home of its own; `settings` are FORUMAPI_ names."""
    home.mkdir(parents=True, exist_ok=True)
    named = {f"FORUMAPI_{name.upper()}": value for name, value in settings.items()}
    return {"PATH": PATH, "HOME": str(home), "PEX_ROOT": str(home / "unpacked"), **named}
