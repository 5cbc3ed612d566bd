"""CSV body of a request, parsed while it arrives and never held whole."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any, Final

from forumapi.errors import UNPARSABLE, Invalid, TooLarge

_PIECE: Final = 65_536


class CsvBody:
    """Records of a CSV body in UTF-8, with or without a byte order mark; lines end in CR, LF or CRLF."""

    def __init__(self, environ: dict[str, Any], limit: int) -> None:
        """Open the body, without reading it. Raises TooLarge if its Content-Length is above `limit`, in bytes."""
        length = environ.get("CONTENT_LENGTH") or ""
        self._body = _Body(environ["wsgi.input"], int(length) if length.isdigit() else None, limit)

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of the bytes read so far; that of the whole body tells whether a repeated request has the
        same body.
        """
        return self._body.hash.digest()

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (number of its last line, fields) of each record, without empty lines; lines are counted from 1.

        Raises Invalid for a body that ends early or is not CSV in UTF-8, TooLarge beyond the limit.
        """
        text = io.TextIOWrapper(
            io.BufferedReader(self._body, _PIECE), encoding="utf-8-sig", newline=""
        )
        reader = csv.reader(text, strict=True)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
        except csv.Error as error:
            raise Invalid(
                f"line {reader.line_num}", f"is not CSV: {error}", code=UNPARSABLE
            ) from None
        except UnicodeDecodeError:
            raise Invalid("", "The body is not UTF-8", code=UNPARSABLE) from None


class _Body(io.RawIOBase):
    """Raw stream of a body: ends at its Content-Length (`length`, None if the request has none), raises TooLarge beyond
    `limit` bytes, and hashes what is read.
    """

    def __init__(self, stream: Any, length: int | None, limit: int) -> None:
        self._stream = stream
        self._left = length
        self._limit = limit
        self._read = 0
        self.hash = hashlib.sha256()
        if length is not None and length > limit:
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body may have at most {self._limit} bytes")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        most = len(buffer) if self._left is None else min(len(buffer), self._left)
        piece = self._stream.read(most) if most else b""
        if self._left is not None:
            if len(piece) < min(most, 1):
                raise Invalid("", "The body ended early", code=UNPARSABLE)
            self._left -= len(piece)
        self._read += len(piece)
        if self._read > self._limit:
            raise self._too_large()
        self.hash.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)
