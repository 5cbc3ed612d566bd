"""Connections that carry frames: a WebSocket, and a stream of Server-Sent Events. Protocol: docs/api/live.md.

Whoever hands frames out never waits for a client: what the network does not take at once waits in a queue with a limit,
which a greenlet empties that lives only as long as there is something in it. A client beyond the limit is let go.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import gevent
import msgspec

from forumapi.errors import UNPARSABLE, ApiError, Invalid
from forumapi.realtime import websocket
from forumapi.realtime.event_pump import (
    CODES,
    Live,
    goodbye,
    name,
    topic_of,
)
from forumapi.realtime.hub import Client, Follow, Frame
from forumapi.realtime.protocol import PROTOCOL, Subscribe, Typing, Unsubscribe
from forumapi.realtime.websocket import Ended, Socket

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site

# A client that takes nothing for so long has gone.
STALL_S: Final = 20.0
# What the system may hold back for a client.
SYSTEM_BYTES: Final = 65_536
# How long the other side may take to say goodbye in its turn.
CLOSE_S: Final = 1.0
# Frames that count as much as a message: pings, and the pieces of messages.
FRAMES: Final = 10
# Frames of one client that are read before others get a turn: reading what is there already waits for nothing.
TURN: Final = 16


class Pipe:
    """The sending side of a socket. `limit`: bytes that may wait. `slow` is called once when there are more."""

    __slots__ = ("_limit", "_queue", "_size", "_slow", "_socket", "_writer", "is_broken")

    def __init__(self, client: Any, limit: int, slow: Callable[[], None]) -> None:
        self._socket = client
        # What the system would keep for a client that reads nothing: megabytes, unless it is told otherwise.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BYTES)
        self._limit = limit
        self._slow: Callable[[], None] | None = slow
        self._queue: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._writer: Any = None
        self.is_broken = False

    def send(self, data: bytes) -> None:
        """Send `data` now, as far as the network takes it, and the rest as soon as it does."""
        if self.is_broken:
            return
        if self._writer is None:
            try:
                sent = self._socket.send(data, 0, 0.0)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.abort()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._writer = gevent.spawn(self._write)
        self._queue.append(data)
        self._size += len(data)
        if self._size > self._limit and self._slow is not None:
            slow, self._slow = self._slow, None
            slow()

    def _write(self) -> None:
        try:
            while self._queue:
                with gevent.Timeout(STALL_S, ConnectionAbortedError):
                    self._socket.sendall(self._queue[0])
                self._size -= len(self._queue.popleft())
        except OSError:
            self.abort()
        finally:
            self._writer = None

    def wait_for_room(self) -> None:
        """Wait until half of what may wait is free."""
        writer = self._writer
        if writer is not None and self._size > self._limit // 2:
            writer.join(STALL_S)

    def finish(self, within_s: float) -> None:
        """Wait until everything has gone out, or the time is up."""
        writer = self._writer
        if writer is not None:
            writer.join(within_s)

    def abort(self) -> None:
        """Nothing more goes out, and whoever reads finds the end."""
        if not self.is_broken:
            self.is_broken = True
            self._queue.clear()
            with contextlib.suppress(OSError):
                self._socket.shutdown(2)


class _Carrier:
    """What a WebSocket and a stream have in common."""

    def __init__(self, client: Any, live: Live, config: Config) -> None:
        self.pipe = Pipe(client, config.live_queue_bytes, self._is_slow)
        self.live = live
        self.client: Client | None = None

    def _is_slow(self) -> None:
        if self.client is not None:
            self.live.drop(self.client, "slow")
        else:
            self.pipe.abort()

    def wait_for_room(self) -> None:
        self.pipe.wait_for_room()

    def push(self, frame: Frame) -> None:
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def ping(self) -> None:
        raise NotImplementedError

    def _welcome(self, site: Site, identity: Identity, config: Config) -> Client | None:
        """Take part, and say hello; None when that is not possible right now, which is said as well."""
        try:
            client = self.client = self.live.join(site, identity, self)
            client.push(hello(self.live, client, config))
        except ApiError:
            self.push(goodbye("away"))
            self.close(CODES["away"], "bye")
            return None
        return client


# ---------------------------------------------------------------- WebSocket


_decode: Final = msgspec.json.Decoder(Subscribe | Unsubscribe | Typing).decode


class SocketConnection(_Carrier):
    """A WebSocket from its handshake on."""

    def __init__(self, client: Any, live: Live, config: Config, left: bytes) -> None:
        super().__init__(client, live, config)
        self._raw = client
        self._frames = _Budget(config.live_messages_per_minute * FRAMES)
        self._reader = Socket(
            client.recv,
            self.pipe.send,
            limit=config.live_message_bytes,
            came=self._frame_came,
            left=left,
        )
        self._heard = -1
        self._is_closing = False

    def push(self, frame: Frame) -> None:
        self.pipe.send(frame.for_socket)

    def ping(self) -> None:
        if self._heard == self._reader.heard:
            self.pipe.abort()
            return
        self._heard = self._reader.heard
        self.pipe.send(_PING)

    def close(self, code: int, reason: str) -> None:
        """The close frame goes out behind everything else; the other side has CLOSE_S to answer it."""
        if not self._is_closing:
            self._is_closing = True
            self.pipe.send(websocket.close_frame(code, reason))
            gevent.spawn_later(CLOSE_S, self._part)

    def _part(self) -> None:
        self.pipe.finish(STALL_S)
        self.pipe.abort()

    def serve(self, site: Site, identity: Identity, config: Config) -> None:
        """Read what the client sends until either side ends it."""
        budget = _Budget(config.live_messages_per_minute)
        client = self._welcome(site, identity, config)
        try:
            while True:
                message = self._reader.receive()
                if client is None:
                    continue
                if client.is_over:
                    continue
                if not budget.take():
                    self.live.drop(client, "flooding")
                elif isinstance(message, bytes):
                    self.close(websocket.UNSUPPORTED, "frames are JSON text")
                else:
                    self._take(client, message, config)
        except Ended as end:
            self._answer(end)

    def _frame_came(self) -> None:
        """Raises Ended for one frame too many."""
        if self._reader.heard % TURN == 0:
            gevent.sleep(0)
        if not self._frames.take():
            if self.client is not None:
                self.live.drop(self.client, "flooding")
            raise Ended

    def _answer(self, end: Ended) -> None:
        """Say how it ended, if that is left to say, and wait for the other side to see it."""
        if end.code and not self._is_closing:
            self._is_closing = True
            self.pipe.send(websocket.close_frame(end.code, end.reason))
        self.pipe.finish(CLOSE_S)
        if self._is_closing and not self.pipe.is_broken:
            # What still comes in is read, or the peer's system would throw our last frame away with a reset.
            with contextlib.suppress(OSError):
                self._raw.shutdown(1)
            with contextlib.suppress(OSError), gevent.Timeout(CLOSE_S, TimeoutError):
                while self._raw.recv(65536):
                    gevent.sleep(0)

    def _take(self, client: Client, text: str, config: Config) -> None:
        """One message. What is wrong with it is said in an `error` frame; nothing ends by it."""
        try:
            message = _decode(text)
            take(self.live, client, message, config)
        except msgspec.DecodeError as error:
            said = f"not a message of this protocol: {error}"
            client.push(Frame("error", code=UNPARSABLE, text=said, status=400))
        except ApiError as error:
            client.push(Frame("error", code=error.code, text=error.message, status=error.status))


_PING: Final = websocket.frame(b"", Socket.OPCODE_PING)


class _Budget:
    """Messages a minute, some at once."""

    __slots__ = ("_left", "_per_s", "_then", "_whole")

    def __init__(self, per_minute: int) -> None:
        self._whole = float(per_minute)
        self._per_s = per_minute / 60
        self._left = self._whole
        self._then = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._whole, self._left + (now - self._then) * self._per_s)
        self._then = now
        self._left -= 1
        return self._left >= 0


def take(
    live: Live, client: Client, message: Subscribe | Unsubscribe | Typing, config: Config
) -> None:
    """Do what a client asks. Raises ApiError."""
    me = client.caller.principal.profile_id
    if isinstance(message, Typing):
        live.typing(client, topic_of(message.topic, me))
        return
    topics = [topic_of(text, me) for text in message.topics]
    if isinstance(message, Unsubscribe):
        for topic in topics:
            live.unfollow(client, topic)
        client.push(Frame("unsubscribed", topics=[name(topic) for topic in topics]))
        return
    if not topics or len(client.follows.keys() | topics) > config.live_subscriptions:
        raise Invalid("topics", f"must be 1 to {config.live_subscriptions}, all together")
    follows = [
        Follow(topic, wants_documents=message.documents, wants_presence=message.presence)
        for topic in topics
    ]
    live.follow(client, follows, message.cursor)


def hello(live: Live, client: Client, config: Config) -> Frame:
    """The first frame: where the client is, and what holds here."""
    return Frame(
        "hello",
        live.cursor(client),
        protocol=PROTOCOL,
        profileId=client.caller.principal.profile_id,
        heartbeatSeconds=config.live_heartbeat_s,
        limits={
            "subscriptions": config.live_subscriptions,
            "messageBytes": config.live_message_bytes,
            "messagesPerMinute": config.live_messages_per_minute,
            "queueBytes": config.live_queue_bytes,
            "replayEvents": config.live_replay_events,
        },
    )


# ---------------------------------------------------------------- Server-Sent Events


class StreamConnection(_Carrier):
    """A stream of Server-Sent Events behind the head of its answer.

    `proof`: what each id ends with, so that an `EventSource`, which can send nothing else, goes on by it; "" for none.
    """

    def __init__(self, client: Any, live: Live, config: Config, proof: str = "") -> None:
        super().__init__(client, live, config)
        self._raw = client
        self._proof = proof

    def push(self, frame: Frame) -> None:
        self.pipe.send(frame.in_stream(self._proof) if self._proof else frame.for_stream)

    def ping(self) -> None:
        """The heartbeat that went out before is the sign of life: TCP says when nobody takes it."""

    def close(self, code: int, reason: str) -> None:
        gevent.spawn(self._part)

    def _part(self) -> None:
        self.pipe.finish(STALL_S)
        self.pipe.abort()

    def serve(
        self,
        site: Site,
        identity: Identity,
        config: Config,
        follows: Sequence[Follow],
        cursor: str,
    ) -> None:
        """Push until the client closes, or is told that it is over."""
        self.pipe.send(b"retry: 3000\n\n")
        client = self._welcome(site, identity, config)
        if client is not None:
            if self._proof:
                # An id before anything has happened: whoever is cut right now comes back by it.
                place = cursor or self.live.cursor(client)
                self.pipe.send(f"id: {place}{self._proof}\n\n".encode())
            try:
                self.live.follow(client, follows, cursor)
            except ApiError as error:
                client.push(
                    Frame("error", code=error.code, text=error.message, status=error.status)
                )
                self.pipe.finish(CLOSE_S)
                return
        with contextlib.suppress(OSError):
            while self._raw.recv(4096):
                gevent.sleep(0)


__all__ = ["CODES", "PROTOCOL", "SocketConnection", "StreamConnection", "hello"]
