"""Main program of the image worker process: reads a line of JSON for each image from a socket and answers with a line.

The process confines what a hostile image can do: its memory is limited, its parent kills it after a time limit, and a
crash loses one image.
"""

from __future__ import annotations

import json
import os
import resource
import socket
from pathlib import Path
from typing import Any, Final

from forumapi.files.images import image_processing

# Three copies of fifty million RGBA pixels, and the program itself.
MEMORY: Final = 1_200 * 1024 * 1024
# Web requests have priority.
NICENESS: Final = 10


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Process an image. `asked`: parameters of `image_processing.make` by name, the paths as texts. Return the fields
    of its ProcessedImage; for a refused or unreadable image `refused`, the reason for the image's sender, and after an
    unexpected exception `reason`, its text, too.
    """
    try:
        made = image_processing.make(
            Path(asked["source"]),
            Path(asked["target"]),
            asked["kind"],
            max_width=asked["max_width"],
            max_height=asked["max_height"],
            pixel_limit=asked["pixel_limit"],
        )
    except image_processing.RefusedError as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - the edge of a process: decoders raise whatever they like
        return {
            "refused": "this image cannot be read",
            "reason": f"{type(error).__name__}: {error}",
        }
    return made._asdict()


def main() -> None:
    """Lower this process's priority, limit its memory, and answer requests until the parent closes the socket, which is
    standard input.
    """
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(0)) as parent, parent.makefile("rwb") as lines:
        for line in lines:
            lines.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
            lines.flush()


if __name__ == "__main__":
    main()
