"""A database that goes away between the handshake and what comes behind it."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest
from gevent import socket

from forumapi.config import Config
from forumapi.models.access.identity import GUEST
from forumapi.models.sites.site import Site
from forumapi.realtime.live_service import Live
from forumapi.realtime.socket_and_stream_connections import SocketConnection, StreamConnection
from forumapi.wsgi import create_app
from tests.fixtures import PLATFORM_DOMAIN

NOWHERE = "postgresql:///nothing?host=/nonexistent"


@pytest.fixture
def pushing() -> Iterator[Live]:
    """Pushing without a database."""
    app = create_app(Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), NOWHERE).app
    yield app.live
    app.live.stop()


@pytest.fixture
def site(make: Any, database_url: str) -> Site:
    """A site as a request has found it, before the database went."""
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    reader = app.database.read()
    found = app.sites.by_host(make.site().host, reader)
    reader.end()
    app.database.close()
    return found


def test_a_stop_while_the_threads_start_ends_them(
    pushing: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, stopped = threading.Thread.start, []

    def slowly(thread: threading.Thread) -> None:
        if thread.name == "listen":
            stopped.append(pool.submit(pushing.stop))
            pushing._stopping.wait(5)
            time.sleep(0.05)
        start(thread)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(threading.Thread, "start", slowly)
        pushing._run_threads()
        stopped[0].result(timeout=5)
        pushing._run_threads()
    assert pushing._listener._thread is None and not pushing._threads


def _all(end: Any) -> bytes:
    """Return what comes until the other side ends it."""
    end.settimeout(10)
    data = b""
    while part := end.recv(65536):
        data += part
    return data


@pytest.mark.wide
def test_a_socket_is_told_to_come_back(pushing: Live, site: Site) -> None:
    ours, theirs = socket.socketpair()
    connection = SocketConnection(ours, pushing, Config(), b"")
    serving = gevent.spawn(connection.serve, site, GUEST, Config())

    data = _all(theirs)
    theirs.close()
    serving.get(timeout=10)
    assert b'"type":"bye","reason":"away","retryAfterMs":{"min":0,"max":5000}' in data
    assert data.endswith(b"\x88\x05" + struct.pack("!H", 1013) + b"bye")


@pytest.mark.wide
def test_a_stream_is_told_to_come_back(pushing: Live, site: Site) -> None:
    ours, theirs = socket.socketpair()
    connection = StreamConnection(ours, pushing, Config())
    serving = gevent.spawn(connection.serve, site, GUEST, Config(), [], "")

    data = _all(theirs)
    theirs.close()
    serving.get(timeout=10)
    assert data.startswith(b"retry: 3000\n\nevent: bye\ndata: ")
    assert b'"reason":"away"' in data
