"""Requests and answers as bytes, and the files through which they reach a driver and come back.

A driver is another process, so that making requests takes no CPU from the measuring one. Both
drivers (wrk with cycle.lua, and load.py) work in a folder with these files:

    requests    for each request "<length>" on a line and then its bytes
    expected    for each request, in the same form, the body of its answer outside the benchmark,
                against which every timed one is held; length -1 where any body will do
    differing   from the driver: "<request> <length>" and the body of each answer that was not
                the expected one; request -1 where the driver can't tell which it was
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NUMBER = b"@@@@@@@@@@@@"
"""Twelve bytes that a driver replaces by another number in every request it sends."""


@dataclass(frozen=True)
class Request:
    """One request to send, over and over or in turn with others."""

    method: str
    path: str
    host: str
    token: str | None = None
    body: bytes = b""
    content_type: str = "application/json"
    cookie: str = ""

    def raw(self) -> bytes:
        """The bytes on the wire, for a connection that stays open."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}", "Accept: */*"]
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        if self.body:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + self.body


@dataclass(frozen=True)
class Answer:
    """An answer as read from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


def write_blocks(path: Path, blocks: Sequence[bytes | None]) -> None:
    """The `requests` or `expected` file."""
    with path.open("wb") as out:
        for block in blocks:
            out.write(b"-1\n" if block is None else b"%d\n%b" % (len(block), block))


def read_blocks(path: Path) -> list[bytes | None]:
    """Return what write_blocks left."""
    return [block for _, block in read(path)]


def write_differing(path: Path, answers: Sequence[tuple[int, bytes]]) -> None:
    """The `differing` file."""
    with path.open("wb") as out:
        for request, body in answers:
            out.write(b"%d %d\n%b" % (request, len(body), body))


def read_differing(path: Path) -> list[tuple[int, bytes]]:
    """(request, body) of the answers a driver kept; none when it wrote no file."""
    if not path.exists():
        return []
    return [(int(words[0]), block) for words, block in read(path) if block is not None]


def read(path: Path) -> Iterator[tuple[list[bytes], bytes | None]]:
    """Each block with the words of the line before it; the last word is the block's length."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        line_end = data.index(b"\n", at)
        words = data[at:line_end].split()
        length = int(words[-1])
        at = line_end + 1 + max(length, 0)
        yield words, None if length < 0 else data[line_end + 1 : at]
