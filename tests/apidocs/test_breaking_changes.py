"""Changes of the OpenAPI document that break clients: none since the last release unless the version moves."""

from __future__ import annotations

import copy
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forumapi import routes
from forumapi.apidocs import openapi
from forumapi.apidocs.openapi import Schema
from tests import schema_check
from tests.apidocs.breaking_changes import breaking_changes

RELEASED = Path(__file__).resolve().parents[1] / "saved" / "released_openapi.json.gz"
PATHS = ("/api/v1/comments", "/api/v1/comments/<comment:item>", "/api/v1/webhooks")


def without_texts(part: Any) -> Any:
    """A copy of a document without what is for readers."""
    if isinstance(part, list):
        return [without_texts(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    return {
        key: without_texts(value)
        for key, value in part.items()
        if not (key in ("description", "summary", "title", "example") and isinstance(value, str))
        and not key.startswith("x-")
        and key not in ("example", "examples")
    }


@pytest.mark.wide
def test_nothing_breaks_clients_of_the_last_release() -> None:
    """With REFRESH_RELEASED_DOCUMENT=1, which a release sets, the present document is saved."""
    document = schema_check.document()
    if os.environ.get("REFRESH_RELEASED_DOCUMENT"):
        text = json.dumps(without_texts(document), separators=(",", ":"))
        RELEASED.write_bytes(gzip.compress(text.encode(), mtime=0))
    released = json.loads(gzip.decompress(RELEASED.read_bytes()))

    if released["info"]["version"] == document["info"]["version"]:
        assert breaking_changes(released, document) == [], "the version has to move"


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def without_operation(paths: Schema, schemas: Schema) -> None:
    del paths["/api/v1/comments/{id}"]["delete"]


def without_received_member(paths: Schema, schemas: Schema) -> None:
    del schemas["ErrorDetail"]["properties"]["siteId"]
    schemas["ErrorDetail"]["required"].remove("siteId")


def without_sent_member(paths: Schema, schemas: Schema) -> None:
    del schemas["CreateCommentBody"]["properties"]["inReplyTo"]


def with_required_member(paths: Schema, schemas: Schema) -> None:
    schemas["CreateCommentBody"]["properties"]["mood"] = {"type": "string"}
    schemas["CreateCommentBody"]["required"].append("mood")


def with_narrower_values(paths: Schema, schemas: Schema) -> None:
    schemas["CommentableType"]["enum"].remove("poll")


def with_narrower_values_below(paths: Schema, schemas: Schema) -> None:
    schemas["WebhookEventKind"]["enum"].remove("deleted")


def with_another_type(paths: Schema, schemas: Schema) -> None:
    schemas["ErrorDetail"]["properties"]["siteId"] = {"type": "string"}


def with_member_that_may_be_absent(paths: Schema, schemas: Schema) -> None:
    schemas["ErrorDetail"]["required"].remove("code")


def with_required_parameter(paths: Schema, schemas: Schema) -> None:
    new = {"name": "mood", "in": "query", "required": True, "schema": {"type": "string"}}
    paths["/api/v1/comments"]["post"]["parameters"].append(new)


def without_answer(paths: Schema, schemas: Schema) -> None:
    del paths["/api/v1/comments"]["post"]["responses"]["201"]


def without_form(paths: Schema, schemas: Schema) -> None:
    del paths["/api/v1/comments"]["post"]["requestBody"]["content"][openapi.FORM]


BREAKING: dict[Change, str] = {
    without_operation: "DELETE /api/v1/comments/{id}: the operation is gone",
    without_received_member: "ErrorDetail: the received member siteId is gone",
    without_sent_member: "CreateCommentBody: the sent member inReplyTo is gone",
    with_required_member: "CreateCommentBody: the sent member mood is required",
    with_narrower_values: "CommentableType: the value poll is gone",
    with_narrower_values_below: "WebhookEventKind: the value deleted is gone",
    with_another_type: "ErrorDetail.siteId: the type is string, not integer",
    with_member_that_may_be_absent: "ErrorDetail: the received member code may be absent",
    with_required_parameter: "POST /api/v1/comments: the parameter mood is required",
    without_answer: "POST /api/v1/comments: the answer 201 is gone",
    without_form: "POST /api/v1/comments body: application/x-www-form-urlencoded is gone",
}


def with_operation(paths: Schema, schemas: Schema) -> None:
    paths["/api/v1/moods"] = paths["/api/v1/comments"]


def with_received_member(paths: Schema, schemas: Schema) -> None:
    schemas["ErrorDetail"]["properties"]["mood"] = {"type": "string"}
    schemas["ErrorDetail"]["required"].append("mood")


def with_sent_member(paths: Schema, schemas: Schema) -> None:
    schemas["CreateCommentBody"]["properties"]["mood"] = {"type": "string"}


def with_wider_values(paths: Schema, schemas: Schema) -> None:
    schemas["CommentableType"]["enum"].append("album")
    schemas["ErrorDetail"]["properties"]["code"]["enum"].append("mood")


def without_required_member(paths: Schema, schemas: Schema) -> None:
    schemas["CreateCommentBody"]["required"].remove("markdown")


HARMLESS: tuple[Change, ...] = (
    with_operation,
    with_received_member,
    with_sent_member,
    with_wider_values,
    without_required_member,
)


@pytest.mark.wide
def test_what_breaks_is_told_from_what_does_not() -> None:
    before = openapi.host_document({url: routes.SITE[url] for url in PATHS})

    def changed(change: Change) -> list[str]:
        after = copy.deepcopy(before)
        change(after["paths"], after["components"]["schemas"])
        assert after != before
        return breaking_changes(before, after)

    assert breaking_changes(before, copy.deepcopy(before)) == []
    for change, line in BREAKING.items():
        assert line in changed(change), change.__name__
    for change in HARMLESS:
        assert changed(change) == [], change.__name__
