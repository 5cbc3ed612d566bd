"""Long polling: one request that waits until there is something to tell. Protocol: docs/api/live.md."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from forumapi.realtime.event_pump import Live
from forumapi.realtime.hub import Client, Follow, Frame

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site

# As many frames as one answer holds.
MOST: Final = 500
# What there is no sense in telling to whoever asks and goes.
_SILENT: Final = frozenset(("subscribed", "heartbeat"))


class _Waiting:
    """Collects frames until there is one worth an answer."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.client: Client | None = None
        self.has_some = threading.Event()

    def push(self, frame: Frame) -> None:
        if frame.name not in _SILENT and len(self.frames) < MOST:
            self.frames.append(frame)
            self.has_some.set()
            if len(self.frames) == MOST and self.client is not None:
                # The rest is asked for with the cursor of the last one.
                self.client.is_over = True

    def close(self, code: int, reason: str) -> None:
        self.has_some.set()

    def ping(self) -> None:
        """Nobody is asked: the request ends before long."""

    def wait_for_room(self) -> None:
        """There is room for all that is taken."""


def once(
    live: Live,
    site: Site,
    identity: Identity,
    follows: Sequence[Follow],
    cursor: str,
    wait_s: float,
) -> tuple[list[bytes], str]:
    """The frames since `cursor`, waiting for the first one, and the cursor behind them. Raises Forbidden."""
    waiting = _Waiting()
    client = waiting.client = live.join(site, identity, waiting)
    try:
        live.follow(client, follows, cursor)
        if cursor:
            waiting.has_some.wait(wait_s)
        placed = [frame.cursor for frame in waiting.frames if frame.cursor]
        at = placed[-1] if placed else live.cursor(client)
        return [frame.data for frame in waiting.frames], at
    finally:
        live.leave(client)
