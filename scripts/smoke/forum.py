"""Ground of the smoke test: requests to a running platform, people who are signed in, and their mail."""

from __future__ import annotations

import email
import email.policy
import http.client
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PATIENCE_S = 30.0


class SmokeError(Exception):
    """Failure of a step: an answer was not the expected one."""


class Answer(NamedTuple):
    """Answer to a request: status, headers by lower-case name without cookies, cookies, and body."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes

    @property
    def data(self) -> Any:
        """Return the member `data` of the envelope."""
        return json.loads(self.body)["data"]


def ask(port: int, host: str, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Send one request to a loopback port with the header Host `host`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body or None, {"Host": host, **sent})
        answer = connection.getresponse()
        known = {name.lower(): value for name, value in answer.getheaders()}
        cookies = [v for name, v in answer.getheaders() if name.lower() == "set-cookie"]
        return Answer(answer.status, known, cookies, answer.read())
    finally:
        connection.close()


@dataclass
class Forum:
    """One site of a running platform. `host`: with its port, as a browser writes it."""

    port: int
    host: str
    mailbox: Path

    def call(self, method: str, path: str, body: object = None, token: str = "") -> Answer:
        """Call the API; a redirect is not followed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = json.dumps(body).encode() if body is not None else b""
        if content:
            headers["Content_Type"] = JSON
        return ask(self.port, self.host, method, f"/api/v1{path}", content, **headers)

    def sign_in(self, address: str) -> str:
        """Return a token of a member of the demonstration, signed in without a proof, as the embedded mode allows."""
        answer = self.call("POST", "/auth", {"method": "development", "email": address})
        expect(answer, 200)
        return str(answer.data)

    def microcosm(self, owner: str, title: str, description: str) -> int:
        """Make a microcosm, as the site's owner with the token `owner`; return its id."""
        body = {"title": f"{title} {secrets.token_hex(3)}", "description": description}
        return made(self.call("POST", "/microcosms", body, owner))

    def newcomer(self, name: str) -> Person:
        """Sign a new person in with the code that is mailed to them."""
        name = f"{name}_{secrets.token_hex(3)}"
        address = f"{name}@smoke.test"
        since = time.time()
        wanted = {"method": "email-code", "email": address}
        expect(self.call("POST", "/auth", wanted), 200, 202)
        code = mailed_code(self.mailbox, address, since)
        token = str(expect(self.call("POST", "/auth", {**wanted, "code": code}), 200).data)
        id = int(expect(self.call("GET", "/whoami", token=token), 200).data["id"])
        who = Person(self, address, token, id, name)
        who.put(f"/profiles/{id}", {"profileName": name})
        say(f"{address} signs in with a code by mail and is profile {id}, {name}")
        return who

    def mails(self, address: str) -> list[EmailMessage]:
        """Return the mails to an address in the mailbox, the oldest first."""
        found = []
        for path in sorted(self.mailbox.glob("*.eml"), key=lambda path: path.stat().st_mtime):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if isinstance(mail, EmailMessage) and address in str(mail["To"]):
                found.append(mail)
        return found


@dataclass
class Person:
    """Person who is signed in."""

    forum: Forum
    address: str
    token: str
    id: int
    name: str

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Call the API in this person's name."""
        return self.forum.call(method, path, body, self.token)

    def get(self, path: str) -> Any:
        """GET `path` in this person's name; return the member `data`. Raises SmokeError unless the status is 200."""
        return expect(self.ask("GET", path), 200).data

    def make(self, path: str, body: Mapping[str, object]) -> int:
        """POST to `path` in this person's name; return the id of what was made."""
        return made(self.ask("POST", path, body))

    def comment(self, kind: str, item: int, markdown: str, reply_to: int = 0) -> int:
        """Write a comment on the item of this kind and id; return its id."""
        body = {"itemType": kind, "itemId": item, "markdown": markdown}
        return self.make("/comments", body | ({"inReplyTo": reply_to} if reply_to else {}))

    def put(self, path: str, body: object) -> None:
        """PUT to `path` in this person's name. Raises SmokeError if that is refused."""
        expect(self.ask("PUT", path, body), 200, 302)

    def mails_with(self, words: str) -> list[EmailMessage]:
        """Return the mails to this person whose text contains `words`."""
        found = []
        for mail in self.forum.mails(self.address):
            html = mail.get_body(("html",))
            if html is not None and words in html.get_content():
                found.append(mail)
        return found


def expect(answer: Answer, *statuses: int) -> Answer:
    """Return the answer. Raises SmokeError unless it has one of these statuses."""
    if answer.status not in statuses:
        raise SmokeError(f"answered {answer.status}: {answer.body.decode(errors='replace')[:400]}")
    return answer


def same(found: object, expected: object, what: str) -> None:
    """Raise SmokeError, which names `what`, unless `found` equals `expected`."""
    if found != expected:
        raise SmokeError(f"{what}: {found!r}, not {expected!r}")


def made(answer: Answer) -> int:
    """Return the id in the header Location of a write's answer."""
    return int(expect(answer, 302).headers["location"].rstrip("/").rpartition("/")[2])


def say(text: str) -> None:
    """Print one line."""
    print(text, flush=True)


def until(what: str, within_s: float = PATIENCE_S) -> Iterator[None]:
    """Yield every tenth of a second, until the caller leaves its loop. Raises SmokeError after `within_s`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)
    raise SmokeError(f"{what}: not within {within_s:.0f} s")


def pages(person: Person, path: str, key: str) -> list[Sequence[Any]]:
    """Return the items of each page of a list, following its links to the next."""
    found: list[Sequence[Any]] = []
    while path:
        page = person.get(path)[key]
        found.append(page["items"])
        follows = (link["href"] for link in page["links"] if link["rel"] == "next")
        path = next(follows, "").removeprefix("/api/v1")
    return found


def mailed_code(mailbox: Path, address: str, since: float) -> str:
    """Wait for a mail to `address` that came after `since`; return the code in it."""
    for _ in until(f"a code for {address} in {mailbox}"):
        for path in sorted(mailbox.glob("*.eml"), key=lambda p: p.stat().st_mtime, reverse=True):
            if path.stat().st_mtime < since - 1:
                break
            mail = email.message_from_bytes(path.read_bytes())
            found = re.match(r"\d{8}", str(mail["Subject"]))
            if found is not None and address in str(mail["To"]):
                return found[0]
    raise AssertionError("until() raises first")
