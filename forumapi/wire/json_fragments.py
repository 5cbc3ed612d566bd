"""JSON fragments: documents that are encoded once and cached, with holes that are filled for each answer.

A document is a dict in which `Hole(name)` stands for another row's document, or for what depends on the viewer.
`encode` returns its JSON cut at the holes: (text, name, text, name, ..., text); `fill` joins the texts with values for
the names. Until it is cut a hole is marked with NUL characters, which neither JSON nor a stored text can hold.
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
    """Position in a document that `fill` fills later, with the JSON that the `values` given to `fill` have for `name`.

    Under the key OPTIONAL a hole stands for members that may be absent: its value is b"", or members each with a comma
    before it (`,"key":value`), or after it where the hole comes first in its object.
    """

    __slots__ = ("mark",)

    def __init__(self, name: str) -> None:
        self.mark = msgspec.Raw(b"\0" + name.encode() + b"\0")


# The same times are shown on every page of a thread, in every list.
@lru_cache(4096)
def format_time(moment: datetime.datetime) -> str:
    """Return `moment`, which must be in UTC (aware or naive), as RFC 3339 with Z and up to six decimals, without
    trailing zeros (platform 1.9).
    """
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
    """Encode a document as JSON and cut it at its holes: texts at even indexes, the holes' names at odd ones."""
    return cut(dumps(document))


def cut(data: bytes) -> Fragment:
    """Cut JSON at its holes, each marked as NUL, name, NUL, into a fragment, as `encode` does: JSON that `dumps` made,
    or bytes put together by hand. The key OPTIONAL of a hole, and the comma beside it, are left out.
    """
    parts = data.split(b"\0")
    for index in range(0, len(parts) - 1, 2):
        if parts[index].endswith(_FIRST):
            parts[index] = parts[index].removesuffix(_FIRST) + b"{"
            parts[index + 2] = parts[index + 2].removeprefix(b",")
        else:
            parts[index] = parts[index].removesuffix(_LATER)
    return tuple(parts)


def pack(fragment: Fragment) -> bytes:
    """Join a fragment, holes unfilled, into one byte string, to be stored in memcached; `unpack` reverses it."""
    return b"\0".join(fragment)


def unpack(data: bytes) -> Fragment:
    """Return the fragment that `pack` has joined into this byte string."""
    return tuple(data.split(b"\0"))


def fill(fragment: Fragment, values: Mapping[bytes, bytes]) -> bytes:
    """Join a fragment's texts with the values of its holes into JSON. `values`: finished JSON by the hole's name;
    further names are ignored. Raises KeyError for a hole without a value.
    """
    if len(fragment) == 1:
        return fragment[0]
    parts = list(fragment)
    for index in range(1, len(parts), 2):
        parts[index] = values[parts[index]]
    return b"".join(parts)
