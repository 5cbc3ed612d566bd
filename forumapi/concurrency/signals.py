"""Signal handlers in a thread of their own, so that they can't deadlock on a lock that the main thread holds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


def on(sign: int, act: Callable[[], object]) -> None:
    """Set the handler of the signal `sign`: it calls `act` in a new thread each time.

    In the main thread `act` could deadlock: the signal may interrupt that thread while it holds a lock that `act`
    needs, such as that of an Event.
    """
    signal.signal(sign, lambda number, frame: threading.Thread(target=act).start())
