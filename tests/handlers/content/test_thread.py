"""A thread in one call: each comment with what the caller may do, how they reacted, and its files; and previews."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def comments(answer: Response) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    items: list[dict[str, Any]] = answer.data["comments"]["items"]
    return items


def react(api: Api, comment: Thing, name: str, by: Person) -> None:
    path = f"/api/v1/comments/{comment.id}/reactions/{name}"
    assert api.put(path, {}, by=by).status == 302


def attach(api: Api, make: Factory, comment: Thing, by: Person, name: str) -> str:
    hash = make.file(by, name)
    sent = {"fileHash": hash, "fileName": name}
    path = f"/api/v1/comments/{comment.id}/attachments"
    assert api.post(path, sent, by=by).status == 302
    return hash


@pytest.mark.parametrize("kind", ["conversation", "event", "poll"])
def test_each_comment_says_what_the_caller_may_do_with_it(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    thread: Thing = getattr(make, kind)(site, by=site.moderator)
    made = [make.comment(thread, by=one) for one in (site.member, site.newcomer, site.moderator)]
    for by in (site.member, site.newcomer, site.moderator, site.owner):
        shown = comments(api.get(thread.path, by=by))
        assert [one["id"] for one in shown] == [one.id for one in made]
        for one in shown:
            path = f"/api/v1/permission?itemType=comment&itemId={one['id']}"
            assert one["meta"]["permissions"] == api.get(path, by=by).data, (by.name, one["id"])
    # Guests may do nothing with any, and their pages are as they were.
    for one in comments(api.get(thread.path, site=site)):
        assert not {"permissions", "reacted"} & one["meta"].keys()


def test_each_comment_says_how_the_caller_reacted(api: Api, make: Factory, site: Site) -> None:
    thread = make.conversation(site, by=site.owner)
    first, second, third = make.comments(thread, 3, by=site.owner)

    def reacted(by: Person) -> list[Any]:
        return [one["meta"].get("reacted") for one in comments(api.get(thread.path, by=by))]

    assert reacted(site.member) == [None, None, None]
    react(api, first, "like", site.member)
    react(api, first, "laugh", site.member)
    react(api, third, "like", site.newcomer)
    assert reacted(site.member) == [["laugh", "like"], None, None]
    assert reacted(site.newcomer) == [None, None, ["like"]]
    react(api, second, "sad", site.member)
    assert reacted(site.member) == [["laugh", "like"], ["sad"], None]
    # As many as before, but of others.
    api.delete(f"/api/v1/comments/{first.id}/reactions/like", by=site.member)
    react(api, first, "like", site.newcomer)
    assert reacted(site.member) == [["laugh"], ["sad"], None]
    assert reacted(site.newcomer) == [["like"], None, ["like"]]


@pytest.mark.parametrize("kind", ["conversation", "event", "poll", "huddle"])
def test_a_thread_says_what_the_caller_bookmarked(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    if kind == "huddle":
        thread = make.huddle(site.member, site.newcomer)
    else:
        thread = getattr(make, kind)(site)
    first, second = make.comments(thread, 2)

    def bookmarked(by: Person) -> list[Any]:
        answer = api.get(thread.path, by=by)
        own = answer.data["meta"]["flags"].get("bookmarked")
        return [own, *(one["meta"].get("bookmarked") for one in comments(answer))]

    assert bookmarked(site.member) == [None, None, None]
    for thing in (thread, second):
        assert api.put(f"{thing.path}/bookmark", {}, by=site.member).status == 302
    assert bookmarked(site.member) == [True, None, True]
    assert bookmarked(site.newcomer) == [None, None, None]
    assert api.delete(f"{thread.path}/bookmark", by=site.member).status == 200
    assert api.put(f"{first.path}/bookmark", {}, by=site.newcomer).status == 302
    assert bookmarked(site.member) == [None, None, True]
    # One that nobody had seen when its page was kept.
    third = make.comment(thread)
    assert api.put(f"{third.path}/bookmark", {}, by=site.newcomer).status == 302
    assert bookmarked(site.newcomer) == [None, True, None, True]
    assert bookmarked(site.member) == [None, None, True, None]


@pytest.mark.parametrize("kind", ["conversation", "event", "poll", "huddle"])
def test_a_thread_says_that_the_caller_has_a_draft(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    if kind == "huddle":
        thread = make.huddle(site.member, site.newcomer)
    else:
        thread = getattr(make, kind)(site)
    make.comment(thread)

    def drafted(by: Person) -> Any:
        return api.get(thread.path, by=by).data["meta"]["flags"].get("drafted")

    before = api.get(thread.path, by=site.member).headers["etag"]
    assert drafted(site.member) is None
    draft = {"content": {"markdown": "Half a thought"}}
    assert api.put(f"{thread.path}/draft", draft, by=site.member).status == 302
    assert drafted(site.member) is True
    assert drafted(site.newcomer) is None
    assert api.get(thread.path, by=site.member).headers["etag"] != before
    assert api.delete(f"{thread.path}/draft", by=site.member).status == 200
    assert drafted(site.member) is None


def test_each_comment_shows_its_files(api: Api, make: Factory, site: Site) -> None:
    thread = make.conversation(site, by=site.member)
    bare, full = make.comments(thread, 2, by=site.member)
    hashes = [attach(api, make, full, site.member, f"{name}.txt") for name in "ab"]
    listed = api.get(f"/api/v1/comments/{full.id}/attachments", by=site.member)
    for by in (None, site.newcomer):
        shown = comments(api.get(thread.path, site=site, by=by))
        assert "attachments" not in shown[0]["meta"]
        assert shown[1]["attachments"] == 2
        assert shown[1]["meta"]["attachments"] == listed.data["attachments"]["items"]
    assert [one["fileHash"] for one in shown[1]["meta"]["attachments"]] == hashes
    detail = api.get(f"/api/v1/comments/{full.id}", by=site.newcomer)
    assert detail.data["meta"]["attachments"] == listed.data["attachments"]["items"]
    path = f"/api/v1/comments/{full.id}/attachments/{hashes[0]}"
    assert api.delete(path, by=site.member).status == 200
    (left,) = comments(api.get(thread.path, site=site, by=site.newcomer))[1]["meta"]["attachments"]
    assert left["fileHash"] == hashes[1]
    assert bare.id == shown[0]["id"]


def test_two_people_with_the_same_rights_are_not_shown_each_others_part(
    api: Api, make: Factory, site: Site
) -> None:
    thread = make.conversation(site, by=site.owner)
    mine = make.comment(thread, by=site.member)
    react(api, mine, "like", site.newcomer)
    for _ in range(2):
        for by, may, how in ((site.member, True, None), (site.newcomer, False, ["like"])):
            (shown,) = comments(api.get(thread.path, by=by))
            assert shown["meta"]["permissions"]["update"] is may
            assert shown["meta"].get("reacted") == how


def test_a_huddle_too(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    for by in (site.member, site.newcomer):
        body = {"itemType": "huddle", "itemId": huddle.id, "markdown": f"from {by.name}"}
        assert api.post("/api/v1/comments", body, by=by).status == 302
    first, second = comments(api.get(huddle.path, by=site.member))
    react(api, Thing(site, 4, second["id"]), "like", site.member)
    for by in (site.member, site.newcomer):
        for one in comments(api.get(huddle.path, by=by)):
            path = f"/api/v1/permission?itemType=comment&itemId={one['id']}"
            assert one["meta"]["permissions"] == api.get(path, by=by).data
            is_hers = by is site.member and one["id"] == second["id"]
            assert one["meta"].get("reacted") == (["like"] if is_hers else None)
    assert first["id"] != second["id"]


def test_it_costs_no_statement_more(api: Api, make: Factory, site: Site) -> None:
    def costs(thread: Thing) -> list[int]:
        api.get(thread.path, by=site.member)
        costs = [api.get(thread.path, by=site.member).statements]
        make.comment(thread, by=site.newcomer)
        costs.append(api.get(thread.path, by=site.member).statements)
        costs.append(api.get(thread.path, by=site.member).statements)
        return costs

    plain, full = (make.conversation(site, by=site.owner) for _ in range(2))
    make.comments(plain, 10, by=site.member)
    made = make.comments(full, 10, by=site.member)
    react(api, made[0], "like", site.member)
    attach(api, make, made[1], site.member, "c.txt")
    costs(plain)  # what everybody's threads need besides
    assert costs(full) == costs(plain)
    assert costs(full)[0] == 2


# ---------------------------------------------------------------- previews


def preview(api: Api, by: Person | None, site: Site, **body: Any) -> Response:
    return api.post("/api/v1/preview", {"markdown": "A *text*", **body}, site=site, by=by)


def test_a_preview_is_what_the_comment_becomes(api: Api, make: Factory, site: Site) -> None:
    # Where guests don't read, links are not shortened: then it is the same to the letter.
    huddle = make.huddle(site.member, site.owner)
    source = (
        f"Hello @{site.owner.name}, see **this**\n\nhttps://www.youtube.com/watch?v=dQw4w9WgXcQ\n\n"
        "<script>x()</script> #cake"
    )
    where = {"itemType": "huddle", "itemId": huddle.id}

    shown = preview(api, site.member, site, **where, markdown=source)

    assert shown.status == 200
    made = api.post("/api/v1/comments", {**where, "markdown": source}, by=site.member)
    html = api.follow(made, by=site.member).data["html"]
    assert f'href="/profiles/{site.owner.id}"' in shown.data["html"]
    assert "<iframe" in shown.data["html"]
    assert "<script" not in shown.data["html"]
    assert shown.data["html"] == html


def test_a_preview_stores_nothing(api: Api, make: Factory, site: Site) -> None:
    thread = make.conversation(site, by=site.owner)
    url = f"https://elsewhere.example/{site.key}"
    shown = preview(
        api, site.member, site, itemType="conversation", itemId=thread.id, markdown=f"See {url}"
    )
    assert f'href="{url}"' in shown.data["html"]
    assert make.sql("SELECT 1 FROM links WHERE url = %(u)s", u=url) == []
    assert comments(api.get(thread.path, by=site.member)) == []


def test_previews_are_for_who_may_post_there(api: Api, make: Factory, site: Site) -> None:
    closed = make.microcosm(site)
    make.role((site, closed.id)[0], closed.id, "Nobody", rights=("read",))
    thread = make.conversation(site, by=site.owner)
    shut = make.conversation(site, by=site.owner)
    api.patch(shut.path, ("open", False), by=site.owner)
    huddle = make.huddle(site.member, site.newcomer)
    asked: list[tuple[dict[str, Any], dict[str, int]]] = [
        ({"itemType": "conversation", "itemId": thread.id}, {"guest": 403, "member": 200}),
        ({"microcosmId": site.root_id}, {"guest": 403, "member": 200, "owner": 200}),
        ({"microcosmId": closed.id}, {"member": 403, "owner": 200}),
        ({"itemType": "conversation", "itemId": shut.id}, {"member": 403, "owner": 200}),
        ({"itemType": "huddle", "itemId": huddle.id}, {"member": 200, "owner": 403, "guest": 403}),
        ({"itemType": "profile", "itemId": site.member.id}, {"member": 200, "newcomer": 403}),
    ]
    for where, expected in asked:
        for name, status in expected.items():
            got = preview(api, site.cast()[name], site, **where)
            assert got.status == status, (where, name, got.body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "itemType"),
        ({"itemType": "microcosm", "itemId": 1}, "itemType"),
        ({"itemType": "conversation"}, "itemId"),
        ({"microcosmId": 0}, "microcosmId"),
        ({"microcosmId": 1, "markdown": " "}, "markdown"),
        ({"microcosmId": 1, "markdown": "x" * 50_001}, "markdown"),
        ({"microcosmId": 1, "markdown": None}, "markdown"),
    ],
)
def test_a_bad_question_is_named(api: Api, site: Site, body: dict[str, Any], field: str) -> None:
    refused = preview(api, site.member, site, **body)
    assert refused.status == 400
    assert refused.error.startswith(f"{field}: ")
