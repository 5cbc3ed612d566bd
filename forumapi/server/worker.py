"""Worker of the web process: gunicorn's gevent worker with our start, stop, time limits and reload of settings.

Imported after gevent has patched the standard library, never before. The master is in master.py.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from forumapi import config
from forumapi.config import Config, Settings
from forumapi.errors import NAMES, RATE_LIMITED, ApiError, ConfigError, OutcomeUnknown, Unavailable
from forumapi.observability import log, metrics
from forumapi.request.handler_results import ConnectionUpgrade, StreamedBody
from forumapi.server import http_exchange, listener_holder
from forumapi.server.address_connection_limit import AddressConnectionLimit
from forumapi.server.fair_accept import LISTENER, FairServer
from forumapi.wire import json_envelope, status_and_base_headers

if TYPE_CHECKING:
    from forumapi.wsgi import Application as Wsgi

StartResponse = Callable[[str, list[tuple[str, str]]], Any]

# A stopping worker closes a silent connection after this. A client that keeps talking gets its answer before, with
# "Connection: close", and so never finds a connection closed under a request it has just sent.
IDLE_GRACE_S: Final = 1.0


class HeaderTimeout(Exception):
    """Error of a request whose header did not arrive completely within `header_timeout_s`."""

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
# Stable codes of these, by status.
_NAMES: Final = {
    400: "malformed_request",
    408: "request_timeout",
    414: "address_too_long",
    417: "expectation_failed",
    431: "headers_too_large",
    500: "internal_error",
    501: "not_implemented",
}


_BlockingSocket: Final = monkey.get_original("socket", "socket")


class StartError(Exception):
    """Failure to start the web process, or a worker; the message says why."""


def _envelope(status: int, text: str, code: int = 0, name: str = "") -> bytes:
    said = name or (NAMES[code] if code else _NAMES[status])
    detail = {"siteId": 0, "errorCode": code, "errorDetail": text, "code": said}
    whole = {"context": "", "status": status, "data": detail, "error": [text]}
    return json.dumps(whole, separators=(",", ":")).encode()


def application() -> Wsgi:
    """Make the WSGI application of a web process (API, health endpoints, website), with the settings that `config.load`
    finds; etc/gunicorn.conf.py names it to gunicorn. Raises ConfigError.
    """
    from forumapi.wsgi import create_app

    return create_app(config.load())


class ForumWorker(GeventWorker):  # type: ignore[misc]
    """Worker of the web process: gunicorn's gevent worker, with its strict parser and limits. Serves HTTP/1.1 alone;
    TLS ends at the proxy.
    """

    def init_signals(self) -> None:
        """Set the handlers of signals: gunicorn's, SIGHUP to reload the settings, SIGUSR2 for a successor. SIGHUP was
        blocked until here.
        """
        super().init_signals()
        self._is_loaded = False
        self._reload_due = False
        self._has_successor = False
        signal.signal(signal.SIGUSR2, self._handle_successor)
        signal.signal(signal.SIGHUP, self._handle_hup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def load_wsgi(self) -> None:
        """Make the application and open its database connections, before the first request. Raises StartError if a
        worker that is to replace one with other settings finds no database, or psycopg was imported too early
        (`_check_waiting`).
        """
        # Nearly all objects made while loading stay: collecting garbage among them is a tenth of the start.
        gc.disable()
        self.wsgi: Any = self.app.wsgi()
        self._settled: Any = http_exchange.FrozenConfig(self.cfg)
        self._names: dict[Any, tuple[str, str]] = {}
        # Clients that are waited for, with the time since when; of one whose header has begun, no time.
        self._idle: dict[Any, float] = {}
        self._stopping = Event()
        self._served: Any = self.wsgi
        self._limit_s = 0
        self._header_s = 10
        self._drain_s = 0
        self._private: Any = None
        self._connections_by_address = AddressConnectionLimit()
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
        """Serve until a signal to stop; then drain, finish the running requests, for `graceful_stop_s` at most, and
        stop the application. With a successor there is no draining, and silent clients are waited for as long as they
        may keep a connection.
        """
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
        gevent.spawn(self._end_silent)
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
        """Handle SIGTERM: make `run` stop serving, as it describes; with a successor, silent clients are waited for no
        longer.
        """
        if self._has_successor and self._is_loaded:
            # To end at once after all.
            gevent.spawn_later(IDLE_GRACE_S, self._close_idle)
        super().handle_exit(sign, frame)
        if self._is_loaded:
            self._stopping.set()

    def _handle_successor(self, sign: int, frame: object) -> None:
        """Handle SIGUSR2, since a successor serves the same addresses: accept no more connections, and end after the
        last client.
        """
        if self._has_successor:
            return
        self._has_successor = True
        self.alive = False
        if self._is_loaded:
            self._stopping.set()

    def _drain(self) -> None:
        """Report not ready, and go on serving for `drain_s`, until load balancers have taken notice."""
        if health := getattr(self._served, "health", None):
            health.drain()
        until = time.monotonic() + self._drain_s
        while (left := until - time.monotonic()) > 0:
            self.notify()
            gevent.sleep(min(left, 1.0))

    def _close_idle(self) -> None:
        for client in list(self._idle):
            _end_reading(client)

    def _end_silent(self) -> None:
        """End the connections of clients that have sent nothing for `keepalive_s`, each within a second more, as long
        as the process runs. One loop over all of them costs less than a timer for each request.
        """
        limit_s = self._settled.keepalive
        while True:
            gevent.sleep(min(1.0, limit_s / 2))
            since = time.monotonic() - limit_s
            for client in [client for client, began in self._idle.items() if began < since]:
                _end_reading(client)

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
        log_as(settings.current, access=True)
        if apply := getattr(self._served, "apply", None):
            apply(settings.current)

    def _take_over(self, current: Config) -> None:
        self._limit_s = current.request_timeout_s
        self._header_s = current.header_timeout_s
        self._connections_by_address.apply(current)

    # ------------------------------------------------------------ requests

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection: its requests one after the other, until either side closes it. A connection above the
        limit of its address is refused. `client`, `addr`: its socket and peer; `listener`: socket that accepted it.
        """
        network = "" if listener is self._private else self._connections_by_address.admit(addr)
        if network is None:
            _refuse(client)
            return
        metrics.add_load(1)
        parser = http_exchange.Parser(self._settled, client, addr)
        try:
            client.setblocking(1)
            name = self._names[listener]
            while True:
                request = self._next(parser, client)
                if not request or self._exchange(
                    name, request, client, addr, listener is self._private, network
                ):
                    break
        except (errors.NoMoreData, StopIteration, ConnectionError):
            pass
        except Exception as error:  # noqa: BLE001 - the edge of a connection: refused, or logged whole
            self.handle_error(None, client, addr, error)
        finally:
            parser.close()
            self._idle.pop(client, None)
            self._connections_by_address.remove(network)
            metrics.add_load(-1)
            util.close(client)

    def _next(self, parser: http_exchange.Parser, client: Any) -> Any:
        """Return the client's next request; None if the client sends nothing for too long, or has closed the
        connection. Other requests have their turn meanwhile, though the client sends without a pause.

        Raises HeaderTimeout if a request has begun and its header is not complete in time.
        """
        self._idle[client] = time.monotonic()
        data = parser.wait()
        if not data:
            return None
        if data.find(b"\r\n\r\n") > 0:
            del self._idle[client]
            return next(parser)
        self._idle[client] = math.inf
        with gevent.Timeout(self._header_s, HeaderTimeout):
            request = next(parser)
        del self._idle[client]
        return request

    def _exchange(
        self,
        server: tuple[str, str],
        request: Any,
        client: Any,
        addr: Any,
        is_private: bool,
        network: str,
    ) -> bool:
        """Answer one request; return True if the connection ends with it. `server`: name and port; `client`, `addr`:
        socket and its peer; `is_private`: the request came in on `admin_listen`; `network`: the network under which the
        connection is counted.
        """
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
        """Send the pieces of a long body. Raises ConnectionAbortedError if the client does not take a piece within the
        time limit of a request, or the pieces end before their size, so that the connection is closed.
        """
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
        """Answer a request that ended with the exception `exc`, over the socket `client`: in the API's envelope if the
        parser refused the request; for any other error log it and answer 500. `req` and `addr` are not used.
        """
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
            """Give the running request `seconds` from now on, in place of the time limit that it had."""
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
            body = _envelope(error.status, error.message, name=error.name)
            headers = [*_headers(body), *error.headers]
            if request_id := environ.get("forumapi.request_id"):
                headers.append(("X-Request-Id", request_id))
            start_response(status_and_base_headers.STATUS_LINES[error.status], headers)
            return [body]
        finally:
            timer.close()


def _headers(body: bytes) -> status_and_base_headers.Headers:
    """Return the headers of an answer that this module makes itself, with the length of `body`."""
    return [
        *status_and_base_headers.base_headers(json_envelope.PLAIN),
        ("Cache-Control", status_and_base_headers.NO_CACHE),
        ("Content-Length", str(len(body))),
    ]


def _last_answer(line: str, text: str, code: int = 0, more: str = "") -> bytes:
    """Return the bytes of a last answer on a connection, in the API's envelope. `line`: status and phrase; `text`,
    `code`: message and code of the error, 0 for none; `more`: further header lines, each with its line break.
    """
    body = _envelope(int(line[:3]), text, code)
    headers = "".join(f"{name}: {value}\r\n" for name, value in _headers(body))
    head = f"HTTP/1.1 {line}\r\nConnection: close\r\n{headers}{more}\r\n"
    return head.encode() + body


def _end_reading(client: Any) -> None:
    """End reading from a client, whose connection is closed once the requests received until then are answered."""
    # Not by the socket's own method, which gevent replaced: it raises an error in the waiting reader, as if the
    # connection had failed.
    with contextlib.suppress(OSError), _BlockingSocket(fileno=os.dup(client.fileno())) as same:
        same.shutdown(socket.SHUT_RD)


def _refuse(client: Any) -> None:
    """Answer 429 to a connection above the limit, without waiting for its request, and close it."""
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
    """Return SERVER_NAME and SERVER_PORT for requests to this listener; the port is "" for a Unix socket."""
    name = listener.getsockname()
    return (str(name[0]), str(name[1])) if isinstance(name, tuple) else (str(name), "")


def _check_waiting() -> None:
    """Raise StartError if psycopg was imported before gevent patched the standard library: each query would block all
    requests of this worker.
    """
    waiting = sys.modules.get("psycopg.waiting")
    if waiting is not None and waiting.wait is getattr(waiting, "wait_c", None):
        raise StartError(
            "psycopg was imported before gevent patched the standard library: "
            "every query would block its worker"
        )


def _greenlet_ended(context: object, kind: Any, error: Any, trace: object) -> None:
    """Log `error`, an exception that ended a greenlet, where gevent would print it; ignore the other parameters."""
    log.logger.critical("a greenlet ended", exc_info=error)


def log_as(current: Config, *, access: bool) -> None:
    try:
        log.apply(current, access=access)
    except OSError as error:
        log.logger.error("the log stays where it is: %s", error)
