"""Report of a benchmark run: its figures beside the targets, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench import known_items, unread
from scripts.bench.load import Result
from scripts.bench.pages import SHARE_LATER, Page
from scripts.bench.rights import Rights

WORKER_MB = 150.0
L_TIMES_M = 1.3
QUIET = 0.05
"""A machine is quiet when others take at most this share of its CPU."""
LEGEND = f"""\
/cpu-s: requests per CPU-second of the web process; floor: the same for a constant of this size;
share: of it (to become {SHARE_LATER:.0%} for a member's pages of lists). web, pg, mc, all: CPU ms a request of the
web process, PostgreSQL, memcached and the three together; ×1st: all, over that of the first page.
p50, p99, p99.9: ms, the worker saturated. sql, cache: round trips of a warm request, the middle
and the most. A column headed ≥ or ≤ holds the target of the one before it.""".splitlines()


@dataclass(frozen=True)
class Cpu:
    """CPU milliseconds for one request in the web process, PostgreSQL and memcached; None for one that is not on this
    machine.
    """

    web_ms: float
    postgresql_ms: float | None
    memcached_ms: float | None
    others: float
    """What else ran on the machine meanwhile: its share of the CPU of all cores."""

    @property
    def all_ms(self) -> float:
        """Return the sum of the three, as far as they are known."""
        return self.web_ms + (self.postgresql_ms or 0.0) + (self.memcached_ms or 0.0)


@dataclass
class Row:
    """Line of the table: what was measured of one page."""

    page: Page
    addresses: int
    size: int
    """Bytes of the middle answer's body."""
    result: Result
    cpu: Cpu
    floor_per_cpu_s: float | None
    """Requests per CPU-second of the web process that serves a constant of that size."""
    statements: list[int]
    """PostgreSQL round trips of a warm request: fewest, middle, most over the addresses."""
    cache_trips: list[int]
    wrong: list[str] = field(default_factory=list)
    """What spoils the line: answers that were not the right ones, a sentence each."""
    times_first: float | None = None
    times_m: float | None = None

    @property
    def per_cpu_s(self) -> float:
        """Return the requests for each CPU second of the web process."""
        return 1000 / self.cpu.web_ms if self.cpu.web_ms else 0.0

    @property
    def share(self) -> float | None:
        """Return the requests as a share of the minimal server's, None if that was not measured."""
        return self.per_cpu_s / self.floor_per_cpu_s if self.floor_per_cpu_s else None

    def missed(self) -> list[str]:
        """Return in words the targets that the page has missed."""
        targets = self.page.targets
        found = []

        def check(name: str, value: float | None, limit: float | None, most: bool) -> None:
            if value is None or limit is None or (value <= limit if most else value >= limit):
                return
            found.append(
                f"{name} {_number(value)} instead of {'≤' if most else '≥'} {_number(limit)}"
            )

        check("share", self.share, targets.share, most=False)
        check("CPU ms", self.cpu.all_ms, targets.cpu_ms, most=True)
        check("times the first page", self.times_first, targets.times_first, most=True)
        check("times M", self.times_m, L_TIMES_M, most=True)
        check("requests/s", self.result.rate, targets.rate, most=False)
        check("p99 ms", self.result.p99 * 1000, targets.p99_ms, most=True)
        if self.statements:
            check("statements", self.statements[1], targets.statements, most=True)
            check("cache trips", self.cache_trips[1], targets.cache_trips, most=True)
        return found


@dataclass
class Report:
    """Result of a whole run: a Row for each page, and the circumstances."""

    about: dict[str, Any]
    """Size, machine, versions, driver, what was chosen."""
    rows: list[Row] = field(default_factory=list)
    one_query: tuple[Result, Cpu] | None = None
    """The floor's page of one prepared SELECT."""
    worker_mb: float = 0.0
    search: known_items.Report | None = None
    """How well known items were found."""
    flags: unread.Flags | None = None
    """What the unread flags of a front page take, measured beside its page."""
    rights: Rights | None = None
    """Changes of rights on a large site, and sign-ins."""

    def relate(self, of_m: dict[str, Any] | None) -> None:
        """Compute the figures that compare rows with one another and, if given, with the run on the data set of
        size M.
        """
        by_name = {row.page.name: row for row in self.rows}
        costs = {row["page"]: row["cpu_ms"]["all"] for row in of_m["rows"]} if of_m else {}
        for row in self.rows:
            first = by_name.get(row.page.targets.first)
            if first and first.cpu.all_ms:
                row.times_first = row.cpu.all_ms / first.cpu.all_ms
            if costs.get(row.page.name):
                row.times_m = row.cpu.all_ms / costs[row.page.name]

    @property
    def is_sound(self) -> bool:
        """Return True if no answer was wrong and no connection broke."""
        parts = (*self.rows, self.search, self.rights)
        return not any(part.wrong for part in parts if part)

    def table(self) -> str:
        """Return the table for people."""
        lines = [f"{key}: {value}" for key, value in self.about.items()]
        lines.append("")
        lines += TableLines(self.rows).lines()
        lines.append("")
        if self.one_query:
            result, cpu = self.one_query
            lines.append(
                f"One-query JSON page of the floor: {result.rate:,.0f} requests/s, "
                f"{1000 / cpu.web_ms:,.0f} per CPU-second of web, {_cpu_words(cpu)}, "
                f"p99 {result.p99 * 1000:.1f} ms."
            )
        verdict = "met" if self.worker_mb < WORKER_MB else "MISSED"
        lines.append(
            f"Worker resident after the run: {self.worker_mb:.0f} MB (< {WORKER_MB:.0f}: {verdict})."
        )
        if self.flags:
            verdict = "met" if self.flags.is_good else "MISSED"
            lines.append(f"{self.flags.words()}: {verdict}.")
        if self.rights:
            verdict = "met" if self.rights.is_good else "MISSED"
            lines.append(f"{self.rights.words()}: {verdict}.")
            lines += [f"WRONG    rights: {words}" for words in self.rights.wrong]
        if self.search:
            verdict = "met" if self.search.is_good else "MISSED"
            lines.append(f"{self.search.words()}: {verdict}.")
            lines += [f"not found  {words}" for words in self.search.missed]
        others = statistics.median(row.cpu.others for row in self.rows)
        if others > QUIET:
            lines.append(
                f"NOT A QUIET MACHINE: other processes took {others:.0%} of its CPU. Shares and CPU times hold "
                "roughly; requests/s, p50, p99 and p99.9 do not."
            )
        missed = [(row, row.missed()) for row in self.rows]
        lines.append("")
        lines += [
            f"missed   {row.page.name}: {'; '.join(words)}" for row, words in missed if words
        ] or ["Every target is met."]
        lines += [f"WRONG    {row.page.name}: {words}" for row in self.rows for words in row.wrong]
        lines += [
            f"WRONG    search: {words}" for words in (self.search.wrong if self.search else ())
        ]
        compared = sum(row.result.compared for row in self.rows)
        differing = sum(row.result.differing for row in self.rows)
        lines.append(
            f"{compared:,} timed answers compared with those outside the benchmark: "
            f"{compared - differing:,} the same byte for byte, {differing:,} held against them by meaning."
        )
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write the figures as JSON to `path`; docs/benchmarks.md lists the keys."""
        document: dict[str, Any] = {"about": self.about}
        document["rows"] = [_row(row) for row in self.rows]
        if self.one_query:
            result, cpu = self.one_query
            document["one_query"] = {"requests_per_s": result.rate, "cpu_ms": _cpu(cpu)}
        document["worker_mb"] = self.worker_mb
        if self.flags:
            document["unread_flags"] = asdict(self.flags)
        if self.rights:
            document["rights"] = asdict(self.rights)
        if self.search:
            document["search"] = self.search.document()
        document["sound"] = self.is_sound
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


class TableLines:
    """Rows formatted in columns of fixed width."""

    COLUMNS: tuple[tuple[str, int], ...] = (
        ("page", -20),
        ("as", -8),
        ("bytes", 7),
        ("req/s", 6),
        ("/cpu-s", 7),
        ("floor", 6),
        ("share", 6),
        ("≥", 4),
        ("web", 6),
        ("pg", 6),
        ("mc", 5),
        ("all ms", 7),
        ("≤", 5),
        ("×1st", 5),
        ("≤", 4),
        ("p50", 6),
        ("p99", 6),
        ("p99.9", 6),
        ("≤", 4),
        ("sql", 5),
        ("≤", 2),
        ("cache", 5),
        ("≤", 2),
        (" ", -7),
    )

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def lines(self) -> list[str]:
        """Return the heading, a rule, the rows, and the meaning of the columns."""
        heading = self._line([name for name, _ in self.COLUMNS])
        found = [heading, "─" * len(heading)]
        for row in self.rows:
            if row.page.name == "whoami" and row is not self.rows[0]:
                found.append("")
            found.append(self._line(self._cells(row)))
        found += ["", *LEGEND]
        return found

    def _line(self, cells: Sequence[str]) -> str:
        parts = []
        for cell, (_, width) in zip(cells, self.COLUMNS, strict=True):
            parts.append(cell.ljust(-width) if width < 0 else cell.rjust(width))
        return " ".join(parts).rstrip()

    @staticmethod
    def _cells(row: Row) -> list[str]:
        targets, result = row.page.targets, row.result
        rate = f"{result.rate:,.0f}" + ("" if targets.rate is None else f"≥{targets.rate:.0f}")
        verdict = "WRONG" if row.wrong else "missed" if row.missed() else "met"
        return [
            row.page.title,
            row.page.who,
            f"{row.size:,}",
            rate,
            f"{row.per_cpu_s:,.0f}",
            _cell(row.floor_per_cpu_s, ",.0f"),
            _cell(row.share, ".0%"),
            _cell(targets.share, ".0%"),
            f"{row.cpu.web_ms:.2f}",
            _cell(row.cpu.postgresql_ms, ".2f"),
            _cell(row.cpu.memcached_ms, ".2f"),
            f"{row.cpu.all_ms:.2f}",
            _cell(targets.cpu_ms, ".2f"),
            _cell(row.times_first, ".2f"),
            _cell(targets.times_first, ".1f"),
            f"{result.p50 * 1000:.1f}",
            f"{result.p99 * 1000:.1f}",
            f"{result.p999 * 1000:.1f}",
            _cell(targets.p99_ms, ".0f"),
            _range(row.statements),
            _cell(targets.statements, ".0f"),
            _range(row.cache_trips),
            _cell(targets.cache_trips, ".0f"),
            verdict,
        ]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _range(values: Sequence[int]) -> str:
    """Return the median as text, with the maximum if that differs."""
    if not values:
        return "?"
    return str(values[1]) if values[1] == values[2] else f"{values[1]}–{values[2]}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")


def _cpu(cpu: Cpu) -> dict[str, float | None]:
    return {
        "web": cpu.web_ms,
        "postgresql": cpu.postgresql_ms,
        "memcached": cpu.memcached_ms,
        "all": cpu.all_ms,
    }


def _cpu_words(cpu: Cpu) -> str:
    postgresql = "" if cpu.postgresql_ms is None else f" + PostgreSQL {cpu.postgresql_ms:.2f}"
    return f"web {cpu.web_ms:.2f}{postgresql} ms a request"


def _row(row: Row) -> dict[str, Any]:
    result = asdict(row.result)
    return {
        "page": row.page.name,
        "as": row.page.who,
        "addresses": row.addresses,
        "bytes": row.size,
        "requests": row.result.requests,
        "seconds": row.result.seconds,
        "requests_per_s": row.result.rate,
        "requests_per_cpu_s": row.per_cpu_s,
        "floor_requests_per_cpu_s": row.floor_per_cpu_s,
        "share_of_floor": row.share,
        "cpu_ms": _cpu(row.cpu),
        "times_first_page": row.times_first,
        "times_m": row.times_m,
        "others_cpu_share": row.cpu.others,
        "latency_ms": {key: result[key] * 1000 for key in ("p50", "p99", "p999")},
        "statements": row.statements,
        "cache_trips": row.cache_trips,
        "compared": row.result.compared,
        "differing": row.result.differing,
        "targets": {k: v for k, v in asdict(row.page.targets).items() if v not in (None, "")},
        "missed": row.missed(),
        "wrong": row.wrong,
    }
