"""Syntax trees of source files, each parsed once in a process, and their statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text())


def statements(module: ast.Module) -> Iterator[ast.AST]:
    """Yield a module and all statements in it, without the expressions in them, which are ten times as many."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        yield node
        for name in _BODIES:
            waiting += getattr(node, name, ())
