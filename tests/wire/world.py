"""The situations that the recordings presuppose, made over HTTP as far as the API reaches.

A `World` is one site with standing content, made once and then only read. A `Scene` is one test's
view of it: two new members of its own, the ids that stand for recorded ones, and what the test
adds. Everything that knows the test client and the factories is here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

SECTIONS = 5
FORUMS = 3
"""As in the recordings: five microcosms at the top, three forums in each."""

CONVERSATIONS = 78
"""In the forum whose pages are replayed: four pages, so that the second has a link to the last."""

THREAD = 100
"""Comments in the long threads."""

ITEM_TYPES = ["microcosm", "conversation", "event", "poll"]
EARLY, QUOTED = 5, 2
"""Places, on the first page of a thread, of a reply and of the comment that it replies to."""


class Response(Protocol):
    """What the test client returns."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    def json(self) -> Any: ...


class Api(Protocol):
    """The test client: real HTTP over a socket to a real worker."""

    def request(
        self,
        method: str,
        path: str,
        *,
        host: str,
        token: str | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response: ...


@dataclass(frozen=True)
class Person:
    """Somebody signed in: a profile on the site, with a token."""

    id: int
    name: str
    token: str


class World:
    """One site with an owner, five sections of forums, conversations and three long threads.

    `domain` is the platform domain, `key` the site's subdomain, `make` the factories.
    """

    def __init__(self, api: Api, make: Any) -> None:
        self.api = api
        self.make = make
        self.domain = "localhost"
        self.key = ""
        self.site_id = 0
        self.root_owner = Person(0, "", "")
        self.owner = Person(0, "", "")
        self._counter = itertools.count(1)

        self.root = self.get("microcosms")["id"]
        sections = [self._microcosm(f"Section {n}", self.root) for n in range(1, SECTIONS + 1)]
        forums = {
            section: [self._microcosm(f"Forum {n}.{m}", section) for m in range(1, FORUMS + 1)]
            for n, section in enumerate(sections, 1)
        }
        self.section, self.section_with_thread = sections[0], sections[3]
        self.section_of_forum, self.forum = sections[4], forums[sections[4]][0]
        self.last_forum = forums[sections[4]][2]
        for section in sections:
            for forum in forums[section]:
                self._commented(forum)
        self.busy_in_section = [self._commented(self.section) for _ in range(50)][-1]
        self.busy_in_forum = [self._commented(self.forum) for _ in range(CONVERSATIONS)][-1]
        self.other_thread, _ = self._thread(self.section_with_thread, THREAD)
        self.followed, self.early_comment_followed = self._thread(self.forum, THREAD)
        self.thread, self.early_comment = self._thread(self.forum, THREAD)

    @property
    def host(self) -> str:
        """The host of the site."""
        return f"{self.key}.{self.domain}"

    def get(self, path: str, *, by: Person | None = None) -> Any:
        """`data` of a GET that must succeed."""
        answer = self.api.request(
            "GET", f"/api/v1/{path}", host=self.host, token=by.token if by else None
        )
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:300]!r}"
        return answer.json()["data"]

    def write(self, method: str, path: str, body: Any, *, by: Person, expect: int) -> Response:
        """A write that must succeed with status `expect`."""
        answer = self.api.request(
            method, f"/api/v1/{path}", host=self.host, token=by.token, json=body
        )
        assert answer.status == expect, (
            f"{method} {path} {body}: {answer.status} {answer.body[:300]!r}"
        )
        return answer

    def create(self, path: str, body: Any, *, by: Person) -> int:
        """The id of what a POST made, from its Location."""
        location = self.write("POST", path, body, by=by, expect=302).headers["location"]
        return int(location.rpartition("/")[2])

    def unique(self) -> int:
        """A number that was not given before, so that no text is a repetition."""
        return next(self._counter)

    def member(self, name: str) -> Person:
        """A new member of the site."""
        raise NotImplementedError

    def _microcosm(self, title: str, parent: int) -> int:
        body = {
            "title": title,
            "description": f"About {title}",
            "parentId": parent,
            "itemTypes": ITEM_TYPES,
        }
        return self.create("microcosms", body, by=self.owner)

    def _commented(self, microcosm: int) -> int:
        """A conversation in `microcosm` with one comment."""
        body = {"microcosmId": microcosm, "title": f"Conversation {self.unique()}"}
        conversation = self.create("conversations", body, by=self.owner)
        self._comment(conversation)
        return conversation

    def _thread(self, microcosm: int, length: int) -> tuple[int, int]:
        """A conversation with `length` comments, and the early one that replies to another."""
        body = {"microcosmId": microcosm, "title": f"Long thread {self.unique()}"}
        conversation = self.create("conversations", body, by=self.owner)
        comments: list[int] = []
        for place in range(length):
            comments.append(self._comment(conversation, comments[QUOTED] if place == EARLY else 0))
        return conversation, comments[EARLY]

    def _comment(self, conversation: int, reply_to: int = 0) -> int:
        body = {
            "itemType": "conversation",
            "itemId": conversation,
            "markdown": f"Comment {self.unique()}",
        }
        return self.create(
            "comments", body | ({"inReplyTo": reply_to} if reply_to else {}), by=self.owner
        )


@dataclass
class Scene:
    """One test's view of the world.

    `ids` says which id of ours stands for a recorded one, `texts` what else a request replaces.
    """

    world: World
    member1: Person
    member2: Person
    ids: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    second_token: str = ""

    @classmethod
    def of(cls, world: World) -> Scene:
        """A new scene: two new members, and the standing content under its recorded ids."""
        number = world.unique()
        scene = cls(world, world.member(f"member1x{number}"), world.member(f"member2x{number}"))
        scene.ids = {
            "sites/1": 1,
            "sites/6": world.site_id,
            "profiles/1": world.root_owner.id,
            "profiles/6": world.owner.id,
            "profiles/7": scene.member1.id,
            "profiles/8": scene.member2.id,
            "microcosms/6": world.root,
            "microcosms/7": world.section,
            "microcosms/19": world.section_with_thread,
            "microcosms/23": world.section_of_forum,
            "microcosms/24": world.forum,
            "microcosms/27": world.last_forum,
            "conversations/4984": world.other_thread,
            "conversations/4993": world.thread,
            "comments/99554": world.early_comment,
        }
        scene.texts = {
            "member1": scene.member1.name,
            "member2": scene.member2.name,
            "/reserved/peer": f"/reserved/{world.key}",
            '"subdomainKey": "peer"': f'"subdomainKey": "{world.key}"',
        }
        return scene

    def conversation(self, by: Person) -> int:
        """The id of a new conversation in the forum."""
        body = {
            "microcosmId": self.world.forum,
            "title": f"A new conversation {self.world.unique()}",
        }
        return self.world.create("conversations", body, by=by)

    def comment(
        self, by: Person, item_type: str, item: int, text: str = "", *, reply_to: int = 0
    ) -> int:
        """The id of a new comment on an item."""
        body = {
            "itemType": item_type,
            "itemId": item,
            "markdown": text or f"News {self.world.unique()}",
        }
        return self.world.create(
            "comments", body | ({"inReplyTo": reply_to} if reply_to else {}), by=by
        )

    def put(self, by: Person, path: str, body: Any) -> None:
        """An edit."""
        self.world.write("PUT", path, body, by=by, expect=302)

    def watch(self, person: Person, conversation: int, *, email: bool) -> None:
        """Makes a person a watcher of a conversation."""
        self.world.make.watcher(person.id, conversation, email=email)

    def ignore(self, person: Person, item_type: str, item: int) -> None:
        """Makes a person ignore an item."""
        self.world.make.ignore(person.id, item_type, item)

    def sign_in_again(self) -> None:
        """Gives member2 a second token."""
        self.second_token = self.world.make.token(self.member2.id)
        self.texts["member2othertoken"] = self.second_token

    def flag(self, by: Person, path: str, name: str, value: bool) -> None:
        """Sets a flag."""
        change = [{"op": "replace", "path": f"/meta/flags/{name}", "value": value}]
        self.world.write("PATCH", path, change, by=by, expect=200)

    def make_member(self, person: Person) -> None:
        """Grants the `member` attribute, as the site's owner."""
        change = [{"op": "replace", "path": "/member", "value": True}]
        self.world.write("PATCH", f"profiles/{person.id}", change, by=self.world.owner, expect=200)

    def sign_out(self) -> None:
        """Revokes member2's second token."""
        person = Person(self.member2.id, self.member2.name, self.second_token)
        self.world.write("DELETE", "auth", None, by=person, expect=200)

    def short_link(self, url: str) -> str:
        """The code of the short link that a comment with `url` got."""
        conversation = self.conversation(self.world.owner)
        comment = self.comment(
            self.world.owner, "conversation", conversation, f"See {url} {self.world.unique()}"
        )
        found = re.search(
            r"/out/([2-9a-zA-Z]+)",
            self.world.get(f"comments/{comment}", by=self.world.owner)["html"],
        )
        assert found is not None, "no short link in the comment"
        return found[1]

    def free_key(self) -> str:
        """A subdomain that no site has."""
        return f"wire{self.world.unique()}"
