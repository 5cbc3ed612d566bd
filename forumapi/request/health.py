"""Health endpoints of a web process, for load balancers and operators: liveness, readiness, version, metrics.

The endpoints are answered on any host, before a site is looked for; but `/api/v1/live` not on a host that may be a
site's, where it is the address of live events. Details for operators (each dependency, times, versions of parts) are in
answers on `admin_listen` alone. docs/operations.md shows the answers.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from forumapi import __version__, build
from forumapi.cache import document_cache
from forumapi.database.query import Query
from forumapi.errors import Unavailable
from forumapi.files.storage import StorageError
from forumapi.models.usage import platform_health
from forumapi.observability import metrics
from forumapi.observability.metrics_push import Point
from forumapi.wire.json_envelope import PLAIN, envelope
from forumapi.wire.json_fragments import dumps
from forumapi.wire.status_and_base_headers import STATUS_LINES, Headers, base_headers

if TYPE_CHECKING:
    from forumapi.request.services import Services

LIVE: Final = "/api/v1/live"
READY: Final = "/api/v1/ready"
VERSION: Final = "/api/v1/version"
METRICS: Final = "/metrics"
PUBLIC: Final = frozenset((LIVE, READY, VERSION))

# A dependency that is silent for so long counts as unavailable.
SILENCE_S: Final = 1.0

PING = Query("health.ping", "SELECT 1")

Reply = tuple[str, Headers, bytes]

_AWAY: Final = (Point(metrics.DATABASE_UP.name, (), "g", 0),)


class Check:
    """Check of one dependency, which runs in a thread of its own, never twice at a time; its result is used for
    `keep_s` seconds.

    `probe()` returns the problem in words, "" for none. A problem of a dependency that `is_required` makes the process
    `down`, of another `degraded`.
    """

    def __init__(
        self, name: str, probe: Callable[[], str], *, is_required: bool, keep_s: float
    ) -> None:
        self.name = name
        self.is_required = is_required
        self.problem = ""
        self.took_s = 0.0
        self._probe = probe
        self._keep_s = keep_s
        self._probed = float("-inf")
        self._thread: threading.Thread | None = None
        # Held to start a probe and to record its result: one runs at a time, and no time limit replaces a result.
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start the probe in a thread, unless the last result is younger than `keep_s` or a probe is running. If no
        thread can be started, the dependency counts as failed, for that reason, until the next probe.
        """
        with self._lock:
            if self._thread is None and time.monotonic() - self._probed > self._keep_s:
                self._thread = threading.Thread(target=self._run, name="health", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:
                    self._thread = None
                    self.problem = str(error)

    def end(self, until: float) -> None:
        """Wait until the running probe ends, or up to the time `until` of time.monotonic: the problem is then that it
        has not answered. Do nothing if none runs.
        """
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, until - time.monotonic()))
            with self._lock:
                if self._thread is thread:
                    self.problem = "no answer in time"

    def _run(self) -> None:
        started = time.monotonic()
        try:
            problem = self._probe()
        except Exception as error:  # noqa: BLE001 - the edge of a thread: whatever it is, the next probe runs
            problem = str(error) or type(error).__name__
        with self._lock:
            self.problem = problem
            self._probed = time.monotonic()
            self.took_s = self._probed - started
            self._thread = None

    def describe(self) -> dict[str, Any]:
        """Return the last result as a dict for JSON: `name`, `ok`, `required`, `ms` that the probe took, `error` (""
        for none).
        """
        return {
            "name": self.name,
            "ok": not self.problem,
            "required": self.is_required,
            "ms": round(self.took_s * 1000, 1),
            "error": self.problem,
        }


class Health:
    """Health of this web process, as load balancers and operators ask for it.

    After `drain`, and while the machine is out of service (server/health_client.py), it reports that the process is
    draining; the process goes on serving requests meanwhile.
    """

    def __init__(self, app: Services) -> None:
        self._app = app
        self._started = time.time()
        self._build = build()
        self._mark = app.config.out_of_service_path
        self._is_draining = False
        self._checks = [
            Check("database", self._database, is_required=True, keep_s=0.5),
            Check("files", self._files, is_required=False, keep_s=15),
        ]
        # Cached, so that frequent scrapes do not read the platform's metrics anew each time.
        self._points: list[Point] = []
        self._platform = Check("figures", self._ask, is_required=False, keep_s=5)
        if (standbys := app.standbys) is not None:
            # It is checked in the background, so that this probe sends nothing.
            self._checks.append(
                Check("replica", lambda: standbys.health_problem, is_required=False, keep_s=0)
            )
        if app.config.memcached:
            self._checks.append(Check("memcached", self._memcached, is_required=False, keep_s=1))

    def is_asked(self, environ: dict[str, Any]) -> bool:
        """Return True if the request is to be answered by `answer`: each on `admin_listen`, elsewhere those for the
        paths PUBLIC (liveness, readiness, version).

        On a host that may be a site's, the path LIVE is not one of them, since the API has another resource there.
        """
        path = environ.get("PATH_INFO", "")
        if "forumapi.private" in environ:
            return True
        if path == LIVE:
            return not self._names_a_site(environ.get("HTTP_HOST", ""))
        return path in PUBLIC

    def _names_a_site(self, host: str) -> bool:
        """Return True if a Host header may name a site, by its form alone.

        False for addresses, names without dots, and the platform's domain, by which load balancers ask.
        """
        name = host.lower().partition(":")[0].removesuffix(".") if host[:1] != "[" else ""
        is_address = name.replace(".", "").isdigit()
        return "." in name and not is_address and name != self._app.sites.domain

    def drain(self) -> None:
        """Have `answer` and `state` report from now on that this process is draining, since it is about to stop."""
        self._is_draining = True

    def answer(self, environ: dict[str, Any]) -> Reply:
        """Answer a request for which `is_asked` is True: GET or HEAD of a path of PUBLIC, on `admin_listen` of METRICS
        too; 503 for readiness while the process is draining or down; 405 for another method of a path of PUBLIC, 404
        for all else. Returns status line, headers and body.
        """
        is_private = "forumapi.private" in environ
        method = environ["REQUEST_METHOD"]
        path = environ.get("PATH_INFO", "")
        headers = base_headers(PLAIN)
        headers.append(("Cache-Control", "no-store"))
        status, data, error = 200, b"null", b"null"
        if is_private and path == METRICS and method in ("GET", "HEAD"):
            return self._metrics(method)
        if path not in PUBLIC:
            status, error = 404, dumps(["There is nothing at this address"])
        elif method not in ("GET", "HEAD"):
            headers.append(("Allow", "HEAD,GET"))
            status, error = 405, dumps([f"{method} is not possible here"])
        elif path == LIVE:
            data = dumps({"state": "live"})
        elif path == VERSION:
            data = dumps(self._version(is_private))
        else:
            state = self.state()
            report: dict[str, Any] = {"state": state}
            if is_private:
                report["checks"] = [check.describe() for check in self._checks]
            data = dumps(report)
            if state in ("draining", "down"):
                status, error = 503, dumps(["This process does not take requests right now"])
                headers.append(("Retry-After", "1"))
        body = envelope(status, data, error, PLAIN)
        headers.append(("Content-Length", str(len(body))))
        return STATUS_LINES[status], headers, b"" if method == "HEAD" else body

    def _metrics(self, method: str) -> Reply:
        """Answer with the metrics of all workers and of the platform, in Prometheus' format.

        While the database can't be reached, those of the platform are left out, but for the one that says so.
        """
        self._platform.begin()
        self._platform.end(time.monotonic() + SILENCE_S)
        points = self._points if not self._platform.problem else _AWAY
        samples = [*metrics.gather(), *platform_health.samples(points)]
        body = metrics.exposition(samples)
        headers = [
            ("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("Content-Length", str(len(body))),
        ]
        return STATUS_LINES[200], headers, b"" if method == "HEAD" else body

    def state(self) -> str:
        """Run the checks that are due, and return `ready`, `degraded` (an optional dependency fails), `down` (a
        required one fails) or `draining`.

        Takes SILENCE_S at most.
        """
        for check in self._checks:
            check.begin()
        until = time.monotonic() + SILENCE_S
        for check in self._checks:
            check.end(until)
        if self._is_draining or self._mark.exists():
            return "draining"
        failed = [check for check in self._checks if check.problem]
        if any(check.is_required for check in failed):
            return "down"
        return "degraded" if failed else "ready"

    def _version(self, is_private: bool) -> dict[str, Any]:
        report: dict[str, Any] = {"version": __version__, "build": self._build}
        if is_private:
            report |= {
                "pid": os.getpid(),
                "python": platform.python_version(),
                "startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
                "workers": self._app.config.worker_count,
            }
        return report

    def _ask(self) -> str:
        self._points = platform_health.collect(
            self._app.database, self._app.config.backup_status_path
        )
        return ""

    def _database(self) -> str:
        reader = self._app.database.read()
        try:
            reader.value(PING)
        except Unavailable as error:
            return error.message
        finally:
            reader.end()
        return ""

    def _files(self) -> str:
        try:
            self._app.storage.check()
        except StorageError as error:
            return error.reason
        return ""

    def _memcached(self) -> str:
        away = []
        for server in self._app.config.memcached:
            try:
                document_cache.server_version(server, timeout_s=0.5)
            except OSError as error:
                away.append(f"{server}: {error}")
        return "; ".join(away)
