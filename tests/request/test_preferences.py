"""Forms of the answer to a write: for pages of browsers, and as `Prefer` asks for (platform 1.3)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from forumapi.wire import documented_headers
from tests import schema_check
from tests.api import Api, Response
from tests.factories import Factory, Site, Thing

PAGE = ({"Origin": "https://page.example"}, {"Sec-Fetch-Mode": "cors"})
REPRESENTATION = {"Prefer": "return=representation"}
MINIMAL = {"Prefer": "return=minimal"}


@pytest.fixture
def chat(make: Factory, bikes: Site) -> Thing:
    return make.conversation(bikes)


def change(title: str) -> dict[str, Any]:
    """The body of a PUT of an item."""
    return {"title": title, "meta": {"editReason": "why not"}}


def on(chat: Thing, text: str) -> dict[str, Any]:
    """The body of a new comment."""
    return {"itemType": "conversation", "itemId": chat.id, "markdown": text}


@pytest.mark.parametrize("page", PAGE)
def test_a_put_of_a_page_is_answered_303(
    api: Api, bikes: Site, chat: Thing, page: dict[str, str]
) -> None:
    key = {"Idempotency-Key": uuid4().hex}

    for _ in range(2):
        answer = api.put(chat.path, change("New"), by=bikes.member, headers={**page, **key})
        assert (answer.status, answer.location) == (303, chat.path)
        assert answer.json() == {"context": "", "status": 303, "data": None, "error": None}


def test_302_stays_for_programs_and_for_a_put_that_comes_as_post(
    api: Api, bikes: Site, chat: Thing
) -> None:
    assert api.put(chat.path, change("One"), by=bikes.member).status == 302
    for page in PAGE:
        overridden = f"{chat.path}?method=PUT"
        assert api.post(overridden, change("Two"), by=bikes.member, headers=page).status == 302
        answer = api.post("/api/v1/comments", on(chat, str(page)), by=bikes.member, headers=page)
        assert answer.status == 302


def test_the_document_of_something_new_comes_with_201(api: Api, bikes: Site, chat: Thing) -> None:
    led = api.post("/api/v1/comments", on(chat, "Old"), by=bikes.newcomer)
    followed = api.follow(led, by=bikes.newcomer)
    body = on(chat, "New")

    answer = api.post("/api/v1/comments", body, by=bikes.newcomer, headers=REPRESENTATION)

    assert answer.status == answer.json()["status"] == 201
    assert answer.headers["Preference-Applied"] == "return=representation"
    assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
    assert answer.statements <= led.statements + followed.statements
    read = api.get(answer.location, by=bikes.newcomer)
    # By the first look it is read, which a second one shows.
    assert answer.headers["ETag"].partition("-")[0] == read.headers["ETag"].partition("-")[0]
    assert answer.data["markdown"] == read.data["markdown"] == "New"
    assert answer.data["meta"]["permissions"] == read.data["meta"]["permissions"]
    assert answer.headers["Live-Cursor"]


def test_a_repeated_write_is_answered_with_the_same_document(
    api: Api, make: Factory, bikes: Site, chat: Thing
) -> None:
    key = {"Idempotency-Key": uuid4().hex, **REPRESENTATION}
    body = on(chat, "Once")
    first, second = (
        api.post("/api/v1/comments", body, by=bikes.member, headers=key) for _ in range(2)
    )

    assert (first.status, first.location, first.data) == (
        second.status,
        second.location,
        second.data,
    )
    rows = make.sql("SELECT count(*) FROM comments WHERE item_id = %(i)s", i=chat.id)
    assert rows == [(1,)]


def test_put_and_patch_show_what_they_changed(api: Api, bikes: Site, chat: Thing) -> None:
    changed = api.put(chat.path, change("Shown"), by=bikes.member, headers=REPRESENTATION)
    closed = api.patch(chat.path, ("open", False), by=bikes.moderator, headers=REPRESENTATION)

    for answer in (changed, closed):
        assert (answer.status, answer.location) == (200, chat.path)
        assert answer.data["title"] == "Shown"
    assert (changed.data["meta"]["flags"]["open"], closed.data["meta"]["flags"]["open"]) == (
        True,
        False,
    )


def test_reactions_bookmarks_drafts_and_batches_follow_the_same_rule(
    api: Api, bikes: Site, chat: Thing
) -> None:
    def shown(method: str, path: str, body: Any = None) -> Any:
        answer = api.request(method, path, json=body, by=bikes.member, headers=REPRESENTATION)
        assert answer.headers["Preference-Applied"] == "return=representation", answer.body
        assert answer.status == 200
        return answer.data

    like = f"{chat.path}/reactions/like"
    assert shown("PUT", like)["reactions"][0]["count"] == 1
    assert shown("DELETE", like)["reactions"][0]["count"] == 0
    assert shown("PUT", f"{chat.path}/bookmark")["itemId"] == chat.id
    # Nothing is left to show.
    assert shown("DELETE", f"{chat.path}/bookmark") is None
    draft = f"{chat.path}/draft"
    assert shown("PUT", draft, {"content": {"markdown": "A"}, "version": 0})["version"] == 1
    assert shown("PUT", draft, {"content": {"markdown": "B"}, "version": 1})["version"] == 2
    both = [{"itemType": "conversation", "itemId": chat.id}]
    ignored = shown("PUT", "/api/v1/ignored/batch", both)["ignored"]["items"]
    assert chat.id in [one["itemId"] for one in ignored]
    shown("DELETE", "/api/v1/ignored/batch", both)
    assert shown("PUT", "/api/v1/profiles/read/batch", both) is None
    assert shown("DELETE", chat.path) is None


def test_a_document_out_of_reach_is_not_shown_but_written(
    api: Api, bikes: Site, chat: Thing
) -> None:
    made = api.post(
        "/api/v1/keys", {"name": "Writes", "scopes": ["comments:write"]}, by=bikes.member
    )
    token = made.data["secret"]
    body = on(chat, "Unseen")

    answer = api.post(
        "/api/v1/comments", body, token=token, host=bikes.host, headers=REPRESENTATION
    )

    assert answer.status == 302
    assert "Preference-Applied" not in answer.headers
    assert api.get(answer.location, by=bikes.member).data["markdown"] == "Unseen"


def test_minimal_is_204_but_for_secrets(api: Api, bikes: Site, chat: Thing) -> None:
    made = api.post("/api/v1/comments", on(chat, "Few"), by=bikes.member, headers=MINIMAL)
    like = api.put(f"{chat.path}/reactions/like", by=bikes.member, headers=MINIMAL)
    for answer in (made, like):
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Preference-Applied"] == "return=minimal"
        assert "Content-Type" not in answer.headers
    assert api.get(made.location, by=bikes.member).status == 200
    forced = api.put(f"{chat.path}/reactions/like?always200", by=bikes.member, headers=MINIMAL)
    assert (forced.status, forced.json()["status"]) == (200, 204)

    body = {"name": "A key", "scopes": ["comments:read"]}
    key = api.post("/api/v1/keys", body, by=bikes.member, headers=MINIMAL)
    assert key.status == 200
    assert key.data["secret"]
    assert "Preference-Applied" not in key.headers


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("return=minimal, return=representation", 204),
        ('respond-async, RETURN = "representation"; x=1', 201),
        ("return=everything", 302),
        ("returns=minimal", 302),
        ("handling=lenient", 302),
    ],
)
def test_the_header_is_read_as_rfc_7240_says(
    api: Api, bikes: Site, chat: Thing, header: str, status: int
) -> None:
    answer = api.post(
        "/api/v1/comments", on(chat, header), by=bikes.member, headers={"Prefer": header}
    )
    assert answer.status == status


def test_a_refusal_is_one_whatever_is_preferred(api: Api, bikes: Site, chat: Thing) -> None:
    for form in (REPRESENTATION, MINIMAL):
        answer: Response = api.put(chat.path, change("No"), by=bikes.newcomer, headers=form)
        assert answer.status == 403
        assert "Preference-Applied" not in answer.headers


def test_cors_lists_what_the_api_document_names(api: Api, bikes: Site) -> None:
    document = schema_check.document()
    taken = [*document["components"]["parameters"].values(), *document["x-switches"]]
    sent = {one["name"] for one in taken if one["in"] == "header"}
    whole = json.dumps([document["paths"], document["components"]["responses"]])
    read = {
        name
        for name in document["components"]["headers"]
        if f'"#/components/headers/{name}"' in whole
    }

    asked = api.request("OPTIONS", "/api/v1/comments", site=bikes)
    allowed = set(asked.headers["Access-Control-Allow-Headers"].split(", "))
    exposed = set(asked.headers["Access-Control-Expose-Headers"].split(", "))

    assert allowed == sent | {"Authorization", "Content-Type"}
    assert exposed == read == set(documented_headers.RESPONSE)
