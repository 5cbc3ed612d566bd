"""`forumapi hold`: a process that keeps the listening sockets and one web process behind them, and replaces that
without a gap.

With `--website` the web process is the website's own (`forumapi webclient`); API and website have a holding process
each.

A web process that `replace` (SIGUSR2) asks for starts beside the old one, on the same sockets, and is on trial: for
`release_trial_s` its workers must stay alive, and at the end it must answer. The holding process requests a page from
it each second, through a socket that leads to it alone. If the new web process passes the trial, the old one is told
that it has a successor: the old one accepts no more connections, and ends when its last client has gone. If the new one
fails, it is ended, and the old one goes on. So a release that can't start, crashes or does not answer does not replace
one that works, and no client is refused. If the workers of a new web process end again and again within its first ten
minutes, the release before is started on trial in its place.

All code of this process is imported at its start: the folder of its release may be gone when it is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.config import Config, load
from forumapi.errors import ConfigError
from forumapi.observability import log
from forumapi.server import health_client

# Environment of a web process below: its listening sockets, and the pipe on which its workers report that they serve.
ENV_LISTENERS: Final = "HELD_SOCKETS"
ENV_READY: Final = "HELD_READY"
ENDED: Final = b"ended"


def notify(word: bytes) -> None:
    """Write `word` as one line to the process that holds this process's sockets, if there is one. A worker that begins
    to serve writes the number of workers that there are to be; the master writes ENDED for each worker that ended
    without being asked to.
    """
    if told := os.environ.get(ENV_READY):
        # It may have closed its end.
        with contextlib.suppress(OSError):
            os.write(int(told), word + b"\n")


# A web process whose workers don't all serve by then has failed.
START_S: Final = 60.0
# How long after its trial it may still be without a database, or silent.
ANSWER_S: Final = 10.0
# How often one on trial is asked for a page.
ASK_S: Final = 1.0
# One that has taken over is rolled back when its workers have ended so often, on average, within that time.
LOOP_ENDS: Final = 3
LOOP_S: Final = 600.0
# A failed attempt has so long to end.
END_S: Final = 5.0
# A web process that ended by itself so often within that time will not get better.
MAX_ENDS: Final = 5
ENDS_WITHIN_S: Final = 60.0

_FIRST_INHERITED: Final = 3  # systemd's first socket
_BACKLOG: Final = 2048
_PASSED_ON: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU)


class HoldError(Exception):
    """Failure to listen at the addresses, to start the web process, or to find or ask the holding process; the message
    names the reason.
    """


class HeldKind(NamedTuple):
    """Kind of web process that is held: API or website. `command`: subcommand of forumapi that runs it; `page`: path on
    the platform's host that is requested in a trial.

    `mark`: part of the names of its state and lock files, "" for the API.
    """

    command: str
    page: str
    mark: str

    def addresses(self, config: Config) -> list[str]:
        """Return the addresses that the settings name for a web process of this kind: of the website
        `webclient_listen`, of the API `listen`, then `admin_listen`; empty ones are left out.
        """
        served = (
            (config.webclient_listen,) if self == WEBSITE else (config.listen, config.admin_listen)
        )
        return [address for address in served if address]


WEB: Final = HeldKind("serve", "/api/v1/site", "")
# A page, for which the website asks the API: without an API it has nothing to show.
WEBSITE: Final = HeldKind("webclient", "/", "-website")


# ---------------------------------------------------------------- what is known of the process that holds


def _state_path(data: Path, kind: HeldKind) -> Path:
    return data / f"hold{kind.mark}.json"


def _lock_path(data: Path, kind: HeldKind) -> Path:
    return data / f"hold{kind.mark}.lock"


@dataclass
class HolderState:
    """State of a holding process, in a file for other programs on its machine.

    `pid` and `web`: process ids of the holding process and of its web process; `attempts`: replacements so far,
    succeeded or failed; `failure`: why the last one failed or was rolled back, "" if it succeeded.
    """

    pid: int
    web: int = 0
    attempts: int = 0
    failure: str = ""

    def write(self, data: Path, kind: HeldKind = WEB) -> None:
        """Write this state into the state file of the kind `kind` in the data folder `data`, atomically. Raises
        OSError.
        """
        path = _state_path(data, kind)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.__dict__))
        fresh.replace(path)


def find(data: Path, kind: HeldKind = WEB) -> HolderState | None:
    """Return the state of the holding process of this kind that runs on the data folder `data`; None if none runs
    there, or its state file can't be read.
    """
    try:
        with _lock_path(data, kind).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError, TypeError):
            told = json.loads(_state_path(data, kind).read_text())
            return HolderState(
                **{name: told[name] for name in HolderState.__annotations__ if name in told}
            )
    except OSError:
        pass
    return None


def replace(data: Path, trial_s: float = 0, kind: HeldKind = WEB) -> HolderState:
    """Ask the holding process of this kind on the data folder `data` to replace its web process, and wait for the
    outcome; return its state, whose `failure` is "" for success.

    `trial_s`: seconds that its trial takes by the settings, so that the wait is longer; it sets no trial. Raises
    HoldError if no holding process runs there, or it ends or does not answer.
    """
    before = find(data, kind)
    if before is None:
        what = "hold --website" if kind == WEBSITE else "hold"
        raise HoldError(f"no `forumapi {what}` runs on {data}")
    try:
        os.kill(before.pid, signal.SIGUSR2)
    except OSError as error:
        raise HoldError(f"process {before.pid}: {error.strerror}") from None
    wait_s = START_S + trial_s + ANSWER_S + 2 * END_S
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        now = find(data, kind)
        if now is None or now.pid != before.pid:
            raise HoldError("`forumapi hold` ended meanwhile")
        if now.attempts > before.attempts:
            return now
        time.sleep(0.05)
    raise HoldError(f"`forumapi hold` (process {before.pid}) did not answer in {wait_s:.0f} s")


# ---------------------------------------------------------------- sockets


def _key(address: Any) -> str:
    """Return the address of a bound socket, as `getsockname` gives it, in the form of the setting `listen`."""
    if not isinstance(address, tuple):
        return f"unix:{address}"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _inherited() -> dict[str, socket.socket]:
    """Return the listening sockets that systemd has opened for this process, by address in the form of the setting
    `listen`; {} if it has opened none. The variables that name them are removed from the environment, so a second call
    finds none.
    """
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    is_for_us = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    os.environ.pop("LISTEN_FDNAMES", None)
    found = {}
    for number in range(_FIRST_INHERITED, _FIRST_INHERITED + count) if is_for_us else ():
        opened = socket.socket(fileno=number)
        found[_key(opened.getsockname())] = opened
    return found


def _bind(address: str) -> socket.socket:
    if address.startswith("unix:"):
        path = Path(address.removeprefix("unix:"))
        # The socket file of a process that was killed; a live one has been found by its lock.
        if path.is_socket():
            path.unlink()
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(str(path))
        path.chmod(0o666)
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.socket(family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, int(port)))
    opened.listen(_BACKLOG)
    return opened


def check_free(config: Config) -> None:
    """Raise HoldError if an address of `listen` or `admin_listen` can't be bound, as when another process listens
    there. Of a Unix socket only the folder must exist.
    """
    for address in filter(None, (config.listen, config.admin_listen)):
        try:
            if address.startswith("unix:"):
                # A socket file may be in use, or left behind: `listen` finds out.
                Path(address.removeprefix("unix:")).parent.stat()
            else:
                _bind(address).close()
        except OSError as error:
            raise HoldError(f"{address}: {error.strerror or error}") from None


def _listeners(addresses: Sequence[str], setting: str) -> list[socket.socket]:
    """Return a listening socket for each of `addresses`, in their order: the one that systemd has opened, or a new one.
    `setting`: name of the setting that they come from, for messages. Raises HoldError, also if systemd has opened
    others.
    """
    inherited = _inherited()
    opened = []
    for address in addresses:
        try:
            opened.append(inherited.pop(address) if address in inherited else _bind(address))
        except OSError as error:
            raise HoldError(
                f"{address}: {error.strerror or error}; {setting} names another address"
            ) from None
    if inherited:
        raise HoldError(f"the settings name no {', '.join(inherited)}, which systemd has opened")
    return opened


# ---------------------------------------------------------------- web processes


@dataclass
class WebProcess:
    """Web process that the holding process has started. Through a pipe each of its workers reports when it serves, and
    its master each worker that ended unasked.

    `said`: file descriptor of the pipe; `file`: the real path of the program, by which the same release can be started
    again; `probe`: prober during the trial, else None; `started`, `served`: monotonic times of its start and of the
    last worker's report, 0 for none yet; `workers`: reports so far, of `wanted` workers; `ends`: workers that ended
    unasked; `answers`: a page was answered well during the trial; `due`: signals that wait until all workers serve.
    """

    process: subprocess.Popen[bytes]
    said: int
    file: str
    probe: Probe | None = None
    started: float = field(default_factory=time.monotonic)
    served: float = 0.0
    workers: int = 0
    wanted: int = 0
    ends: int = 0
    answers: bool = False
    due: set[int] = field(default_factory=set)
    _text: bytes = b""

    def read(self) -> None:
        """Read the reports that have come through the pipe, without waiting; once all workers serve, begin to probe,
        and send the signals that have waited for that.
        """
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self.said, 4096)
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            if line == ENDED:
                self.ends += 1
            else:
                self.workers += 1
                self.wanted = self.wanted or int(line)
        if not self.served and 0 < self.wanted <= self.workers:
            self.served = time.monotonic()
            if self.probe is not None:
                self.probe.begin(self.wanted)
            for sign in self.due:
                self.signal(sign)

    def pass_on(self, sign: int) -> None:
        """Send a signal now if all workers serve, else as soon as they do: earlier there is no handler, and the signal
        would end the process.
        """
        if self.served:
            self.signal(sign)
        else:
            self.due.add(sign)

    def signal(self, sign: int) -> None:
        """Send a signal now; do nothing if the process has ended."""
        if self.process.poll() is None:
            self.process.send_signal(sign)

    def judged(self) -> None:
        """Stop probing and forget the prober, since the trial is over, passed or failed."""
        if self.probe is not None:
            self.probe.end()
            self.probe = None

    def forget(self) -> None:
        """Stop probing and close the pipe; the process itself is left alone."""
        self.judged()
        os.close(self.said)

    def end(self) -> None:
        """End the process, since it has failed: SIGQUIT, then SIGKILL after END_S. Returns when it has ended."""
        self.signal(signal.SIGQUIT)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Probe:
    """Prober of a web process on trial: a thread that requests a page each second, over as many connections as the
    process has workers. Each trial has a prober of its own.

    `data`: folder of the socket's file; `host`: of the requested page, which `kind` names; `socket`: a listening Unix
    socket, for this user alone, that only that process serves; `wrong`: what is wrong with the last answers, "" for
    nothing; `is_fault`: more time would not mend it; `asked`: monotonic time at which the last requests began. Its
    constructor raises OSError.
    """

    def __init__(self, data: Path, host: str, kind: HeldKind = WEB) -> None:
        self.wrong = "it was not asked yet"
        self.is_fault = False
        self.asked = 0.0
        self._host = host
        self._page = kind.page
        self._ended = threading.Event()
        self._path = data / f"trial{kind.mark}.sock"
        self._path.unlink(missing_ok=True)
        # By way of its folder: the whole path may be longer than a socket's address may be.
        self._folder = os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            os.fchmod(self.socket.fileno(), 0o600)
            self.socket.bind(self._socket_path)
            self.socket.listen(_BACKLOG)
        except OSError:
            self.end()
            raise

    @property
    def _socket_path(self) -> str:
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def begin(self, connections: int) -> None:
        """Start the thread, which probes until `end`, over `connections` connections at a time."""
        threading.Thread(target=self._run, args=(connections,), daemon=True).start()

    def end(self) -> None:
        """Stop probing, and remove the socket."""
        if self._folder >= 0:
            self._path.unlink(missing_ok=True)
            self.socket.close()
            os.close(self._folder)
            self._folder = -1
            self._ended.set()

    def _run(self, connections: int) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            status, error = self._ask(connections)
            self.is_fault = status not in (0, 200, 503)
            self.wrong = (
                error
                if not status
                else ""
                if status == 200
                else f"a page is answered with {status}"
            )
            self.asked = began
            self._ended.wait(ASK_S)

    def _ask(self, connections: int) -> tuple[int, str]:
        """Request the page over each connection; return (200, "") if all answered with a status of
        health_client.ANSWERED, else (the first other status, ""); (0, the reason) if a request got no answer.
        """
        try:
            with contextlib.ExitStack() as open_ones:
                # Connections that stay open lead the next one to another worker.
                for _ in range(connections):
                    one = health_client.connect(f"unix:{self._socket_path}")
                    open_ones.callback(one.close)
                    status, _ = health_client.get(one, self._host, self._page)
                    if status not in health_client.ANSWERED:
                        return status, ""
        except (OSError, http.client.HTTPException) as error:
            return 0, f"it does not answer: {error}"
        return 200, ""


class Hold:
    """Holding process: keeps the sockets, and starts, probes and replaces its web process.

    `program`: command line of forumapi, without the subcommand, which `kind` names.
    """

    def __init__(self, config: Config, program: Sequence[str], kind: HeldKind = WEB) -> None:
        self.data = config.data_path
        self._kind = kind
        self._program = [*program, kind.command]
        # Fallback: the file that ran before, and until when it may be gone back to.
        self._fallback: WebProcess | None = None
        self._fallback_until = 0.0
        self._rolls_back = ""
        self._config = config
        self._state = HolderState(os.getpid())
        self._web: WebProcess | None = None
        self._next: WebProcess | None = None
        self._before: list[WebProcess] = []
        self._ends: deque[float] = deque(maxlen=MAX_ENDS)
        self._is_ready = False
        self._is_asked = False
        self._is_stopping = False

    def run(self) -> int:
        """Hold the sockets and keep a web process until a signal to stop, or until it can't be kept alive; return the
        exit code of the last web process, never 0 if it ended unasked. A web process that ends before any of its
        workers serves is not replaced by another.

        Raises HoldError if another process holds on this data folder, an address can't be listened at, systemd has
        opened one that the settings don't name, or the first web process can't be executed; and if the first one, or
        one that was started in place of one that ended, does not serve within START_S.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        with _lock_path(self.data, self._kind).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HoldError(f"another `forumapi hold` runs on {self.data}") from None
            # The state of a holder that was killed names a process id that may be reused by now.
            _state_path(self.data, self._kind).unlink(missing_ok=True)
            setting = (
                "webclient_listen (FORUMAPI_WEBCLIENT_LISTEN)"
                if self._kind == WEBSITE
                else "listen (FORUMAPI_LISTEN)"
            )
            self._sockets = _listeners(self._kind.addresses(self._config), setting)
            self._notify_address = os.environ.pop("NOTIFY_SOCKET", "")
            self._hear()
            try:
                return self._stay()
            finally:
                for opened in self._sockets:
                    name = opened.getsockname()
                    opened.close()
                    if isinstance(name, str):
                        Path(name).unlink(missing_ok=True)
                _state_path(self.data, self._kind).unlink(missing_ok=True)

    # ------------------------------------------------------------ signals

    def _hear(self) -> None:
        """Set handlers by which each signal writes its number into a pipe, so that `_wait` returns at a signal."""
        self._pipe, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup)
        heard = (*_PASSED_ON, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        for sign in heard:
            signal.signal(sign, lambda number, frame: None)

    def _wait(self, timeout_s: float) -> None:
        """Wait for a signal, a report of a web process, or `timeout_s`; then carry out the signals."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            # A pipe without writers is always readable, at its end.
            for web in filter(None, (self._web, self._next)):
                if web.process.poll() is None:
                    selector.register(web.said, selectors.EVENT_READ)
            selector.select(timeout_s)
        signs = b""
        with contextlib.suppress(BlockingIOError):
            signs = os.read(self._pipe, 4096)
        for sign in signs:
            if sign in (signal.SIGTERM, signal.SIGINT):
                self._stop(sign)
            elif sign == signal.SIGUSR2:
                self._is_asked = True
            elif sign in _PASSED_ON:
                for web in filter(None, (self._web, self._next)):
                    web.pass_on(sign)
                if sign == signal.SIGUSR1:
                    log.reopen()
                elif sign == signal.SIGHUP:
                    self._take_over_settings()

    def _take_over_settings(self) -> None:
        try:
            new = load(self._config.path)
            log.apply(new, access=False)
            self._config = new
        except (ConfigError, OSError) as error:
            log.logger.error("settings not reloaded, the old ones stay: %s", error)

    def _stop(self, sign: int) -> None:
        if not self._is_stopping:
            self._notify("STOPPING=1")
        self._is_stopping = True
        for web in filter(None, (self._web, self._next, *self._before)):
            web.signal(sign)

    # ------------------------------------------------------------ the life of web processes

    def _stay(self) -> int:
        self._web = self._start()
        self._tell()
        while True:
            self._wait(0.1 if self._next else 1.0)
            for web in filter(None, (self._web, self._next)):
                web.read()
            self._before = [web for web in self._before if web.process.poll() is None]
            code = self._web.process.poll()
            if code is not None:
                if self._is_stopping or not (self._web.workers and self._revive(code)):
                    return self._ended(code)
                continue
            if self._is_stopping:
                continue
            if self._next is not None:
                self._consider(self._next)
            elif not self._is_ready:
                self._begin(self._web)
            elif self._is_looping(self._web):
                self._roll_back(f"{self._web.ends} of its workers ended")
            elif self._is_asked:
                self._is_asked = False
                self._try()

    def _revive(self, code: int) -> bool:
        """Put a web process in the place of the present one, which ended by itself with the exit code `code`: the one
        on trial, else one of the release that was replaced within LOOP_S, else a new one of the present release. Return
        False if none can be started, or MAX_ENDS ended within ENDS_WITHIN_S.
        """
        now = time.monotonic()
        self._ends.append(now)
        if len(self._ends) == MAX_ENDS and now - self._ends[0] < ENDS_WITHIN_S:
            return False
        log.logger.error("the web process ended by itself (%s): another is started", code)
        if self._web is not None:
            self._web.forget()
        try:
            if self._next is not None:
                # No other process serves, so its trial is over.
                self._next.judged()
                self._web, self._next = self._next, None
                self._count_success(self._web)
            elif (fallback := self._take_fallback()) is not None:
                log.logger.error("rolled back to %s: its successor ended by itself", fallback.file)
                self._web = self._start(fallback)
            else:
                self._web = self._start()
        except HoldError as error:
            log.logger.error("%s", error)
            return False
        self._is_ready = False
        self._tell()
        return True

    # ------------------------------------------------------------ replacing

    def _try(self, like: WebProcess | None = None) -> None:
        """Start a web process on trial: of the release that the program's path leads to now, or of the file that `like`
        ran. A failure is recorded, not raised.
        """
        # The new web process reads the settings file as it is now, with or without a SIGHUP since.
        self._take_over_settings()
        probe = None
        try:
            probe = Probe(self.data, self._config.platform_domain, self._kind)
            self._next = self._start(like, probe=probe)
        except (HoldError, OSError) as error:
            if probe is not None:
                probe.end()
            self._fail(str(error))

    def _is_looping(self, web: WebProcess) -> bool:
        """Return True if the workers of a web process, which took over from another release in the last LOOP_S, end
        again and again.
        """
        if self._fallback is not None and time.monotonic() > self._fallback_until:
            self._fallback = None
        return self._fallback is not None and web.ends >= LOOP_ENDS * max(1, web.wanted)

    def _take_fallback(self) -> WebProcess | None:
        """Return the web process that was replaced last, whose release may be started again, and forget it; None if
        there is none, it was replaced more than LOOP_S ago or its file is gone.
        """
        fallback, self._fallback = self._fallback, None
        if fallback is None or time.monotonic() > self._fallback_until:
            return None
        return fallback if Path(fallback.file).exists() else None

    def _roll_back(self, why: str) -> None:
        """Start on a short trial the release that was replaced last, in place of the present one; do nothing if there
        is none to go back to. `why`: for the log and the state.
        """
        fallback = self._take_fallback()
        if fallback is None:
            return
        log.logger.error("going back to %s: %s", fallback.file, why)
        self._rolls_back = why
        self._try(fallback)

    def _ended(self, code: int) -> int:
        """End all other web processes, since the present one has ended and no other takes its place; return the exit
        code of this process: `code`, that of the present one, but never 0 if it ended unasked.
        """
        if self._next is not None:
            self._next.end()
            self._next.forget()
        for web in self._before:
            web.signal(signal.SIGTERM)
        for web in self._before:
            web.process.wait()
        if self._is_stopping:
            return code
        log.logger.error("the web process ended by itself (%s)", code)
        return code if code > 0 else 1

    def _start(self, like: WebProcess | None = None, *, probe: Probe | None = None) -> WebProcess:
        """Start a web process on the held sockets: of the program or, with `like`, of the very file that it ran.
        `probe`: its socket is served too. Raises HoldError.
        """
        command = list(self._program)
        if like is not None:
            command[0] = like.file
        # The interpreter of an environment is known by its own path; only a release's leads to another one.
        file = command[0] if command[0] == sys.executable else os.path.realpath(command[0])
        listening = [*([probe.socket] if probe is not None else []), *self._sockets]
        for one in listening:
            one.set_inheritable(True)
        ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_inheritable(theirs, True)
        # In the order of the settings, after the probe's socket: workers know the admin socket by its place at the end.
        numbers = [one.fileno() for one in listening]
        environ = dict(os.environ)
        environ[ENV_LISTENERS] = ",".join(map(str, numbers))
        environ[ENV_READY] = str(theirs)
        try:
            process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=(*numbers, theirs),
                preexec_fn=end_with_parent,  # noqa: PLW1509
            )
        except OSError as error:
            os.close(ours)
            raise HoldError(f"{command[0]}: {error.strerror}") from None
        finally:
            os.close(theirs)
        return WebProcess(process, ours, file, probe)

    def _begin(self, web: WebProcess) -> None:
        if web.served:
            self._is_ready = True
            self._notify(f"READY=1\nSTATUS=web process {web.process.pid} serves")
        elif time.monotonic() - web.started > START_S:
            web.end()
            raise HoldError(f"the web process did not serve within {START_S:.0f} s")

    def _consider(self, new: WebProcess) -> None:
        """Decide on a web process on trial: let it take over if it has passed, end it if it has failed, else
        leave it.
        """
        now = time.monotonic()
        code = new.process.poll()
        if code is not None:
            self._refuse(new, f"it ended with code {code}")
        elif new.ends:
            self._refuse(new, "its workers crash")
        elif not new.served:
            if now - new.started > START_S:
                self._refuse(new, f"it did not serve within {START_S:.0f} s")
        elif new.probe is not None:
            # The fallback has worked before.
            trial_s = 0.0 if self._rolls_back else float(self._config.release_trial_s)
            over = new.served + trial_s
            if new.probe.asked and not new.probe.wrong and not new.answers:
                new.answers = True
                pid = new.process.pid
                log.logger.info("web process %s answers and is on trial for %.0f s", pid, trial_s)
            is_judged = new.probe.asked >= over
            if is_judged and not new.probe.wrong:
                self._take_over(new)
            elif (is_judged and new.probe.is_fault) or now > over + ANSWER_S:
                self._refuse(new, new.probe.wrong or "it does not answer any more")

    def _take_over(self, new: WebProcess) -> None:
        """Make `new` the present web process, and tell the old one that it has a successor. If the old one is of
        another release, that release is the fallback for LOOP_S; after a roll-back there is none.
        """
        old, self._web, self._next = self._web, new, None
        new.judged()
        if old is not None:
            old.signal(signal.SIGUSR2)
            old.forget()
            self._before.append(old)
        log.logger.info("web process %s has taken over", new.process.pid)
        self._notify(f"STATUS=web process {new.process.pid} serves")
        is_rolled_back = self._count_success(new)
        if not is_rolled_back and old is not None and old.file != new.file:
            self._fallback, self._fallback_until = old, time.monotonic() + LOOP_S
        self._tell()

    def _count_success(self, new: WebProcess) -> bool:
        """Record that `new` has taken over; return True if that was a roll-back, which is recorded as a failure."""
        why, self._rolls_back = self._rolls_back, ""
        if why:
            log.logger.error("rolled back to %s: %s", new.file, why)
        self._state.attempts += 1
        self._state.failure = f"rolled back: {why}" if why else ""
        return bool(why)

    def _refuse(self, new: WebProcess, why: str) -> None:
        new.end()
        new.forget()
        self._next = None
        self._fail(why)

    def _fail(self, why: str) -> None:
        self._rolls_back = ""
        log.logger.error("the new web process failed, the old one stays: %s", why)
        self._state.attempts += 1
        self._state.failure = why
        self._tell()

    # ------------------------------------------------------------ what others are told

    def _tell(self) -> None:
        if self._web is not None:
            self._state.web = self._web.process.pid
        try:
            self._state.write(self.data, self._kind)
        except OSError as error:
            # A full disk: `replace` waits in vain, but clients never notice.
            log.logger.error("can't say what became of it in %s: %s", self.data, error)

    def _notify(self, text: str) -> None:
        """Send a message such as READY=1 to systemd; do nothing if it did not start this process."""
        if not self._notify_address:
            return
        address = self._notify_address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect("\0" + address[1:] if address.startswith("@") else address)
            to.sendall(text.encode())


def run(config: Config, program: str = "", kind: HeldKind = WEB) -> int:
    """Hold the sockets for a web process of this kind until a signal to stop; return the exit code. Raises HoldError as
    `Hold.run` does.

    `program`: path of the file whose web process is started, "" for the running one.
    """
    log.apply(config, access=False)
    here = os.environ.get("PEX", "")
    command = [program or here] if program or here else [sys.executable, "-P", "-m", "forumapi"]
    return Hold(config, command, kind).run()
