"""A client of the push endpoint: WebSocket on a plain socket, so that tests may also do what no library would."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any

import msgspec

from forumapi.realtime.message_schemas import RECEIVED
from tests.factories import Person, Site

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
WAIT_S = 10.0


def described(frame: dict[str, Any]) -> None:
    """Raises unless the AsyncAPI document describes this frame: no key that it does not know, none that is missing."""
    struct = next(one for one in RECEIVED if one.__struct_config__.tag == frame["type"])
    msgspec.convert(frame, struct)
    known = {"type", *(field.encode_name for field in msgspec.structs.fields(struct))}
    assert frame.keys() <= known, frame


class Closed(Exception):
    """The server ended it: `code` of its close frame, 0 without one."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


def masked(payload: bytes, opcode: int = TEXT, *, fin: bool = True, mask: bytes = b"mask") -> bytes:
    """A frame as clients send it."""
    length = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", length)
    key = (mask * (length // 4 + 1))[:length]
    return head + mask + bytes(a ^ b for a, b in zip(payload, key, strict=True))


def is_new_comment(frame: dict[str, Any]) -> bool:
    """Return whether a frame tells of one."""
    return (frame["type"], frame.get("kind"), frame.get("itemType")) == (
        "event",
        "created",
        "comment",
    )


class Listener:
    """One WebSocket. `answer` is the status of the handshake; frames are dicts."""

    def __init__(
        self,
        address: tuple[str, int],
        site: Site,
        by: Person | None = None,
        *,
        headers: dict[str, str] | None = None,
        query: str = "",
        receive_buffer: int = 0,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(address)
        sent = {
            "Host": site.host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **({"Authorization": f"Bearer {by.token}"} if by else {}),
            **(headers or {}),
        }
        lines = [f"GET /api/v1/live{query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in sent.items() if value]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._left = b""
        self.seen: list[dict[str, Any]] = []
        head = self._until(b"\r\n\r\n").decode()
        self.answer = int(head.split()[1])
        self.headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])
        }
        self.cursor = ""
        self.hello: dict[str, Any] = {}
        if self.answer == 101:
            self.hello = self.read()

    # ------------------------------------------------------------ bytes

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed
        self._left += data

    def _until(self, end: bytes) -> bytes:
        while end not in self._left:
            self._more()
        head, _, self._left = self._left.partition(end)
        return head

    def _exactly(self, size: int) -> bytes:
        while len(self._left) < size:
            self._more()
        data, self._left = self._left[:size], self._left[size:]
        return data

    def raw_frame(self) -> tuple[int, bytes]:
        """(opcode, payload) of the next frame. Raises TimeoutError, Closed."""
        first, second = self._exactly(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._exactly(8))
        return first & 15, self._exactly(length)

    # ------------------------------------------------------------ messages

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self.socket.sendall(masked(json.dumps(message).encode()))

    def read(self) -> dict[str, Any]:
        """The next message; pings are answered. Raises TimeoutError, and Closed at the end."""
        while True:
            opcode, payload = self.raw_frame()
            if opcode == PING:
                self.socket.sendall(masked(payload, PONG))
            elif opcode == CLOSE:
                raise Closed(struct.unpack("!H", payload[:2])[0] if payload else 0)
            elif opcode == TEXT:
                frame: dict[str, Any] = json.loads(payload)
                described(frame)
                self.cursor = frame.get("cursor", self.cursor)
                self.seen.append(frame)
                return frame

    def next(self, kind: str) -> dict[str, Any]:
        """The next message of that type; others are passed over."""
        while True:
            frame = self.read()
            if frame["type"] == kind:
                return frame

    def follow(self, *topics: str, **how: Any) -> dict[str, Any]:
        """Subscribe, and wait until it is so; the frames before that are in `seen`."""
        self.send({"type": "subscribe", "topics": topics, **how})
        while True:
            frame = self.read()
            if frame["type"] in ("subscribed", "error"):
                return frame

    def events(self, count: int) -> list[tuple[str, str, int]]:
        """(kind, type, id) of the next so many events."""
        found = [self.next("event") for _ in range(count)]
        return [(one["kind"], one["itemType"], one["itemId"]) for one in found]

    def comments(self, count: int) -> list[int]:
        """The ids of the next so many new comments, those that came before `subscribed` included."""
        found = [one["itemId"] for one in self.seen if is_new_comment(one)]
        while len(found) < count:
            if is_new_comment(one := self.read()):
                found.append(one["itemId"])
        self.seen.clear()
        return found

    def close_code(self) -> int:
        """The code that the server closes with; what comes before is passed over."""
        try:
            while True:
                self.read()
        except Closed as closed:
            return closed.code

    def close(self) -> None:
        """Go without a word."""
        self.socket.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
