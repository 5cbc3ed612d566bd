"""Content 1.2 where it decides which status wins: what the oracle found over HTTP (tests/oracle/test_http.py)."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi import itemtypes
from tests.api import Api
from tests.factories import RIGHTS, Factory, Site, Thing

# Beyond what fits into four bytes.
LARGE = 3_000_000_123


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def test_a_page_is_read_again_whatever_its_number(api: Api, make: Factory, site: Site) -> None:
    for number, item_type in enumerate((itemtypes.CONVERSATION, itemtypes.HUDDLE)):
        id = LARGE + number
        make.sql(
            """WITH made AS (
                   INSERT INTO items (site_id, item_id, item_type_id, microcosm_id, title, created_by)
                   VALUES (%(site)s, %(id)s, %(type)s, %(place)s, 'Large', %(by)s)),
               opened AS (
                   INSERT INTO huddles (site_id, item_id) SELECT %(site)s, %(id)s WHERE %(place)s::bigint IS NULL)
               INSERT INTO huddle_participants (site_id, item_id, profile_id)
               SELECT %(site)s, %(id)s, %(by)s WHERE %(place)s::bigint IS NULL RETURNING 1""",
            site=site.id,
            id=id,
            type=item_type,
            place=site.root_id if item_type == itemtypes.CONVERSATION else None,
            by=site.member.id,
        )
        path = itemtypes.href(item_type, id)
        assert [api.get(path, by=site.member).status for _ in range(3)] == [200] * 3


def test_guests_write_nothing_whatever_a_role_gives_them(
    api: Api, make: Factory, site: Site
) -> None:
    make.role(site, site.root_id, "Guests", guests=True, rights=RIGHTS)
    make.role(site, site.root_id, "Trusted", moderator=True, guests=True, rights=RIGHTS)
    place = make.microcosm(site)
    talk = make.conversation(site)
    comment = make.comment(talk)
    reason = {"meta": {"editReason": "Asked"}}
    flag = [{"op": "replace", "path": "/meta/flags/moderated", "value": True}]
    new = {"microcosmId": site.root_id, "title": "New"}
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/conversations", new),
        ("POST", "/api/v1/events", new),
        ("POST", "/api/v1/polls", new | {"question": "Which?", "choices": [{"choice": "A"}] * 2}),
        ("POST", "/api/v1/microcosms", {"title": "New", "description": "A place"}),
        (
            "POST",
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": talk.id, "markdown": "x"},
        ),
        ("PUT", f"{talk.path}/attributes", [{"key": "a", "value": 1}]),
        ("PUT", f"{talk.path}/attributes/a", {"value": 1}),
        ("PUT", f"{talk.path}/reactions/like", None),
        ("PUT", f"{comment.path}/bookmark", None),
        ("PUT", f"{talk.path}/draft", {"content": {"a": 1}}),
    ]
    for thing in (place, talk, comment):
        calls += [
            ("PUT", thing.path, {**reason, "markdown": "Changed"}),
            ("PATCH", thing.path, flag),
            ("DELETE", thing.path, None),
        ]
    for verb, path, body in calls:
        answer = api.request(verb, path, json=body, site=site)
        assert answer.status == 403, (verb, path, answer.body)
    for thing in (place, talk, comment):
        assert api.get(thing.path, by=site.newcomer).status == 200


@pytest.mark.parametrize("flag", ["deleted", "moderated"])
def test_what_is_hidden_in_a_huddle_is_hidden_from_the_owner_of_the_site_in_it(
    api: Api, make: Factory, site: Site, flag: str
) -> None:
    huddle = make.huddle(site.member, site.owner)
    hash = make.file(site.member)
    comment: Thing = make.comment(huddle, by=site.member)
    attached = {"fileHash": hash}
    assert api.post(f"{comment.path}/attachments", attached, by=site.member).status == 302
    assert api.get(f"{comment.path}/attachments", by=site.owner).status == 200
    make.sql(
        f"UPDATE comments SET is_{flag} = true WHERE site_id = %(s)s AND comment_id = %(c)s RETURNING 1",
        s=site.id,
        c=comment.id,
    )

    for below in ("", "/incontext", "/attributes", "/reactions", "/attachments"):
        answer = api.get(f"{comment.path}{below}", by=site.owner)
        assert answer.status == 404, (below, answer.body)
    assert api.put(comment.path, {"markdown": "x"}, by=site.owner).status == 404
    own = make.comment(huddle, by=site.owner)
    assert api.delete(own.path, by=site.owner).status == 200
    assert api.patch(own.path, ("deleted", False), by=site.owner).status == 404
    assert api.put(own.path, {"markdown": "x"}, by=site.owner).status == 404
    assert api.delete(own.path, by=site.owner).status == 200
