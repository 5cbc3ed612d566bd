"""`--plans PAGE`: the statements of a page by their time in PostgreSQL, with their plans.

PostgreSQL's own auto_explain writes the plan of every tenth statement, with the time and the buffers of each node, to
the log of the embedded server.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from pathlib import Path

OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_analyze=on",
        "auto_explain.log_buffers=on",
        "auto_explain.sample_rate=0.1",
    )
)
"""What a client asks of its connections, as PGOPTIONS."""

ENTRY = re.compile(r"\n(?=\d{4}-\d\d-\d\d \d\d:)")
PLAN = re.compile(r"duration: ([\d.]+) ms  plan:\s+Query Text: (.*?)\n\s*(.*cost=.*)", re.DOTALL)
NAME = re.compile(r"/\* (\S+) \*/")
BUFFERS = re.compile(r"Buffers: shared hit=(\d+)")


def summary(log: str, to: Path) -> str:
    """Format the statements in a server log, by the sum of their times; write each one's median plan to `to`."""
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for entry in ENTRY.split(log):
        match = PLAN.search(entry)
        if match:
            named = NAME.search(match[2])
            name = named[1] if named else " ".join(match[2].split())[:60]
            found[name].append((float(match[1]), match[3]))
    if not found:
        return "the server logged no plan"
    order = sorted(found.items(), key=lambda item: -sum(ms for ms, _ in item[1]))
    whole = sum(ms for plans in found.values() for ms, _ in plans)
    lines = ["  share  middle ms  buffers  sampled  statement"]
    with to.open("w") as out:
        for name, plans in order:
            plans.sort()
            middle = statistics.median_low([ms for ms, _ in plans])
            plan = next(text for ms, text in plans if ms == middle)
            buffers = BUFFERS.search(plan)
            share = sum(ms for ms, _ in plans) / whole
            lines.append(
                f"{share:7.1%} {middle:10.2f} {buffers[1] if buffers else '0':>8} {len(plans):8}  {name}"
            )
            out.write(f"{name}, {middle} ms\n{plan}\n\n")
    return "\n".join(lines)
