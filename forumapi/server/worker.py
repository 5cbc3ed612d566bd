"""Web process: gunicorn's gevent worker with our start, stop, time limit and reload of settings; and its master.

Imported by gunicorn after gevent has patched the standard library (etc/gunicorn.conf.py), never before.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import math
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn import sock, util
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from forumapi import config
from forumapi.config import Config, Settings
from forumapi.errors import RATE_LIMITED, ApiError, ConfigError, OutcomeUnknown, Unavailable
from forumapi.observability import log, metrics
from forumapi.request import response
from forumapi.request.response import ConnectionUpgrade, StreamedBody
from forumapi.server import http_exchange, listener_holder
from forumapi.server.fair_accept import LISTENER, FairServer
from forumapi.wire import client_address
from forumapi.wire.client_address import Proxies
from forumapi.wire.front_ends import FrontEnds

if TYPE_CHECKING:
    from forumapi.wsgi import Application as Wsgi

StartResponse = Callable[[str, list[tuple[str, str]]], Any]

# A stopping worker closes a silent connection after this. A client that keeps talking gets its answer before, with
# "Connection: close", and so never finds a connection closed under a request it has just sent.
IDLE_GRACE_S: Final = 1.0


class HeaderTimeout(Exception):
    """Timeout of a request whose header did not arrive completely."""

    def __str__(self) -> str:
        return "The header was not complete in time"


# Refusals of the parser, before the application sees a request.
_REFUSED: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.LimitRequestLine, "414 URI Too Long"),
    (errors.LimitRequestHeaders, "431 Request Header Fields Too Large"),
    (errors.UnsupportedTransferCoding, "501 Not Implemented"),
    (errors.ExpectationFailed, "417 Expectation Failed"),
    (HeaderTimeout, "408 Request Timeout"),
    (errors.ParseException, "400 Bad Request"),
)


_BlockingSocket: Final = monkey.get_original("socket", "socket")


class StartError(Exception):
    """Reason why the web process must not, or can't, serve."""


def _envelope(status: int, text: str, code: int = 0) -> bytes:
    detail = {"siteId": 0, "errorCode": code, "errorDetail": text}
    whole = {"context": "", "status": status, "data": detail, "error": [text]}
    return json.dumps(whole, separators=(",", ":")).encode()


class Log(Logger):  # type: ignore[misc]
    """Logger of gunicorn's messages, as lines of the platform's log."""

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


def application() -> Wsgi:
    """Make the WSGI application for the settings of this environment."""
    from forumapi.wsgi import create_app

    return create_app(config.load())


class ForumWorker(GeventWorker):  # type: ignore[misc]
    """Worker of the web process. Keeps gunicorn's strict parser and limits; HTTP/1.1 alone, TLS ends at the proxy."""

    def init_signals(self) -> None:
        """Handle gunicorn's signals, HUP for the settings, USR2 for a successor; HUP is blocked until here."""
        super().init_signals()
        self._is_loaded = False
        self._reload_due = False
        self._has_successor = False
        signal.signal(signal.SIGUSR2, self._handle_successor)
        signal.signal(signal.SIGHUP, self._handle_hup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def load_wsgi(self) -> None:
        """Load the application and open its connections before the first request."""
        # Nearly all objects made while loading stay: collecting garbage among them is a tenth of the start.
        gc.disable()
        self.wsgi: Any = self.app.wsgi()
        self._settled: Any = http_exchange.FrozenConfig(self.cfg)
        self._names: dict[Any, tuple[str, str]] = {}
        self._idle: set[Any] = set()
        self._stopping = Event()
        self._served: Any = self.wsgi
        self._limit_s = 0
        self._header_s = 10
        self._drain_s = 0
        self._private: Any = None
        self._connections_by_address = ConnectionCounter()
        if isinstance(settings := getattr(self.app, "settings", None), Settings):
            self._take_over(settings.current)
            self._drain_s = settings.current.drain_s
            if settings.current.admin_listen:
                self._private = self.sockets[-1]
            self.wsgi = self._with_time_limit
        _check_waiting()
        log.start()
        faulthandler.enable()
        gevent.get_hub().print_exception = _greenlet_ended  # type: ignore[assignment, method-assign]
        if metrics.join():
            metrics.WORKER_STARTS.add()
            metrics.WORKERS.set(1)
        else:
            log.logger.warning("the figures of this worker are missing from /metrics")
        start = getattr(self._served, "start", None)
        has_database = start is None or start()
        if not has_database and getattr(self.app, "is_watched", False):
            raise StartError("with these settings there is no database")
        # The objects of now stay. Collecting garbage among all of them would block every request of this process
        # for tens of milliseconds.
        gc.freeze()
        gc.enable()
        self._is_loaded = True
        if ready := getattr(self.app, "ready", None):
            ready()
        if self._reload_due:
            self._reload()

    def run(self) -> None:
        """Serve until a signal to stop; then finish running requests, for `graceful_stop_s` at most."""
        servers, pools = [], []
        for listener in self.sockets:
            listener.setblocking(1)
            # Read now: a connection accepted in the last moment begins after its listener is closed.
            self._names[listener] = _server_name(listener)
            pool = Pool(self.worker_connections)
            kind = FairServer if self.cfg.workers > 1 else StreamServer
            server = kind(listener, handle=partial(self.handle, listener), spawn=pool)
            server.start()
            servers.append(server)
            pools.append(pool)
        metrics.share_load(0)
        listener_holder.notify(b"%d" % self.cfg.workers)
        try:
            while self.alive:
                self.notify()
                self._stopping.wait(1.0)
            deadline = time.monotonic() + self.cfg.graceful_timeout
            if self._has_successor:
                # No client needs to go elsewhere, and no connection is closed under one: a silent connection ends by
                # its own time limit, which is above that of the proxy at its other end.
                deadline += self.cfg.keepalive
            else:
                self._drain()
                gevent.spawn_later(IDLE_GRACE_S, self._close_idle)
            metrics.share_load(math.inf)
            for server in servers:
                server.close()
            # After the listeners: a client that reconnects at once reaches another worker, or the successor.
            if close := getattr(self._served, "close_connections", None):
                close()
            if self._has_successor and (retire := getattr(self._served, "retire", None)):
                retire()
            while any(pools) and time.monotonic() < deadline:
                self.notify()
                for pool in pools:
                    pool.join(1.0)
            if any(pools):
                log.logger.warning("requests under way are ended with the worker")
            for server in servers:
                server.stop(timeout=1)
        finally:
            if stop := getattr(self._served, "stop", None):
                stop()
            log.stop()

    def handle_exit(self, sign: int, frame: object) -> None:
        """Handle SIGTERM: finish running requests, then end."""
        if self._has_successor and self._is_loaded:
            # To end at once after all.
            gevent.spawn_later(IDLE_GRACE_S, self._close_idle)
        super().handle_exit(sign, frame)
        if self._is_loaded:
            self._stopping.set()

    def _handle_successor(self, sign: int, frame: object) -> None:
        """Handle the start of a successor on the same addresses: accept no more connections, end after the last
        client.
        """
        if self._has_successor:
            return
        self._has_successor = True
        self.alive = False
        if self._is_loaded:
            self._stopping.set()

    def _drain(self) -> None:
        """Report not ready, and keep serving until balancers have seen it."""
        if health := getattr(self._served, "health", None):
            health.drain()
        until = time.monotonic() + self._drain_s
        while (left := until - time.monotonic()) > 0:
            self.notify()
            gevent.sleep(min(left, 1.0))

    def _close_idle(self) -> None:
        for client in list(self._idle):
            # Only reading ends: requests received meanwhile are still answered. Not by the socket's own method, which
            # gevent replaced: it raises an error in the waiting reader, as if the connection had failed.
            with (
                contextlib.suppress(OSError),
                _BlockingSocket(fileno=os.dup(client.fileno())) as same,
            ):
                same.shutdown(socket.SHUT_RD)

    # ------------------------------------------------------------ settings

    def _handle_hup(self, sign: int, frame: object) -> None:
        if self._is_loaded:
            # Not in the signal handler: the file is read.
            gevent.spawn(self._reload)
        else:
            self._reload_due = True

    def _reload(self) -> None:
        settings = getattr(self.app, "settings", None)
        if not isinstance(settings, Settings):
            return
        try:
            settings.reload()
        except ConfigError as error:
            # The master sends HUP for a valid file only; the file has changed since.
            log.logger.error("settings not reloaded in this worker: %s", error)
            return
        self._take_over(settings.current)
        _log_as(settings.current, access=True)
        if apply := getattr(self._served, "apply", None):
            apply(settings.current)

    def _take_over(self, current: Config) -> None:
        self._limit_s = current.request_timeout_s
        self._header_s = current.header_timeout_s
        self._connections_by_address.apply(current)

    # ------------------------------------------------------------ requests

    def timeout_ctx(self) -> gevent.Timeout:
        """Return the timeout of a silent client. gunicorn's own method looks the setting up each time."""
        return gevent.Timeout(self._settled.keepalive, False)  # type: ignore[arg-type]

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection: requests one after the other, until either side closes it."""
        network = "" if listener is self._private else self._connections_by_address.admit(addr)
        if network is None:
            _refuse(client)
            return
        metrics.add_load(1)
        try:
            client.setblocking(1)
            parser = http_exchange.Parser(self._settled, client, addr)
            name = self._names[listener]
            while True:
                self._idle.add(client)
                request = self._next(parser)
                self._idle.discard(client)
                if not request or self._exchange(
                    name, request, client, addr, listener is self._private, network
                ):
                    break
                # A client that sends without a pause must not block the others.
                gevent.sleep(0)
        except (errors.NoMoreData, StopIteration, ConnectionError):
            pass
        except Exception as error:  # noqa: BLE001 - the edge of a connection: refused, or logged whole
            self.handle_error(None, client, addr, error)
        finally:
            self._idle.discard(client)
            self._connections_by_address.remove(network)
            metrics.add_load(-1)
            util.close(client)

    def _next(self, parser: http_exchange.Parser) -> Any:
        """Return the client's next request; None if the client is silent for too long, or has gone.

        Raises HeaderTimeout for a request that has begun and is not complete in time.
        """
        has_begun = False
        with self.timeout_ctx():
            has_begun = parser.wait()
        if not has_begun:
            return None
        with gevent.Timeout(self._header_s, HeaderTimeout):
            return next(parser)

    def _exchange(
        self,
        server: tuple[str, str],
        request: Any,
        client: Any,
        addr: Any,
        is_private: bool,
        network: str,
    ) -> bool:
        """Answer one request; return True if the connection ends with it."""
        if request._expected_100_continue:
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ = http_exchange.environ(request, client, addr, server, self._settled.workers > 1)
        if is_private:
            environ["forumapi.private"] = True
        data, is_last, pieces = http_exchange.answer(
            self.wsgi,
            environ,
            lambda: not self.alive or request.should_close() or request.body.failed,
        )
        try:
            client.sendall(data)
        except BaseException:
            if isinstance(pieces, ConnectionUpgrade):
                pieces.drop()
            raise
        if isinstance(pieces, ConnectionUpgrade):
            metrics.add_load(LISTENER - 1)
            # Listeners have a limit of their own (Live.reserve).
            self._connections_by_address.remove(network)
            try:
                pieces.run(client, request.unreader.take_buffered())
            finally:
                self._connections_by_address.add(network)
                metrics.add_load(1 - LISTENER)
        elif pieces is not None:
            self._send(client, pieces)
        return is_last

    def _send(self, client: Any, pieces: StreamedBody) -> None:
        """Send a long body. A client that reads nothing for the time limit of a request is disconnected."""
        left = len(pieces)
        with contextlib.closing(pieces):
            try:
                for piece in pieces:
                    with gevent.Timeout(self._limit_s or None, ConnectionAbortedError):
                        client.sendall(piece)
                    left -= len(piece)
            except ApiError as error:
                log.logger.warning("a download broke off: %s", error.reason or error.message)
        if left:
            # The head has promised more bytes: only the end of the connection tells the client that they are missing.
            raise ConnectionAbortedError

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that the parser refused, in the API's envelope; log any other error."""
        line = next((line for kind, line in _REFUSED if isinstance(exc, kind)), "")
        text = str(exc)
        if not line:
            log.logger.error("a connection failed", exc_info=exc)
            line, text = "500 Internal Server Error", "Internal error"
        with contextlib.suppress(OSError):
            util.write_nonblock(client, _last_answer(line, text))

    def _with_time_limit(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        timer = gevent.Timeout.start_new(self._limit_s)

        def extend(seconds: float) -> None:
            """Start the timer anew, with another limit."""
            nonlocal timer
            timer.close()
            timer = gevent.Timeout.start_new(seconds)

        environ["forumapi.time_limit"] = extend
        try:
            return self._served(environ, start_response)  # type: ignore[no-any-return]
        except gevent.Timeout as timeout:
            if timeout is not timer:
                raise
            log.logger.warning("a request was ended after %s s", timer.seconds)
            # Retry-After is for what was not written.
            error: ApiError = Unavailable("The request took too long")
            if environ.get("forumapi.is_committing"):
                error = OutcomeUnknown()
            # A website says it in a page.
            if (overdue := getattr(self._served, "overdue", None)) is not None:
                page: Iterable[bytes] | None = overdue(environ, start_response, error.status)
                if page is not None:
                    return page
            body = _envelope(error.status, error.message)
            headers = [*_headers(body), *error.headers]
            if request_id := environ.get("forumapi.request_id"):
                headers.append(("X-Request-Id", request_id))
            start_response(response.STATUS_LINES[error.status], headers)
            return [body]
        finally:
            timer.close()


class ConnectionCounter:
    """Counter of this worker's connections by client address, of IPv6 by network (`client_address.network`).

    Peers without an address (Unix sockets), trusted proxies and front ends are not counted; their network is "".
    """

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._most = 0
        self._proxies = Proxies(())
        self._front_ends = FrontEnds(())

    def apply(self, current: Config) -> None:
        """Apply the settings."""
        self._most = current.connections_per_address
        self._proxies = Proxies(current.trusted_proxies)
        self._front_ends = FrontEnds(current.front_ends)

    def admit(self, addr: Any) -> str | None:
        """Count a connection and return its network; None if the network has its maximum of connections."""
        peer = str(addr[0]) if isinstance(addr, tuple) else ""
        if not peer or self._proxies.believes(peer) or self._front_ends.holds(peer):
            return ""
        network = client_address.network(peer)
        if self._most and self._count[network] >= self._most:
            return None
        self.add(network)
        return network

    def add(self, network: str) -> None:
        """Count a connection of a network, even beyond the limit."""
        if network:
            self._count[network] += 1

    def remove(self, network: str) -> None:
        """Subtract a connection that has ended, or is one of live events now."""
        if network:
            self._count[network] -= 1
            if not self._count[network]:
                del self._count[network]


def _headers(body: bytes) -> response.Headers:
    """Return the headers that every answer in the envelope has."""
    return [
        *response.base_headers(response.PLAIN),
        ("Cache-Control", response.NO_CACHE),
        ("Content-Length", str(len(body))),
    ]


def _last_answer(line: str, text: str, code: int = 0, more: str = "") -> bytes:
    """Return an answer in the envelope that ends the connection; `more`: further lines of its head."""
    body = _envelope(int(line[:3]), text, code)
    headers = "".join(f"{name}: {value}\r\n" for name, value in _headers(body))
    head = f"HTTP/1.1 {line}\r\nConnection: close\r\n{headers}{more}\r\n"
    return head.encode() + body


def _refuse(client: Any) -> None:
    """Answer a connection above the limit, without waiting for its request."""
    text = "Too many connections of this address"
    try:
        client.setblocking(0)
        with contextlib.suppress(OSError):
            # Unread bytes of the request would make the kernel reset the connection, and the client lose the answer.
            client.recv(65_536)
        with contextlib.suppress(OSError):
            client.send(
                _last_answer("429 Too Many Requests", text, RATE_LIMITED, "Retry-After: 1\r\n")
            )
            client.shutdown(socket.SHUT_WR)
    finally:
        util.close(client)


def _server_name(listener: Any) -> tuple[str, str]:
    """Return SERVER_NAME and SERVER_PORT of a listener."""
    name = listener.getsockname()
    return (str(name[0]), str(name[1])) if isinstance(name, tuple) else (str(name), "")


def _check_waiting() -> None:
    """Check that a wait for PostgreSQL does not block all requests of this worker. Raises StartError."""
    waiting = sys.modules.get("psycopg.waiting")
    if waiting is not None and waiting.wait is getattr(waiting, "wait_c", None):
        raise StartError(
            "psycopg was imported before gevent patched the standard library: "
            "every query would block its worker"
        )


def _greenlet_ended(context: object, kind: Any, error: Any, trace: object) -> None:
    """Log an exception that ended a greenlet; gevent would print it."""
    log.logger.critical("a greenlet ended", exc_info=error)


def _has_ended(pid: int) -> bool:
    """Return True if a child has ended, without reaping it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        # gevent has reaped it.
        return True


def _log_as(current: Config, *, access: bool) -> None:
    try:
        log.apply(current, access=access)
    except OSError as error:
        log.logger.error("the log stays where it is: %s", error)


class ForumApplication(Application):  # type: ignore[misc]
    """Application of the master: etc/gunicorn.conf.py and the settings that it was started with."""

    def __init__(self, current: Config) -> None:
        self.settings = Settings(current)
        # Pipe on which workers report that they have loaded.
        self._loaded: int | None = None
        # Shared with workers: 1 once any of them has loaded.
        self._has_loaded = mmap.mmap(-1, 1)
        super().__init__(prog="forumapi serve")

    def load_config(self) -> None:
        """Load gunicorn's settings from etc/gunicorn.conf.py; its command line and environment are ignored."""
        self.load_config_from_file(str(config.resource("etc/gunicorn.conf.py")))

    def load(self) -> Any:
        """Build the application, in the worker."""
        from forumapi.wsgi import create_app

        return create_app(self.settings.current)

    def ready(self) -> None:
        """Report to the master that this worker has loaded, if the master waits for that."""
        self._has_loaded[0] = 1
        if self._loaded is not None:
            os.write(self._loaded, b"1")
            os.close(self._loaded)
            self._loaded = None

    @property
    def has_loaded(self) -> bool:
        """Return True once any worker of this web process has loaded."""
        return bool(self._has_loaded[0])

    @property
    def is_watched(self) -> bool:
        """Return True if this worker is to replace one that serves with other settings."""
        return self._loaded is not None

    @contextlib.contextmanager
    def watched(self) -> Iterator[int]:
        """Yield the pipe to which each new worker writes a byte once it has loaded; closed after the with statement."""
        reading, self._loaded = os.pipe()
        try:
            yield reading
        finally:
            os.close(reading)
            if self._loaded is not None:
                os.close(self._loaded)
            self._loaded = None


class ForumMaster(Arbiter):  # type: ignore[misc]
    """Master process of gunicorn. SIGHUP applies settings in place, or with new workers, without losing a request.

    Under `forumapi hold` it takes over listening sockets, and ends at SIGUSR2, which tells it of a successor.
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
        """Take over the sockets that `forumapi hold` has opened; without that process, open the sockets here."""
        if held := os.environ.pop(listener_holder.ENV_LISTENERS, ""):
            self.LISTENERS = sock.create_sockets(
                self.cfg, self.log, list(map(int, held.split(",")))
            )
            # The socket files of `hold` are not removed here.
            self.systemd = True
        self._is_held = bool(held)
        super().start()

    def handle_usr2(self) -> None:
        """Stop using the addresses, which the successor serves now."""
        if not self._is_held:
            log.logger.warning("SIGUSR2 is for `forumapi hold`; here nobody would take over")
            return
        log.logger.info("another web process has taken over")
        self._has_successor = True
        sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []

    def manage_workers(self) -> None:
        """Keep the configured number of workers; with a successor, end after the last worker."""
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
        """Reap workers that have ended, and notify `hold` of those that ended unasked.

        A worker that can't start ends the web process only if none ever has started; else it is started again, while
        the others serve.
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
        """Reload the settings; an invalid file changes nothing, and settings that need a restart are named."""
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
        _log_as(current, access=False)
        if changes.applied or not changes.replaced:
            log.logger.info(
                "settings reloaded: %s", ", ".join(changes.applied) or "nothing changed"
            )
        if changes.needs_restart:
            log.logger.warning("these wait for a restart: %s", ", ".join(changes.needs_restart))
        if not changes.replaced:
            self.kill_workers(signal.SIGHUP)

    def _replace_workers(self) -> bool:
        """Start new workers, and stop the old ones once the new ones serve; return False, without a change, if one
        does not.
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
        """Send a signal to a worker; TERM only once, since a second one could interrupt its end."""
        if sig in (signal.SIGTERM, signal.SIGUSR2):
            if sig == signal.SIGTERM and pid in self._told_to_stop:
                return
            self._told_to_stop = {one for one in self._told_to_stop if one in self.WORKERS} | {pid}
        super().kill_worker(pid, sig)

    def _have_loaded(self, pids: list[int], loaded: int) -> bool:
        """Wait until `loaded` workers have loaded; return False if one of them has ended, or the time is up."""
        until = time.monotonic() + self.LOAD_S
        missing = len(pids)
        while missing and time.monotonic() < until:
            if select.select([loaded], [], [], 0.1)[0]:
                missing -= len(os.read(loaded, missing))
            if any(_has_ended(pid) for pid in pids):
                return False
        return not missing

    def spawn_worker(self) -> int:
        """Start one worker. HUP is blocked until the worker has a handler, without which HUP would end it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            return int(super().spawn_worker())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def serve(current: Config, kind: type[ForumApplication] = ForumApplication) -> None:
    """Run the web process, of this kind, until a signal to stop.

    Raises SystemExit; its code is 0 after SIGTERM or SIGINT.
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
