"""Signals of our own processes, acted on where nothing was interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


def on(sign: int, act: Callable[[], object]) -> None:
    """Let `act` be called in a thread of its own at each such signal.

    The main thread may be anywhere when it comes: what it interrupts may hold the very lock that `act` waits for, that
    of an Event included.
    """
    signal.signal(sign, lambda number, frame: threading.Thread(target=act).start())
