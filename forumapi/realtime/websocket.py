"""WebSocket protocol (RFC 6455): reading of frames, by gevent-websocket with checks that this package lacks, and
encoding of frames.

Clients' frames must be masked, reserved bits and codes are refused, the size of a message is checked before it is read,
UTF-8 is checked while it arrives, and errors close with their code. One greenlet reads. Frames to send are made by
`frame`, and sent by the connection's owner.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from geventwebsocket.exceptions import FrameTooLargeException, ProtocolError, WebSocketError
from geventwebsocket.websocket import Header, WebSocket

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL: Final = 1002
UNSUPPORTED: Final = 1003
BAD_TEXT: Final = 1007
TOO_BIG: Final = 1009

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DECODER: Final = codecs.getincrementaldecoder("utf-8")
_RECEIVE: Final = 4096


class Ended(Exception):
    """End of a connection, raised to whoever reads. `code` and `reason` are for the close frame; code 0: the peer has
    gone, and none is to be sent.
    """

    def __init__(self, code: int = 0, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def frame(payload: bytes, opcode: int = WebSocket.OPCODE_TEXT) -> bytes:
    """Encode a message as one frame, unmasked as servers send it. `opcode`: type of the frame (RFC 6455), by default
    text.
    """
    return bytes(Header.encode_header(True, opcode, b"", len(payload), 0)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Encode a close frame; `reason` is cut to 120 bytes, and code 0 makes an empty one."""
    payload = code.to_bytes(2, "big") + reason.encode()[:120]
    return frame(payload if code else b"", WebSocket.OPCODE_CLOSE)


def accept_key(key: str) -> str | None:
    """Return the value of Sec-WebSocket-Accept for the client's Sec-WebSocket-Key; None for a malformed key."""
    try:
        is_key = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return None
    if not is_key:
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Return True if a request asks for a WebSocket, by its method and the headers Upgrade and Connection."""
    return (
        str(environ.get("HTTP_UPGRADE", "")).strip().lower() == "websocket"
        and environ.get("REQUEST_METHOD") == "GET"
        and "upgrade"
        in (part.strip() for part in str(environ.get("HTTP_CONNECTION", "")).lower().split(","))
    )


class _Stream:
    """Buffer from which gevent-websocket reads exact numbers of bytes. `receive(size)` reads the socket; `left`: bytes
    that were read before.
    """

    __slots__ = ("_buffer", "_receive")

    def __init__(self, receive: Callable[[int], bytes], left: bytes) -> None:
        self._receive = receive
        self._buffer = left

    def read(self, size: int) -> bytes:
        """Read `size` bytes. Raises Ended if the peer has gone."""
        buffer = self._buffer
        if len(buffer) < size:
            parts, have = [buffer], len(buffer)
            while have < size:
                try:
                    part = self._receive(max(_RECEIVE, size - have))
                except OSError:
                    part = b""
                if not part:
                    raise Ended
                parts.append(part)
                have += len(part)
            buffer = b"".join(parts)
        self._buffer = buffer[size:]
        return buffer[:size]

    def write(self, data: bytes) -> None:
        """Raise NotImplementedError, since this side only reads."""
        raise NotImplementedError


class Socket(WebSocket):  # type: ignore[misc]
    """Reading side of one WebSocket connection, which answers pings.

    `receive(size)` reads the socket; `answer(frame)` sends a pong; `limit`: bytes of a message; `came()` is called for
    each frame and may raise Ended; `left`: bytes that were read before. `heard`: number of frames so far.
    """

    __slots__ = ("_answer", "_came", "_limit", "heard")

    def __init__(
        self,
        receive: Callable[[int], bytes],
        answer: Callable[[bytes], None],
        *,
        limit: int,
        came: Callable[[], None],
        left: bytes = b"",
    ) -> None:
        # Not the package's __init__: it creates a validator with megabytes of tables, unused here.
        self.closed = False  # type: ignore[misc]
        self.stream = _Stream(receive, left)  # type: ignore[misc]
        self.heard = 0  # frames received, for the detection of silence
        self._answer = answer
        self._came = came
        self._limit = limit

    def __del__(self) -> None:
        """Do nothing, where the package would close the socket: its owner does."""

    def receive(self) -> str | bytes:
        """Wait for the next message; return str for text, bytes for binary. Raises Ended, with the code and reason for
        the close frame.
        """
        try:
            return self._message()
        except FrameTooLargeException as error:
            raise Ended(PROTOCOL, "a control frame is too long") from error
        except ProtocolError as error:
            raise Ended(PROTOCOL, "protocol error") from error
        except UnicodeDecodeError as error:
            raise Ended(BAD_TEXT, "text must be UTF-8") from error
        except WebSocketError as error:
            raise Ended from error

    def _message(self) -> str | bytes:
        opcode = 0
        size = 0
        texts: list[str] = []
        parts: list[bytes] = []
        decoder: Any = None
        while True:
            header = self._header()
            kind = header.opcode
            if kind >= self.OPCODE_CLOSE:
                self._control(header)
                continue
            if kind == self.OPCODE_CONTINUATION:
                if not opcode:
                    raise ProtocolError("nothing to continue")
            elif kind in (self.OPCODE_TEXT, self.OPCODE_BINARY):
                if opcode:
                    raise ProtocolError("a message within a message")
                opcode = kind
                decoder = _DECODER() if kind == self.OPCODE_TEXT else None
            else:
                raise ProtocolError("reserved opcode")
            size += header.length
            if size > self._limit:
                raise Ended(TOO_BIG, f"a message may have {self._limit} bytes")
            payload = self._payload(header)
            if decoder is not None:
                texts.append(decoder.decode(payload, bool(header.fin)))
            else:
                parts.append(payload)
            if header.fin:
                return "".join(texts) if decoder is not None else b"".join(parts)

    def _header(self) -> Any:
        header = Header.decode_header(self.stream)
        self.heard += 1
        self._came()
        if header.flags:
            raise ProtocolError("reserved bits")
        if not header.mask:
            raise ProtocolError("not masked")
        return header

    def _payload(self, header: Any) -> bytes:
        """Read and unmask the payload of the frame with this `header`, by one XOR of two big integers: a loop over
        bytes takes 60 times as long. Raises Ended if the peer has gone.
        """
        size = header.length
        if not size:
            return b""
        data = self.stream.read(size)
        mask = (header.mask * (size // 4 + 1))[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")

    def _control(self, header: Any) -> None:
        payload = self._payload(header)
        if header.opcode == self.OPCODE_PING:
            self._answer(frame(payload, self.OPCODE_PONG))
        elif header.opcode == self.OPCODE_CLOSE:
            raise Ended(*self._close_code(payload))
        elif header.opcode != self.OPCODE_PONG:
            raise ProtocolError("reserved opcode")

    def _close_code(self, payload: bytes) -> tuple[int, str]:
        """Return the code by which to answer a client's close frame, its own or NORMAL (RFC 6455, 5.5.1), and "" as the
        reason to send. Raises ProtocolError for a malformed one, UnicodeDecodeError for a reason that is no UTF-8.
        """
        if not payload:
            return NORMAL, ""
        code = int.from_bytes(payload[:2], "big")
        if len(payload) < 2 or not self._is_valid_close_code(code) or code >= 5000:
            raise ProtocolError("bad close frame")
        payload[2:].decode()
        return code, ""
