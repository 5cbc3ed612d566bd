"""Pictures of people who uploaded none: made from the profile's id, or fetched where the site wants that (P-36)."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pytest
from PIL import Image

from tests.api import Api
from tests.factories import Factory, Person, Site


def avatar(api: Api, person: Person) -> str:
    return str(api.get(person.path, site=person.site).data["avatar"])


@pytest.mark.parametrize("as_before", [False, True], ids=["new", "of an earlier release"])
def test_no_answer_has_the_md5_of_an_address(api: Api, make: Factory, as_before: bool) -> None:
    site = make.site()
    people = (site.owner, site.member, site.newcomer)
    digests = {
        person.id: hashlib.md5(person.email.encode(), usedforsecurity=False).hexdigest()
        for person in people
    }
    if as_before:
        for id, digest in digests.items():
            make.sql(
                "UPDATE profiles SET avatar_url = %(u)s, version = version + 1 WHERE profile_id = %(p)s RETURNING 1",
                u=f"https://secure.gravatar.com/avatar/{digest}?d=identicon",
                p=id,
            )
    chat = make.conversation(site)
    make.comment(chat, by=site.newcomer)
    huddle = make.huddle(site.member, site.newcomer)
    paths = (
        "/api/v1/site",
        "/api/v1/whoami",
        "/api/v1/profiles",
        "/api/v1/conversations",
        "/api/v1/huddles",
    )
    for path in (*paths, chat.path, huddle.path, site.owner.path, site.member.path):
        for by in (None, site.owner, site.member):
            answer = api.get(path, site=site, by=by)
            assert not [one for one in digests.values() if one.encode() in answer.body], path
            assert b"gravatar" not in answer.body, path
    for user in (site.member.user_id, site.owner.user_id):
        assert b"gravatar" not in api.get(f"/api/v1/users/{user}", by=site.owner).body


def test_everybody_has_a_picture_of_their_own(api: Api, make: Factory, bikes: Site) -> None:
    people = [make.person(bikes) for _ in range(6)]
    seen = set()
    for person in people:
        path = avatar(api, person)
        answer = api.get(path, site=bikes)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert "immutable" in answer.headers["Cache-Control"]
        with Image.open(BytesIO(answer.body)) as picture:
            assert picture.size == (100, 100)
            assert len(picture.convert("RGB").getcolors() or ()) == 2
        again = api.get(path, by=bikes.member)
        assert again.body == answer.body
        tag = {"If-None-Match": answer.headers["ETag"]}
        assert api.get(path, site=bikes, headers=tag).status == 304
        assert api.request("HEAD", path, site=bikes).headers["Content-Length"] == str(
            len(again.body)
        )
        seen.add(answer.body)
    assert len(seen) == 6
    small = api.get(f"{avatar(api, people[0])}?maxWidth=100&maxHeight=100", site=bikes)
    assert small.body == api.get(avatar(api, people[0]), site=bikes).body


def test_a_picture_tells_of_no_profile(api: Api, bikes: Site, trains: Site) -> None:
    for site in (bikes, trains):
        answer = api.get("/api/v1/files/profile-987654321.png", site=site)
        assert answer.status == 200
    for name in (
        "profile-0",
        "profile-01",
        "profile-",
        "profile--1",
        "profile-x",
        "profile-" + "9" * 30,
    ):
        assert api.get(f"/api/v1/files/{name}.png", site=bikes).status == 404
    wrong = api.get("/api/v1/files/profile-1.png?maxWidth=7&maxHeight=7", site=bikes)
    assert wrong.status == 400


def test_an_upload_takes_its_place(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    assert avatar(api, person) == f"/api/v1/files/profile-{person.id}.png"
    hash = make.file(person)
    api.post(f"{person.path}/attachments", {"fileHash": hash, "fileName": "me.png"}, by=person)
    assert avatar(api, person) == f"/api/v1/files/{hash}.png"
