"""Imports go down the layers, or along a row; never up."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "forumapi"

# A module's row is that of the longest prefix listed here; what is not listed fails.
ROWS = {
    5: "cli __main__ wsgi worker accepting exchange supervise hold install cron doctor admin backup seed",
    4: "routes handlers asyncapi openapi reference app health webhooks",
    3: "processor handler context body csv_body response upload hotfiles realtime.socket",
    2: "node realtime models auth events geocoders updates permissions patch thumbnails mail bounces outbound migrate"
    " embedded figures settling",
    1: "db replica cache together fragments paging storage smtp images content ratelimit turns"
    " realtime.hub realtime.cursor realtime.protocol"
    " realtime.websocket reporting tracing lease",
    0: "errors itemtypes config links log metrics crashes addresses schemas scopes pages filetypes offload"
    " oldsites background lru signals http_headers",
}
# A row may look up only here, each for its reason.
UP = {
    ("context", "app"),  # for the type of ctx.app
    ("processor", "app"),  # for the type of its argument
    ("hotfiles", "app"),  # likewise
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
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "forumapi":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forumapi."):
            found.add(str(node.module).removeprefix("forumapi."))
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("forumapi.")
                for alias in node.names
                if alias.name.startswith("forumapi.")
            }
    return {name for name in found if _is_module(name.split(".")[0])}


def _is_module(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_imports_go_down() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if module == "__init__":
            continue
        for target in sorted(_imports(path)):
            allowed = (module.split(".")[0], target.split(".")[0]) in UP
            if _row(target) > _row(module) and not allowed:
                wrong.append(f"{module} -> {target}")

    assert not wrong
