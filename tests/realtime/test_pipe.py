"""The sending side of a client's connection, at a socket that nobody reads."""

from __future__ import annotations

from gevent import socket

from forumapi.realtime.socket_and_stream_connections import SYSTEM_BYTES, Pipe


def test_a_reader_that_leaves_more_than_the_limit_is_told_of_once() -> None:
    ours, theirs = socket.socketpair()
    told: list[str] = []
    pipe = Pipe(ours, 10_000, lambda: told.append("slow"))
    # What the system takes is not queued.
    pipe.send(b"x")
    assert told == []
    for _ in range(SYSTEM_BYTES // 1_000):
        pipe.send(b"x" * 4_000)
        if pipe._size:
            break
    queued = pipe._size
    assert 0 < queued <= 4_000
    pipe.send(b"x" * (10_000 - queued))
    assert told == []
    pipe.send(b"x")
    assert told == ["slow"]
    pipe.send(b"x")
    assert told == ["slow"]
    assert not pipe.is_broken
    pipe.abort()
    theirs.close()
