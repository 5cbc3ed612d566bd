"""The OpenAPI document under generators of others: no operation is lost, nothing is warned of, models are few."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import schema_check, services

VERBS = ("get", "post", "put", "patch", "delete")
IDS = {
    item[verb]["operationId"]
    for item in schema_check.document()["paths"].values()
    for verb in VERBS
    if verb in item
}
MOST_MODELS = 800
# Of an openapi-python-client that can't say more of CSV than that it is bytes; its formatter needs minutes.
SETTINGS = {"content_type_overrides": {"text/csv": "application/octet-stream"}, "post_hooks": []}
PROGRAM = """
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const site = createClient<paths>({ baseUrl: "https://bikes.forum.example" });
const written = await site.POST("/api/v1/comments", {
  body: { itemType: "conversation", itemId: 1, markdown: "Hello" },
});
const title: string | undefined = (await site.GET("/api/v1/conversations/{id}", {
  params: { path: { id: 1 } },
})).data?.data.title;
// @ts-expect-error a body without its required keys is none
await site.POST("/api/v1/comments", { body: {} });
export { title, written };
"""
COMPILED = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "module": "nodenext",
        "target": "es2022",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
    },
    "files": ["program.ts"],
}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A file with the document of both kinds of host."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(schema_check.document()), encoding="utf-8")
    return file


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command to its end, which must be good; return what it printed."""
    ended = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )
    assert not ended.returncode, ended.stdout[-2000:] + ended.stderr[-2000:]
    return ended.stdout + ended.stderr


@pytest.mark.wide
def test_openapi_python_client_makes_every_operation(document: Path) -> None:
    settings, folder = document.with_name("settings.json"), document.with_name("made")
    settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
    generate = [*("-m", "openapi_python_client", "generate", "--fail-on-warning")]
    named = ["--path", str(document), "--config", str(settings), "--output-path", str(folder)]

    printed = run(sys.executable, *generate, *named, cwd=document.parent)

    # A package a tag, and in it a module an operation.
    made = {path.stem for path in folder.glob("*/api/*/*.py")} - {"__init__"}
    models = {path.stem for path in folder.glob("*/models/*.py")} - {"__init__"}
    assert printed.split() == ["Generating", str(folder)]
    assert {name.replace("_", "") for name in made} == {name.lower() for name in IDS}
    assert 0 < len(models) <= MOST_MODELS


@pytest.mark.wide
def test_datamodel_codegen_makes_every_component(document: Path) -> None:
    made = document.with_name("made.py")
    generate = [*("-m", "datamodel_code_generator", "--input-file-type", "openapi")]
    kind = [*("--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin")]

    printed = run(
        sys.executable, *generate, *kind, "--input", document, "--output", made, cwd=made.parent
    )

    parsed = ast.parse(made.read_text(encoding="utf-8"))
    classes = {node.name for node in parsed.body if isinstance(node, ast.ClassDef)}
    assert not printed
    assert classes >= schema_check.document()["components"]["schemas"].keys()
    assert len(classes) <= MOST_MODELS
    run(sys.executable, made, cwd=made.parent)


@pytest.mark.wide
def test_openapi_typescript_makes_every_operation(document: Path) -> None:
    node, modules = shutil.which("node"), services.DOCUMENT_CHECKERS.found()
    if node is None or modules is None:
        pytest.skip("generators of npm are not installed (`scripts/testdb prepare`)")
    folder = document.parent
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "program.ts").write_text(PROGRAM, encoding="utf-8")
    (folder / "tsconfig.json").write_text(json.dumps(COMPILED), encoding="utf-8")
    generator = modules / "openapi-typescript" / "bin" / "cli.js"

    printed = run(node, generator, document, "--output", "schema.d.ts", cwd=folder)

    made = (folder / "schema.d.ts").read_text(encoding="utf-8")
    operations = made[made.index("export interface operations {") :]
    assert "⚠" not in printed and "warn" not in printed.lower()
    assert {*re.findall(r"^ {4}(\w+): \{$", operations, re.MULTILINE)} == IDS
    assert not run(node, modules / "typescript" / "bin" / "tsc", "--project", ".", cwd=folder)
