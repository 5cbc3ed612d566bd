"""Pictures: checked, turned, stripped and resized in a process of their own (`studio`), never in a web worker."""

from __future__ import annotations

from typing import NamedTuple


class Made(NamedTuple):
    """A finished picture. `is_new`: its bytes differ from what was sent and stand in the target file.

    `pixels` are those of what was sent.
    """

    width: int
    height: int
    is_animated: bool
    is_new: bool
    sha1: str
    size: int
    pixels: int
