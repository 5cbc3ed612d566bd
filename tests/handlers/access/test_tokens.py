"""API keys and sessions: making, listing, revoking, and that they are one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from forumapi.models.access.access_token import AccessToken
from tests.factories import Person, Site
from tests.stage import Stage, staged

KEY = {"name": "Backup & more", "scopes": ["conversations:read", "comments:write"], "days": 30}


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("tokens")) as made:
        yield made


@pytest.fixture
def me(stage: Stage) -> Person:
    """Somebody without any token but the one they call with."""
    return stage.make.person(stage.site)


def sign_in(stage: Stage, person: Person, agent: str = "Firefox", ip: str = "192.0.2.7") -> str:
    """The token of a new session."""
    answer = stage.post(
        "/auth",
        {"method": "development", "email": person.email},
        site=person.site,
        headers={"User-Agent": agent},
        ip=ip,
    )
    assert answer.status == 200, answer.body
    return str(answer.data)


# ---------------------------------------------------------------- keys


def test_a_key_is_made_shown_once_and_works(stage: Stage, me: Person) -> None:
    made = stage.post("/keys", KEY, by=me)

    assert made.status == 200
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.data["secret"]
    assert secret.startswith(made.data["prefix"]) and len(secret) == 128
    assert made.data["name"] == "Backup &amp; more"
    assert made.data["scopes"] == ["comments:write", "conversations:read"]
    assert stage.get("/conversations", site=me.site, token=secret).status == 200
    assert stage.get("/whoami", site=me.site, token=secret).data["scope"] == "profile:read"
    shown = stage.get(f"/keys/{made.data['id']}", by=me)
    assert shown.data == {k: v for k, v in made.data.items() if k != "secret"}
    assert secret.encode() not in stage.get("/keys", by=me).body


def test_a_scope_of_any_length_that_there_is_not_is_named_by_its_beginning(
    stage: Stage, me: Person
) -> None:
    refused = stage.post("/keys", {**KEY, "scopes": ["a-" * 100_000]}, by=me)

    assert refused.status == 400
    assert "scopes: there is no scope a-a-" in refused.error
    assert len(refused.body) < 1_000


def test_a_key_is_good_on_its_own_site_alone(stage: Stage, me: Person) -> None:
    other = stage.make.site()
    secret = stage.post("/keys", KEY, by=me).data["secret"]

    assert stage.get("/conversations", site=other, token=secret).status == 401
    assert stage.get("/keys", site=other, token=me.token).data["keys"]["total"] == 0


def test_keys_are_listed_newest_first_with_their_last_use(stage: Stage, me: Person) -> None:
    made = [stage.post("/keys", {**KEY, "name": f"key {n}"}, by=me).data for n in range(7)]
    stage.get("/conversations", site=me.site, token=made[6]["secret"])
    stage.app.activity.flush()

    page = stage.get("/keys?limit=5", by=me).data["keys"]
    assert [key["name"] for key in page["items"]] == [f"key {n}" for n in (6, 5, 4, 3, 2)]
    assert page["total"] == 7
    assert page["items"][0]["lastUsed"] and page["items"][1]["lastUsed"] is None
    last = stage.get("/keys?limit=5&offset=5", by=me).data["keys"]
    assert [key["name"] for key in last["items"]] == ["key 1", "key 0"]
    assert stage.get("/keys?limit=5&offset=10", by=me).status == 400


def test_a_revoked_key_is_worth_nothing_at_once(stage: Stage, me: Person) -> None:
    made = stage.post("/keys", KEY, by=me).data

    assert stage.request("DELETE", f"/keys/{made['id']}", by=me).status == 200
    assert stage.get("/conversations", site=me.site, token=made["secret"]).code == 7
    assert stage.request("DELETE", f"/keys/{made['id']}", by=me).status == 404


def test_an_expired_key_is_refused_and_not_listed(stage: Stage, me: Person) -> None:
    made = stage.post("/keys", {**KEY, "days": 1}, by=me).data
    stage.sql(
        "UPDATE access_tokens SET expires = now() - interval '1 second' WHERE token_id = %(id)s",
        id=made["id"],
    )

    assert stage.get("/conversations", site=me.site, token=made["secret"]).code == 6
    assert stage.get("/keys", by=me).data["keys"]["total"] == 0


def test_keys_of_others_are_answered_like_none(stage: Stage, me: Person) -> None:
    made = stage.post("/keys", KEY, by=me).data
    owner = stage.site.owner

    for verb in ("GET", "DELETE"):
        theirs = stage.request(verb, f"/keys/{made['id']}", by=owner)
        never = stage.request(verb, "/keys/987654321", by=owner)
        assert (theirs.status, theirs.body) == (never.status, never.body)
        assert theirs.status == 404
        assert theirs.statements == never.statements
    assert stage.get(f"/keys/{made['id']}", by=me).status == 200
    assert stage.get("/keys", site=stage.site).status == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": ["keys:write"]}, "scopes"),
        ({"scopes": "comments:read"}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 100_000}, "days"),
    ],
)
def test_what_a_key_may_not_be(
    stage: Stage, me: Person, change: dict[str, Any], field: str
) -> None:
    answer = stage.post("/keys", {**KEY, **change}, by=me)

    assert answer.status == 400
    assert answer.error.startswith(f"{field}: ")


def test_there_is_a_limit_to_keys(stage: Stage, me: Person) -> None:
    stage.sql(
        """INSERT INTO access_tokens (token_hash, user_id, site_id, kind, expires)
           SELECT sha256(convert_to(%(u)s::text || n, 'UTF8')), %(u)s::bigint, %(s)s, 'key', now() + interval '1 day'
             FROM generate_series(1, 50) n""",
        u=me.user_id,
        s=me.site.id,
    )

    assert stage.post("/keys", KEY, by=me).status == 400
    assert stage.get("/keys", by=me).data["keys"]["total"] == 50


def test_a_key_is_not_made_twice_by_a_retry(stage: Stage, me: Person) -> None:
    answer = stage.post("/keys", KEY, by=me, headers={"Idempotency-Key": "one"})

    assert answer.status == 400
    assert "secret" in answer.error
    assert stage.get("/keys", by=me).data["keys"]["total"] == 0


# ---------------------------------------------------------------- sessions


def test_sessions_say_where_one_is_signed_in(stage: Stage, me: Person) -> None:
    phone = sign_in(stage, me, "Phone <b>\x07", "192.0.2.9")
    stage.get("/whoami", site=me.site, token=phone, ip="192.0.2.10")
    stage.app.activity.flush()

    page = stage.get("/sessions", site=me.site, token=phone).data["sessions"]

    assert page["total"] == 2
    first, second = page["items"]
    assert (first["current"], second["current"]) == (True, False)
    assert (first["userAgent"], first["ip"]) == ("Phone", "192.0.2.10")
    assert first["lastUsed"] and second["userAgent"] == ""
    assert phone.encode() not in stage.get("/sessions", by=me).body


def test_a_session_is_ended_from_another_device(stage: Stage, me: Person) -> None:
    phone = sign_in(stage, me)
    (row,) = [
        one for one in stage.get("/sessions", by=me).data["sessions"]["items"] if not one["current"]
    ]

    assert stage.request("DELETE", f"/sessions/{row['id']}", by=me).status == 200
    assert stage.get("/whoami", site=me.site, token=phone).status == 401
    assert stage.get("/whoami", by=me).status == 200
    assert stage.request("DELETE", f"/sessions/{row['id']}", by=me).status == 404


def test_all_sessions_end_or_all_others(stage: Stage, me: Person) -> None:
    phone, tablet = sign_in(stage, me), sign_in(stage, me)
    key = stage.post("/keys", KEY, by=me).data["secret"]

    assert stage.request("DELETE", "/sessions?others=true", by=me).status == 200
    for token in (phone, tablet):
        assert stage.get("/whoami", site=me.site, token=token).status == 401
    assert stage.get("/sessions", by=me).data["sessions"]["total"] == 1
    assert stage.request("DELETE", "/sessions", by=me).status == 200
    assert stage.get("/whoami", by=me).status == 401
    # A key is no session: a program goes on.
    assert stage.get("/conversations", site=me.site, token=key).status == 200


def test_sessions_of_others_are_answered_like_none(stage: Stage, me: Person) -> None:
    ((id,),) = stage.sql("SELECT token_id FROM access_tokens WHERE user_id = %(u)s", u=me.user_id)

    answers = [
        stage.request("DELETE", f"/sessions/{number}", by=stage.site.owner)
        for number in (id, 987654321)
    ]
    assert answers[0].body == answers[1].body
    assert answers[0].status == 404
    assert stage.get("/whoami", by=me).status == 200


def test_a_session_is_listed_on_every_site(stage: Stage, me: Person) -> None:
    other: Site = stage.make.site()

    assert stage.get("/sessions", site=other, token=me.token).data["sessions"]["total"] == 1


def test_what_is_good_on_one_site_alone_neither_shows_nor_ends_other_sessions(
    stage: Stage, me: Person
) -> None:
    phone = sign_in(stage, me)
    with stage.app.database.write() as tx:
        # As signing in gives it by a method that the site's owner set up, who can sign in as anybody there.
        limited = AccessToken.insert_session(tx, me.user_id, site_id=me.site.id)
        everywhere = AccessToken.insert(tx, me.user_id, kind="key", life_s=3600)
    (row,) = stage.sql("SELECT token_id FROM access_tokens WHERE token_prefix = %(p)s", p=phone[:8])

    (shown,) = stage.get("/sessions", site=me.site, token=limited).data["sessions"]["items"]
    assert shown["current"]
    assert stage.get("/keys", site=me.site, token=limited).data["keys"]["total"] == 0
    for path in (f"/sessions/{row[0]}", f"/keys/{everywhere.id}"):
        assert stage.request("DELETE", path, site=me.site, token=limited).status == 404
    assert stage.request("DELETE", "/sessions", site=me.site, token=limited).status == 200
    assert stage.get("/whoami", site=me.site, token=limited).status == 401
    for token in (phone, me.token, everywhere.secret):
        assert stage.get("/whoami", site=me.site, token=token).status == 200


def test_tokens_are_kept_as_hashes(stage: Stage, me: Person) -> None:
    secret = stage.post("/keys", KEY, by=me).data["secret"]

    rows = stage.sql("SELECT t::text FROM access_tokens t WHERE user_id = %(u)s", u=me.user_id)
    assert not any(secret in row[0] for row in rows)
