"""POST /files: what is taken, what becomes of it, what is refused (content 10.2)."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.files import pictures
from tests.files.pictures import SECRET, encoded, jpeg, noise, opened, png, post, sha1, upload
from tests.fixtures import start_server


def test_an_upload_is_answered_with_the_file_object(api: Api, bikes: Site) -> None:
    data = png(30, 20, seed=1)

    answer = post(api, bikes.member, ("wheel.png", data, "image/png"))

    assert answer.status == 200
    assert [{**one, "created": ""} for one in answer.data] == [
        {
            "created": "",
            "fileName": "wheel.png",
            "fileExt": "png",
            "fileSize": len(data),
            "fileHash": sha1(data),
            "mimeType": "image/png",
            "width": 30,
            "height": 20,
        }
    ]
    assert answer.data[0]["created"].endswith("Z")
    got = api.get(f"/api/v1/files/{sha1(data)}.png", site=bikes)
    assert (got.status, got.body) == (200, data)


def test_several_files_come_back_in_order_and_other_parts_are_skipped(
    api: Api, bikes: Site
) -> None:
    body = b"".join(
        (
            b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nno file\r\n',
            b'--x\r\nContent-Disposition: form-data; filename="nameless.txt"\r\n\r\nno name\r\n',
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.txt"\r\n\r\nfirst\r\n',
            b'--x\r\nContent-Disposition: form-data; name="b"; filename="b"\r\n\r\nsecond\r\n--x--\r\n',
        )
    )

    answer = api.request(
        "POST",
        "/api/v1/files",
        by=bikes.member,
        body=body,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )

    assert [(f["fileName"], f["fileExt"], f["fileSize"]) for f in answer.data] == [
        ("a.txt", "txt", 5),
        ("b", "", 6),
    ]
    assert {f["mimeType"] for f in answer.data} == {"text/plain; charset=utf-8"}
    assert "width" not in answer.data[0]


def test_a_form_without_files_is_an_empty_list(api: Api, bikes: Site) -> None:
    assert post(api, bikes.member).data == []


def test_the_same_file_again_is_the_same_file(api: Api, make: Factory, bikes: Site) -> None:
    data = png(seed=2)
    first = post(api, bikes.member, ("one.png", data, "image/png"))
    second = post(api, bikes.newcomer, ("two.png", data, "image/png"))

    assert first.data[0]["fileHash"] == second.data[0]["fileHash"]
    assert second.data[0]["fileName"] == "two.png"
    rows = make.sql("SELECT count(*) FROM files WHERE file_hash = %(h)s", h=sha1(data))
    assert rows == [(1,)]
    assert make.sql("SELECT 1 FROM file_strays WHERE file_hash = %(h)s", h=sha1(data)) == []


def test_another_site_learns_nothing_of_who_had_it_before(
    api: Api, bikes: Site, trains: Site
) -> None:
    data = b"a text that two sites have"
    upload(api, bikes.member, data, "merger-of-bikes-and-trains.txt")

    answer = post(api, trains.member, ("notes.md", data, ""))
    got = api.get(f"/api/v1/files/{sha1(data)}", site=trains)

    assert (answer.data[0]["fileName"], answer.data[0]["fileExt"]) == ("notes.md", "md")
    assert "merger" not in got.headers["Content-Disposition"]


@pytest.mark.parametrize("who", ["guest", "banned"])
def test_only_members_upload(api: Api, bikes: Site, who: str) -> None:
    answer = post(api, bikes.cast()[who], ("a.txt", b"text", ""), site=bikes)

    assert answer.status == 403


def test_the_body_must_be_a_form_of_parts(api: Api, bikes: Site) -> None:
    assert api.post("/api/v1/files", {"a": 1}, by=bikes.member).code == 1
    headers = {"Content-Type": "multipart/form-data"}
    assert api.request("POST", "/api/v1/files", by=bikes.member, headers=headers).code == 1
    headers["Content-Type"] += "; boundary=x"
    for body in (
        b"",
        b"nothing",
        b"--x\r\n",
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n',
    ):
        answer = api.request("POST", "/api/v1/files", by=bikes.member, headers=headers, body=body)
        assert (answer.status, answer.code) == (400, 2), body


def test_sizes_that_are_no_numbers_are_refused(api: Api, bikes: Site) -> None:
    for query in ("?maxWidth=-1", "?maxHeight=x", "?maxWidth=1.5"):
        assert post(api, bikes.member, ("a.png", png(), ""), query=query).status == 400


# ---------------------------------------------------------------- limits


def test_an_empty_file_is_refused(api: Api, bikes: Site) -> None:
    assert post(api, bikes.member, ("a.txt", b"", "")).status == 400


def test_ten_files_are_taken_at_once_and_not_eleven(api: Api, bikes: Site) -> None:
    files = [(f"{n}.txt", b"number %d" % n, "") for n in range(11)]

    assert len(post(api, bikes.member, *files[:10]).data) == 10
    assert post(api, bikes.member, *files).status == 400


@pytest.mark.wide
@pytest.mark.slow
def test_the_limits_of_size_and_quota_are_kept(
    database_url: str, make: Factory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = make.site()
    server = start_server(
        database_url,
        tmp_path_factory.mktemp("limits"),
        file_size_limit="1500000",
        upload_body_limit="2500000",
        file_quota_profile_mb="2",
        file_quota_site_mb="3",
        picture_pixel_limit="10000",
    )
    api = server.api()
    try:
        assert post(api, site.member, ("a", b"a" * 1_500_000, "")).status == 200
        for size in (1_500_001, 2_600_000):
            refused = post(api, site.member, ("b", b"b" * size, ""))
            assert (refused.status, refused.code) == (413, 20), size
        refused = post(api, site.member, ("c", b"c" * 1_000_000, ""))
        assert (refused.status, refused.code) == (413, 20)
        assert "You" in refused.error
        # What is refused counts for nothing, and the same file again costs nothing.
        assert post(api, site.member, ("a", b"a" * 1_500_000, "")).status == 200
        assert post(api, site.newcomer, ("d", b"d" * 1_200_000, "")).status == 200
        refused = post(api, site.moderator, ("e", b"e" * 600_000, ""))
        assert "This site" in refused.error
        big = encoded(noise(101, 100), "PNG")
        refused = post(api, site.moderator, ("f.png", big, ""))
        assert (refused.status, refused.code) == (400, 21)
    finally:
        api.close()
        server.stop()


# ---------------------------------------------------------------- pictures


def test_the_type_is_told_by_the_content(api: Api, bikes: Site) -> None:
    data = png(seed=3)

    for name, kind in (
        ("photo.jpg", "image/jpeg"),
        ("x.exe", "application/x-msdownload"),
        ("y", ""),
    ):
        found = post(api, bikes.member, (name, data, kind)).data[0]
        assert (found["mimeType"], found["fileExt"], found["fileName"]) == (
            "image/png",
            "png",
            name,
        )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_what_has_no_metadata_keeps_its_bytes(api: Api, bikes: Site, format: str) -> None:
    data = encoded(noise(40, 30, seed=4), format)

    assert upload(api, bikes.member, data) == sha1(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(jpeg(seed=5), id="jpeg"),
        pytest.param(pictures.png_with_text(seed=5), id="png text"),
        pytest.param(encoded(noise(30, 20, 6), "PNG", exif=pictures.exif()), id="png exif"),
        pytest.param(
            encoded(noise(30, 20, 7), "WEBP", exif=pictures.exif(), xmp=SECRET.encode()), id="webp"
        ),
        pytest.param(encoded(noise(30, 20, 8), "GIF", comment=SECRET.encode()), id="gif"),
        pytest.param(png(seed=9) + SECRET.encode(), id="after the end of a png"),
        pytest.param(encoded(noise(30, 20, 9), "JPEG") + SECRET.encode(), id="after a jpeg"),
    ],
)
def test_metadata_is_taken_out_without_encoding_anew(api: Api, bikes: Site, data: bytes) -> None:
    assert SECRET.encode() in data

    got = api.get(f"/api/v1/files/{upload(api, bikes.member, data)}", site=bikes).body

    assert SECRET.encode() not in got
    assert opened(got).tobytes() == opened(data).tobytes()
    assert not opened(got).getexif()


def test_the_colour_profile_stays(api: Api, bikes: Site) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("JPEG", "PNG", "WEBP"):
        data = encoded(noise(30, 20, 10), format, icc_profile=profile, exif=pictures.exif(6))
        got = api.get(f"/api/v1/files/{upload(api, bikes.member, data)}", site=bikes).body
        assert opened(got).info["icc_profile"] == profile
        assert opened(got).size == (20, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_put_upright(api: Api, bikes: Site, orientation: int) -> None:
    from PIL import Image

    upright = Image.new("RGB", (64, 48), "white")
    upright.paste("red", (0, 0, 32, 24))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    data = encoded(stored, "JPEG", exif=pictures.exif(orientation))

    found = post(api, bikes.member, ("a.jpg", data, "image/jpeg")).data[0]
    got = opened(api.get(f"/api/v1/files/{found['fileHash']}", site=bikes).body)

    assert (found["width"], found["height"]) == got.size == (64, 48)
    corners = [got.convert("RGB").getpixel(at) for at in ((8, 8), (56, 8), (8, 40), (56, 40))]
    assert [pixel[1] < 100 for pixel in corners] == [True, False, False, False]  # type: ignore[index]


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize(
    ("size", "query", "expected"),
    [
        ((640, 480), "?maxWidth=100&maxHeight=100", (100, 75)),
        ((480, 640), "?maxWidth=100&maxHeight=100", (75, 100)),
        ((640, 480), "?maxWidth=100", (100, 75)),
        ((640, 480), "?maxHeight=48", (64, 48)),
        ((640, 480), "?maxWidth=0&maxHeight=0", (640, 480)),
        ((60, 40), "?maxWidth=100&maxHeight=100", (60, 40)),
        ((640, 10), "?maxWidth=10&maxHeight=10", (10, 1)),
    ],
)
def test_a_picture_is_made_to_fit_and_never_enlarged(
    api: Api, bikes: Site, size: tuple[int, int], query: str, expected: tuple[int, int]
) -> None:
    for format in ("JPEG", "PNG", "GIF", "WEBP"):
        data = encoded(noise(*size, seed=11), format)
        found = post(api, bikes.member, ("a", data, ""), query=query).data[0]
        assert (found["width"], found["height"]) == expected
        got = opened(api.get(f"/api/v1/files/{found['fileHash']}", site=bikes).body)
        assert (got.size, got.format) == (expected, format)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_colour_mode_can_be_resized(api: Api, bikes: Site, mode: str) -> None:
    image = noise(64, 48, 12).convert("L" if mode == "I;16" else mode if mode != "LA" else "LA")
    if mode == "I;16":
        image = image.convert("I").convert("I;16")
    data = encoded(image, "JPEG" if mode == "CMYK" else "PNG")

    found = post(api, bikes.member, ("a", data, ""), query="?maxWidth=32").data[0]

    assert (found["width"], found["height"]) == (32, 24)


def test_an_animation_is_kept_and_resized_to_its_first_frame(api: Api, bikes: Site) -> None:
    frames = [noise(40, 30, seed) for seed in range(13, 16)]
    for format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        got = api.get(f"/api/v1/files/{upload(api, bikes.member, data)}", site=bikes).body
        assert opened(got).n_frames == 3, format  # type: ignore[attr-defined]
        small = post(api, bikes.member, ("a", data, ""), query="?maxWidth=20").data[0]
        got = api.get(f"/api/v1/files/{small['fileHash']}", site=bikes).body
        assert getattr(opened(got), "n_frames", 1) == 1
        assert opened(got).size == (20, 15)


# ---------------------------------------------------------------- once


def test_a_retried_upload_is_answered_alike(api: Api, make: Factory, bikes: Site) -> None:
    key = {"Idempotency-Key": "upload-1"}
    data = png(seed=17)

    first = post(api, bikes.member, ("a.png", data, ""), headers=key)
    again = post(api, bikes.member, ("a.png", data, ""), headers=key, boundary="another")
    other = post(api, bikes.member, ("b.png", png(seed=18), ""), headers=key)

    assert [one["fileHash"] for one in first.data] == [one["fileHash"] for one in again.data]
    assert other.status == 422
    used = make.sql("SELECT count(*) FROM file_uploads WHERE file_hash = %(h)s", h=sha1(data))
    assert used == [(1,)]


def test_what_an_upload_costs(api: Api, bikes: Site) -> None:
    answer = post(api, bikes.member, ("a.txt", b"one", ""), ("b.txt", b"two", ""))

    # Of the transaction: who, and a statement a file.
    assert answer.statements == 3


def test_a_person_without_a_profile_here_gets_one(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    stranger = make.person(trains)
    person = Person(bikes, 0, stranger.user_id, "", "", stranger.token)

    assert upload(api, person, b"from a stranger")
