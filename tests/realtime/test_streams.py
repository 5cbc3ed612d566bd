"""Server-Sent Events and long polling: the same log and cursors for whom sockets do not get through."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests import services
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import Server, running
from tests.realtime.listener import described, is_new_comment
from tests.realtime.test_socket import write


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


class Stream:
    """A stream of Server-Sent Events as `curl -N` reads it. `id` is that of the last event."""

    def __init__(
        self,
        address: tuple[str, int],
        site: Site,
        by: Person | None,
        last: str = "",
        origin: str = "",
        **query: str | list[str],
    ) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        asked = urlencode(query, doseq=True)
        lines = [f"GET /api/v1/live/events?{asked} HTTP/1.1", f"Host: {site.host}"]
        if origin:
            lines.append(f"Origin: {origin}")
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
        self.ids: list[str] = []

    def read(self) -> dict[str, Any]:
        """The data of the next event. Raises EOFError at the end."""
        data = b""
        while True:
            line = self._file.readline()
            if not line:
                raise EOFError
            if line.startswith(b"id: "):
                self.id = line[4:].decode().strip()
                self.ids.append(self.id)
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


@pytest.mark.wide
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


# ---------------------------------------------------------------- streams that a ticket has opened

PAGE = "https://page.example"


def ticket(api: Api, by: Person, origin: str = "", **body: Any) -> str:
    """A new ticket, for a page of this origin."""
    headers = {"Origin": origin} if origin else {}
    answer = api.post("/api/v1/live/tickets", body or None, by=by, headers=headers)
    assert answer.status == 200, answer.body
    return str(answer.data["ticket"])


def test_a_stream_of_a_ticket_goes_on_after_each_cut(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    asked = {"topic": f"conversation/{chat.id}", "ticket": ticket(api, site.member, PAGE)}
    last, told = "", []
    ids = []
    for turn in range(3):
        with Stream(server.address, site, None, last, PAGE, **asked) as there:
            assert there.answer == 200
            assert there.next("hello")["profileId"] == site.member.id
            if not turn:
                there.next("subscribed")
            ids.append(write(api, chat.path, site.moderator, f"While there {turn}"))
            told += there.comments(2 if turn else 1)
            last = there.id
        # Cut: what happens now is told when it comes back.
        ids.append(write(api, chat.path, site.moderator, f"Meanwhile {turn}"))

    assert told == ids[:-1]


def test_a_stream_that_was_cut_before_anything_happened_goes_on_too(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    asked = {"topic": f"conversation/{chat.id}", "ticket": ticket(api, site.member)}
    with Stream(server.address, site, None, **asked) as there:
        there.next("subscribed")
        first = there.ids[0]
    missed = write(api, chat.path, site.moderator, "Meanwhile")

    with Stream(server.address, site, None, first, **asked) as there:
        assert there.comments(1) == [missed]


def test_a_ticket_that_was_used_opens_nothing_else(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat, other = make.conversation(site), make.conversation(site)
    topic = f"conversation/{chat.id}"
    own = ticket(api, site.member, PAGE)
    with Stream(server.address, site, None, "", PAGE, topic=topic, ticket=own) as there:
        there.next("subscribed")
        last = there.id
    cursor = api.get(chat.path, by=site.newcomer).headers["Live-Cursor"]
    another = ticket(api, site.newcomer, PAGE)
    with Stream(server.address, site, None, "", PAGE, topic=topic, ticket=another) as there:
        there.next("subscribed")
        of_another = there.id

    def answer(last: str, origin: str, **query: Any) -> int:
        with Stream(server.address, site, None, last, origin, **query) as there:
            return there.answer

    assert answer(last, PAGE, topic=topic, ticket=own) == 200
    # No id, a cursor that anybody may have, the id of another stream, an altered one.
    for wrong in ("", cursor, of_another, last[:-1] + ("A" if last[-1] != "A" else "B")):
        assert answer(wrong, PAGE, topic=topic, ticket=own) == 401
    for origin in ("", "https://evil.example", f"http://{site.host}"):
        assert answer(last, origin, topic=topic, ticket=own) == 401
    for topics in (f"conversation/{other.id}", [topic, "site"], "huddles"):
        assert answer(last, PAGE, topic=topics, ticket=own) == 401
    assert answer(last, PAGE, topic=topic, ticket=own, documents="true") == 401
    assert answer(last, PAGE, topic=topic, ticket=another) == 401
    assert answer(last, PAGE, topic=topic) == 200  # as a guest


def test_a_stream_goes_on_as_long_as_its_token_lives(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    person = make.person(site)
    asked = {"topic": "site", "ticket": ticket(api, person)}
    with Stream(server.address, site, None, **asked) as there:
        there.next("subscribed")
        last = there.id
    make.sql(
        "UPDATE single_use SET expires = now() - interval '1 day' WHERE kind = 'live' RETURNING 1"
    )
    with Stream(server.address, site, None, last, **asked) as there:
        assert there.answer == 200
    assert api.delete("/api/v1/auth", by=person).status == 200

    with Stream(server.address, site, None, last, **asked) as there:
        assert there.answer == 401


def test_a_ticket_is_for_the_origin_that_asked_and_for_the_stream_that_it_names(
    server: Server, api: Api, site: Site
) -> None:
    def answer(ticket: str, origin: str, topic: str = "site") -> int:
        with Stream(server.address, site, None, "", origin, topic=topic, ticket=ticket) as there:
            return there.answer

    assert answer(ticket(api, site.member, PAGE), "https://evil.example") == 401
    assert answer(ticket(api, site.member, PAGE), "") == 401
    # A page of the site itself names its origin in a POST and not in a GET.
    assert answer(ticket(api, site.member, f"https://{site.host}"), "") == 200
    assert answer(ticket(api, site.member, origin=PAGE), PAGE) == 200
    assert answer(ticket(api, site.member, topics=["site"]), "") == 200
    assert answer(ticket(api, site.member, topics=["updates"]), "") == 401
    bodies: list[dict[str, Any]] = [{"origin": "page.example"}, {"topics": []}, {"topics": ["x"]}]
    for wrong in bodies:
        assert api.post("/api/v1/live/tickets", wrong, by=site.member).status == 400


@pytest.mark.wide
def test_an_event_source_comes_back_when_there_is_no_room_right_now(
    database_url: str, make: Factory, site: Site, tmp_path: Path
) -> None:
    with running(
        database_url, tmp_path, realtime_connections="1", access_log="true", log_level="debug"
    ) as web:
        api = web.api()
        asked = {"topic": "site", "ticket": ticket(api, site.member)}
        with Stream(web.address, site, None, **asked) as there:
            there.next("subscribed")
            headers = {"Accept": "text/event-stream", "Last-Event-ID": there.id}
            query = urlencode(asked)
            full = api.get(f"/api/v1/live/events?{query}", site=site, headers=headers)
            program = api.get(
                f"/api/v1/live/events?{query}", site=site, headers={"Last-Event-ID": there.id}
            )
        assert (full.status, full.body) == (200, b"retry: 3000\n\n")
        assert program.status == 503
        api.get("/api/v1/site", site=site)
        # What is in an address is in no log.
        services.wait_until(
            lambda: "/api/v1/live/events" in web.log.read_text(), "the stream is in no log"
        )
        assert asked["ticket"] not in web.log.read_text()
