"""Revisions of comments over real HTTP: addressable, comparable, revertible by whoever may change the comment."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi.itemtypes import ItemRef
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.journal.journal import Author
from forumapi.models.texts import text_rendering
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

NEVER = 987_654_321


@pytest.fixture
def said(api: Api, make: Factory, bikes: Site) -> Thing:
    """A comment of the member's with three revisions."""
    comment = make.comment(make.conversation(bikes), markdown="One")
    for text in ("One, two", "One, two, three"):
        assert api.put(comment.path, {"markdown": text}, by=bikes.member).status == 302
    return comment


def test_each_of_two_edits_in_one_transaction_has_its_time(make: Factory, bikes: Site) -> None:
    comment = make.comment(make.conversation(bikes), markdown="One")
    with make.database.write() as tx:
        found = Comment.lock(tx, bikes.id, comment.id, bikes.member.id)
        assert found is not None
        for text in ("Two", "Three"):
            found.update(tx, Author(bikes.id, bikes.member.id, ""), text, text_rendering.NOTHING)

    times = [
        time
        for (time,) in make.sql(
            """SELECT r.created FROM comment_revisions r
                WHERE r.site_id = %(s)s AND r.comment_id = %(c)s ORDER BY r.revision""",
            s=bikes.id,
            c=comment.id,
        )
    ]
    assert len(times) == 2
    assert times[0] < times[1]


def test_a_new_comment_knows_when_it_was_written(make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    author = Author(bikes.id, bikes.member.id, "")
    with make.database.write() as tx:
        parent = CommentParent.lock(tx, bikes.id, ItemRef(chat.type, chat.id), bikes.member.id)
        assert parent is not None
        new = Comment(parent, "One", NEVER)
        assert new.insert(tx, author, text_rendering.NOTHING, window_s=0, per_minute=0)
        assert new.in_reply_to == 0
        new.update(tx, author, "Two", text_rendering.NOTHING)

    times = make.sql(
        """SELECT r.created = c.created, c.edited > c.created
             FROM comments c JOIN comment_revisions r USING (site_id, comment_id)
            WHERE c.site_id = %(s)s AND c.comment_id = %(c)s""",
        s=bikes.id,
        c=new.id,
    )
    assert times == [(True, True)]


def test_every_revision_has_an_address(api: Api, bikes: Site, said: Thing) -> None:
    listed = api.get(f"{said.path}/revisions", by=bikes.member).data

    assert listed["revisions"]["total"] == 3
    assert [one["revision"] for one in listed["revisions"]["items"]] == [3, 2, 1]
    assert [one["current"] for one in listed["revisions"]["items"]] == [True, False, False]
    assert listed["meta"]["permissions"]["update"] is True
    texts = []
    for one in listed["revisions"]["items"]:
        shown = api.get(one["meta"]["links"][0]["href"], by=bikes.member).data
        assert shown["meta"] == one["meta"]
        assert shown["meta"]["createdBy"]["id"] == bikes.member.id
        texts.append(shown["markdown"])
    assert texts == ["One, two, three", "One, two", "One"]
    for number in (0, 4, 2**31, 2**62):
        assert api.get(f"{said.path}/revisions/{number}", by=bikes.member).status == 404


def test_the_list_is_paged(api: Api, bikes: Site, said: Thing) -> None:
    for number in range(5):
        api.put(said.path, {"markdown": f"Again {number}"}, by=bikes.member)

    second = api.get(f"{said.path}/revisions?limit=5&offset=5", by=bikes.member).data["revisions"]
    assert (second["total"], [one["revision"] for one in second["items"]]) == (8, [3, 2, 1])
    assert api.get(f"{said.path}/revisions?limit=5&offset=10", by=bikes.member).status == 400


def test_each_revision_says_who_wrote_it(api: Api, bikes: Site, said: Thing) -> None:
    api.put(said.path, {"markdown": "Mended"}, by=bikes.moderator)

    items = api.get(f"{said.path}/revisions", by=bikes.moderator).data["revisions"]["items"]
    authors = [one["meta"]["createdBy"]["id"] for one in items]
    assert authors == [bikes.moderator.id, *[bikes.member.id] * 3]


def changes(api: Api, by: Person, path: str) -> list[tuple[str, str]]:
    answer = api.get(path, by=by)
    assert answer.status == 200, answer.body
    return [(one["op"], one["text"]) for one in answer.data["changes"]]


def test_a_revision_is_compared_with_another(api: Api, bikes: Site, said: Thing) -> None:
    path, me = f"{said.path}/revisions", bikes.member

    assert changes(api, me, f"{path}/2/diff") == [("equal", "One"), ("insert", ", two")]
    assert changes(api, me, f"{path}/1/diff?from=3") == [
        ("equal", "One"),
        ("delete", ", two, three"),
    ]
    assert changes(api, me, f"{path}/1/diff") == [("insert", "One")]
    shown = api.get(f"{path}/3/diff?from=1", by=me).data
    assert (shown["from"], shown["to"], shown["commentId"]) == (1, 3, said.id)
    assert api.get(f"{path}/3/diff?from=4", by=me).status == 404
    assert api.get(f"{path}/0/diff", by=me).status == 404
    for wrong in ("-1", "x", "1.5"):
        assert api.get(f"{path}/3/diff?from={wrong}", by=me).status == 400


def test_no_tag_confirms_a_text_that_an_erasure_changed(
    api: Api, make: Factory, bikes: Site, said: Thing
) -> None:
    paths = [f"{said.path}/revisions/1", f"{said.path}/revisions/2/diff"]
    tags = [api.get(path, by=bikes.member).headers["etag"] for path in paths]
    # As the steps of an erasure do it: no version moves.
    make.sql(
        """UPDATE comment_revisions SET markdown = 'Erased'
            WHERE site_id = %(s)s AND comment_id = %(c)s AND revision = 1 RETURNING 1""",
        s=bikes.id,
        c=said.id,
    )

    for path, tag in zip(paths, tags, strict=True):
        assert api.get(path, by=bikes.member, headers={"If-None-Match": tag}).status == 200


def test_a_revision_comes_back_as_a_new_one(api: Api, bikes: Site, said: Thing) -> None:
    path = f"{said.path}/revisions"

    reverted = api.post(path, {"revision": 1}, by=bikes.member)

    assert (reverted.status, reverted.location) == (302, said.path)
    shown = api.follow(reverted, by=bikes.member).data
    assert (shown["markdown"], shown["html"], shown["revisions"]) == ("One", "<p>One</p>\n", 4)
    assert api.post(path, {"revision": 4}, by=bikes.member).status == 302
    assert api.get(said.path, by=bikes.member).data["revisions"] == 4
    assert api.get(f"{path}/3", by=bikes.member).data["markdown"] == "One, two, three"


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"revision": 0}, 400), ({"revision": "1"}, 400), ({"revision": 9}, 404)],
)
def test_only_what_is_there_comes_back(
    api: Api, bikes: Site, said: Thing, body: dict[str, Any], status: int
) -> None:
    assert api.post(f"{said.path}/revisions", body, by=bikes.member).status == status
    assert api.get(said.path, by=bikes.member).data["revisions"] == 3


def test_an_edit_in_between_is_noticed(api: Api, bikes: Site, said: Thing) -> None:
    tag = api.get(f"{said.path}/revisions", by=bikes.member).headers["etag"]
    api.put(said.path, {"markdown": "In between"}, by=bikes.member)

    headers = {"If-Match": tag}
    refused = api.post(f"{said.path}/revisions", {"revision": 1}, by=bikes.member, headers=headers)
    assert refused.status == 412


def asked(comment_id: int) -> list[tuple[str, str, Any]]:
    path = f"/api/v1/comments/{comment_id}/revisions"
    return [
        ("GET", path, None),
        ("GET", f"{path}/1", None),
        ("GET", f"{path}/1/diff", None),
        ("POST", path, {"revision": 1}),
    ]


def test_an_earlier_text_is_for_those_who_may_change_the_comment(
    api: Api, make: Factory, bikes: Site, said: Thing
) -> None:
    reader = make.person(bikes)
    for method, path, body in asked(said.id):
        for by in (None, reader, bikes.banned):
            assert api.request(method, path, site=bikes, by=by, json=body).status == 403
        for by in (bikes.member, bikes.moderator, bikes.owner):
            assert api.request(method, path, site=bikes, by=by, json=body).status in (200, 302)


@pytest.mark.parametrize("flag", ["deleted", "moderated"])
def test_hidden_comments_keep_their_revisions_to_themselves(
    api: Api, bikes: Site, said: Thing, flag: str
) -> None:
    assert api.patch(said.path, (flag, True), by=bikes.moderator).status == 200

    for method, path, body in asked(said.id):
        for by in (None, bikes.newcomer):
            assert api.request(method, path, site=bikes, by=by, json=body).status == 403
        # An author may read what was taken away from them, and not change it.
        own = api.request(method, path, by=bikes.member, json=body)
        assert own.status == (200 if method == "GET" else 404)
        assert api.request(method, path, by=bikes.moderator, json=body).status in (200, 302)


def test_revisions_in_a_huddle_are_their_authors(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer, bikes.owner)
    comment = make.comment(huddle)
    for method, path, body in asked(comment.id):
        for by in (bikes.newcomer, bikes.owner, bikes.moderator, None):
            assert api.request(method, path, site=bikes, by=by, json=body).status in (403, 404)
        assert api.request(method, path, by=bikes.member, json=body).status in (200, 302)
    for (method, path, body), (_, never, _) in zip(asked(comment.id), asked(NEVER), strict=True):
        for by in (bikes.moderator, None):
            told = [
                # The second answer, since the first may have filled a cache.
                [api.request(method, one, site=bikes, by=by, json=body) for _ in range(2)][1]
                for one in (path, never)
            ]
            assert (told[0].status, told[0].body) == (told[1].status, told[1].body)
            assert told[0].statements == told[1].statements
    api.delete(comment.path, by=bikes.member)
    for method, path, body in asked(comment.id):
        assert api.request(method, path, by=bikes.member, json=body).status == 404


def test_nobody_tells_another_sites_revisions_from_none(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    foreign = make.comment(make.conversation(trains))
    for (method, path, body), (_, never, _) in zip(asked(foreign.id), asked(NEVER), strict=True):
        for by in bikes.cast().values():
            told = [
                # The second answer, since the first may have filled a cache.
                [api.request(method, one, site=bikes, by=by, json=body) for _ in range(2)][1]
                for one in (path, never)
            ]
            assert (told[0].status, told[0].body) == (told[1].status, told[1].body)
            assert told[0].statements == told[1].statements


def test_it_takes_one_statement_more_than_the_comment(api: Api, bikes: Site, said: Thing) -> None:
    for path in (f"{said.path}/revisions", f"{said.path}/revisions/1"):
        api.get(path, by=bikes.member)
        assert api.get(path, by=bikes.member).statements == 3
