"""Rate limit of all requests: a token bucket for each access token and each client address, in each process.

The limit is approximate: a process allows its share of it. Limits of sign-ins and codes are exact, in rows that all
nodes share (`models/access/rate_counters.py`).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from forumapi.wire.client_address import network


class Allowance(NamedTuple):
    """State of a bucket after a request, for the RateLimit headers.

    `limit`: requests a minute in this process. `remaining`: requests left. `reset_s`: seconds until the bucket is full.
    `retry_after_s`: seconds until the next request is allowed; 0: this one is.
    """

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int  # 0: the request is allowed


# Rounding error of whole numbers that were converted to seconds and back.
_NOISE: Final = 1e-6
# Bytes that a bucket takes: the hash of its key, a number and its place in the dict; measured.
_BUCKET: Final = 250


def hash_of(key: str) -> bytes:
    """Return the hash (16 bytes) of a bucket's key, which is stored in place of the key, so that no token or address
    stays in memory.
    """
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Buckets:
    """Token buckets by key, of `per_minute` requests each; 0: no limit. `share`: number of processes that share the
    limit, of which a bucket here has its part, one request a minute at least.

    Beyond MOST_BYTES the bucket that was unused for longest is dropped; when its key comes again the bucket is full.
    """

    MOST_BYTES: Final = 6 * 1024 * 1024

    def __init__(self, per_minute: int, share: int = 1) -> None:
        self.limit = max(1, per_minute // share) if per_minute else 0
        self._rate = self.limit / 60
        # When each is full again, on the monotonic clock.
        self._full: OrderedDict[bytes, float] = OrderedDict()

    def take(self, key: str) -> Allowance | None:
        """Take one request from the bucket of `key`, which is made if there is none; return the bucket's state, None if
        there is no limit.

        From an empty bucket nothing is taken: `retry_after_s` is then above 0.
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
        """Return True if `key` has a bucket, since a request was taken from it lately."""
        return hash_of(key) in self._full

    def forget(self, key: str) -> None:
        """Drop the bucket of `key`, so that the key is unknown, and has a full bucket when it comes again."""
        self._full.pop(hash_of(key), None)

    def give_back(self, key: str) -> None:
        """Undo one `take` of `key`: its bucket, if it has one, has the request again."""
        hash = hash_of(key)
        if self.limit and hash in self._full:
            self._full[hash] -= 1 / self._rate


class AddressBuckets(Buckets):
    """Token buckets by client address; addresses of one IPv6 network (/64) share a bucket."""

    def take(self, key: str) -> Allowance | None:
        """Take one request from the bucket of the client address `key`, for IPv6 from that of its network; return as
        `Buckets.take`, None if there is no limit.
        """
        return super().take(network(key) if ":" in key else key) if self.limit else None

    def give_back(self, key: str) -> None:
        """Undo one `take` of the client address `key`."""
        super().give_back(network(key) if ":" in key else key)
