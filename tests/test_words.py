"""Words: old module names are gone, a class has its name alone, and docstrings begin with a verb or a noun."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest

from tests.syntax import tree

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "forumapi"
OLD_NAMES = PROJECT / "tests" / "saved" / "old_names.txt"
# Files that tell of the past.
HISTORY = {"CHANGELOG.md", "docs/upgrading.md", "tests/saved/old_names.txt"}
# A docstring begins with a verb or with the class of a noun.
_VAGUE = re.compile(r"(What|Who|Whether|Where|Which|Whoever|Whose|How|Of|When|If)\b")
_DOTTED = re.compile(r"(?<![\w.])forumapi(?:\.\w+)+")
_PATH = re.compile(r"(?<![\w>*])[\w/.-]*\w\.py\b")  # a name with a placeholder is no path


def _files(*folders: str) -> dict[str, str]:
    """Read the text files in the repository's `folders`: text by path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    texts = {}
    for name in filter(None, listed.split("\0")):
        if name not in HISTORY and (PROJECT / name).is_file():
            texts[name] = (PROJECT / name).read_text(errors="replace")
    return texts


_IMPORT = re.compile(r"^\s*from (forumapi[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def _imported(text: str) -> Iterator[str]:
    for module, names in _IMPORT.findall(text):
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", names))


@cache
def _modules() -> dict[str, ast.Module]:
    return {path.relative_to(PACKAGE).as_posix(): tree(path) for path in PACKAGE.rglob("*.py")}


def test_old_module_names_are_gone() -> None:
    old = {line.split()[0].replace("/", ".") for line in OLD_NAMES.read_text().splitlines()}
    packages = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("*.py")}
    gone = {f"forumapi.{name}" for name in old - packages}
    paths = {f"{name.replace('.', '/')}.py" for name in old}

    used = []
    for name, text in _files("forumapi", "tests", "scripts", "docs", "etc", "sql").items():
        names = {
            name
            for dotted in set(_DOTTED.findall(text))
            for name in accumulate(dotted.split("."), "{}.{}".format)
            if name in gone
        }
        beside = (PROJECT / name).parent
        names |= {
            path
            for path in _PATH.findall(text)
            if path.removeprefix("forumapi/") in paths and not (beside / path).exists()
        }
        if name.endswith(".py"):
            names |= gone & set(_imported(text))
        used += [f"{name}: {one}" for one in sorted(names)]
    assert used == []


def test_modules_that_are_named_exist() -> None:
    ends = {
        "/".join(parts[start:])
        for parts in (name.split("/") for name in _files())
        for start in range(len(parts))
    }
    named = _files("forumapi", "scripts", "docs", "etc", "sql", "README.md", "CONTRIBUTING.md")

    missing = [
        f"{name}: {path}"
        for name, text in named.items()
        for path in _PATH.findall(text)
        if path.lstrip("./") not in ends
    ]
    assert missing == []


def test_a_class_has_its_name_alone() -> None:
    classes = Counter(
        node.name
        for name, tree in _modules().items()
        if not name.startswith("wire/schemas")
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )

    assert {name for name, times in classes.items() if times > 1} == set()


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(node: ast.AST) -> Iterator[_Documented]:
    """Find what can have a docstring at or below a node; expressions, most of a tree, hold none."""
    if isinstance(node, _Documented):
        yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _documented(child)


def _are_vague(trees: Mapping[str, ast.Module]) -> set[str]:
    return {
        name
        for name, tree in trees.items()
        for node in _documented(tree)
        if _VAGUE.match(ast.get_docstring(node) or "")
    }


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    assert _are_vague(_modules()) == set()


@pytest.mark.wide
def test_docstrings_of_tests_and_scripts_begin_so_too() -> None:
    trees = {
        name: ast.parse(text)
        for name, text in _files("tests", "scripts").items()
        if name.endswith(".py")
    }
    assert _are_vague(trees) == set()
