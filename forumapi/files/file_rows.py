"""Rows of files that are about to be stored (models/content/file.py): of processed pictures, and of other files."""

from __future__ import annotations

from forumapi.files import file_types
from forumapi.files.images import ProcessedImage
from forumapi.models.content import file
from forumapi.models.content.file import File


def picture(made: ProcessedImage, name: str, kind: str) -> File:
    """Return the row, not yet stored, of the picture `made`. `name`: file name that its uploader gave; `kind`: its
    format, a key of `file_types.EXTENSIONS`, which gives the extension.
    """
    return File(
        made.sha1,
        made.size,
        name,
        file_types.EXTENSIONS[kind],
        file.PICTURES[kind],
        made.width,
        made.height,
        made.is_animated,
    )


def other(sha1: str, size: int, name: str, media_type: str) -> File:
    """Return the row, not yet stored, of a file that is no picture. `sha1`: in hexadecimal; `size`: in bytes; `name`:
    file name that its uploader gave, whose extension the row gets, but "svg" for SVG; `media_type`: to serve it with.
    """
    ext = "svg" if media_type == file_types.SVG else file_types.extension(name)
    return File(sha1, size, name, ext, media_type)
