"""Avatars: addresses of profiles' avatars, and generated avatars (identicons): squares in one colour, made of the
profile's id alone (platform 4.5, P-36).
"""

from __future__ import annotations

import colorsys
import hashlib
import re
import struct
import zlib
from typing import Final

SIZE: Final = 100  # pixels of each side
_SQUARES: Final = 5  # of each side
_NAME: Final = re.compile(r"profile-([1-9][0-9]{0,17})")
_EARLIER: Final = "https://secure.gravatar.com/avatar/"


def href(profile_id: int, stored: str) -> str:
    """Return the address of a profile's avatar: `stored`, the address of the picture that the profile has set, or, if
    that is "", the path on the site of the avatar generated from `profile_id`.

    Addresses that earlier releases stored for profiles without an upload contain the md5 of an e-mail address, and
    count as "".
    """
    if stored and not stored.startswith(_EARLIER):
        return stored
    return f"/api/v1/files/profile-{profile_id}.png"


def profile_of(name: str) -> int | None:
    """Return the profile's id in the file name (without ending) of a generated avatar, such as profile-7; None for any
    other name.
    """
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def png(profile_id: int, size: int = SIZE) -> bytes:
    """Draw the generated avatar of a profile as a PNG of `size` pixels a side. No profile with this id need exist."""
    digest = hashlib.sha256(b"profile %d" % profile_id).digest()
    colour = colorsys.hls_to_rgb(digest[0] / 256, 0.35 + digest[1] / 1024, 0.55)
    palette = b"\xf2\xf2\xf2" + bytes(round(255 * part) for part in colour)
    middle = _SQUARES // 2
    rows = []
    for y in range(_SQUARES):
        # The left half mirrors the right one, and the centre is always set.
        squares = [
            digest[2 + 3 * y + abs(x - middle)] & 1 or x == y == middle for x in range(_SQUARES)
        ]
        pixels = bytes(squares[x * _SQUARES // size] for x in range(size))
        count = (y + 1) * size // _SQUARES - y * size // _SQUARES
        rows.append((b"\0" + pixels) * count)
    header = struct.pack(">IIBBBBB", size, size, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(b"".join(rows), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
