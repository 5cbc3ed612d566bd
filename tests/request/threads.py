"""A process that has no room for another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# More bytes than a process can address.
_TOO_MUCH = 1 << 46


@contextmanager
def no_threads() -> Iterator[None]:
    """Let no thread start in this process meanwhile: there is no room for its stack."""
    before = threading.stack_size(_TOO_MUCH)
    try:
        yield
    finally:
        threading.stack_size(before)
