"""Imports go down the layers, or along a row; never up."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "forumapi"

# A module's row is that of the longest prefix listed here; what is not listed fails.
ROWS = {
    5: "cli __main__ wsgi worker supervise cron doctor admin realtime.socket seed",
    4: "routes handlers openapi reference app",
    3: "processor handler context body response",
    2: "models auth updates permissions patch mail outbound migrate embedded",
    1: "db cache fragments paging storage content realtime.hub ratelimit",
    0: "errors itemtypes config links log metrics addresses schemas",
}
# A row may look up only here, each for its reason.
UP = {
    ("context", "app"),  # for the type of ctx.app
    ("processor", "app"),  # for the type of its argument
    ("openapi", "routes"),
    ("handlers", "openapi"),
}


def _row(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        for row, names in ROWS.items():
            if prefix in names.split():
                return row
    raise AssertionError(f"forumapi.{module} has no row in tests/test_layers.py")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("forumapi"):
            rest = node.module.removeprefix("forumapi").lstrip(".")
            found |= {
                f"{rest}.{alias.name}".strip(".") if not rest else rest for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {
                a.name.removeprefix("forumapi.")
                for a in node.names
                if a.name.startswith("forumapi.")
            }
    return found


def test_imports_go_down() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if module == "__init__":
            continue
        for target in sorted(_imports(path)):
            if (
                target in ("", "__version__")
                or not (PACKAGE / target.split(".")[0]).exists()
                and not (PACKAGE / f"{target.split('.')[0]}.py").exists()
            ):
                continue
            allowed = (module.split(".")[0], target.split(".")[0]) in UP
            if _row(target) > _row(module) and not allowed:
                wrong.append(f"{module} -> {target}")

    assert not wrong
