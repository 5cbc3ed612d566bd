"""Processing of uploaded pictures, in a worker process beside each process that uses it."""

from __future__ import annotations

from typing import NamedTuple


class ProcessedImage(NamedTuple):
    """Properties of an image that was processed: width, height, `is_animated`, SHA-1 in hexadecimal and `size` in bytes
    of its result, and `pixels`, their number in its source.

    `is_new` False: the result is the source's very bytes, and no target file was written.
    """

    width: int
    height: int
    is_animated: bool
    is_new: bool
    sha1: str
    size: int
    pixels: int
