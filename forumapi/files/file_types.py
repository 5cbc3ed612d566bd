"""Detection of file types by a file's first bytes, never by its name or the media type that its sender gives (C-43);
detection of files that their senders call images; and cleaning of file names.
"""

from __future__ import annotations

import re
from typing import Final

# Bytes that `sniff` reads.
HEAD: Final = 4096
UNKNOWN: Final = "application/octet-stream"
SVG: Final = "image/svg+xml"

_PICTURES: Final = (
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
)
# Image formats whose metadata cannot be removed here.
_UNTAKEN: Final = re.compile(
    rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1|avif|avis)"
    rb"|II\*\0|MM\0\*|II\x2b\0|MM\0\x2b"
    rb"|\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n|\0\0\0\x0cjP  \r\n\x87\n",
    re.DOTALL,
)
_OTHERS: Final = (
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), "application/zip"),
    (re.compile(rb"\x1f\x8b\x08"), "application/gzip"),
    (re.compile(rb"OggS\0"), "application/ogg"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mpeg"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"....ftyp", re.DOTALL), "video/mp4"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "video/webm"),
)
_SVG: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*|<!DOCTYPE[^>\[]*>\s*)*<svg[\s>]",
    re.DOTALL | re.IGNORECASE,
)
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")

EXTENSIONS: Final = {"gif": "gif", "jpeg": "jpg", "png": "png", "webp": "webp"}
_PICTURE_NAMES: Final = re.compile(r"\.(?:gif|jpe?g|png|webp)\Z", re.IGNORECASE)
_PICTURE_TYPES: Final = re.compile(r"image/(?:gif|p?jpe?g|(?:x-)?png|webp)\Z", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_CONTROL: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

NAME_MAX: Final = 512


def picture(head: bytes) -> str:
    """Return the image format that the first bytes of a file show, if it is one of those supported: gif, jpeg, png or
    webp; "" for anything else.
    """
    return next((kind for pattern, kind in _PICTURES if pattern.match(head)), "")


def is_untaken(head: bytes) -> bool:
    """Return True if the first bytes show an image format that is refused for uploads, since its metadata cannot be
    removed here (HEIC, AVIF, TIFF, JPEG XL, JPEG 2000).
    """
    return _UNTAKEN.match(head) is not None


def sniff(head: bytes) -> str:
    """Return the media type to serve a file with that is no supported image, by `head`, its first HEAD bytes, or all of
    a shorter file: SVG, a few known types, plain text, or UNKNOWN (application/octet-stream), also for HTML.
    """
    if _SVG.match(head):
        return SVG
    for pattern, media_type in _OTHERS:
        if pattern.match(head):
            return media_type
    if _BINARY.search(head) or _MARKUP.match(head):
        return UNKNOWN
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut off.
        if len(head) < HEAD or error.start < HEAD - 3:
            return UNKNOWN
    return "text/plain; charset=utf-8"


def claims_picture(declared: str, name: str) -> bool:
    """Return True if the sender says that an upload is a supported image: by the media type `declared` or, if that is
    application/octet-stream, by the extension of the file name `name`. Its bytes may show another format (content
    10.2).
    """
    media_type = declared.partition(";")[0].strip()
    if _PICTURE_TYPES.match(media_type):
        return True
    return media_type.lower() == UNKNOWN and _PICTURE_NAMES.search(name) is not None


def clean_name(name: str) -> str:
    """Return the last part of a sent file name, after its last slash or backslash, without control and bidirectional
    characters and spaces around it, and cut to NAME_MAX characters; "" if nothing is left.
    """
    last = _CONTROL.sub("", name.replace("\\", "/").rpartition("/")[2]).strip()
    return last[:NAME_MAX]


def extension(name: str) -> str:
    """Return the extension of a file's name, without the dot; "" if it has none, or one with other characters than
    letters, digits, _ and -.
    """
    _, dot, last = name.rpartition(".")
    return last if dot and _EXTENSION.match(last) else ""
