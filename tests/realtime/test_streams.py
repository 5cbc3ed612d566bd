"""Server-Sent Events and long polling: the same log and cursors for whom sockets do not get through."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.realtime.listener import described, is_new_comment
from tests.realtime.test_socket import write


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


class Stream:
    """A stream of Server-Sent Events as `curl -N` reads it. `id` is that of the last event."""

    def __init__(
        self, address: tuple[str, int], site: Site, by: Person | None, last: str = "", **query: str
    ) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        lines = [f"GET /api/v1/live/events?{urlencode(query)} HTTP/1.1", f"Host: {site.host}"]
        if by:
            lines.append(f"Authorization: Bearer {by.token}")
        if last:
            lines.append(f"Last-Event-ID: {last}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._file = self.socket.makefile("rb")
        self.answer = int(self._file.readline().split()[1])
        self.headers = dict(
            line.decode().rstrip().lower().split(": ", 1)
            for line in iter(self._file.readline, b"\r\n")
        )
        self.id = ""

    def read(self) -> dict[str, Any]:
        """The data of the next event. Raises EOFError at the end."""
        data = b""
        while True:
            line = self._file.readline()
            if not line:
                raise EOFError
            if line.startswith(b"id: "):
                self.id = line[4:].decode().strip()
            elif line.startswith(b"data: "):
                data = line[6:]
            elif line == b"\n" and data:
                frame: dict[str, Any] = json.loads(data)
                described(frame)
                return frame

    def next(self, kind: str) -> dict[str, Any]:
        """The next event of that type."""
        while (frame := self.read())["type"] != kind:
            pass
        return frame

    def comments(self, count: int) -> list[int]:
        """The ids of the next so many new comments."""
        found: list[int] = []
        while len(found) < count:
            if is_new_comment(frame := self.read()):
                found.append(frame["itemId"])
        return found

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()


def test_a_stream_tells_and_goes_on_where_it_was_cut(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    topic = f"conversation/{chat.id}"
    with Stream(server.address, site, site.member, topic=topic) as there:
        assert (there.answer, there.headers["content-type"]) == (200, "text/event-stream")
        there.next("subscribed")
        first = write(api, chat.path, site.moderator, "First")
        assert there.comments(1) == [first]
        last = there.id
    ids = [write(api, chat.path, site.moderator, f"Missed {n}") for n in range(2)]

    with Stream(server.address, site, site.member, last, topic=topic) as again:
        assert again.comments(2) == ids


def test_a_stream_of_what_one_may_not_read_is_refused(
    server: Server, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.owner, site.moderator)
    for topic, answer in ((f"huddle/{huddle.id}", 403), ("everything", 400)):
        with Stream(server.address, site, site.member, topic=topic) as there:
            assert there.answer == answer


def test_a_stream_ends_with_the_rights_of_who_reads_it(
    server: Server, make: Factory, site: Site
) -> None:
    person = make.person(site)
    with Stream(server.address, site, person, topic="site") as there:
        there.next("subscribed")
        make.ban(person)

        assert there.next("bye")["reason"] == "banned"
        with pytest.raises(EOFError):
            there.read()


def poll(api: Api, site: Site, by: Person | None, **query: Any) -> dict[str, Any]:
    answer = api.get(f"/api/v1/live/poll?{urlencode(query)}", site=site, by=by)
    assert answer.status == 200, answer.body
    data: dict[str, Any] = answer.data
    return data


def test_polling_tells_all_in_order(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    topic = f"conversation/{chat.id}"
    cursor = poll(api, site, site.member, topic=topic)["cursor"]
    ids = [write(api, chat.path, site.moderator, f"Number {n}") for n in range(3)]
    told: list[int] = []
    while len(told) < 3:
        found = poll(api, site, site.member, topic=topic, cursor=cursor, wait=5)
        cursor = found["cursor"]
        told += [one["itemId"] for one in found["frames"] if is_new_comment(one)]

    assert told == ids
    assert poll(api, site, site.member, topic=topic, cursor=cursor, wait=0)["frames"] == []


def test_a_poll_waits_for_what_happens(server: Server, api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    topic = f"conversation/{chat.id}"
    cursor = poll(api, site, None, topic=topic)["cursor"]
    first = write(api, chat.path, site.moderator, "First of all")
    told: list[int] = []
    while first not in told:  # the conversation itself is new, too
        before = poll(api, site, None, topic=topic, cursor=cursor, wait=5)
        cursor = before["cursor"]
        told += [one["itemId"] for one in before["frames"] if is_new_comment(one)]
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(
        target=lambda: found.append(
            poll(server.api(), site, None, topic=topic, cursor=cursor, wait=20)
        )
    )
    waiting.start()
    id = write(api, chat.path, site.moderator, "At last")
    waiting.join(15)

    assert [one["itemId"] for one in found[0]["frames"]] == [id]


@pytest.mark.parametrize("query", ["", "topic=nothing", "topic=site&wait=61", "topic=huddle/0"])
def test_a_poll_for_nothing_is_refused(api: Api, site: Site, query: str) -> None:
    assert api.get(f"/api/v1/live/poll?{query}", site=site).status == 400
