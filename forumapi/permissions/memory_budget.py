"""Memory budget of the permissions and renderings that are cached with trees: one for all sites of a process."""

from __future__ import annotations

from typing import Final, Protocol
from weakref import WeakSet

# Bytes of the Python objects around a derived value, and of a microcosm in a set; measured.
OBJECT_BYTES: Final = 300
MICROCOSM_BYTES: Final = 120


class Holder(Protocol):
    """Object that caches values, and can drop them all."""

    def forget(self) -> None:
        """Drop all cached values."""


class MemoryBudget:
    """Limit on the estimated bytes of cached values, summed over all holders.

    When LIMIT would be exceeded all holders drop all of their values: those that are still in use are soon computed
    again.
    """

    LIMIT: Final = 12 * 1024 * 1024

    def __init__(self) -> None:
        self.bytes = 0
        self._holders: WeakSet[Holder] = WeakSet()

    def charge(self, holder: Holder, size: int) -> None:
        """Add `size` estimated bytes, of a value that `holder` is about to cache, to the sum. If the sum would exceed
        LIMIT, first have all holders drop all of their values, which sets it to 0. A negative size takes bytes off.
        """
        if self.bytes + size > self.LIMIT:
            for known in list(self._holders):
                known.forget()
            self._holders.clear()
            # Bytes of trees that no longer exist were counted too: rather too much than too little.
            self.bytes = 0
        self._holders.add(holder)
        self.bytes += size


budget: Final = MemoryBudget()
