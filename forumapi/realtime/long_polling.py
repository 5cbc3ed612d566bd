"""Long polling for live events: one request that waits for the first frame. Protocol: docs/api/live.md."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from forumapi.realtime.live_clients import Follow, Frame, LiveClient
from forumapi.realtime.live_service import Live

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site

# Frames in one answer.
MOST: Final = 500
# Frames without use for a client that disconnects at once.
_SILENT: Final = frozenset(("subscribed", "heartbeat"))


class _Waiting:
    """Connection of one request: collects frames for its answer and signals the first one; with MOST frames the client
    counts as disconnected, and receives no more.
    """

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.client: LiveClient | None = None
        self.has_some = threading.Event()

    def push(self, frame: Frame) -> None:
        if frame.name not in _SILENT and len(self.frames) < MOST:
            self.frames.append(frame)
            self.has_some.set()
            if len(self.frames) == MOST and self.client is not None:
                # The client requests the rest with the cursor of the last frame.
                self.client.is_over = True

    def close(self, code: int, reason: str) -> None:
        self.has_some.set()

    def ping(self) -> None:
        """Do nothing, since the request ends soon."""

    def wait_for_room(self) -> None:
        """Return at once, since the number of frames is bounded."""


def once(
    live: Live,
    site: Site,
    identity: Identity,
    follows: Sequence[Follow],
    cursor: str,
    wait_s: float,
) -> tuple[list[bytes], str]:
    """Return (frames, cursor): the frames of `follows` after `cursor`, the first MOST at most, each as JSON, without
    `subscribed` and heartbeats; and the cursor after the last of them. Waits up to `wait_s` seconds for the first
    frame; [] and the present cursor if none comes. With the cursor "" it does not wait: the cursor that it returns is
    the present one.

    A cursor that is not valid gives a `resync` frame, a disconnection meanwhile a `bye`. Raises Forbidden if the caller
    may not follow one of the topics, NotFound if the site is gone, Unavailable.
    """
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
