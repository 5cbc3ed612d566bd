"""Fair accept(): spreads new connections over the workers that share one listening socket.

On an idle machine the kernel wakes the same worker first each time, which would so get every long connection. So each
worker publishes its number of connections (metrics.share_load), and one with more than the least loaded accepts a
little later.
"""

from __future__ import annotations

from typing import Any, Final

from gevent.server import StreamServer

from forumapi.observability import metrics

# Load of a realtime listener, as a share of a connection: it is silent most of the time.
LISTENER: Final = 1 / 64
# Delay for each connection above the least loaded worker, and at most.
_STEP_S: Final = 0.001
_MOST_S: Final = 0.010
# How many connections to accept per batch after the other workers had their chance.
_MANY: Final = 100


class FairServer(StreamServer):
    """Server of one listening socket that several workers share: accepts one connection for each wake-up. A worker with
    more connections than the least loaded one waits first, the longer the more there are, so that another may accept;
    then it accepts up to _MANY that are left.
    """

    max_accept = 1

    def do_read(self) -> Any:
        """Accept the next connection and return (socket, peer's address); None if there is none, or if this worker's
        load is above that of the least loaded by one connection or more: then a timer accepts after a pause.
        """
        if (excess := metrics.load() - metrics.least_load()) >= 1:
            self.stop_accepting()
            # The timer ends where accepting is stopped or the server is closed.
            self._timer = self.loop.timer(min(_STEP_S * excess, _MOST_S))
            self._timer.start(self._take_what_is_left)
            return None
        return super().do_read()

    def _take_what_is_left(self) -> None:
        """After this worker's wait accept up to _MANY connections that no other worker has accepted meanwhile."""
        self.start_accepting()
        for _ in range(_MANY):
            if self.full() or not (taken := super().do_read()):
                return
            self.do_handle(*taken)
