"""Memory budget of values derived from the trees of a process: one bound for all sites and callers."""

from __future__ import annotations

from typing import Final, Protocol
from weakref import WeakSet

# Bytes of the Python objects around a derived value, and of a microcosm in a set; measured.
OBJECT_BYTES: Final = 300
MICROCOSM_BYTES: Final = 120


class Holder(Protocol):
    """Object that keeps derived values and can drop them."""

    def forget(self) -> None:
        """Drop all derived values."""


class MemoryBudget:
    """Bound on the bytes of derived values, summed over all holders.

    At the bound every holder drops all its values: those still in use are soon derived again, the others are gone.
    """

    LIMIT: Final = 12 * 1024 * 1024

    def __init__(self) -> None:
        self.bytes = 0
        self._holders: WeakSet[Holder] = WeakSet()

    def charge(self, holder: Holder, size: int) -> None:
        """Account for `size` bytes that `holder` is about to keep; a negative size gives bytes back."""
        if self.bytes + size > self.LIMIT:
            for known in list(self._holders):
                known.forget()
            self._holders.clear()
            # Bytes of trees that no longer exist were counted too: rather too much than too little.
            self.bytes = 0
        self._holders.add(holder)
        self.bytes += size


budget: Final = MemoryBudget()
