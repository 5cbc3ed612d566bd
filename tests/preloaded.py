"""Web processes that are forked from one which has imported everything: such a start takes a third of the CPU.

`serve` and `webclient` run in the fork as `python -m forumapi` runs them, with their own environment and output. Each
test process has one fork server, which ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.config import ENV_RUN

# Descriptor on which the fork server says what it has forked and what has ended.
ANSWERS: Final = 63
PROJECT: Final = Path(__file__).resolve().parent.parent


class Forked:
    """Process that a Preloaded forked, with what tests use of `subprocess.Popen`."""

    def __init__(self, args: Sequence[str], pid: int) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self._has_ended = threading.Event()

    def end(self, code: int) -> None:
        """Note that the process has ended, with this exit code."""
        self.returncode = code
        self._has_ended.set()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sign: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """Fork server of this test process, as `multiprocessing` calls the like."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
        self._running: dict[int, Forked] = {}
        self._started: list[Forked] = []
        self._is_answered = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, args: Sequence[str], environ: Mapping[str, str], log: Path) -> Forked:
        """Fork a process that runs `python -m forumapi` with these arguments; output goes to the end of `log`."""
        assert self._process.stdin is not None
        asked = {"args": list(args), "environ": dict(environ), "log": str(log)}
        with self._is_answered:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            if not self._is_answered.wait_for(lambda: self._started, 60):
                raise RuntimeError("the fork server does not answer")
            return self._started.pop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._is_answered:
                if "code" not in told:
                    forked = self._running[told["pid"]] = Forked(told["args"], told["pid"])
                    self._started.append(forked)
                    self._is_answered.notify()
                else:
                    self._running.pop(told["pid"]).end(told["code"])
        # Without their parent all forks get SIGTERM.
        for forked in self._running.values():
            forked.end(-signal.SIGTERM)


_preloaded: list[Preloaded] = []


def start(args: Sequence[str], environ: Mapping[str, str], log: Path) -> Forked:
    """Start a process from the Preloaded of this process, as its `start`."""
    if not _preloaded:
        _preloaded.append(Preloaded())
    return _preloaded[0].start(args, environ, log)


# ---------------------------------------------------------------- the fork server


def _main() -> None:
    # As `serve` does it: before everything else.
    from gevent import monkey

    monkey.patch_all()
    import gc

    import forumapi.command.cli
    import forumapi.server.master
    import forumapi.server.standalone_website
    import forumapi.webclient.website
    import forumapi.wsgi

    # What the first application of a process compiles, as the maps of routes, all later ones find.
    forumapi.wsgi.create_app(forumapi.config.Config(environment="embedded"), "postgresql://")
    # Forks share the pages of what stays.
    gc.collect()
    gc.freeze()
    fork, waitpid = monkey.get_original("os", "fork"), monkey.get_original("os", "waitpid")
    select = monkey.get_original("select", "select")
    set_handler = monkey.get_original("signal", "signal")
    # The way to the test process is not for what forks print.
    os.dup2(1, ANSWERS)
    os.dup2(2, 1)
    woken, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    set_handler(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    left = b""
    while True:
        ready, _, _ = select([0, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            for pid, status in _ended(waitpid):
                _tell(pid=pid, code=os.waitstatus_to_exitcode(status))
        if 0 not in ready:
            continue
        got = os.read(0, 65_536)
        if not got:
            return
        *lines, left = (left + got).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            pid = fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                set_handler(signal.SIGCHLD, signal.SIG_DFL)
                _run(**asked, descriptors=(ANSWERS, woken, waking))
            _tell(pid=pid, args=asked["args"])


def _ended(waitpid: Any) -> Iterator[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while (ended := waitpid(-1, os.WNOHANG))[0]:
            yield ended


def _tell(**told: Any) -> None:
    os.write(ANSWERS, json.dumps(told).encode() + b"\n")


def _run(
    args: list[str], environ: dict[str, str], log: str, descriptors: Sequence[int]
) -> NoReturn:
    """Run a command of forumapi in a fork, without the descriptors of its parent; never returns."""
    import gevent

    code = 1
    try:
        end_with_parent()
        # As the patched fork does it.
        gevent.reinit()
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        for mine in (nothing, output, *descriptors):
            os.close(mine)
        os.environ.clear()
        os.environ.update(environ | {ENV_RUN: str(os.getppid())})
        sys.argv = ["forumapi", *args]
        from forumapi.command.cli import main

        code = main(args)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main()
