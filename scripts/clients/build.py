"""Building of the clients: sources into a folder, a wheel and an npm package into dist/clients."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forumapi import routes
from forumapi.apidocs import client_operations, openapi
from scripts.clients import python_source, typescript_source

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Where npm puts the compiler; kept, as the data of tests is.
_NPM = ROOT / "var" / "clients-npm"


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
    for name, text in python_source.sources(
        client_operations.with_shapes_in_place(made_from)
    ).items():
        (folder / "forumapi_client" / f"{name}.py").write_text(text)
    return folder


def typescript(folder: Path, made_from: Mapping[str, Any]) -> Path:
    """Write the sources of the TypeScript client into `folder`, core and generated modules; return the folder."""
    shutil.copytree(
        HERE / "typescript",
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("node_modules", "dist"),
    )
    for name, text in typescript_source.sources(
        client_operations.with_shapes_in_place(made_from)
    ).items():
        (folder / "src" / name).write_text(text)
    package = json.loads((folder / "package.json").read_text())
    package["version"] = made_from["info"]["version"]
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n")
    return folder


def compiler() -> Path | None:
    """Return TypeScript's compiler, if npm has installed the one that the lock file names."""
    try:
        kept = (_NPM / "package-lock.json").read_bytes()
        is_current = kept == (HERE / "typescript" / "package-lock.json").read_bytes()
    except OSError:
        return None
    found = _NPM / "node_modules" / ".bin" / "tsc"
    return found if is_current and found.exists() else None


def install_compiler(npm: str) -> None:
    """Install it from npm's registry: exactly what the lock file names, by its hashes, without scripts of its own."""
    _NPM.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / "typescript" / name, _NPM / name)
    subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=_NPM,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def compiled(source: Path, tsc: Path) -> Path:
    """Compile the sources in `source` under --strict; return the folder of the modules, types beside them.

    The types keep their comments, the modules do not.
    """
    for options in (["--removeComments"], ["--declaration", "--emitDeclarationOnly"]):
        made = subprocess.run(
            [tsc, "--project", source, *options], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)
    return source / "dist"


def package(source: Path, target: Path, npm: str) -> Path:
    """Pack the compiled client in `source` as npm does, into `target`; return its path."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("forumapi-client-*.tgz"):
        old.unlink()
    subprocess.run(
        [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", target],
        cwd=source,
        check=True,
        capture_output=True,
    )
    return next(target.glob("forumapi-client-*.tgz"))


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
