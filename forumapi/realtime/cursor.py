"""Codec of cursors: opaque texts that stand for positions in a site's events.

A plain event number would reveal how much happens where the reader may not look. So a cursor is one AES block of site,
number and random bits, under a key that all processes of the platform share. The same position has a different text
each time, and a forged cursor, or one of another site, is not accepted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_SITE: Final = 6
_NUMBER: Final = 6
_BLOCK: Final = 16
_LENGTH: Final = 22  # of a block in base64 without padding


class Cursors:
    """Codec of cursors. `key`: 16 bytes, secret, the same in all processes of the platform; nobody without it can make
    or read a cursor.
    """

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(algorithms.AES(key), modes.ECB())
        self._encrypt = cipher.encryptor().update
        self._decrypt = cipher.decryptor().update
        self._random = b""
        self._mac_key = hashlib.blake2b(key=key, person=b"live-stream").digest()

    def make(self, site_id: int, number: int) -> str:
        """Return a cursor, a new text at each call, for the position after the event `number` of a site; with 0 it is
        before all events.
        """
        if len(self._random) < _BLOCK:
            self._random = os.urandom(4096)
        salt, self._random = self._random[:4], self._random[4:]
        block = site_id.to_bytes(_SITE, "big") + number.to_bytes(_NUMBER, "big") + salt
        return base64.urlsafe_b64encode(self._encrypt(block))[:_LENGTH].decode()

    def read(self, site_id: int, cursor: str) -> int | None:
        """Decode a cursor of this site into the number of the event that it stands after; None for any other text, such
        as a forged cursor or one of another site.
        """
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

    def proof(self, site_id: int, token_id: int, bound: bytes) -> str:
        """Make an opaque text that identifies the token `token_id`, and is valid only together with the same `bound`,
        such as a hash of the stream's name.

        Stands after the cursor in the ids of a stream's frames: who sends it back has read that stream.
        """
        name = self.make(site_id, token_id)
        return name + self._mac(site_id, token_id, bound)

    def holder(self, site_id: int, proof: str, bound: bytes) -> int:
        """Verify `proof`, a text that the method `proof` has made; return the id of the token for which it was made, 0
        if the text is forged, of another site, or made with another `bound`.
        """
        token_id = self.read(site_id, proof[:_LENGTH])
        if not token_id:
            return 0
        is_ours = hmac.compare_digest(
            proof[_LENGTH:].encode(), self._mac(site_id, token_id, bound).encode()
        )
        return token_id if is_ours else 0

    def _mac(self, site_id: int, token_id: int, bound: bytes) -> str:
        said = b"%d %d %b" % (site_id, token_id, bound)
        mac = hashlib.blake2b(said, key=self._mac_key, digest_size=_BLOCK).digest()
        return base64.urlsafe_b64encode(mac)[:_LENGTH].decode()


def parted(text: str) -> tuple[str, str]:
    """Split the id of a stream's frame into its cursor and its proof; the proof is "" if the id has none."""
    return text[:_LENGTH], text[_LENGTH:]
