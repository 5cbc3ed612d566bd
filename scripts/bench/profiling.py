"""`--profile PAGE`: the functions of the web worker by the CPU that a page takes in them."""

from __future__ import annotations

import os
import signal
import sysconfig
import time
from collections import Counter
from pathlib import Path

from scripts.bench.services import ROOT, Server

PACKAGES = sysconfig.get_paths()["purelib"]
STANDARD = sysconfig.get_paths()["stdlib"]


def toggle(server: Server) -> None:
    """Start the sampler in the worker, or stop it and let it write its file."""
    os.kill(server.worker(), signal.SIGRTMIN)


def wait_for(path: Path) -> None:
    """Wait until the sampler has written its file. Raises RuntimeError after ten seconds."""
    end = time.monotonic() + 10
    while not (path.exists() and path.read_text().endswith("\n")):
        if time.monotonic() > end:
            raise RuntimeError("the sampler wrote nothing")
        time.sleep(0.1)


def summary(path: Path, cpu_ms: float, top: int = 40) -> str:
    """Format the sampler's file as three tables. `cpu_ms`: CPU of the web worker for one request, by which shares
    become microseconds.
    """
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, ticks_text = line.rpartition(" ")
        ticks = int(ticks_text)
        frames = [frame.split("|") for frame in stack.split(";") if frame]
        if not frames:
            continue
        functions = [f"{name}  {_short(file)}" for name, file, _ in frames]
        own[functions[0]] += ticks
        lines[f"{functions[0]}:{frames[0][2]}"] += ticks
        for function in set(functions):
            below[function] += ticks
    total = sum(own.values())
    if not total:
        return "no samples"
    parts = [f"{total} samples, {cpu_ms * 1000:.0f} µs of CPU a request in the web process"]
    for title, counts in (
        ("itself", own),
        ("with what it calls", below),
        ("by line, itself", lines),
    ):
        parts.append(f"\n  share   µs/req  {title}")
        for name, ticks in counts.most_common(top):
            share = ticks / total
            parts.append(f"{share:7.1%} {share * cpu_ms * 1000:8.1f}  {name}")
    return "\n".join(parts)


def _short(file: str) -> str:
    for base in (PACKAGES, STANDARD, str(ROOT)):
        if file.startswith(base + "/"):
            return file[len(base) + 1 :]
    return file
