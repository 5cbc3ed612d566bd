"""Signing in through a provider of OpenID Connect, and every token that must be refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from forumapi.auth import identity_provider_client
from tests.api import Response
from tests.auth.forger import CLIENT_ID, CLIENT_SECRET, Forger, Key, forging
from tests.factories import Site
from tests.stage import Stage, new_address, staged

BACK = "https://pages.test/login"
_numbers = iter(range(1, 10_000))


@pytest.fixture
def forger() -> Iterator[Forger]:
    """A provider that does what a test wants."""
    with forging() as made:
        yield made


def set_up(stage: Stage, forger: Forger, site: Site | None = None, **more: Any) -> None:
    """The owner of a site sets this provider up."""
    settings = {
        "issuer": forger.issuer,
        "clientId": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
        "redirectUris": [BACK],
        **more,
    }
    site = site or stage.site
    answer = stage.put("/site/auth/openid", {"enabled": True, "settings": settings}, by=site.owner)
    assert answer.status == 302, answer.body


def begin(stage: Stage, **how: Any) -> Response:
    """The first step."""
    method = how.pop("method", "openid")
    how.setdefault("ip", new_address())
    return stage.post("/auth/begin", {"method": method, "redirectUri": BACK}, **how)


def finish(stage: Stage, flow: str, brought: dict[str, str], **how: Any) -> Response:
    """The last step."""
    method = how.pop("method", "openid")
    how.setdefault("ip", new_address())
    return stage.post("/auth", {"method": method, "flow": flow, **brought}, **how)


def sign_in(stage: Stage, forger: Forger, **how: Any) -> Response:
    """Both steps, with a visit to the provider between them."""
    begun = begin(stage, **how)
    assert begun.status == 200, begun.body
    return finish(stage, begun.data["flow"], forger.approve(begun.data["location"]), **how)


def nonce_of(location: str) -> str:
    """The nonce that the provider is asked with."""
    return parse_qs(urlsplit(location).query)["nonce"][0]


def test_a_provider_signs_in(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    email = f"ana{next(_numbers)}@provider.test"
    forger.claims = {"email": email}

    answer = sign_in(stage, forger)

    assert answer.status == 200
    assert stage.get("/whoami", token=answer.data).data["email"] == email


def test_the_browser_is_sent_with_all_that_the_protocol_asks_for(
    stage: Stage, forger: Forger
) -> None:
    set_up(stage, forger)
    first, second = begin(stage).data, begin(stage).data
    asked = [parse_qs(urlsplit(one["location"]).query) for one in (first, second)]
    assert first["location"].startswith(f"{forger.issuer}/authorize?")
    for one in asked:
        assert one["response_type"] == ["code"]
        assert one["client_id"] == [CLIENT_ID]
        assert one["redirect_uri"] == [BACK]
        assert set(one["scope"][0].split()) == {"openid", "email"}
        assert one["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name][0]) >= 32
    # What the client keeps is in no address.
    assert first["flow"] not in first["location"]
    assert CLIENT_SECRET not in first["location"]


# ---------------------------------------------------------------- tokens that are refused


def unsigned(forger: Forger, nonce: str) -> str:
    """`alg: none`, without a signature."""
    body = jwt.decode(forger.mint(nonce), options={"verify_signature": False})
    parts = [json.dumps(one).encode() for one in ({"alg": "none", "kid": "first"}, body)]
    return ".".join(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in parts) + "."


def downgraded(forger: Forger, nonce: str) -> str:
    """HS256 with the public key for a secret."""
    body = jwt.decode(forger.mint(nonce), options={"verify_signature": False})
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').rstrip(b"=")
    payload = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=")
    mac = hmac.new(forger.key.public_pem, head + b"." + payload, hashlib.sha256).digest()
    return b".".join((head, payload, base64.urlsafe_b64encode(mac).rstrip(b"="))).decode()


def tampered(forger: Forger, nonce: str) -> str:
    """Another address under the old signature."""
    head, payload, signature = forger.mint(nonce).split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=="))
    body["email"] = "owner@elsewhere.test"
    payload = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


def wrong_key(forger: Forger, nonce: str) -> str:
    """Signed with a key that the provider never had, under the name of one that it has."""
    return forger.mint(nonce, key=Key("first").private)


def unknown_key(forger: Forger, nonce: str) -> str:
    """Signed with a key that the provider never had."""
    return forger.mint(nonce, key=Key("other").private, headers={"kid": "other"})


def own_key(forger: Forger, nonce: str) -> str:
    """A token that brings its key along."""
    mine = Key("first")
    return forger.mint(nonce, key=mine.private, headers={"kid": "first", "jwk": mine.jwk})


def claims(**changed: Any) -> Any:
    """A token with other claims; None leaves one out."""

    def make(forger: Forger, nonce: str) -> str:
        forger.claims = changed
        return forger.mint(nonce)

    return make


NOW = int(time.time())
REFUSED = {
    "unsigned": unsigned,
    "downgraded": downgraded,
    "tampered": tampered,
    "wrong key": wrong_key,
    "unknown key": unknown_key,
    "own key": own_key,
    "no token": lambda forger, nonce: "x",
    "expired": claims(exp=NOW - 120, iat=NOW - 600),
    "from the future": claims(iat=NOW + 3600),
    "not yet valid": claims(nbf=NOW + 3600),
    "no expiry": claims(exp=None),
    "no issue time": claims(iat=None),
    "no subject": claims(sub=None),
    "wrong audience": claims(aud="somebody else"),
    "no audience": claims(aud=None),
    "several audiences": claims(aud=[CLIENT_ID, "somebody else"]),
    "made for another party": claims(azp="somebody else"),
    "several, made for another": claims(aud=[CLIENT_ID, "x"], azp="x"),
    "wrong issuer": claims(iss="https://accounts.google.com"),
    "issuer with a slash": claims(iss="http://127.0.0.1/"),
    "no issuer": claims(iss=None),
    "wrong nonce": claims(nonce="another"),
    "no nonce": claims(nonce=None),
    "nonce of another type": claims(nonce=["x"]),
    "address not verified": claims(email_verified=False),
    "address perhaps verified": claims(email_verified=None),
    "verified in words": claims(email_verified="yes"),
    "no such address": claims(email="nobody"),
    "address of another type": claims(email=["a@b.test"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_token_is_refused(stage: Stage, forger: Forger, name: str) -> None:
    set_up(stage, forger)
    begun = begin(stage).data
    users = stage.sql("SELECT count(*) FROM users")
    forger.token = REFUSED[name](forger, nonce_of(begun["location"]))

    answer = finish(stage, begun["flow"], forger.approve(begun["location"]))

    assert (answer.status, answer.json()["data"]) == (401, None)
    assert stage.sql("SELECT count(*) FROM users") == users


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW - 30, "iat": NOW - 330},
        {"iat": NOW + 40},
        {"aud": [CLIENT_ID, "x"], "azp": CLIENT_ID},
        {"aud": [CLIENT_ID]},
        {"email_verified": "true"},
    ],
)
def test_a_good_token_within_a_minute_of_leeway_is_taken(
    stage: Stage, forger: Forger, changed: dict[str, Any]
) -> None:
    set_up(stage, forger)
    # Counted from now: the module may have been imported long ago.
    late = int(time.time()) - NOW
    forger.claims = {
        name: value + late if name in ("exp", "iat") else value for name, value in changed.items()
    }
    assert sign_in(stage, forger).status == 200


# ---------------------------------------------------------------- flows


def test_a_flow_is_good_for_one_sign_in(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    begun = begin(stage).data
    brought = forger.approve(begun["location"])
    assert finish(stage, begun["flow"], brought).status == 200
    assert finish(stage, begun["flow"], brought).status == 401
    assert finish(stage, begun["flow"], forger.approve(begun["location"])).status == 401


def test_a_code_is_no_good_in_the_hands_of_another_client(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    other = stage.make.site()
    set_up(stage, forger, other)
    mine, theirs = begin(stage).data, begin(stage).data
    brought = forger.approve(mine["location"])
    for flow, what in (
        ("", brought),
        ("made-up", brought),
        (theirs["flow"], brought),
        (mine["flow"], {**brought, "state": "made-up"}),
        (mine["flow"], {"code": brought["code"]}),
    ):
        assert finish(stage, flow, what).status == 401
    assert finish(stage, mine["flow"], brought, site=other).status == 401
    # None of that used the flow up.
    assert finish(stage, mine["flow"], brought).status == 200


def test_a_flow_runs_out(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    begun = begin(stage).data
    stage.sql(
        "UPDATE single_use SET expires = now() - interval '1 second' WHERE site_id = %(s)s",
        s=stage.site.id,
    )
    assert finish(stage, begun["flow"], forger.approve(begun["location"])).status == 401


def test_a_flow_of_one_method_is_no_good_for_another(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    stage.put(
        "/site/auth/google",
        {"settings": {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}},
        by=stage.site.owner,
    )
    begun = begin(stage).data
    brought = forger.approve(begun["location"])
    assert finish(stage, begun["flow"], brought, method="google").status == 401
    assert finish(stage, begun["flow"], brought).status == 200


def test_a_code_that_the_provider_refuses_is_401(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    begun = begin(stage).data
    state = forger.approve(begun["location"])["state"]
    assert finish(stage, begun["flow"], {"code": "made-up", "state": state}).status == 401


def test_only_the_pages_that_are_set_up_are_come_back_to(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    for page in ("https://evil.test/", f"{BACK}/", f"{BACK}?x=1", "javascript:alert(1)"):
        answer = stage.post("/auth/begin", {"method": "openid", "redirectUri": page})
        assert answer.status == 400, page
        assert answer.error.startswith("redirectUri: ")


def test_the_answer_of_another_issuer_is_refused(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    forger.discovery = {"authorization_response_iss_parameter_supported": True}
    for iss, status in (("https://evil.test", 401), ("", 401), (forger.issuer, 200)):
        begun = begin(stage).data
        brought = forger.approve(begun["location"])
        sent = {**brought, "iss": iss} if iss else brought
        assert finish(stage, begun["flow"], sent).status == status
        # Cached for another test's sake: this one's document differs from the default.
    assert forger.asked.count("/.well-known/openid-configuration") == 1


@pytest.mark.usefixtures("within_one_hour")
def test_steps_from_one_place_are_limited(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    ip = new_address()
    for kind in ("flow-begin-ip", "flow-step-ip"):
        stage.sql(
            """INSERT INTO attempt_counters (kind, subject, window_start, attempts)
               SELECT %(k)s, %(s)s, to_timestamp(floor(extract(epoch FROM now()) / 3600) * 3600), 120""",
            k=kind,
            s=ip,
        )
    assert begin(stage, ip=ip).status == 429
    assert finish(stage, "x", {"code": "x", "state": "x"}, ip=ip).status == 429


# ---------------------------------------------------------------- keys


def test_a_new_key_of_the_provider_is_found(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    assert sign_in(stage, forger).status == 200
    forger.key = Key("second")
    forger.published = [forger.key]
    assert sign_in(stage, forger).status == 200
    assert sign_in(stage, forger).status == 200
    assert forger.asked.count("/jwks") == 2


def test_made_up_keys_do_not_become_requests(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    for number in range(identity_provider_client.REFETCHES + 4):
        begun = begin(stage).data
        nonce = nonce_of(begun["location"])
        forger.token = forger.mint(nonce, headers={"kid": f"made-up-{number}"})
        assert finish(stage, begun["flow"], forger.approve(begun["location"])).status == 401
    assert forger.asked.count("/jwks") == 1 + identity_provider_client.REFETCHES
    forger.token = None
    assert sign_in(stage, forger).status == 200


def test_a_key_set_may_leave_out_what_is_not_needed(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    begun = begin(stage).data
    forger.token = forger.mint(nonce_of(begun["location"]), headers={})
    assert finish(stage, begun["flow"], forger.approve(begun["location"])).status == 200


# ---------------------------------------------------------------- userinfo, failures


def test_an_address_that_the_token_leaves_out_comes_from_userinfo(
    stage: Stage, forger: Forger
) -> None:
    set_up(stage, forger)
    forger.claims = {"email": None, "email_verified": None}
    email = f"bo{next(_numbers)}@provider.test"
    forger.userinfo = {"email": email, "email_verified": True}
    assert stage.get("/whoami", token=sign_in(stage, forger).data).data["email"] == email
    forger.userinfo["sub"] = "somebody else"
    assert sign_in(stage, forger).status == 401


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/token", (500, b"no")),
        ("/token", (200, b"<html>")),
        ("/token", (200, b"[]")),
        ("/token", (200, b"{}")),
        ("/token", (401, b'{"error":"invalid_client"}')),
        ("/jwks", (500, b"{}")),
        ("/jwks", (302, b"")),
        # Nothing of the caller's is sent there that could be refused.
        ("/jwks", (404, b'{"error":"not_found"}')),
        ("/token", (200, b" " * 300_000)),
    ],
)
def test_a_provider_that_fails_is_502(
    stage: Stage, forger: Forger, path: str, answer: tuple[int, bytes]
) -> None:
    set_up(stage, forger)
    forger.broken[path] = answer
    told = sign_in(stage, forger)
    assert (told.status, told.json()["data"]) == (502, None)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://accounts.google.com"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_a_discovery_document_that_is_wrong_is_502(
    stage: Stage, forger: Forger, document: dict[str, Any]
) -> None:
    set_up(stage, forger)
    forger.discovery = document
    assert begin(stage).status == 502


def test_a_discovery_document_that_is_refused_is_502(stage: Stage, forger: Forger) -> None:
    set_up(stage, forger)
    forger.broken["/.well-known/openid-configuration"] = (404, b'{"error":"not_found"}')
    assert begin(stage).status == 502


@pytest.mark.wide
def test_providers_on_private_addresses_are_refused_outside_the_embedded_mode(
    database_url: str, tmp_path: Path, forger: Forger
) -> None:
    with staged(database_url, tmp_path / "a", environment="development") as stage:
        set_up(stage, forger)
        assert begin(stage).status == 502
        set_up(stage, forger, issuer=forger.issuer.replace("http:", "https:"))
        assert begin(stage).status == 502
        assert forger.asked == []
    with staged(
        database_url, tmp_path / "b", environment="development", private_providers=True
    ) as stage:
        set_up(stage, forger)
        assert sign_in(stage, forger).status == 200


# ---------------------------------------------------------------- whose word counts where


def test_what_a_sites_owner_set_up_proves_nothing_on_other_sites(
    stage: Stage, forger: Forger
) -> None:
    site, other = stage.make.site(), stage.make.site()
    set_up(stage, forger, site)
    victim = other.owner
    forger.claims = {"email": victim.email}

    token = sign_in(stage, forger, site=site).data

    assert stage.get("/whoami", token=token, site=site).data["userId"] == victim.user_id
    assert stage.get("/whoami", token=token, site=other).status == 401
    assert stage.get("/whoami", token=token, host="localhost").status == 401


def test_a_new_user_is_not_verified_by_what_a_sites_owner_set_up(
    stage: Stage, forger: Forger
) -> None:
    set_up(stage, forger)
    email = f"new{next(_numbers)}@provider.test"
    forger.claims = {"email": email}
    assert sign_in(stage, forger).status == 200
    assert stage.sql("SELECT email_verified FROM users WHERE email = %(e)s", e=email) == [(False,)]


def test_what_the_platform_set_up_counts_everywhere_until_a_site_says_otherwise(
    database_url: str, tmp_path: Path, forger: Forger
) -> None:
    with staged(database_url, tmp_path) as stage:
        settings = {
            "issuer": forger.issuer,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "redirectUris": [BACK],
        }
        stage.sql(
            "INSERT INTO site_auth_backends (site_id, name, settings) VALUES (1, 'openid', %(s)s::text::jsonb)",
            s=json.dumps(settings),
        )
        try:
            site, other = stage.site, stage.make.site()
            token = sign_in(stage, forger, site=site).data
            assert stage.get("/whoami", token=token, site=other).status == 200
            # A site's owner sees neither the secret nor the rest.
            shown = stage.get("/site/auth/openid", by=other.owner).data
            assert (shown["settings"], shown["secrets"], shown["own"]) == ({}, [], False)
            # Own settings stand alone: the platform's secret goes to no address of the owner's.
            own = {"issuer": "https://evil.test"}
            stage.put("/site/auth/openid", {"settings": own}, by=other.owner)
            assert begin(stage, site=other).status == 501
            stage.request("DELETE", "/site/auth/openid", by=other.owner)
            assert begin(stage, site=other).status == 200
            stage.put("/site/auth/openid", {"enabled": False}, by=other.owner)
            assert begin(stage, site=other).status == 501
        finally:
            stage.sql("DELETE FROM site_auth_backends WHERE site_id = 1")
