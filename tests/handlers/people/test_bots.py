"""Bots: who makes and ends them, what they may do, and how everybody sees what they are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forumapi.models.access import bot
from forumapi.wire import scopes
from tests.api import Response
from tests.factories import Person, Site
from tests.stage import Stage, staged

BOTS = "/bots"
WRITES = [
    "comments:read",
    "comments:write",
    "conversations:read",
    "conversations:write",
    "profile:read",
]


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("bots")) as made:
        yield made


@pytest.fixture(scope="module")
def site(stage: Stage) -> Site:
    """A site whose members make bots."""
    made = stage.make.site()
    assert stage.put("/site/options", {"membersMakeBots": True}, by=made.owner).status == 302
    return made


def make(stage: Stage, by: Person, name: str = "Robot", **more: Any) -> dict[str, Any]:
    """A new bot of a person, as the API answers."""
    answer = stage.post(BOTS, {"profileName": name, "scopes": WRITES, **more}, by=by)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.data
    return found


def delete(stage: Stage, path: str, by: Person) -> Response:
    return stage.request("DELETE", path, by=by)


def test_members_make_bots_where_the_owner_lets_them(stage: Stage) -> None:
    site = stage.make.site()
    body = {"profileName": "Rides", "scopes": WRITES}

    assert stage.get("/site/options", by=site.owner).data["membersMakeBots"] is False
    may = [stage.get(BOTS, by=by).data["mayMake"] for by in (site.owner, site.member)]
    assert may == [True, False]
    assert stage.post(BOTS, body, site=site).status == 403
    assert stage.post(BOTS, body, by=site.member).status == 403
    assert make(stage, site.owner)["id"]
    assert stage.put("/site/options", {"membersMakeBots": True}, by=site.member).status == 403
    assert stage.put("/site/options", {"membersMakeBots": True}, by=site.owner).status == 302
    assert stage.get(BOTS, by=site.member).data["mayMake"] is True
    made = make(stage, site.member, days=30)
    assert made["scopes"] == WRITES and made["secret"].startswith(made["prefix"])
    assert stage.get(BOTS, by=site.member).data["bots"] == [
        {key: value for key, value in made.items() if key != "secret"}
    ]

    assert stage.put("/site/options", {"membersMakeBots": False}, by=site.owner).status == 302
    assert stage.post(BOTS, body, by=site.member).status == 403
    assert stage.get("/whoami", site=site, token=made["secret"]).status == 200


def test_a_bot_is_seen_to_be_one(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    made = make(stage, person, "Timetable")
    talk = stage.make.conversation(site)
    where = {"itemType": "conversation", "itemId": talk.id}
    wrote = stage.post(
        "/comments", {**where, "markdown": "At nine"}, site=site, token=made["secret"]
    )
    assert wrote.status == 302
    stage.post("/comments", {**where, "markdown": "Thanks"}, by=person)

    for by in (None, person, site.owner):
        shown = stage.get(f"/profiles/{made['id']}", site=site, by=by).data
        assert shown["isBot"] is True
        assert shown.get("email", "") == ""
        owner = {"rel": "botOwner", "href": f"/api/v1/profiles/{person.id}"}
        assert owner in shown["meta"]["links"]
        assert "isBot" not in stage.get(f"/profiles/{person.id}", site=site, by=by).data
        comments = stage.get(f"/conversations/{talk.id}", site=site, by=by).data["comments"]
        authors = [one["meta"]["createdBy"] for one in comments["items"]]
        assert [one.get("isBot") for one in authors] == [True, None]
        assert list(authors[0]) == [
            *("id", "siteId", "userId", "profileName", "visible", "isBot", "avatar", "meta")
        ]
    own = stage.get("/whoami", site=site, token=made["secret"]).data
    assert (own["id"], own["isBot"]) == (made["id"], True)


def test_a_bot_does_what_its_key_allows_and_no_more(stage: Stage, site: Site) -> None:
    made = make(stage, stage.make.person(site))
    talk, poll = stage.make.conversation(site), stage.make.poll(site)

    def status(method: str, path: str, body: Any = None) -> int:
        return stage.request(method, path, body, site=site, token=made["secret"]).status

    assert status("GET", f"/conversations/{talk.id}") == 200
    assert status("PUT", f"/polls/{poll.id}/votes", [1]) == 403
    for path in ("/huddles", "/keys", BOTS, "/agents", "/sessions", "/roles"):
        assert status("GET", path) == 403, path
    assert status("POST", BOTS, {"profileName": "Child", "scopes": WRITES}) == 403
    assert status("PUT", f"{BOTS}/{made['id']}/key", {"scopes": WRITES}) == 403
    other = stage.make.site()
    assert stage.get("/whoami", site=other, token=made["secret"]).status == 401
    known = set(stage.app.scopes)
    assert known >= bot.SCOPES
    for scope in sorted(known - bot.SCOPES):
        body = {"profileName": "Greedy", "scopes": [scope]}
        assert stage.post(BOTS, body, by=site.member).status == 400, scope
    assert scopes.of("/api/v1/polls/<poll:item>/votes", "PUT") not in bot.SCOPES


def test_what_is_asked_for_a_bot_is_checked(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    good = {"profileName": "Robot", "scopes": WRITES}
    for wrong, field in (
        ({"profileName": "x"}, "profileName"),
        ({"profileName": "a@b"}, "profileName"),
        ({"profileName": 1}, "profileName"),
        ({"profileName": None}, "profileName"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["no:thing"]}, "scopes"),
        ({"scopes": "comments:read"}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 100_000}, "days"),
    ):
        answer = stage.post(BOTS, {**good, **wrong}, by=person)
        assert (answer.status, field in answer.error) == (400, True), wrong
    assert stage.get(BOTS, by=person).data["bots"] == []
    # A name that is taken gets a number.
    names = {make(stage, person, "Twins")["profileName"] for _ in range(2)}
    assert len(names) == 2 and "Twins" in names


def test_a_person_has_five_bots_at_most(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)

    def post(number: int) -> int:
        body = {"profileName": f"Many{number}", "scopes": WRITES}
        return stage.post(BOTS, body, by=person).status

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(post, range(8)))
    assert answers == [200] * bot.MOST_BOTS + [409] * 3
    mine = stage.get(BOTS, by=person).data["bots"]
    assert delete(stage, f"{BOTS}/{mine[0]['id']}", by=person).status == 200
    assert post(9) == 200


def test_a_new_key_ends_the_old_one(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    made = make(stage, person)
    path = f"{BOTS}/{made['id']}/key"
    body = {"scopes": ["comments:read"], "days": 7}

    assert stage.put(path, body, by=site.member).status == 404
    assert stage.put(path, body, by=site.owner).status == 404
    assert stage.put(path, {"scopes": ["polls:write"]}, by=person).status == 400
    renewed = stage.put(path, body, by=person).data
    assert stage.get("/comments/1", site=site, token=made["secret"]).status == 401
    assert stage.get("/whoami", site=site, token=renewed["secret"]).status == 403
    assert stage.get("/permission", site=site, token=renewed["secret"]).code == 25
    shown = stage.get(f"{BOTS}/{made['id']}", by=person).data
    assert shown["scopes"] == ["comments:read"] and "secret" not in shown
    stage.sql(
        """UPDATE access_tokens t SET expires = now() FROM profiles p
            WHERE p.profile_id = %(id)s AND t.user_id = p.user_id RETURNING 1""",
        id=made["id"],
    )
    expired = stage.get(f"{BOTS}/{made['id']}", by=person).data
    assert (expired["prefix"], expired["scopes"], expired["expires"]) == ("", [], None)


def test_a_stopped_bot_goes_on_with_another_key(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    made = make(stage, person)
    path = f"{BOTS}/{made['id']}/key"

    for by in (site.member, site.owner):
        assert delete(stage, path, by=by).status == 404
    assert stage.request("DELETE", path, site=site, token=made["secret"]).status == 403
    for _ in range(2):
        assert delete(stage, path, by=person).status == 200
        assert stage.get("/whoami", site=site, token=made["secret"]).status == 401
        shown = stage.get(BOTS, by=person).data["bots"][0]
        assert (shown["id"], shown["prefix"], shown["expires"]) == (made["id"], "", None)
    profile = stage.get(f"/profiles/{made['id']}", site=site).data
    assert {"rel": "botOwner", "href": f"/api/v1/profiles/{person.id}"} in profile["meta"]["links"]
    renewed = stage.put(path, {"scopes": WRITES}, by=person).data
    assert stage.get("/whoami", site=site, token=renewed["secret"]).status == 200


def test_a_removed_bot_ends_and_what_it_wrote_stays(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    talk = stage.make.conversation(site)
    for remover in (person, site.owner):
        made = make(stage, person, "Gone")
        sent = {"itemType": "conversation", "itemId": talk.id, "markdown": f"By {made['id']}"}
        wrote = stage.post("/comments", sent, site=site, token=made["secret"])
        path = f"{BOTS}/{made['id']}"
        assert delete(stage, path, by=site.member).status == 404
        assert delete(stage, path, by=site.moderator).status == 404
        assert delete(stage, path, by=remover).status == 200
        assert stage.get("/whoami", site=site, token=made["secret"]).status == 401
        assert delete(stage, path, by=remover).status == 404
        assert stage.get(path, by=person).status == 404
        read = stage.get(wrote.location.removeprefix("/api/v1"), site=site).data
        assert read["meta"]["createdBy"]["isBot"] is True
        profile = stage.get(f"/profiles/{made['id']}", site=site).data
        assert profile["isBot"] is True
        assert "botOwner" not in {link["rel"] for link in profile["meta"]["links"]}
    # A person is no bot, whoever asks.
    assert delete(stage, f"{BOTS}/{site.member.id}", by=site.owner).status == 404


def test_a_bot_is_banned_with_its_owner(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    token = make(stage, person)["secret"]
    assert stage.get("/conversations", site=site, token=token).status == 200

    body = {"profileId": person.id, "reason": "Too loud"}
    banned = stage.post("/bans", body, by=site.owner)
    refused = stage.get("/conversations", site=site, token=token)
    assert (refused.status, refused.code) == (403, 13)
    assert delete(stage, banned.location.removeprefix("/api/v1"), by=site.owner).status == 200
    assert stage.get("/conversations", site=site, token=token).status == 200


def test_a_bot_is_barred_from_places_with_its_owner(stage: Stage, site: Site) -> None:
    make_ = stage.make
    person, other = make_.person(site), make_.person(site)
    tokens = {one.id: make(stage, one)["secret"] for one in (person, other, site.owner)}
    place = make_.microcosm(site)
    barred = make_.role(site, place.id, "Barred", banned=True)
    talk = make_.conversation(site, microcosm=make_.microcosm(site, parent=place))
    elsewhere = make_.conversation(site)
    sent = {"itemType": "conversation", "itemId": talk.id, "markdown": "Words"}

    def answers(**how: Any) -> list[int]:
        listed = stage.get("/conversations", **how).data["conversations"]["items"]
        return [
            stage.get(f"/conversations/{talk.id}", **how).status,
            stage.post("/comments", sent, **how).status,
            stage.get(f"/conversations/{elsewhere.id}", **how).status,
            talk.id in [one["id"] for one in listed],
        ]

    def both(who: Person) -> list[list[int]]:
        """The answers to somebody and to their bot."""
        return [answers(by=who), answers(site=site, token=tokens[who.id])]

    open_to, shut_to = [200, 302, 200, True], [403, 403, 200, False]
    assert both(person) == [open_to] * 2
    for who in (person, site.owner):
        make_.join(barred, who)
    make_.settle(site)
    assert both(person) == [shut_to] * 2
    assert both(other) == [open_to] * 2
    # Nobody is barred from a site of their own.
    assert both(site.owner) == [open_to] * 2

    stage.sql("DELETE FROM role_profiles WHERE role_id = %(role)s RETURNING 1", role=barred[1])
    make_.settle(site)
    assert both(person) == [open_to] * 2

    # So it is with what moderators do.
    for is_ban, wanted in ((False, [200, 403, 200, True]), (True, shut_to)):
        stage.sql(
            """INSERT INTO sanctions (site_id, profile_id, microcosm_id, is_ban)
               VALUES (%(site)s, %(profile)s, %(microcosm)s, %(is_ban)s) RETURNING 1""",
            site=site.id,
            profile=person.id,
            microcosm=place.id,
            is_ban=is_ban,
        )
        make_.settle(site)
        assert both(person) == [wanted] * 2, is_ban

    # A role that does not bar is the owner's alone.
    make_.join(make_.role(site, place.id, "Readers", rights=("read",)), other)
    make_.settle(site)
    assert both(other) == [[200, 403, 200, True], [403, 403, 200, False]]


def test_a_bot_writes_ten_comments_a_minute(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    made = make(stage, person)
    # Also one that moderates everything.
    moderators = stage.make.role(site, site.root_id, "Machines", moderator=True)
    stage.sql(
        "INSERT INTO role_profiles (site_id, role_id, profile_id) VALUES (%(s)s, %(r)s, %(p)s) RETURNING 1",
        s=site.id,
        r=moderators[1],
        p=made["id"],
    )
    stage.make.settle(site)
    talk = stage.make.conversation(site)

    def write(number: int, **how: Any) -> int:
        sent = {"itemType": "conversation", "itemId": talk.id, "markdown": f"Number {number}"}
        return stage.post("/comments", sent, site=site, **how).status

    answers = [write(number, token=made["secret"]) for number in range(11)]
    assert answers == [302] * bot.COMMENTS_A_MINUTE + [429]
    assert write(12, by=person) == 302


def test_a_bot_is_asked_for_no_consent_of_its_own(stage: Stage) -> None:
    site = stage.make.site()
    token = make(stage, site.owner)["secret"]
    terms = {"html": "<p>Be kind</p>", "consent": "ask"}
    assert stage.put("/site/legal/terms", terms, by=site.owner).status == 302
    talk = stage.make.conversation(site)
    sent = {"itemType": "conversation", "itemId": talk.id, "markdown": "Words"}

    assert stage.post("/comments", sent, by=site.member).status == 403
    assert stage.post("/comments", sent, site=site, token=token).status == 302
