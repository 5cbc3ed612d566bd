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

    def forget(self, key: K) -> None:
        """Keep an entry no longer."""
        found = self._entries.pop(key, None)
        if found is not None:
            self._weight -= self._weigh(key, found)

    def oldest(self) -> tuple[K, V] | None:
        """The entry that goes first; None of none."""
        return next(iter(self._entries.items()), None)

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


class Popular(Generic[K, V]):
    """Entries of at most `limit` weights in all: those stay that are asked for most often.

    Where more things are asked for in turn than there is room for, what was used last is not what is needed next: each
    would go just before its turn comes again, and none would ever be found. Here a newcomer has to be asked for more
    often than the one whose place it takes (TinyLFU). What many asked for and nobody does any more is forgotten, as
    all counts are halved every so many look-ups.
    """

    _MOST: Final = 7
    _HALVED_EVERY: Final = 2_000  # look-ups

    def __init__(self, limit: int, weigh: Callable[[V], int], *, newcomers: int = 1000) -> None:
        """`newcomers`: of how many that are not kept it is known how often they were asked for."""
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._looks = 0
        # Each with how often it was asked for, and the number of halvings until then.
        self._entries: OrderedDict[K, tuple[V, int, int]] = OrderedDict()
        self._newcomers: Lru[K, tuple[int, int]] = Lru(newcomers, lambda *_: 1)

    def get(self, key: K) -> V | None:
        """The entry, or None: then `offer` it once it is made."""
        self._looks += 1
        found = self._entries.get(key)
        if found is None:
            return None
        value, times, then = found
        now = self._looks // self._HALVED_EVERY
        self._entries[key] = (value, min((times >> (now - then)) + 1, self._MOST), now)
        self._entries.move_to_end(key)
        return value

    def offer(self, key: K, value: V) -> None:
        """Keep an entry that was not found, if it is asked for again, and more often than those in its place."""
        now = self._looks // self._HALVED_EVERY
        times, then = self._newcomers.get(key) or (0, now)
        times = min((times >> (now - then)) + 1, self._MOST)
        if times == 1 or not self._make_room(self._weigh(value), times, now):
            self._newcomers.add(key, (times, now))
            return
        self._entries[key] = (value, times, now)
        self._weight += self._weigh(value)

    def _make_room(self, weight: int, times: int, now: int) -> bool:
        """Let those go that were asked for less often, the one not asked for the longest first; False: one was not."""
        if weight > self._limit:
            return False
        while self._entries and self._weight + weight > self._limit:
            key, (value, often, then) = next(iter(self._entries.items()))
            if often >> (now - then) >= times:
                # The next newcomer is held against another one.
                self._entries.move_to_end(key)
                return False
            del self._entries[key]
            self._weight -= self._weigh(value)
        return True

    def __len__(self) -> int:
        return len(self._entries)
