"""Image worker process as its parent uses it: started for the first image, replaced after a failure and after a number
of images.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from forumapi.errors import BAD_IMAGE, Invalid
from forumapi.files.images import ProcessedImage
from forumapi.files.images.fair_queue import FairQueue

# Images after which the process is replaced: decoders leak, and a new process costs a fifth of a second.
MAX_PICTURES: Final = 500
# Cost of an invalid image, or one that ends the process, by the time it took.
PIXELS_A_SECOND: Final = 50_000_000


class ImageWorker:
    """Handle of this process's image worker process, which processes one image at a time, in fair turns. Any thread may
    call it.

    `time_limit_s`: of one image, and of the wait for a turn; `pixel_limit`: most pixels of an image.
    """

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
        is_thumbnail: bool = False,
        max_width: int = 0,
        max_height: int = 0,
    ) -> ProcessedImage:
        """Have the worker process check the image at `source`, and write to the file `target` what is to be stored in
        its place; return the properties of that. Nothing is written if the image is to be stored as it is (`is_new`
        False in the result).

        `kind`: the image's format; `who`: key of the caller, by which turns are fair in pixels; `is_thumbnail`: for a
        thumbnail, which goes before uploads; `max_width`, `max_height`: limits that the image is scaled down to, 0 for
        none. Raises Invalid (code 21) for an image that is invalid, too large or makes the process fail; Unavailable
        after too long a wait.
        """
        asked = {
            "source": str(source),
            "target": str(target),
            "kind": kind,
            "max_width": max_width,
            "max_height": max_height,
            "pixel_limit": self.pixel_limit,
        }
        with self._queue.turn(who, is_thumbnail=is_thumbnail) as turn:
            began = time.monotonic()
            answer = self._ask(asked)
            turn.cost = answer.get("pixels", PIXELS_A_SECOND * (time.monotonic() - began))
        if "refused" in answer:
            raise Invalid("file", answer["refused"], code=BAD_IMAGE)
        return ProcessedImage(**answer)

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        child = self._child
        if child is None or child.left <= 0:
            self.close()
            child = self._child = _Child()
        try:
            return child.ask(asked, self.time_limit_s)
        except (OSError, EOFError):
            # The worker crashed, ran out of memory or took too long, because of this image.
            self.close()
            return {"refused": "this image cannot be processed"}
        except BaseException:
            # The caller was interrupted: its answer would reach the next caller.
            self.close()
            raise

    def close(self) -> None:
        """Kill the worker process, if there is one; the next image starts another."""
        if self._child is not None:
            self._child.close()
            self._child = None


class _Child:
    """One worker process, and the parent's end of the socket that is its standard input."""

    def __init__(self) -> None:
        self.left = MAX_PICTURES
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "forumapi.files.images.worker_main"],
                stdin=theirs.fileno(),
                start_new_session=True,
            )
        self._lines = self._socket.makefile("rwb")

    def ask(self, asked: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Send the request `asked`, the parameters of `image_processing.make` by name, to the process and return its
        answer: the fields of a ProcessedImage, or `refused`, the reason. Raises OSError (TimeoutError after
        `time_limit_s`), or EOFError if the process ended.
        """
        self.left -= 1
        self._socket.settimeout(time_limit_s)
        self._lines.write(json.dumps(asked).encode() + b"\n")
        self._lines.flush()
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the image worker process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Kill the process, and close this end of the socket."""
        self._process.kill()
        self._process.wait()
        self._lines.close()
        self._socket.close()
