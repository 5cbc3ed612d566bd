"""`forumapi hold`: keeps the listening addresses and one web process behind them, and replaces it without a gap.

A web process that is asked for by `replace` (SIGUSR2) starts beside the old one, on the same sockets. Once all its
workers serve and have stayed for a while, the old one is told that it has a successor: it takes no more connections and
ends when its last client has gone. If the new one doesn't come so far, it is ended and the old one never noticed. So a
release that can't start, or that crashes again and again, does not replace one that works, and no client meets a closed
door.

All of this process is imported at its start: the folder it came from may be gone by the time it is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from forumapi import log
from forumapi.config import Config, ConfigError, load

# The environment of a web process below us: its listening sockets, and where its workers say that they serve.
ENV_LISTENERS: Final = "HELD_SOCKETS"
ENV_READY: Final = "HELD_READY"
AGAIN: Final = b"again"


def say(word: bytes) -> None:
    """Tell the process that holds our addresses, where there is one."""
    if told := os.environ.get(ENV_READY):
        # It may have heard enough and closed its end.
        with contextlib.suppress(OSError):
            os.write(int(told), word + b"\n")


# A web process whose workers don't all serve by then has failed.
START_S: Final = 60.0
# How long all its workers must have stayed before it takes over.
PROBATION_S: Final = 2.0
# What is left of an attempt that failed is ended in this time.
END_S: Final = 5.0
# A web process that ended by itself so often within that time will not get better.
MAX_ENDS: Final = 5
ENDS_WITHIN_S: Final = 60.0

_FIRST_INHERITED: Final = 3  # systemd's first socket
_BACKLOG: Final = 2048
_PASSED_ON: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU)
_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1


class HoldError(Exception):
    """The addresses could not be taken, or the web process did not start; the message says why."""


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


# ---------------------------------------------------------------- what is known of the process that holds


def _state_path(data: Path) -> Path:
    return data / "hold.json"


def _lock_path(data: Path) -> Path:
    return data / "hold.lock"


@dataclass
class State:
    """What the holding process tells others on its machine: itself, its web process, and how replacing went."""

    pid: int
    web: int = 0
    attempts: int = 0
    failure: str = ""

    def write(self, data: Path) -> None:
        """Say it, in one step."""
        fresh = _state_path(data).with_suffix(".new")
        fresh.write_text(json.dumps(self.__dict__))
        fresh.replace(_state_path(data))


def find(data: Path) -> State | None:
    """The process that holds on this data folder; None when there is none."""
    try:
        with _lock_path(data).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return State(**json.loads(_state_path(data).read_text()))
    except OSError:
        pass
    return None


def replace(data: Path, wait_s: float = START_S + PROBATION_S + 2 * END_S) -> State:
    """Have the web process of this machine replaced, and wait until that is done or has failed: see `failure`.

    Raises HoldError when nothing holds here, or does not answer.
    """
    before = find(data)
    if before is None:
        raise HoldError(f"no `forumapi hold` runs on {data}")
    try:
        os.kill(before.pid, signal.SIGUSR2)
    except OSError as error:
        raise HoldError(f"process {before.pid}: {error.strerror}") from None
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        now = find(data)
        if now is None or now.pid != before.pid:
            raise HoldError("`forumapi hold` ended meanwhile")
        if now.attempts > before.attempts:
            return now
        time.sleep(0.05)
    raise HoldError(f"`forumapi hold` (process {before.pid}) did not answer in {wait_s:.0f} s")


# ---------------------------------------------------------------- sockets


def _key(address: Any) -> str:
    """A socket's address as settings write it."""
    if not isinstance(address, tuple):
        return f"unix:{address}"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _inherited() -> dict[str, socket.socket]:
    """The listening sockets that systemd opened for us, by address."""
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
        # What a process that was killed left; one that is alive has been found by its lock.
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


def _listeners(config: Config) -> list[socket.socket]:
    """One listening socket for each address of the settings, in their order. Raises HoldError."""
    inherited = _inherited()
    opened = []
    for address in filter(None, (config.listen, config.private_listen)):
        try:
            opened.append(inherited.pop(address) if address in inherited else _bind(address))
        except OSError as error:
            raise HoldError(f"{address}: {error.strerror or error}") from None
    if inherited:
        raise HoldError(f"the settings name no {', '.join(inherited)}, which systemd has opened")
    return opened


# ---------------------------------------------------------------- web processes


@dataclass
class Web:
    """One web process below us. Each of its workers writes a line when it serves: how many workers there are. Its
    master writes AGAIN when it has to start one anew."""

    process: subprocess.Popen[bytes]
    said: int
    started: float = field(default_factory=time.monotonic)
    served: float = 0.0
    workers: int = 0
    wanted: int = 0
    is_crashing: bool = False
    due: set[int] = field(default_factory=set)
    _text: bytes = b""

    def read(self) -> None:
        """Take what workers have said."""
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self.said, 4096)
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            if line == AGAIN:
                self.is_crashing = True
            else:
                self.workers += 1
                self.wanted = self.wanted or int(line)
        if not self.served and 0 < self.wanted <= self.workers:
            self.served = time.monotonic()
            for sign in self.due:
                self.signal(sign)

    def pause_s(self) -> float:
        """How long until it is to be looked at again, if it says nothing before."""
        if not self.served:
            return 1.0
        return max(0.0, min(1.0, self.served + PROBATION_S - time.monotonic()))

    def pass_on(self, sign: int) -> None:
        """Send a signal once it serves: before that it would not be understood, and end the process."""
        if self.served:
            self.signal(sign)
        else:
            self.due.add(sign)

    def signal(self, sign: int) -> None:
        """Send a signal, if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(sign)

    def end(self) -> None:
        """End it now: it has failed."""
        self.signal(signal.SIGQUIT)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Hold:
    """The holding process."""

    def __init__(self, config: Config, program: Sequence[str]) -> None:
        self.data = config.data_path
        self._program = [*program, "serve"]
        self._config = config
        self._state = State(os.getpid())
        self._web: Web | None = None
        self._next: Web | None = None
        self._before: list[Web] = []
        self._ends: deque[float] = deque(maxlen=MAX_ENDS)
        self._is_ready = False
        self._is_asked = False
        self._is_stopping = False

    def run(self) -> int:
        """Hold until told to stop; the exit code. Raises HoldError."""
        self.data.mkdir(parents=True, exist_ok=True)
        with _lock_path(self.data).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HoldError(f"another `forumapi hold` runs on {self.data}") from None
            # What one that was killed has left names a process that may be anything by now.
            _state_path(self.data).unlink(missing_ok=True)
            self._sockets = _listeners(self._config)
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
                _state_path(self.data).unlink(missing_ok=True)

    # ------------------------------------------------------------ signals

    def _hear(self) -> None:
        """Signals become bytes of a pipe, so that waiting for anything wakes up for them."""
        self._pipe, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup)
        heard = (*_PASSED_ON, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        for sign in heard:
            signal.signal(sign, lambda number, frame: None)

    def _wait(self, timeout_s: float) -> None:
        """Until a signal, a word of a web process, or the time; then act on the signals."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            # A pipe whose writers are gone is always readable: nothing more comes out of it.
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
                    self._log_anew()

    def _log_anew(self) -> None:
        try:
            log.apply(load(self._config.path), access=False)
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
            self._wait(self._next.pause_s() if self._next else 1.0)
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
            elif self._is_asked:
                self._is_asked = False
                self._next = self._start()

    def _revive(self, code: int) -> bool:
        """Start a web process for the one that served and has ended by itself; False when that was too often."""
        now = time.monotonic()
        self._ends.append(now)
        if len(self._ends) == MAX_ENDS and now - self._ends[0] < ENDS_WITHIN_S:
            return False
        log.logger.error("the web process ended by itself (%s): another is started", code)
        if self._web is not None:
            os.close(self._web.said)
        # One that was to take over is not needed on trial any more.
        self._web, self._next = self._next or self._start(), None
        self._is_ready = False
        self._tell()
        return True

    def _ended(self, code: int) -> int:
        """The web process has ended; without it there is nothing to hold for."""
        if self._next is not None:
            self._next.end()
        for web in self._before:
            web.signal(signal.SIGTERM)
        for web in self._before:
            web.process.wait()
        if self._is_stopping:
            return code
        log.logger.error("the web process ended by itself (%s)", code)
        return code if code > 0 else 1

    def _start(self) -> Web:
        for one in self._sockets:
            one.set_inheritable(True)
        ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_inheritable(theirs, True)
        numbers = [one.fileno() for one in self._sockets]
        environ = dict(os.environ)
        environ[ENV_LISTENERS] = ",".join(map(str, numbers))
        environ[ENV_READY] = str(theirs)
        try:
            process = subprocess.Popen(
                self._program,
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=(*numbers, theirs),
                # One call into libc, no Python lock taken: safe beside threads.
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        except OSError as error:
            os.close(ours)
            raise HoldError(f"{self._program[0]}: {error.strerror}") from None
        finally:
            os.close(theirs)
        return Web(process, ours)

    def _begin(self, web: Web) -> None:
        if web.served:
            self._is_ready = True
            self._notify(f"READY=1\nSTATUS=web process {web.process.pid} serves")
        elif time.monotonic() - web.started > START_S:
            web.end()
            raise HoldError(f"the web process did not serve within {START_S:.0f} s")

    def _consider(self, new: Web) -> None:
        """Whether the new web process is good enough to take over, or has failed."""
        now = time.monotonic()
        code = new.process.poll()
        if code is not None:
            self._refuse(new, f"it ended with code {code}")
        elif new.is_crashing:
            self._refuse(new, "its workers crash")
        elif not new.served and now - new.started > START_S:
            self._refuse(new, f"it did not serve within {START_S:.0f} s")
        elif new.served and now - new.served >= PROBATION_S:
            old, self._web, self._next = self._web, new, None
            if old is not None:
                old.signal(signal.SIGUSR2)
                os.close(old.said)
                self._before.append(old)
            log.logger.info("web process %s has taken over", new.process.pid)
            self._notify(f"STATUS=web process {new.process.pid} serves")
            self._state.attempts += 1
            self._state.failure = ""
            self._tell()

    def _refuse(self, new: Web, why: str) -> None:
        new.end()
        os.close(new.said)
        self._next = None
        log.logger.error("the new web process failed, the old one stays: %s", why)
        self._state.attempts += 1
        self._state.failure = why
        self._tell()

    # ------------------------------------------------------------ what others are told

    def _tell(self) -> None:
        if self._web is not None:
            self._state.web = self._web.process.pid
        try:
            self._state.write(self.data)
        except OSError as error:
            # A full disk: whoever asked waits in vain, but those who are served never notice.
            log.logger.error("can't say what became of it in %s: %s", self.data, error)

    def _notify(self, text: str) -> None:
        """Tell systemd, where it started us."""
        if not self._notify_address:
            return
        address = self._notify_address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect("\0" + address[1:] if address.startswith("@") else address)
            to.sendall(text.encode())


def run(config: Config, program: str = "") -> int:
    """Hold for the program `program` (else this very one) until told to stop. Raises HoldError."""
    log.apply(config, access=False)
    here = os.environ.get("PEX", "")
    command = [program or here] if program or here else [sys.executable, "-P", "-m", "forumapi"]
    return Hold(config, command).run()
