"""Cursors: where in a site's events somebody has got to, as a text that tells nothing else.

The number of an event would tell how much happens in places that one may not see. So a cursor is one AES block: the
site, the number and a random part, under a key that all processes of the platform share. The same place has another
text each time, a made-up one fits no site, and one of another site is not taken.
"""

from __future__ import annotations

import base64
import os
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_SITE: Final = 6
_NUMBER: Final = 6
_BLOCK: Final = 16
_LENGTH: Final = 22  # of a block in base64 without padding


class Cursors:
    """Makes and reads cursors. `key`: 16 bytes."""

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(algorithms.AES(key), modes.ECB())
        self._encrypt = cipher.encryptor().update
        self._decrypt = cipher.decryptor().update
        self._random = b""

    def make(self, site_id: int, number: int) -> str:
        """The cursor after the event `number` of a site; 0: before all."""
        if len(self._random) < _BLOCK:
            self._random = os.urandom(4096)
        salt, self._random = self._random[:4], self._random[4:]
        block = site_id.to_bytes(_SITE, "big") + number.to_bytes(_NUMBER, "big") + salt
        return base64.urlsafe_b64encode(self._encrypt(block))[:_LENGTH].decode()

    def read(self, site_id: int, cursor: str) -> int | None:
        """The number of a cursor of this site; None for what is none."""
        if len(cursor) != _LENGTH or not cursor.isascii():
            return None
        try:
            block = base64.b64decode(cursor + "==", altchars=b"-_", validate=True)
        except ValueError:
            return None
        plain = self._decrypt(block)
        if int.from_bytes(plain[:_SITE], "big") != site_id:
            return None
        return int.from_bytes(plain[_SITE : _SITE + _NUMBER], "big")
