"""The clients, made anew from the document: a package that can be imported, and modules for Node and browsers."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.clients import build
from tests import schema_check
from tests.factories import Person, Site
from tests.fixtures import Server


class Local(httpx.HTTPTransport):
    """The way to a server on loopback, whatever the name of the host."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(verify=False)
        self._address = address

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it there; the header Host stays."""
        request.url = request.url.copy_with(host=self._address[0], port=self._address[1])
        return super().handle_request(request)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The module forumapi_client, of sources that are made for this run."""
    folder = build.python(tmp_path_factory.mktemp("client"), schema_check.document())
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("forumapi_client")
    finally:
        sys.path.remove(str(folder))


class Node:
    """Programs in Node that use the TypeScript client in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules = folder / "dist"

    def run(self, program: str, **given: Any) -> Any:
        """Return what the body of an async function returns, with `given` and everything that the client exports.

        Every host of the tests is on loopback there.
        """
        text = _PROGRAM.replace("MODULE", str(self.modules / "index.js"))
        given = {**given, "program": program}
        made = subprocess.run(
            [str(shutil.which("node")), "--input-type=module", "-"],
            input=f"const given = {json.dumps(given)};\n{text}",
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert made.returncode == 0, made.stderr[-3000:]
        return json.loads(made.stdout)


_PROGRAM = """
import dns from "node:dns";
const lookup = dns.lookup;
dns.lookup = (name, options, done) => lookup(name.endsWith(".forum.test") ? "127.0.0.1" : name, options, done);
const client = await import("MODULE");
const names = Object.keys(client);
const play = new (Object.getPrototypeOf(async () => {}).constructor)("given", ...names, given.program);
console.log(JSON.stringify((await play(given, ...names.map(name => client[name]))) ?? null));
"""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """The TypeScript client, compiled for this run."""
    if shutil.which("node") is None or (tsc := build.compiler()) is None:
        pytest.skip("Node or TypeScript is not installed (`scripts/testdb prepare`)")
    source = build.typescript(tmp_path_factory.mktemp("typescript"), schema_check.document())
    build.compiled(source, tsc)
    return Node(source)


@pytest.fixture
def client(package: Any, server: Server) -> Callable[..., Any]:
    """Makes a client of a site on the server, for a person or a guest."""

    def make(site: Site, by: Person | None = None, **options: Any) -> Any:
        token = options.pop("token", by.token if by else "")
        return package.Client(
            f"http://{site.host}", token, transport=Local(server.address), **options
        )

    return make
