"""The OpenAPI document under the linters of others: Redocly, Spectral and Scalar."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import schema_check, services

LINT = services.DOCUMENT_CHECKERS.lock / "lint.mjs"
# docs/api/docs.md explains each.
EXPLAINED = {
    "Redocly": {
        ("warn", "no-ambiguous-paths", "#/paths/~1api~1v1~1docs~1scripts~1{name}"),
        ("warn", "no-ambiguous-paths", "#/paths/~1api~1v1~1site~1auth~1{method}"),
        ("warn", "no-ambiguous-paths", "#/paths/~1api~1v1~1site~1legal~1{document}"),
        ("warn", "no-ambiguous-paths", "#/paths/~1api~1v1~1site~1mail~1{template}"),
        ("warn", "operation-2xx-response", "#/paths/~1api~1v1~1live/get/responses"),
    },
    "Spectral": {("warn", "operation-success-response", "paths /api/v1/live get responses")},
    "Scalar": set(),
}


@pytest.mark.wide
def test_linters_find_nothing_but_what_is_explained(tmp_path: Path) -> None:
    node, modules = shutil.which("node"), services.DOCUMENT_CHECKERS.found()
    if node is None or modules is None:
        pytest.skip("linters of OpenAPI documents are not installed (`scripts/testdb prepare`)")
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(schema_check.document()), encoding="utf-8")

    ended = subprocess.run(
        [node, LINT, modules, file], capture_output=True, text=True, timeout=300, check=False
    )

    assert not ended.returncode, ended.stderr[-2000:]
    found = json.loads(ended.stdout)[str(file)]
    assert {name: {*map(tuple, faults)} for name, faults in found.items()} == EXPLAINED
