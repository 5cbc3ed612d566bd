"""Parser of mbox files: messages one after the other, as their bytes (RFC 4155, with `>From ` as in mboxrd)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.dumps.source import MAX_DUMP, BoundedStream

MAX_MESSAGE: Final = 32 * 1024 * 1024
"""Most bytes of a message; a longer one is yielded without its bytes."""
ENDINGS: Final = (".mbox", ".mbx", ".txt", ".gz")

# "From anna@example.org Mon Jan  3 10:00:00 2005", with a zone or " at " in some archives: the time and, somewhere
# behind that time, the year, which at most 20 bytes follow.
_POSTMARK: Final = b"From "
_CLOCK = re.compile(rb"\b[0-9]{1,2}:[0-9]{2}")
_YEAR = re.compile(rb"\b[0-9]{4}\b[^\n]{0,20}$")
_LONGEST_POSTMARK: Final = 500
_QUOTED = re.compile(rb">+From ")
_LINE: Final = 1 << 20


class MboxMessage(NamedTuple):
    """Message of an mbox. `file`: name of the file; `number`: position in it from 1; `postmark`: the line "From …"
    before the message; `data`: the bytes after that line, with `>From ` unquoted, None where they are more than
    MAX_MESSAGE (32 MiB).
    """

    file: str
    number: int
    postmark: str
    data: bytes | None


def read(path: Path, most: int = MAX_DUMP) -> Iterator[MboxMessage]:
    """Yield the messages of a file, plain or compressed by gzip, or of all files in a folder whose names end in .mbox,
    .mbx, .txt or .gz, file by file in the order of their names. `most`: bytes that each file may have after
    decompression. Raises DumpError for a folder without such a file, and for a file that is no mbox, is damaged or has
    more bytes; OSError.
    """
    files = [path]
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.name.lower().endswith(ENDINGS))
    if not files:
        raise DumpError(f"{path.name}: holds no file that ends in {', '.join(ENDINGS)}")
    for file in files:
        with BoundedStream(file, most) as raw, io.BufferedReader(raw, _LINE) as stream:
            yield from _messages(file.name, stream)


def _is_postmark(line: bytes) -> bool:
    """Return True if a line, without its line feed, is one that stands before a message: "From ", a sender, and a date;
    False for any line above 500 bytes.
    """
    if not line.startswith(_POSTMARK) or len(line) > _LONGEST_POSTMARK:
        return False
    clock = _CLOCK.search(line, len(_POSTMARK))
    return clock is not None and _YEAR.search(line, clock.end()) is not None


def _messages(name: str, stream: io.BufferedReader[Any]) -> Iterator[MboxMessage]:
    number, postmark, size = 0, "", 0
    # One buffer: a list of short lines would take many times their bytes.
    data = bytearray()

    def message() -> MboxMessage:
        return MboxMessage(name, number, postmark, bytes(data) if size <= MAX_MESSAGE else None)

    is_start = True
    while line := stream.readline(_LINE):
        if is_start and _is_postmark(line.rstrip(b"\r\n")):
            if number:
                yield message()
            number, postmark, size = number + 1, line.decode("latin-1").strip(), 0
            data.clear()
        elif number:
            size += len(line)
            if size <= MAX_MESSAGE:
                data += line[1:] if _QUOTED.match(line) else line
            else:
                data.clear()
        elif line.strip():
            raise DumpError(
                f'{name}: is no mbox: its first line does not begin with "From " and a date'
            )
        is_start = not line.strip()
    if number:
        yield message()
