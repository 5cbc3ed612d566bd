"""Live clients of this process, whatever their transport: what each follows, and the frames that it is sent.

Nothing here blocks or checks rights. A client that does not keep up is disconnected with its cursor, and reads from the
log what it has missed when it reconnects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from forumapi.realtime import websocket
from forumapi.realtime.topic_names import Topic
from forumapi.wire.json_fragments import dumps

if TYPE_CHECKING:
    from forumapi.realtime.delivery_permissions import Caller
    from forumapi.realtime.site_listeners import SiteListeners


class Frame:
    """Message to clients: its type `name`, its members, and its bytes, encoded once for each transport.

    `cursor`: position in the site's events after this frame; "" if it has none.
    """

    __slots__ = ("_event", "_socket", "cursor", "data", "name")

    def __init__(self, name: str, cursor: str = "", **members: Any) -> None:
        head: dict[str, Any] = {"type": name}
        if cursor:
            head["cursor"] = cursor
        self.name = name
        self.cursor = cursor
        self.data = dumps(head | members)
        self._socket: bytes | None = None
        self._event: bytes | None = None

    @property
    def for_socket(self) -> bytes:
        """Return the bytes of the frame as one WebSocket text message."""
        if self._socket is None:
            self._socket = websocket.frame(self.data)
        return self._socket

    @property
    def for_stream(self) -> bytes:
        """Return the bytes of a server-sent event with the cursor as its id, if it has one.

        A `hello` has no id: a browser that is disconnected right after the `hello` would resume from its cursor, and
        miss the events that it has not received yet.
        """
        if self._event is None:
            self._event = self.in_stream("")
        return self._event

    def in_stream(self, proof: str) -> bytes:
        """Return the bytes of a server-sent event whose id is the cursor and, after it, the proof of one stream;
        without an id for a `hello` and for a frame without a cursor.
        """
        is_place = self.cursor and self.name != "hello"
        id = f"id: {self.cursor}{proof}\n".encode() if is_place else b""
        return b"%bevent: %b\ndata: %b\n\n" % (id, self.name.encode(), self.data)


class LiveConnection(Protocol):
    """Interface of a client's connection, of whichever transport. `push` never blocks."""

    def push(self, frame: Frame) -> None:
        """Send a frame, or queue what the network does not accept now; a client whose queue is full is disconnected."""

    def close(self, code: int, reason: str) -> None:
        """Have the connection closed after all pushed frames are sent, without waiting for that; with the WebSocket
        close code `code` and the reason where the transport has them.
        """

    def ping(self) -> None:
        """Send a ping; if the client has sent nothing since the last one, end the connection instead. Transports
        without pings do nothing.
        """

    def wait_for_room(self) -> None:
        """Wait for the queue to be sent if it is more than half full, so that a replay does not overflow it; the wait
        is limited, for a connection that takes nothing. To be called by the client's own greenlet alone.
        """


class Follow:
    """Subscription of a client to a topic. `wants_documents`: events include the thing's document; `wants_presence`:
    how many read the topic, and who types, is sent too.
    """

    __slots__ = ("topic", "wants_documents", "wants_presence")

    def __init__(
        self, topic: Topic, *, wants_documents: bool = False, wants_presence: bool = False
    ) -> None:
        self.topic = topic
        self.wants_documents = wants_documents
        self.wants_presence = wants_presence


class LiveClient:
    """Client that listens to one site; there is one for each connection. `caller`: the client's present identity;
    `is_live`: False while the client catches up from the log; `is_over`: the client is disconnected.

    `listeners`: the SiteListeners of its site; `follows`: its subscriptions, by topic; `ended`: topics that the client
    may no longer follow, each with the number of the last event that was sent of it; `position`: while the client is
    not live, number up to which it has received all events; `typed`: monotonic time of its last `typing`.
    """

    __slots__ = (
        "caller",
        "connection",
        "ended",
        "follows",
        "is_live",
        "is_over",
        "listeners",
        "position",
        "typed",
    )

    def __init__(
        self, listeners: SiteListeners, caller: Caller, connection: LiveConnection
    ) -> None:
        self.listeners = listeners
        self.caller = caller
        self.connection = connection
        self.follows: dict[Topic, Follow] = {}
        # Topics that it may no longer follow, with the number of the last event that it received of each.
        self.ended: dict[Topic, int] = {}
        self.is_live = True
        self.is_over = False
        self.typed = 0.0  # when it last sent `typing`
        self.position = 0  # while it is not live: number up to which it has received everything

    def push(self, frame: Frame) -> None:
        """Send a frame; do nothing if the client is disconnected."""
        if not self.is_over:
            self.connection.push(frame)

    def end(self, code: int, frame: Frame) -> None:
        """Send the last frame and close the connection with `code`; do nothing if the client is disconnected."""
        if not self.is_over:
            self.connection.push(frame)
            self.is_over = True
            self.connection.close(code, frame.name)


# Clients are asked to reconnect at a random time within this.
RETRY_MS: Final = 5_000

# Codes of a close frame (4000 and above are an application's own), by the reason that `bye` gives.
CODES: Final = {
    "stopping": websocket.GOING_AWAY,
    "away": 1013,
    "slow": 4008,
    "flooding": 4029,
    "signedOut": 4001,
    "banned": 4003,
    "siteGone": 4004,
}

# Reasons after which a client should reconnect.
_COME_BACK: Final = frozenset(("stopping", "away", "slow"))


def bye_frame(reason: str, cursor: str = "") -> Frame:
    """Make the last frame of a connection, with the range of time within which to reconnect if the reason is one that
    passes. `reason`: a key of CODES; `cursor`: the client's position, by which it resumes, "" if unknown.
    """
    retry = {"min": 0, "max": RETRY_MS} if reason in _COME_BACK else None
    return Frame("bye", cursor, reason=reason, retryAfterMs=retry)
