"""OAuth clients that nobody has registered, described by a document at their client_id, over HTTPS from a real server;
and documents that are to be refused.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forumapi.auth import client_metadata
from forumapi.auth.client_metadata import RefusedClientError
from forumapi.config import Config
from forumapi.models.access import oauth_client
from forumapi.models.access.rate_counters import Limit
from tests.api import Response
from tests.auth.consent import Client, form_key, page_cookie, query_of, text_of, verifier
from tests.auth.forger import self_signed
from tests.factories import Person, Site
from tests.stage import Stage, new_address

SCOPES = ("comments:read", "conversations:read")


class Receiver:
    """A web server with a certificate. `answers`: by path, what it answers: body, status, headers; `asked`: the paths
    that it was asked for.
    """

    def __init__(self, certificate: Path) -> None:
        self.answers: dict[str, tuple[bytes, int, dict[str, str]]] = {}
        self.asked: list[str] = []
        self.drips = False
        receiver = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                receiver.asked.append(self.path)
                body, status, headers = receiver.answers.get(self.path, (b"{}", 404, {}))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # it is cut off
                    for at in range(len(body)) if receiver.drips else ():
                        self.wfile.write(body[at : at + 1])
                        time.sleep(0.1)
                    self.wfile.write(b"" if receiver.drips else body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self._number = 0

    def described(self, **changes: Any) -> str:
        """The URL of a new client whose document has these members changed; those that are ... are left out."""
        self._number += 1
        path = f"/client{self._number}.json"
        url = f"https://{self.host}{path}"
        document = {
            "client_id": url,
            "client_name": "Reader & Co",
            "redirect_uris": [f"https://{self.host}/back", "http://127.0.0.1/back"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": " ".join(SCOPES),
            "logo_uri": "https://elsewhere.example/logo.png",
            **changes,
        }
        kept = {name: value for name, value in document.items() if value is not ...}
        self.answers[path] = (json.dumps(kept).encode(), 200, {})
        return url

    def answering(self, body: bytes, status: int = 200, **headers: str) -> str:
        """The URL of something else."""
        self._number += 1
        path = f"/other{self._number}"
        self.answers[path] = (body, status, headers)
        return f"https://{self.host}{path}"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A server whose certificate is trusted."""
    certificate = self_signed(tmp_path_factory.mktemp("receiver"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        made = Receiver(certificate)
        threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.server.shutdown()
        made.server.server_close()


class OverStage:
    """Requests as the client and the person send them, to the stage; each from an address of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.ip = new_address()

    def get(self, path: str, **how: Any) -> Response:
        return self.request("GET", path, **how)

    def request(self, method: str, path: str, **how: Any) -> Response:
        return self._stage.request(method, path, below="", ip=self.ip, **how)


def client_at(stage: Stage, url: str, site: Site | None = None) -> Client:
    """The client with this id, as it comes to a site."""
    site = site or stage.site
    over, id = OverStage(stage), url
    back = f"{'/'.join(url.split('/')[:3])}/back"
    return Client(over, stage.make, site, id, "", " ".join(SCOPES), back)  # type: ignore[arg-type]


def page_of(stage: Stage, url: str, by: Person | None = None, **changes: str | None) -> Response:
    """The page that somebody who has signed in is shown."""
    client = client_at(stage, url)
    return client.open(client.address(**changes), page_cookie(stage.make, by or stage.site.member))


def stored(stage: Stage, url: str) -> int:
    """Count the rows of a client."""
    rows = stage.sql("SELECT 1 FROM oauth_clients WHERE metadata_url = %(url)s", url=url)
    return len(rows)


def test_a_client_that_nobody_registered_gets_tokens(stage: Stage, receiver: Receiver) -> None:
    site = stage.site
    url = receiver.described()
    client = client_at(stage, url)

    # Nobody is asked before the person has signed in.
    assert "Sign in to Site" in text_of(client.open(client.address()))
    path = url.removeprefix(f"https://{receiver.host}")
    assert path not in receiver.asked
    page = page_of(stage, url)
    said = text_of(page)
    assert page.status == 200
    assert f"{receiver.host} asks to act for you on Site" in said
    assert "It calls itself “Reader & Co”" in said
    assert f"{receiver.host} may: Read comments Read conversations" in said
    assert f"form-action 'self' https://{receiver.host};" in page.headers["Content-Security-Policy"]
    assert stored(stage, url) == 0

    back = client.decided(site.member)
    assert back.startswith(f"https://{receiver.host}/back?")
    told = query_of(back)
    assert (told["state"], told["iss"]) == ("st&te", site_origin(stage))
    made = client.redeem(told["code"]).json()
    assert (made["token_type"], made["scope"]) == ("Bearer", client.scope)
    assert client.works(made["access_token"])
    again = client.refresh(made["refresh_token"])
    assert again.status == 200 and client.works(again.json()["access_token"])
    # The document is kept, and looked at for the page alone.
    assert receiver.asked.count(path) == 1

    client.decided(site.member)
    assert stored(stage, url) == 1
    grants = stage.get("/oauth/grants", by=site.member).data["grants"]["items"]
    assert grants[0]["clientHost"] == receiver.host
    assert grants[0]["clientName"] == "Reader &amp; Co"
    # It is no registered client, by whatever number.
    number = grants[0]["clientId"]
    assert stage.get("/oauth/clients", by=site.owner).data["clients"]["total"] == 0
    assert stage.get(f"/oauth/clients/{number}", by=site.owner).status == 404
    assert stage.request("DELETE", f"/oauth/clients/{number}", by=site.owner).status == 404
    assert client.open(client.address(client_id=str(number))).status == 400

    gone = stage.request("DELETE", f"/oauth/grants/{grants[0]['id']}", by=site.member)
    assert gone.status == 200
    assert not client.works(again.json()["access_token"])


def site_origin(stage: Stage) -> str:
    """The issuer."""
    return str(
        stage.request("GET", "/.well-known/oauth-authorization-server", below="").json()["issuer"]
    )


def test_the_metadata_says_so(stage: Stage) -> None:
    found = stage.request("GET", "/.well-known/oauth-authorization-server", below="").json()
    assert found["client_id_metadata_document_supported"] is True
    assert "none" in found["token_endpoint_auth_methods_supported"]


def test_a_document_need_not_say_much(stage: Stage, receiver: Receiver) -> None:
    absent = ("client_name", "grant_types", "response_types", "token_endpoint_auth_method", "scope")
    url = receiver.described(**dict.fromkeys(absent, ...))
    client = client_at(stage, url)
    client.redirect_uri = "http://127.0.0.1:49152/back"  # loopback, on a port of its own

    page = page_of(stage, url, redirect_uri=client.redirect_uri)
    assert "It calls itself “127.0.0.1”" in text_of(page)
    assert client.redeem(client.code(stage.site.member)).status == 200


def test_a_name_is_text_and_no_longer_than_others(stage: Stage, receiver: Receiver) -> None:
    for name, shown in (
        ("<script>alert(1)</script>&", "&"),
        ("&" * 80, "&" * 10),
        ("x" * 80, "x" * 50),
        ("\u202e\u0000", "127.0.0.1"),
    ):
        url = receiver.described(client_name=name)
        page = page_of(stage, url)
        assert page.status == 200, page.body
        assert f"It calls itself “{shown}”" in text_of(page), name
        assert b"<script" not in page.body
        assert query_of(client_at(stage, url).decided(stage.site.member))["code"]


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "another client_id": ({"client_id": "https://other.example/client.json"}, "another client_id"),
    "no client_id": ({"client_id": ...}, "another client_id"),
    "a secret": ({"client_secret": "x"}, "a secret"),
    "a secret that ends": ({"client_secret_expires_at": 0}, "a secret"),
    "a method with a secret": (
        {"token_endpoint_auth_method": "client_secret_basic"},
        "must be none",
    ),
    "a method with a key": ({"token_endpoint_auth_method": "private_key_jwt"}, "must be none"),
    "a method that is none at all": ({"token_endpoint_auth_method": None}, "must be none"),
    "a script as redirect": ({"redirect_uris": ["javascript:alert(1)"]}, "not in order"),
    "data as redirect": ({"redirect_uris": ["data:text/html,x"]}, "not in order"),
    "another host": ({"redirect_uris": ["https://evil.example/back"]}, "own host"),
    "a host that looks alike": ({"redirect_uris": ["https://127.0.0.1.evil.example/"]}, "own host"),
    "a user before the host": (
        {"redirect_uris": ["https://127.0.0.1@evil.example/"]},
        "not in order",
    ),
    "http elsewhere": ({"redirect_uris": ["http://evil.example/back"]}, "not in order"),
    "a good one and a bad one": (
        {"redirect_uris": ["http://localhost/back", "https://evil.example/back"]},
        "own host",
    ),
    "no redirect": ({"redirect_uris": []}, "own host"),
    "no redirects at all": ({"redirect_uris": ...}, "own host"),
    "a redirect that is no list": ({"redirect_uris": "http://127.0.0.1/back"}, "list of texts"),
    "a redirect that is no text": ({"redirect_uris": [{}]}, "list of texts"),
    "eleven redirects": (
        {"redirect_uris": [f"http://127.0.0.1/{n}" for n in range(11)]},
        "not in order",
    ),
    "another grant": ({"grant_types": ["client_credentials"]}, "authorization_code"),
    "another response": ({"response_types": ["token"]}, "must have code"),
    "a grant that is no list": ({"grant_types": "authorization_code"}, "list of texts"),
    "scopes that there are not": ({"scope": "everything admin"}, "no scope"),
    "no scope": ({"scope": ""}, "no scope"),
    "scopes as a list": ({"scope": ["comments:read"]}, "must be a text"),
    "a name that is none": ({"client_name": {}}, "must be a text"),
    "too long": ({"padding": "x" * client_metadata.MOST_BYTES}, "more than 5120 bytes"),
}


def test_a_document_that_is_not_in_order_is_refused(stage: Stage, receiver: Receiver) -> None:
    urls = {
        what: (receiver.described(**changes), words) for what, (changes, words) in HOSTILE.items()
    }
    for body, status, words in (
        (b"", 200, "not a JSON object"),
        (b"[]", 200, "not a JSON object"),
        (b"\xff{}", 200, "not a JSON object"),
        (b"[" * 5000, 200, "not a JSON object"),
        (b"<!doctype html>", 200, "not a JSON object"),
        (b"{}", 404, "status 404"),
        (b"{}", 500, "status 500"),
        (b"{}", 204, "status 204"),
    ):
        urls[f"{body[:10]!r} {status}"] = (receiver.answering(body, status), words)
    for what, (url, words) in urls.items():
        page = page_of(stage, url)
        assert page.status == 400, (what, page.status, text_of(page))
        assert words in text_of(page), (what, text_of(page))
        assert "Location" not in page.headers
        # Which scopes there are is not the document's affair.
        assert words == "no scope" or client_metadata.cached.get(url) is None
        assert stored(stage, url) == 0


def test_no_redirect_of_a_document_is_followed(stage: Stage, receiver: Receiver) -> None:
    inside = receiver.described()
    for location in (
        inside,
        "http://127.0.0.1:5432/",
        "https://169.254.169.254/latest/meta-data/",
        "https://other.example/client.json",
        "javascript:alert(1)",
    ):
        for status in (301, 302, 307, 308):
            url = receiver.answering(b"{}", status, Location=location)
            page = page_of(stage, url)
            assert (page.status, f"status {status}" in text_of(page)) == (400, True), location
    assert inside.removeprefix(f"https://{receiver.host}") not in receiver.asked


@pytest.mark.wide
def test_a_document_that_trickles_is_left_after_three_seconds(
    stage: Stage, receiver: Receiver
) -> None:
    url = receiver.described()
    receiver.drips = True
    started = time.monotonic()
    page = page_of(stage, url)
    receiver.drips = False

    assert time.monotonic() - started < client_metadata.TIMEOUT_S + 1
    assert (page.status, "No answer in time" in text_of(page)) == (400, True)


def test_an_id_that_is_no_good_url_is_never_fetched(stage: Stage, receiver: Receiver) -> None:
    before, host = len(receiver.asked), receiver.host
    for url in (
        f"https://{host}",
        f"https://{host}/client.json#x",
        f"https://user:secret@{host}/client.json",
        f"https://{host}/a/../client.json",
        f"https://{host}/a/%2e%2e/client.json",
        f"https://{host}/{'x' * 1000}",
        f"https://{host}/cli<ent",
        f"https://{host}/ü",
        "https://",
        "https:///x",
        "http://other.example/client.json",
    ):
        for page in (
            page_of(stage, url),
            client_at(stage, url).open(f"/oauth/authorize?client_id={url}"),
        ):
            assert page.status == 400, url
    for url in (f"HTTPS://{host}/client.json", f"ftp://{host}/client.json", "file:///etc/passwd"):
        assert page_of(stage, url).status == 400, url
    assert len(receiver.asked) == before


def test_outside_of_the_embedded_mode_only_public_https_is_fetched() -> None:
    config = Config(environment="production", platform_domain="forum.example")
    for url in ("http://127.0.0.1/client.json", "http://client.example/client.json"):
        with pytest.raises(RefusedClientError, match="must be https"):
            client_metadata.check_url(config, url)
    for url, words in (
        ("https://127.0.0.1/client.json", "not on the open internet"),
        ("https://localhost/client.json", "not on the open internet"),
        ("https://169.254.169.254/client.json", "not on the open internet"),
        ("https://client.example:8443/client.json", "Port 8443"),
    ):
        client_metadata.check_url(config, url)
        with pytest.raises(RefusedClientError, match=words):
            client_metadata.fetch(config, url)


def test_a_request_keeps_to_the_document_and_to_pkce(stage: Stage, receiver: Receiver) -> None:
    url = receiver.described()
    for changes in (
        {"redirect_uri": f"https://{receiver.host}/other"},
        {"redirect_uri": "https://evil.example/back"},
        {"redirect_uri": None},
    ):
        page = page_of(stage, url, **changes)
        assert (page.status, "Location" in page.headers) == (400, False), changes
    for changes, error in (
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "comments:write"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ):
        sent = page_of(stage, url, **changes)
        assert sent.status == 303, changes
        assert sent.location.startswith(f"https://{receiver.host}/back?")
        assert query_of(sent.location)["error"] == error


def test_a_code_is_its_clients_alone(stage: Stage, receiver: Receiver) -> None:
    site = stage.site
    mine, thief = (client_at(stage, receiver.described()) for _ in range(2))
    thief.tokens(site.member)
    code = mine.code(site.member)

    asked = len(receiver.asked)
    other = f"https://{receiver.host}/never.json"
    for client_id in (other, "https://", "https://" + "x" * 2000):
        answer = mine.redeem(code, client_id=client_id)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert mine.redeem(code, client_secret="x").status == 401
    thief.verifier = mine.verifier
    assert thief.redeem(code).json()["error"] == "invalid_grant"
    elsewhere = mine.ask(
        "token",
        site=stage.make.site(),
        grant_type="authorization_code",
        code=code,
        redirect_uri=mine.redirect_uri,
        code_verifier=mine.verifier,
    )
    assert elsewhere.status == 401
    assert mine.redeem(code, code_verifier=verifier()).json()["error"] == "invalid_grant"
    # No token request makes this server fetch anything.
    assert len(receiver.asked) == asked


def used_up(stage: Stage, limit: Limit, subject: str) -> None:
    """Let all but one of this hour's attempts be used up, and of the next hour's."""
    stage.sql(
        """INSERT INTO attempt_counters (kind, subject, window_start, attempts)
           SELECT %(k)s, %(s)s, to_timestamp((floor(extract(epoch FROM now()) / 3600) + h) * 3600), %(n)s
             FROM generate_series(0, 1) AS h
               ON CONFLICT (kind, subject, window_start) DO UPDATE SET attempts = EXCLUDED.attempts
        RETURNING 1""",
        k=limit.kind,
        s=subject,
        n=limit.most - 1,
    )


def test_documents_are_counted_by_address_and_site(stage: Stage, receiver: Receiver) -> None:
    site = stage.make.site()
    ip = new_address()
    cookie = page_cookie(stage.make, site.member)
    shown: list[str] = []

    def status(url: str, ip: str) -> int:
        client = client_at(stage, url, site)
        client.api.ip = ip  # type: ignore[attr-defined]
        page = client.open(client.address(), cookie)
        if page.status == 429:
            assert int(page.headers["Retry-After"]) > 0
            shown.append(text_of(page))
        return page.status

    used_up(stage, client_metadata.PER_ADDRESS, ip)
    first, *others = (receiver.described() for _ in range(4))
    assert [status(first, ip), status(others[0], ip)] == [200, 429]
    # What is kept is not counted.
    assert status(first, ip) == 200
    assert status(others[0], new_address()) == 200
    used_up(stage, client_metadata.PER_SITE, str(site.id))
    assert [status(one, new_address()) for one in others[1:]] == [200, 429]
    assert all("can't be answered now" in text for text in shown)
    assert others[2].removeprefix(f"https://{receiver.host}") not in receiver.asked


def test_a_site_stores_no_more_clients_than_people_use(stage: Stage, receiver: Receiver) -> None:
    site = stage.make.site()
    stage.sql(
        """WITH made AS (
               INSERT INTO oauth_clients (site_id, name, secret_hash, is_confidential, metadata_url, edited)
               SELECT %(site)s, 'Old', '', false, 'https://old.example/' || n, now() - interval '2 hours'
                 FROM generate_series(1, %(most)s) n RETURNING client_id)
           INSERT INTO oauth_grants (site_id, client_id, user_id, scopes)
           SELECT %(site)s, client_id, %(user)s, '{comments:read}' FROM made RETURNING 1""",
        site=site.id,
        user=site.member.user_id,
        most=oauth_client.MOST_DESCRIBED,
    )
    client = client_at(stage, receiver.described(), site)

    told = query_of(client.decided(site.member))
    assert (told["error"], told["state"]) == ("temporarily_unavailable", "st&te")
    stage.sql(
        """DELETE FROM oauth_grants WHERE site_id = %(site)s AND grant_id IN (
               SELECT grant_id FROM oauth_grants WHERE site_id = %(site)s LIMIT 3) RETURNING 1""",
        site=site.id,
    )
    assert client.tokens(site.member)["token_type"] == "Bearer"
    left = stage.sql("SELECT 1 FROM oauth_clients WHERE site_id = %(site)s", site=site.id)
    assert len(left) == oauth_client.MOST_DESCRIBED - 3 + 1


def test_scopes_that_came_after_the_page_are_shown_first(stage: Stage, receiver: Receiver) -> None:
    site = stage.site
    url = receiver.described()
    client = client_at(stage, url)
    cookie, address = page_cookie(stage.make, site.member), client.address(scope=None)
    key = form_key(client.open(address, cookie))

    again = client.submit(address, cookie, csrf=key, step="allow", scopes="comments:read")
    assert again.status == 200 and "Read conversations" in text_of(again)
    client.scope = " ".join(SCOPES)
    assert client.submit(address, cookie, csrf=form_key(again), step="allow").status == 303


def test_agents_come_by_their_document_too(stage: Stage, receiver: Receiver) -> None:
    site = stage.make.site()
    assert stage.put("/site/options", {"agents": "read"}, by=site.owner).status == 302
    client = client_at(stage, receiver.described(), site)
    origin = stage.request(
        "GET", "/.well-known/oauth-authorization-server", site=site, below=""
    ).json()["issuer"]
    resource = f"{origin}/api/v1/mcp"

    code = client.code(site.member, resource=resource)
    access = client.redeem(code, resource=resource).json()["access_token"]
    assert not client.works(access)
    listed = stage.post(
        "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, site=site, token=access
    )
    assert listed.status == 200
