"""Every handler method has a route, every route a method; the printed table matches tests/saved/routes.txt."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import forumapi.handlers
from forumapi import routes
from forumapi.request.handler import Handler

SAVED = Path(__file__).resolve().parent / "saved" / "routes.txt"


def test_every_handler_is_routed() -> None:
    for module in pkgutil.walk_packages(forumapi.handlers.__path__, "forumapi.handlers."):
        importlib.import_module(module.name)
    routed = {*routes.ROOT.values(), *routes.SITE.values()}
    written = {
        handler
        for handler in _subclasses(Handler)
        if handler.__module__.startswith("forumapi.") and handler.operations
    }

    bases = {handler for handler in written if handler.__subclasses__()}
    assert {handler.__name__ for handler in written - bases - routed} == set()


def _subclasses(base: type[Handler]) -> set[type[Handler]]:
    found = set(base.__subclasses__())
    return found | {below for one in found for below in _subclasses(one)}


def test_every_route_has_methods_and_an_allow_header() -> None:
    for table in (routes.ROOT, routes.SITE):
        assert list(table) == sorted(table)
        for url, handler in table.items():
            assert handler.operations, url
            assert handler.allow.startswith("OPTIONS"), url


@pytest.mark.slow
def test_the_table_is_the_saved_one() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "forumapi", "routes"], capture_output=True, text=True, check=True
    )

    assert printed.stdout == SAVED.read_text(), "make routes refreshes the saved table"
