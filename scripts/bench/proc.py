"""Processes as Linux's /proc shows them: CPU time, memory, children, and their cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of a process and everything below it, ended or not.

    What ended counts through its parent, so the figure only grows. Rounded to a hundredth of a
    second for each process. 0.0 when there is no such process.
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
    """As cpu_s, to the microsecond, but without what has ended: for processes and threads that stay."""
    total = 0
    for one in tree(pid):
        for task in Path(f"/proc/{one}/task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(task.read_text().split()[0])
    return total / 1e9


def machine_cpu_s() -> float:
    """CPU seconds that the machine has spent on anything at all since it started, all cores together."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / TICKS_A_SECOND


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for one in found:
        found.extend(children(one))
    return found


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def parent(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def name(pid: int) -> str:
    """The short name of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident_mb(pid: int) -> float:
    """Resident memory of one process in MB (10^6 bytes), pages shared with others included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def pin(pids: Iterable[int], core: int | None) -> None:
    """Let these processes use one core only; None leaves them as they are."""
    if core is None:
        return
    for pid in pids:
        try:
            os.sched_setaffinity(pid, {core})
        except (ProcessLookupError, PermissionError):
            continue


@contextlib.contextmanager
def on(core: int | None) -> Iterator[None]:
    """Processes started inside begin on this core and stay there; None: wherever."""
    before = os.sched_getaffinity(0)
    pin([0], core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
