"""Files in a bucket: of a real S3 server, which is also away, slow and failing in the middle."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from forumapi.command import doctor
from forumapi.config import Config
from forumapi.files.storage import MissingError, StorageError, open_storage
from forumapi.files.storage.s3 import PART, S3Storage
from scripts.chaos.store import BUCKET, Gate, settings
from tests.api import Api
from tests.factories import Factory, Site
from tests.files.pictures import encoded, noise, opened, png, post, sha1, upload
from tests.fixtures import Server, running, start_server

NAME = "ab" * 20


@pytest.fixture
def storage(gate: Gate, tmp_path: Path) -> S3Storage:
    return S3Storage(
        BUCKET,
        scratch=tmp_path,
        endpoint=gate.url,
        region="eu-west-1",
        key_id="key",
        secret="secret",
        redirect_s=60,
        timeout_s=1,
    )


# ---------------------------------------------------------------- the store


@pytest.mark.wide
def test_an_object_is_written_once_read_in_parts_and_deleted(
    storage: S3Storage, gate: Gate, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 4096
    source = tmp_path / "a"
    source.write_bytes(data)

    assert storage.size(NAME) is None
    storage.put(NAME, source, "text/plain")
    gate.seen.clear()
    storage.put(NAME, source, "text/plain")

    assert [one.split()[0] for one in gate.seen] == ["HEAD"]
    assert storage.size(NAME) == len(data)
    assert b"".join(storage.read(NAME, 0, len(data))) == data
    assert b"".join(storage.read(NAME, 1000, 10)) == data[1000:1010]
    storage.fetch(NAME, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == data
    assert gate.client().head_object(Bucket=BUCKET, Key=NAME)["ContentType"] == "text/plain"
    storage.delete(NAME)
    storage.delete(NAME)
    assert storage.size(NAME) is None
    with pytest.raises(MissingError):
        storage.read(NAME, 0, 1)
    with pytest.raises(MissingError):
        storage.fetch(NAME, tmp_path / "c")


@pytest.mark.wide
def test_a_large_file_goes_up_in_parts(storage: S3Storage, gate: Gate, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(b"x" * (PART + 5))

    storage.put("cd" * 20, source, "text/plain")

    assert storage.size("cd" * 20) == PART + 5
    assert sum("partNumber=" in one for one in gate.seen) == 2


@pytest.mark.wide
def test_a_failure_is_tried_again(storage: S3Storage, gate: Gate, tmp_path: Path) -> None:
    storage.check()
    gate.seen.clear()
    gate.fails.add("HEAD")

    with pytest.raises(StorageError):
        storage.size(NAME)

    assert len(gate.seen) == 3


@pytest.mark.wide
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"s3_bucket": "no-such-bucket"}, "make it, or mend s3_bucket"),
        ({"s3_endpoint": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_doctor_says_what_is_wrong(gate: Gate, change: dict[str, str], said: str) -> None:
    config = dataclasses.replace(
        Config(),
        s3_bucket=BUCKET,
        s3_endpoint=gate.url,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        s3_timeout_s=1,
    )

    assert doctor.files(config).found == f"kept in bucket {BUCKET}"
    found = doctor.files(dataclasses.replace(config, **change))  # type: ignore[arg-type]
    assert said in found.found
    assert found.mend


@pytest.mark.wide
def test_a_key_that_is_refused_is_named(store: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{store}"

    def checking(on: bool) -> None:
        """Let the store look at signatures from now on, or no longer."""
        count = b"0" if on else b"inf"
        plain = {"Content-Type": "text/plain"}
        urlopen(Request(f"{url}/moto-api/reset-auth", count, plain, method="POST")).close()

    storage = S3Storage(
        BUCKET, scratch=tmp_path, endpoint=url, region="eu-west-1", key_id="wrong", secret="wrong"
    )
    checking(True)
    try:
        with pytest.raises(StorageError) as raised:
            storage.check()
    finally:
        checking(False)
    assert "mend aws_access_key_id" in raised.value.reason


def test_the_settings_choose_the_store(tmp_path: Path) -> None:
    config = dataclasses.replace(Config(), data_dir=str(tmp_path))

    assert "files" in open_storage(config).check()
    nowhere = dataclasses.replace(config, files_path="/proc/nowhere")
    assert "/proc/nowhere" in doctor.files(nowhere).found


# ---------------------------------------------------------------- behind the API


@pytest.fixture
def server(
    database_url: str, gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A web process that keeps its files in the bucket."""
    with running(database_url, tmp_path_factory.mktemp("s3"), **settings(gate)) as started:
        yield started


@pytest.mark.wide
@pytest.mark.slow
def test_files_are_kept_in_the_bucket(api: Api, gate: Gate, bikes: Site) -> None:
    data = encoded(noise(200, 100, 60), "PNG")
    hash = upload(api, bikes.member, data)

    assert hash in gate.names()
    assert api.get(f"/api/v1/files/{hash}", site=bikes).body == data
    part = api.get(f"/api/v1/files/{hash}", site=bikes, headers={"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, data[5:10])
    small = api.get(f"/api/v1/files/{hash}?maxWidth=100&maxHeight=100", site=bikes)
    assert opened(small.body).size == (100, 50)
    long = bytes(2_000_000)
    assert api.get(f"/api/v1/files/{upload(api, bikes.member, long)}", site=bikes).body == long


@pytest.mark.wide
@pytest.mark.slow
def test_without_the_store_texts_stay_and_uploads_are_503(
    api: Api, make: Factory, gate: Gate, bikes: Site
) -> None:
    before = png(seed=61)
    known = upload(api, bikes.member, before)
    comment = make.comment(make.conversation(bikes))
    gate.fails |= {"HEAD", "PUT", "GET"}
    data = png(seed=62)
    key = {"Idempotency-Key": f"s3-{gate.port}"}

    refused = post(api, bikes.member, ("a.png", data, ""), headers=key)

    assert (refused.status, "retry-after" in refused.headers) == (503, True)
    assert api.get(comment.path, by=bikes.member).status == 200
    assert api.get(f"/api/v1/files/{known}", site=bikes).status == 503
    assert make.sql("SELECT 1 FROM files WHERE file_hash = %(h)s", h=sha1(data)) == []
    assert (
        api.post(f"{comment.path}/attachments", {"fileHash": sha1(data)}, by=bikes.member).code
        == 22
    )
    gate.fails.clear()
    # The retry with the same key does it, once.
    for _ in range(2):
        assert post(api, bikes.member, ("a.png", data, ""), headers=key).status == 200
    assert make.sql("SELECT 1 FROM file_strays WHERE file_hash = %(h)s", h=sha1(data)) == []
    attach = {"Idempotency-Key": f"s3-attach-{gate.port}"}
    for _ in range(2):
        done = api.post(
            f"{comment.path}/attachments", {"fileHash": sha1(data)}, by=bikes.member, headers=attach
        )
        assert done.status == 302
    listed = api.get(f"{comment.path}/attachments", by=bikes.member).data["attachments"]
    assert listed["total"] == 1


@pytest.mark.wide
@pytest.mark.slow
def test_a_store_that_does_not_answer_stops_nobody_else(
    server: Server, api: Api, make: Factory, gate: Gate, bikes: Site
) -> None:
    import threading

    comment = make.comment(make.conversation(bikes))
    gate.hangs.add("PUT")
    answers: list[int] = []

    def slow() -> None:
        client = server.api()
        answers.append(post(client, bikes.member, ("a.txt", b"slow %d" % gate.port, "")).status)
        client.close()

    waiting = threading.Thread(target=slow)
    waiting.start()
    try:
        while not any(one.startswith("PUT") for one in gate.seen):
            assert api.get(comment.path, by=bikes.member).status == 200
        assert api.get(comment.path, by=bikes.member).status == 200
        assert not answers
    finally:
        waiting.join(30)
    assert answers == [503]


@pytest.mark.wide
@pytest.mark.slow
def test_an_object_whose_row_was_never_committed_dangles_nowhere(
    api: Api, make: Factory, gate: Gate, bikes: Site
) -> None:
    data = b"stored, and then refused %d" % gate.port
    make.sql(
        """
        INSERT INTO idempotency_keys (site_id, profile_id, method, path, key, body_hash, status)
        VALUES (%(site)s, %(me)s, 'POST', '/api/v1/files', 'taken', '\\x00', 200)
            ON CONFLICT DO NOTHING RETURNING 1""",
        site=bikes.id,
        me=bikes.member.id,
    )

    answer = post(api, bikes.member, ("a", data, ""), headers={"Idempotency-Key": "taken"})

    assert answer.status == 422
    assert sha1(data) in gate.names()
    assert make.sql("SELECT 1 FROM files WHERE file_hash = %(h)s", h=sha1(data)) == []
    noted = make.sql("SELECT 1 FROM file_strays WHERE file_hash = %(h)s", h=sha1(data))
    assert noted == [(1,)]


@pytest.mark.wide
@pytest.mark.slow
def test_downloads_may_be_sent_to_the_store(
    database_url: str, gate: Gate, bikes: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    started = start_server(
        database_url, tmp_path_factory.mktemp("signed"), **settings(gate, s3_redirect_s="60")
    )
    api = started.api()
    try:
        data = b"<p>signed for</p>"
        hash = upload(api, bikes.member, data, "a.html")
        sent = api.get(f"/api/v1/files/{hash}", site=bikes)
        assert (sent.status, sent.headers["Cache-Control"]) == (307, "no-cache, max-age=0")
        with urlopen(sent.location) as answer:
            assert answer.read() == data
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith("attachment;")
        head = api.request("HEAD", f"/api/v1/files/{hash}", site=bikes)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(data)))
    finally:
        api.close()
        started.stop()
