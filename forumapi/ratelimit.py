"""The general request limit: a token bucket per token and per address, in each process.

Approximate on purpose: a process holds its share of the limit, nothing is shared (architecture, processes). Limits on
sign-in and codes are rows shared by all nodes instead.
"""

from __future__ import annotations

import math
import time
from typing import Final, NamedTuple

from forumapi.addresses import caller


class Allowance(NamedTuple):
    """What a caller has left: for the RateLimit headers. `reset_s`: until the bucket is full again."""

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int  # 0: the request is allowed


class Buckets:
    """Token buckets of `per_minute` requests; 0 switches the limit off."""

    MAX: Final = 50_000

    def __init__(self, per_minute: int, share: int = 1) -> None:
        self.limit = max(1, per_minute // share) if per_minute else 0
        self._rate = self.limit / 60
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> Allowance | None:
        """Take one request of `key`; None when there is no limit."""
        if not self.limit:
            return None
        now = time.monotonic()
        level, then = self._buckets.get(key, (float(self.limit), now))
        level = min(self.limit, level + (now - then) * self._rate)
        if level < 1:
            wait = math.ceil((1 - level) / self._rate)
            return Allowance(
                self.limit, 0, math.ceil((self.limit - level) / self._rate), max(1, wait)
            )
        if len(self._buckets) >= self.MAX:
            self._buckets.clear()
        self._buckets[key] = (level - 1, now)
        return Allowance(
            self.limit, int(level - 1), math.ceil((self.limit - level + 1) / self._rate), 0
        )


class AddressBuckets(Buckets):
    """Buckets of whoever calls from an address: of IPv6 one household or server has addresses without end."""

    def take(self, key: str) -> Allowance | None:
        """Take one request of the caller at the address `key`."""
        return super().take(caller(key) if ":" in key else key)
