"""General rate limit: a token bucket per access token and per address, in each process.

It is approximate on purpose: each process holds its share of the limit. Limits on sign-in and codes are rows that all
nodes share instead.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from forumapi.wire.client_address import network


class Allowance(NamedTuple):
    """Remaining requests of a caller, for the RateLimit headers. `reset_s`: until the bucket is full again."""

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int  # 0: the request is allowed


# Rounding error of whole numbers that were converted to seconds and back.
_NOISE: Final = 1e-6
# Bytes that a bucket takes: the hash of its key, a number and its place in the dict; measured.
_BUCKET: Final = 250


def hash_of(key: str) -> bytes:
    """Hash the key of a bucket, a token or address, into 16 bytes, so that a memory dump reveals neither."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Buckets:
    """Token buckets of `per_minute` requests; 0 switches the limit off.

    Beyond MOST_BYTES the least recently used are dropped; a dropped bucket is full when it is used again.
    """

    MOST_BYTES: Final = 6 * 1024 * 1024

    def __init__(self, per_minute: int, share: int = 1) -> None:
        self.limit = max(1, per_minute // share) if per_minute else 0
        self._rate = self.limit / 60
        # When each is full again, on the monotonic clock.
        self._full: OrderedDict[bytes, float] = OrderedDict()

    def take(self, key: str) -> Allowance | None:
        """Take one request from the bucket of `key`, a token or address; None if there is no limit.

        If the bucket is empty nothing is taken, and the allowance says how long to wait.
        """
        hash, now = hash_of(key), time.monotonic()
        full = max(self._full.get(hash, 0.0), now)
        if not self.limit:
            self._keep(hash, full)
            return None
        level = self.limit - (full - now) * self._rate + _NOISE
        if level < 1:
            self._keep(hash, full)
            wait = math.ceil((1 - level) / self._rate)
            return Allowance(self.limit, 0, math.ceil(full - now - _NOISE), max(1, wait))
        full += 1 / self._rate
        self._keep(hash, full)
        return Allowance(self.limit, int(level - 1), math.ceil(full - now - _NOISE), 0)

    def _keep(self, hash: bytes, full: float) -> None:
        self._full[hash] = full
        self._full.move_to_end(hash)
        while len(self._full) * _BUCKET > self.MOST_BYTES:
            self._full.popitem(last=False)

    def knows(self, key: str) -> bool:
        """Return True if `key` has a bucket: a request was taken from it lately."""
        return hash_of(key) in self._full

    def forget(self, key: str) -> None:
        """Drop the bucket of `key`, which is full when it is used again."""
        self._full.pop(hash_of(key), None)

    def give_back(self, key: str) -> None:
        """Undo one `take` of `key`."""
        hash = hash_of(key)
        if self.limit and hash in self._full:
            self._full[hash] -= 1 / self._rate


class AddressBuckets(Buckets):
    """Token buckets by client address.

    IPv6 addresses of one network share one, since a household has a whole network.
    """

    def take(self, key: str) -> Allowance | None:
        """Take one request of the client address `key`; None if there is no limit."""
        return super().take(network(key) if ":" in key else key) if self.limit else None

    def give_back(self, key: str) -> None:
        """Undo one `take` of the client address `key`."""
        super().give_back(network(key) if ":" in key else key)
