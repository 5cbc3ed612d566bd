"""Pictures that strangers have sent, made smaller in processes of their own."""

from __future__ import annotations

from typing import NamedTuple


class ProcessedImage(NamedTuple):
    """Processed image. `is_new`: its bytes differ from the source and are in the target file.

    `pixels`: number of pixels of the source.
    """

    width: int
    height: int
    is_animated: bool
    is_new: bool
    sha1: str
    size: int
    pixels: int
