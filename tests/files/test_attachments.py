"""Attachments of comments and profiles, avatars (content 10.5, 10.6; platform 4.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

NEVER = "0" * 40


def attach(api: Api, to: Thing | Person, hash: str, name: str = "a.png", **how: Any) -> Any:
    return api.post(f"{to.path}/attachments", {"fileHash": hash, "fileName": name}, **how)


@pytest.fixture
def comment(make: Factory, bikes: Site) -> Thing:
    return make.comment(make.conversation(bikes), by=bikes.member)


def test_a_file_hangs_on_a_comment(api: Api, make: Factory, bikes: Site, comment: Thing) -> None:
    hash = make.file(bikes.member)

    made = attach(api, comment, hash, "wheel.jpg", by=bikes.member)
    got = api.follow(made, by=bikes.member).data

    assert made.location == f"{comment.path}/attachments"
    page = got["attachments"]
    assert (page["total"], page["type"]) == (1, "attachments")
    entry = {**page["items"][0], "created": ""}
    assert entry == {
        "profileId": bikes.member.id,
        "fileHash": hash,
        "fileName": "wheel.jpg",
        "fileExt": "jpg",
        "created": "",
        "meta": {
            "links": [
                {"rel": "related", "href": f"/api/v1/files/{hash}.jpg", "title": "File resource"}
            ]
        },
    }
    assert got["meta"]["permissions"]["update"] is True


def test_a_picture_says_how_large_it_is(
    api: Api, make: Factory, bikes: Site, comment: Thing
) -> None:
    picture, text = make.file(bikes.member), make.file(bikes.member)
    make.sql(
        "UPDATE files SET width = 640, height = 480 WHERE file_hash = %(hash)s RETURNING 1",
        hash=picture,
    )
    for hash in (picture, text):
        attach(api, comment, hash, by=bikes.member)

    def sizes(found: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
        return [(one.get("width"), one.get("height")) for one in found]

    listed = api.get(f"{comment.path}/attachments", by=bikes.member).data["attachments"]["items"]
    shown = api.get(comment.path, by=bikes.member).data["meta"]["attachments"]
    assert sizes(listed) == sizes(shown) == [(640, 480), (None, None)]
    assert "width" not in listed[1]


def test_the_comment_counts_them_and_its_version_moves(
    api: Api, make: Factory, bikes: Site, comment: Thing
) -> None:
    def shown() -> tuple[int, str]:
        answer = api.get(comment.path, by=bikes.member)
        return answer.data["attachments"], answer.headers["ETag"]

    one, two = make.file(bikes.member), make.file(bikes.member)
    none, before = shown()
    attach(api, comment, one, by=bikes.member)
    attach(api, comment, two, by=bikes.member)
    attach(api, comment, two, by=bikes.member)
    count, after = shown()
    api.delete(f"{comment.path}/attachments/{one}.png", by=bikes.member)

    assert (none, count, shown()[0]) == (0, 2, 1)
    assert before != after
    counted = make.sql(
        "SELECT attach_count FROM files WHERE file_hash = ANY(%(h)s) ORDER BY 1", h=[one, two]
    )
    assert counted == [(0,), (1,)]


def test_a_form_will_do_and_a_name_need_not_be(
    api: Api, make: Factory, bikes: Site, comment: Thing
) -> None:
    first, second = make.file(bikes.member), make.file(bikes.member)
    form = {"FileHash": first, "FileName": "../../etc/pass wd.ta?r"}
    where = f"{comment.path}/attachments"

    assert api.request("POST", where, form=form, by=bikes.member).status == 302
    assert api.post(where, {"fileHash": second}, by=bikes.member).status == 302

    found = api.get(where, by=bikes.member).data["attachments"]["items"]
    assert [(one["fileName"], one["fileExt"]) for one in found] == [
        ("pass wd.ta?r", ""),
        ("untitled.unk", "unk"),
    ]
    assert found[0]["meta"]["links"][0]["href"] == f"/api/v1/files/{first}"


def test_they_come_in_pages_the_oldest_first(
    api: Api, make: Factory, bikes: Site, comment: Thing
) -> None:
    hashes = [make.file(bikes.member) for _ in range(7)]
    for hash in hashes:
        attach(api, comment, hash, by=bikes.member)
    where = f"{comment.path}/attachments"

    first = api.get(f"{where}?limit=5", by=bikes.member)
    rest = api.get(f"{where}?limit=5&offset=5", by=bikes.member)

    found = [one["fileHash"] for page in (first, rest) for one in page.data["attachments"]["items"]]
    assert found == hashes
    assert api.get(f"{where}?limit=5&offset=10", by=bikes.member).status == 400
    again = api.get(
        f"{where}?limit=5", by=bikes.member, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert again.status == 304
    assert first.statements == 3


def test_who_may_attach(api: Api, make: Factory, bikes: Site, comment: Thing) -> None:
    hash = make.file(bikes.member)

    for by in (None, bikes.newcomer):
        assert attach(api, comment, hash, by=by, site=bikes).status == 403
    for by in (bikes.moderator, bikes.owner, bikes.member):
        assert attach(api, comment, make.file(by), by=by).status == 302


def test_what_can_be_wrong(
    api: Api, make: Factory, bikes: Site, trains: Site, comment: Thing
) -> None:
    where = f"{comment.path}/attachments"
    hash = make.file(bikes.member)

    for body in ({}, {"fileHash": ""}, {"fileHash": None}):
        assert api.post(where, body, by=bikes.member).status == 400
    for unknown in (NEVER, "x", hash.upper(), hash[:-1]):
        refused = attach(api, comment, unknown, by=bikes.member)
        assert (refused.status, refused.code) == (400, 22)
    place = make.microcosm(bikes)
    make.role(bikes, place.id, "Nobody", rights=())
    hidden = make.comment(make.conversation(bikes, microcosm=place, by=bikes.owner), by=bikes.owner)
    foreign = make.comment(make.conversation(trains), by=trains.member)
    api.get("/api/v1/microcosms", by=bikes.member)  # the site's new tree is known then
    answers = []
    for id in (987_654_321, hidden.id, foreign.id):
        refused = api.post(
            f"/api/v1/comments/{id}/attachments", {"fileHash": hash}, by=bikes.member
        )
        assert (refused.status, refused.code) == (400, 23)
        answers.append((refused.body, refused.statements))
    assert len(set(answers)) == 1
    assert (
        api.post("/api/v1/profiles/987654321/attachments", {"fileHash": hash}, by=bikes.owner).code
        == 23
    )


def test_a_hidden_comment_takes_files_from_its_author_and_moderators_alone(
    api: Api, make: Factory, bikes: Site, comment: Thing
) -> None:
    hash = make.file(bikes.member)
    api.patch(comment.path, ("moderated", True), by=bikes.moderator)

    assert attach(api, comment, make.file(bikes.newcomer), by=bikes.newcomer).code == 23
    assert attach(api, comment, hash, by=bikes.member).status == 302
    assert api.get(f"{comment.path}/attachments", by=bikes.newcomer).status == 404
    assert attach(api, comment, hash, by=bikes.moderator).status == 302


def test_who_may_take_off(api: Api, make: Factory, bikes: Site, comment: Thing) -> None:
    for by, status in (
        (None, 403),
        (bikes.newcomer, 403),
        (bikes.member, 200),
        (bikes.moderator, 200),
        (bikes.owner, 200),
    ):
        hash = make.file(bikes.member)
        attach(api, comment, hash, by=bikes.member)
        gone = api.delete(f"{comment.path}/attachments/{hash}", by=by, site=bikes)
        assert gone.status == status, by
        # Once more is as good.
        assert api.delete(f"{comment.path}/attachments/{hash}", by=by, site=bikes).status == status
    assert api.delete(f"{comment.path}/attachments/{NEVER}", by=bikes.member).code == 22
    assert api.delete(f"{comment.path}/attachments/x.png", by=bikes.member).code == 22
    assert api.get("/api/v1/comments/987654321/attachments", by=bikes.owner).status == 404


def test_a_foreign_comment_is_answered_like_none(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    hash = make.file(trains.member)
    foreign = make.comment(make.conversation(trains), by=trains.member)
    attach(api, foreign, hash, by=trains.member)
    for by in bikes.cast().values():
        answers = {
            (got.status, got.body, got.statements)
            for got in (
                api.delete(f"/api/v1/comments/{id}/attachments/{hash}", by=by, site=bikes)
                for id in (foreign.id, 987_654_321)
            )
        }
        assert len(answers) == 1


def test_the_same_key_attaches_once(api: Api, make: Factory, bikes: Site, comment: Thing) -> None:
    hash = make.file(bikes.member)
    key = {"Idempotency-Key": "attach-1"}

    for _ in range(2):
        assert attach(api, comment, hash, by=bikes.member, headers=key).status == 302

    assert api.get(f"{comment.path}/attachments", by=bikes.member).data["attachments"]["total"] == 1


def test_an_attachment_is_an_event_and_is_not_audited(
    api: Api, make: Factory, bikes: Site, comment: Thing
) -> None:
    hash = make.file(bikes.member)
    attach(api, comment, hash, by=bikes.member)
    api.delete(f"{comment.path}/attachments/{hash}", by=bikes.member)

    kinds = make.sql(
        """SELECT kind FROM event_log
            WHERE site_id = %(site)s AND item_type_id = 21 AND parent_type_id = 4 AND parent_id = %(id)s
            ORDER BY event_id""",
        site=bikes.id,
        id=comment.id,
    )
    assert kinds == [("created",), ("deleted",)]
    assert make.sql("SELECT 1 FROM audit_log WHERE item_type_id = 21") == []


# ---------------------------------------------------------------- avatars


def avatar(api: Api, person: Person) -> str:
    return str(api.get(person.path, site=person.site).data["avatar"])


def test_the_newest_picture_is_the_avatar(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    one, two = make.file(person), make.file(person)
    assert avatar(api, person) == f"/api/v1/files/profile-{person.id}.png"

    attach(api, person, one, "me.png", by=person)
    assert avatar(api, person) == f"/api/v1/files/{one}.png"
    attach(api, person, two, "me.jpg", by=person)
    assert avatar(api, person) == f"/api/v1/files/{two}.jpg"
    # One from before becomes current again.
    attach(api, person, one, "again.gif", by=person)
    assert avatar(api, person) == f"/api/v1/files/{one}.gif"
    api.delete(f"{person.path}/attachments/{one}.gif", by=person)
    assert avatar(api, person) == f"/api/v1/files/{two}.jpg"
    assert api.delete(f"{person.path}/attachments/{one}", by=person).status == 200
    last = api.delete(f"{person.path}/attachments/{two}", by=person)
    assert last.status == 400
    assert avatar(api, person) == f"/api/v1/files/{two}.jpg"


def test_an_avatar_is_changed_by_its_own_and_the_site_owner(
    api: Api, make: Factory, bikes: Site
) -> None:
    person = make.person(bikes)
    for by, status in (
        (None, 403),
        (bikes.newcomer, 403),
        (bikes.moderator, 403),
        (bikes.owner, 302),
        (person, 302),
    ):
        hash = make.file(by or person)
        assert attach(api, person, hash, by=by, site=bikes).status == status
    shown = api.get(f"{person.path}/attachments", site=bikes).data["attachments"]
    assert [one["profileId"] for one in shown["items"]] == [bikes.owner.id, person.id]
    for by, status in ((None, 403), (bikes.moderator, 403), (bikes.owner, 200)):
        gone = api.delete(f"{person.path}/attachments/{hash}", by=by, site=bikes)
        assert gone.status == status


def test_a_new_avatar_is_seen_wherever_the_person_is(api: Api, make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site, by=site.owner)
    said = make.comment(chat, by=site.owner)
    for where in (chat.path, said.path, "/api/v1/site", "/api/v1/profiles"):
        api.get(where, site=site)
    tag = api.get(site.owner.path, site=site).headers["ETag"]

    hash = make.file(site.owner)
    attach(api, site.owner, hash, "o.png", by=site.owner)

    for where in (chat.path, said.path, "/api/v1/site", "/api/v1/profiles"):
        assert f"/api/v1/files/{hash}.png".encode() in api.get(where, by=site.owner).body, where
    assert api.get(site.owner.path, site=site).headers["ETag"] != tag


def test_an_extension_too_long_for_an_avatar_is_left_out(
    api: Api, make: Factory, bikes: Site
) -> None:
    person = make.person(bikes)
    hash = make.file(person)

    assert attach(api, person, hash, "me." + "x" * 200, by=person).status == 302

    assert avatar(api, person) == f"/api/v1/files/{hash}"


def test_on_the_platform_host_a_profile_has_its_own_alone(api: Api, make: Factory) -> None:
    root = Site(1, "root", api.platform_domain, 0)
    person, other = make.person(root), make.person(root)
    hash = make.file(person)

    assert attach(api, person, hash, by=person).status == 302
    assert api.get(f"{person.path}/attachments", by=person).status == 200
    assert api.get(f"{other.path}/attachments", by=person).status == 403
    assert api.get(f"{person.path}/attachments", site=root).status == 403
