"""The provider as clients meet it: code with PKCE, refresh, revocation, introspection, device, discovery."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyotp
import pytest

from forumapi.config import Config
from forumapi.cron import maintenance_jobs
from forumapi.models.access import device_code
from forumapi.models.access.access_token import AccessToken
from tests.api import Api
from tests.auth.consent import (
    CALLBACK,
    SCOPES,
    Client,
    basic,
    challenge,
    form_key,
    page_cookie,
    query_of,
    text_of,
)
from tests.factories import Factory, Person, Site
from tests.fixtures import running


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def client(api: Api, make: Factory, site: Site) -> Client:
    return Client.registered(api, make, site)


@pytest.fixture
def secretive(api: Api, make: Factory, site: Site) -> Client:
    """A confidential client."""
    return Client.registered(api, make, site, confidential=True)


# ---------------------------------------------------------------- code and PKCE


def test_the_challenge_is_that_of_the_standard() -> None:
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


@pytest.mark.parametrize("confidential", [False, True])
def test_a_code_becomes_tokens_that_do_what_was_granted(
    api: Api, make: Factory, site: Site, confidential: bool
) -> None:
    client = Client.registered(api, make, site, confidential=confidential)
    back = client.decided(site.member)
    told = query_of(back)

    assert back.startswith(f"{CALLBACK}?")
    assert told["state"] == "st&te"
    assert told["iss"] == f"http://{site.host}:{api.address[1]}"
    answer = client.redeem(told["code"])
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert made["scope"] == client.scope
    assert client.works(made["access_token"])
    refused = api.get("/api/v1/whoami", site=site, token=made["access_token"])
    assert (refused.status, refused.data["scope"]) == (403, "profile:read")
    own = api.post(
        "/api/v1/conversations",
        {"microcosmId": site.root_id, "title": "By a program"},
        site=site,
        token=made["access_token"],
    )
    shown = api.get(own.location, site=site, token=made["access_token"])
    assert shown.data["meta"]["createdBy"]["id"] == site.member.id


def test_a_confidential_client_may_use_http_basic(secretive: Client, site: Site) -> None:
    code = secretive.code(site.member)

    answer = secretive.ask(
        "token",
        headers=basic(str(secretive.id), secretive.secret),
        grant_type="authorization_code",
        code=code,
        redirect_uri=CALLBACK,
        code_verifier=secretive.verifier,
    )

    assert answer.status == 200


def test_the_page_says_who_asks_and_for_what(make: Factory, client: Client, site: Site) -> None:
    page = client.open(client.address(), page_cookie(make, site.member))
    said = text_of(page)

    assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert "Reader & Co asks to act for you on Site" in said
    for words in ("Read comments", "Read conversations", "Start, change and delete conversations"):
        assert words in said
    assert "sent back to https://client.example" in said
    policy = page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://client.example;" in policy
    assert b"<script" not in page.body


def test_saying_no_tells_the_client_so(client: Client, site: Site) -> None:
    told = query_of(client.decided(site.member, "deny"))

    assert (told["error"], told["state"]) == ("access_denied", "st&te")
    assert "code" not in told


def test_a_page_is_over_once_it_is_answered(make: Factory, client: Client, site: Site) -> None:
    cookie = page_cookie(make, site.member)
    address = client.address()
    key = form_key(client.open(address, cookie))

    assert client.submit(address, cookie, csrf=key, step="allow").status == 303
    again = client.submit(address, cookie, csrf=key, step="allow")
    assert again.status == 200
    assert "signed out" in text_of(again)


def test_without_a_scope_a_client_gets_all_that_it_may_ask_for(client: Client, site: Site) -> None:
    code = client.code(site.member, scope=None)

    assert client.redeem(code).json()["scope"] == client.scope


def test_what_a_client_may_ask_for_since_the_page_was_shown_is_shown_first(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    cookie = page_cookie(make, site.member)
    address = client.address(scope=None)
    key = form_key(client.open(address, cookie))
    wider = sorted([*SCOPES, "comments:write"])
    body = {"name": "Reader & Co", "redirectUris": [CALLBACK], "scopes": wider}
    assert api.put(f"/api/v1/oauth/clients/{client.id}", body, by=site.owner).status == 302

    again = client.submit(address, cookie, csrf=key, step="allow")

    assert again.status == 200
    assert f'name="scopes" value="{" ".join(wider)}"'.encode() in again.body
    key = form_key(again)
    assert client.submit(address, cookie, csrf=key, step="allow", scopes="").status == 200
    back = client.submit(address, cookie, csrf=key, step="allow", scopes=" ".join(wider))
    assert set(client.redeem(query_of(back.location)["code"]).json()["scope"].split()) == set(wider)


def test_an_app_on_loopback_may_choose_its_port(api: Api, make: Factory, site: Site) -> None:
    client = Client.registered(
        api, make, site, redirectUris=["http://127.0.0.1/back", "http://localhost:7000/back"]
    )
    client.redirect_uri = "http://127.0.0.1:49152/back"

    assert client.redeem(client.code(site.member)).status == 200
    for uri in ("http://127.0.0.1:49152/other", "http://localhost:7001/back"):
        client.redirect_uri = uri
        assert client.open(client.address()).status == 400


# ---------------------------------------------------------------- signing in on the page


def test_one_signs_in_on_the_page_with_a_code_by_mail(
    make: Factory, client: Client, site: Site
) -> None:
    address = client.address()
    page = client.open(address)
    assert "Sign in to Site" in text_of(page)
    cookie = page.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "SameSite=Lax" in page.headers["Set-Cookie"]

    sent = client.submit(
        address, cookie, csrf=form_key(page), step="email", email=site.member.email
    )
    assert "a code of eight digits" in text_of(sent)
    ((subject,),) = make.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = %(to)s", to=site.member.email
    )
    wrong = client.submit(
        address, cookie, csrf=form_key(sent), step="code", email=site.member.email, code="1"
    )
    assert wrong.status == 401
    assert "This code is wrong" in text_of(wrong)
    into = client.submit(
        address,
        cookie,
        csrf=form_key(wrong),
        step="code",
        email=site.member.email,
        code=subject[:8],
    )
    assert (into.status, into.location) == (303, address)
    signed_in = into.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert signed_in != cookie
    consent = client.open(address, signed_in)
    assert "You are member on" in text_of(consent)
    # The cookie is worth nothing on the API.
    assert client.api.get("/api/v1/whoami", site=site, token=signed_in).code == 25
    back = client.submit(address, signed_in, csrf=form_key(consent), step="allow")
    assert client.redeem(query_of(back.location)["code"]).status == 200


def test_an_address_that_is_none_is_said_on_the_page(client: Client) -> None:
    page = client.open(client.address())
    cookie = page.headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    answer = client.submit(
        client.address(), cookie, csrf=form_key(page), step="email", email='"<b>nobody'
    )

    assert answer.status == 400
    assert b'role="alert"' in answer.body
    assert b"<b>nobody" not in answer.body


def test_one_may_be_somebody_else(make: Factory, client: Client, site: Site) -> None:
    cookie = page_cookie(make, site.member)
    address = client.address()
    key = form_key(client.open(address, cookie))

    left = client.submit(address, cookie, csrf=key, step="leave")

    assert (left.status, left.location) == (303, address)
    assert "Max-Age=0" in left.headers["Set-Cookie"]
    assert "Sign in to" in text_of(client.open(address, cookie))


# ---------------------------------------------------------------- refresh


def test_a_refresh_token_is_good_once_and_gives_the_next(client: Client, site: Site) -> None:
    first = client.tokens(site.member)

    second = client.refresh(first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert client.works(first["access_token"]) and client.works(second["access_token"])
    assert client.refresh(second["refresh_token"]).status == 200


def test_a_refresh_may_ask_for_less_and_later_for_all_again(client: Client, site: Site) -> None:
    first = client.tokens(site.member)

    less = client.refresh(first["refresh_token"], scope="comments:read").json()
    assert less["scope"] == "comments:read"
    assert not client.works(less["access_token"])
    assert client.refresh(less["refresh_token"]).json()["scope"] == client.scope


def test_an_expired_refresh_token_is_refused(make: Factory, client: Client, site: Site) -> None:
    first = client.tokens(site.member)
    make.sql("UPDATE refresh_tokens SET expires = now() WHERE client_id = %(id)s", id=client.id)

    assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.works(first["access_token"])


# ---------------------------------------------------------------- revocation and introspection


def test_an_access_token_is_given_back_alone_a_refresh_token_with_all(
    client: Client, site: Site
) -> None:
    made = client.tokens(site.member)

    assert client.ask("revoke", token=made["access_token"]).status == 200
    assert not client.works(made["access_token"])
    again = client.refresh(made["refresh_token"]).json()
    assert client.works(again["access_token"])
    assert client.ask("revoke", token=again["refresh_token"]).status == 200
    assert not client.works(again["access_token"])
    assert client.refresh(again["refresh_token"]).status == 400
    assert client.ask("revoke", token="never was one").status == 200


def test_a_client_learns_what_its_tokens_are_worth(secretive: Client, site: Site) -> None:
    made = secretive.tokens(site.member)

    shown = secretive.ask("introspect", token=made["access_token"]).json()
    assert shown["active"] is True
    assert shown["scope"] == secretive.scope
    assert shown["client_id"] == str(secretive.id)
    assert shown["sub"] == str(site.member.id)
    assert shown["exp"] - shown["iat"] == 3600
    assert secretive.ask("introspect", token=made["refresh_token"]).json()["active"] is True
    for other in (site.member.token, "never was one"):
        assert secretive.ask("introspect", token=other).json() == {"active": False}


# ---------------------------------------------------------------- devices


@pytest.fixture
def device(api: Api, make: Factory, site: Site) -> Client:
    return Client.registered(api, make, site, deviceFlow=True, redirectUris=[])


def _decide(device: Client, person: Person, user_code: str, step: str) -> str:
    cookie = page_cookie(device.make, person)
    address = f"/oauth/device?user_code={user_code}"
    page = device.open(address, cookie)
    assert user_code.encode() in page.body
    found = device.submit(
        address, cookie, csrf=form_key(page), step="find", user_code=user_code.lower()
    )
    assert "Reader & Co asks to act for you" in text_of(found)
    done = device.submit(
        address, cookie, csrf=form_key(found), step=step, user_code=user_code.lower()
    )
    assert done.status == 200
    return text_of(done)


def _poll(device: Client, code: str) -> dict[str, str]:
    device.make.sql(
        """UPDATE single_use SET payload = payload || '{"polled": 0}' WHERE kind = %(kind)s""",
        kind=device_code.KIND,
    )
    answer = device.ask(
        "token", grant_type="urn:ietf:params:oauth:grant-type:device_code", device_code=code
    )
    found: dict[str, str] = answer.json()
    return found


def test_a_device_is_let_in_from_another_one(device: Client, site: Site) -> None:
    asked = device.ask("device", scope="conversations:read").json()
    assert asked["verification_uri"].endswith("/oauth/device")
    assert asked["user_code"] in asked["verification_uri_complete"]
    assert _poll(device, asked["device_code"])["error"] == "authorization_pending"

    assert "Allowed" in _decide(device, site.member, asked["user_code"], "allow")

    made = _poll(device, asked["device_code"])
    assert made["scope"] == "conversations:read"
    assert device.works(made["access_token"])
    assert device.refresh(made["refresh_token"]).status == 200
    assert _poll(device, asked["device_code"])["error"] == "invalid_grant"


def test_a_device_is_told_no(device: Client, site: Site) -> None:
    asked = device.ask("device").json()

    _decide(device, site.member, asked["user_code"], "deny")

    assert _poll(device, asked["device_code"])["error"] == "access_denied"


@pytest.mark.wide
def test_a_code_typed_in_takes_one_connection_of_the_database(
    database_url: str, make: Factory, site: Site, tmp_path: Path
) -> None:
    with running(database_url, tmp_path, database_connections="1") as server:
        device = Client.registered(server.api(), make, site, deviceFlow=True, redirectUris=[])
        asked = device.ask("device").json()

        assert "Allowed" in _decide(device, site.member, asked["user_code"], "allow")


def test_a_device_that_asks_too_often_is_told_to_slow_down(device: Client) -> None:
    asked = device.ask("device").json()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": asked["device_code"],
    }

    said = [device.ask("token", **form).json()["error"] for _ in range(2)]

    assert said == ["authorization_pending", "slow_down"]


def test_a_device_code_that_is_too_old(make: Factory, device: Client, site: Site) -> None:
    asked = device.ask("device").json()
    make.sql("UPDATE single_use SET expires = now() WHERE kind = %(k)s", k=device_code.KIND)

    cookie = page_cookie(make, site.member)
    page = device.open("/oauth/device", cookie)
    found = device.submit(
        "/oauth/device", cookie, csrf=form_key(page), step="find", user_code=asked["user_code"]
    )

    assert found.status == 400
    assert "There is no device with this code" in text_of(found)
    assert _poll(device, asked["device_code"])["error"] == "expired_token"


def test_only_clients_that_may_get_device_codes(client: Client) -> None:
    assert client.ask("device").json()["error"] == "unauthorized_client"


# ---------------------------------------------------------------- discovery, grants


def test_the_discovery_document_leads_to_what_there_is(api: Api, site: Site) -> None:
    found = api.get("/.well-known/oauth-authorization-server", site=site).json()

    origin = f"http://{site.host}:{api.address[1]}"
    assert found["issuer"] == origin
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["response_types_supported"] == ["code"]
    assert found["scopes_supported"] == [
        one["scope"] for one in api.get("/api/v1/oauth/scopes", site=site).data
    ]
    for name, url in found.items():
        if name.endswith("_endpoint"):
            verb = "GET" if "authorization" in name and "device" not in name else "POST"
            assert api.request(verb, url.removeprefix(origin), site=site).status in (400, 401)


def test_a_person_sees_what_they_granted_and_takes_it_back(
    api: Api, client: Client, site: Site
) -> None:
    made = client.tokens(site.member)

    (grant,) = api.get("/api/v1/oauth/grants", by=site.member).data["grants"]["items"]
    assert grant["clientName"] == "Reader &amp; Co"
    assert [one["scope"] for one in grant["scopes"]] == client.scope.split()
    assert api.delete(f"/api/v1/oauth/grants/{grant['id']}", by=site.newcomer).status == 404
    assert client.works(made["access_token"])
    assert api.delete(f"/api/v1/oauth/grants/{grant['id']}", by=site.member).status == 200
    assert not client.works(made["access_token"])
    assert client.refresh(made["refresh_token"]).status == 400
    assert api.get("/api/v1/oauth/grants", by=site.member).data["grants"]["total"] == 0


def test_granted_tokens_are_no_sessions_and_no_keys(api: Api, client: Client, site: Site) -> None:
    client.tokens(site.member)

    assert api.get("/api/v1/sessions", by=site.member).data["sessions"]["total"] == 1
    assert api.get("/api/v1/keys", by=site.member).data["keys"]["total"] == 0


def test_the_page_asks_for_the_second_factor_of_those_who_have_one(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    begun = api.post("/api/v1/auth/totp", by=site.member).data
    app = pyotp.TOTP(begun["secret"])
    codes = api.put("/api/v1/auth/totp", {"code": app.now()}, by=site.member).data
    address = client.address()
    page = client.open(address)
    cookie = page.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    form: dict[str, Any] = {"csrf": form_key(page), "email": site.member.email}
    client.submit(address, cookie, step="email", **form)
    ((subject,),) = make.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = %(to)s AND subject LIKE '%% is your code to %%'",
        to=site.member.email,
    )

    asked = client.submit(address, cookie, step="code", code=subject[:8], **form)

    assert "second factor" in text_of(asked)
    assert cookie in asked.headers["Set-Cookie"]
    flow = re.findall(r'name="flow" value="([^"]+)"', asked.body.decode())[0]
    wrong = client.submit(address, cookie, step="factor", flow=flow, code="000000", **form)
    assert wrong.status == 401
    assert 'role="alert"' in wrong.body.decode()
    recovery = codes["recoveryCodes"][0]
    into = client.submit(address, cookie, step="factor", flow=flow, code=recovery, **form)
    assert (into.status, into.location) == (303, address)
    signed_in = into.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert "You are member on" in text_of(client.open(address, signed_in))


def test_revoking_all_tokens_of_somebody_ends_what_they_granted(
    make: Factory, client: Client, site: Site
) -> None:
    made = client.tokens(site.member)

    with make.database.write() as tx:
        AccessToken.delete_of_user(tx, site.member.user_id)

    assert not client.works(made["access_token"])
    assert client.refresh(made["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_grant_without_tokens_is_forgotten(make: Factory, client: Client, site: Site) -> None:
    kept = client.tokens(site.member)
    client.tokens(site.newcomer)
    gone = {"site": site.id, "user": site.newcomer.user_id}
    make.sql("UPDATE oauth_grants SET refreshed = now() - interval '2 days'")
    for table in ("access_tokens", "refresh_tokens"):
        make.sql(
            f"""UPDATE {table} SET expires = now() - interval '1 day'
                 WHERE site_id = %(site)s AND user_id = %(user)s""",
            **gone,
        )

    with make.database.write() as tx:
        maintenance_jobs.expired_credentials(tx, Config())

    rows = make.sql("SELECT user_id FROM oauth_grants WHERE site_id = %(s)s", s=site.id)
    assert rows == [(site.member.user_id,)]
    assert client.works(kept["access_token"])


def test_what_was_granted_without_a_second_factor_ends_when_there_is_one(
    api: Api, make: Factory, site: Site, client: Client
) -> None:
    person = make.person(site)
    waiting, given = client.code(person), client.tokens(person)
    secret = api.post("/api/v1/auth/totp", by=person).data["secret"]
    code = pyotp.TOTP(secret).now()
    assert api.put("/api/v1/auth/totp", {"code": code}, by=person).status == 200

    assert not client.works(given["access_token"])
    assert client.refresh(given["refresh_token"]).status == 400
    assert client.redeem(waiting).status == 400
    assert api.get("/api/v1/oauth/grants", by=person).data["grants"]["total"] == 0
