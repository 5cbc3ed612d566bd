"""Bodies of uploads: multipart/form-data of RFC 7578, read from files in parts, with progress."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .connection import Body

Progress = Callable[[int, int], None]
_PART = 64 * 1024


@dataclass(frozen=True)
class Upload:
    """File to send: its name, and its content in memory or as a path. The media type is guessed from the name."""

    name: str
    content: bytes | Path
    media_type: str = ""

    @classmethod
    def from_path(cls, path: Path | str) -> Upload:
        """Return the file at a path, under its own name."""
        return cls(Path(path).name, Path(path))

    @property
    def size(self) -> int:
        """Return its length in bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def parts(self) -> Iterator[bytes]:
        """Yield its content in parts of 64 KiB."""
        if isinstance(self.content, bytes):
            for start in range(0, len(self.content), _PART):
                yield self.content[start : start + _PART]
            return
        with self.content.open("rb") as opened:
            while part := opened.read(_PART):
                yield part


def multipart(files: Sequence[Upload], progress: Progress | None = None) -> Body:
    """Return the body of an upload. `progress` is called with the bytes handed over so far, and all of them."""
    boundary = uuid.uuid4().hex
    heads = [_head(one, boundary) for one in files]
    end = f"--{boundary}--\r\n".encode()
    total = len(end) + sum(len(head) + one.size + 2 for head, one in zip(heads, files, strict=True))

    def pieces() -> Iterator[bytes]:
        for head, one in zip(heads, files, strict=True):
            yield head
            yield from one.parts()
            yield b"\r\n"
        yield end

    def read() -> Iterator[bytes]:
        sent = 0
        for piece in pieces():
            yield piece
            sent += len(piece)
            if progress is not None:
                progress(sent, total)

    return Body(f"multipart/form-data; boundary={boundary}", read, total)


def _head(file: Upload, boundary: str) -> bytes:
    # Names as browsers send them.
    name = file.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    kind = file.media_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    ).encode()
