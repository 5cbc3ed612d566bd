"""How a worker takes connections: in turn with the other workers, whoever of them the system wakes first.

All workers of a web process wait on the same listening socket. While nothing happens it is always the same one that is
first to look, and clients that stay with one connection would all be its own. So each tells the others what it
has (metrics.share_load), and who has more than another gives that one a moment to be quicker.
"""

from __future__ import annotations

from typing import Any, Final

from gevent.server import StreamServer

from forumapi.observability import metrics

# The share of a connection that a listener to events has: it is silent most of the time.
LISTENER: Final = 1 / 64
# For each connection more than the one with the fewest has: the moment it is given, and at most.
_STEP_S: Final = 0.001
_MOST_S: Final = 0.010
# Connections that are taken at a time when the others did not come for them.
_MANY: Final = 100


class FairServer(StreamServer):
    """The server of one listening socket in one of several workers: one connection a turn, and not before its turn."""

    max_accept = 1

    def do_read(self) -> Any:
        """The next connection; None when there is none, or another worker shall have it."""
        if (excess := metrics.load() - metrics.least_load()) >= 1:
            self.stop_accepting()
            # Where accepting is stopped or the server is closed, this ends with it.
            self._timer = self.loop.timer(min(_STEP_S * excess, _MOST_S))
            self._timer.start(self._take_what_is_left)
            return None
        return super().do_read()

    def _take_what_is_left(self) -> None:
        """The others are busy, and nobody is to wait for them twice."""
        self.start_accepting()
        for _ in range(_MANY):
            if self.full() or not (taken := super().do_read()):
                return
            self.do_handle(*taken)
