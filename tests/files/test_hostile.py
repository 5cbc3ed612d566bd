"""Files that mean harm: refused, or stored and harmless."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import reduce

import pytest

from tests.api import Api
from tests.factories import Site
from tests.files.pictures import encoded, jpeg, noise, opened, png, post, sha1

SCRIPT = b"<script>alert(document.domain)</script>"
SVG = b'<?xml version="1.0"?><!-- a --><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">%b</svg>'


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + width * 3)) if width < 10_000 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG whose text is 200 MB when unpacked."""
    block, packer = bytes(1 << 20), zlib.compressobj(9)
    # After a full flush the same bytes are packed the same way again.
    first, again = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    checksum = reduce(lambda sum_, _: zlib.adler32(block, sum_), range(200), 1)
    data = first + 199 * again + b"\x03\0" + struct.pack(">I", checksum)
    whole = png(seed=40)
    return whole[:33] + chunk(b"zTXt", b"Comment\0\0" + data) + whole[33:]


def gif_bomb() -> bytes:
    """A GIF of 65535 x 65535."""
    data = encoded(noise(8, 8, 41), "GIF")
    return data[:6] + b"\xff\xff\xff\xff" + data[10:]


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        pytest.param("a.png", bomb(50_000, 50_000), "image/png", id="pixel bomb"),
        pytest.param("a.png", bomb(8000, 7000), "image/png", id="more than 50 million pixels"),
        pytest.param("a.gif", gif_bomb(), "image/gif", id="gif bomb"),
        pytest.param("a.png", png(seed=42)[:-40], "image/png", id="png cut off"),
        pytest.param("a.jpg", jpeg(400, 300, 43)[:-900], "image/jpeg", id="jpeg cut off"),
        pytest.param("a.jpg", jpeg(seed=43)[:100], "image/jpeg", id="jpeg head alone"),
        pytest.param(
            "a.gif", encoded(noise(60, 60, 44), "GIF")[:500], "image/gif", id="gif cut off"
        ),
        pytest.param("a.webp", encoded(noise(60, 60, 45), "WEBP")[:300], "", id="webp cut off"),
        pytest.param("a.png", b"\x89PNG\r\n\x1a\n", "", id="signature alone"),
        pytest.param(
            "a.jpg", b"\xff\xd8\xff" + SCRIPT, "", id="script behind a jpeg's first bytes"
        ),
        pytest.param(
            "a.gif", b"GIF89a/*" + SCRIPT + b"*/=1;", "", id="script that begins like a gif"
        ),
        pytest.param("a.png", SCRIPT, "image/png", id="html called png by its type"),
        pytest.param(
            "a.jpeg", SCRIPT, "application/octet-stream", id="html called jpeg by its name"
        ),
        pytest.param("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic", id="heic"),
        pytest.param("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0", "", id="avif"),
        pytest.param("a.tif", encoded(noise(8, 8, 46), "TIFF"), "image/tiff", id="tiff"),
    ],
)
def test_a_picture_that_is_none_is_refused(
    api: Api, bikes: Site, name: str, data: bytes, kind: str
) -> None:
    answer = post(api, bikes.member, (name, data, kind))

    assert (answer.status, answer.code) == (400, 21)
    assert api.get(f"/api/v1/files/{sha1(data)}", site=bikes).status == 404


def test_after_a_refusal_the_next_picture_is_taken(api: Api, bikes: Site) -> None:
    assert post(api, bikes.member, ("a.png", bomb(8000, 7000), "")).status == 400
    assert post(api, bikes.member, ("a.png", png(seed=47), "")).status == 200


def test_one_bad_file_stops_the_others_of_its_request(api: Api, bikes: Site) -> None:
    good = b"a good file beside a bad one"
    assert (
        post(api, bikes.member, ("a.txt", good, ""), ("b.png", SCRIPT, "image/png")).status == 400
    )
    assert api.get(f"/api/v1/files/{sha1(good)}", site=bikes).status == 404


@pytest.mark.parametrize(
    ("name", "data", "kind", "served"),
    [
        pytest.param(
            "a.html",
            b"<!doctype html>" + SCRIPT,
            "text/html",
            "application/octet-stream",
            id="html",
        ),
        pytest.param("a.svg", SVG % SCRIPT, "image/svg+xml", "image/svg+xml", id="svg"),
        pytest.param("a.png", SVG % SCRIPT, "", "image/svg+xml", id="svg without a type"),
        pytest.param(
            "a.xml", b'<?xml version="1.0"?><a/>', "text/xml", "application/octet-stream", id="xml"
        ),
        pytest.param(
            "a.xhtml",
            b"\xef\xbb\xbf  <html/>",
            "application/xhtml+xml",
            "application/octet-stream",
            id="xhtml",
        ),
        pytest.param(
            "a.js", b"alert(1)", "text/javascript", "text/plain; charset=utf-8", id="script"
        ),
        pytest.param(
            "a.pdf", b"%PDF-1.4\n" + SCRIPT, "text/html", "application/pdf", id="pdf with html"
        ),
        pytest.param(
            "a.swf",
            b"CWS\x0a" + bytes(20),
            "application/x-shockwave-flash",
            "application/octet-stream",
            id="flash",
        ),
        pytest.param(
            "a.zip",
            b"PK\x03\x04" + bytes(40),
            "text/html",
            "application/zip",
            id="zip, never unpacked",
        ),
        pytest.param(
            "a.exe",
            b"MZ\x90\0" + bytes(40),
            "image/x-icon",
            "application/octet-stream",
            id="program",
        ),
    ],
)
def test_what_could_run_is_downloaded_and_sandboxed(
    api: Api, bikes: Site, name: str, data: bytes, kind: str, served: str
) -> None:
    answer = post(api, bikes.member, (name, data, kind))
    got = api.get(f"/api/v1/files/{answer.data[0]['fileHash']}.html", site=bikes)

    assert got.body == data
    assert got.headers["Content-Type"] == served
    assert got.headers["Content-Disposition"].startswith("attachment;")
    assert got.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert got.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(seed=48) + SCRIPT, id="html after a png"),
        pytest.param(
            encoded(noise(30, 20, 49), "JPEG") + b"PK\x03\x04" + SCRIPT, id="zip after a jpeg"
        ),
        pytest.param(
            encoded(noise(30, 20, 50), "JPEG", comment=SCRIPT), id="html in a jpeg's comment"
        ),
        pytest.param(
            encoded(noise(30, 20, 51), "GIF", comment=SCRIPT), id="html in a gif's comment"
        ),
        pytest.param(encoded(noise(30, 20, 52), "GIF") + SCRIPT, id="html after a gif"),
        pytest.param(encoded(noise(30, 20, 53), "WEBP") + SCRIPT, id="html after a webp"),
        pytest.param(
            encoded(noise(30, 20, 54), "WEBP", exif=b"Exif\0\0" + SCRIPT), id="html in exif"
        ),
        # Made in the test alone: it takes long.
        pytest.param(text_bomb, id="text that unpacks to 200 MB"),
    ],
)
def test_of_a_polyglot_the_picture_is_left_or_nothing(
    api: Api, bikes: Site, data: bytes | Callable[[], bytes]
) -> None:
    if callable(data):
        data = data()
    answer = post(api, bikes.member, ("a.html", data, "text/html"))

    if answer.status == 400:
        assert answer.code == 21
        return
    got = api.get(f"/api/v1/files/{answer.data[0]['fileHash']}", site=bikes)
    assert got.headers["Content-Type"].startswith("image/")
    assert SCRIPT not in got.body
    assert len(got.body) < 10_000
    assert opened(got.body).size == (30, 20)


@pytest.mark.parametrize(
    ("name", "kept", "ext"),
    [
        ("../../../etc/passwd", "passwd", ""),
        ("..\\..\\windows\\system.ini", "system.ini", "ini"),
        ("/absolute/a.txt", "a.txt", "txt"),
        ("a\u202etxt.exe", "atxt.exe", "exe"),
        ("..", "..", ""),
        ("/", "untitled", ""),
        ("x" * 600 + ".txt", "x" * 512, ""),
        ("a.b/c", "c", ""),
        ("a.<b>", "a.<b>", ""),
    ],
)
def test_a_name_is_no_path(api: Api, bikes: Site, name: str, kept: str, ext: str) -> None:
    found = post(api, bikes.member, (name, b"content of " + name.encode(), "")).data[0]

    assert (found["fileName"], found["fileExt"]) == (kept, ext)


def test_a_name_adds_no_header(api: Api, bikes: Site) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="a\x0bSet-Cookie: b=c"\r\n'
        b"Content-Type: text/html\r\n\r\n<p>\r\n--x--\r\n"
    )
    answer = api.request(
        "POST",
        "/api/v1/files",
        by=bikes.member,
        body=body,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    got = api.get(f"/api/v1/files/{answer.data[0]['fileHash']}", site=bikes)

    assert got.status == 200
    assert "Set-Cookie" not in got.headers
