"""GET /files/<hash>: headers, ranges, who may see it, pictures in other sizes (content 10.4, platform 6.6)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.files.pictures import encoded, jpeg, noise, opened, png, post, sha1, upload
from tests.fixtures import Server, start_server

NEVER = "0" * 40


def path(hash: str, ext: str = "") -> str:
    return f"/api/v1/files/{hash}{ext}"


def attach(api: Api, by: Person, to: Thing, hash: str) -> None:
    answer = api.post(f"{to.path}/attachments", {"fileHash": hash}, by=by)
    assert answer.status == 302, answer.body


@pytest.fixture
def private(make: Factory, bikes: Site) -> tuple[Thing, Person, Person]:
    """A comment in a place for one role, its author, and another member of the role."""
    place = make.microcosm(bikes)
    author, friend = make.person(bikes), make.person(bikes)
    role = make.role(bikes, place.id, "Club", rights=("read", "create", "update"))
    make.join(role, author, friend)
    return (
        make.comment(make.conversation(bikes, microcosm=place, by=author), by=author),
        author,
        friend,
    )


def test_a_picture_is_shown_and_anything_else_is_downloaded(api: Api, bikes: Site) -> None:
    picture = api.get(path(upload(api, bikes.member, png(seed=20))), site=bikes)
    text = api.get(path(upload(api, bikes.member, b"some text", 'a "naïve" note.txt')), site=bikes)

    for answer in (picture, text):
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "max-age=31536000, immutable"
        assert answer.headers["Expires"].endswith("GMT")
        assert answer.headers["Last-Modified"].endswith("GMT")
        # One entry in a cache for all.
        assert "Vary" not in answer.headers
    assert "Content-Disposition" not in picture.headers
    assert text.headers["Content-Disposition"] == (
        'attachment; filename="a _na_ve_ note.txt"; '
        "filename*=UTF-8''a%20%22na%C3%AFve%22%20note.txt"
    )


def test_what_follows_the_dot_and_the_host_of_what_is_public_do_not_matter(
    api: Api, bikes: Site, trains: Site
) -> None:
    data = png(seed=21)
    hash = upload(api, bikes.member, data)
    api.post(f"{bikes.member.path}/attachments", {"fileHash": hash}, by=bikes.member)

    for site in (bikes, trains):
        for ext in ("", ".png", ".exe", ".tar.gz", "."):
            assert api.get(path(hash, ext), site=site).body == data


@pytest.mark.parametrize(
    "name", [NEVER, "x", "1", NEVER[:-1], NEVER + "0", "..", "%2e%2e%2fetc", "A" * 40]
)
def test_an_unknown_file_is_not_found(api: Api, bikes: Site, name: str) -> None:
    assert api.get(path(name), site=bikes).status == 404


def test_head_and_conditions(api: Api, bikes: Site) -> None:
    data = png(seed=22)
    hash = upload(api, bikes.member, data)
    head = api.request("HEAD", path(hash), site=bikes)

    assert (head.status, head.headers["Content-Length"]) == (200, str(len(data)))
    assert head.headers["ETag"] == f'"{hash}"'
    for tag in (f'"{hash}"', f'W/"{hash}"', "*", f'"x", "{hash}"'):
        again = api.get(path(hash), site=bikes, headers={"If-None-Match": tag})
        assert (again.status, again.body) == (304, b"")
    assert api.get(path(hash), site=bikes, headers={"If-None-Match": '"x"'}).status == 200


LONG = bytes(range(256)) * 4000


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=1000-", slice(1000, None)),
        ("bytes=-10", slice(-10, None)),
        ("bytes=5-2000000", slice(5, None)),
        ("bytes=-2000000", slice(0, None)),
        ("bytes=300000-900000", slice(300_000, 900_001)),
    ],
)
def test_a_range(api: Api, bikes: Site, asked: str, part: slice) -> None:
    hash = upload(api, bikes.member, LONG)

    got = api.get(path(hash), site=bikes, headers={"Range": asked})

    start, stop, _ = part.indices(len(LONG))
    assert (got.status, got.body) == (206, LONG[part])
    assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(LONG)}"


def test_what_is_no_single_range_is_answered_whole(api: Api, bikes: Site) -> None:
    hash = upload(api, bikes.member, LONG)

    for asked in ("bytes=0-1,4-5", "bytes=9-3", "bytes=x", "items=0-1", "bytes=-"):
        got = api.get(path(hash), site=bikes, headers={"Range": asked})
        assert (got.status, len(got.body)) == (200, len(LONG)), asked
    kept = {"Range": "bytes=0-1", "If-Range": f'"{hash}"'}
    assert api.get(path(hash), site=bikes, headers=kept).status == 206
    assert api.get(path(hash), site=bikes, headers=kept | {"If-Range": '"x"'}).status == 200


def test_a_range_beyond_the_end_is_refused(api: Api, bikes: Site) -> None:
    hash = upload(api, bikes.member, b"short")

    for asked in ("bytes=5-", "bytes=900-901", "bytes=-0"):
        got = api.get(path(hash), site=bikes, headers={"Range": asked})
        assert (got.status, got.headers["Content-Range"]) == (416, "bytes */5"), asked


def test_a_guest_costs_one_statement_and_the_next_within_a_second_none(
    api: Api, bikes: Site, trains: Site
) -> None:
    hash = upload(api, bikes.member, png(seed=23))
    api.post(f"{bikes.member.path}/attachments", {"fileHash": hash}, by=bikes.member)
    for site in (bikes, trains):  # who first comes to a site asks what it is
        api.get("/api/v1/microcosms", site=site)

    first = api.get(path(hash), site=bikes)
    assert first.statements == 1
    until = time.monotonic() + 60
    while (again := api.get(path(hash), site=bikes)).statements:
        assert time.monotonic() < until
    assert again.body == first.body
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert api.get(path(hash), site=trains).statements == 1
    assert api.get(path(hash), by=bikes.member).statements == 2


def test_a_proxy_that_keeps_is_told_for_how_long_and_by_the_database(
    api: Api, make: Factory, bikes: Site
) -> None:
    keeps = {"X-Forumapi-Keeps": "1"}
    comment = make.comment(make.conversation(bikes), by=bikes.member)
    hash = upload(api, bikes.member, png(seed=26))
    attach(api, bikes.member, comment, hash)

    for condition in ({}, {"If-None-Match": f'"{hash}"'}):
        begun = int(time.time())
        got = api.get(path(hash), site=bikes, headers=keeps | condition)
        assert got.status == (304 if condition else 200)
        assert begun <= int(got.headers["X-Accel-Expires"].removeprefix("@")) <= time.time()
        # The site's versions, the file, and where it hangs.
        assert got.statements == 3
    assert api.patch(comment.path, ("moderated", True), by=bikes.moderator).status == 200
    hidden = api.get(path(hash), site=bikes, headers=keeps)
    assert (hidden.status, "X-Accel-Expires" in hidden.headers) == (404, False)


def test_a_proxy_is_told_nothing_of_what_is_not_for_everybody(
    api: Api, bikes: Site, private: tuple[Thing, Person, Person]
) -> None:
    keeps = {"X-Forumapi-Keeps": "1"}
    hash = upload(api, bikes.member, b"for all of them")
    large = upload(api, bikes.member, b"large " * 50_000)
    comment, author, friend = private
    club = upload(api, author, b"for the club, proxy or not")
    attach(api, author, comment, club)

    answers = [
        api.get(path(hash), by=bikes.member, headers=keeps),
        api.get(f"{path(hash)}?access_token={bikes.member.token}", site=bikes, headers=keeps),
        api.get(path(large), site=bikes, headers=keeps),
        api.get(path(club), by=friend, headers=keeps),
        api.get(path(club), site=bikes, headers=keeps),
        api.get(path(hash), site=bikes),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200, 200, 404, 200]
    assert not any("X-Accel-Expires" in answer.headers for answer in answers)


# ---------------------------------------------------------------- who may see it


def test_a_file_on_private_comments_is_for_their_readers(
    api: Api, make: Factory, bikes: Site, trains: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, friend = private
    hash = upload(api, author, b"a secret of the club")
    attach(api, author, comment, hash)

    seen = api.get(path(hash), by=friend)
    assert (seen.status, seen.headers["Cache-Control"]) == (200, "private, no-cache")
    assert seen.headers["Vary"] == "Authorization"
    assert api.get(f"{path(hash)}?access_token={friend.token}", site=bikes).status == 200
    assert api.get(path(hash), by=author).status == 200
    assert api.get(path(hash), by=bikes.owner).status == 200
    unknown = api.get(path(NEVER), by=bikes.newcomer)
    for by, site in (
        (bikes.newcomer, bikes),
        (None, bikes),
        (trains.owner, trains),
        (None, trains),
    ):
        refused = api.get(path(hash), by=by, site=site)
        assert (refused.status, refused.error) == (404, unknown.error)
        ranged = api.get(path(hash), by=by, site=site, headers={"If-None-Match": "*"})
        assert ranged.status == 404
    # One place that everybody reads is enough.
    attach(api, author, make.comment(make.conversation(bikes), by=author), hash)
    assert "immutable" in api.get(path(hash), site=trains).headers["Cache-Control"]


def test_what_is_private_elsewhere_is_as_what_never_was(
    api: Api, make: Factory, bikes: Site, trains: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, _ = private
    loose = upload(api, author, b"an upload that hangs nowhere")
    hung = upload(api, author, b"an upload on private comments")
    attach(api, author, comment, hung)
    mine = make.comment(make.conversation(trains), by=trains.member)
    for by in (None, trains.member, trains.owner):
        expected = api.get(path(NEVER), by=by, site=trains)
        for hash in (loose, hung):
            refused = api.get(path(hash), by=by, site=trains)
            assert (refused.status, refused.error) == (404, expected.error)
            # Now and then a process asks whether it still knows the site.
            assert any(
                api.get(path(NEVER), by=by, site=trains).statements
                == api.get(path(hash), by=by, site=trains).statements
                for _ in range(5)
            )
    for hash in (NEVER, loose, hung):
        for answer in (
            api.post(f"{mine.path}/attachments", {"fileHash": hash}, by=trains.member),
            api.post(f"{trains.member.path}/attachments", {"fileHash": hash}, by=trains.member),
            api.delete(f"{mine.path}/attachments/{hash}", by=trains.member),
            api.delete(f"{mine.path}/attachments/{hash}.png", by=trains.owner),
        ):
            assert (answer.status, answer.code) == (400, 22)
    # Nor on the same site, from who may not see it.
    theirs = make.comment(make.conversation(bikes), by=bikes.newcomer)
    gone = api.delete(f"{theirs.path}/attachments/{hung}", by=bikes.newcomer)
    assert (gone.status, gone.code) == (400, 22)
    assert api.get(path(loose), site=bikes).status == 200
    # Whose it is has it everywhere, and may use it.
    assert api.delete(f"{theirs.path}/attachments/{loose}", by=bikes.newcomer).status == 200


def test_a_file_tells_nothing_of_the_same_bytes_elsewhere(
    api: Api, make: Factory, bikes: Site, trains: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, _ = private
    data = b"known to both sites"
    hash = upload(api, author, data, "secret.txt")
    make.sql(
        "UPDATE files SET created = '2001-02-03' WHERE file_hash = %(hash)s RETURNING 1", hash=hash
    )
    assert upload(api, trains.member, data, "plain.txt") == hash

    seen = api.get(path(hash), site=trains)
    assert "2001" not in seen.headers["Last-Modified"]
    assert 'filename="plain.txt"' in seen.headers["Content-Disposition"]
    attach(api, author, comment, hash)
    again = api.get(path(hash), site=trains, headers={"Cache-Control": "no-cache"})
    assert (again.status, again.headers["Cache-Control"]) == (200, seen.headers["Cache-Control"])
    assert api.get(path(hash), by=trains.newcomer).status == 200
    assert api.get(path(hash), site=bikes).status == 404


def test_a_person_has_their_uploads_on_all_sites(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    person = make.person(bikes)
    hash = upload(api, person, b"my own")
    seen = api.get(path(hash), by=person, site=trains)
    assert (seen.status, seen.headers["Cache-Control"]) == (200, "private, no-cache")
    assert api.get(path(hash), by=make.person(bikes), site=trains).status == 404


def test_losing_the_role_shuts_the_file(
    api: Api, make: Factory, bikes: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, friend = private
    hash = upload(api, author, b"another secret of the club")
    attach(api, author, comment, hash)
    assert api.get(path(hash), by=friend).status == 200

    make.sql(
        "DELETE FROM role_profiles WHERE site_id = %(site)s AND profile_id = %(id)s RETURNING 1",
        site=bikes.id,
        id=friend.id,
    )
    make.sql(
        "UPDATE profiles SET role_ids = '{}' WHERE site_id = %(site)s AND profile_id = %(id)s RETURNING 1",
        site=bikes.id,
        id=friend.id,
    )

    assert api.get(path(hash), by=friend).status == 404
    # Nor may it be made public by somebody who has only kept the hash.
    mine = make.comment(make.conversation(bikes), by=friend)
    refused = api.post(f"{mine.path}/attachments", {"fileHash": hash}, by=friend)
    assert (refused.status, refused.code) == (400, 22)


def test_a_ban_shuts_every_file(api: Api, make: Factory, bikes: Site) -> None:
    hash = upload(api, bikes.member, png(seed=24))

    assert api.get(path(hash), by=bikes.banned).status == 403


def test_leaving_a_huddle_shuts_its_files(api: Api, make: Factory, bikes: Site) -> None:
    one, other = make.person(bikes), make.person(bikes)
    made = api.post("/api/v1/huddles", {"title": "Two", "participants": [{"id": other.id}]}, by=one)
    id = int(made.location.rpartition("/")[2])
    said = api.post(
        "/api/v1/comments", {"itemType": "huddle", "itemId": id, "markdown": "look"}, by=one
    )
    hash = upload(api, one, b"between two")
    assert api.post(f"{said.location}/attachments", {"fileHash": hash}, by=one).status == 302
    seen = api.get(path(hash), by=other)
    assert (seen.status, seen.headers["Cache-Control"]) == (200, "private, no-cache")
    assert api.get(path(hash), by=bikes.owner).status == 404

    left = api.delete(f"/api/v1/huddles/{id}/participants/{other.id}", by=other)

    assert left.status == 200
    assert api.get(path(hash), by=other).status == 404


def test_hiding_the_comment_shuts_its_files(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    comment = make.comment(chat, by=bikes.member)
    hash = upload(api, bikes.member, b"regretted")
    attach(api, bikes.member, comment, hash)
    assert api.get(path(hash), site=bikes).status == 200

    assert api.patch(comment.path, ("moderated", True), by=bikes.moderator).status == 200

    assert api.get(path(hash), site=bikes).status == 404
    assert api.get(path(hash), by=bikes.newcomer).status == 404
    assert api.get(path(hash), by=bikes.moderator).status == 200
    assert api.patch(comment.path, ("moderated", False), by=bikes.moderator).status == 200
    assert api.get(path(hash), site=bikes).status == 200
    assert api.patch(chat.path, ("deleted", True), by=bikes.moderator).status == 200
    assert api.get(path(hash), site=bikes).status == 404


def test_an_avatar_is_for_everybody(
    api: Api, make: Factory, bikes: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, _ = private
    hash = upload(api, author, png(seed=25))
    attach(api, author, comment, hash)
    assert api.get(path(hash), site=bikes).status == 404

    api.post(f"{author.path}/attachments", {"fileHash": hash}, by=author)

    assert "immutable" in api.get(path(hash), site=bikes).headers["Cache-Control"]


@pytest.fixture(scope="module")
def lenient(database_url: str, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A web process whose files anybody may see who has the hash."""
    return start_server(database_url, tmp_path_factory.mktemp("lenient"), file_access="anyone")


@pytest.mark.wide
@pytest.mark.slow
def test_the_hash_alone_may_be_enough(
    lenient: Server, bikes: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, _ = private
    api = lenient.api()
    try:
        hash = upload(api, author, b"known by its hash")
        attach(api, author, comment, hash)
        assert "immutable" in api.get(path(hash), site=bikes).headers["Cache-Control"]
    finally:
        api.close()
        lenient.stop()


# ---------------------------------------------------------------- other sizes


@pytest.mark.wide
def test_a_picture_in_another_size(api: Api, bikes: Site) -> None:
    for format in ("JPEG", "PNG", "GIF", "WEBP"):
        hash = upload(api, bikes.member, encoded(noise(400, 300, 26), format))
        small = api.get(f"{path(hash)}?maxWidth=100&maxHeight=100", site=bikes)
        assert (opened(small.body).size, opened(small.body).format) == ((100, 75), format)
        assert small.headers["ETag"] == f'"{sha1(small.body)}"'
        assert "immutable" in small.headers["Cache-Control"]
        same = api.get(f"{path(hash)}?maxWidth=800&maxHeight=800", site=bikes)
        assert same.headers["ETag"] == f'"{hash}"'


def test_only_the_sizes_that_are_offered_and_only_of_pictures(api: Api, bikes: Site) -> None:
    picture = upload(api, bikes.member, jpeg(seed=27))
    text = upload(api, bikes.member, b"no picture")

    for query in ("?maxWidth=99&maxHeight=100", "?maxWidth=100", "?maxHeight=x"):
        assert api.get(path(picture) + query, site=bikes).status == 400
    assert api.get(path(text) + "?maxWidth=100&maxHeight=100", site=bikes).status == 400


def test_a_size_is_as_private_as_its_original(
    api: Api, bikes: Site, private: tuple[Thing, Person, Person]
) -> None:
    comment, author, friend = private
    hash = upload(api, author, encoded(noise(200, 200, 28), "PNG"))
    attach(api, author, comment, hash)
    query = "?maxWidth=100&maxHeight=100"

    small = api.get(path(hash) + query, by=friend)

    assert small.headers["Cache-Control"] == "private, no-cache"
    assert api.get(path(hash) + query, by=bikes.newcomer).status == 404
    # It is no file of its own.
    assert api.get(path(sha1(small.body)), by=friend).status == 404


def test_sizes_are_made_without_being_asked_for(api: Api, make: Factory, bikes: Site) -> None:
    import time

    hash = post(api, bikes.member, ("a.png", encoded(noise(200, 200, 29), "PNG"), "")).data[0][
        "fileHash"
    ]
    deadline = time.monotonic() + 60
    states: list[tuple[object, ...]] = []
    while len(states) < 2 and time.monotonic() < deadline:
        states = make.sql("SELECT state FROM file_variants WHERE file_hash = %(h)s", h=hash)
        time.sleep(0.05)

    assert states == [("made",), ("made",)]


# ---------------------------------------------------------------- by the hand of others


@pytest.mark.wide
@pytest.mark.slow
def test_behind_nginx_the_proxy_sends_the_bytes(
    database_url: str, make: Factory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = make.site()
    folder: Path = tmp_path_factory.mktemp("accel")
    server = start_server(database_url, folder, file_accel_prefix="/_files/")
    api = server.api()
    try:
        data = b"<p>sent by the proxy</p>"
        hash = upload(api, site.member, data, "a.html")
        got = api.get(path(hash), site=site, headers={"Range": "bytes=0-1"})
        internal = got.headers["X-Accel-Redirect"]
        assert (got.status, got.body) == (200, b"")
        assert internal == f"/_files/{hash[:2]}/{hash[2:4]}/{hash}"
        assert (folder / "files" / internal.removeprefix("/_files/")).read_bytes() == data
        assert got.headers["Content-Type"] == "application/octet-stream"
    finally:
        api.close()
        server.stop()
