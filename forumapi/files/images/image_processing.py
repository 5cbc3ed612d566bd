"""Processing of one image, from file to file: checked by decoding it, turned upright, made smaller, freed of metadata
(content 10.2).

Runs only in the worker process (worker_main.py), since it decodes untrusted bytes.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags, Image

from forumapi.files.images import ProcessedImage, metadata_removal

FORMATS: Final = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
_OPTIONS: Final[dict[str, dict[str, int]]] = {
    "jpeg": {"quality": 75},
    "png": {},
    "webp": {"quality": 80},
    "gif": {},
}
# Colour modes that each format stores; others are converted to the nearest.
_WRITES: Final = {
    "jpeg": ("L", "RGB", "CMYK"),
    "png": ("L", "LA", "RGB", "RGBA"),
    "webp": ("RGB", "RGBA"),
    "gif": ("L", "RGB", "RGBA"),
}

# EXIF orientation -> transposition that makes the image upright; _SIDEWAYS: those that swap width and height.
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
    """Refusal of an image that is damaged, not supported or too large; the message is for the API's user."""


def make(
    source: Path, target: Path, kind: str, *, max_width: int, max_height: int, pixel_limit: int
) -> ProcessedImage:
    """Check the image at `source`, of the format `kind` (a key of FORMATS), by decoding it, and write what is to be
    stored to the file `target`; if nothing has to change, write nothing. Returns the properties of what is to be
    stored.

    `max_width`, `max_height`: limits in pixels that the image is scaled down to, 0 for none; an animation that is
    scaled keeps only its first frame. Raises RefusedError for an image of more than `pixel_limit` pixels and for a
    damaged one, and whatever the decoder raises.
    """
    # Pixels are limited below, before decoding.
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source, formats=[FORMATS[kind]]) as opened:
        width, height = opened.size
        if width * height > pixel_limit:
            raise RefusedError(f"an image may have at most {pixel_limit:,} pixels")
        is_animated = kind != "jpeg" and bool(getattr(opened, "is_animated", False))
        turn = (
            None if is_animated else _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
        )
        if turn in _SIDEWAYS:
            max_width, max_height = max_height, max_width
        box = _box(width, height, max_width, max_height)
        if kind == "jpeg" and (box or turn is None):
            # Decoding at a reduced scale, not below twice the target, is several times faster. Without a target every
            # byte is still read, which detects truncated files.
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
        kept = metadata_removal.stripped(data, kind)
    except metadata_removal.BrokenError as error:
        raise RefusedError(f"this image is damaged: {error}") from None
    if kept is data:
        return ProcessedImage(
            width, height, is_animated, False, _sha1(data), len(data), width * height
        )
    return _written(kept, target, (width, height), width * height, is_animated=is_animated)


def _box(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int] | None:
    """Return the largest width and height within the limits `max_width` and `max_height` (0: none) in the same
    proportions (C-45); None if the image is within them already.
    """
    scale = min(max_width / width if max_width else 1, max_height / height if max_height else 1)
    if scale >= 1:
        return None
    return max(1, round(width * scale)), max(1, round(height * scale))


def _simple(image: Image.Image) -> Image.Image:
    """Return the image in a colour mode that can be scaled: one without a palette or single bits."""
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "I", "I;16", "F") else "RGB")


def _encoded(image: Image.Image, kind: str, profile: bytes | None) -> bytes:
    """Encode the image in the format `kind`, with the colour profile `profile` (None: without; a GIF never has one) and
    no other metadata; return the bytes.
    """
    if image.mode not in _WRITES[kind]:
        image = image.convert("RGBA" if "A" in image.mode and kind != "jpeg" else "RGB")
    # A copy without the source's metadata, which some formats would write again.
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
) -> ProcessedImage:
    target.write_bytes(data)
    return ProcessedImage(*size, is_animated, True, _sha1(data), len(data), pixels)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
