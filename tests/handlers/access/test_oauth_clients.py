"""Registering clients of a site: who may, what they may be, that secrets are shown once."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi.models.access import oauth_client
from tests.api import Api
from tests.auth.consent import Client
from tests.factories import Factory, Site

CLIENTS = "/api/v1/oauth/clients"
BODY = {
    "name": "Reader",
    "redirectUris": ["https://client.example/back"],
    "scopes": ["comments:read"],
}


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def test_the_owner_registers_changes_and_deletes_a_client(api: Api, site: Site) -> None:
    made = api.post(CLIENTS, BODY, by=site.owner)
    assert made.status == 200
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.data["secret"]
    path = f"{CLIENTS}/{made.data['id']}"

    shown = api.get(path, by=site.owner).data
    assert "secret" not in shown
    assert (shown["name"], shown["confidential"], shown["deviceFlow"]) == ("Reader", True, False)
    assert secret.encode() not in api.get(CLIENTS, by=site.owner).body
    changed = api.put(path, {"name": "Writer", "confidential": False}, by=site.owner)
    after = api.follow(changed, by=site.owner).data
    assert (after["name"], after["confidential"]) == ("Writer", True)
    assert after["redirectUris"] == BODY["redirectUris"]
    assert api.delete(path, by=site.owner).status == 200
    assert api.get(path, by=site.owner).status == 404
    assert api.delete(path, by=site.owner).status == 404


def test_nobody_else_gets_at_them(api: Api, make: Factory, site: Site) -> None:
    id = api.post(CLIENTS, BODY, by=site.owner).data["id"]

    for by in (None, site.member, site.moderator, site.banned):
        for verb, path, body in (
            ("GET", CLIENTS, None),
            ("POST", CLIENTS, BODY),
            ("GET", f"{CLIENTS}/{id}", None),
            ("PUT", f"{CLIENTS}/{id}", BODY),
            ("DELETE", f"{CLIENTS}/{id}", None),
            ("POST", f"{CLIENTS}/{id}/secret", None),
        ):
            assert api.request(verb, path, site=site, by=by, json=body).status == 403


def test_the_owner_of_another_site_gets_what_never_was(api: Api, make: Factory, site: Site) -> None:
    other = make.site()
    id = api.post(CLIENTS, BODY, by=site.owner).data["id"]

    api.get(CLIENTS, by=other.owner)
    for verb, tail in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/secret")):
        theirs, never = (
            api.request(verb, f"{CLIENTS}/{number}{tail}", by=other.owner, json=BODY)
            for number in (id, 987654321)
        )
        assert (theirs.status, theirs.body) == (never.status, never.body)
        assert theirs.statements == never.statements
        assert theirs.status == 404
    assert api.get(f"{CLIENTS}/{id}", by=site.owner).status == 200


def test_a_secret_is_replaced_at_once(api: Api, make: Factory, site: Site) -> None:
    client = Client.registered(api, make, site, confidential=True)
    old = client.secret

    answer = api.post(f"{CLIENTS}/{client.id}/secret", by=site.owner)

    assert answer.headers["Cache-Control"] == "no-store"
    code = client.code(site.member)
    assert client.redeem(code).status == 401
    client.secret = answer.data["secret"]
    assert client.secret != old
    assert client.redeem(code).status == 200


def test_a_public_client_has_no_secret(api: Api, site: Site) -> None:
    made = api.post(CLIENTS, {**BODY, "confidential": False}, by=site.owner).data

    assert "secret" not in made
    assert api.post(f"{CLIENTS}/{made['id']}/secret", by=site.owner).status == 400


def test_secrets_are_kept_as_hashes(api: Api, make: Factory, site: Site) -> None:
    client = Client.registered(api, make, site, confidential=True)
    made = client.tokens(site.member)

    for table in ("oauth_clients", "access_tokens", "refresh_tokens", "single_use", "oauth_grants"):
        rows = make.sql(f"SELECT t::text FROM {table} t")
        for secret in (client.secret, made["access_token"], made["refresh_token"]):
            assert not any(secret in row[0] for row in rows), table


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.example/back",
        "https://client.example/back#top",
        "https://user@client.example/back",
        "https://client.example/a/../b",
        "https://client.example/a/%2e%2E/b",
        "https://*.example/back\u00e9",
        "https://client.example/ back",
        "https://client.example/'back",
        "https://client.example/a;b",
        "https://client.example/a,b",
        "https:///back",
        "https://",
        "https://client.example:99999/",
        "https://[::1/back",
        "javascript:alert(1)",
        "data:text/html,x",
        "com.example.app:/back",
        "/back",
        "//client.example/back",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "https://client.example/" + "x" * 1000,
        "",
    ],
)
def test_addresses_that_nobody_may_be_sent_to(api: Api, site: Site, uri: str) -> None:
    answer = api.post(CLIENTS, {**BODY, "redirectUris": [uri]}, by=site.owner)

    assert answer.status == 400
    assert answer.error.startswith("redirectUris[0]: ")


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example",
        "https://client.example:8443/a/b?c=d&e=%20",
        "http://127.0.0.1/",
        "http://127.0.0.1:7000/back",
        "http://[::1]:7000/back",
        "http://localhost:7000/back",
    ],
)
def test_addresses_that_one_may_be_sent_to(api: Api, site: Site, uri: str) -> None:
    answer = api.post(CLIENTS, {**BODY, "redirectUris": [uri]}, by=site.owner)

    assert answer.data["redirectUris"] == [uri]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 51}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["*"]}, "scopes"),
        ({"redirectUris": []}, "redirectUris"),
        ({"redirectUris": [f"https://c.example/{n}" for n in range(11)]}, "redirectUris"),
        ({"redirectUris": "https://client.example/"}, "redirectUris"),
        ({"deviceFlow": "yes"}, "deviceFlow"),
    ],
)
def test_what_a_client_may_not_be(api: Api, site: Site, change: dict[str, Any], field: str) -> None:
    answer = api.post(CLIENTS, {**BODY, **change}, by=site.owner)

    assert answer.status == 400
    assert answer.error.startswith(f"{field}: ")


def test_there_is_a_limit_to_clients(api: Api, make: Factory, site: Site) -> None:
    make.sql(
        """INSERT INTO oauth_clients (site_id, name, secret_hash)
           SELECT %(s)s, 'x', '' FROM generate_series(1, %(n)s::int)""",
        s=site.id,
        n=oauth_client.MOST_CLIENTS,
    )

    assert api.post(CLIENTS, BODY, by=site.owner).status == 400
    page = api.get(f"{CLIENTS}?limit=5&offset=45", by=site.owner).data["clients"]
    assert (page["total"], len(page["items"])) == (oauth_client.MOST_CLIENTS, 5)


@pytest.mark.parametrize(
    "path",
    ["clients", "clients/1/secret", "token", "revoke", "introspect", "device"],
)
def test_answers_with_secrets_take_no_idempotency_key(api: Api, site: Site, path: str) -> None:
    answer = api.post(
        f"/api/v1/oauth/{path}", BODY, by=site.owner, headers={"Idempotency-Key": "one"}
    )

    assert answer.status == 400
    assert "secret" in answer.error


def test_scopes_are_listed_with_their_meaning(api: Api, site: Site) -> None:
    found = {
        one["scope"]: one["description"] for one in api.get("/api/v1/oauth/scopes", site=site).data
    }

    assert found["comments:write"] == "Write, change and delete comments"
    assert "keys:write" not in found
