"""Bodies of multipart/form-data: their files, written to disk while they arrive, within limits (content 10.2)."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from forumapi.errors import BAD_CONTENT_TYPE, FILE_TOO_LARGE, UNPARSABLE, Invalid, TooLarge, excerpt
from forumapi.files import file_types

MAX_FILES: Final = 10
# Bytes of a field that is no file.
MAX_FIELD: Final = 4096
# Parts in all; fields that are no files are skipped unless they are asked for.
MAX_PARTS: Final = 100
MAX_BOUNDARY: Final = 200
PIECE: Final = 64 * 1024
# Most bytes of the body in memory: headers of a part, or a preamble.
MEMORY: Final = 256 * 1024


class Part(NamedTuple):
    """File of a multipart body, now stored at `path`. `name`, `declared`: name and media type that the client gave,
    neither of them checked. `sha1`: in hexadecimal; `size`: in bytes. `head`: first bytes of the file,
    `file_types.HEAD` at most, by which its type is detected.
    """

    path: Path
    name: str
    declared: str
    sha1: str
    size: int
    head: bytes


class UploadLimits(NamedTuple):
    """Limits in bytes: most of the whole body (`body`), and most of each file (`file`)."""

    body: int
    file: int


def boundary(content_type: str) -> bytes:
    """Return the boundary in the value of a header Content-Type. Raises Invalid, code BAD_CONTENT_TYPE, unless that is
    multipart/form-data with a boundary of at most MAX_BOUNDARY characters.
    """
    kind, options = parse_options_header(content_type)
    found = options.get("boundary", "")
    if kind != "multipart/form-data" or not found or len(found) > MAX_BOUNDARY:
        raise Invalid(
            "Content-Type", "must be multipart/form-data with a boundary", code=BAD_CONTENT_TYPE
        )
    return found.encode("utf-8", "replace")


def receive(
    environ: dict[str, Any],
    folder: Path,
    limits: UploadLimits,
    fields: dict[str, list[str]] | None = None,
) -> list[Part]:
    """Read the body of the request `environ`, write its files into `folder`, and return them in the order of the body.

    `fields`: the values of other fields are appended here by name, in the order of the body; None: they are skipped.
    Raises Invalid for a Content-Type that `boundary` refuses, a malformed body, an empty file, more than MAX_FILES
    files or MAX_PARTS parts, and, unless `fields` is None, a field that is longer than MAX_FIELD bytes or not UTF-8;
    TooLarge beyond `limits`. What was written by then stays in `folder`.
    """
    between = boundary(environ.get("CONTENT_TYPE", ""))
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > limits.body:
        raise TooLarge(f"The body may have at most {limits.body} bytes", code=FILE_TOO_LARGE)
    receiver = _Receiver(folder, limits.file, fields)
    try:
        receiver.read(
            environ["wsgi.input"],
            MultipartDecoder(between, MEMORY, max_parts=MAX_PARTS),
            limits.body,
        )
    except RequestEntityTooLarge:
        raise Invalid(
            "", "The body has too many parts, or too long ones", code=UNPARSABLE
        ) from None
    except ValueError:
        raise Invalid("", "The body is not valid multipart/form-data", code=UNPARSABLE) from None
    finally:
        receiver.close()
    return receiver.parts


class _Receiver:
    """Writer of the files of one body into `folder`, while the body is parsed. `limit`: bytes of one file; `fields`: as
    in `receive`.
    """

    def __init__(
        self, folder: Path, limit: int, fields: dict[str, list[str]] | None = None
    ) -> None:
        self.parts: list[Part] = []
        self._fields = fields
        self._field: str | None = None
        self._value = b""
        self._folder = folder
        self._limit = limit
        self._out: IO[bytes] | None = None
        self._file: File | None = None
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._size = 0
        self._head = b""

    def read(self, stream: Any, decoder: MultipartDecoder, limit: int) -> None:
        """Read the body from `stream` to its end, of `limit` bytes at most, by `decoder`, a new one.

        Raises ValueError for a body that ends early or is malformed, RequestEntityTooLarge for too many or too long
        parts, TooLarge beyond `limit` and for a file beyond its own, and Invalid for an empty file, too many files, and
        a field that is too long or not UTF-8.
        """
        taken = 0
        while True:
            piece = stream.read(PIECE)
            taken += len(piece)
            if taken > limit:
                raise TooLarge(f"The body may have at most {limit} bytes", code=FILE_TOO_LARGE)
            decoder.receive_data(piece or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, Epilogue):
                    return
                if isinstance(event, File):
                    self._begin(event)
                elif isinstance(event, Field):
                    self._file = None
                    self._field, self._value = event.name, b""
                elif isinstance(event, Data):
                    if self._file is not None:
                        self._take(event)
                    elif self._fields is not None and self._field is not None:
                        self._note(self._fields, self._field, event)
            # A fast sender must not block the other requests of this process.
            time.sleep(0)

    def _note(self, fields: dict[str, list[str]], name: str, event: Data) -> None:
        self._value += event.data
        if len(self._value) > MAX_FIELD:
            raise Invalid(excerpt(name), f"may have at most {MAX_FIELD} bytes")
        if not event.more_data:
            try:
                fields.setdefault(name, []).append(self._value.decode())
            except UnicodeDecodeError:
                raise Invalid(excerpt(name), "must be UTF-8", code=UNPARSABLE) from None

    def _begin(self, event: File) -> None:
        self._field = None
        self._file = event if event.name and event.filename else None
        if self._file is None:
            return
        if len(self.parts) == MAX_FILES:
            raise Invalid("", f"At most {MAX_FILES} files are taken at once")
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._size = 0
        self._head = b""
        self._out = (self._folder / f"part{len(self.parts)}").open("wb")

    def _take(self, event: Data) -> None:
        if self._file is None or self._out is None:
            return
        self._size += len(event.data)
        if self._size > self._limit:
            raise TooLarge(f"A file may have at most {self._limit} bytes", code=FILE_TOO_LARGE)
        if len(self._head) < file_types.HEAD:
            self._head += event.data[: file_types.HEAD - len(self._head)]
        self._digest.update(event.data)
        self._out.write(event.data)
        if not event.more_data:
            self._end(self._file, self._out)

    def _end(self, file: File, out: IO[bytes]) -> None:
        out.close()
        if not self._size:
            raise Invalid("file", "is empty")
        self.parts.append(
            Part(
                Path(out.name),
                file.filename,
                file.headers.get("Content-Type", ""),
                self._digest.hexdigest(),
                self._size,
                self._head,
            )
        )

    def close(self) -> None:
        """Close the file that is still open if the body ended early; do nothing if none is."""
        if self._out is not None:
            self._out.close()
