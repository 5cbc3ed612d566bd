"""Sending of crash reports to a Sentry-compatible service, by its own library with every hook switched off.

The library is imported with this module, which takes a tenth of a second: so only where a DSN is set, and only after
gevent has patched the standard library.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final, Literal

from sentry_sdk import Client, HttpTransport

from forumapi import __version__
from forumapi.observability.crash_reports import ChainedException, Crash, Gate


class _Transport(HttpTransport):
    """Transport of the library that drops a report rather than wait for long or try again. `dropped`: number of reports
    lost.
    """

    TIMEOUT = 5
    dropped = 0

    def on_dropped_event(self, _reason: str) -> None:
        self.dropped += 1

    def _get_pool_options(self) -> dict[str, Any]:
        # The library trusts a list of its own; a company's Sentry has a certificate that the system trusts.
        trusted = {"ca_certs": None, "ssl_context": ssl.create_default_context()}
        return super()._get_pool_options() | trusted | {"retries": False}


class Sentry:
    """Sender of crash reports to the service at `dsn`, in a thread that the first report starts. `environment`: kind of
    installation, such as `prod`, that each report names.

    The caller of `take` never waits: reports beyond WAITING queued ones are dropped, and so are those that can't be
    sent.
    """

    WAITING: Final = 20

    def __init__(self, dsn: str, *, environment: str = "") -> None:
        self.dsn = dsn
        self.environment = environment
        self._gate = Gate()
        self._client = self._open()
        self._owner = os.getpid()

    @property
    def dropped(self) -> int:
        """Return the number of crash reports that this process lost by a full queue or in sending; those that `take`
        refused are not counted.
        """
        assert isinstance(self._client.transport, _Transport)
        return self._client.transport.dropped

    def take(
        self, crash: Crash, level: Literal["error", "fatal"], context: Mapping[str, Any]
    ) -> None:
        """Queue the report of a crash, unless one with the same fingerprint was queued within the last minute, or 30 of
        any were (`Gate`). `context`: fields of the request, which become tags.
        """
        held = self._gate.admit(crash.fingerprint)
        if held is None:
            return
        if self._owner != os.getpid():
            # Queue and connection are of the process before the fork.
            self._owner, self._client = os.getpid(), self._open()
        self._client.capture_event(
            {
                "level": level,
                "logger": "forumapi",
                "transaction": context.get("route", ""),
                "fingerprint": [crash.fingerprint],
                "tags": {name: str(value) for name, value in context.items()},
                "extra": {"held_back": held},
                "exception": {"values": [_sentry_value(link) for link in crash.links]},
            }
        )

    def flush(self, timeout_s: float) -> None:
        """Wait until all queued reports are sent, for `timeout_s` at most."""
        if self._owner == os.getpid():
            self._client.flush(timeout_s)

    def _open(self) -> Client:
        # Made here and not by `sentry_sdk.init`, so that no code of a package finds a client to report to.
        return Client(
            self.dsn,
            transport=_Transport,
            transport_queue_size=self.WAITING,
            release=f"forumapi@{__version__}",
            environment=self.environment,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
            send_client_reports=False,
            enable_backpressure_handling=False,
            # Set, because environment variables would speak for what is left out.
            debug=False,
            spotlight=False,
            http_proxy="",
            https_proxy="",
        )


def _sentry_value(link: ChainedException) -> dict[str, Any]:
    return {
        "type": link.kind,
        "module": link.module,
        "value": link.message,
        "stacktrace": {
            "frames": [
                {
                    "filename": frame.file.rpartition("/")[2],
                    "abs_path": frame.file,
                    "function": frame.function,
                    "module": frame.module,
                    "lineno": frame.line,
                    "context_line": frame.source,
                    "in_app": frame.is_ours,
                }
                for frame in link.frames
            ]
        },
    }
