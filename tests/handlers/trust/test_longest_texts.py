"""The longest texts that people may send, of characters that are escaped where they are stored."""

from __future__ import annotations

import pytest

from tests.api import Api, Response
from tests.factories import Factory, Person, Site

MARKS = pytest.mark.parametrize("mark", ["&", "'", '"', "<"])


@pytest.fixture(scope="module")
def site(make: Factory) -> Site:
    return make.site()


def text(mark: str, length: int) -> str:
    """A text of this length that no cleaning shortens."""
    return "a" + f" {mark}" * ((length - 1) // 2) + "a" * ((length - 1) % 2)


@MARKS
def test_the_longest_texts_of_moderation_are_taken(
    api: Api, make: Factory, site: Site, mark: str
) -> None:
    comment = make.comment(make.conversation(site), by=site.member)
    target = {"itemType": "comment", "itemId": comment.id}

    def post(path: str, body: dict[str, object], by: Person) -> Response:
        answer = api.post(f"/api/v1{path}", body, by=by)
        assert answer.status < 400, (path, answer.body)
        return answer

    post("/reports", {**target, "kind": "abuse", "text": text(mark, 2000)}, site.newcomer)
    (case, *_) = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    post(f"/cases/{case['id']}/notes", {"text": text(mark, 2000)}, site.moderator)
    grounds = {"rule": text(mark, 500), "reason": text(mark, 2000), "note": text(mark, 2000)}
    post("/actions", {"kind": "hide", "targets": [target], **grounds}, site.moderator)
    (statement, *_) = api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
    appealed = post(
        f"/statements/{statement['id']}/appeal", {"text": text(mark, 2000)}, site.member
    )

    shown = api.get(appealed.location, by=site.member).data
    assert mark in shown["messages"][0]["text"] or "&" in shown["messages"][0]["text"]
    too_long = {**target, "kind": "abuse", "text": text(mark, 2001)}
    assert api.post("/api/v1/reports", too_long, by=site.owner).status == 400


@MARKS
def test_the_longest_names_of_keys_and_clients_are_taken(api: Api, site: Site, mark: str) -> None:
    for path, most, more in (
        ("/api/v1/keys", 100, {}),
        ("/api/v1/oauth/clients", 50, {"redirectUris": ["https://client.example/back"]}),
    ):
        body = {"scopes": ["comments:read"], **more}
        taken = api.post(path, {**body, "name": text(mark, most)}, by=site.owner)
        refused = api.post(path, {**body, "name": text(mark, most + 1)}, by=site.owner)

        assert (taken.status, refused.status) == (200, 400), (path, taken.body)
        assert refused.error.startswith("name")
