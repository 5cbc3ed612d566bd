"""Removal of metadata from image files, without decoding the image.

Kept is what decides how the image looks: pixels, palette, transparency, animation, colour profile. Removed are EXIF,
XMP, IPTC, texts, times, previews, unknown chunks, and bytes after the end of the image (C-46).
"""

from __future__ import annotations

import re
from typing import Final

# A marker inside JPEG's compressed data: not a stuffed 0xFF, not a restart, not filling.
_JPEG_MARKER: Final = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_SOS: Final = 0xDA
_EOI: Final = 0xD9
_COM: Final = 0xFE
_APP0: Final = 0xE0
_APP15: Final = 0xEF
# Application segments that are kept, by their first bytes.
_JPEG_KEPT: Final = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)

_WEBP_KEPT: Final = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_HAS_METADATA: Final = 0x08 | 0x04  # EXIF and XMP, in the flags of VP8X

_GIF_KEPT: Final = frozenset((b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"))


class BrokenError(Exception):
    """Error of a file that violates its own format; the message says how."""


def stripped(data: bytes, kind: str) -> bytes:
    """Return the file's bytes without metadata; `data` itself if there is no metadata in it. `kind`: its format, jpeg,
    png, webp or gif, which is not checked against the first bytes. Raises BrokenError for a file that violates that
    format.
    """
    try:
        made = _STRIPPERS[kind](data)
    except IndexError:
        raise BrokenError("it ends early") from None
    return data if made == data else made


def _jpeg(data: bytes) -> bytes:
    parts = [data[:2]]
    at = 2
    while True:
        if data[at] != 0xFF:
            raise BrokenError("a segment does not begin with a marker")
        while data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == _EOI:
            parts.append(b"\xff\xd9")
            return b"".join(parts)
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end > len(data) or end < at + 4:
            raise BrokenError("a segment is longer than the file")
        segment = data[at:end]
        if marker == _SOS:
            found = _JPEG_MARKER.search(data, end)
            if found is None:
                raise BrokenError("it has no end")
            parts.append(data[at : found.start()])
            at = found.start()
            continue
        if marker == _COM or _APP0 <= marker <= _APP15:
            known = _JPEG_KEPT.get(marker)
            if known is not None and segment[4:].startswith(known):
                parts.append(segment)
        else:
            parts.append(segment)
        at = end


def _png(data: bytes) -> bytes:
    parts = [_PNG_SIGNATURE]
    at = len(_PNG_SIGNATURE)
    while True:
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data):
            raise BrokenError("a chunk is longer than the file")
        name = data[at + 4 : at + 8]
        if name in _PNG_KEPT:
            parts.append(data[at:end])
        if name == b"IEND":
            return b"".join(parts)
        at = end


def _webp(data: bytes) -> bytes:
    parts: list[bytes] = []
    at, last = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= last:
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if at + 8 + size > len(data):
            raise BrokenError("a chunk is longer than the file")
        chunk = data[at:end]
        if name == b"VP8X":
            chunk = chunk[:8] + bytes((chunk[8] & ~_WEBP_HAS_METADATA,)) + chunk[9:]
        if name in _WEBP_KEPT:
            parts.append(chunk)
        at = end
    body = b"".join(parts)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _gif(data: bytes) -> bytes:
    at = 13 + _colours(data[10])
    parts = [data[:at]]
    while True:
        start = at
        kind = data[at]
        if kind == 0x3B:
            parts.append(b";")
            return b"".join(parts)
        if kind == 0x2C:
            at = _blocks(data, at + 11 + _colours(data[at + 9]))
            parts.append(data[start:at])
        elif kind == 0x21:
            label = data[at + 1]
            at = _blocks(data, at + 2)
            known = label != 0xFF or data[start + 3 : start + 14] in _GIF_KEPT
            if label != 0xFE and known:
                parts.append(data[start:at])
        else:
            raise BrokenError("a block is of no known kind")


def _colours(flags: int) -> int:
    """Return the size in bytes of the colour table that a GIF's flags announce, 0 for none."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> int:
    """Return the position after the chain of GIF sub-blocks that begins at `at`. Raises IndexError if the data ends
    before.
    """
    while data[at]:
        at += data[at] + 1
    return at + 1


_STRIPPERS: Final = {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif}
