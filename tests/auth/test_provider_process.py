"""A story with two real processes: a provider of OpenID Connect (oidc-provider-mock) and a web worker."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from forumapi.concurrency.end_with_parent import end_with_parent
from tests.api import Api, Response
from tests.factories import Factory, Site
from tests.services import free_port

BACK = "https://pages.test/login"

pytestmark = pytest.mark.slow


class Provider:
    """The provider's process, asked as a browser and a registering client would."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process
        self.issuer = f"http://127.0.0.1:{port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> tuple[int, str, bytes]:
        """Status, Location and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location", ""), answer.read()
        finally:
            connection.close()

    def register(self) -> dict[str, str]:
        """A client of this provider."""
        body = json.dumps({"redirect_uris": [BACK]}).encode()
        status, _, said = self.ask("POST", "/oauth2/clients", body)
        assert status == 201, said
        made: dict[str, str] = json.loads(said)
        return made

    def approve(self, location: str, who: str) -> dict[str, str]:
        """Return what the browser of `who` brings back."""
        parts = urlsplit(location)
        form = urlencode({"sub": who}).encode()
        status, back, said = self.ask(
            "POST", f"{parts.path}?{parts.query}", form, "application/x-www-form-urlencoded"
        )
        assert (status, back.partition("?")[0]) == (302, BACK), said
        return dict(parse_qsl(urlsplit(back).query))


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider that asks for registration and nonces."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "-r", "-n"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )
    try:
        assert process.stdout is not None
        said = b""
        # Its log says when it listens.
        for line in process.stdout:
            said += line
            if b"running" in line.lower():
                break
        assert b"unning" in said, said
        yield Provider(port, process)
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def site(api: Api, make: Factory, provider: Provider) -> Site:
    """A site whose owner set the provider up."""
    made = make.site()
    client = provider.register()
    settings = {
        "issuer": provider.issuer,
        "clientId": client["client_id"],
        "clientSecret": client["client_secret"],
        "redirectUris": [BACK],
    }
    put = api.put("/api/v1/site/auth/openid", {"settings": settings}, by=made.owner)
    assert put.status == 302, put.body
    return made


def begin(api: Api, site: Site) -> dict[str, str]:
    """The first step."""
    body = {"method": "openid", "redirectUri": BACK}
    answer = api.post("/api/v1/auth/begin", body, site=site)
    assert answer.status == 200, answer.body
    return dict(answer.data)


def finish(api: Api, site: Site, flow: str, brought: dict[str, str]) -> Response:
    """The last step."""
    body = {"method": "openid", "flow": flow, **brought}
    return api.post("/api/v1/auth", body, site=site)


@pytest.mark.wide
def test_somebody_signs_in_through_it(api: Api, provider: Provider, site: Site) -> None:
    claims = {"email": "cleo@provider.test", "email_verified": True}
    provider.ask("PUT", "/users/cleo", json.dumps(claims).encode())
    begun = begin(api, site)
    brought = provider.approve(begun["location"], "cleo")

    answer = finish(api, site, begun["flow"], brought)

    assert answer.status == 200, answer.body
    me = api.get("/api/v1/whoami", site=site, token=answer.data).data
    assert me["email"] == "cleo@provider.test"
    again = finish(api, site, begun["flow"], brought)
    assert (again.status, again.json()["data"]) == (401, None)


@pytest.mark.wide
def test_somebody_whose_address_it_has_not_verified_does_not(
    api: Api, provider: Provider, site: Site
) -> None:
    for verified in (False, None):
        claims = {"email": site.member.email} | (
            {} if verified is None else {"email_verified": verified}
        )
        provider.ask("PUT", "/users/thief", json.dumps(claims).encode())
        begun = begin(api, site)
        brought = provider.approve(begun["location"], "thief")
        assert finish(api, site, begun["flow"], brought).status == 401


def test_a_code_of_one_flow_does_not_fit_another(api: Api, provider: Provider, site: Site) -> None:
    claims = {"email": "dora@provider.test", "email_verified": True}
    provider.ask("PUT", "/users/dora", json.dumps(claims).encode())
    mine, theirs = begin(api, site), begin(api, site)
    code = provider.approve(theirs["location"], "dora")["code"]
    state = provider.approve(mine["location"], "dora")["state"]
    # The code carries the nonce that the other flow began with.
    assert finish(api, site, mine["flow"], {"code": code, "state": state}).status == 401


def test_a_code_that_it_never_gave_is_refused(api: Api, provider: Provider, site: Site) -> None:
    begun = begin(api, site)
    state = provider.approve(begun["location"], "eve")["state"]
    assert finish(api, site, begun["flow"], {"code": "made-up", "state": state}).status == 401
