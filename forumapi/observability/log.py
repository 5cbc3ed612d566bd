"""Log of a process: lines of events, and one structured line for each request (platform 7.2).

Never written are tokens, query strings and whole client addresses: a request is named by its address template, a client
by the last two groups of its address, and texts of events lose everything that looks like a secret.

Logging never blocks: a line goes into a queue, from which a thread of the operating system takes it every tenth of a
second (`start`). A target that is slow or unreachable loses lines, which are counted, and delays no request.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import select
import socket
import stat
import string
import sys
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from forumapi.observability import crash_reports, metrics
from forumapi.observability.crash_reports import Gate, for_the_log

if TYPE_CHECKING:
    from forumapi.observability.sentry import Sentry

logger: Final = logging.getLogger("forumapi")

# Anything but a short lower-case word may be an id, a hash, a name or a token.
_OPAQUE: Final = re.compile(r"/(?!v1(?:/|$)|openapi\.json$)(?:[^/]*[^a-z0/][^/]*|[a-z]{21,})")

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Severities of syslog.
_SEVERITIES: Final = {10: 7, 20: 6, 30: 4, 40: 3, 50: 2}
_INFO: Final = 6


def set_level(level: str) -> None:
    """Set the least level of events that are logged: debug, info, warning or error."""
    logger.setLevel(_LEVELS[level])


# ---------------------------------------------------------------- where lines go


class LogLine(NamedTuple):
    """Line of the log. `severity`: 0 to 7 as in syslog; `about`: message id, "event" or "request"; `at`: time since the
    epoch, in seconds.
    """

    text: str
    severity: int
    about: str
    at: float


Queue = deque[LogLine]


class _FileTarget:
    """Target of log lines with a file descriptor: stderr, stdout, or a file, which logrotate may rename."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._fd = self._open()
        # Most bytes of one write, which is atomic: lines of several processes don't mix.
        is_pipe = not stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._most = select.PIPE_BUF if is_pipe else 65_536
        # What is left of a line whose beginning is written.
        self._rest = b""

    def _open(self) -> int:
        if self._target in ("stderr", "stdout"):
            return 2 if self._target == "stderr" else 1
        path = Path(self._target)
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        if self._fd > 2:
            old, self._fd = self._fd, self._open()
            # The rest belongs to the file with the line's beginning; it is lost if there is still no room.
            with contextlib.suppress(OSError):
                if self._rest and self._has_room(old, 0):
                    os.write(old, self._rest)
            self._rest = b""
            os.close(old)

    def begin_anew(self) -> None:
        """Drop the rest of a line that is written in part: this process is a fork, and its parent writes the rest."""
        self._rest = b""

    def _has_room(self, fd: int, patience_ms: int) -> bool:
        waiting = _original("select", "poll")()
        waiting.register(fd, select.POLLOUT)
        return bool(waiting.poll(patience_ms))

    def send(self, lines: Queue) -> None:
        """Write the lines of the queue and remove them from it. Raises OSError; lines of which nothing is written stay
        in the queue, and the next call writes the rest of a line that was cut short.
        """
        while lines or self._rest:
            data = self._rest
            ends = [len(data)]
            while len(ends) <= len(lines):
                one = (lines[len(ends) - 1].text + "\n").encode("utf-8", "backslashreplace")
                if data and len(data) + len(one) > self._most:
                    break
                data += one
                ends.append(len(data))
            written = 0
            try:
                while written < len(data):
                    if not self._has_room(self._fd, _PATIENCE_MS):
                        raise TimeoutError("nobody reads the log")
                    written += os.write(self._fd, data[written:])
            finally:
                begun = bisect_left(ends, written)
                self._rest = data[written : ends[begun]]
                for _ in range(begun):
                    lines.popleft()

    def close(self) -> None:
        if self._fd > 2:
            os.close(self._fd)


class _SyslogTarget:
    """Target of log lines that is a syslog server (RFC 5424): over UDP, TCP (RFC 6587, octet counting) or a local
    socket.

    `kind`: udp, tcp or unix; `address`: (host, port), for unix the path; `make`: class of sockets.
    """

    _FACILITY = 3  # daemon
    _MOST = 60_000
    _TIMEOUT_S = 2.0

    def __init__(self, kind: str, address: Any, make: Any) -> None:
        self._kind = kind
        self._address = address
        self._make = make
        self._socket: Any = None
        self._host = socket.gethostname() or "-"

    def reopen(self) -> None:
        self.close()

    def begin_anew(self) -> None:
        """Close this process's end of the connection: this process is a fork, and its parent goes on using the
        connection.
        """
        self.close()

    def send(self, lines: Queue) -> None:
        """Send the lines of the queue, each cut to _MOST bytes, and remove them from it. Raises OSError; unsent lines
        stay in the queue.
        """
        try:
            while lines:
                if self._socket is None:
                    self._socket = self._connect()
                data = self._message(lines[0])
                if self._kind == "tcp":
                    data = b"%d %b" % (len(data), data)
                self._socket.sendall(data)
                lines.popleft()
        except OSError:
            self.close()
            raise

    def _connect(self) -> Any:
        if self._kind == "unix":
            made = self._make(socket.AF_UNIX, socket.SOCK_DGRAM)
            made.settimeout(self._TIMEOUT_S)
            made.connect(self._address)
            return made
        kind = socket.SOCK_DGRAM if self._kind == "udp" else socket.SOCK_STREAM
        family, kind, proto, _, address = _getaddrinfo()(*self._address, type=kind)[0]
        made = self._make(family, kind, proto)
        made.settimeout(self._TIMEOUT_S)
        made.connect(address)
        return made

    def _message(self, entry: LogLine) -> bytes:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(entry.at))
        micros = int(entry.at % 1 * 1_000_000)
        head = (
            f"<{self._FACILITY * 8 + entry.severity}>1 {stamp}.{micros:06d}Z {self._host}"
            f" forumapi {os.getpid()} {entry.about} - "
        )
        return (head + entry.text).encode("utf-8", "backslashreplace")[: self._MOST]

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _original(module: str, name: str) -> Any:
    """Return the object `name` of a module of the standard library as it is without gevent's patch, for a thread that
    may block.
    """
    from gevent.monkey import get_original

    return get_original(module, name)


def _getaddrinfo() -> Any:
    return _original("socket", "getaddrinfo")


def target_problem(value: str) -> str | None:
    """Return in words what is wrong with the setting `log_target`; None if it is valid."""
    kind, _, rest = value.partition("://")
    if kind in ("udp", "tcp"):
        host, _, port = rest.rpartition(":")
        return None if host and port.isdigit() and 0 < int(port) < 65_536 else _TARGETS
    if kind == "unix":
        return None if rest.startswith("/") else _TARGETS
    return None if value and "://" not in value else _TARGETS


_TARGETS: Final = "must be stderr, stdout, a file, or udp://host:port, tcp://host:port, unix:///path of a syslog server"
_PATIENCE_MS: Final = 200


def _sink(target: str) -> _FileTarget | _SyslogTarget:
    kind, is_address, rest = target.partition("://")
    if not is_address:
        return _FileTarget(target)
    if kind == "unix":
        return _SyslogTarget(kind, rest, _original("socket", "socket"))
    host, _, port = rest.rpartition(":")
    return _SyslogTarget(kind, (host.strip("[]"), int(port)), _original("socket", "socket"))


class Output:
    """Queue of this process's log lines, and their writer. Before `start` and after `stop` each line is written by its
    caller, at once.

    `target`: as in the setting `log_target`; `lost`: number of lines that this process has dropped, those dropped by
    the outputs that this one replaced (`configure`) included.
    """

    LIMIT: Final = 20_000  # lines in the queue
    POLL_S: Final = 0.1
    PAUSE_S: Final = 1.0  # after a failure

    def __init__(self, target: str = "stderr") -> None:
        self.target = target
        self.lost = 0
        self._sink = _sink(target)
        self._lines: Queue = deque()
        self._state = "direct"
        self._must_reopen = False

    @property
    def is_running(self) -> bool:
        """Return True while a background thread writes the lines, between `start` and `stop`."""
        return self._state == "running"

    def write(self, line: str, severity: int = _INFO, about: str = "event") -> None:
        """Queue one line; while no thread runs, write it at once. `severity`, `about`: as in LogLine. Nothing is
        raised: a full queue loses the line, and without a thread a full disk, a closed pipe or an unreachable server
        does, too.
        """
        # A long line counts as several.
        if len(self._lines) * max(1, len(line) // 1000) >= self.LIMIT:
            self.lost += 1
            return
        self._lines.append(LogLine(line, severity, about, time.time()))
        if self._state == "direct":
            try:
                self._sink.send(self._lines)
            except OSError:
                self.lost += len(self._lines)
                self._lines.clear()

    def reopen(self) -> None:
        """Open the log file again by its name, since logrotate has renamed it; connect to a syslog server again. A
        running thread does so within a moment, after this call has returned. Without one OSError is raised for a file
        that can't be opened.
        """
        if self._state == "direct":
            self._sink.reopen()
        else:
            self._must_reopen = True

    def begin_anew(self) -> None:
        """Begin as the output of a fork: `lost` is 0, and the rest of a line that is written in part, and the
        connection, are left to the parent process.
        """
        self.lost = 0
        self._sink.begin_anew()

    def start(self) -> None:
        """Start the thread that writes from now on. To be called after a fork, since threads do not survive one."""
        if self._state == "direct":
            self._state = "running"
            _original("_thread", "start_new_thread")(self._run, ())

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread once it has written the queue, waiting `timeout_s` at most: lines unwritten by then count as
        lost. Later lines are written by their callers.
        """
        if self._state == "running":
            self._state = "stopping"
            until = time.monotonic() + timeout_s
            while self._state == "stopping" and time.monotonic() < until:
                time.sleep(0.01)
            if self._state == "stopping":
                # The thread hangs: the queue stays its own.
                self.lost += len(self._lines)
                self._lines = deque()
            self._state = "direct"

    def close(self) -> None:
        """Write the queue as `stop` does, and close the target; the object is of no use then."""
        self.stop()
        self._sink.close()

    def _run(self) -> None:
        """Write lines until `stop`: body of the thread, in which nothing patched by gevent may be used."""
        sleep = _original("time", "sleep")
        lines = self._lines
        while True:
            is_last = self._state != "running"
            try:
                if self._must_reopen:
                    self._must_reopen = False
                    self._sink.reopen()
                self._sink.send(lines)
            except OSError:
                if not is_last:
                    sleep(self.PAUSE_S)
                    continue
            if is_last:
                if self._state == "stopping":
                    self._state = "stopped"
                return
            sleep(self.POLL_S)


# ---------------------------------------------------------------- what a line looks like


def _stamp(at: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1000):03d}Z"


class _Handler(logging.Handler):
    """Handler of Python's logging that writes events to `output` as text or json (`form`). An exception is written with
    its stack; one whose fingerprint was written within the last ten seconds, or more than 30 in that time (Gate), only
    with message and fingerprint. `sentry` is given each exception, unless it is None.
    """

    def __init__(self, output: Output, form: str, sentry: Sentry | None) -> None:
        super().__init__()
        self.output = output
        self._is_json = form == "json"
        self._sentry = sentry
        self._gate = Gate(every_s=10.0)

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """Set no lock, since a line is appended to the queue in one step."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. A record that can't be formatted is reported on stderr by logging, and nothing is raised."""
        try:
            self._say(record)
        except Exception:  # noqa: BLE001 - a wrong line must not become a wrong answer
            self.handleError(record)

    def _say(self, record: logging.LogRecord) -> None:
        message = for_the_log(record.getMessage())
        line: dict[str, object] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            "message": message,
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            crash = crash_reports.describe(error)
            context: Mapping[str, Any] = getattr(record, "context", {})
            line |= context
            line["fingerprint"] = crash.fingerprint
            metrics.CRASHES.add()
            held = self._gate.admit(crash.fingerprint)
            if held is None:
                line["error"] = f"{crash.links[-1].kind}: {crash.links[-1].message}"
            else:
                line["trace"] = crash.text
            if self._sentry is not None:
                is_fatal = record.levelno > logging.ERROR
                self._sentry.take(crash, "fatal" if is_fatal else "error", context)
        severity = _SEVERITIES.get(record.levelno // 10 * 10, _INFO)
        self.output.write(self._shown(line), severity)

    def _shown(self, line: dict[str, object]) -> str:
        if self._is_json:
            return json.dumps(line, ensure_ascii=False)
        level = str(line.pop("level")).upper()
        text = f"{line.pop('time')} {level} {line.pop('pid')} {line.pop('message')}"
        trace = line.pop("trace", None)
        text += "".join(f" {name}={_quoted(value)}" for name, value in line.items())
        return f"{text}\n{trace}" if trace else text


def _quoted(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[\w./{}:-]+", text) else json.dumps(text, ensure_ascii=False)


def path_template(path: str) -> str:
    """Replace each part of a path that may be an id or a secret by `{id}`, as in `/api/v1/comments/{id}`: all parts but
    words of at most 20 small letters (a-z), `v1` and a last `openapi.json`. For paths without a route.
    """
    # The client decides how long a path is.
    find = _path_template if len(path) <= _KEPT_CHARACTERS else _path_template.__wrapped__
    return find(path)


_KEPT_CHARACTERS: Final = 100


@lru_cache(4096)
def _path_template(path: str) -> str:
    return _OPAQUE.sub("/{id}", path)


@functools.lru_cache(maxsize=1000)
def short_address(ip: str) -> str:
    """Return the last two groups of an IPv4 or IPv6 address (platform 7.2), such as `..3.4`; "-" for ""."""
    separator = ":" if ":" in ip else "."
    return ".." + separator.join(ip.split(separator)[-2:]) if ip else "-"


# Fields of the access log, in the order of the default line.
FIELDS: Final = (
    "time",
    "pid",
    "method",
    "route",
    "status",
    "bytes",
    "ms",
    "db_ms",
    "statements",
    "cache_trips",
    "site",
    "user",
    "profile",
    "ip",
    "request",
    "error",
)
_EXAMPLE: Final[dict[str, object]] = {
    **dict.fromkeys(FIELDS, ""),
    **dict.fromkeys(("pid", "status", "bytes", "statements", "cache_trips"), 0),
    **dict.fromkeys(("site", "user", "profile"), 0),
    **dict.fromkeys(("ms", "db_ms"), 0.0),
}


def format_problem(value: str) -> str | None:
    """Return in words what is wrong with the setting `access_log_format`; None if it is valid."""
    try:
        for _, name, _, _ in string.Formatter().parse(value):
            if name is not None and name not in FIELDS:
                return f"may name only {', '.join(FIELDS)}, in braces"
        value.format_map(_EXAMPLE)
    except (ValueError, IndexError) as error:
        return f"is no format: {error}"
    return None


class AccessLog:
    """Access log, one line for each request: in the operator's format `template` or, if that is "", as text or json
    (`form`).
    """

    def __init__(self, output: Output, *, form: str = "text", template: str = "") -> None:
        self._output = output
        self._is_json = form == "json" and not template
        self._format = template.format_map if template else None
        self._second = 0
        self._stamp = ""

    def write(
        self,
        method: str,
        route: str,
        status: int,
        size: int,
        seconds: float,
        *,
        database_s: float = 0.0,
        statements: int = 0,
        cache_trips: int = 0,
        site_id: int = 0,
        user_id: int = 0,
        profile_id: int = 0,
        ip: str = "",
        request_id: str = "",
        error: str = "",
    ) -> None:
        """Write the line of one request. `method`, `status`: of request and answer; `route`: its address template;
        `size`: bytes of the answer's body; `seconds`: of the whole request, `database_s` of its `statements`;
        `cache_trips`: round trips to memcached; `site_id`, `user_id`, `profile_id`: 0 for none; `ip`: whole address of
        the client, of which the line has the end alone; `request_id`, `error` (message that was sent): "" for none.
        """
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = f"{self._stamp}.{int((now - second) * 1000):03d}Z"
        address, error = short_address(ip), for_the_log(error) if error else ""
        if self._format is None and not self._is_json:
            # The default line, and so the one that must cost least.
            text = (
                f"{stamp} ACCESS {os.getpid()} {method} {route} {status} {size}B {seconds * 1000:.1f}ms"
                f" db={database_s * 1000:.1f}ms/{statements} cache={cache_trips}"
                f" site={site_id} user={user_id} profile={profile_id} ip={address} request={request_id or '-'}"
            )
            if error:
                text += f" error={json.dumps(error, ensure_ascii=False)}"
            self._output.write(text, _INFO, "request")
            return
        line = {
            "time": stamp,
            "pid": os.getpid(),
            "method": method,
            "route": route,
            "status": status,
            "bytes": size,
            "ms": round(seconds * 1000, 1),
            "db_ms": round(database_s * 1000, 1),
            "statements": statements,
            "cache_trips": cache_trips,
            "site": site_id,
            "user": user_id,
            "profile": profile_id,
            "ip": address,
            "request": request_id or "-",
            "error": error,
        }
        if self._format is None:
            line["level"] = "access"
            self._output.write(msgspec.json.encode(line).decode(), _INFO, "request")
        else:
            # One line, whatever characters it holds.
            line["error"] = json.dumps(error, ensure_ascii=False) if error else ""
            self._output.write(self._format(line), _INFO, "request")


# ---------------------------------------------------------------- this process's log

_requests: AccessLog | None = None
_output: Output | None = None
_sentry: Sentry | None = None


def configure(
    *,
    level: str = "info",
    form: str = "text",
    target: str = "stderr",
    access: bool = False,
    access_format: str = "",
    sentry_dsn: str = "",
    environment: str = "",
) -> Output:
    """Set up this process's log: events of at least `level` go to `target` as text or json (`form`), and crashes to
    Sentry too if `sentry_dsn` is not ""; return the log's output.

    With `access`, `requests` returns an access log, in the format `access_format` ("": `form`). `environment`: name
    that Sentry shows. May be called again: the same target stays open, another one replaces it once the queued lines
    are written. Raises OSError for a file that can't be opened, and then changes nothing.
    """
    global _requests, _output, _sentry
    output = _output
    if output is None or output.target != target:
        output = Output(target)
        if _output is not None:
            if _output.is_running:
                output.start()
            _output.close()
            output.lost += _output.lost
        _output = output
    if not sentry_dsn:
        _sentry = None
    elif _sentry is None or (_sentry.dsn, _sentry.environment) != (sentry_dsn, environment):
        # Imported late: gevent must patch sockets and threads before the library is imported.
        from forumapi.observability.sentry import Sentry

        _sentry = Sentry(sentry_dsn, environment=environment)
    _requests = AccessLog(output, form=form, template=access_format) if access else None
    logger.handlers[:] = [_Handler(output, form, _sentry)]
    logger.propagate = False
    set_level(level)
    return output


class LogSettings(Protocol):
    """Interface of the settings that `apply` reads; `forumapi.config.Config` has them."""

    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> str: ...
    @property
    def log_target(self) -> str: ...
    @property
    def access_log(self) -> bool: ...
    @property
    def access_log_format(self) -> str: ...
    @property
    def sentry_dsn(self) -> str: ...
    @property
    def mode(self) -> str: ...


def apply(config: LogSettings, *, access: bool) -> None:
    """Set up this process's log by the settings; with `access` False without an access log, whatever the settings say.
    Raises OSError for a log file that can't be opened, and then changes nothing.
    """
    configure(
        level=config.log_level,
        form=config.log_format,
        target=config.log_target,
        access=access and config.access_log,
        access_format=config.access_log_format,
        sentry_dsn=config.sentry_dsn,
        environment=config.mode,
    )


def requests() -> AccessLog | None:
    """Return the access log of this process; None if it has none."""
    return _requests


def start() -> None:
    """Write log lines in a background thread from now on, and log exceptions that end a thread or the process; to be
    called after the fork, in each process.
    """
    if _output is not None:
        _output.start()
    threading.excepthook = _thread_ended
    sys.excepthook = _process_ends


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = ended.thread.name if ended.thread is not None else "a thread"
        logger.critical("%s ended", name, exc_info=ended.exc_value)


def _process_ends(kind: type[BaseException], error: BaseException, trace: object) -> None:
    logger.critical("this process ends", exc_info=error)


def stop() -> None:
    """Send the queued crash reports and write the queued log lines, waiting about three seconds at most; for the end of
    a process.
    """
    if _sentry is not None:
        _sentry.flush(2.0)
    if _output is not None:
        _output.stop()


def reopen() -> None:
    """Open this process's log file again by its name, since logrotate has renamed it; connect to a syslog server again.
    Raises OSError for a file that can't be opened, but only while no background thread writes (`Output.reopen`).
    """
    if _output is not None:
        _output.reopen()


def _begin_anew() -> None:
    if _output is not None:
        _output.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


def lost() -> int:
    """Return the number of log lines that this process has dropped since it began or was forked."""
    return _output.lost if _output is not None else 0
