"""Processes as Linux's /proc shows them: CPU time, memory, children; and the pinning to cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, of a process and all below it, ended ones included; 0.0 if there is no
    such process.

    Ended processes count through their parents, so the figure only grows. Each process is rounded to a hundredth of a
    second.
    """
    ticks = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(int(value) for value in fields[11:15])  # utime, stime, cutime, cstime
    return ticks / TICKS_A_SECOND


def exact_cpu_s(pid: int) -> float:
    """Return the same as cpu_s, to the microsecond, but without processes and threads that have ended."""
    total = 0
    for one in tree(pid):
        for task in Path(f"/proc/{one}/task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(task.read_text().split()[0])
    return total / 1e9


def machine_cpu_s() -> float:
    """Return the CPU seconds that the machine has spent on all processes since it started, over all cores."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / TICKS_A_SECOND


def tree(pid: int) -> list[int]:
    """Return the ids of a process and of all processes below it."""
    found = [pid]
    for one in found:
        found.extend(children(one))
    return found


def children(pid: int) -> list[int]:
    """Return the ids of a process's direct children."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def parent(pid: int) -> int:
    """Return the id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def name(pid: int) -> str:
    """Return the short name of a process; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident_mb(pid: int) -> float:
    """Return the resident memory of one process in MB (10^6 bytes), shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def pin(pids: Iterable[int], core: int | None) -> None:
    """Bind processes to one core; do nothing for None."""
    if core is None:
        return
    for pid in pids:
        try:
            os.sched_setaffinity(pid, {core})
        except (ProcessLookupError, PermissionError):
            continue


@contextlib.contextmanager
def on(core: int | None) -> Iterator[None]:
    """Start processes in the with statement bound to this core; None: to none."""
    before = os.sched_getaffinity(0)
    pin([0], core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
