"""JSON fragments: documents encoded once, with holes that are filled when a page is made.

A document is a dict in which `Hole(name)` stands in the place of another row's document or of the viewer's part.
`encode` makes bytes of it in which each hole is marked with NUL characters, which no JSON and no stored text can hold,
and cuts it at the holes: (text, name, text, name, ..., text). `fill` joins the texts with the values of the holes.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

Fragment = tuple[bytes, ...]

# Key of a hole for members that may be absent.
OPTIONAL: Final = "?"
_FIRST: Final = b'{"?":'
_LATER: Final = b',"?":'


class Hole:
    """Place in a document that is filled when the page is made.

    Under the key OPTIONAL it is filled with b"" or with whole members, each with a comma: `,"key":value`, or
    `"key":value,` where it is the object's first key.
    """

    __slots__ = ("mark",)

    def __init__(self, name: str) -> None:
        self.mark = msgspec.Raw(b"\0" + name.encode() + b"\0")


# The same times are shown on every page of a thread, in every list.
@lru_cache(4096)
def format_time(moment: datetime.datetime) -> str:
    """Format a time: RFC 3339 in UTC with Z, microseconds, trailing zeros trimmed (platform 1.9)."""
    text = moment.isoformat()
    if moment.microsecond:
        return text[:26].rstrip("0") + "Z"
    return text[:19] + "Z"


def _default(value: object) -> Any:
    if isinstance(value, Hole):
        return value.mark
    raise TypeError(f"{type(value).__name__} has no JSON form here")


dumps: Final = msgspec.json.Encoder(enc_hook=_default).encode
"""JSON bytes of plain data: dicts in their own order, lists, strings, numbers, Raw, Hole."""

loads: Final = msgspec.json.Decoder().decode
"""Plain data of JSON bytes or text that we made ourselves."""

raw: Final = msgspec.Raw
"""Finished JSON bytes as a value inside a document."""


def encode(document: Mapping[str, Any]) -> Fragment:
    """Encode a document, cut at its holes: texts at even places, hole names at odd ones."""
    return cut(dumps(document))


def cut(data: bytes) -> Fragment:
    """Cut JSON bytes at their marked holes."""
    parts = data.split(b"\0")
    for index in range(0, len(parts) - 1, 2):
        if parts[index].endswith(_FIRST):
            parts[index] = parts[index].removesuffix(_FIRST) + b"{"
            parts[index + 2] = parts[index + 2].removeprefix(b",")
        else:
            parts[index] = parts[index].removesuffix(_LATER)
    return tuple(parts)


def pack(fragment: Fragment) -> bytes:
    """Encode a fragment as one byte string, for memcached."""
    return b"\0".join(fragment)


def unpack(data: bytes) -> Fragment:
    """Decode the result of `pack`."""
    return tuple(data.split(b"\0"))


def fill(fragment: Fragment, values: Mapping[bytes, bytes]) -> bytes:
    """Fill the holes of a fragment. Raises KeyError for a hole without a value."""
    if len(fragment) == 1:
        return fragment[0]
    parts = list(fragment)
    for index in range(1, len(parts), 2):
        parts[index] = values[parts[index]]
    return b"".join(parts)
