"""Cache of finished pages for guests: each is kept with the entity tags of the API's answers that it was made of, and
served once the API has confirmed these.

Nothing is purged: a page of which a document has changed is not confirmed, and is made anew.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections import OrderedDict
from typing import Any, Final, NamedTuple, Self

from forumapi.webclient.api import Asked

MOST_BYTES: Final = 16 * 1024 * 1024
# A page that is larger, compressed, is not kept, nor one that was made of more documents.
LARGEST: Final = 512 * 1024
MOST_CALLS: Final = 8
# Live events are followed from the position that stands in a page: an old one would be behind what is replayed.
MOST_AGE_S: Final = 300.0


Key = tuple[str, str, str, str]
"""Host, path and query of a page, and its language, or "json" for an answer to a script."""


class KeptPage(NamedTuple):
    """Page with its headers and the GETs that it was made of (`calls`). `compressed`: its body as zlib has compressed
    it, to about an eighth. `good_until`: moment of `time.monotonic()` after which it is not sent any more: texts such
    as "4 minutes ago" become wrong, or the position in the live events is older than MOST_AGE_S (300) seconds.
    """

    headers: list[tuple[str, str]]
    compressed: bytes
    calls: tuple[Asked, ...]
    good_until: float

    @classmethod
    def of(
        cls,
        headers: list[tuple[str, str]],
        body: bytes,
        calls: tuple[Asked, ...],
        good_until: float,
    ) -> Self:
        """Return a page with the body `body`, which is compressed; the other parameters are those of the class."""
        return cls(headers, zlib.compress(body, 1), calls, good_until)

    @property
    def body(self) -> bytes:
        """The page's body, decompressed at each access."""
        return zlib.decompress(self.compressed)


class KeptPages:
    """Kept pages of all sites in this process, by Key (host, path, query, and language or "json"), bounded to `most`
    bytes of memory: the page that was found or added the longest ago is removed first. `bytes`: about how many the
    pages take now.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._pages: OrderedDict[Key, KeptPage] = OrderedDict()
        self.bytes = 0

    def find(self, key: Key) -> KeptPage | None:
        """Return the page kept under a key (host, path, query, and language or "json"); it may be sent only once the
        API has confirmed that the page's GETs are unchanged. None without a page, and for a page past its `good_until`,
        which is removed.
        """
        found = self._pages.get(key)
        if found is None:
            return None
        if time.monotonic() > found.good_until:
            self.forget(key)
            return None
        self._pages.move_to_end(key)
        return found

    def add(self, key: Key, page: KeptPage) -> None:
        """Keep a page under a key (host, path, query, and language or "json"), in place of the key's former one. A page
        of more than LARGEST bytes (512 KiB), compressed and with its key and calls, is not kept, nor one made of no GET
        or of more than MOST_CALLS (8); the former page then stays.
        """
        size = _size(key, page)
        if size > LARGEST or not 0 < len(page.calls) <= MOST_CALLS:
            return
        self.forget(key)
        self._pages[key] = page
        self.bytes += size
        while self.bytes > self._most:
            oldest = next(iter(self._pages))
            self.forget(oldest)

    def forget(self, key: Key) -> None:
        """Remove the page of a key, if there is one."""
        if (page := self._pages.pop(key, None)) is not None:
            self.bytes -= _size(key, page)


def _size(key: Key, page: KeptPage) -> int:
    """Return about how many bytes of memory a page takes with its key and calls."""
    texts: list[Any] = [*key, *(text for pair in page.headers for text in pair)]
    texts += [text for call in page.calls for text in (call.path, call.query, call.etag)]
    return len(page.compressed) + sum(map(sys.getsizeof, texts)) + 300 + 150 * len(page.calls)
