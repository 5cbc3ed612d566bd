"""Connections of live clients over WebSocket and server-sent events, with their bounded queues. Protocol:
docs/api/live.md.

Sending never blocks: bytes that the network does not accept at once wait in a queue, which a greenlet empties; the
greenlet ends with an empty queue. A client with more queued than the limit is disconnected.
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
from forumapi.realtime.live_clients import CODES, Follow, Frame, LiveClient, bye_frame
from forumapi.realtime.live_service import Live
from forumapi.realtime.message_schemas import PROTOCOL, Subscribe, Typing, Unsubscribe
from forumapi.realtime.topic_names import parse_topic, topic_name
from forumapi.realtime.websocket import Ended, Socket

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site

# A client that receives nothing for so long is disconnected.
STALL_S: Final = 20.0
# Size of the kernel's send buffer of a client.
SYSTEM_BYTES: Final = 65_536
# How long the client may take to answer a close frame.
CLOSE_S: Final = 1.0
# Frames (pings, fragments) that are allowed for each allowed message.
FRAMES: Final = 10
# Frames of one client that are read before other greenlets run: a read of buffered bytes does not yield.
TURN: Final = 16


class Pipe:
    """Sending side of `client`, a client's socket, with a queue. `limit`: bytes that may be queued; `slow()` is called
    once, when more are. `is_broken`: nothing is sent any more.
    """

    __slots__ = ("_limit", "_queue", "_size", "_slow", "_socket", "_writer", "is_broken")

    def __init__(self, client: Any, limit: int, slow: Callable[[], None]) -> None:
        self._socket = client
        # By default the kernel would buffer megabytes for a client that reads nothing.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BYTES)
        self._limit = limit
        self._slow: Callable[[], None] | None = slow
        self._queue: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._writer: Any = None
        self.is_broken = False

    def send(self, data: bytes) -> None:
        """Send as much of `data` as the network accepts now, and queue the rest, without waiting; do nothing on a
        broken connection.
        """
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
        """Wait until the queue is sent, if it is more than half full; STALL_S at most."""
        writer = self._writer
        if writer is not None and self._size > self._limit // 2:
            writer.join(STALL_S)

    def finish(self, within_s: float) -> None:
        """Wait until the queue is sent, `within_s` at most."""
        writer = self._writer
        if writer is not None:
            writer.join(within_s)

    def abort(self) -> None:
        """Drop the queue, send nothing more, and shut the socket down, so that its reader ends too."""
        if not self.is_broken:
            self.is_broken = True
            self._queue.clear()
            with contextlib.suppress(OSError):
                self._socket.shutdown(2)


class _LiveConnection:
    """Base class of clients' connections over WebSocket and server-sent events; a subclass defines `push`, `close` and
    `ping`.

    The parameter `client` is the client's socket; the attribute `client` the LiveClient, None before `_welcome`.
    """

    def __init__(self, client: Any, live: Live, config: Config) -> None:
        self.pipe = Pipe(client, config.realtime_queue_bytes, self._is_slow)
        self.live = live
        self.client: LiveClient | None = None

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

    def _welcome(self, site: Site, identity: Identity, config: Config) -> LiveClient | None:
        """Add the client to its site's listeners and send `hello`; if that is not possible now, ask it to reconnect,
        close, and return None.
        """
        try:
            client = self.client = self.live.join(site, identity, self)
            client.push(hello_frame(self.live, client, config))
        except ApiError:
            self.push(bye_frame("away"))
            self.close(CODES["away"], "bye")
            return None
        return client


# ---------------------------------------------------------------- WebSocket


_decode: Final = msgspec.json.Decoder(Subscribe | Unsubscribe | Typing).decode


class SocketConnection(_LiveConnection):
    """WebSocket connection over the socket `client`, after its handshake. `left`: bytes of the client that were read
    together with the handshake.
    """

    def __init__(self, client: Any, live: Live, config: Config, left: bytes) -> None:
        super().__init__(client, live, config)
        self._raw = client
        self._frames = _Budget(config.realtime_messages_per_minute * FRAMES)
        self._reader = Socket(
            client.recv,
            self.pipe.send,
            limit=config.realtime_message_bytes,
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
        """Send the close frame, with `code` and `reason`, after everything else, without waiting; the client has
        CLOSE_S to answer before the socket is shut down. Do nothing if one was sent.
        """
        if not self._is_closing:
            self._is_closing = True
            self.pipe.send(websocket.close_frame(code, reason))
            gevent.spawn_later(CLOSE_S, self._part)

    def _part(self) -> None:
        self.pipe.finish(STALL_S)
        self.pipe.abort()

    def serve(self, site: Site, identity: Identity, config: Config) -> None:
        """Serve the connection: send `hello`, then read and carry out the client's messages, until either side closes;
        returns then.
        """
        budget = _Budget(config.realtime_messages_per_minute)
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
        """Count a frame of the client; beyond the limit of frames a minute disconnect the client. Raises Ended then."""
        if self._reader.heard % TURN == 0:
            gevent.sleep(0)
        if not self._frames.take():
            if self.client is not None:
                self.live.drop(self.client, "flooding")
            raise Ended

    def _answer(self, end: Ended) -> None:
        """Send the close frame that `end` asks for, unless one was sent, and read on for CLOSE_S, so that the client
        receives the frame.
        """
        if end.code and not self._is_closing:
            self._is_closing = True
            self.pipe.send(websocket.close_frame(end.code, end.reason))
        self.pipe.finish(CLOSE_S)
        if self._is_closing and not self.pipe.is_broken:
            # Incoming bytes are read: unread ones would make the kernel reset the connection before our last frame.
            with contextlib.suppress(OSError):
                self._raw.shutdown(1)
            with contextlib.suppress(OSError), gevent.Timeout(CLOSE_S, TimeoutError):
                while self._raw.recv(65536):
                    gevent.sleep(0)

    def _take(self, client: LiveClient, text: str, config: Config) -> None:
        """Carry out one message of the client. An error is answered by an `error` frame, and the connection
        stays open.
        """
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
    """Token bucket: `per_minute` messages a minute, and as many at once. `take` returns False for one too many."""

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
    live: Live, client: LiveClient, message: Subscribe | Unsubscribe | Typing, config: Config
) -> None:
    """Carry out a client's message: subscribe, unsubscribe or announce typing. Raises Invalid for a name of no topic,
    for a subscription to no topics or too many, and as `Live.follow` and `Live.typing` do; nothing is subscribed then.
    `unsubscribed` confirms all topics of an unsubscription, those too that were not followed.
    """
    me = client.caller.principal.profile_id
    if isinstance(message, Typing):
        live.typing(client, parse_topic(message.topic, me))
        return
    topics = [parse_topic(text, me) for text in message.topics]
    if isinstance(message, Unsubscribe):
        for topic in topics:
            live.unfollow(client, topic)
        client.push(Frame("unsubscribed", topics=[topic_name(topic) for topic in topics]))
        return
    if not topics or len(client.follows.keys() | topics) > config.realtime_subscriptions:
        raise Invalid("topics", f"must be 1 to {config.realtime_subscriptions}, all together")
    follows = [
        Follow(topic, wants_documents=message.documents, wants_presence=message.presence)
        for topic in topics
    ]
    live.follow(client, follows, message.cursor)


def hello_frame(live: Live, client: LiveClient, config: Config) -> Frame:
    """Make the first frame of a connection: the client's cursor and profile, and the limits."""
    return Frame(
        "hello",
        live.cursor(client),
        protocol=PROTOCOL,
        profileId=client.caller.principal.profile_id,
        heartbeatSeconds=config.realtime_heartbeat_s,
        limits={
            "subscriptions": config.realtime_subscriptions,
            "messageBytes": config.realtime_message_bytes,
            "messagesPerMinute": config.realtime_messages_per_minute,
            "queueBytes": config.realtime_queue_bytes,
            "replayEvents": config.realtime_replay_events,
        },
    )


# ---------------------------------------------------------------- Server-Sent Events


class StreamConnection(_LiveConnection):
    """Stream of server-sent events over the socket `client`, after the head of its response.

    `proof`: end of each id, by which the browser's `EventSource`, which can send no token, resumes with the same
    identity; "" for none.
    """

    def __init__(self, client: Any, live: Live, config: Config, proof: str = "") -> None:
        super().__init__(client, live, config)
        self._raw = client
        self._proof = proof

    def push(self, frame: Frame) -> None:
        self.pipe.send(frame.in_stream(self._proof) if self._proof else frame.for_stream)

    def ping(self) -> None:
        """Do nothing: if the client is gone, sending the next heartbeat fails."""

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
        """Serve the stream: subscribe to `follows` after `cursor` ("": from now on), and wait until either side closes;
        returns then. A refusal is sent as an `error` frame, which ends the stream.
        """
        self.pipe.send(b"retry: 3000\n\n")
        client = self._welcome(site, identity, config)
        if client is not None:
            if self._proof:
                # An id before the first event: a client that is disconnected now resumes by it.
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


__all__ = ["CODES", "PROTOCOL", "SocketConnection", "StreamConnection", "hello_frame"]
