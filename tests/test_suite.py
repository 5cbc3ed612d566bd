"""Every test file is run by a run that names none, and nothing is skipped where everything is required."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
from pymemcache.client.base import Client

from scripts.mutants import plan
from tests import services


def test_no_folder_of_tests_is_passed_over(pytestconfig: pytest.Config) -> None:
    here = Path(__file__).parent
    folders = {path.parent for path in here.rglob("test_*.py")}
    passed_over = pytestconfig.getini("norecursedirs")

    assert pytestconfig.getini("testpaths") == [here.name]
    assert not [
        folder
        for folder in folders
        for part in (folder, *folder.parents)
        if part.is_relative_to(here) and any(part.match(pattern) for pattern in passed_over)
    ]


@pytest.mark.wide
@pytest.mark.parametrize(
    ("required", "outcome"), [("", "1 passed, 1 skipped"), ("all", "1 passed, 1 error")]
)
def test_a_skipped_test_fails_where_everything_is_required(
    tmp_path: Path, required: str, outcome: str
) -> None:
    (tmp_path / "test_one.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.skipif(True, reason='curl is not installed')\n"
        "def test_curl(): ...\n\n"
        "def test_other():\n"
        "    import os\n"
        "    assert 'FORUMAPI_REQUIRE' not in os.environ\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "tests.required",
        "-p",
        "no:schemathesis",
    ]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        env={
            **os.environ,
            "FORUMAPI_REQUIRE": required,
            "TESTS_REQUIRE": "",
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout
    assert "curl is not installed" in done.stdout


@pytest.mark.wide
@pytest.mark.slow
@pytest.mark.parametrize(
    ("unstable", "broken", "code"),
    [
        (3, 0, 0),
        *(pytest.param(*one, 1, marks=pytest.mark.wide) for one in ((4, 0), (0, 1), (1, 1))),
    ],
)
def test_what_fails_is_run_again_alone_unless_too_much_fails(
    tmp_path: Path, unstable: int, broken: int, code: int
) -> None:
    lines = ["from pathlib import Path", "import pytest", ""]
    for number in range(unstable):
        mark = tmp_path / f"ran{number}"
        lines += [
            f"def test_unstable{number}():",
            f"    mark = Path({str(mark)!r})",
            "    ran, _ = mark.exists(), mark.touch()",
            "    assert ran",
        ]
    lines += [f"def test_broken{number}():\n    assert False" for number in range(broken)]
    (tmp_path / "test_some.py").write_text("\n".join([*lines, "def test_sound(): ..."]))
    script = Path(__file__).parent.parent / "scripts" / "suite"
    done = subprocess.run(
        [sys.executable, str(script), "-c", os.devnull, "--rootdir", ".", "-n", "2", "."],
        cwd=tmp_path,
        # Plug-ins that packages bring along take seconds to load, in every process.
        env={
            **os.environ,
            "PYTEST_ADDOPTS": "-p xdist",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stdout
    assert done.stdout.count("unstable, passed alone") == (unstable if code == 0 else 0)


@pytest.mark.wide
@pytest.mark.slow
def test_entries_of_memcached_that_were_just_asked_for_are_listed() -> None:
    with services.memcached() as address:
        if not address:
            pytest.skip("memcached is not installed")
        client = Client(address, default_noreply=False)
        names = {f"f1:7:comment/1:{number}:1" for number in range(100)}
        for name in names:
            client.set(name, b"x")
        # It moves them to the list of old entries, and back once they are asked for again.
        time.sleep(2)
        client.get_many(names)
        client.get_many(names)

        assert {*services.memcached_keys(address)} == names


@pytest.mark.wide
def test_mutants_of_each_module_have_tests_that_exist() -> None:
    root = Path(__file__).parent.parent
    modules = plan.modules(root)
    named = {file for module in modules for file in plan.tests_of(root, module, plan.MODELS)}
    assert [file for file in sorted(named) if not (root / file).exists()] == []
    decided = {
        next((pattern for pattern, _ in plan.TESTS if fnmatch(module, pattern)), "")
        for module in modules
    }
    # A pattern that decides about no module stands for one that was renamed.
    assert [pattern for pattern, _ in plan.TESTS if pattern not in decided] == []
    with pytest.raises(LookupError, match="no tests for it"):
        plan.tests_of(root, "forumapi/models/content/renamed.py", plan.MODELS)
