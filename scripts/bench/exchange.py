"""Exchange of requests and answers with the drivers, as bytes in files.

A driver is another process, so that making requests takes no CPU from the process that measures. Both drivers (wrk with
cycle.lua, and load.py) work in a folder with these files:

    requests    for each request "<length>" on a line and then its bytes
    expected    for each request, in the same form, the body of its answer outside the benchmark,
                with which every timed one is compared; length -1 if any body will do
    differing   from the driver: "<request> <length>" and the body of each answer that was not
                the expected one; request -1 if the driver can't tell which it was
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NUMBER = b"@@@@@@@@@@@@"
"""Twelve bytes that a driver replaces by another number in every request it sends."""


@dataclass(frozen=True)
class Request:
    """HTTP request that a driver sends, again and again or in turn with others."""

    method: str
    path: str
    host: str
    token: str | None = None
    body: bytes = b""
    content_type: str = "application/json"
    cookie: str = ""

    def raw(self) -> bytes:
        """Return the request's bytes, for a connection that stays open."""
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
    """HTTP answer as read from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


def write_blocks(path: Path, blocks: Sequence[bytes | None]) -> None:
    """Write the file `requests` or `expected`; None becomes length -1."""
    with path.open("wb") as out:
        for block in blocks:
            out.write(b"-1\n" if block is None else b"%d\n%b" % (len(block), block))


def read_blocks(path: Path) -> list[bytes | None]:
    """Read a file that `write_blocks` wrote."""
    return [block for _, block in read(path)]


def write_differing(path: Path, answers: Sequence[tuple[int, bytes]]) -> None:
    """Write the file `differing`: the number of the request, and the body, of each answer that was not the expected
    one.
    """
    with path.open("wb") as out:
        for request, body in answers:
            out.write(b"%d %d\n%b" % (request, len(body), body))


def read_differing(path: Path) -> list[tuple[int, bytes]]:
    """Read the file `differing`; return (request, body) for each answer in it, [] if there is no file."""
    if not path.exists():
        return []
    return [(int(words[0]), block) for words, block in read(path) if block is not None]


def read(path: Path) -> Iterator[tuple[list[bytes], bytes | None]]:
    """Yield each block of a file with the words of the line before it; the last word is the block's length."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        line_end = data.index(b"\n", at)
        words = data[at:line_end].split()
        length = int(words[-1])
        at = line_end + 1 + max(length, 0)
        yield words, None if length < 0 else data[line_end + 1 : at]
