"""Master of the web process: gunicorn's arbiter, application and logger with our reload of settings, and `serve`.

Imported after gevent has patched the standard library, never before.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import select
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

from gunicorn import sock
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger

from forumapi import config
from forumapi.config import Config, Settings
from forumapi.errors import ConfigError
from forumapi.observability import log
from forumapi.server import listener_holder
from forumapi.server.worker import StartError, log_as


class Log(Logger):  # type: ignore[misc]
    """Logger that gunicorn uses, whose messages become lines of the platform's log; no access log."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.handlers[:] = log.logger.handlers
        self.error_log.setLevel(log.logger.level)
        self.error_log.propagate = False

    def reopen_files(self) -> None:
        log.reopen()

    def close_on_exec(self) -> None:
        """Do nothing, since the log's files are opened close-on-exec."""


class ForumApplication(Application):  # type: ignore[misc]
    """Application object of gunicorn's master, also in its workers: gunicorn's settings, ours (`current`: those at the
    start), and the making of the WSGI application.
    """

    def __init__(self, current: Config) -> None:
        self.settings = Settings(current)
        # Pipe on which workers report that they have loaded.
        self._loaded: int | None = None
        # Shared with workers: 1 once any of them has loaded.
        self._has_loaded = mmap.mmap(-1, 1)
        super().__init__(prog="forumapi serve")

    def load_config(self) -> None:
        """Load gunicorn's settings from etc/gunicorn.conf.py alone, not from a command line or the environment."""
        self.load_config_from_file(str(config.resource("etc/gunicorn.conf.py")))

    def load(self) -> Any:
        """Make and return the WSGI application of the API (wsgi.py), with the present settings; called
        in each worker.
        """
        from forumapi.wsgi import create_app

        return create_app(self.settings.current)

    def ready(self) -> None:
        """Record that this worker has loaded, and report it to the master if that waits (`watched`)."""
        self._has_loaded[0] = 1
        if self._loaded is not None:
            os.write(self._loaded, b"1")
            os.close(self._loaded)
            self._loaded = None

    @property
    def has_loaded(self) -> bool:
        """Return True if any worker of this master has ever loaded."""
        return bool(self._has_loaded[0])

    @property
    def is_watched(self) -> bool:
        """Return True in a worker that is to replace one with other settings: the master waits for its `ready`."""
        return self._loaded is not None

    @contextlib.contextmanager
    def watched(self) -> Iterator[int]:
        """Make a pipe for the with statement, into which each worker started meanwhile writes a byte once it has
        loaded; yield its reading end.
        """
        reading, self._loaded = os.pipe()
        try:
            yield reading
        finally:
            os.close(reading)
            if self._loaded is not None:
                os.close(self._loaded)
            self._loaded = None


class ForumMaster(Arbiter):  # type: ignore[misc]
    """Master process: gunicorn's arbiter. SIGHUP applies settings in place or with new workers, without losing a
    request.

    Under `forumapi hold` it takes over that process's listening sockets, and SIGUSR2 tells it that a successor serves
    them.
    """

    # How long new workers may take to load.
    LOAD_S: Final = 30.0
    # How long until a worker that could not start is started again: at first, and at most.
    PAUSE_S: Final = (1.0, 30.0)

    _has_successor = False
    # New workers that are to end after a failed replacement, and until when they may finish.
    _leaving: dict[int, float]
    _pause_s = 0.0
    _not_before = 0.0
    _told_to_stop: frozenset[int] | set[int] = frozenset()

    def __init__(self, app: ForumApplication) -> None:
        super().__init__(app)
        self._leaving = {}

    def start(self) -> None:
        """Take over the listening sockets of `forumapi hold`; if that did not start this process, open them. Then start
        as gunicorn does.
        """
        if held := os.environ.pop(listener_holder.ENV_LISTENERS, ""):
            self.LISTENERS = sock.create_sockets(
                self.cfg, self.log, list(map(int, held.split(",")))
            )
            # The socket files of `hold` are not removed here.
            self.systemd = True
        self._is_held = bool(held)
        super().start()

    def handle_usr2(self) -> None:
        """Handle the start of a successor: close the listening sockets, so that this process ends after its last
        client. Ignored without `forumapi hold`.
        """
        if not self._is_held:
            log.logger.warning("SIGUSR2 is for `forumapi hold`; here nobody would take over")
            return
        log.logger.info("another web process has taken over")
        self._has_successor = True
        sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []

    def manage_workers(self) -> None:
        """Start missing workers, unless one could not start a moment ago, and kill those of a failed replacement that
        have not ended in time; with a successor, tell the workers of it, and end this process after the last worker, by
        StopIteration.
        """
        for pid, until in list(self._leaving.items()):
            if _has_ended(pid):
                del self._leaving[pid]
            elif time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
        if not self._has_successor:
            if time.monotonic() >= self._not_before:
                super().manage_workers()
            return
        # Each time: a worker that was just being started may have missed the signal.
        self.kill_workers(signal.SIGUSR2)
        if not self.WORKERS:
            raise StopIteration

    def reap_workers(self) -> None:
        """Reap workers that have ended, and report to `forumapi hold` each that was not asked to end.

        Workers that can't start end this process only if none has ever loaded; else they are started again after a
        pause, while the others serve.
        """
        before = set(self.WORKERS)
        self._reap_all()
        for _ in before - set(self.WORKERS) - self._told_to_stop:
            listener_holder.notify(listener_holder.ENDED)

    def _reap_all(self) -> None:
        while True:
            try:
                super().reap_workers()
            except HaltServer:
                if not self.app.has_loaded:
                    raise
                first_s, most_s = self.PAUSE_S
                is_anew = time.monotonic() > self._not_before + most_s
                self._pause_s = first_s if is_anew else min(most_s, 2 * self._pause_s)
                self._not_before = time.monotonic() + self._pause_s
                log.logger.error("a worker could not start; tried again in %.0f s", self._pause_s)
            else:
                return

    def handle_hup(self) -> None:
        """Reload the settings: applied by the workers, or by new workers if a change needs that. An invalid file, or
        one with which new workers do not start, changes nothing; settings that wait for a restart are logged. With a
        successor nothing is done.
        """
        if self._has_successor:
            # The worker has read them.
            return
        before = self.app.settings.current
        try:
            changes = self.app.settings.reload(replaces=True)
        except ConfigError as error:
            log.logger.error("settings not reloaded, the old ones stay: %s", error)
            return
        current = self.app.settings.current
        if changes.replaced:
            names = ", ".join(changes.replaced)
            if not self._replace_workers():
                self.app.settings.current = before
                log.logger.error(
                    "settings not reloaded, the old ones stay: no worker starts with the new %s",
                    names,
                )
                return
            log.logger.info("settings reloaded, with new workers: %s", names)
        log_as(current, access=False)
        if changes.applied or not changes.replaced:
            log.logger.info(
                "settings reloaded: %s", ", ".join(changes.applied) or "nothing changed"
            )
        if changes.needs_restart:
            log.logger.warning("these wait for a restart: %s", ", ".join(changes.needs_restart))
        if not changes.replaced:
            self.kill_workers(signal.SIGHUP)

    def _replace_workers(self) -> bool:
        """Start new workers, and end the old ones once all new ones have loaded; return True then. If one of the new
        ones fails, end all new ones, keep the old, and return False; False also if the settings of gunicorn can't be
        loaded.
        """
        old_cfg = self.app.cfg
        old = dict(self.WORKERS)
        try:
            self.app.reload()
        except (SystemExit, ConfigError, OSError):
            self.app.cfg = old_cfg
            return False
        # The addresses stay, whatever the file says now.
        self.app.cfg.set("bind", old_cfg.settings["bind"].get())
        self.setup(self.app)
        with self.app.watched() as loaded:
            new = [self.spawn_worker() for _ in range(self.cfg.workers)]
            if not self._have_loaded(new, loaded):
                for pid in new:
                    # Forgotten first: for one too many the oldest would be told to end. Politely, since another that
                    # was quicker to load may have taken requests already.
                    self.WORKERS.pop(pid, None)
                    self._leaving[pid] = time.monotonic() + self.cfg.graceful_timeout + self.LOAD_S
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                self.app.cfg = old_cfg
                self.setup(self.app)
                return False
        for pid in old:
            self.kill_worker(pid, signal.SIGTERM)
        return True

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker; SIGTERM not if it was sent SIGTERM or SIGUSR2 before, since that could interrupt
        its end. A worker that was sent either counts as asked to end (`reap_workers`).
        """
        if sig in (signal.SIGTERM, signal.SIGUSR2):
            if sig == signal.SIGTERM and pid in self._told_to_stop:
                return
            self._told_to_stop = {one for one in self._told_to_stop if one in self.WORKERS} | {pid}
        super().kill_worker(pid, sig)

    def _have_loaded(self, pids: list[int], loaded: int) -> bool:
        """Wait for a byte from each worker in `pids` on the pipe `loaded`; return False if one of them ends first, or
        after LOAD_S.
        """
        until = time.monotonic() + self.LOAD_S
        missing = len(pids)
        while missing and time.monotonic() < until:
            if select.select([loaded], [], [], 0.1)[0]:
                missing -= len(os.read(loaded, missing))
            if any(_has_ended(pid) for pid in pids):
                return False
        return not missing

    def spawn_worker(self) -> int:
        """Start one worker, with SIGHUP blocked until it has a handler: the signal would end it before. Return its
        process id.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            return int(super().spawn_worker())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _has_ended(pid: int) -> bool:
    """Return True if a child process has ended; it stays to be reaped."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        # gevent has reaped it.
        return True


def serve(current: Config, kind: type[ForumApplication] = ForumApplication) -> None:
    """Run the master of a web process until a signal to stop. `current`: the settings at the start; `kind`: class of
    its application, the API's or the website's.

    Raises SystemExit at the end, with code 0 after SIGTERM or SIGINT; StartError if the addresses are not free.
    """
    os.environ.pop("GUNICORN_CMD_ARGS", None)
    # A descriptor for each listener: as many as the system lets us have.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        if not {listener_holder.ENV_LISTENERS, "LISTEN_FDS"} & os.environ.keys():
            listener_holder.check_free(current)
        ForumMaster(kind(current)).run()
    except listener_holder.HoldError as error:
        raise StartError(f"{error}; listen (FORUMAPI_LISTEN) names another address") from error
    except RuntimeError as error:
        raise StartError(str(error)) from error
