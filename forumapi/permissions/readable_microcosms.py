"""Set of the microcosms that a caller may list, as permissions/evaluator.py has found it, with a cache of what was made
of the tree for that set.
"""

from __future__ import annotations

from typing import Any, Final

from forumapi.permissions.memory_budget import MICROCOSM_BYTES, OBJECT_BYTES, budget

# Bytes of a row beside a rendering; measured.
_ROW_BYTES: Final = 500


class ReadableMicrocosms:
    """Live microcosms that a caller may list: `ids` in the order of the tree, and `set`, the same ids for look-ups.

    `cache`: values made of the tree for these microcosms, stored by `keep`. `stamp`: hash of the ids, for entity tags.
    """

    __slots__ = ("__weakref__", "cache", "ids", "set", "stamp")

    def __init__(self, ids: tuple[int, ...]) -> None:
        self.ids = ids
        self.set = frozenset(ids)
        self.stamp = hash(ids)
        self.cache: dict[object, Any] = {}

    def keep(self, key: object, value: Any) -> Any:
        """Cache `value` (bytes, a tuple with bytes, or ReadableMicrocosms) under `key`, and return it; its size counts
        in the memory budget.
        """
        budget.charge(self, _weight(value) - (_weight(self.cache[key]) if key in self.cache else 0))
        self.cache[key] = value
        return value

    def forget(self) -> None:
        """Drop all cached values."""
        self.cache.clear()


def _weight(value: Any) -> int:
    """Return the estimated bytes of a cached value."""
    if isinstance(value, bytes):
        return OBJECT_BYTES + len(value)
    if isinstance(value, ReadableMicrocosms):
        return OBJECT_BYTES + MICROCOSM_BYTES * len(value.ids)
    return OBJECT_BYTES + _ROW_BYTES + sum(len(part) for part in value if isinstance(part, bytes))
