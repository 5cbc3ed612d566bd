"""End of a child process with its parent, however that ends: the function that a child calls before its program."""

from __future__ import annotations

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


def end_with_parent(sign: int = signal.SIGTERM) -> None:
    """Ask the kernel to send this process the signal `sign` when its parent ends, or the parent's thread that started
    it; to be passed as `preexec_fn` of a child.

    The function makes a single call into libc and takes no lock of Python's, so it is safe in a program with threads.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, sign, 0, 0, 0)
