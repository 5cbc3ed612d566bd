"""Part `access` of the smoke test: a provider of OpenID Connect, a role that is earned, a ban, an OAuth client.

A stranger signs in with a provider on loopback, earns a role by a tenth comment, is banned and let in again; then an
OAuth client is allowed to read in a member's name, and is refused a write.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from scripts.smoke.forum import (
    FORM,
    JSON,
    Answer,
    Forum,
    SmokeError,
    ask,
    expect,
    made,
    mailed_code,
    say,
)

WITHIN_S = 1.0


def run(forum: Forum, owner: str, member: str) -> None:
    """Run this part. `owner`: token of the site's owner; `member`: e-mail address of a member."""
    with provider() as port:
        stranger = sign_in_with_provider(forum, port, owner)
        place = earn_a_role(forum, owner, stranger)
        ban(forum, owner, stranger, place)
    allow_a_client(forum, owner, member)


@contextlib.contextmanager
def provider() -> Iterator[int]:
    """Run a provider of OpenID Connect as a process; yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "-r", "-n"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                ask(port, f"127.0.0.1:{port}", "GET", "/.well-known/openid-configuration")
                break
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def sign_in_with_provider(forum: Forum, port: int, owner: str) -> str:
    """Sign a stranger in, whom the provider calls Cleo; return their token."""
    issuer, back = f"http://127.0.0.1:{port}", "https://pages.test/login"
    name = f"127.0.0.1:{port}"
    body = json.dumps({"redirect_uris": [back]}).encode()
    client = json.loads(
        expect(ask(port, name, "POST", "/oauth2/clients", body, Content_Type=JSON), 201).body
    )
    settings = {
        "issuer": issuer,
        "clientId": client["client_id"],
        "clientSecret": client["client_secret"],
        "redirectUris": [back],
    }
    expect(forum.call("PUT", "/site/auth/openid", {"settings": settings}, owner), 302)
    say(f"the owner sets up a provider of OpenID Connect: {issuer}")

    who = f"cleo-{secrets.token_hex(4)}"
    claims = json.dumps({"email": f"{who}@provider.test", "email_verified": True}).encode()
    ask(port, name, "PUT", f"/users/{who}", claims, Content_Type=JSON)
    begun = expect(
        forum.call("POST", "/auth/begin", {"method": "openid", "redirectUri": back}), 200
    ).data
    page = urlsplit(begun["location"])
    consent = urlencode({"sub": who}).encode()
    left = expect(
        ask(port, name, "POST", f"{page.path}?{page.query}", consent, Content_Type=FORM), 302
    )
    brought = dict(parse_qsl(urlsplit(left.headers["location"]).query))
    answer = forum.call("POST", "/auth", {"method": "openid", "flow": begun["flow"], **brought})
    token = str(expect(answer, 200).data)
    me = expect(forum.call("GET", "/whoami", token=token), 200).data
    say(f"a stranger signs in with it and is profile {me['id']}, {me['profileName']}")
    return token


def earn_a_role(forum: Forum, owner: str, stranger: str) -> int:
    """Write ten comments, by which the stranger gets a role and may read a microcosm; return their profile's id."""
    place = forum.microcosm(owner, "Clubhouse", "For regulars")
    role = made(
        forum.call(
            "POST",
            f"/microcosms/{place}/roles",
            {"title": "Regulars", "read": True, "create": True},
            owner,
        )
    )
    rule = {"orGroup": 1, "profileColumn": "commentCount", "predicate": "ge", "value": 10}
    expect(forum.call("POST", f"/microcosms/{place}/roles/{role}/criteria", rule, owner), 302)
    say(f"microcosm {place} is for its role Regulars: who has written 10 comments")

    me = int(forum.call("GET", "/whoami", token=stranger).data["id"])
    hall = int(forum.call("GET", "/microcosms", token=owner).data["id"])
    talk = made(
        forum.call(
            "POST",
            "/conversations",
            {"microcosmId": hall, "title": f"Hello {secrets.token_hex(3)}"},
            owner,
        )
    )
    for number in range(1, 11):
        door = expect(forum.call("GET", f"/microcosms/{place}", token=stranger), 403)
        comment = {
            "itemType": "conversation",
            "itemId": talk,
            "markdown": f"Comment number {number}",
        }
        expect(forum.call("POST", "/comments", comment, stranger), 302)
    say(f"  after nine comments: GET /microcosms/{place} {door.status}")
    asked = time.monotonic()
    while (door := forum.call("GET", f"/microcosms/{place}", token=stranger)).status != 200:
        if time.monotonic() - asked > WITHIN_S:
            raise SmokeError(f"the door did not open within {WITHIN_S} s")
    took_ms = (time.monotonic() - asked) * 1000
    say(f"  after the tenth:     GET /microcosms/{place} {door.status}, {took_ms:.0f} ms later")
    why = explained(forum, f"/microcosms/{place}/roles/{role}/members", me, owner)
    say(f"  why: {json.dumps(why['criteria'][0])}")
    return place


def explained(forum: Forum, members: str, profile_id: int, owner: str) -> Any:
    """Return the reason why a profile is in a role, from the pages of its members. Raises SmokeError if it is
    on none.
    """
    path = f"{members}?explain=true"
    while path:
        page = expect(forum.call("GET", path, token=owner), 200).data
        for reason in page["reasons"]:
            if reason["profileId"] == profile_id:
                return reason
        follows = (link["href"] for link in page["profiles"]["links"] if link["rel"] == "next")
        path = next(follows, "").removeprefix("/api/v1")
    raise SmokeError(f"profile {profile_id} is not among {members}")


def ban(forum: Forum, owner: str, stranger: str, place: int) -> None:
    """Ban the stranger, check that they are refused, and let them in again."""
    me = int(forum.call("GET", "/whoami", token=stranger).data["id"])
    body = {"profileId": me, "reason": "Please calm down", "note": "a smoke test"}
    shut_out = made(forum.call("POST", "/bans", body, owner))
    door = expect(forum.call("GET", f"/microcosms/{place}", token=stranger), 403)
    say(f"banned: GET /microcosms/{place} {door.status}, {json.loads(door.body)['error']}")
    expect(forum.call("DELETE", f"/bans/{shut_out}", token=owner), 200)
    door = expect(forum.call("GET", f"/microcosms/{place}", token=stranger), 200)
    say(f"forgiven: GET /microcosms/{place} {door.status}")


def allow_a_client(forum: Forum, owner: str, member: str) -> None:
    """Get a read-only token by code with PKCE through the consent page, and check that a write with it is refused."""
    back = "http://127.0.0.1:7000/back"
    asked = {
        "name": "Reader",
        "confidential": False,
        "redirectUris": ["http://127.0.0.1/back"],
        "scopes": ["conversations:read"],
    }
    answer = expect(forum.call("POST", "/oauth/clients", asked, owner), 200)
    client = int(answer.data["id"])
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": back,
        "scope": "conversations:read",
        "state": secrets.token_urlsafe(8),
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    page = Consent(forum, f"/oauth/authorize?{urlencode(query)}")
    say(f"client {client} sends {member} to {page.path.partition('?')[0]}")
    page.look()
    since = time.time()
    page.press(step="email", email=member)
    page.press(step="code", email=member, code=mailed_code(forum.mailbox, member, since))
    page.look()
    left = page.press(step="allow")
    brought = dict(parse_qsl(urlsplit(left.headers["location"]).query))
    exchange = urlencode(
        {
            "grant_type": "authorization_code",
            "client_id": client,
            "code": brought["code"],
            "redirect_uri": back,
            "code_verifier": verifier,
        }
    ).encode()
    tokens = json.loads(
        expect(
            ask(
                forum.port,
                forum.host,
                "POST",
                "/api/v1/oauth/token",
                exchange,
                Content_Type=FORM,
            ),
            200,
        ).body
    )
    say(f"allowed: a token with the scope {tokens['scope']}")
    token = tokens["access_token"]
    read = expect(forum.call("GET", "/conversations", token=token), 200)
    say(f"  GET /conversations {read.status}")
    talk = read.data["conversations"]["items"][0]["id"]
    comment = {"itemType": "conversation", "itemId": talk, "markdown": "Not allowed"}
    refused = expect(forum.call("POST", "/comments", comment, token), 403)
    if refused.data["scope"] != "comments:write":
        raise SmokeError(f"the missing scope is not named: {refused.body.decode()}")
    say(f"  POST /comments {refused.status}, {refused.data['errorDetail']}")


class Consent:
    """Consent page, used as by a browser with cookies."""

    def __init__(self, forum: Forum, path: str) -> None:
        self.forum = forum
        self.path = path
        self._cookies: dict[str, str] = {}
        self._hidden: dict[str, str] = {}

    def _ask(self, method: str, body: bytes = b"") -> Answer:
        jar = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        origin = f"http://{self.forum.host}"
        headers = {"Cookie": jar} if jar else {}
        if body:
            headers |= {"Content_Type": FORM, "Origin": origin}
        answer = ask(self.forum.port, self.forum.host, method, self.path, body, **headers)
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer

    def look(self) -> None:
        """Load the page and keep the hidden fields of its form."""
        page = expect(self._ask("GET"), 200).body.decode()
        self._hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        if "csrf" not in self._hidden:
            raise SmokeError("the page has no form")

    def press(self, **fields: str) -> Answer:
        """Send the form with these fields; return the answer."""
        return expect(
            self._ask("POST", urlencode({**self._hidden, **fields}).encode()), 200, 302, 303
        )
