"""Huddles over real HTTP: content 8, unread ones as discovery 7.5 counts them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import psycopg
import pytest

from forumapi.cache.document_cache import Cache
from forumapi.models.content import huddle_page
from forumapi.models.pages.document_reader import Documents
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing

HUDDLES = "/api/v1/huddles"
COMMENTS = "/api/v1/comments"
_number = itertools.count(1)


def begin(api: Api, by: Person, *others: Person, **body: Any) -> Response:
    """Begin a huddle over HTTP, with a title of its own."""
    sent = {
        "title": f"Ride {next(_number)}?",
        "participants": [{"id": one.id} for one in others],
        **body,
    }
    return api.post(HUDDLES, sent, by=by)


def say(api: Api, huddle: Thing, by: Person, markdown: str = "Psst") -> Response:
    """Comment in a huddle over HTTP."""
    body = {"itemType": "huddle", "itemId": huddle.id, "markdown": markdown}
    return api.post(COMMENTS, body, by=by)


def unread(api: Api, person: Person) -> int:
    """Return what `whoami` says, which is what the list shows."""
    (stat,) = api.get("/api/v1/whoami", by=person).data["meta"]["stats"]
    assert stat["metric"] == "unreadHuddles"
    listed = api.get(f"{HUDDLES}?unread=True", by=person).data["huddles"]
    assert listed["total"] == stat["value"]
    assert all(one["meta"]["flags"]["unread"] for one in listed["items"])
    return int(stat["value"])


def ids(people: list[dict[str, Any]]) -> list[int]:
    return [one["id"] for one in people]


# ---------------------------------------------------------------- beginning one


def test_a_huddle_is_begun_and_read_back(api: Api, bikes: Site) -> None:
    shown = api.follow(
        begin(api, bikes.member, bikes.newcomer, title="Ride on Friday?"), by=bikes.member
    ).data

    assert shown["title"] == "Ride on Friday?"
    assert shown["isConfidential"] is False
    assert ids(shown["participants"]) == sorted([bikes.member.id, bikes.newcomer.id])
    assert shown["comments"]["items"] == []
    assert shown["meta"]["createdBy"]["id"] == bikes.member.id
    assert shown["meta"]["flags"] == {}
    rights = [name for name, value in shown["meta"]["permissions"].items() if value]
    assert rights == ["create", "read", "update", "delete", "owner"]


def test_those_named_follow_it_and_the_one_who_begins_it_does_not_yet(
    api: Api, bikes: Site
) -> None:
    made = begin(api, bikes.member, bikes.moderator)

    assert api.follow(made, by=bikes.moderator).data["meta"]["flags"]["watched"] is True
    assert "watched" not in api.follow(made, by=bikes.member).data["meta"]["flags"]


def test_the_author_is_in_it_once_however_often_they_are_named(api: Api, bikes: Site) -> None:
    me = bikes.member
    made = begin(api, me, me, bikes.owner, bikes.owner, title="Named twice")

    assert ids(api.follow(made, by=me).data["participants"]) == sorted([me.id, bikes.owner.id])


def test_a_form_begins_a_huddle(api: Api, bikes: Site) -> None:
    form = {"Title": "From a form", "IsConfidential": "on"}
    made = api.request("POST", HUDDLES, form=form, by=bikes.member)

    assert api.follow(made, by=bikes.member).data["isConfidential"] is True


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"title": ""}, 400, "title"),
        ({"title": "x" * 151}, 400, "title"),
        ({"isConfidential": 1}, 400, "isConfidential"),
        ({"participants": [{"id": 0}]}, 400, "[0].id"),
        ({"participants": [{}]}, 400, "[0].id"),
        ({"participants": [{"id": 987_654_321}]}, 404, "no such profile"),
        ({"participants": [{"id": id} for id in range(1, 202)]}, 400, "at most 100"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    api: Api, bikes: Site, body: dict[str, Any], status: int, field: str
) -> None:
    before = api.get(HUDDLES, by=bikes.member).data["huddles"]["total"]

    refused = begin(api, bikes.member, **body)

    assert refused.status == status
    assert field in refused.json()["error"][0]
    assert api.get(HUDDLES, by=bikes.member).data["huddles"]["total"] == before


def test_the_profile_of_another_site_is_none(api: Api, bikes: Site, trains: Site) -> None:
    foreign = begin(api, bikes.member, trains.member, title="Across sites")
    never = begin(api, bikes.member, title="Across sites", participants=[{"id": 987_654_321}])

    assert (foreign.status, foreign.body) == (never.status, never.body)
    assert foreign.statements == never.statements


def test_the_same_title_at_once_is_the_same_huddle(api: Api, bikes: Site) -> None:
    first = begin(api, bikes.member, title="Said twice")
    again = begin(api, bikes.member, title="Said twice")
    other = begin(api, bikes.newcomer, title="Said twice")

    assert first.location == again.location != other.location
    assert api.delete(first.location, by=bikes.member).status == 200
    assert begin(api, bikes.member, title="Said twice").location != first.location


def test_guests_and_banned_people_have_no_huddles(api: Api, bikes: Site) -> None:
    assert api.get(HUDDLES, site=bikes).data["huddles"]["items"] == []
    assert api.post(HUDDLES, {"title": "x"}, site=bikes).status == 403
    assert api.get(HUDDLES, by=bikes.banned).status == 403
    assert api.post(HUDDLES, {"title": "x"}, by=bikes.banned).status == 403


# ---------------------------------------------------------------- nobody else learns that it exists


@pytest.mark.wide
def test_for_all_others_it_never_existed(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer)
    comment = make.comment(huddle)
    never = 987_654_321
    patch = [{"op": "replace", "path": "/meta/flags/deleted", "value": True}]
    asked: list[tuple[str, str, Any]] = [
        *((method, "/api/v1/huddles/{h}", None) for method in ("GET", "HEAD", "DELETE")),
        ("GET", "/api/v1/huddles/{h}/lastcomment", None),
        ("GET", "/api/v1/huddles/{h}/newcomment", None),
        ("GET", "/api/v1/huddles/{h}/participants", None),
        ("PUT", "/api/v1/huddles/{h}/participants", [{"id": bikes.owner.id}]),
        *(
            (method, f"/api/v1/huddles/{{h}}/participants/{bikes.member.id}", None)
            for method in ("GET", "PUT", "DELETE")
        ),
        ("POST", COMMENTS, {"itemType": "huddle", "itemId": "{h}", "markdown": "x"}),
        ("GET", "/api/v1/comments/{c}", None),
        ("GET", "/api/v1/comments/{c}/incontext", None),
        ("PUT", "/api/v1/comments/{c}", {"markdown": "x"}),
        ("PATCH", "/api/v1/comments/{c}", patch),
        ("DELETE", "/api/v1/comments/{c}", None),
        ("GET", "/api/v1/permission?itemType=huddle&itemId={h}", None),
        ("GET", "/api/v1/permission?itemType=comment&itemId={c}", None),
        ("PUT", "/api/v1/profiles/read", {"itemType": "huddle", "itemId": "{h}"}),
    ]
    before = make.sql("SELECT max(event_id) FROM event_log")
    # The first request of all finds no site in the caches.
    assert api.get(f"/api/v1/huddles/{never}", site=bikes).status == 403
    for name, by in bikes.cast().items():
        if by in (bikes.member, bikes.newcomer):
            continue
        for method, path, body in asked:
            told = []
            for known in ({"h": huddle.id, "c": comment.id}, {"h": never, "c": never}):
                sent = (
                    {key: known["h"] if value == "{h}" else value for key, value in body.items()}
                    if isinstance(body, dict)
                    else body
                )
                answer = api.request(method, path.format(**known), site=bikes, by=by, json=sent)
                told.append((answer.status, answer.body, answer.statements))
            assert told[0] == told[1], (name, method, path)
            if method != "HEAD" and not path.startswith("/api/v1/permission"):
                assert told[0][0] in (403, 404), (name, method, path)
    assert make.sql("SELECT max(event_id) FROM event_log") == before


def told(answer: Response) -> tuple[int, bytes, int]:
    """Return what tells one answer from another: status, bytes, and what was asked of the database."""
    return answer.status, answer.body, answer.statements


NEVER = f"{HUDDLES}/987654321"
# How access ends without a word to the process that keeps the page; the answer that follows, and its code.
ENDS = {
    "left": (
        "DELETE FROM huddle_participants WHERE item_id = %(huddle)s AND profile_id = %(me)s",
        403,
    ),
    "banned": (
        """INSERT INTO bans (site_id, user_id, admin_reason)
           SELECT site_id, user_id, '' FROM profiles WHERE profile_id = %(me)s AND %(huddle)s::bigint > 0""",
        403,
    ),
    "signed out": (
        """DELETE FROM access_tokens t USING profiles p
            WHERE t.user_id = p.user_id AND p.profile_id = %(me)s AND %(huddle)s::bigint > 0""",
        401,
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_page_that_is_kept_opens_to_nobody_who_lost_access(
    how: str, api: Api, make: Factory, site: Site
) -> None:
    gone, stays = site.newcomer, site.owner
    huddle = make.huddle(site.member, gone, stays)
    make.comment(huddle)
    for by in (site.member, gone, stays):
        for _ in range(2):
            kept = api.get(huddle.path, by=by)
            assert kept.status == 200
    tag = {"If-None-Match": api.get(huddle.path, by=gone).headers["etag"]}
    statement, status = ENDS[how]

    make.sql(statement, huddle=huddle.id, me=gone.id)

    for headers in ({}, tag):
        for method in ("GET", "HEAD"):
            refused = api.request(method, huddle.path, by=gone, headers=headers)
            never = api.request(method, NEVER, by=gone, headers=headers)
            assert refused.status == status
            assert told(refused) == told(never)
    assert api.get(huddle.path, by=stays).status == 200


def test_owners_and_moderators_are_shown_nothing_that_is_kept_for_others(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    make.comment(huddle)
    for _ in range(2):
        kept = api.get(huddle.path, by=site.member)
        assert kept.status == 200
    tag = {"If-None-Match": kept.headers["etag"]}

    for by in (site.owner, site.moderator, site.banned, None):
        for headers in ({}, tag, {"If-None-Match": "*"}):
            refused = api.get(huddle.path, site=site, by=by, headers=headers)
            assert refused.status in (403, 404)
            assert told(refused) == told(api.get(NEVER, site=site, by=by, headers=headers))


def test_who_left_and_comes_back_sees_what_happened_meanwhile(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    first = make.comment(huddle)
    for _ in range(2):
        api.get(huddle.path, by=site.newcomer)
    api.delete(huddle.path, by=site.newcomer)
    second = make.comment(huddle)
    assert api.get(huddle.path, by=site.newcomer).status == 403

    api.put(f"{huddle.path}/participants/{site.newcomer.id}", by=site.member)

    shown = api.get(huddle.path, by=site.newcomer).data["comments"]["items"]
    assert ids(shown) == [first.id, second.id]


def test_another_sites_huddle_or_profile_is_none(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    foreign, own, never = make.huddle(trains.member), make.huddle(bikes.member), 987_654_321
    for _, by in bikes.cast().items():
        for method in ("GET", "PUT", "DELETE"):
            # What the process knows for a second may end between two of the three.
            for _ in range(3):
                told = []
                for huddle, profile in (
                    (foreign.id, trains.member.id),
                    (never, trains.member.id),
                    (never, never),
                ):
                    path = f"{HUDDLES}/{huddle}/participants/{profile}"
                    answer = api.request(method, path, site=bikes, by=by)
                    told.append((answer.status, answer.body, answer.statements))
                if told[0] == told[1] == told[2]:
                    break
            assert told[0] == told[1] == told[2]
            assert told[0][0] == 403
    for method, status in (("GET", 404), ("PUT", 404), ("DELETE", 400)):
        told = []
        for profile in (trains.member.id, never):
            path = f"{own.path}/participants/{profile}"
            answer = api.request(method, path, by=bikes.member)
            told.append((answer.status, answer.body, answer.statements))
        assert told[0] == told[1]
        assert told[0][0] == status


@pytest.mark.wide
def test_no_list_count_or_page_shows_it(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer, title="Between the two of us")
    make.comment(huddle, markdown="A secret among participants")
    for _, by in bikes.cast().items():
        if by in (bikes.member, bikes.newcomer):
            continue
        for path in (
            "/api/v1/microcosms?limit=250",
            "/api/v1/conversations?limit=250",
            "/api/v1/huddles?limit=250",
            "/api/v1/profiles?limit=250",
            bikes.member.path,
        ):
            body = api.get(path, site=bikes, by=by).body
            assert b"Between the two" not in body
            assert b"A secret among" not in body


def test_the_reply_to_a_comment_in_a_huddle_is_none_elsewhere(
    api: Api, make: Factory, bikes: Site
) -> None:
    secret = make.comment(make.huddle(bikes.member, bikes.newcomer))
    chat = make.conversation(bikes)
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": "to a secret"}
    made = api.post(COMMENTS, {**body, "inReplyTo": secret.id}, by=bikes.moderator)

    assert api.follow(made, by=bikes.moderator).data["inReplyTo"] == 0


# ---------------------------------------------------------------- participants


def test_any_participant_adds_others(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.newcomer, bikes.member)
    body = [{"id": bikes.moderator.id}, {"id": bikes.member.id}]

    added = api.put(f"{huddle.path}/participants", body, by=bikes.member)

    assert (added.status, added.location) == (302, huddle.path)
    shown = api.get(f"{huddle.path}/participants", by=bikes.moderator).data["participants"]
    assert ids(shown["items"]) == sorted([bikes.newcomer.id, bikes.member.id, bikes.moderator.id])
    assert shown["total"] == 3
    path = f"{huddle.path}/participants/{bikes.owner.id}"
    assert api.get(path, by=bikes.member).status == 404
    assert api.put(path, by=bikes.moderator).location == path
    assert api.put(path, by=bikes.moderator).status == 302
    assert api.get(path, by=bikes.member).data["participant"]["id"] == bikes.owner.id


def test_all_are_added_or_nobody(api: Api, make: Factory, bikes: Site, trains: Site) -> None:
    huddle = make.huddle(bikes.member)
    for wrong, status in (({"id": trains.member.id}, 404), ({"id": 0}, 400)):
        body = [{"id": bikes.newcomer.id}, wrong]
        assert api.put(f"{huddle.path}/participants", body, by=bikes.member).status == status
    path = f"{huddle.path}/participants/{trains.member.id}"
    assert api.put(path, by=bikes.member).status == 404

    assert ids(api.get(huddle.path, by=bikes.member).data["participants"]) == [bikes.member.id]


def test_nobody_is_added_to_a_confidential_huddle(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer, is_confidential=True)
    path = f"{huddle.path}/participants"
    for by in (bikes.member, bikes.newcomer):
        assert api.put(path, [{"id": bikes.owner.id}], by=by).status == 403
        assert api.put(f"{path}/{bikes.owner.id}", by=by).status == 403


def test_one_who_ignores_the_caller_is_left_out_without_a_word(
    api: Api, make: Factory, site: Site
) -> None:
    make.ignore(site.newcomer, site.member)

    made = begin(api, site.member, site.newcomer, site.moderator)
    assert ids(api.follow(made, by=site.member).data["participants"]) == sorted(
        [site.member.id, site.moderator.id]
    )
    body = [{"id": site.newcomer.id}]
    assert api.put(f"{made.location}/participants", body, by=site.member).status == 302
    assert api.get(made.location, by=site.newcomer).status == 403
    assert api.put(f"{made.location}/participants", body, by=site.moderator).status == 302
    assert api.get(made.location, by=site.newcomer).status == 200


def test_a_huddle_has_at_most_a_hundred_participants(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member)
    ids = [row[0] for row in make.sql(_CROWD, site=site.id)]
    path = f"{huddle.path}/participants"

    assert api.put(path, [{"id": id} for id in ids[:99]], by=site.member).status == 302
    assert api.put(path, [{"id": ids[99]}], by=site.member).status == 400
    assert api.put(f"{path}/{ids[99]}", by=site.member).status == 400
    assert api.put(path, [{"id": ids[5]}], by=site.member).status == 302
    shown = api.get(f"{path}?limit=25&offset=75", by=site.member).data["participants"]
    assert (shown["total"], len(shown["items"])) == (100, 25)
    assert api.get(f"{path}?offset=100", by=site.member).status == 400


_CROWD = """
    WITH people AS (
        INSERT INTO users (email, canonical_email, person_key)
        SELECT 'crowd' || n || '@' || %(site)s::bigint, '', 'crowd' || n || '@' || %(site)s::bigint
          FROM generate_series(1, 100) n
     RETURNING user_id),
    made AS (
        INSERT INTO profiles (site_id, user_id, profile_name)
        SELECT %(site)s, user_id, 'crowd' || user_id FROM people
     RETURNING site_id, profile_id),
    counted AS (
        INSERT INTO profile_counters (site_id, profile_id) SELECT site_id, profile_id FROM made)
    SELECT profile_id FROM made ORDER BY profile_id"""


def test_leaving_means_leaving(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer)
    say(api, huddle, bikes.member)
    own = say(api, huddle, bikes.member, "Mine")

    assert api.delete(huddle.path, by=bikes.member).status == 200

    for path in (huddle.path, f"{huddle.path}/participants", own.location):
        assert api.get(path, by=bikes.member).status == 403
    assert api.delete(huddle.path, by=bikes.member).status == 403
    assert say(api, huddle, bikes.member).status == 403
    assert huddle.id not in ids(api.get(HUDDLES, by=bikes.member).data["huddles"]["items"])
    shown = api.get(huddle.path, by=bikes.newcomer).data
    assert ids(shown["participants"]) == [bikes.newcomer.id]
    assert shown["comments"]["total"] == 2
    left = make.sql(
        """
        SELECT (SELECT count(*) FROM watchers WHERE item_type_id = 5 AND item_id = %(id)s AND profile_id = %(me)s),
               (SELECT count(*) FROM read_marks WHERE item_type_id = 5 AND item_id = %(id)s AND profile_id = %(me)s)""",
        id=huddle.id,
        me=bikes.member.id,
    )
    assert left == [(0, 0)]


def test_nobody_removes_another(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer, bikes.owner)
    path = f"{huddle.path}/participants"

    assert api.delete(f"{path}/{bikes.newcomer.id}", by=bikes.member).status == 400
    assert api.delete(f"{path}/{bikes.newcomer.id}", by=bikes.owner).status == 400
    assert api.delete(f"{path}/{bikes.newcomer.id}", by=bikes.newcomer).status == 200
    assert ids(api.get(huddle.path, by=bikes.owner).data["participants"]) == sorted(
        [bikes.member.id, bikes.owner.id]
    )


def test_titles_can_not_change(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member)

    assert api.put(huddle.path, {"title": "x"}, by=bikes.member).status == 405
    assert api.patch(huddle.path, ("open", False), by=bikes.member).status == 405


# ---------------------------------------------------------------- comments in it


def test_participants_write_read_and_authors_edit_and_delete(
    api: Api, make: Factory, bikes: Site
) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer, bikes.owner)
    said = say(api, huddle, bikes.member)

    shown = api.get(said.location, by=bikes.newcomer).data
    assert (shown["itemType"], shown["itemId"]) == ("huddle", huddle.id)
    assert shown["meta"]["links"][1]["rel"] == "huddle"
    assert shown["meta"]["permissions"]["delete"] is False
    for by in (bikes.newcomer, bikes.owner):
        assert api.put(said.location, {"markdown": "x"}, by=by).status == 403
        assert api.delete(said.location, by=by).status == 403
        assert api.patch(said.location, ("deleted", True), by=by).status == 403
    assert api.put(said.location, {"markdown": "Psst!"}, by=bikes.member).status == 302
    assert api.get(said.location, by=bikes.owner).data["markdown"] == "Psst!"
    assert api.delete(said.location, by=bikes.member).status == 200
    for by in (bikes.newcomer, bikes.owner, bikes.member):
        assert api.get(said.location, by=by).status == 404
    assert api.get(huddle.path, by=bikes.newcomer).data["comments"]["total"] == 0


def test_the_author_follows_with_the_first_comment(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member)
    say(api, huddle, bikes.member)

    assert api.get(huddle.path, by=bikes.member).data["meta"]["flags"]["watched"] is True


def test_pages_of_comments_leave_out_ignored_people(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.newcomer, site.owner)
    make.comments(huddle, 30)
    last = make.comments(huddle, 3, by=site.newcomer)[-1]

    second = api.get(f"{huddle.path}?offset=25", by=site.owner).data["comments"]
    assert (second["total"], len(second["items"])) == (33, 8)
    to = f"{huddle.path}?comment_id={last.id}&offset=25"
    assert api.get(f"{huddle.path}/lastcomment", by=site.member).location == to
    assert api.get(f"{last.path}/incontext", by=site.member).location == to
    make.ignore(site.owner, site.newcomer)
    assert api.get(huddle.path, by=site.owner).data["comments"]["total"] == 30
    assert api.get(f"{huddle.path}?offset=50", by=site.owner).status == 400


def test_newcomment_leads_to_the_first_unread_one(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    new = f"{huddle.path}/newcomment"
    assert api.get(new, by=site.newcomer).location == huddle.path
    first, second = make.comments(huddle, 2)

    assert api.get(new, by=site.newcomer).location == f"{huddle.path}?comment_id={first.id}"
    api.get(first.path, by=site.newcomer)
    assert api.get(new, by=site.newcomer).location == f"{huddle.path}?comment_id={second.id}"
    # "Site read" is everything but huddles; all huddles are read apart.
    read = "/api/v1/profiles/read"
    api.put(read, {"itemType": "site"}, by=site.newcomer)
    assert api.get(new, by=site.newcomer).location == f"{huddle.path}?comment_id={second.id}"
    third = make.comment(huddle)
    api.put(read, {"itemType": "huddle", "itemId": 0}, by=site.newcomer)
    assert api.get(new, by=site.newcomer).location == f"{huddle.path}?comment_id={third.id}"


# ---------------------------------------------------------------- what is unread


def test_whoever_comments_makes_it_unread_for_the_others(
    api: Api, make: Factory, site: Site
) -> None:
    first, second = (make.huddle(site.member, site.newcomer, site.owner) for _ in range(2))
    assert unread(api, site.newcomer) == 0  # nobody has said anything

    say(api, first, site.member)
    assert [unread(api, by) for by in (site.member, site.newcomer, site.owner)] == [0, 1, 1]
    said = say(api, second, site.newcomer)
    assert [unread(api, by) for by in (site.member, site.newcomer, site.owner)] == [1, 1, 2]

    head = api.request("HEAD", first.path, by=site.owner)
    assert head.status == 200
    assert unread(api, site.owner) == 2
    shown = api.get(first.path, by=site.owner).data["comments"]["items"]
    assert [one["meta"]["flags"]["unread"] for one in shown] == [True]
    assert unread(api, site.owner) == 1
    api.get(said.location, by=site.owner)
    assert unread(api, site.owner) == 0
    again = api.get(first.path, by=site.owner).data["comments"]["items"]
    assert [one["meta"]["flags"]["unread"] for one in again] == [False]


def test_what_is_deleted_is_not_unread(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    said = say(api, huddle, site.member)
    assert unread(api, site.newcomer) == 1

    api.delete(said.location, by=site.member)

    assert unread(api, site.newcomer) == 0


def test_a_page_that_is_not_the_last_marks_up_to_its_end(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    make.comments(huddle, 7)

    api.get(f"{huddle.path}?limit=5", by=site.newcomer)
    # The mark stands there already: nothing is written again.
    assert api.get(f"{huddle.path}?limit=5", by=site.newcomer).statements == 2
    assert unread(api, site.newcomer) == 1
    rest = api.get(f"{huddle.path}?limit=5&offset=5", by=site.newcomer).data["comments"]["items"]
    assert [one["meta"]["flags"]["unread"] for one in rest] == [True, True]
    assert unread(api, site.newcomer) == 0


def test_marks_and_counts_follow_on_pages_that_are_kept(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer, site.owner)
    make.comment(huddle)

    def flags(by: Person) -> list[bool]:
        shown = api.get(huddle.path, by=by).data["comments"]["items"]
        return [one["meta"]["flags"]["unread"] for one in shown]

    for by in (site.newcomer, site.owner):
        assert flags(by) == [True]
        assert flags(by) == [False]
    make.comment(huddle)
    assert [unread(api, by) for by in (site.newcomer, site.owner)] == [1, 1]
    assert flags(site.newcomer) == [False, True]
    assert [unread(api, by) for by in (site.newcomer, site.owner)] == [0, 1]
    assert flags(site.newcomer) == [False, False]
    assert flags(site.owner) == [False, True]
    assert [unread(api, by) for by in (site.newcomer, site.owner)] == [0, 0]

    # What moves the viewer's own marks and watcher changes no page.
    last = make.comment(huddle)
    api.request("HEAD", huddle.path, by=site.owner)
    assert unread(api, site.owner) == 1
    api.get(last.path, by=site.owner)
    assert unread(api, site.owner) == 0
    assert flags(site.owner) == [False, False, False]
    watcher = f"/api/v1/watchers/delete?itemType=huddle&itemId={huddle.id}"
    assert api.get(huddle.path, by=site.owner).data["meta"]["flags"]["watched"] is True
    assert api.delete(watcher, by=site.owner).status == 200
    assert "watched" not in api.get(huddle.path, by=site.owner).data["meta"]["flags"]


def test_joining_and_leaving_count_anew(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member)
    say(api, huddle, site.member)

    api.put(f"{huddle.path}/participants/{site.newcomer.id}", by=site.member)
    assert unread(api, site.newcomer) == 1
    api.delete(f"{huddle.path}/participants/{site.newcomer.id}", by=site.newcomer)
    assert unread(api, site.newcomer) == 0


def test_people_and_huddles_that_are_ignored_do_not_count(
    api: Api, make: Factory, site: Site
) -> None:
    by_ignored, ignored, kept = (
        make.huddle(site.newcomer, site.member, site.owner),
        make.huddle(site.owner, site.member, site.newcomer),
        make.huddle(site.owner, site.member, site.newcomer),
    )
    make.ignore(site.member, site.newcomer)
    make.ignore(site.member, ignored)
    for huddle in (by_ignored, ignored, kept):
        say(api, huddle, site.owner, f"In {huddle.id}")

    listed = api.get(HUDDLES, by=site.member).data["huddles"]["items"]
    assert ids(listed) == [kept.id]
    assert unread(api, site.member) == 1
    say(api, kept, site.newcomer, "Nobody listens")
    assert unread(api, site.member) == 0
    assert api.get(ignored.path, by=site.member).data["meta"]["flags"]["ignored"] is True


def test_the_list_says_who_spoke_last(api: Api, make: Factory, site: Site) -> None:
    quiet, loud = make.huddle(site.member, site.newcomer), make.huddle(site.member)
    last = make.comments(quiet, 2, by=site.newcomer)[-1]

    shown = api.get(HUDDLES, by=site.member).data["huddles"]
    assert (shown["total"], ids(shown["items"])) == (2, [quiet.id, loud.id])
    first, second = shown["items"]
    assert first["lastCommentId"] == last.id
    assert first["lastCommentCreatedBy"]["id"] == site.newcomer.id
    assert first["totalComments"] == 2
    assert ids(first["participants"]) == sorted([site.member.id, site.newcomer.id])
    assert "lastCommentId" not in second
    assert api.get(f"{HUDDLES}?offset=25", by=site.member).status == 400


# ---------------------------------------------------------------- what it costs


def test_the_list_shows_the_last_speaker_also_once_they_left(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    said = make.comment(huddle, by=site.newcomer)
    left = api.delete(f"{huddle.path}/participants/{site.newcomer.id}", by=site.newcomer)
    assert left.status == 200

    (shown,) = api.get(HUDDLES, by=site.member).data["huddles"]["items"]

    assert ids(shown["participants"]) == [site.member.id]
    assert shown["lastCommentId"] == said.id
    assert shown["lastCommentCreatedBy"]["id"] == site.newcomer.id


def test_a_huddle_takes_one_statement_beside_the_caller(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer, site.owner)
    make.comments(huddle, 25)
    for path in (huddle.path, HUDDLES, f"{huddle.path}/participants"):
        api.get(path, by=site.member)
        assert api.get(path, by=site.member).statements == 2, path


def test_a_comment_takes_six_statements(api: Api, make: Factory, site: Site) -> None:
    people = [make.person(site) for _ in range(10)]
    huddle = make.huddle(site.member, *people)
    say(api, huddle, site.member, "The first, for which the site is looked up")

    assert say(api, huddle, site.member).statements == 6


def test_a_tag_covers_participants_and_marks(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    seen = [api.get(path, by=site.member).headers["etag"] for path in (huddle.path, HUDDLES)]
    same = api.get(huddle.path, by=site.member, headers={"If-None-Match": seen[0]})
    assert same.status == 304

    say(api, huddle, site.newcomer)
    said = [api.get(path, by=site.member).headers["etag"] for path in (huddle.path, HUDDLES)]
    api.put(f"{huddle.path}/participants/{site.owner.id}", by=site.member)
    joined = [api.get(path, by=site.member).headers["etag"] for path in (huddle.path, HUDDLES)]

    assert len({*seen, *said, *joined}) == 6


@pytest.fixture
def site(make: Factory) -> Site:
    """A site whose people have no other huddles."""
    return make.site()


def test_a_stranger_waits_for_nobody_who_writes_in_a_huddle(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    talk = make.huddle(site.member, site.moderator)
    said = make.comment(talk, by=site.member)
    sent = {"fileHash": "0" * 40}
    with psycopg.connect(database_url) as writer:
        writer.execute("SELECT FROM comments WHERE comment_id = %s FOR UPDATE", (said.id,))

        # Whoever waited would be refused with 503 in the end.
        for id in (said.id, 987654321):
            path = f"/api/v1/comments/{id}"
            for by in (site.newcomer, site.owner):
                given = api.put(f"{path}/reactions/like", by=by)
                attached = api.post(f"{path}/attachments", sent, by=by)
                noted = api.put(f"{path}/attributes/mood", {"value": "calm"}, by=by)
                assert (given.status, attached.status, noted.status) == (
                    (404, 400, 404) if by is site.owner else (403, 400, 403)
                )


def test_a_huddle_that_nobody_is_in_any_more_still_has_a_summary(
    api: Api, make: Factory, site: Site
) -> None:
    """As for live events, if the last participant leaves after the event was assigned to them."""
    talk = make.huddle(site.member)
    assert api.delete(f"{talk.path}/participants/{site.member.id}", by=site.member).status == 200
    documents = Documents(Cache(), lambda tx, site_id, place, id, text: (0, ""))

    with make.database.write() as tx:
        (summary,) = huddle_page.by_ids(tx, documents, site.id, [talk.id]).values()

    shown = json.loads(summary)
    assert shown["participants"] == []
    assert shown["meta"]["createdBy"]["id"] == site.member.id
