"""Signal handlers in a thread of their own, so that they can't deadlock on a lock that the main thread holds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


def on(sign: int, act: Callable[[], object]) -> None:
    """Call `act` in a new thread at each such signal.

    The signal may interrupt the main thread while it holds the very lock that `act` needs, that of an Event included.
    """
    signal.signal(sign, lambda number, frame: threading.Thread(target=act).start())
