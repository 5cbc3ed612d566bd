"""Counters and timings, sent by UDP to a StatsD server where one is set; otherwise each call is one test.

Names are dotted, lower case, without ids: `cron.site_statistics.ms`.
"""

from __future__ import annotations

import socket


class Metrics:
    """Where this process's figures go. `address` is host:port, empty for nowhere."""

    def __init__(self, address: str = "", prefix: str = "forumapi") -> None:
        self._prefix = prefix
        self._target: tuple[str, int] | None = None
        if address:
            host, _, port = address.rpartition(":")
            self._target = (socket.gethostbyname(host.strip("[]")), int(port))
            # Not connected: a connected UDP socket raises when nobody listens.
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def count(self, name: str, by: int = 1) -> None:
        """`name` happened `by` times."""
        self._send(f"{self._prefix}.{name}:{by}|c")

    def timing(self, name: str, seconds: float) -> None:
        """`name` took this long; sent in milliseconds."""
        self._send(f"{self._prefix}.{name}:{seconds * 1000:.3f}|ms")

    def _send(self, line: str) -> None:
        if self._target is None:
            return
        try:
            self._socket.sendto(line.encode(), self._target)
        except OSError:
            # A figure lost is no reason to fail what it measures.
            pass
