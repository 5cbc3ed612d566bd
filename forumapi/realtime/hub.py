"""Who listens to what in this process: subscriptions by topic, and a bounded queue for each listener.

Nothing here asks a permission or the database; nothing waits. A listener that does not keep up is dropped with its
cursor: what it has missed it reads from the log when it comes back.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from forumapi.realtime.websocket import frame
from forumapi.wire.json_fragments import dumps

# What a topic is beside an item type: the whole site, one's own huddles, one's own updates.
SITE: Final = 0
HUDDLES: Final = -1
UPDATES: Final = -2


class Topic(NamedTuple):
    """What can be followed: an item type (or one of the above) and an id; of HUDDLES and UPDATES the profile's."""

    kind: int
    id: int


class Frame:
    """A message to listeners. Its bytes are made once for each kind of connection, however many there are.

    `cursor`: where in the site's events whoever has read it is; "" for one that is no place in them.
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
        """As a WebSocket message."""
        if self._socket is None:
            self._socket = frame(self.data)
        return self._socket

    @property
    def for_stream(self) -> bytes:
        """As a Server-Sent Event; one with a cursor has it as its id.

        `hello` has none: a browser that is cut before anything else would go on from there, and miss what was to come.
        """
        if self._event is None:
            self._event = self.in_stream("")
        return self._event

    def in_stream(self, proof: str) -> bytes:
        """As a Server-Sent Event whose id ends with the proof of one stream."""
        is_place = self.cursor and self.name != "hello"
        id = f"id: {self.cursor}{proof}\n".encode() if is_place else b""
        return b"%bevent: %b\ndata: %b\n\n" % (id, self.name.encode(), self.data)


class Connection(Protocol):
    """What carries frames to a listener. `push` never waits; `close` ends it once what was pushed has gone out."""

    def push(self, frame: Frame) -> None:
        """Send, or queue to be sent."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and end."""

    def ping(self) -> None:
        """Ask the other side for a sign of life. Ends a connection that has given none since the last time."""

    def wait_for_room(self) -> None:
        """Wait until most of what was pushed has gone out. Not for who pushes to many."""


class Follow:
    """One subscription of a client, and what it asked for beside the events."""

    __slots__ = ("topic", "wants_documents", "wants_presence")

    def __init__(
        self, topic: Topic, *, wants_documents: bool = False, wants_presence: bool = False
    ) -> None:
        self.topic = topic
        self.wants_documents = wants_documents
        self.wants_presence = wants_presence


class Client:
    """A listener on one site. `caller` is who it is now; `is_live` False while it is being brought up to date."""

    __slots__ = (
        "caller",
        "connection",
        "ended",
        "feed",
        "follows",
        "is_live",
        "is_over",
        "position",
        "typed",
    )

    def __init__(self, feed: Any, caller: Any, connection: Connection) -> None:
        self.feed = feed
        self.caller = caller
        self.connection = connection
        self.follows: dict[Topic, Follow] = {}
        # What it may not follow any more, with the number of the last event that it was told of there.
        self.ended: dict[Topic, int] = {}
        self.is_live = True
        self.is_over = False
        self.typed = 0.0  # when it last said that it is writing
        self.position = 0  # the number up to which it has everything, while it is not live

    def push(self, frame: Frame) -> None:
        """Send it; to one that is over, nothing."""
        if not self.is_over:
            self.connection.push(frame)

    def end(self, code: int, frame: Frame) -> None:
        """The last frame, then the end."""
        if not self.is_over:
            self.connection.push(frame)
            self.is_over = True
            self.connection.close(code, frame.name)


class Index:
    """Who follows what, among the clients of one site that are up to date."""

    def __init__(self) -> None:
        self._by_topic: dict[Topic, dict[Client, Follow]] = {}

    def add(self, client: Client, follow: Follow) -> None:
        """Let `client` follow; what it asked for before on the same topic is replaced."""
        self._by_topic.setdefault(follow.topic, {})[client] = follow

    def discard(self, client: Client, topic: Topic) -> None:
        """End one subscription."""
        followers = self._by_topic.get(topic)
        if followers is not None:
            followers.pop(client, None)
            if not followers:
                del self._by_topic[topic]

    def leave(self, client: Client) -> None:
        """Forget a client."""
        for topic in client.follows:
            self.discard(client, topic)

    def enter(self, client: Client) -> None:
        """Take in a client with all it follows."""
        for follow in client.follows.values():
            self.add(client, follow)

    def followers(self, topic: Topic) -> dict[Client, Follow]:
        """Who follows a topic, and how."""
        return self._by_topic.get(topic, {})

    def items(self) -> list[tuple[Topic, list[Client]]]:
        """Each topic with its followers, as they are at the moment."""
        return [(topic, list(clients)) for topic, clients in self._by_topic.items()]

    def __bool__(self) -> bool:
        return bool(self._by_topic)
