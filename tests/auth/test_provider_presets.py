"""Auth0, old and new, GitHub, Microsoft and Google: what each has of its own. Servers on loopback, with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from forumapi.auth.provider_presets import GoogleBackend, MicrosoftBackend
from tests.api import Response
from tests.auth.forger import CLIENT_ID, CLIENT_SECRET, Forger, Key, forging, self_signed
from tests.factories import Site
from tests.stage import Stage, forumapi, new_address

BACK = "https://pages.test/login"
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
_numbers = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the servers of these tests show."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def forger(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forger]:
    """A provider with TLS that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with forging(certificate) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site of its own."""
    return stage.make.site()


def fresh() -> str:
    """An address that nobody has used."""
    return f"preset{next(_numbers)}@provider.test"


def set_up(stage: Stage, site: Site, method: str, **settings: Any) -> None:
    """The owner of a site sets a method up."""
    given = {
        "clientId": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
        "redirectUris": [BACK],
        **settings,
    }
    answer = stage.put(f"/site/auth/{method}", {"settings": given}, by=site.owner)
    assert answer.status == 302, answer.body


def sign_in(stage: Stage, site: Site, forger: Forger, method: str) -> Response:
    """Both steps, with a visit to the provider between them."""
    begun = stage.post("/auth/begin", {"method": method}, site=site, ip=new_address())
    assert begun.status == 200, begun.body
    brought = forger.approve(begun.data["location"])
    body = {"method": method, "flow": begun.data["flow"], **brought}
    return stage.post("/auth", body, site=site, ip=new_address())


def email_of(stage: Stage, site: Site, token: str) -> str:
    """Return whose token it is."""
    return str(stage.get("/whoami", token=token, site=site).data["email"])


# ---------------------------------------------------------------- Auth0, as it always was


@pytest.fixture(scope="module")
def client_secret(stage: Stage) -> str:
    """The secret of an application, as the command that registers it prints it."""
    return forumapi(stage.url, "client", "create", "a client")


@pytest.fixture
def tenant(stage: Stage, site: Site, forger: Forger) -> Forger:
    """The site's Auth0 tenant."""
    stage.sql(
        """UPDATE sites SET auth0_domain = %(d)s, auth0_client_id = %(i)s, auth0_client_secret = %(c)s
            WHERE site_id = %(s)s""",
        d=forger.host,
        i=CLIENT_ID,
        c=CLIENT_SECRET,
        s=site.id,
    )
    forger.discovery = {"issuer": f"{forger.issuer}/"}
    forger.claims = {"iss": f"{forger.issuer}/", "azp": CLIENT_ID, "aud": ["https://api.test"]}
    forger.userinfo = {"email": fresh(), "email_verified": True}
    return forger


def back(stage: Stage, site: Site) -> str:
    """The page that the tenant sends people back to."""
    return f"{stage.get('/site', site=site).data['siteURL']}/auth0login/"


@pytest.mark.wide
def test_a_code_of_the_tenant_is_exchanged(
    stage: Stage, site: Site, tenant: Forger, client_secret: str
) -> None:
    for form in (False, True):
        body = {
            "ClientSecret": client_secret,
            "Code": tenant.grant(back(stage, site)),
            "State": "ignored",
        }
        answer = (
            stage.post("/auth0", form=body, site=site)
            if form
            else stage.post("/auth0", body, site=site)
        )
        assert answer.status == 200, answer.body
        assert len(answer.data) == 128
        assert email_of(stage, site, answer.data) == tenant.userinfo["email"]
    assert stage.get("/auth", token=answer.data, site=site).data["clientId"] > 0
    # The owner chose the tenant: it vouches for nobody elsewhere.
    assert stage.get("/whoami", token=answer.data).status == 401


@pytest.mark.wide
def test_a_code_counts_once_and_only_for_our_page(
    stage: Stage, site: Site, tenant: Forger, client_secret: str
) -> None:
    code = tenant.grant(back(stage, site))
    body = {"ClientSecret": client_secret, "Code": code}
    assert stage.post("/auth0", body, site=site).status == 200
    for wrong in (code, "made-up", tenant.grant("https://elsewhere.test/auth0login/")):
        answer = stage.post("/auth0", {**body, "Code": wrong}, site=site)
        assert (answer.status, answer.json()["data"]) == (401, None)


@pytest.mark.parametrize(
    "said",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": "nobody"},
        {"email": None},
    ],
)
def test_an_address_that_is_not_verified_is_refused(
    stage: Stage, site: Site, tenant: Forger, client_secret: str, said: dict[str, Any]
) -> None:
    tenant.userinfo |= said
    body = {"ClientSecret": client_secret, "Code": tenant.grant(back(stage, site))}
    assert stage.post("/auth0", body, site=site).status == 401


def exchange(stage: Stage, site: Site, secret: str, token: str) -> Response:
    """An access token that a native application holds already."""
    body = {"ClientSecret": secret, "AccessToken": token, "TokenType": "Bearer"}
    return stage.post("/auth0", body, site=site)


def test_an_access_token_of_the_sites_client_is_exchanged(
    stage: Stage, site: Site, tenant: Forger, client_secret: str
) -> None:
    for claims in ({}, {"azp": None, "aud": CLIENT_ID}):
        tenant.claims |= claims
        tenant.token = tenant.mint()
        answer = exchange(stage, site, client_secret, tenant.token)
        assert answer.status == 200, answer.body
        assert email_of(stage, site, answer.data) == tenant.userinfo["email"]


@pytest.mark.parametrize(
    "claims",
    [
        {"azp": "another client"},
        {"azp": None},
        {"iss": "https://another.auth0.test/"},
        {"exp": 1},
        {"exp": None},
        {"sub": "somebody else"},
        {"aud": None},
    ],
)
def test_an_access_token_that_was_not_issued_to_the_site_is_refused(
    stage: Stage, site: Site, tenant: Forger, client_secret: str, claims: dict[str, Any]
) -> None:
    tenant.claims |= claims
    tenant.token = tenant.mint()
    assert exchange(stage, site, client_secret, tenant.token).status == 401


def test_an_access_token_that_the_tenant_did_not_sign_is_refused(
    stage: Stage, site: Site, tenant: Forger, client_secret: str
) -> None:
    unsigned = jwt.encode({"azp": CLIENT_ID}, key="", algorithm="none")
    tenant.token = ""
    for token in (
        "the-access-token",
        unsigned,
        tenant.mint(key=Key("x").private),
        tenant.mint(key="x" * 32, algorithm="HS256"),
    ):
        assert exchange(stage, site, client_secret, token).status == 401


def test_a_tenant_that_fails_is_502(
    stage: Stage, site: Site, tenant: Forger, client_secret: str
) -> None:
    tenant.broken["/userinfo"] = (500, b"")
    body = {"ClientSecret": client_secret, "Code": tenant.grant(back(stage, site))}
    answer = stage.post("/auth0", body, site=site)
    assert (answer.status, answer.json()["data"]) == (502, None)


def test_who_has_a_second_factor_is_refused_as_old_clients_know_none(
    stage: Stage, site: Site, tenant: Forger, client_secret: str
) -> None:
    person = stage.make.person(site)
    stage.sql(
        "INSERT INTO one_time_secrets (user_id, secret, confirmed) VALUES (%(u)s, 'x', now())",
        u=person.user_id,
    )
    tenant.userinfo["email"] = person.email
    body = {"ClientSecret": client_secret, "Code": tenant.grant(back(stage, site))}
    answer = stage.post("/auth0", body, site=site)
    assert (answer.status, answer.json()["data"]) == (401, None)


def test_a_server_whose_certificate_nobody_signed_is_not_believed(
    stage: Stage,
    site: Site,
    tenant: Forger,
    client_secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    body = {"ClientSecret": client_secret, "Code": tenant.grant(back(stage, site))}
    assert stage.post("/auth0", body, site=site).status == 502


# ---------------------------------------------------------------- the presets


def test_a_tenant_of_auth0_signs_in_with_a_flow(stage: Stage, site: Site, forger: Forger) -> None:
    email = fresh()
    forger.discovery = {"issuer": f"{forger.issuer}/"}
    forger.claims = {"iss": f"{forger.issuer}/", "email": email}
    set_up(stage, site, "auth0", domain=forger.host)
    assert email_of(stage, site, sign_in(stage, site, forger, "auth0").data) == email
    forger.claims["iss"] = forger.issuer
    assert sign_in(stage, site, forger, "auth0").status == 401


def test_github_signs_in_with_the_primary_address(stage: Stage, site: Site, forger: Forger) -> None:
    email = fresh()
    set_up(stage, site, "github", url=forger.issuer, apiUrl=f"{forger.issuer}/")
    forger.emails = [
        {"email": "second@provider.test", "primary": False, "verified": True},
        {"email": email, "primary": True, "verified": True},
    ]
    assert email_of(stage, site, sign_in(stage, site, forger, "github").data) == email


@pytest.mark.parametrize(
    ("emails", "status"),
    [
        ([], 401),
        ([{"email": "a@b.test", "primary": True, "verified": False}], 401),
        ([{"email": "a@b.test", "primary": False, "verified": True}], 401),
        ([{"email": "a@b.test", "primary": True}], 401),
        ([{"email": 7, "primary": True, "verified": True}], 401),
        (["x"], 401),
        ({"email": "a@b.test"}, 502),
    ],
)
def test_another_answer_of_github_signs_nobody_in(
    stage: Stage, site: Site, forger: Forger, emails: Any, status: int
) -> None:
    set_up(stage, site, "github", url=forger.issuer, apiUrl=forger.issuer)
    forger.emails = emails
    assert sign_in(stage, site, forger, "github").status == status


def test_github_says_that_a_code_is_bad_with_200(stage: Stage, site: Site, forger: Forger) -> None:
    set_up(stage, site, "github", url=forger.issuer, apiUrl=forger.issuer)
    path = "/login/oauth/access_token"
    forger.broken[path] = (200, b'{"error":"bad_verification_code"}')
    assert sign_in(stage, site, forger, "github").status == 401
    forger.broken[path] = (200, b'{"error":"incorrect_client_credentials","error_description":"x"}')
    assert sign_in(stage, site, forger, "github").status in (401, 502)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"xms_edov": True}, 200),
        ({"xms_edov": "1"}, 200),
        ({"xms_edov": False}, 401),
        ({}, 401),
        ({"email_verified": True}, 401),
        ({"xms_edov": True, "tid": None}, 401),
        ({"xms_edov": True, "tid": "../../evil"}, 401),
        ({"xms_edov": True, "tid": "11111111-2222-3333-4444-555555555555"}, 401),
    ],
)
def test_microsoft_vouches_for_an_address_only_where_it_says_so(
    stage: Stage, site: Site, forger: Forger, claims: dict[str, Any], status: int
) -> None:
    set_up(stage, site, "microsoft", authority=forger.issuer)
    forger.discovery = {"issuer": f"{forger.issuer}/{{tenantid}}/v2.0"}
    forger.claims = {"iss": f"{forger.issuer}/{TENANT}/v2.0", "tid": TENANT, **claims}
    forger.claims.setdefault("email_verified", None)
    assert sign_in(stage, site, forger, "microsoft").status == status


def test_one_tenant_of_microsoft_is_one_issuer(stage: Stage, site: Site, forger: Forger) -> None:
    set_up(stage, site, "microsoft", authority=forger.issuer, tenant=TENANT)
    issuer = f"{forger.issuer}/{TENANT}/v2.0"
    forger.discovery = {"issuer": issuer}
    forger.claims = {"iss": issuer, "xms_edov": True}
    assert sign_in(stage, site, forger, "microsoft").status == 200
    forger.claims["iss"] = f"{forger.issuer}/{'1' * 8}/v2.0"
    assert sign_in(stage, site, forger, "microsoft").status == 401


def test_the_great_providers_have_one_address_each() -> None:
    assert GoogleBackend().issuer({}) == "https://accounts.google.com"
    assert MicrosoftBackend().issuer({}) == "https://login.microsoftonline.com/common/v2.0"
    # Whoever sets Google up can't send people elsewhere.
    assert not {"issuer", "url", "domain"} & {one.name for one in GoogleBackend.settings}
