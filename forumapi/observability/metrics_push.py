"""Push of metrics to StatsD and Riemann, every `metrics_interval_s`.

Each process sends what it has added to counters, and its timings. Gauges of a machine are sent by its first worker,
those of the whole platform by the process that `leads`. Sending never blocks requests: packets that can't be sent are
lost, which is logged once.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessages

from forumapi.observability import metrics
from forumapi.observability.log import logger

# Most bytes of a packet that fits everywhere, and of a message that Riemann accepts by default.
_STATSD_BYTES: Final = 1_400
_RIEMANN_BYTES: Final = 8_000
_TIMEOUT_S: Final = 2.0
TICK_S: Final = 1.0

_ODD: Final = re.compile(r"[^A-Za-z0-9-]+")


class Point(NamedTuple):
    """Value to send, of the series of the metric `name` with these label values. `kind`: "c" for what a counter has
    grown by, "g" for a gauge, "ms" for one timing.

    The value of a timing is in seconds. `rate`: share of the series' timings that are sent, 1 for all: one that is sent
    stands for 1 / `rate` timings.
    """

    name: str
    labels: metrics.Labels
    kind: str
    value: float
    rate: float = 1.0


# ---------------------------------------------------------------- StatsD


def statsd_lines(points: Iterable[Point], prefix: str) -> list[str]:
    """Format points as lines of StatsD's protocol, one line each in the order of the points: `prefix`, metric and label
    values, joined by dots, are the name; timings become milliseconds.
    """
    lines = []
    for point in points:
        parts = [prefix, _short(point.name), *point.labels]
        name = ".".join(_ODD.sub("_", part).strip("_") or "root" for part in parts if part)
        value = point.value * 1000 if point.kind == "ms" else point.value
        rate = f"|@{point.rate:.4g}" if point.rate < 1 else ""
        lines.append(f"{name}:{value:.10g}|{point.kind}{rate}")
    return lines


def _short(name: str) -> str:
    return name.removeprefix("forumapi_").removesuffix("_total")


def packets(lines: Iterable[str]) -> list[bytes]:
    """Join StatsD's lines in their order into UDP packets, each as full as it may be; a line longer than a packet
    has one of its own.
    """
    made: list[bytes] = []
    held: list[bytes] = []
    size = 0
    for line in lines:
        data = line.encode()
        if held and size + len(data) + 1 > _STATSD_BYTES:
            made.append(b"\n".join(held))
            held, size = [], 0
        held.append(data)
        size += len(data) + 1
    if held:
        made.append(b"\n".join(held))
    return made


# ---------------------------------------------------------------- Riemann


def _message_classes() -> tuple[Any, Any]:
    """Make the protobuf classes of Riemann's messages `Event` and `Msg`, with only the fields that are sent or read
    here.
    """
    field = functools.partial(Field, label=Field.LABEL_OPTIONAL)
    many = Field.LABEL_REPEATED
    event = DescriptorProto(
        name="Event",
        field=[
            field(name="time", number=1, type=Field.TYPE_INT64),
            field(name="state", number=2, type=Field.TYPE_STRING),
            field(name="service", number=3, type=Field.TYPE_STRING),
            field(name="host", number=4, type=Field.TYPE_STRING),
            field(name="tags", number=7, type=Field.TYPE_STRING, label=many),
            field(name="ttl", number=8, type=Field.TYPE_FLOAT),
            field(name="metric_d", number=14, type=Field.TYPE_DOUBLE),
        ],
    )
    message = DescriptorProto(
        name="Msg",
        field=[
            field(name="ok", number=2, type=Field.TYPE_BOOL),
            field(name="error", number=3, type=Field.TYPE_STRING),
            field(name="events", number=6, type_name="Event", label=many),
        ],
    )
    file = FileDescriptorProto(name="riemann.proto", message_type=[event, message])
    # A pool of its own: in the common one another library may have the same names.
    made = GetMessages([file], pool=DescriptorPool())
    return made["Event"], made["Msg"]


_Event, _Msg = _message_classes()


def riemann_event(
    service: str, value: float, *, host: str, at: int, ttl_s: float, tags: Sequence[str] = ()
) -> Any:
    """Make a protobuf message of the value of one service for Riemann. `at`: seconds since the epoch; `ttl_s`: how long
    the value counts. `host`, `tags`: the event's fields of these names.
    """
    return _Event(
        time=at, state="ok", service=service, host=host, tags=tags, ttl=ttl_s, metric_d=value
    )


def riemann_messages(events: Iterable[Any]) -> list[bytes]:
    """Pack Riemann's events into encoded messages, in their order, each small enough for one UDP packet; a larger event
    has a message of its own.
    """
    made = [_Msg()]
    size = 0
    for event in events:
        # The type and the length of an event stand before it.
        whole = event.ByteSize() + 4
        if size and size + whole > _RIEMANN_BYTES:
            made.append(_Msg())
            size = 0
        made[-1].events.append(event)
        size += whole
    return [message.SerializeToString() for message in made if message.events]


def riemann_services(
    points: Sequence[Point], prefix: str, interval_s: float
) -> list[tuple[str, float, str]]:
    """Convert points into (service, value, tag) for Riemann; a tag is rate, gauge or timing. `prefix`: first word of
    each service's name.

    A counter becomes a rate per second, over `interval_s`; the timings of a series become four services: their mean,
    p95, p99 and max, in seconds.
    """
    told: list[tuple[str, float, str]] = []
    timings: dict[str, list[float]] = {}
    for point in points:
        service = " ".join((prefix, _short(point.name), *filter(None, point.labels)))
        if point.kind == "ms":
            timings.setdefault(service, []).append(point.value)
        else:
            value = point.value / interval_s if point.kind == "c" else point.value
            told.append((service, value, "rate" if point.kind == "c" else "gauge"))
    for service, values in timings.items():
        values.sort()
        last = len(values) - 1
        told.append((f"{service} mean", sum(values) / len(values), "timing"))
        told.append((f"{service} p95", values[round(last * 0.95)], "timing"))
        told.append((f"{service} p99", values[round(last * 0.99)], "timing"))
        told.append((f"{service} max", values[last], "timing"))
    return told


# ---------------------------------------------------------------- sending


class _Udp:
    """Sender of UDP packets to one address; does not notice if nothing receives them. Raises OSError for an unknown
    host.
    """

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        family, kind, proto, _, address = found[0]
        self._address: Any = address
        # Not connected: a connected socket raises when no process listens.
        self._socket = socket.socket(family, kind, proto)
        self._socket.setblocking(False)

    def send(self, packets: Iterable[bytes]) -> None:
        """Send packets without waiting; those for which the socket's buffer has no room are dropped. Raises OSError."""
        for packet in packets:
            # A full buffer loses the packet, as the network might.
            with contextlib.suppress(BlockingIOError):
                self._socket.sendto(packet, self._address)

    def close(self) -> None:
        self._socket.close()


class _RiemannTcp:
    """Sender of Riemann's messages over TCP, each preceded by its length and acknowledged by the server. Raises OSError
    if it can't connect.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=_TIMEOUT_S)

    def send(self, packets: Iterable[bytes]) -> None:
        """Send encoded messages, waiting after each for its acknowledgement. Raises OSError, also if the server refuses
        one.
        """
        for packet in packets:
            self._socket.sendall(struct.pack(">I", len(packet)) + packet)
            (size,) = struct.unpack(">I", self._receive(4))
            try:
                answer = _Msg.FromString(self._receive(min(size, 65_536)))
            except DecodeError as error:
                raise OSError("what answers does not speak Riemann's protocol") from error
            if not answer.ok:
                raise OSError(f"Riemann refused the figures: {answer.error[:200]!r}")

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the connection was closed")
            data += part
        return data

    def close(self) -> None:
        self._socket.close()


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "localhost", int(port)


class ExportTarget:
    """Target of metrics at `address` ("host:port"): connected for the first packets, and again after a failure;
    failures in a row are logged once. `connect(host, port)` makes the connection.
    """

    def __init__(self, address: str, connect: Callable[[str, int], _Udp | _RiemannTcp]) -> None:
        self.address = address
        self._connect = connect
        self._open: _Udp | _RiemannTcp | None = None
        self._is_failing = False

    def send(self, packets: Sequence[bytes]) -> None:
        """Send packets, connecting first if there is no connection; if that fails, drop them and close the connection.
        Raises nothing.
        """
        try:
            if self._open is None:
                self._open = self._connect(*_host_port(self.address))
            self._open.send(packets)
        except (
            OSError,
            ValueError,
        ) as error:  # UnicodeError, of a host name that is none, is a ValueError
            self.close()
            if not self._is_failing:
                logger.warning("figures can't be sent to %s: %s", self.address, error)
            self._is_failing = True
        else:
            self._is_failing = False

    def close(self) -> None:
        """Close the connection, if there is one."""
        held, self._open = self._open, None
        if held is not None:
            held.close()


class ExportSettings(Protocol):
    """Interface of the settings of the push; `forumapi.config.Config` has them."""

    @property
    def metrics_interval_s(self) -> int: ...
    @property
    def metrics_prefix(self) -> str: ...
    @property
    def metrics_address(self) -> str: ...
    @property
    def riemann_url(self) -> str: ...


class Reporter:
    """Thread that sets the gauges of its process each second, and sends metrics every `metrics_interval_s`.

    `config()` returns the present settings; `sample()` sets the gauges of this process; `platform()` returns the
    metrics of the whole platform, which only the one process sends for which `leads()` returns True.
    """

    def __init__(
        self,
        config: Callable[[], ExportSettings],
        *,
        sample: Callable[[], None] = lambda: None,
        platform: Callable[[], Iterable[Point]] = tuple,
        leads: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._sample = sample
        self._platform = platform
        self._leads = leads
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._sent: dict[tuple[str, metrics.Labels], float] = {}
        self._statsd: ExportTarget | None = None
        self._riemann: ExportTarget | None = None
        self._host = socket.gethostname()

    def start(self) -> None:
        """Start the thread, which runs until `stop`; do nothing if it is started."""
        if self._thread is None:
            self._stopping.clear()
            self._choose()
            self._thread = threading.Thread(target=self._run, name="figures", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Have the thread send a last report and end, waiting two seconds at most, and close the connections; do
        nothing if it is not started.
        """
        if self._thread is not None:
            self._stopping.set()
            self._thread.join(_TIMEOUT_S)
            self._thread = None
            metrics.want_samples(False)
            for target in (self._statsd, self._riemann):
                if target is not None:
                    target.close()

    def _run(self) -> None:
        last = reported = time.monotonic()
        while not self._stopping.wait(TICK_S):
            now = time.monotonic()
            metrics.LOOP_LAG.observe(max(0.0, now - last - TICK_S))
            self._sample()
            last = time.monotonic()
            if last - reported >= self._config().metrics_interval_s:
                self.report(last - reported)
                reported = last
        self._sample()
        self.report(max(time.monotonic() - reported, TICK_S))

    def report(self, interval_s: float) -> None:
        """Send a report of the last `interval_s` seconds to StatsD and Riemann, as far as the settings name them; what
        can't be sent is lost.
        """
        self._choose()
        targets = [one for one in (self._statsd, self._riemann) if one is not None]
        if not targets:
            return
        config = self._config()
        points = self.points()
        if self._statsd is not None:
            self._statsd.send(packets(statsd_lines(points, config.metrics_prefix)))
        if self._riemann is not None:
            at = int(time.time())
            ttl_s = config.metrics_interval_s * 3
            told = riemann_services(points, config.metrics_prefix, interval_s)
            self._riemann.send(
                riemann_messages(
                    riemann_event(
                        service, value, host=self._host, at=at, ttl_s=ttl_s, tags=("forumapi", tag)
                    )
                    for service, value, tag in told
                )
            )

    def points(self) -> list[Point]:
        """Return what is to be sent now: what this process has added to counters since the last call, and its sampled
        timings; from the first process (`metrics.is_first`) the gauges of all processes of the machine, and where
        `leads` returns True the platform's metrics.
        """
        found = []
        for metric in metrics.Metric.all.values():
            if isinstance(metric, metrics.Counter):
                for labels, value in metric.counted():
                    new = value - self._sent.get((metric.name, labels), 0.0)
                    self._sent[metric.name, labels] = value
                    if new:
                        found.append(Point(metric.name, labels, "c", new))
        for (name, labels), (kept, seen) in metrics.take_samples().items():
            rate = len(kept) / seen
            found += [Point(name, labels, "ms", one, rate) for one in kept]
        if metrics.is_first():
            for sample in metrics.gather():
                if sample.metric.kind == "gauge":
                    found.append(
                        Point(
                            sample.metric.name, metrics.labels_of(sample.series), "g", sample.value
                        )
                    )
        if self._leads():
            found += self._platform()
        return found

    def _choose(self) -> None:
        """Make or close the targets, as the present settings name them, and have samples of timings kept while there is
        one.
        """
        config = self._config()
        statsd, (kind, _, riemann) = config.metrics_address, config.riemann_url.partition("://")
        if (self._statsd.address if self._statsd else "") != statsd:
            if self._statsd is not None:
                self._statsd.close()
            self._statsd = ExportTarget(statsd, _Udp) if statsd else None
        if (self._riemann.address if self._riemann else "") != riemann:
            if self._riemann is not None:
                self._riemann.close()
            connect = _RiemannTcp if kind == "tcp" else _Udp
            self._riemann = ExportTarget(riemann, connect) if riemann else None
        metrics.want_samples(self._statsd is not None or self._riemann is not None)
