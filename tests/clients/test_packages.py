"""The packages that make clients builds: types hold, sizes are kept, and they are of the document's version."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from forumapi import __version__
from scripts.clients import build
from tests.clients.conftest import Node
from tests.clients.test_weekend_forum import program

# A page's worth of script.
MOST_BYTES = 12_000


def test_the_python_client_has_the_version_of_the_document(package: Any) -> None:
    assert __version__ == package.VERSION


@pytest.mark.wide
@pytest.mark.slow
def test_the_wheel_holds_strict_types(package: Any, tmp_path: Path) -> None:
    source = Path(package.__file__).parents[1]

    made = build.wheel(source, tmp_path)

    names = zipfile.ZipFile(made).namelist()
    assert {"forumapi_client/py.typed", "forumapi_client/operations.py"} <= set(names)
    zipfile.ZipFile(made).extractall(tmp_path / "site")
    used = tmp_path / "used.py"
    used.write_text(_TYPED)
    forum = tmp_path / "forum.py"
    forum.write_text(program("python"))
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "forumapi_client",
            used,
            forum,
        ],
        cwd=tmp_path / "site",
        capture_output=True,
        text=True,
    )
    # What the program does wrong is found, and nothing else is.
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line.rpartition("[")[2] for line in errors] == ["attr-defined]", "typeddict-item]"], (
        checked.stdout
    )


_TYPED = """
from forumapi_client import Client

site = Client("http://bikes.forum.example", "token")
conversation = site.conversations.get(1)
titles: list[str] = [one.title for one in site.conversations.list(limit=5)]
texts: list[str] = [comment.markdown for comment in conversation.comments()]
conversation.colour
site.conversations.create({"microcosmId": 1, "title": 3})
"""


@pytest.mark.wide
@pytest.mark.slow
def test_the_npm_package_is_small_and_whole(node: Node, tmp_path: Path) -> None:
    """The fixture has compiled it under --strict."""
    npm = shutil.which("npm")
    assert npm is not None

    made = build.package(node.folder, tmp_path, npm)

    with tarfile.open(made) as archive:
        names = archive.getnames()
    assert f"forumapi-client-{__version__}.tgz" == made.name
    assert {"package/dist/index.js", "package/dist/index.d.ts", "package/README.md"} <= set(names)
    scripts = b"".join(path.read_bytes() for path in sorted(node.modules.glob("*.js")))
    assert len(gzip.compress(scripts, 9)) <= MOST_BYTES
