"""The AsyncAPI document: served beside the OpenAPI one, whole in itself, about the frames that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from forumapi.apidocs import asyncapi
from forumapi.realtime.message_schemas import RECEIVED, SENT
from tests.api import Api
from tests.factories import Site

DOCUMENT = asyncapi.document("bikes.forum.example", is_tls=True)
PAGE = (Path(__file__).parents[2] / "docs" / "api" / "live.md").read_text()


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        inner = [one for each in value.values() for one in _references(each)]
        return [value["$ref"], *inner] if isinstance(value.get("$ref"), str) else inner
    return [one for each in value for one in _references(each)] if isinstance(value, list) else []


@pytest.mark.wide
def test_a_site_serves_its_own(api: Api, bikes: Site) -> None:
    api.checks_schema = False
    told = api.get("/api/v1/asyncapi.json", site=bikes)

    assert told.status == 200
    assert told.json()["asyncapi"] == "3.0.0"
    assert told.json()["servers"]["site"]["host"].startswith(bikes.host)
    again = api.get(
        "/api/v1/asyncapi.json", site=bikes, headers={"If-None-Match": told.headers["ETag"]}
    )
    assert again.status == 304


def test_every_reference_leads_somewhere() -> None:
    found = _references(DOCUMENT)
    assert len(found) > 30
    for reference in found:
        value = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            value = value[part]


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_every_payload_is_described_in_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@pytest.mark.parametrize("struct", [*SENT, *RECEIVED], ids=lambda one: one.__name__)
def test_the_page_names_every_frame_with_its_members(struct: Any) -> None:
    name = struct.__struct_config__.tag
    schema = DOCUMENT["components"]["schemas"][struct.__name__]
    rows = re.findall(rf"^\| `{name}` \|(.*)$", PAGE, re.MULTILINE)
    assert rows
    if name != "event":
        for member in schema["properties"].keys() - {"type"}:
            assert any(f"`{member}`" in row for row in rows), member
