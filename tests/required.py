"""Plug-in of pytest: with FORUMAPI_REQUIRE=all a test that a missing program would skip fails, as CI wants it."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# Whatever begins with FORUMAPI_ is a setting to the programs that tests start; the helpers of a run inherit the other.
if required := os.environ.pop("FORUMAPI_REQUIRE", ""):
    os.environ["TESTS_REQUIRE"] = required


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what was skipped; the reason of the skip, which names the program, is the failure's."""
    report = yield
    if os.environ.get("TESTS_REQUIRE") == "all" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"FORUMAPI_REQUIRE=all: {report.longrepr}"
    return report
