"""The Python client, made anew from the document, as a package that can be imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
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
        super().__init__()
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


@pytest.fixture
def client(package: Any, server: Server) -> Callable[..., Any]:
    """Makes a client of a site on the server, for a person or a guest."""

    def make(site: Site, by: Person | None = None, **options: Any) -> Any:
        token = options.pop("token", by.token if by else "")
        return package.Client(
            f"http://{site.host}", token, transport=Local(server.address), **options
        )

    return make
