"""Account of what all walks stand on: requests to a running platform, people who are signed in, and the mail that
they get."""

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
    """An answer was another than the step is about."""


class Answer(NamedTuple):
    """Status, headers in lower case (cookies apart) and body of an answer."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes

    @property
    def data(self) -> Any:
        """`data` of the envelope."""
        return json.loads(self.body)["data"]


def ask(port: int, host: str, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """One request to a loopback port under the name `host`."""
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
    """One site of a running platform: `host` with its port, as the browser would write it."""

    port: int
    host: str
    mailbox: Path

    def call(self, method: str, path: str, body: object = None, token: str = "") -> Answer:
        """A call of the API; what follows a write is not fetched."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = json.dumps(body).encode() if body is not None else b""
        if content:
            headers["Content_Type"] = JSON
        return ask(self.port, self.host, method, f"/api/v1{path}", content, **headers)

    def sign_in(self, address: str) -> str:
        """A token for somebody of the demo's cast, without proof: what the embedded mode allows."""
        answer = self.call("POST", "/auth", {"method": "development", "email": address})
        expect(answer, 200)
        return str(answer.data)

    def microcosm(self, owner: str, title: str, description: str) -> int:
        """A new microcosm of the token's owner; its id."""
        body = {"title": f"{title} {secrets.token_hex(3)}", "description": description}
        return made(self.call("POST", "/microcosms", body, owner))

    def newcomer(self, name: str) -> Person:
        """Somebody new, who signs in with the code that is mailed to them."""
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
        """Return what lies in the mailbox for an address, the oldest first."""
        found = []
        for path in sorted(self.mailbox.glob("*.eml"), key=lambda path: path.stat().st_mtime):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if isinstance(mail, EmailMessage) and address in str(mail["To"]):
                found.append(mail)
        return found


@dataclass
class Person:
    """Somebody who is signed in."""

    forum: Forum
    address: str
    token: str
    id: int
    name: str

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Any call in their name."""
        return self.forum.call(method, path, body, self.token)

    def get(self, path: str) -> Any:
        """`data` of what can be read."""
        return expect(self.ask("GET", path), 200).data

    def make(self, path: str, body: Mapping[str, object]) -> int:
        """The id of what is made."""
        return made(self.ask("POST", path, body))

    def comment(self, kind: str, item: int, markdown: str, reply_to: int = 0) -> int:
        """The id of a comment on something."""
        body = {"itemType": kind, "itemId": item, "markdown": markdown}
        return self.make("/comments", body | ({"inReplyTo": reply_to} if reply_to else {}))

    def put(self, path: str, body: object) -> None:
        """Change what is there."""
        expect(self.ask("PUT", path, body), 200, 302)

    def mails_with(self, words: str) -> list[EmailMessage]:
        """The mails to them whose text holds these words."""
        found = []
        for mail in self.forum.mails(self.address):
            html = mail.get_body(("html",))
            if html is not None and words in html.get_content():
                found.append(mail)
        return found


def expect(answer: Answer, *statuses: int) -> Answer:
    """The answer, if it has one of these statuses. Raises SmokeError."""
    if answer.status not in statuses:
        raise SmokeError(f"answered {answer.status}: {answer.body.decode(errors='replace')[:400]}")
    return answer


def same(found: object, expected: object, what: str) -> None:
    """Raises SmokeError where what was found is something else than what is expected."""
    if found != expected:
        raise SmokeError(f"{what}: {found!r}, not {expected!r}")


def made(answer: Answer) -> int:
    """The id in the Location of a write."""
    return int(expect(answer, 302).headers["location"].rstrip("/").rpartition("/")[2])


def say(text: str) -> None:
    """One line of the output."""
    print(text, flush=True)


def until(what: str, within_s: float = PATIENCE_S) -> Iterator[None]:
    """A turn every tenth of a second until the loop is left. Raises SmokeError when it is not in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)
    raise SmokeError(f"{what}: not within {within_s:.0f} s")


def pages(person: Person, path: str, key: str) -> list[Sequence[Any]]:
    """The items of each page of a list, by its links from one to the next."""
    found: list[Sequence[Any]] = []
    while path:
        page = person.get(path)[key]
        found.append(page["items"])
        follows = (link["href"] for link in page["links"] if link["rel"] == "next")
        path = next(follows, "").removeprefix("/api/v1")
    return found


def mailed_code(mailbox: Path, address: str, since: float) -> str:
    """The code of the latest mail to `address` that came after `since`."""
    for _ in until(f"a code for {address} in {mailbox}"):
        for path in sorted(mailbox.glob("*.eml"), key=lambda p: p.stat().st_mtime, reverse=True):
            if path.stat().st_mtime < since - 1:
                break
            mail = email.message_from_bytes(path.read_bytes())
            found = re.match(r"\d{8}", str(mail["Subject"]))
            if found is not None and address in str(mail["To"]):
                return found[0]
    raise AssertionError("until() raises first")
