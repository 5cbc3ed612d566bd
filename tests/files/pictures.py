"""Pictures and forms to upload, made here: good ones, hostile ones, and the form that carries them."""

from __future__ import annotations

import hashlib
import random
from io import BytesIO
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from tests.api import Api, Response
from tests.factories import Person, Site

BOUNDARY = "a-boundary-of-tests"
# Metadata that must never come back.
SECRET = "51.4779 N, 0.0015 W"


def sha1(data: bytes) -> str:
    """Return what a file with these bytes is found by."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def noise(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A picture unlike any other of another seed."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    data = random.Random(seed).randbytes(width * height * bands)
    return Image.frombytes(mode, (width, height), data)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """The picture as a file."""
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png(width: int = 30, height: int = 20, seed: int = 0, **options: Any) -> bytes:
    """A PNG without metadata."""
    return encoded(noise(width, height, seed), "PNG", **options)


def exif(orientation: int = 1) -> Image.Exif:
    """Return where it was taken, and which way up."""
    made = Image.Exif()
    made[ExifTags.Base.Orientation] = orientation
    made[ExifTags.Base.ImageDescription] = SECRET
    made.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    return made


def jpeg(width: int = 60, height: int = 40, seed: int = 0, orientation: int = 1) -> bytes:
    """A JPEG with a place in its metadata and in a comment."""
    return encoded(
        noise(width, height, seed), "JPEG", exif=exif(orientation), comment=SECRET.encode()
    )


def png_with_text(seed: int = 0) -> bytes:
    """A PNG with the place in a text chunk."""
    text = PngInfo()
    text.add_text("Comment", SECRET)
    return png(seed=seed, pnginfo=text)


def opened(data: bytes) -> Image.Image:
    """The picture in a file."""
    return Image.open(BytesIO(data))


def form(*files: tuple[str, bytes, str], boundary: str = BOUNDARY) -> bytes:
    """A multipart body of (file name, content, type); type "" leaves the header out."""
    parts = []
    for name, data, kind in files:
        name = name.replace("\\", "\\\\").replace('"', '\\"')
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        )
        if kind:
            head += f"Content-Type: {kind}\r\n"
        parts.append(head.encode() + b"\r\n" + data + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def post(
    api: Api,
    by: Person | None,
    *files: tuple[str, bytes, str],
    query: str = "",
    headers: dict[str, str] | None = None,
    site: Site | None = None,
    boundary: str = BOUNDARY,
) -> Response:
    """Upload files."""
    return api.request(
        "POST",
        f"/api/v1/files{query}",
        by=by,
        site=site,
        body=form(*files, boundary=boundary),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}", **(headers or {})},
    )


def upload(api: Api, by: Person, data: bytes, name: str = "a.png", kind: str = "") -> str:
    """The hash of a file that was just uploaded."""
    answer = post(api, by, (name, data, kind))
    assert answer.status == 200, answer.body
    return str(answer.data[0]["fileHash"])
