"""Readable binary file object over an iterable of bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class PieceStream(io.RawIOBase):
    """Readable stream of the bytes of `pieces`, an iterator; closing the stream closes `pieces` if it can be closed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        """Return True: the stream is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the present piece, or from the next one if that is used up; return the number of bytes
        written into it, 0 at the end of all pieces.
        """
        if not self._left:
            self._left = next((piece for piece in self._pieces if piece), b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Close the stream, and `pieces` if it has a method `close`."""
        if not self.closed and (close := getattr(self._pieces, "close", None)) is not None:
            close()
        super().close()
