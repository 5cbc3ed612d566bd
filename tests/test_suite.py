"""Every test file is run by a run that names none."""

from __future__ import annotations

from pathlib import Path

import pytest


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
