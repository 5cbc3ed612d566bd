"""One picture from file to file: decoded to see that it is one, upright, within a box, without metadata (content 10.2).

Runs in the child of `studio` alone: it decodes what strangers sent.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags, Image

from forumapi.files.images import Made, metadata

FORMATS: Final = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
_OPTIONS: Final[dict[str, dict[str, int]]] = {
    "jpeg": {"quality": 75},
    "png": {},
    "webp": {"quality": 80},
    "gif": {},
}
# Colour modes that each format writes as they are; others become the nearest of them.
_WRITES: Final = {
    "jpeg": ("L", "RGB", "CMYK"),
    "png": ("L", "LA", "RGB", "RGBA"),
    "webp": ("RGB", "RGBA"),
    "gif": ("L", "RGB", "RGBA"),
}

# EXIF orientation -> what makes it upright; those that change width and height.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = frozenset(_TURNS[tag] for tag in (5, 6, 7, 8))


class RefusedError(Exception):
    """It is no picture that we take; the message is for the API's user."""


def make(
    source: Path, target: Path, kind: str, *, max_width: int, max_height: int, pixel_limit: int
) -> Made:
    """Check the picture at `source` and write what is to be stored to `target`, unless that is `source` itself.

    A limit of 0 is none. Of an animated picture that has to be resized the first frame is left. Raises RefusedError.
    """
    # The pixels are counted below, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source, formats=[FORMATS[kind]]) as opened:
        width, height = opened.size
        if width * height > pixel_limit:
            raise RefusedError(f"a picture may have at most {pixel_limit:,} pixels")
        is_animated = kind != "jpeg" and bool(getattr(opened, "is_animated", False))
        turn = (
            None if is_animated else _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
        )
        if turn in _SIDEWAYS:
            max_width, max_height = max_height, max_width
        box = _box(width, height, max_width, max_height)
        if kind == "jpeg" and (box or turn is None):
            # Decoded smaller, but not below twice of what is wanted, which is some times faster. Where nothing is
            # wanted every byte is still read, which shows where a file is cut off.
            opened.draft(None, (box[0] * 2, box[1] * 2) if box else (1, 1))
        opened.load()
        if box or turn is not None:
            image = _simple(opened)
            if box:
                image = image.resize(box, Image.Resampling.LANCZOS)
            if turn is not None:
                image = image.transpose(turn)
            data = _encoded(image, kind, opened.info.get("icc_profile"))
            return _written(data, target, image.size, width * height, is_animated=False)
    data = source.read_bytes()
    try:
        kept = metadata.stripped(data, kind)
    except metadata.BrokenError as error:
        raise RefusedError(f"this picture is damaged: {error}") from None
    if kept is data:
        return Made(width, height, is_animated, False, _sha1(data), len(data), width * height)
    return _written(kept, target, (width, height), width * height, is_animated=is_animated)


def _box(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int] | None:
    """Width and height that fit within the limits in the same proportions (C-45); None where nothing is to be done."""
    scale = min(max_width / width if max_width else 1, max_height / height if max_height else 1)
    if scale >= 1:
        return None
    return max(1, round(width * scale)), max(1, round(height * scale))


def _simple(image: Image.Image) -> Image.Image:
    """The picture in a colour mode that can be resized: palettes and single bits can't."""
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "I", "I;16", "F") else "RGB")


def _encoded(image: Image.Image, kind: str, profile: bytes | None) -> bytes:
    """The picture as a file of its format, with its colour profile and nothing else beside the pixels."""
    if image.mode not in _WRITES[kind]:
        image = image.convert("RGBA" if "A" in image.mode and kind != "jpeg" else "RGB")
    # A copy without what was read from the file, which some formats would write again.
    image = image.copy()
    image.info = {}
    options: dict[str, Any] = dict(_OPTIONS[kind])
    if profile and kind != "gif":
        options["icc_profile"] = profile
    out = BytesIO()
    image.save(out, FORMATS[kind], **options)
    return out.getvalue()


def _written(
    data: bytes, target: Path, size: tuple[int, int], pixels: int, *, is_animated: bool
) -> Made:
    target.write_bytes(data)
    return Made(*size, is_animated, True, _sha1(data), len(data), pixels)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
