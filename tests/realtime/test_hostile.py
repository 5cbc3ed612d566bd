"""Clients that mean no good are limited and dropped with a reason; workers that stop say goodbye."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server, start_server
from tests.realtime.listener import BINARY, PING, PONG, TEXT, Closed, Listener, masked
from tests.realtime.test_socket import write
from tests.services import wait_until


@pytest.fixture(scope="module")
def strict(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A worker with small limits."""
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("strict"),
        realtime_queue_bytes="4096",
        realtime_messages_per_minute="20",
        realtime_subscriptions="3",
        realtime_connections="12",
        realtime_connections_per_caller="4",
        realtime_heartbeat_s="1",
        realtime_replay_events="100",
    )
    yield started
    started.stop()


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.mark.wide
def test_a_message_beyond_the_limit_is_never_read(strict: Server, site: Site) -> None:
    with Listener(strict.address, site, site.member) as there:
        # The head of a frame of 16 MB, and nothing behind it.
        there.socket.sendall(b"\x81\xff" + (1 << 24).to_bytes(8, "big") + b"mask")

        assert there.close_code() == 1009


@pytest.mark.wide
def test_fragments_add_up_to_a_message(strict: Server, site: Site) -> None:
    with Listener(strict.address, site, site.member) as there:
        piece = b"x" * 20_000
        there.socket.sendall(masked(piece, TEXT, fin=False))
        for _ in range(3):
            there.socket.sendall(masked(piece, 0, fin=False))

        assert there.close_code() == 1009


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\xc1\x85mask" + b"\0" * 5, 1002),  # a reserved bit
        (masked(b"\xff\xfe", TEXT), 1007),
        (masked(b"{}", BINARY), 1003),
        (masked(b"", 3), 1002),
        (masked(b"x" * 126, 9), 1002),
        (masked((999).to_bytes(2, "big"), 8), 1002),
        (masked((1000).to_bytes(2, "big") + b"bye", 8), 1000),
        (masked(b"", 8), 1000),
    ],
)
def test_a_frame_that_breaks_the_protocol_ends_the_connection_with_its_code(
    strict: Server, make: Factory, frame: bytes, code: int
) -> None:
    site = make.site()
    with Listener(strict.address, site, site.member) as there:
        there.socket.sendall(frame)

        assert there.close_code() == code


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"nonsense", b'{"type":"delete"}', b'{"type":"subscribe","topics":[]}'],
)
def test_a_message_that_is_none_is_answered_and_ends_nothing(
    strict: Server, make: Factory, message: bytes
) -> None:
    site = make.site()
    with Listener(strict.address, site, site.member) as there:
        there.socket.sendall(masked(message))

        assert there.next("error")["text"]
        assert there.follow("site")["type"] == "subscribed"


def test_whoever_floods_is_dropped(strict: Server, site: Site) -> None:
    with Listener(strict.address, site, site.member) as there:
        there.socket.sendall(masked(b"[]") * 30)

        assert there.next("bye")["reason"] == "flooding"
        assert there.close_code() == 4029


@pytest.mark.parametrize(
    ("head", "frame"),
    [
        (b"", masked(b"", PONG)),
        (b"", masked(b"", PING)),
        (masked(b"", TEXT, fin=False), masked(b"", 0, fin=False)),
    ],
    ids=["pongs", "pings", "fragments of nothing"],
)
def test_a_flood_of_frames_is_ended_and_keeps_nobody_waiting(
    strict: Server, make: Factory, head: bytes, frame: bytes
) -> None:
    site = make.site()
    with Listener(strict.address, site, site.member) as there:
        flood = threading.Thread(target=_flood, args=(there.socket, head, frame * 10_000))
        flood.start()
        api = strict.api()
        try:
            assert api.get("/api/v1/site", by=site.owner).status == 200
            bye = there.next("bye")
            assert (bye["reason"], there.close_code()) == ("flooding", 4029)
        finally:
            there.socket.close()
            flood.join(20)
            api.close()


def _flood(connection: socket.socket, head: bytes, frames: bytes) -> None:
    """Send for as long as anybody takes it."""
    with contextlib.suppress(OSError):
        connection.sendall(head)
        while True:
            connection.sendall(frames)


def test_connections_that_are_broken_off_at_once_do_not_count_for_ever(
    strict: Server, make: Factory
) -> None:
    site = make.site()
    request = (
        f"GET /api/v1/live HTTP/1.1\r\nHost: {site.host}\r\nAuthorization: Bearer {site.member.token}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()
    for _ in range(40):
        broken = socket.create_connection(strict.address)
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.sendall(request)
        broken.close()

    wait_until(lambda: _answer(strict, site) == 101, "whoever broke off is kept out")


def _answer(server: Server, site: Site) -> int:
    with Listener(server.address, site, site.member) as there:
        return there.answer


def test_nobody_follows_more_than_the_limit(strict: Server, make: Factory, site: Site) -> None:
    chats = [make.conversation(site) for _ in range(4)]
    with Listener(strict.address, site, site.member) as there:
        answers = [there.follow(f"conversation/{chat.id}")["type"] for chat in chats]

        assert answers == ["subscribed"] * 3 + ["error"]
        there.send({"type": "unsubscribe", "topics": [f"conversation/{chats[0].id}"]})
        there.next("unsubscribed")
        assert there.follow(f"conversation/{chats[3].id}")["type"] == "subscribed"


def test_nobody_has_more_connections_than_the_limit_and_all_together_neither(
    strict: Server, make: Factory, site: Site
) -> None:
    mine = [Listener(strict.address, site, site.member) for _ in range(5)]
    others = [
        Listener(strict.address, site, person)
        for person in (site.owner, site.moderator, site.newcomer)
        for _ in range(4)
    ]
    answers = [one.answer for one in mine]
    assert answers == [101] * 4 + [429]
    assert [one.answer for one in others].count(101) == 8
    assert {one.answer for one in others} == {101, 503}
    for one in mine + others:
        one.close()


@pytest.mark.wide
def test_a_client_that_never_reads_is_dropped_and_others_are_not(
    strict: Server, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    text = "Long " * 4000
    api = strict.api()
    with (
        Listener(strict.address, site, site.member, receive_buffer=2048) as slow,
        Listener(strict.address, site, site.newcomer) as other,
    ):
        for there in (slow, other):
            there.follow(f"conversation/{chat.id}", documents=True)
        told: list[int] = []
        ids: list[int] = []
        # The network takes some of it before anything waits here: a few of them, all in all.
        for n in range(40):
            ids.append(write(api, chat.path, site.moderator, f"{n} {text}"))
            told += other.comments(1)
        assert told == ids
        cursor = slow.cursor
        seen = _drained(slow)
    with Listener(strict.address, site, site.member) as again:
        assert again.answer == 101
        again.follow(f"conversation/{chat.id}", cursor=cursor)
        assert len(seen) < len(ids)
    api.close()


def is_connected(listener: Listener) -> bool:
    """Return whether the server has not ended the connection: known by what the system says of it, without reading."""
    info = listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return bool(struct.unpack("B", info)[0] == 1)


def _drained(listener: Listener) -> list[int]:
    """The comments that had come before the connection ended, which it must have."""
    try:
        while True:
            listener.read()
    except Closed:
        return [one["itemId"] for one in listener.seen if one.get("itemType") == "comment"]


@pytest.mark.wide
def test_a_client_that_gives_no_sign_of_life_is_cut(strict: Server, site: Site) -> None:
    with Listener(strict.address, site, site.member) as there:
        began = time.monotonic()
        with pytest.raises(Closed):
            while True:
                there.raw_frame()  # pings are not answered

        assert time.monotonic() - began >= 1


@pytest.mark.wide
def test_a_heartbeat_moves_the_cursor_of_those_who_are_told_nothing(
    strict: Server, make: Factory, site: Site
) -> None:
    chat, quiet = make.conversation(site), make.conversation(site)
    api = strict.api()
    with Listener(strict.address, site, site.member) as there:
        there.follow(f"conversation/{quiet.id}")
        for n in range(120):  # more than are told again
            write(api, chat.path, site.moderator, f"Elsewhere {n}")
        there.next("heartbeat")
        there.next("heartbeat")
        cursor = there.cursor
    with Listener(strict.address, site, site.member) as again:
        again.follow(f"conversation/{quiet.id}", cursor=cursor)

        assert [one for one in again.seen if one["type"] in ("gap", "resync")] == []
    api.close()


def count_of_events(make: Factory, site: Site) -> int:
    """Count the events of a site."""
    rows = make.sql("SELECT count(*) FROM event_log WHERE site_id = %(id)s", id=site.id)
    return int(rows[0][0])


@pytest.mark.wide
def test_whoever_is_cut_between_two_gaps_is_told_of_both_in_the_end(
    strict: Server, make: Factory, site: Site
) -> None:
    topics = [f"conversation/{make.conversation(site).id}" for _ in range(2)]
    busy = make.conversation(site)
    api = strict.api()
    with Listener(strict.address, site, site.member) as there:
        there.follow(*topics)
        cursor = there.cursor
        for n in range(120):  # more than are told again
            write(api, busy.path, site.moderator, f"Elsewhere {n}")
    seen = -1
    # Updates about the comments are events too: one that comes later would be beyond what is told again.
    while seen != (now := count_of_events(make, site)):
        seen = now
        time.sleep(1)
    with Listener(strict.address, site, site.member) as cut:
        cut.send({"type": "subscribe", "topics": topics, "cursor": cursor})
        first = cut.next("gap")
        cut.close()
    with Listener(strict.address, site, site.member) as again:
        again.follow(*topics, cursor=first["cursor"])
        gaps = [one for one in again.seen if one["type"] == "gap"]
    with Listener(strict.address, site, site.member) as last:
        last.follow(*topics, cursor=gaps[-1]["cursor"])
        # Both were announced: the cursor is behind the gap.
        assert not [one for one in last.seen if one["type"] == "gap"]

    assert {first["topic"], *(one["topic"] for one in gaps)} == set(topics)
    api.close()


# ---------------------------------------------------------------- workers that stop


@pytest.mark.wide
def test_a_stopping_worker_says_goodbye_and_ends_in_time(
    database_url: str, make: Factory, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    started = start_server(database_url, tmp_path_factory.mktemp("stopping"), workers="2")
    try:
        listeners = [Listener(started.address, site, site.member) for _ in range(30)]
        began = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        for there in listeners:
            bye = there.next("bye")
            assert (bye["reason"], bye["retryAfterMs"]["min"]) == ("stopping", 0)
            assert there.close_code() == 1001
            there.close()
        assert started.process.wait(15) == 0
        assert time.monotonic() - began < 10
    finally:
        started.stop()


@pytest.mark.wide
def test_settings_are_reloaded_without_dropping_anybody(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}")
        server.process.send_signal(signal.SIGHUP)
        id = write(api, chat.path, site.moderator, "Still here")

        assert there.comments(1) == [id]
