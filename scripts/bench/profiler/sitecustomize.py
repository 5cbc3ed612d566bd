"""Sampler of CPU time, loaded into every Python process that has this folder on its path.

It does nothing until a process gets SIGRTMIN: then it notes, at every tick of the process's CPU clock, the functions
that run. At the next SIGRTMIN it stops and writes the stacks to BENCH_PROFILE, one a line: frames innermost first,
separated by ";", then the number of ticks. Time spent in C counts for the Python line that called it.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

TICK_S = 0.001
"""What is asked of the kernel; it may tick less often."""

_stacks: Counter[tuple[str, ...]] = Counter()
_running = False


def toggle(_signal: int, _frame: FrameType | None) -> None:
    """Start sampling, or stop it and write the file: handler of SIGRTMIN."""
    global _running
    _running = not _running
    signal.setitimer(signal.ITIMER_PROF, *((TICK_S, TICK_S) if _running else (0, 0)))
    if not _running:
        lines = (f"{';'.join(stack)} {ticks}" for stack, ticks in _stacks.most_common())
        Path(os.environ["BENCH_PROFILE"]).write_text("\n".join(lines) + "\n")


def tick(_signal: int, frame: FrameType | None) -> None:
    """Count the present stack: handler of the clock's signal."""
    stack = []
    while frame is not None:
        code = frame.f_code
        stack.append(f"{code.co_qualname}|{code.co_filename}|{frame.f_lineno}")
        frame = frame.f_back
    _stacks[tuple(stack)] += 1


if "BENCH_PROFILE" in os.environ:
    signal.signal(signal.SIGRTMIN, toggle)
    signal.signal(signal.SIGPROF, tick)
