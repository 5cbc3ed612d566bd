"""Building of the clients: sources into a folder, a wheel and an npm package into dist/clients."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forumapi import routes
from forumapi.apidocs import openapi
from scripts.clients import python_source

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def document() -> dict[str, Any]:
    """Return the OpenAPI document that the clients are made from."""
    return openapi.document(routes.ROOT, routes.SITE)


def python(folder: Path, made_from: Mapping[str, Any]) -> Path:
    """Write the sources of the Python client into `folder`, core and generated modules; return the folder."""
    shutil.copytree(
        HERE / "python",
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name, text in python_source.sources(made_from).items():
        (folder / "forumapi_client" / name).write_text(text)
    return folder


def wheel(source: Path, target: Path) -> Path:
    """Build the wheel of the sources in `source` into `target`; return its path."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("forumapi_client-*.whl"):
        old.unlink()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--disable-pip-version-check",
            "--no-build-isolation",
            "--no-deps",
            "--wheel-dir",
            target,
            source,
        ],
        check=True,
    )
    return next(target.glob("forumapi_client-*.whl"))
