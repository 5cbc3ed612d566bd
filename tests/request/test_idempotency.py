"""Idempotency-Key: a retried write happens once (architecture, writing)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from forumapi.models.people.ban import Ban
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server

COMMENTS = "/api/v1/comments"


def new_key() -> str:
    """A key that nobody has used."""
    return uuid4().hex


def keyed(key: str) -> dict[str, str]:
    """The header."""
    return {"Idempotency-Key": key}


def on(chat: Thing, text: str) -> dict[str, object]:
    """The body of a new comment."""
    return {"itemType": "conversation", "itemId": chat.id, "markdown": text}


def count(make: Factory, chat: Thing) -> int:
    """Return how many comments an item has, hidden ones included."""
    rows = make.sql(
        "SELECT count(*) FROM comments WHERE site_id = %(s)s AND item_id = %(i)s",
        s=chat.site.id,
        i=chat.id,
    )
    return int(rows[0][0])


def test_the_same_key_replays_status_and_location_and_does_nothing(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    key = new_key()

    first = api.post(COMMENTS, on(chat, "once"), by=bikes.member, headers=keyed(key))
    # Not the duplicate guard: its memory of the text is gone, the key's is not.
    assert api.delete(first.location, by=bikes.member).status == 200
    again = api.post(COMMENTS, on(chat, "once"), by=bikes.member, headers=keyed(key))

    assert first.status == again.status == 302
    assert first.location == again.location
    assert again.json() == {"context": "", "status": 302, "data": None, "error": None}
    assert count(make, chat) == 1


def test_a_replayed_put_patch_and_delete_change_nothing(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    keys = {verb: new_key() for verb in ("PUT", "PATCH", "DELETE")}
    renamed = {"title": "Renamed", "meta": {"editReason": "why not"}}
    close = [{"op": "replace", "path": "/meta/flags/open", "value": False}]

    def send(verb: str) -> Response:
        body = {"PUT": renamed, "PATCH": close}.get(verb)
        return api.request(
            verb, chat.path, json=body, by=bikes.moderator, headers=keyed(keys[verb])
        )

    def state() -> tuple[object, ...]:
        rows = make.sql(
            "SELECT version, title, is_open, is_deleted FROM items WHERE item_id = %(i)s",
            i=chat.id,
        )
        return rows[0]

    for verb, status in (("PUT", 302), ("PATCH", 200), ("DELETE", 200)):
        first = send(verb)
        after = state()
        # What happened since is not undone by a late copy either.
        assert api.patch(chat.path, ("sticky", True), by=bikes.moderator).status == 200
        assert api.patch(chat.path, ("sticky", False), by=bikes.moderator).status == 200
        now = state()
        second = send(verb)
        assert first.status == second.status == status
        assert first.headers.get("location") == second.headers.get("location")
        assert first.body == second.body
        assert state() == now != after


def test_another_body_is_422_and_does_nothing(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    assert api.post(COMMENTS, on(chat, "one"), by=bikes.member, headers=keyed(key)).status == 302

    refused = api.post(COMMENTS, on(chat, "two"), by=bikes.member, headers=keyed(key))

    assert refused.status == 422
    assert "Idempotency-Key" in refused.error
    assert count(make, chat) == 1


def test_a_key_belongs_to_caller_method_path_and_site(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    chat = make.conversation(bikes)
    far = make.conversation(trains)
    key = new_key()
    body = on(chat, "mine")

    mine = api.post(COMMENTS, body, by=bikes.member, headers=keyed(key))
    yours = api.post(COMMENTS, body, by=bikes.newcomer, headers=keyed(key))
    assert mine.status == yours.status == 302
    assert mine.location != yours.location
    edited = api.put(mine.location, {"markdown": "edited"}, by=bikes.member, headers=keyed(key))
    assert edited.status == 302
    assert api.get(mine.location, by=bikes.member).data["markdown"] == "edited"
    # One token is good on every site, and the key of one site says nothing on another.
    there = api.post(
        COMMENTS, on(far, "there"), site=trains, token=bikes.member.token, headers=keyed(key)
    )
    assert there.status == 302
    assert api.follow(there, site=trains, token=bikes.member.token).data["markdown"] == "there"


def test_the_query_switches_and_overrides_do_not_make_another_request(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    body = {"title": "Renamed", "meta": {"editReason": "x"}}

    first = api.put(chat.path, body, by=bikes.member, headers=keyed(key))
    again = api.post(chat.path + "?method=PUT", body, by=bikes.member, headers=keyed(key))

    assert first.status == again.status == 302
    version = make.sql("SELECT version FROM items WHERE item_id = %(i)s", i=chat.id)
    assert version == [(2,)]


def at_once(server: Server, path: str, body: object, by: Person, key: str) -> list[Response]:
    """The answers to many copies of one request."""

    def send(_: int) -> Response:
        client = server.api()
        answer = client.post(path, body, by=by, headers=keyed(key))
        client.close()
        return answer

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(send, range(16)))


def test_concurrent_copies_make_one_comment(server: Server, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)

    answers = at_once(server, COMMENTS, on(chat, "many"), bikes.member, new_key())

    assert {answer.status for answer in answers} == {302}
    assert len({answer.location for answer in answers}) == 1
    assert count(make, chat) == 1


def test_concurrent_copies_of_what_no_other_guard_protects(
    server: Server, make: Factory, bikes: Site
) -> None:
    # Two equal microcosms are no mistake in themselves: only the key tells copies apart.
    key = new_key()
    body = {"title": f"M {key[:20]}", "description": "x"}

    answers = at_once(server, "/api/v1/microcosms", body, bikes.owner, key)

    assert {answer.status for answer in answers} == {302}
    assert len({answer.location for answer in answers}) == 1
    made = make.sql("SELECT count(*) FROM microcosms WHERE title = %(t)s", t=body["title"])
    assert made == [(1,)]
    ((claims,),) = make.sql("SELECT count(*) FROM idempotency_keys WHERE key = %(k)s", k=key)
    assert claims == 1


@pytest.mark.wide
@pytest.mark.slow
def test_a_copy_of_a_request_under_way_is_told_to_come_back(
    api: Api, make: Factory, bikes: Site, database_url: str
) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    with psycopg.connect(database_url) as other:
        # As another worker would hold it.
        other.execute(
            """INSERT INTO idempotency_keys (site_id, profile_id, method, path, key, body_hash)
               VALUES (%s, %s, 'POST', %s, %s, '')""",
            [bikes.id, bikes.member.id, COMMENTS, key],
        )
        began = time.monotonic()
        refused = api.post(COMMENTS, on(chat, "late"), by=bikes.member, headers=keyed(key))
        waited = time.monotonic() - began
        other.rollback()

    assert refused.status == 409
    assert int(refused.headers["Retry-After"]) >= 1
    assert waited < 3
    assert count(make, chat) == 0
    assert api.post(COMMENTS, on(chat, "late"), by=bikes.member, headers=keyed(key)).status == 302


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"markdown": "  "}, id="400"),
        pytest.param({"itemId": 987_654_321}, id="403"),
    ],
)
def test_a_refusal_rolls_the_claim_back(
    api: Api, make: Factory, bikes: Site, change: dict[str, object]
) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    wrong = on(chat, "right") | change

    refused = api.post(COMMENTS, wrong, by=bikes.member, headers=keyed(key))
    assert refused.status in (400, 403)
    # The same key is free again, with any body.
    made = api.post(COMMENTS, on(chat, "right"), by=bikes.member, headers=keyed(key))

    assert made.status == 302
    assert count(make, chat) == 1


def test_a_failed_precondition_rolls_the_claim_back(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    body = {"title": "Renamed", "meta": {"editReason": "x"}}

    stale = api.put(chat.path, body, by=bikes.member, headers=keyed(key) | {"If-Match": '"9-a"'})
    assert stale.status == 412
    good = api.put(chat.path, body, by=bikes.member, headers=keyed(key) | {"If-Match": '"1-a"'})

    assert good.status == 302


def test_whoever_was_banned_since_is_not_told_again(api: Api, make: Factory, bikes: Site) -> None:
    someone = make.person(bikes)
    chat = make.conversation(bikes)
    key = new_key()
    assert api.post(COMMENTS, on(chat, "hm"), by=someone, headers=keyed(key)).status == 302

    with make.database.write() as tx:
        Ban.insert(tx, someone.user_id, site_id=bikes.id, display_reason="Enough")
    refused = api.post(COMMENTS, on(chat, "hm"), by=someone, headers=keyed(key))

    assert refused.status == 403
    assert refused.code == 13
    assert "location" not in refused.headers


def test_a_guests_key_is_ignored(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    key = new_key()

    for _ in (1, 2):
        refused = api.post(COMMENTS, on(chat, "who"), site=bikes, headers=keyed(key))
        assert refused.status == 403
    ((claims,),) = make.sql("SELECT count(*) FROM idempotency_keys WHERE key = %(k)s", k=key)
    assert claims == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/auth"),
        ("DELETE", "/api/v1/auth"),
        ("DELETE", "/api/v1/auth/abc"),
        ("POST", "/api/v1/auth0"),
    ],
)
def test_routes_of_tokens_refuse_a_key(api: Api, bikes: Site, method: str, path: str) -> None:
    refused = api.request(
        method, path, by=bikes.member, json={"method": "none"}, headers=keyed("k")
    )

    assert refused.status == 400
    assert "Idempotency-Key" in refused.json()["error"][0]
    # The token still works: nothing was done.
    assert api.get("/api/v1/whoami", by=bikes.member).status == 200


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("x", 302),
        ("x" * 255, 302),
        ("with spaces and !\"#$%&'()*", 302),
        ("", 400),
        ("x" * 256, 400),
        ("tab\tin it", 400),
        ("caf\u00e9", 400),
    ],
)
def test_what_a_key_may_be(api: Api, make: Factory, bikes: Site, key: str, status: int) -> None:
    chat = make.conversation(bikes)

    answer = api.post(COMMENTS, on(chat, "hello"), by=bikes.member, headers=keyed(key))

    assert answer.status == status
    if status == 400:
        assert "Idempotency-Key" in answer.error
        assert count(make, chat) == 0


def test_a_key_older_than_a_day_is_forgotten(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    first = api.post(COMMENTS, on(chat, "old"), by=bikes.member, headers=keyed(key))
    make.sql(
        "UPDATE idempotency_keys SET created = now() - interval '25 hours' WHERE key = %(k)s", k=key
    )

    second = api.post(COMMENTS, on(chat, "new"), by=bikes.member, headers=keyed(key))

    assert second.status == 302
    assert second.location != first.location


def test_a_kept_key_holds_no_secret_and_no_text(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    key = new_key()
    made = api.post(COMMENTS, on(chat, "private words"), by=bikes.member, headers=keyed(key))

    ((row,),) = make.sql(
        "SELECT to_jsonb(k)::text FROM idempotency_keys k WHERE key = %(k)s", k=key
    )
    assert made.location in row
    assert "private words" not in row
    assert bikes.member.token not in row
