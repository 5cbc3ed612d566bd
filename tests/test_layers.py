"""Rooms of the package: imports between them go one way, none is too full, and each says what it holds."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.syntax import statements, tree

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "forumapi"
# Modules in a folder, beside its own.
MOST_MODULES = 22

# From the bottom up: a room, or a module of the package's root, imports only from those before it.
_ORDER = (
    "errors itemtypes templates text observability wire permissions config concurrency database outbound events cache"
    " models files mail realtime updates checks auth porting request webhooks apidocs agents handlers routes app"
    " webclient wsgi server cron command __main__"
)
ORDER = _ORDER.split()
# Folders side by side whose imports go one way: the lower, the upper.
ONE_WAY = (
    ("models.roles", "models.people"),
    ("models.usage", "models.sites"),
    ("models.trust", "models.cases"),
    ("handlers.sites", "handlers.operators"),
)
# Packages that one module alone imports: what they lack, hook or may change is its affair.
WRAPPED = {
    "comrak": "text.markdown",
    "geventwebsocket": "realtime.websocket",
    "google.protobuf": "observability.metrics_push",
    "sentry_sdk": "observability.sentry",
}


def _modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        .removesuffix("__init__")
        .strip("."): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


MODULES = _modules()


def _imports(path: Path) -> set[str]:
    """Modules of the package that one imports anywhere, for types too."""
    found: set[str] = set()
    for node in statements(tree(path)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("forumapi."):
            above = str(node.module).removeprefix("forumapi").strip(".")
            for alias in node.names:
                whole = f"{above}.{alias.name}".strip(".")
                found.add(whole if whole in MODULES else above)
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("forumapi.")
                for alias in node.names
                if alias.name.startswith("forumapi.")
            }
    return found - {""}


def test_imports_between_rooms_go_down() -> None:
    wrong = set()
    for module, path in MODULES.items():
        room = module.partition(".")[0]
        for target in _imports(path) if module else ():
            other = target.partition(".")[0]
            if ORDER.index(other) > ORDER.index(room):
                wrong.add(f"{module} -> {target}")

    assert not wrong


def _names(path: Path) -> Iterable[str]:
    """Modules that one imports, of any package."""
    for node in statements(tree(path)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_some_packages_are_imported_by_one_module_alone() -> None:
    users: dict[str, set[str]] = {package: set() for package in WRAPPED}
    for module, path in MODULES.items():
        for name in _names(path):
            for package in WRAPPED:
                if f"{name}.".startswith(f"{package}."):
                    users[package].add(module)

    assert users == {package: {module} for package, module in WRAPPED.items()}


def test_no_modules_of_the_models_import_each_other() -> None:
    imports = {
        name: {one for one in _imports(path) if one.startswith("models.")}
        for name, path in MODULES.items()
        if name.startswith("models.")
    }
    while imports:
        free = {name for name, targets in imports.items() if not targets & imports.keys()}
        assert free, f"circles among {sorted(imports)}"
        for name in free:
            del imports[name]


def test_imports_between_folders_side_by_side_go_one_way() -> None:
    wrong = {
        f"{module} -> {target}"
        for lower, upper in ONE_WAY
        for module, path in MODULES.items()
        if module.startswith(f"{lower}.")
        for target in _imports(path)
        if target.startswith(f"{upper}.")
    }

    assert not wrong


def _folders() -> Iterable[Path]:
    return sorted({path.parent for path in MODULES.values()} - {PACKAGE})


def test_no_folder_holds_too_many_modules() -> None:
    for folder in (PACKAGE, *_folders()):
        assert len(list(folder.glob("[!_]*.py"))) <= MOST_MODULES, folder


def test_no_folder_of_tests_holds_too_many_modules() -> None:
    here = Path(__file__).parent
    counts = Counter(str(path.parent.relative_to(here)) for path in here.rglob("[!_]*.py"))

    assert not {name: n for name, n in counts.items() if n > MOST_MODULES}


def test_each_folder_says_what_the_architecture_says_of_it() -> None:
    pages = (PROJECT / "docs" / "architecture.md").read_text()
    for folder in _folders():
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        sentence = " ".join(said.partition("\n\n")[0].split())
        name = folder.relative_to(PACKAGE)
        assert f"| `{name}/` | {sentence} |" in pages, name


def test_the_website_imports_nothing_of_the_api() -> None:
    may = {"observability.log", "webclient"}
    wrong = {
        f"{module} -> {target}"
        for module, path in MODULES.items()
        if module.partition(".")[0] == "webclient"
        for target in _imports(path)
        if target not in may and not target.startswith("webclient.")
    }

    assert not wrong
