"""What balancers and operators ask a web process: whether it lives, whether it is ready, which version it is.

Answered before a site is looked for, so that a balancer needs to know none: on any host, but `live` not on one that
may be a site's, where events are pushed under the same address. What is private (each
dependency, times, versions of parts) is told on the private address alone (`admin_listen`), where nothing else is
answered. docs/operations.md has the answers.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from forumapi import __version__, build
from forumapi.cache import documents
from forumapi.database.connections import Query
from forumapi.errors import ApiError, Unavailable
from forumapi.files.storage import StorageError
from forumapi.models.sites import platform_metrics
from forumapi.observability import metrics
from forumapi.observability.metrics_export import Point
from forumapi.request.response import (
    PLAIN,
    STATUS_LINES,
    Headers,
    base_headers,
    envelope,
)
from forumapi.wire.json_fragments import dumps

if TYPE_CHECKING:
    from forumapi.request.services import Services

LIVE: Final = "/api/v1/live"
READY: Final = "/api/v1/ready"
VERSION: Final = "/api/v1/version"
METRICS: Final = "/metrics"
PUBLIC: Final = frozenset((LIVE, READY, VERSION))

# A dependency that is silent for so long counts as away.
SILENCE_S: Final = 1.0

PING = Query("health.ping", "SELECT 1")

Reply = tuple[str, Headers, bytes]

_AWAY: Final = (Point(metrics.DATABASE_UP.name, (), "g", 0),)


class Check:
    """Looks at one dependency, in a thread of its own, one look at a time; what was found is good for `keep_s`.

    `look` returns nothing when all is well, else what is wrong. Without a required one the process is not ready,
    without another it is degraded.
    """

    def __init__(
        self, name: str, look: Callable[[], str], *, is_required: bool, keep_s: float
    ) -> None:
        self.name = name
        self.is_required = is_required
        self.wrong = ""
        self.took_s = 0.0
        self._look = look
        self._keep_s = keep_s
        self._looked = float("-inf")
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Look, unless what is known is fresh or somebody looks already."""
        if self._thread is None and time.monotonic() - self._looked > self._keep_s:
            self._thread = threading.Thread(target=self._run, name="health", daemon=True)
            self._thread.start()

    def end(self, until: float) -> None:
        """Wait for what `begin` started, until a time of the monotonic clock."""
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self.wrong = "no answer in time"

    def _run(self) -> None:
        started = time.monotonic()
        try:
            wrong = self._look()
        except (ApiError, OSError) as error:
            wrong = str(error)
        self.wrong = wrong
        self._looked = time.monotonic()
        self.took_s = self._looked - started
        self._thread = None

    def told(self) -> dict[str, Any]:
        """What is known, for an operator."""
        return {
            "name": self.name,
            "ok": not self.wrong,
            "required": self.is_required,
            "ms": round(self.took_s * 1000, 1),
            "error": self.wrong,
        }


class Health:
    """The state of one web process. It is not ready from `drain` on, when it was told to stop, nor while its machine
    is marked as out of service (node_status.py)."""

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
        # What it costs to ask for the platform's figures does not depend on how often somebody asks for ours.
        self._points: list[Point] = []
        self._platform = Check("figures", self._ask, is_required=False, keep_s=5)
        if (standbys := app.standbys) is not None:
            # It is looked at all the time, so that this asks nobody.
            self._checks.append(
                Check("replica", lambda: standbys.wrong, is_required=False, keep_s=0)
            )
        if app.config.memcached:
            self._checks.append(Check("memcached", self._memcached, is_required=False, keep_s=1))

    def is_asked(self, environ: dict[str, Any]) -> bool:
        """Whether a request is for here. On the hosts of sites LIVE is where events are pushed (realtime/)."""
        path = environ.get("PATH_INFO", "")
        if "forumapi.private" in environ:
            return True
        if path == LIVE:
            return not self._names_a_site(environ.get("HTTP_HOST", ""))
        return path in PUBLIC

    def _names_a_site(self, host: str) -> bool:
        """Whether a Host header may be a site's, by its look alone: a balancer asks by address, by a name without
        dots, or by the platform's domain."""
        name = host.lower().partition(":")[0].removesuffix(".") if host[:1] != "[" else ""
        is_address = name.replace(".", "").isdigit()
        return "." in name and not is_address and name != self._app.sites.domain

    def drain(self) -> None:
        """This process is about to stop: balancers should send their requests elsewhere."""
        self._is_draining = True

    def answer(self, environ: dict[str, Any]) -> Reply:
        """The answer to a request for one of PUBLIC, or to any at the private address."""
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
            told: dict[str, Any] = {"state": state}
            if is_private:
                told["checks"] = [check.told() for check in self._checks]
            data = dumps(told)
            if state in ("draining", "down"):
                status, error = 503, dumps(["This process does not take requests right now"])
                headers.append(("Retry-After", "1"))
        body = envelope(status, data, error, PLAIN)
        headers.append(("Content-Length", str(len(body))))
        return STATUS_LINES[status], headers, b"" if method == "HEAD" else body

    def _metrics(self, method: str) -> Reply:
        """The figures of all workers and of the platform. While the database is silent, those of the workers alone."""
        self._platform.begin()
        self._platform.end(time.monotonic() + SILENCE_S)
        points = self._points if not self._platform.wrong else _AWAY
        samples = [*metrics.gather(), *platform_metrics.samples(points)]
        body = metrics.exposition(samples)
        headers = [
            ("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("Content-Length", str(len(body))),
        ]
        return STATUS_LINES[200], headers, b"" if method == "HEAD" else body

    def state(self) -> str:
        """`ready`; `degraded`: something optional is away; `down`: something required is; `draining`: it leaves."""
        for check in self._checks:
            check.begin()
        until = time.monotonic() + SILENCE_S
        for check in self._checks:
            check.end(until)
        if self._is_draining or self._mark.exists():
            return "draining"
        wrong = [check for check in self._checks if check.wrong]
        if any(check.is_required for check in wrong):
            return "down"
        return "degraded" if wrong else "ready"

    def _version(self, is_private: bool) -> dict[str, Any]:
        told: dict[str, Any] = {"version": __version__, "build": self._build}
        if is_private:
            told |= {
                "pid": os.getpid(),
                "python": platform.python_version(),
                "startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
                "workers": self._app.config.worker_count,
            }
        return told

    def _ask(self) -> str:
        self._points = platform_metrics.collect(
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
                documents.server_version(server, timeout_s=0.5)
            except OSError as error:
                away.append(f"{server}: {error}")
        return "; ".join(away)
