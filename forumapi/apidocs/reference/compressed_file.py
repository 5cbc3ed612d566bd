"""File that is kept compressed in memory, and sent so to browsers that take it."""

from __future__ import annotations

import gzip
import hashlib
from typing import NamedTuple


class CompressedFile(NamedTuple):
    """File as `data`, compressed by gzip, and `tag`: a text that changes whenever the file does."""

    data: bytes
    tag: str

    @classmethod
    def of(cls, content: bytes) -> CompressedFile:
        """Compress `content`, the bytes of a file, and return the file."""
        tag = hashlib.blake2b(content, digest_size=9).hexdigest()
        return cls(gzip.compress(content, 6, mtime=0), tag)

    def content(self) -> bytes:
        """Return the bytes of the file, not compressed."""
        return gzip.decompress(self.data)

    def text(self) -> str:
        """Return the file, which must be UTF-8, as text."""
        return self.content().decode()
