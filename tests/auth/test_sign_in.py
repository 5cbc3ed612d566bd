"""Signing in: which way, what comes of it, tokens and their end."""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from forumapi.auth import spam_check
from forumapi.errors import Invalid
from forumapi.models.access.access_token import AccessToken
from forumapi.models.people.ban import Ban
from forumapi.models.people.user import User
from tests.api import Response
from tests.factories import Person
from tests.stage import Stage, forumapi, staged

_numbers = iter(range(1, 10_000))


def fresh() -> str:
    """An address that nobody has used."""
    return f"visitor{next(_numbers)}@signin.test"


def develop(stage: Stage, email: str, **how: Any) -> Response:
    """A development sign-in."""
    return stage.post("/auth", {"method": "development", "email": email}, **how)


@contextlib.contextmanager
def provider(answer: Callable[[str, bytes], tuple[int, bytes]]) -> Iterator[str]:
    """The address of a service on loopback that answers with what `answer(path, body)` says."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            status, data = answer(self.path, self.rfile.read(length))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def verifier(path: str, body: bytes) -> tuple[int, bytes]:
    """Believes an assertion that is an address; `trouble` breaks it."""
    sent = json.loads(body)
    assert path == "/verify"
    if sent["assertion"] == "trouble":
        return 500, b"no"
    if sent["assertion"] == "moved":
        return 302, b""
    if sent["assertion"] == "nonsense":
        return 200, b"<html>"
    if sent["assertion"] == "endless":
        return 200, b"[" * 200_000
    if "@" not in sent["assertion"]:
        return 200, b'{"status":"failure"}'
    return 200, json.dumps({"status": "okay", "email": sent["assertion"]}).encode()


@pytest.fixture(scope="module")
def client_secret(stage: Stage) -> str:
    """The secret of an application, as the command that registers it prints it."""
    return forumapi(stage.url, "client", "create", "a client")


@pytest.fixture(scope="module")
def verified(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a verifier of assertions."""
    with (
        provider(verifier) as url,
        staged(
            database_url,
            tmp_path_factory.mktemp("verified"),
            assertion_verifier_url=f"{url}/verify",
        ) as made,
    ):
        yield made


# ---------------------------------------------------------------- ways


def test_the_development_method_signs_in_at_once(stage: Stage) -> None:
    email = fresh()
    answer = develop(stage, email)
    assert answer.status == 200
    assert stage.get("/whoami", token=answer.data).data["email"] == email


def test_there_is_no_development_method_outside_the_embedded_mode(
    database_url: str, tmp_path: Path
) -> None:
    with staged(database_url, tmp_path, environment="development") as stage:
        stage.sql(
            "INSERT INTO site_auth_backends (site_id, name) VALUES (%(s)s, 'development')",
            s=stage.site.id,
        )
        answer = develop(stage, fresh())
        assert (answer.status, answer.json()["data"]) == (400, None)
        assert "development" not in answer.json()["error"][0]


def test_an_unknown_method_is_refused_by_name(stage: Stage) -> None:
    answer = stage.post("/auth", {"method": "carrier pigeon"})
    assert answer.status == 400
    told = answer.json()["error"][0]
    assert told.startswith("method: must be one of: assertion, auth0, development, email-code, ")


@pytest.mark.wide
def test_an_assertion_is_exchanged_for_a_token(verified: Stage, client_secret: str) -> None:
    email = fresh()
    for body in (
        {"Assertion": email, "ClientSecret": client_secret},
        {"assertion": email, "clientSecret": client_secret},
    ):
        answer = verified.post("/auth", body)
        assert answer.status == 200
        assert verified.get("/whoami", token=answer.data).data["email"] == email
    form = verified.post("/auth", form={"Assertion": email, "ClientSecret": client_secret})
    assert form.status == 200
    shown = verified.get("/auth", token=form.data).data
    assert shown["clientId"] > 0


@pytest.mark.parametrize(
    ("assertion", "status"),
    [
        ("bad", 401),
        ("", 401),
        ("trouble", 502),
        ("moved", 502),
        ("nonsense", 502),
        ("endless", 502),
    ],
)
def test_an_assertion_that_fails(
    verified: Stage, client_secret: str, assertion: str, status: int
) -> None:
    answer = verified.post("/auth", {"Assertion": assertion, "ClientSecret": client_secret})
    assert (answer.status, answer.json()["data"]) == (status, None)


@pytest.mark.parametrize("body", [{}, {"Assertion": "x@y.test"}, {"ClientSecret": "nope"}])
def test_without_the_secret_of_an_application_nothing_happens(
    verified: Stage, body: dict[str, str]
) -> None:
    users = verified.sql("SELECT count(*) FROM users")
    answer = verified.post("/auth", body)
    assert (answer.status, answer.json()["data"]) == (401, None)
    assert verified.sql("SELECT count(*) FROM users") == users


def test_without_a_verifier_an_assertion_is_501(stage: Stage, client_secret: str) -> None:
    body = {"Assertion": "x@y.test", "ClientSecret": client_secret}
    assert stage.post("/auth", body).status == 501


def test_auth0_is_refused_until_the_site_has_its_settings(stage: Stage, client_secret: str) -> None:
    site = stage.make.site()
    body = {"ClientSecret": client_secret, "Code": "abc", "State": "ignored"}
    assert stage.post("/auth0", body, site=site).status == 400
    stage.sql(
        """UPDATE sites SET auth0_domain = 'bikes.auth0.test', auth0_client_id = 'id', auth0_client_secret = 'secret'
            WHERE site_id = %(s)s""",
        s=site.id,
    )
    assert stage.post("/auth0", {"ClientSecret": client_secret}, site=site).status == 400
    token = {"ClientSecret": client_secret, "AccessToken": "x", "TokenType": "mac"}
    assert stage.post("/auth0", token, site=site).status == 400
    answer = stage.post("/auth0", {**body, "ClientSecret": "x"}, site=site)
    assert (answer.status, answer.json()["data"]) == (401, None)


def test_signing_in_works_on_the_platforms_own_host(stage: Stage) -> None:
    email = f"jo{next(_numbers)}@signin.test"
    answer = develop(stage, email, host="localhost")
    me = stage.get("/whoami", token=answer.data, host="localhost")
    assert (me.status, me.data["siteId"]) == (200, 1)
    assert me.data["profileName"] == email.partition("@")[0]


# ---------------------------------------------------------------- what comes of it


def test_signing_in_leaves_an_audit_row_with_the_address(stage: Stage) -> None:
    token = develop(stage, fresh(), ip="203.0.113.9").data
    me = stage.get("/whoami", token=token).data["id"]
    rows = stage.sql(
        """SELECT item_type_id, action, item_id, host(ip) FROM audit_log
            WHERE site_id = %(s)s AND profile_id = %(p)s ORDER BY audit_id""",
        s=stage.site.id,
        p=me,
    )
    assert rows == [(3, "C", me, "203.0.113.9"), (20, "C", me, "203.0.113.9")]


def test_signing_in_again_finds_the_same_user_and_profile(stage: Stage) -> None:
    email = fresh()
    ids = [stage.get("/whoami", token=develop(stage, email).data).data["id"] for _ in range(2)]
    assert ids[0] == ids[1]


@pytest.mark.wide
def test_however_many_have_the_same_name_in_their_address_each_gets_a_profile(stage: Stage) -> None:
    names = set()
    for _ in range(60):
        token = develop(stage, f"hostmaster@{fresh().partition('@')[0]}.test").data
        me = stage.get("/whoami", token=token, host=stage.config.platform_domain)
        assert me.status == 200, me.body
        names.add(me.data["profileName"])

    assert len(names) == 60
    assert all(name.startswith("hostmaster") for name in names)


@pytest.mark.wide
def test_whoever_comes_for_the_first_time_needs_one_connection_of_the_database(
    database_url: str, tmp_path: Path
) -> None:
    with staged(database_url, tmp_path, database_connections=1) as stage:
        other = stage.make.site()
        for method, path in (("GET", "/whoami"), ("PUT", "/profiles/read")):
            person = stage.make.person(stage.site)
            body = {"itemType": "site"} if method == "PUT" else None
            answer = stage.request(method, path, body, site=other, token=person.token)
            assert answer.status == 200, answer.body


def test_concurrent_first_sign_ins_make_one_user_and_one_profile(stage: Stage) -> None:
    email = fresh()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: develop(stage, email), range(6)))
    assert {one.status for one in answers} == {200}
    found = stage.sql(
        """SELECT p.profile_id FROM users u JOIN profiles p ON p.user_id = u.user_id
            WHERE u.email = %(e)s""",
        e=email,
    )
    assert len(found) == 1


@pytest.mark.wide
def test_concurrent_first_requests_on_another_site_make_one_profile(stage: Stage) -> None:
    other = stage.make.site()
    member = stage.make.person(stage.site)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: stage.get("/whoami", by=member, site=other), range(6)))
    assert {one.status for one in answers} == {200}
    assert len({one.data["id"] for one in answers}) == 1
    assert answers[0].data["id"] != member.id


def test_a_banned_user_still_gets_a_token_and_is_refused_afterwards(stage: Stage) -> None:
    token = develop(stage, stage.site.banned.email).data
    assert stage.get("/profiles", token=token).status == 403
    assert stage.get("/whoami", token=token).status == 200


@pytest.mark.slow
def test_a_known_spammer_is_refused_and_everybody_else_is_not() -> None:
    now = int(datetime.datetime.now(datetime.UTC).timestamp())

    def service(path: str, _: bytes) -> tuple[int, bytes]:
        if "broken" in path:
            return 500, b""
        about: dict[str, Any] = {"lastseen": now - 1000, "frequency": 9, "confidence": 80.5}
        if "long.ago" in path:
            about["lastseen"] = now - 400 * 24 * 3600
        if "unsure" in path:
            about["confidence"] = 0
        if "unknown" in path:
            about = {"frequency": 0, "appears": 0}
        return 200, json.dumps({"success": 1, "email": about}).encode()

    with provider(service) as url:
        assert spam_check.check("spammer@x.test", url) == ("spam", 80.5)
        for name, word in (
            ("broken", "unknown"),
            ("long.ago", "clean"),
            ("unsure", "clean"),
            ("unknown", "clean"),
        ):
            assert spam_check.check(f"{name}@x.test", url).word == word
    assert spam_check.check("spammer@x.test", url).is_spam, "the answer is remembered"
    assert spam_check.check("other@x.test", url).word == "unknown", (
        "nobody answers: nobody is refused"
    )


# ---------------------------------------------------------------- tokens


def another(stage: Stage, person: Person, **how: Any) -> str:
    """Another token of a person."""
    with stage.app.database.write() as tx:
        return AccessToken.insert_session(tx, person.user_id, **how)


def test_a_token_is_stored_as_its_hash_alone(stage: Stage) -> None:
    token = another(stage, stage.site.member, name="laptop")
    rows = stage.sql(
        "SELECT t::text FROM access_tokens t WHERE t.user_id = %(u)s", u=stage.site.member.user_id
    )
    assert not any(token in row[0] for row in rows)
    assert any(token[:8] in row[0] and "laptop" in row[0] for row in rows)


def test_a_token_shows_itself_to_its_bearer(stage: Stage) -> None:
    token = another(stage, stage.site.member, days=10)
    for path in ("/auth", f"/auth/{token}"):
        shown = stage.get(path, token=token)
        assert shown.status == 200
        assert shown.data["accessToken"] == token
        assert shown.data["user"]["userId"] == stage.site.member.user_id
        assert shown.data["user"]["email"] == stage.site.member.email
        assert shown.data["clientId"] == 0
        assert shown.data["expires"] > shown.data["created"]


def test_nobody_elses_token_is_shown_or_revoked(stage: Stage) -> None:
    token, other = another(stage, stage.site.member), another(stage, stage.site.newcomer)
    for path, bearer in (("/auth", ""), (f"/auth/{token}", ""), (f"/auth/{token}", other)):
        for method in ("GET", "DELETE"):
            assert stage.request(method, path, token=bearer).status == 404
    assert stage.get("/whoami", token=token).status == 200


def test_signing_out_ends_a_token_at_once(stage: Stage) -> None:
    for path in ("/auth", "/auth/{}"):
        token = another(stage, stage.site.member)
        assert stage.get("/whoami", token=token).status == 200
        out = stage.request("DELETE", path.format(token), token=token)
        assert (out.status, out.data) == (200, None)
        after = stage.get("/whoami", token=token)
        assert (after.status, after.code) == (401, 7)
    rows = stage.sql(
        "SELECT action, item_id FROM audit_log WHERE item_type_id = 20 AND action = 'D' AND site_id = %(s)s",
        s=stage.site.id,
    )
    assert rows[-1] == ("D", stage.site.member.user_id)


def test_the_client_signs_out_by_post_with_the_token_in_the_query(stage: Stage) -> None:
    token = another(stage, stage.site.member)
    out = stage.post(f"/auth/{token}?method=DELETE&access_token={token}")
    assert out.status == 200
    assert stage.get("/whoami", token=token).status == 401


def test_an_expired_token_is_refused(stage: Stage) -> None:
    token = another(stage, stage.site.member)
    stage.sql(
        "UPDATE access_tokens SET expires = now() - interval '1 second' WHERE token_prefix = %(p)s",
        p=token[:8],
    )
    answer = stage.get("/whoami", token=token)
    assert (answer.status, answer.code) == (401, 6)
    with stage.app.database.write() as tx:
        AccessToken.delete_expired(tx)
    assert stage.get("/whoami", token=token).code == 7


def test_a_token_of_one_site_is_no_good_on_another(stage: Stage) -> None:
    other = stage.make.site()
    token = another(stage, stage.site.member, site_id=stage.site.id)
    assert stage.get("/whoami", token=token).status == 200
    assert stage.get("/whoami", token=token, site=other).status == 401


def test_tokens_are_listed_and_revoked_by_an_operator(stage: Stage) -> None:
    person = stage.make.person(stage.site)
    other = another(stage, person, name="phone")
    with stage.app.database.write() as tx:
        listed = AccessToken.find_all(tx, person.user_id)
        assert [one.name for one in listed] == ["", "phone"]
        assert AccessToken.delete_by_id(tx, listed[1].id) == person.user_id
        assert AccessToken.delete_by_id(tx, listed[1].id) == 0
    assert stage.get("/whoami", token=other).status == 401
    with stage.app.database.write() as tx:
        assert AccessToken.delete_of_user(tx, person.user_id) == 1
    assert stage.get("/whoami", by=person).status == 401


@pytest.mark.parametrize("header", ["fapi", "Bearer", "Basic abc", "Bearer a b"])
def test_a_malformed_authorization_is_401(stage: Stage, header: str) -> None:
    answer = stage.get("/whoami", headers={"Authorization": header})
    assert (answer.status, answer.code) == (401, 7)


@pytest.mark.parametrize("header", ["", " ", "\t"])
def test_an_empty_authorization_is_none(stage: Stage, header: str) -> None:
    guest = stage.get("/site", headers={"Authorization": header})
    assert (guest.status, guest.headers["Cache-Control"]) == (200, "public, max-age=300")
    assert stage.get("/whoami", headers={"Authorization": header}).status == 403
    token = stage.site.member.token
    named = stage.get(f"/whoami?access_token={token}", headers={"Authorization": header})
    assert named.data["id"] == stage.site.member.id


def test_the_scheme_is_read_in_any_case_and_the_header_wins(stage: Stage) -> None:
    token = stage.site.member.token
    assert stage.get("/whoami", headers={"Authorization": f"bEARER {token}"}).status == 200
    assert stage.get(f"/whoami?access_token={token}").status == 200
    assert stage.get(f"/whoami?access_token={token}", token="x" * 128).status == 401


def test_token_routes_refuse_an_idempotency_key(stage: Stage) -> None:
    answer = develop(stage, fresh(), headers={"Idempotency-Key": "k1"})
    assert answer.status == 400


# ---------------------------------------------------------------- bans


def banned(stage: Stage, person: Person, **how: Any) -> int:
    """The id of a new ban."""
    with stage.app.database.write() as tx:
        return Ban.insert(tx, person.user_id, **how)


def test_a_ban_counts_from_the_next_request_on_and_so_does_its_end(stage: Stage) -> None:
    person = stage.make.person(stage.site)
    assert stage.get("/profiles", by=person).status == 200
    id = banned(stage, person, site_id=stage.site.id, display_reason="Be nicer")
    refused = stage.get("/profiles", by=person)
    assert (refused.status, refused.code, refused.error) == (403, 13, "Be nicer")
    with stage.app.database.write() as tx:
        assert Ban.delete(tx, stage.site.id, id)
        assert not Ban.delete(tx, stage.site.id, id)
    assert stage.get("/profiles", by=person).status == 200


def test_a_banned_person_sees_exactly_themselves(stage: Stage) -> None:
    person = stage.make.person(stage.site)
    banned(stage, person, site_id=stage.site.id)
    for path in ("/whoami", f"/profiles/{person.id}"):
        shown = stage.get(path, by=person)
        assert shown.status == 200
        rights = shown.data["meta"]["permissions"]
        assert [name for name, value in rights.items() if value] == ["read", "banned"]
    for path in (f"/profiles/{stage.site.member.id}", "/profiles", "/profiles/options", "/auth"):
        answer = stage.get(path, by=person)
        assert (answer.status, answer.json()["error"]) == (403, ["Banned"]), path
    assert stage.put(f"/profiles/{person.id}", {"gender": "x"}, by=person).status == 403


def test_a_ban_is_of_one_site_or_of_all(stage: Stage) -> None:
    other = stage.make.site()
    here, everywhere, flagged = (stage.make.person(stage.site) for _ in range(3))
    banned(stage, here, site_id=stage.site.id)
    banned(stage, everywhere)
    stage.sql("UPDATE users SET is_banned = true WHERE user_id = %(u)s", u=flagged.user_id)
    for person, elsewhere in ((here, 200), (everywhere, 403), (flagged, 403)):
        assert stage.get("/profiles", by=person).status == 403
        assert stage.get("/profiles", by=person, site=other).status == elsewhere


def test_a_ban_runs_out(stage: Stage) -> None:
    person = stage.make.person(stage.site)
    now = datetime.datetime.now(datetime.UTC)
    banned(stage, person, site_id=stage.site.id, expires=now - datetime.timedelta(seconds=1))
    assert stage.get("/profiles", by=person).status == 200
    banned(stage, person, site_id=stage.site.id, expires=now + datetime.timedelta(hours=1))
    assert stage.get("/profiles", by=person).status == 403
    with stage.app.database.write() as tx:
        assert [one.profile_id for one in Ban.list_all(tx, stage.site.id)][-2:] == [person.id] * 2
        assert Ban.delete_of_user(tx, person.user_id, site_id=stage.site.id) == 2
    assert stage.get("/profiles", by=person).status == 200


def test_nobody_is_banned_from_a_site_of_their_own(stage: Stage) -> None:
    site = stage.make.site()
    with pytest.raises(Invalid):
        banned(stage, site.owner, site_id=site.id)
    banned(stage, site.owner)
    assert stage.get("/profiles", by=site.owner, site=site).status == 200
    assert stage.get("/profiles", by=site.owner, site=stage.site).status == 403


# ---------------------------------------------------------------- users


def test_an_address_proves_who_one_is_in_full_and_in_any_case(stage: Stage) -> None:
    with stage.app.database.write() as tx:
        one = User.find_or_create(tx, "Jo.Hn@Yahoo.fr", is_verified=False)
        assert User.find_or_create(tx, "jo.hn@yahoo.FR", is_verified=True).id == one.id
        assert User.find_or_create(tx, "john@yahoo.com", is_verified=True).id != one.id
        assert User.find_or_create(tx, "john@yahoo.fr", is_verified=True).id != one.id
    rows = stage.sql(
        "SELECT canonical_email, email_verified FROM users WHERE user_id = %(u)s", u=one.id
    )
    assert rows == [("john@yahoo.com", True)]
