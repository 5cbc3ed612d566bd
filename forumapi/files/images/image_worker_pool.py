"""The process that works on pictures, from its parent's side: started at the first picture, replaced when it fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from forumapi.errors import BAD_IMAGE, Invalid
from forumapi.files.images import Made
from forumapi.files.images.fair_queue import FairQueue

# Decoders leak; a fresh process costs a fifth of a second.
MAX_PICTURES: Final = 500
# What is no picture, or ends the child, costs its time as if it had so many.
PIXELS_A_SECOND: Final = 50_000_000


class Studio:
    """One child process that takes one picture at a time. Safe to call from many requests at once."""

    def __init__(self, *, time_limit_s: float, pixel_limit: int) -> None:
        self.time_limit_s = time_limit_s
        self.pixel_limit = pixel_limit
        self._queue = FairQueue(time_limit_s)
        self._child: _Child | None = None

    def make(
        self,
        source: Path,
        target: Path,
        kind: str,
        *,
        who: str,
        is_size: bool = False,
        max_width: int = 0,
        max_height: int = 0,
    ) -> Made:
        """Check the picture at `source` and bring it within the limits; see `picture.make`.

        People have their turns by the pixels of their pictures. `who` is any name of whoever asks; `is_size`: they want
        a stored picture in another size, which comes before uploads. Raises Invalid (code 21) for what is no picture,
        Unavailable when too many wait.
        """
        asked = {
            "source": str(source),
            "target": str(target),
            "kind": kind,
            "max_width": max_width,
            "max_height": max_height,
            "pixel_limit": self.pixel_limit,
        }
        with self._queue.turn(who, is_size=is_size) as turn:
            began = time.monotonic()
            answer = self._ask(asked)
            turn.cost = answer.get("pixels", PIXELS_A_SECOND * (time.monotonic() - began))
        if "refused" in answer:
            raise Invalid("file", answer["refused"], code=BAD_IMAGE)
        return Made(**answer)

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        child = self._child
        if child is None or child.left <= 0:
            self.close()
            child = self._child = _Child()
        try:
            return child.ask(asked, self.time_limit_s)
        except (OSError, EOFError):
            # It crashed, ran out of memory or took too long: the picture's fault.
            self.close()
            return {"refused": "this picture can't be worked on"}
        except BaseException:
            # Whoever waited has gone away; the answer would reach the next one.
            self.close()
            raise

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close()
            self._child = None


class _Child:
    """The process, and the socket that is its standard input."""

    def __init__(self) -> None:
        self.left = MAX_PICTURES
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "forumapi.files.images.job"],
                stdin=theirs.fileno(),
                start_new_session=True,
            )
        self._lines = self._socket.makefile("rwb")

    def ask(self, asked: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """The child's answer. Raises OSError (TimeoutError too) or EOFError when there is none."""
        self.left -= 1
        self._socket.settimeout(time_limit_s)
        self._lines.write(json.dumps(asked).encode() + b"\n")
        self._lines.flush()
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the process that works on pictures ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._lines.close()
        self._socket.close()
