"""What was used last, bounded by weight. A hit costs two look-ups and weighs nothing."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


# What Python has once, however often it stands somewhere.
_SHARED: Final = frozenset(map(id, (None, True, False, "", b"", (), *range(-5, 257))))


def size(value: object) -> int:
    """Bytes of plain data with all that it holds; what stands in it twice counts twice."""
    if id(value) in _SHARED:
        return 0
    found = sys.getsizeof(value)
    if isinstance(value, (tuple, list, frozenset)):
        found += sum(map(size, value))
    return found


class Lru(Generic[K, V]):
    """Entries of at most `limit` weights in all, as `weigh` says; what was not asked for the longest goes first."""

    def __init__(self, limit: int, weigh: Callable[[V], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The entry, or None."""
        found = self._entries.get(key)
        if found is not None:
            try:
                self._entries.move_to_end(key)
            except KeyError:  # another thread has crowded it out just now
                pass
        return found

    def add(self, key: K, value: V) -> None:
        """Keep an entry until it is crowded out."""
        entries = self._entries
        before = entries.pop(key, None)
        if before is not None:
            self._weight -= self._weigh(before)
        entries[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._limit and len(entries) > 1:
            self._weight -= self._weigh(entries.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight(self) -> int:
        """Of all entries."""
        return self._weight
