"""Pictures that strangers have sent, made smaller in processes of their own."""

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
