"""Tokens for the MCP endpoint by OAuth: the resource that is asked for, consent to huddles, and what comes of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from forumapi.agents import tools
from forumapi.models.access.access_token import new_secret
from forumapi.models.access.device_code import DeviceCode
from tests.api import Api, Response
from tests.auth.consent import Client, form_key, page_cookie, query_of, text_of
from tests.factories import Factory, Site

SCOPES = (
    "comments:write",
    "conversations:read",
    "conversations:write",
    "drafts:write",
    tools.HUDDLES,
)
PATH = "/api/v1/mcp"
_ids = itertools.count(1)


@pytest.fixture
def site(api: Api, make: Factory) -> Site:
    made = make.site()
    answer = api.request("PUT", "/api/v1/site/options", by=made.owner, json={"agents": "write"})
    assert answer.status == 302
    return made


@pytest.fixture
def client(api: Api, make: Factory, site: Site) -> Client:
    return Client.registered(api, make, site, scopes=SCOPES)


def resource(api: Api, site: Site) -> str:
    """The endpoint's address, as the metadata says it."""
    path = "/.well-known/oauth-protected-resource"
    found: str = api.get(path, site=site).json()["resource"]
    return found


def ask(api: Api, site: Site, token: str, method: str = "tools/list") -> Response:
    message = {"jsonrpc": "2.0", "id": next(_ids), "method": method}
    return api.request("POST", PATH, site=site, token=token, json=message)


def granted(client: Client, where: str, *, huddles: bool = False) -> dict[str, Any]:
    """The tokens of a consent in which the box about huddles is ticked or not."""
    person = client.site.member
    cookie = page_cookie(client.make, person, client.site)
    address = client.address(resource=where)
    page = client.open(address, cookie)
    more: dict[str, Any] = {"huddles": "yes"} if huddles else {}
    sent = client.submit(address, cookie, csrf=form_key(page), step="allow", **more)
    assert sent.status == 303, text_of(sent)
    answer = client.redeem(query_of(sent.location)["code"], resource=where)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def test_a_grant_for_the_resource_is_good_there_alone(api: Api, site: Site, client: Client) -> None:
    where = resource(api, site)
    made = granted(client, where)

    assert ask(api, site, made["access_token"]).status == 200
    assert not client.works(made["access_token"])
    again = client.refresh(made["refresh_token"], resource=where).json()
    assert ask(api, site, again["access_token"]).status == 200
    assert not client.works(again["access_token"])
    (shown,) = api.get("/api/v1/oauth/grants", by=site.member).data["grants"]["items"]
    assert shown["forAgents"] is True

    plain = client.tokens(site.member)
    assert ask(api, site, plain["access_token"]).status == 401
    assert client.works(plain["access_token"])


def test_a_refresh_by_the_release_before_makes_a_token_for_the_same_resource(
    api: Api, make: Factory, site: Site, client: Client
) -> None:
    granted(client, resource(api, site))
    old = new_secret()
    # Its INSERT does not name the column `audience`.
    make.sql(
        """INSERT INTO access_tokens (token_hash, token_prefix, user_id, client_id, site_id, kind, scopes, grant_id,
                                      expires)
           SELECT sha256(convert_to(%(old)s, 'UTF8')), left(%(old)s, 8), user_id, client_id, site_id, 'grant', scopes,
                  grant_id, now() + interval '1 hour'
             FROM oauth_grants WHERE site_id = %(site_id)s""",
        old=old,
        site_id=site.id,
    )

    assert ask(api, site, old).status == 200
    assert not client.works(old)


def test_another_resource_is_refused(api: Api, make: Factory, site: Site, client: Client) -> None:
    where = resource(api, site)
    other = make.site()
    for wrong in (
        "https://evil.example/mcp",
        f"{where}/",
        where.replace(site.host, other.host),
        "",
    ):
        answer = client.open(client.address(resource=wrong), page_cookie(make, site.member))
        assert answer.status == 303, wrong
        assert query_of(answer.location)["error"] == "invalid_target", wrong
    twice = f"{client.address(resource=where)}&resource=x"
    answer = client.open(twice, page_cookie(make, site.member))
    assert query_of(answer.location)["error"] in ("invalid_target", "invalid_request")

    # The token request names another resource than the consent did, or the consent named none.
    code = client.code(site.member, resource=where)
    assert client.redeem(code, resource="https://evil.example").json()["error"] == "invalid_target"
    code = client.code(site.member)
    assert client.redeem(code, resource=where).json()["error"] == "invalid_target"
    refresh = client.tokens(site.member)["refresh_token"]
    assert client.refresh(refresh, resource=where).json()["error"] == "invalid_target"
    # Left out, it is that of the consent.
    made = client.redeem(client.code(site.member, resource=where)).json()
    assert ask(api, site, made["access_token"]).status == 200

    api.request("PUT", "/api/v1/site/options", by=site.owner, json={"agents": "off"})
    answer = client.open(client.address(resource=where), page_cookie(make, site.member))
    assert query_of(answer.location)["error"] == "invalid_target"


def test_a_device_names_no_resource(api: Api, make: Factory, site: Site) -> None:
    device = Client.registered(api, make, site, deviceFlow=True, redirectUris=[])
    where = resource(api, site)
    asked = device.ask("device", scope="conversations:read").json()
    with make.database.write() as tx:
        DeviceCode.decide(tx, site.id, asked["user_code"], site.member.user_id, grant=True)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": asked["device_code"],
    }

    for wrong in (where, "https://evil.example/mcp"):
        refused = device.ask("device", resource=wrong)
        assert (refused.status, refused.json()["error"]) == (400, "invalid_target"), wrong
        assert device.ask("token", **form, resource=wrong).json()["error"] == "invalid_target"
    assert device.works(device.ask("token", **form).json()["access_token"])


def test_huddles_need_a_consent_of_their_own(
    api: Api, make: Factory, site: Site, client: Client
) -> None:
    where = resource(api, site)
    page = client.open(client.address(resource=where), page_cookie(make, site.member))
    said = text_of(page)
    assert "It is an agent" in said and "It may read my private huddles too" in said
    assert b'<input type="checkbox" name="huddles" value="yes">' in page.body
    assert page.body.count(b"private huddles") == 1
    plain = client.open(client.address(), page_cookie(make, site.member))
    assert "It is an agent" not in text_of(plain) and b'name="huddles"' not in plain.body

    without = granted(client, where)
    assert set(without["scope"].split()) == set(SCOPES) - {tools.HUDDLES}
    with_them = granted(client, where, huddles=True)
    assert set(with_them["scope"].split()) == {tools.HUDDLES, "conversations:read", "drafts:write"}
    names = {
        tool["name"] for tool in ask(api, site, with_them["access_token"]).json()["result"]["tools"]
    }
    assert {"get_huddle", "save_draft"} <= names and "create_comment" not in names

    more = client.address(resource=where, scope=f"{client.scope} search:read offline_access")
    page = client.open(more, page_cookie(make, site.member))
    assert page.status == 200 and b"search:read" not in page.body
    plain = client.open(
        client.address(scope=f"{client.scope} search:read"), page_cookie(make, site.member)
    )
    assert query_of(plain.location)["error"] == "invalid_scope"

    only = Client.registered(api, make, site, scopes=[tools.HUDDLES])
    assert query_of(only.decided(site.member, resource=where))["error"] == "access_denied"
