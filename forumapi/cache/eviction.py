"""LRU cache bounded by weight, and the weight of plain data in bytes."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


# Objects that Python holds once, however often they are referenced.
_SHARED: Final = frozenset(map(id, (None, True, False, "", b"", (), *range(-5, 257))))


def size(value: object) -> int:
    """Return the bytes of plain data with everything in it; an object that is in it twice counts twice."""
    if id(value) in _SHARED:
        return 0
    found = sys.getsizeof(value)
    if isinstance(value, (tuple, list, frozenset)):
        found += sum(map(size, value))
    elif isinstance(value, dict):
        found += sum(size(key) + size(one) for key, one in value.items())
    return found


# Bytes of Python objects around an entry, beside its key and value; measured.
AROUND: Final = 150


def plainly(key: object, value: object) -> int:
    """Return the bytes of an entry of plain data."""
    return AROUND + size(key) + size(value)


class Lru(Generic[K, V]):
    """LRU cache whose entries weigh at most `limit` in all, by `weigh`.

    A hit costs two look-ups and weighs nothing.
    """

    def __init__(self, limit: int, weigh: Callable[[K, V], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value under `key`; None if there is none."""
        found = self._entries.get(key)
        if found is not None:
            try:
                self._entries.move_to_end(key)
            except KeyError:  # another thread has evicted it just now
                pass
        return found

    def add(self, key: K, value: V) -> None:
        """Store an entry until it is evicted."""
        entries = self._entries
        before = entries.pop(key, None)
        if before is not None:
            self._weight -= self._weigh(key, before)
        entries[key] = value
        self._weight += self._weigh(key, value)
        while self._weight > self._limit and len(entries) > 1:
            self._weight -= self._weigh(*entries.popitem(last=False))

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight(self) -> int:
        """Return the weight of all entries."""
        return self._weight
