"""LRU cache bounded by the weight of its entries, and the weight of plain Python data in bytes."""

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
    """Return the bytes that plain data takes in memory (tuples, lists, frozensets, dicts, texts, bytes, numbers), with
    all its parts; a part that occurs twice counts twice, and what Python holds only once, such as None or a small
    number, counts 0.
    """
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
    """Weigh a cache entry of plain data: the bytes of its key and value and of the objects around them. For `weigh` of
    Lru.
    """
    return AROUND + size(key) + size(value)


class Lru(Generic[K, V]):
    """LRU cache whose entries weigh `limit` at most in all, each as much as `weigh(key, value)` returns; an entry that
    alone weighs more is kept, as the only one.
    """

    def __init__(self, limit: int, weigh: Callable[[K, V], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value under `key`, and count it as just used, to be evicted last; None if there is none."""
        found = self._entries.get(key)
        if found is not None:
            try:
                self._entries.move_to_end(key)
            except KeyError:  # another thread has evicted it just now
                pass
        return found

    def add(self, key: K, value: V) -> None:
        """Store `value` under `key`, in place of an earlier one; then evict the entries that were used longest ago,
        until all are within the limit or the new one alone is left.
        """
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
        """Return the weight of all entries, in the unit of `weigh`."""
        return self._weight
