"""Metrics of the engine and of its use (counters, gauges, histograms), counted in memory that the workers share.

All metrics are declared below. Counting is an addition in the process's own region of the memory that the master shares
with its workers: a request sends, locks and formats nothing. The region of a worker that has ended is taken over, with
its counts, by the next worker: so totals never fall, and any worker can report the sums of all.

Within a process additions may come from any greenlet, but not from threads of the operating system.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import random
import re
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

# Upper bounds of the buckets of a timing, in seconds; one more bucket holds longer times.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_CLASSES: Final = len(BOUNDS) + 1

_HEADER: Final = 64
_NAMES: Final = 640 * 1024
_SLOTS: Final = 48_000
# Pages of it that hold no series are never touched, and take no memory.
_REGION: Final = 1024 * 1024
# A series without room counts here, and is not reported.
_WASTE: Final = _SLOTS - _CLASSES - 1
assert _HEADER + _NAMES + _SLOTS * 8 <= _REGION

# How many values of one series are kept in an interval, for StatsD and Riemann.
SAMPLES: Final = 100

Labels = tuple[str, ...]


class Region:
    """Part of the shared memory that one process owns: names and values of its series. `memory`: _REGION bytes, which
    may hold the counts of an earlier owner. `slots`: index in `values` of each series' first slot, by name; `load`: one
    number, the owner's load as `share_load` sets it.
    """

    def __init__(self, memory: memoryview) -> None:
        self._names = memory[:8].cast("Q")  # bytes of names
        self.load: Any = memory[8:16].cast("d")
        self._text = memory[_HEADER : _HEADER + _NAMES]
        # Offset of the doubles, counted in doubles.
        self.values: Any = memory[_HEADER + _NAMES : _HEADER + _NAMES + _SLOTS * 8].cast("d")
        self.slots: dict[str, int] = {}
        self._read = 0
        self._next = 0

    def refresh(self) -> None:
        """Read the names of series that the owner, perhaps another process, has added since the last call."""
        used = self._names[0]
        if used != self._read:
            for line in bytes(self._text[self._read : used]).decode().splitlines():
                count, _, name = line.partition(" ")
                self.slots[name] = self._next
                self._next += int(count)
            self._read = used

    def slot(self, name: str, count: int) -> int:
        """Find the series `name`, or add it with `count` slots of zero; return the index of its first slot in `values`.
        If the region is full, return _WASTE, the index of slots that nobody reads.
        """
        found = self.slots.get(name)
        if found is None:
            line = f"{count} {name}\n".encode()
            used = self._names[0]
            if used + len(line) > _NAMES or self._next + count > _WASTE:
                return _WASTE
            found = self.slots[name] = self._next
            self._text[used : used + len(line)] = line
            self._next += count
            self._read = self._names[0] = used + len(line)
        return found

    @property
    def used(self) -> list[float]:
        """Return the values of all slots in use, as a list by the slots' index."""
        found: list[float] = self.values[: self._next].tolist()
        return found

    @property
    def is_used(self) -> bool:
        """Return True if a process has ever counted in this region."""
        return self._names[0] > 0


class Shared:
    """Shared memory for the counts of up to `most` processes of one machine. Made before they are forked; each claims a
    region.

    The owner of a region holds a lock on one byte of the file behind the memory; the kernel releases it when the
    process ends.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._fd = os.memfd_create("forumapi-metrics")
        os.ftruncate(self._fd, most * _REGION)
        self._memory = memoryview(mmap.mmap(self._fd, most * _REGION))
        self._regions: list[Region] = []
        self.own = -1

    def claim(self) -> Region | None:
        """Make the first region that no living process owns this process's own, with the counts in it, and return that
        region; None if all are owned.
        """
        for number in range(self._most):
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                self.own = number
                region = self._at(number)
                region.refresh()
                return region
        return None

    def regions(self) -> Iterator[tuple[Region, bool]]:
        """Yield each region that any process ever claimed and counted in, with True if its owner lives."""
        for number in range(self._most):
            region = self._at(number)
            if not region.is_used:
                # Regions are claimed from the first on.
                return
            region.refresh()
            yield region, number == self.own or self._is_held(number)

    @property
    def is_first(self) -> bool:
        """Return True in the living process with the first region, which reports gauges for all."""
        return self.own >= 0 and not any(self._is_held(number) for number in range(self.own))

    def least_load(self, below: float) -> float:
        """Return the least load of the other living processes; `below` if no load is less than `below`."""
        least = below
        for number in range(self._most):
            region = self._at(number)
            if not region.is_used:
                break
            # Last: it is a system call.
            if number != self.own and region.load[0] < least and self._is_held(number):
                least = region.load[0]
        return least

    def _at(self, number: int) -> Region:
        while len(self._regions) <= number:
            start = len(self._regions) * _REGION
            self._regions.append(Region(self._memory[start : start + _REGION]))
        return self._regions[number]

    def _is_held(self, number: int) -> bool:
        asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        kind: int = struct.unpack("hhqqi", fcntl.fcntl(self._fd, fcntl.F_GETLK, asked))[0]
        return kind != fcntl.F_UNLCK


class _State:
    """State of the metrics of this process. `shared` None: there is no shared memory, and the process counts in memory
    of its own. `inherited`: counts that the region had when this process claimed it; `samples`, by metric and label
    values: some of the durations since the last report, and the number of all; None while nobody wants them.
    """

    def __init__(self) -> None:
        self.shared: Shared | None = None
        self.region = Region(memoryview(bytearray(_REGION)))
        self.values = self.region.values
        # Counts of the region when this process began.
        self.inherited: list[float] = []
        # Values of timings since the last report, and their number; None while they are not wanted.
        self.samples: dict[tuple[str, Labels], tuple[list[float], list[int]]] | None = None


_state: Final = _State()


def share(most: int) -> None:
    """Allocate the memory of metrics that processes forked later share, for at most `most` of them at a time; do
    nothing if it is allocated already.
    """
    if _state.shared is None:
        _state.shared = Shared(most)


def join() -> bool:
    """Claim a region of the shared memory, count there from now on, and return True; return False, and go on counting
    in this process's own memory, if no memory is shared or no region is free.
    """
    region = _state.shared.claim() if _state.shared is not None else None
    if region is None:
        return False
    _state.region = region
    _state.values = region.values
    region.load[0] = math.inf
    _state.inherited = region.used
    _slots_of.clear()
    for metric in Metric.all.values():
        metric.forget()
    # A counter that appears with its first 1 shows no increase: counters of alerts are there from the start.
    for metric in Metric.all.values():
        if not metric.labels and not isinstance(metric, PlatformGauge):
            metric.slot(())
    for reason in ("away", "busy"):
        DATABASE_REFUSED.slot((reason,))
    for series, slot in region.slots.items():
        if isinstance(Metric.all.get(series.partition("{")[0]), Gauge):
            region.values[slot] = 0.0
    return True


def is_first() -> bool:
    """Return True in the one process of this machine that sends the gauges of all processes that share the memory; also
    where no memory is shared, so that a process sends its own gauges. False in a process that found no free region.
    """
    return _state.shared is None or _state.shared.is_first


# ---------------------------------------------------------------- what workers tell each other


def share_load(load: float) -> None:
    """Set this worker's load, which the other workers read: its number of connections, of which one with live events
    counts as a small part; infinite while it accepts none.
    """
    _state.region.load[0] = load


def add_load(by: float) -> None:
    """Add `by` to this worker's load, in connections as `share_load` counts them: 1 for a new one, -1 for one that has
    ended.
    """
    _state.region.load[0] += by


def load() -> float:
    """Return this worker's load, in connections, as `share_load` and `add_load` have set it."""
    return float(_state.region.load[0])


def least_load() -> float:
    """Return the least load of all workers, in connections, this one included."""
    own = load()
    return own if _state.shared is None else _state.shared.least_load(own)


# ---------------------------------------------------------------- kinds of figures


class Metric:
    """Base class of metrics. `name` ends in the unit, `text` says what is counted, `labels` are the names of its
    labels.

    Each combination of label values is a series.
    """

    kind = ""
    all: dict[str, Metric] = {}
    _width = 1

    def __init__(self, name: str, text: str, *labels: str) -> None:
        if name in Metric.all:
            raise ValueError(f"two figures are called {name}")
        self.name = name
        self.text = text
        self.labels = labels
        self._slots: dict[Labels, int] = {}
        Metric.all[name] = self

    def slot(self, labels: Labels) -> int:
        """Return the index of the first slot, in this process's region, of the series with these label values, which is
        made if it does not exist; _WASTE if the region is full.
        """
        found = self._slots.get(labels)
        if found is None:
            name = series(self.name, dict(zip(self.labels, labels, strict=True)))
            found = self._slots[labels] = _state.region.slot(name, self._width)
            if found == _WASTE:
                DROPPED.add()
        return found

    def forget(self) -> None:
        """Forget the slots of all series, since this process counts in another region now."""
        self._slots.clear()

    def value(self, *labels: str) -> float:
        """Return the value in this process's region of the series with these label values, with the counts of the
        region's earlier owners; of a Timing, the sum in seconds. A series that does not exist is made, with 0.
        """
        return float(_state.values[self.slot(labels)])

    def counted(self) -> Iterator[tuple[Labels, float]]:
        """Yield the label values of each series of this counter or timing that this process has used, with what the
        process has added to the series; counts of the region's earlier owners are left out, and series for which the
        region had no room.
        """
        for labels, slot in list(self._slots.items()):
            if slot != _WASTE:
                before = _state.inherited[slot] if slot < len(_state.inherited) else 0.0
                yield labels, _state.values[slot] - before


class Counter(Metric):
    """Metric that only grows: a number of occurrences."""

    kind = "counter"

    def add(self, by: float = 1, *labels: str) -> None:
        """Add `by` occurrences to the series with these label values, which is made if it does not exist."""
        _state.values[self.slot(labels)] += by


class Gauge(Metric):
    """Metric with a present value of each process; the sum over living processes is reported."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        """Set this process's value of the series with these label values, which is made if it does not exist."""
        _state.values[self.slot(labels)] = value

    def add(self, by: float, *labels: str) -> None:
        """Add `by`, which may be negative, to this process's value of the series with these label values."""
        _state.values[self.slot(labels)] += by


class Timing(Metric):
    """Metric of durations, as a histogram: their sum in seconds, and their number in each bucket of BOUNDS."""

    kind = "histogram"
    _width = _CLASSES + 1

    def observe(self, seconds: float, *labels: str) -> None:
        """Add one duration, in seconds, to the series with these label values."""
        slot = self.slot(labels)
        values = _state.values
        values[slot] += seconds
        values[slot + 1 + bisect_left(BOUNDS, seconds)] += 1
        if _state.samples is not None:
            _sample(self.name, labels, seconds)


class PlatformGauge(Metric):
    """Gauge of the whole platform, read from the database when it is reported (platform_health.py); no value is kept in
    memory.
    """

    kind = "gauge"


def _sample(name: str, labels: Labels, seconds: float) -> None:
    """Take the duration `seconds` of a series (`labels` of the metric `name`) into the random sample of at most SAMPLES
    that is kept of the series since the last report; each duration has the same probability. To be called only while
    samples are wanted (`want_samples`), which is asserted.
    """
    assert _state.samples is not None, "somebody wants them"
    kept, seen = _state.samples.setdefault((name, labels), ([], [0]))
    seen[0] += 1
    if len(kept) < SAMPLES:
        kept.append(seconds)
    elif (place := random.randrange(seen[0])) < SAMPLES:
        kept[place] = seconds


def escaped(value: str) -> str:
    """Escape a label's value for Prometheus' text format."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def series(name: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series in Prometheus' form, `name{label="value"}`; `name` alone without labels."""
    inner = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def labels_of(name: str) -> Labels:
    """Return the label values in the name of a series that `series` made, in their order there."""
    return tuple(
        _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], found)
        for found in _LABEL.findall(name)
    )


_ESCAPE: Final = re.compile(r"\\(.)")
_LABEL: Final = re.compile(r'="((?:[^"\\]|\\.)*)"')

# ---------------------------------------------------------------- the figures

DROPPED: Final = Counter("forumapi_metrics_dropped_total", "Series that found no room.")
# The first series, since a full region has no room for one more.
DROPPED.slot(())

REQUESTS: Final = Counter("forumapi_requests_total", "Requests.", "route", "method", "status")
REQUEST_SECONDS: Final = Timing("forumapi_request_seconds", "Time to answer a request.", "route")
STATEMENTS: Final = Counter("forumapi_statements_total", "SQL statements of requests.", "route")
STATEMENT_SECONDS: Final = Counter(
    "forumapi_statement_seconds_total", "Time that requests waited for SQL statements.", "route"
)
CRASHES: Final = Counter("forumapi_crashes_total", "Exceptions that nobody expected.")
LOG_LOST: Final = Counter("forumapi_log_lines_lost_total", "Log lines that found no way out.")

QUERY_CALLS: Final = Counter("forumapi_query_calls_total", "Runs of a statement.", "query")
QUERY_SECONDS: Final = Counter("forumapi_query_seconds_total", "Time it took in all.", "query")
DATABASE_WAIT: Final = Timing(
    "forumapi_database_wait_seconds", "Time that a request waited for a free connection."
)
DATABASE_REFUSED: Final = Counter(
    "forumapi_database_refused_total", "Requests that got no connection.", "reason"
)
DATABASE_CONNECTIONS: Final = Gauge(
    "forumapi_database_connections", "PostgreSQL connections of the web workers.", "state"
)
DATABASE_WAITING: Final = Gauge(
    "forumapi_database_waiting", "Requests that wait for a connection now."
)
ADMISSION_RUNNING: Final = Gauge("forumapi_admission_running", "Requests in work now.")
ADMISSION_WAITING: Final = Gauge(
    "forumapi_admission_waiting", "Requests that wait for their site's turn now."
)
ADMISSION_SITES: Final = Gauge("forumapi_admission_sites", "Sites of which some wait, by worker.")
ADMISSION_WAIT: Final = Timing(
    "forumapi_admission_wait_seconds", "Time that a request waited for its site's turn."
)
ADMISSION_REFUSED: Final = Counter(
    "forumapi_admission_refused_total", "Requests that got no turn.", "reason"
)
REPLICA_READS: Final = Counter(
    "forumapi_replica_reads_total",
    "Statements that a standby may answer, and how they fared.",
    "outcome",
)
REPLICA_USED: Final = Gauge("forumapi_replica_used", "Workers that read from the standby.")

CACHE: Final = Counter(
    "forumapi_cache_lookups_total",
    "Documents and answers, and where they were found.",
    "cache",
    "found",
)
MEMCACHED_FAILED: Final = Counter(
    "forumapi_memcached_failures_total", "Exchanges with memcached that failed."
)

WRITES: Final = Counter("forumapi_writes_total", "Things written by people.", "item", "action")
SIGN_INS: Final = Counter("forumapi_sign_ins_total", "Sign-ins that ended with a token.")
MAILS: Final = Counter("forumapi_mails_total", "Mails handed over, or not.", "outcome")
PUSHES: Final = Counter("forumapi_pushes_total", "Messages of web push.", "outcome")
WEBHOOKS: Final = Counter("forumapi_webhooks_total", "Deliveries to webhooks.", "outcome")
WEBHOOK_SECONDS: Final = Timing("forumapi_webhook_seconds", "Time until a webhook answered.")
SOCKETS: Final = Gauge("forumapi_sockets", "Open WebSockets.")

WORKERS: Final = Gauge("forumapi_workers", "Web workers that run.")
WORKER_STARTS: Final = Counter("forumapi_worker_starts_total", "Web workers started.")
WORKER_MEMORY: Final = Gauge("forumapi_worker_memory_bytes", "Resident memory of the web workers.")
CPU_SECONDS: Final = Counter("forumapi_worker_cpu_seconds_total", "CPU time of the web workers.")
LOOP_LAG: Final = Timing(
    "forumapi_loop_lag_seconds", "How late a worker looked up, because one request kept it busy."
)

CRON_RUNS: Final = Counter("forumapi_cron_runs_total", "Runs of jobs.", "task", "outcome")
CRON_SECONDS: Final = Timing("forumapi_cron_seconds", "Time that a run took.", "task")

# ---- of the whole platform: asked of the database when somebody wants to know
DATABASE_UP: Final = PlatformGauge("forumapi_database_up", "1 when PostgreSQL answered.")
EVENTS_UNNUMBERED: Final = PlatformGauge(
    "forumapi_events_unnumbered", "Committed events that have no number yet."
)
EVENTS_LAG: Final = PlatformGauge("forumapi_events_lag_seconds", "Age of the oldest of them.")
EVENTS_UNREAD: Final = PlatformGauge(
    "forumapi_events_unread", "Events that a reader has before it.", "reader"
)
OUTBOX: Final = PlatformGauge(
    "forumapi_outbox", "What waits to be sent, or was given up.", "outbox", "state"
)
OUTBOX_LAG: Final = PlatformGauge(
    "forumapi_outbox_lag_seconds", "How long the oldest has been due.", "outbox"
)
CRON_DONE: Final = PlatformGauge(
    "forumapi_cron_last_success_timestamp_seconds", "When a job last ended well.", "task"
)
CRON_FAILED: Final = PlatformGauge(
    "forumapi_cron_last_failure_timestamp_seconds", "When a job last failed.", "task"
)
BACKUP_FINISHED: Final = PlatformGauge(
    "forumapi_backup_last_success_timestamp_seconds", "When the last backup ended."
)

# ---------------------------------------------------------------- the hot path

# (route, method, status) -> slots: requests, timing, statements, their time.
_slots_of: dict[tuple[str, str, int], tuple[int, int, int, int]] = {}


def request(
    route: str, method: str, status: int, seconds: float, statements: int, statement_s: float
) -> None:
    """Count an answered request, its duration, and its SQL statements. `route`: its address template, never a text of
    the client; `seconds`: duration of the whole request; `statements`: their number, `statement_s`: their time in
    seconds.
    """
    values = _state.values
    key = (route, method, status)
    slots = _slots_of.get(key)
    if slots is None:
        slots = _open(key)
    values[slots[0]] += 1
    values[slots[1]] += seconds
    values[slots[1] + 1 + bisect_left(BOUNDS, seconds)] += 1
    values[slots[2]] += statements
    values[slots[3]] += statement_s
    if _state.samples is not None:
        _sample(REQUEST_SECONDS.name, (route,), seconds)


def _open(key: tuple[str, str, int]) -> tuple[int, int, int, int]:
    route, method, status = key
    slots = (
        REQUESTS.slot((route, method if method in _METHODS else "other", str(status))),
        REQUEST_SECONDS.slot((route,)),
        STATEMENTS.slot((route,)),
        STATEMENT_SECONDS.slot((route,)),
    )
    if method in _METHODS:
        # Clients may invent methods; those are looked up each time.
        _slots_of[key] = slots
    return slots


_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

# ---------------------------------------------------------------- reading


class Sample(NamedTuple):
    """Present value of one series, over all processes. Of a Timing `value` is the sum in seconds, and `classes` has the
    number in each bucket, not cumulated, the last one for durations above all BOUNDS; of other metrics `classes` is
    empty.
    """

    metric: Metric
    series: str
    value: float
    classes: tuple[float, ...]


def gather() -> Iterator[Sample]:
    """Yield the sum of each series over the processes that share the memory, ended ones included, in the order in which
    metrics are declared, then of their names; a Gauge sums living processes alone. Platform gauges are left out.
    """
    regions: Iterable[tuple[Region, bool]] = [(_state.region, True)]
    if _state.shared is not None:
        regions = _state.shared.regions()
    found: dict[str, list[float]] = {}
    for region, lives in regions:
        for name, slot in region.slots.items():
            metric = Metric.all.get(name.partition("{")[0])
            if metric is None or (isinstance(metric, Gauge) and not lives):
                continue
            width = metric._width
            values: list[float] = region.values[slot : slot + width].tolist()
            held = found.get(name)
            found[name] = (
                values if held is None else [a + b for a, b in zip(held, values, strict=True)]
            )
    by_metric: dict[str, list[str]] = {}
    for name in found:
        by_metric.setdefault(name.partition("{")[0], []).append(name)
    for metric in Metric.all.values():
        for name in sorted(by_metric.get(metric.name, ())):
            value, *classes = found[name]
            yield Sample(metric, name, value, tuple(classes))


def exposition(samples: Iterable[Sample]) -> bytes:
    """Format samples in Prometheus' text format. The samples of one metric must follow each other, as `gather` yields
    them.
    """
    lines: list[str] = []
    told = ""
    for metric, name, value, classes in samples:
        if metric.name != told:
            told = metric.name
            lines.append(f"# HELP {told} {metric.text}")
            lines.append(f"# TYPE {told} {metric.kind}")
        if not classes:
            lines.append(f"{name} {value:.17g}")
            continue
        labels = name.removeprefix(told)[1:-1]
        before = f"{labels}," if labels else ""
        total = 0.0
        for bound, count in zip((*BOUNDS, None), classes, strict=True):
            total += count
            limit = "+Inf" if bound is None else f"{bound:g}"
            lines.append(f'{told}_bucket{{{before}le="{limit}"}} {total:.17g}')
        around = f"{{{labels}}}" if labels else ""
        lines.append(f"{told}_sum{around} {value:.17g}")
        lines.append(f"{told}_count{around} {total:.17g}")
    return ("\n".join(lines) + "\n").encode()


def want_samples(wanted: bool) -> None:
    """Keep a sample of single durations for `take_samples` from now on or, if not `wanted`, stop and drop it."""
    if wanted and _state.samples is None:
        _state.samples = {}
    elif not wanted:
        _state.samples = None


def take_samples() -> dict[tuple[str, Labels], tuple[list[float], int]]:
    """Return, by metric's name and label values, the sampled durations in seconds since the last call, SAMPLES at most,
    and the number of all durations since then; {} unless `want_samples` has asked for them.
    """
    if _state.samples is None:
        return {}
    taken, _state.samples = _state.samples, {}
    return {key: (kept, seen[0]) for key, (kept, seen) in taken.items()}
