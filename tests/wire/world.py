"""The situations that the recordings presuppose, made over HTTP as far as the API reaches.

A `World` is one site with standing content, made once and then only read. A `Scene` is one test's
view of it: two new members of its own, the ids that stand for recorded ones, and what the test
adds. Everything that knows the test client and the factories is here.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron.trending import trending_scores
from forumapi.models.access.operator_application import OperatorApplication
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing

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


CLIENT_SECRET = "the secret of the client"
"""Of the application that the recordings sign in with."""


class World:
    """One site with an owner, five sections of forums, conversations and three long threads.

    The site is made through the API by the owner of the root site, as the recorded one was.
    """

    def __init__(self, api: Api, make: Factory, verifier: str) -> None:
        self.api = api
        self.make = make
        self.domain = make.platform_domain
        self._counter = itertools.count(1)
        self._filled = 0
        self.root_owner = self._root_owner()
        self.key = f"wire{self.root_owner.user_id}"
        self.host = f"{self.key}.{self.domain}"
        self.site_id = self.new_site(self.key)
        self.site = Site(self.site_id, self.key, self.host, 0)
        own = self.get("whoami", by=self.root_owner)
        self.owner = replace(self.root_owner, site=self.site, id=own["id"])
        self._accept_assertions(verifier)

        self.root = self.get("microcosms")["id"]
        sections = [self._microcosm(f"Section {n}", self.root) for n in range(1, SECTIONS + 1)]
        forums = {
            section: [self._microcosm(f"Forum {n}.{m}", section) for m in range(1, FORUMS + 1)]
            for n, section in enumerate(sections, 1)
        }
        self.section, self.section_with_thread = sections[0], sections[3]
        self.section_of_forum, self.forum = sections[4], forums[sections[4]][0]
        self.scratch, self.last_forum = forums[sections[4]][1:3]
        for section in sections:
            for forum in forums[section]:
                self._commented(forum)
        self.busy_in_section = [self._commented(self.section) for _ in range(50)][-1]
        self.in_forum = [self._commented(self.forum) for _ in range(CONVERSATIONS)]
        self.busy_in_forum = self.in_forum[-1]
        self.other_thread, _ = self._thread(self.section_with_thread, THREAD)
        self.followed, self.early_comment_followed = self._thread(self.forum, THREAD)
        self.thread, self.early_comment = self._thread(self.forum, THREAD)

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
        return self.make.person(self.site, name)

    def fill_up(self, members: int) -> None:
        """Makes new members of the site until it has so many, the same ones for all scenes."""
        for number in range(self._filled, members):
            self.member(f"filling{number}")
        self._filled = max(self._filled, members)

    def _root_owner(self) -> Person:
        """Somebody signed in on the root host, and made the owner of the root site."""
        root = Site(1, "root", self.domain, 0)
        person = self.make.person(root, f"root{self.make.user()[0]}")
        self.make.sql(
            """
            UPDATE sites SET owned_by = %(id)s, created_by = %(id)s, version = version + 1,
                   background_url = '/static/themes/1/background.png', background_position = 'tile'
             WHERE site_id = 1""",
            id=person.id,
        )
        return person

    def new_site(self, key: str) -> int:
        """The id of a new site of the root site's owner."""
        body = {
            "title": "Peer",
            "description": "A site for measuring",
            "subdomainKey": key,
        }
        token = self.root_owner.token
        made = self.api.request("POST", "/api/v1/sites", host=self.domain, token=token, json=body)
        assert made.status == 302, made.body
        return int(made.location.rpartition("/")[2])

    def _accept_assertions(self, verifier: str) -> None:
        """Lets people sign in on the site with an assertion that `verifier` finds good."""
        self.make.sql(
            """
            INSERT INTO site_auth_backends (site_id, name, is_enabled, settings)
            VALUES (%(site)s, 'assertion', true, %(settings)s)""",
            site=self.site_id,
            settings=json.dumps({"url": verifier}),
        )
        with self.make.database.write() as tx:
            OperatorApplication.insert(tx, "Recorded", CLIENT_SECRET)

    def _microcosm(self, title: str, parent: int) -> int:
        body = {
            "title": title,
            "description": f"About {title}",
            "parentId": parent,
            "itemTypes": ITEM_TYPES,
        }
        return self.create("microcosms", body, by=self.owner)

    def new_section(self) -> int:
        """The id of a new section with a forum in it, and with conversations on three pages."""
        section = self._microcosm(f"Section {self.unique()}", self.root)
        self._commented(self._microcosm(f"Forum {self.unique()}", section))
        place = Thing(self.site, itemtypes.MICROCOSM, section)
        for _ in range(51):
            self.make.conversation(self.site, by=self.owner, microcosm=place)
        return section

    def _commented(self, microcosm: int) -> int:
        """A conversation in `microcosm` with one comment."""
        body = {"microcosmId": microcosm, "title": f"Conversation {self.unique()}, bicycle"}
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
            "markdown": f"Comment {self.unique()}: I went by velocipede",
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
            "users/1": world.owner.user_id,
            "users/2": scene.member1.user_id,
            "users/3": scene.member2.user_id,
            "microcosms/6": world.root,
            "microcosms/7": world.section,
            "microcosms/19": world.section_with_thread,
            "microcosms/23": world.section_of_forum,
            "microcosms/24": world.forum,
            "microcosms/27": world.last_forum,
            "conversations/4984": world.other_thread,
            "conversations/4993": world.thread,
            "comments/99554": world.early_comment,
            # Types of updates have the same numbers everywhere.
            "preferences/1": 1,
        }
        scene.texts = {
            "member1@example.org": scene.member1.email,
            "member2@example.org": scene.member2.email,
            "member1": scene.member1.name,
            "member2": scene.member2.name,
            "/reserved/peer": f"/reserved/{world.key}",
            '"subdomainKey": "peer"': f'"subdomainKey": "{world.key}"',
        }
        return scene

    def conversation(self, by: Person) -> int:
        """The id of a new conversation, in a forum whose page nothing compares."""
        self.ids["microcosms/24"] = self.world.scratch
        title = f"A new conversation {self.world.unique()}"
        body = {"microcosmId": self.world.scratch, "title": title}
        return self.world.create("conversations", body, by=by)

    def huddle(self, title: str, *, is_confidential: bool = False) -> int:
        """The id of a new huddle of member1 and member2."""
        thing = self.world.make.huddle(
            self.member1, self.member2, title=title, is_confidential=is_confidential
        )
        return thing.id

    def stranger(self) -> int:
        """The id of somebody else's profile."""
        return self.world.member(f"stranger{self.world.unique()}").id

    def poll(self, by: Person) -> int:
        """The id of a new poll with three choices, in the section that a recording calls 19."""
        poll = self.world.make.poll(
            self.world.site,
            by=by,
            microcosm=Thing(self.world.site, itemtypes.MICROCOSM, self.ids["microcosms/19"]),
            is_open=False,
            closes=datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC),
        )
        self.world.make.sql(
            "DELETE FROM watchers WHERE site_id = %(site)s AND item_type_id = 7 AND item_id = %(id)s",
            site=self.world.site_id,
            id=poll.id,
        )
        return poll.id

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

    def answer(self, person: Person, event: int, rsvp: str) -> None:
        """Answers an event."""
        body = [{"profileId": person.id, "rsvp": rsvp}]
        self.world.write("PUT", f"events/{event}/attendees", body, by=person, expect=200)

    def put(self, by: Person, path: str, body: Any) -> None:
        """An edit."""
        self.world.write("PUT", path, body, by=by, expect=302)

    def watch(
        self, person: Person, item: int, *, email: bool, item_type: str = "conversation"
    ) -> None:
        """Makes a person a watcher of something."""
        self.world.make.sql(
            """
            INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
            VALUES (%(site)s, %(profile)s, %(type)s, %(item)s, %(email)s)""",
            site=self.world.site_id,
            profile=person.id,
            type=itemtypes.BY_NAME[item_type].id,
            item=item,
            email=email,
        )

    def forget_samples(self) -> None:
        """Lets nobody have counted the platform's figures before."""
        self.world.make.sql("DELETE FROM metrics")

    def watcher_of(self, person: Person, item: int) -> int:
        """The id of a person's watcher of an item."""
        ((id,),) = self.world.make.sql(
            "SELECT watcher_id FROM watchers WHERE profile_id = %(profile)s AND item_id = %(item)s",
            profile=person.id,
            item=item,
        )
        return int(id)

    def ignore(self, person: Person, item_type: str, item: int) -> None:
        """Makes a person ignore an item."""
        thing = Thing(self.world.site, itemtypes.BY_NAME[item_type].id, item)
        self.world.make.ignore(person, thing)

    def plain_comments(self, item: int, count: int) -> list[int]:
        """The ids of some comments on an item that reply to none."""
        rows = self.world.make.sql(
            """
            SELECT c.comment_id FROM comments c
             WHERE c.site_id = %(site)s AND c.item_id = %(item)s AND c.in_reply_to IS NULL
             ORDER BY c.seq LIMIT %(count)s""",
            site=self.world.site_id,
            item=item,
            count=count,
        )
        return [row[0] for row in rows]

    def hear_replies(self, person: Person, comments: list[int]) -> None:
        """Tells a person of these comments as of replies: the first a minute from now, each minute before one more."""
        self.world.make.sql(
            """
            INSERT INTO updates (site_id, profile_id, update_type_id, item_type_id, item_id, created_by, created)
            SELECT c.site_id, %(profile)s, 2, 4, c.comment_id, c.created_by,
                   now() + make_interval(mins => 3 - 2 * n::int)
              FROM unnest(%(comments)s::bigint[]) WITH ORDINALITY AS t (comment_id, n)
              JOIN comments c ON c.site_id = %(site)s AND c.comment_id = t.comment_id""",
            site=self.world.site_id,
            profile=person.id,
            comments=comments,
        )

    def leave_all_but(self, *people: Person) -> None:
        """Lets everybody else on the site have been away for a day."""
        self._wait_for_activity()
        self.world.make.sql(
            """
            UPDATE profile_counters SET last_active = last_active - interval '1 day'
             WHERE site_id = %(site)s AND profile_id <> ALL(%(people)s)""",
            site=self.world.site_id,
            people=[person.id for person in people],
        )

    def _wait_for_activity(self) -> None:
        """Waits until the process has written who was active: its buffer would undo what a test sets."""
        world = self.world
        last = world.member(f"last{world.unique()}")
        world.make.sql(
            "UPDATE profile_counters SET last_active = 'epoch' WHERE profile_id = %(id)s",
            id=last.id,
        )
        world.api.get("/api/v1/whoami", host=world.host, by=last)
        deadline = time.monotonic() + 30
        while not world.make.sql(
            "SELECT 1 FROM profile_counters WHERE profile_id = %(id)s AND last_active > 'epoch'",
            id=last.id,
        ):
            assert time.monotonic() < deadline, "the activity of a member is not written"
            time.sleep(0.05)

    def sign_in_again(self) -> None:
        """Gives member2 a second token."""
        self.second_token = self.world.make.token(self.member2)
        self.texts["member2othertoken"] = self.second_token

    def flag(self, by: Person, path: str, name: str, value: bool) -> None:
        """Sets a flag."""
        change = [{"op": "replace", "path": f"/meta/flags/{name}", "value": value}]
        self.world.write("PATCH", path, change, by=by, expect=200)

    def make_member(self, person: Person) -> None:
        """Grants the `member` attribute, as the site's owner."""
        change = [{"op": "replace", "path": "/member", "value": True}]
        self.world.write("PATCH", f"profiles/{person.id}", change, by=self.world.owner, expect=200)

    def speak(self, person: Person, language: str) -> None:
        """Sets a user's language, which no route does."""
        self.world.make.sql(
            "UPDATE users SET language = %(language)s WHERE user_id = %(id)s",
            language=language,
            id=person.user_id,
        )

    def sign_out(self) -> None:
        """Revokes member2's second token."""
        person = replace(self.member2, token=self.second_token)
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

    def hottest(self) -> int:
        """The id of what is trending most on the site, by scores of now."""
        with self.world.make.database.write() as tx:
            trending_scores(tx, Config())
        (row,) = self.world.make.sql(
            """
            SELECT t.item_id FROM trending_scores t
             WHERE t.site_id = %(site)s ORDER BY t.score DESC, t.item_id DESC LIMIT 1""",
            site=self.world.site_id,
        )
        return int(row[0])

    def other_events(self, event: int) -> list[int]:
        """The ids of all events of the site but one."""
        rows = self.world.make.sql(
            """
            SELECT i.item_id FROM items i
             WHERE i.site_id = %(site)s AND i.item_type_id = 9 AND i.item_id <> %(event)s""",
            site=self.world.site_id,
            event=event,
        )
        return [row[0] for row in rows]

    def free_key(self) -> str:
        """A subdomain that no site has."""
        return f"wire{self.world.unique()}"


class _Verifier(BaseHTTPRequestHandler):
    """Says of an assertion that it is the e-mail address it holds, unless it holds none."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_good = "@" in asked["assertion"]
        said = {"status": "okay", "email": asked["assertion"]} if is_good else {"status": "failure"}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stays quiet."""


@contextmanager
def verifier() -> Iterator[str]:
    """The address of a service on loopback that verifies assertions."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Verifier)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/verify"
    server.shutdown()
    server.server_close()
