"""What was used last, or is used most often, bounded by weight."""

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
    elif isinstance(value, dict):
        found += sum(size(key) + size(one) for key, one in value.items())
    return found


# Bytes of Python objects around an entry, beside its key and value; measured.
AROUND: Final = 150


def plainly(key: object, value: object) -> int:
    """Weight of an entry of plain data, in bytes."""
    return AROUND + size(key) + size(value)


class Lru(Generic[K, V]):
    """Entries of at most `limit` weights in all, as `weigh` says; what was not asked for the longest goes first.

    A hit costs two look-ups and weighs nothing.
    """

    def __init__(self, limit: int, weigh: Callable[[K, V], int]) -> None:
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
            self._weight -= self._weigh(key, before)
        entries[key] = value
        self._weight += self._weigh(key, value)
        while self._weight > self._limit and len(entries) > 1:
            self._weight -= self._weigh(*entries.popitem(last=False))

    def clear(self) -> None:
        """Keep nothing."""
        self._entries.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight(self) -> int:
        """Of all entries."""
        return self._weight
