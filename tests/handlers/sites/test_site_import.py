"""Imports into sites over HTTP: who may upload a dump, the jobs behind it, and what comes of bad uploads."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest
from urllib3 import encode_multipart_formdata

from forumapi import itemtypes
from forumapi.config import Settings
from forumapi.cron.site_imports import ImportThread, expired_imports
from forumapi.errors import TooSlow
from forumapi.handlers.sites import forum_import
from forumapi.models.sites.site_import import CLAIM_S, MAX_ATTEMPTS
from forumapi.porting.dumps import product_detection
from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.loading import loader, planning
from forumapi.request import multipart
from tests.api import Response
from tests.factories import Person, Site
from tests.fixtures import PROJECT
from tests.porting import boards
from tests.stage import Stage, staged

IMPORT, LEFTOVERS = "/site/import", "/site/import/leftovers"
AGAIN = 26
BOARDS = Path(boards.__file__).parent / "boards"
PHPBB = (BOARDS / "phpbb.sql").read_bytes()


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("imports")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    stage.sql("DELETE FROM site_imports RETURNING 1")
    return stage.make.site()


def upload(
    stage: Stage,
    site: Site,
    data: bytes = PHPBB,
    fields: Sequence[tuple[str, str]] = (),
    *,
    by: Person | None = None,
    token: str = "",
) -> Response:
    form: list[tuple[str, Any]] = [*fields, ("file", ("board.sql", data, "application/sql"))]
    body, kind = encode_multipart_formdata(form)
    return stage.request(
        "POST",
        IMPORT,
        site=site,
        by=by or (None if token else site.owner),
        token=token,
        raw=(body, kind),
    )


def work(stage: Stage) -> None:
    """Do what the thread of a cron process does once it looks."""
    thread = ImportThread(stage.url, Settings(stage.config))
    thread.poll()
    thread.stop()


def shown(stage: Stage, site: Site) -> dict[str, Any]:
    found: dict[str, Any] = stage.get(IMPORT, by=site.owner).data
    return found


def do(stage: Stage, site: Site, task: str, **more: Any) -> dict[str, Any]:
    """Have a task done, and return the import then."""
    asked = stage.put(IMPORT, {"task": task, **more}, by=site.owner)
    assert (asked.status, asked.location) == (202, f"/api/v1{IMPORT}")
    work(stage)
    return shown(stage, site)


@pytest.mark.wide
def test_an_owner_moves_a_forum_in(stage: Stage, site: Site) -> None:
    assert stage.get(IMPORT, by=site.owner).status == 404

    asked = upload(stage, site)

    assert (asked.status, asked.location) == (202, f"/api/v1{IMPORT}")
    before = shown(stage, site)
    assert (before["state"], before["task"], before["size"]) == ("waiting", "plan", len(PHPBB))
    assert upload(stage, site).status == 409
    assert stage.put(IMPORT, {"task": "run"}, by=site.owner).status == 409
    work(stage)
    planned = shown(stage, site)
    assert (planned["state"], planned["product"], planned["isLoaded"]) == ("done", "phpbb", False)
    comes = {one["name"]: one["comes"] for one in planned["plan"]["streams"]}
    assert comes["comments"] > 0
    assert stage.sql("SELECT 1 FROM import_origins WHERE site_id = %(id)s", id=site.id) == []

    loaded = do(stage, site, "run")

    assert (loaded["state"], loaded["isLoaded"], loaded["isResolved"]) == ("done", True, False)
    ((came,),) = stage.sql(
        "SELECT count(*) FROM imported_items WHERE site_id = %(id)s AND item_type_id = 4",
        id=site.id,
    )
    assert came >= comes["comments"] - loaded["leftOut"]
    left = stage.get(f"{LEFTOVERS}?limit=25", by=site.owner).data["leftovers"]
    assert left["total"] == loaded["leftOut"] == len(left["items"])
    assert all(one["reason"] for one in left["items"])
    assert stage.put(IMPORT, {"task": "switch"}, by=site.owner).status == 202
    assert shown(stage, site)["isResolved"]
    assert stage.put(IMPORT, {"task": "switch", "on": False}, by=site.owner).status == 202
    assert not shown(stage, site)["isResolved"]


@pytest.mark.wide
def test_an_address_that_comes_with_a_later_upload_alone_is_refused(
    stage: Stage, site: Site
) -> None:
    early, late = ("address", "https://early.example"), ("address", "https://late.example")
    for fields, told in (([early], ""), ([early], ""), ([early, late], late[1]), ([], "")):
        assert upload(stage, site, fields=fields).status == 202
        work(stage)

        found = do(stage, site, "run")

        assert found["state"] == ("failed" if told else "done")
        assert told in found.get("reason", "")


@pytest.mark.wide
def test_an_import_is_compared_and_removed(stage: Stage, site: Site) -> None:
    upload(stage, site)
    work(stage)
    do(stage, site, "run")

    checked = do(stage, site, "verify")["verification"]

    assert (checked["isRight"], checked["differences"]) == (True, [])
    assert checked["checks"][0]["source"] > 0
    undone = do(stage, site, "undo")

    assert undone["undoing"]["isDone"]
    assert (undone["undoing"]["left"], undone["isLoaded"], undone["leftOut"]) == (0, False, 0)
    assert stage.sql("SELECT 1 FROM imported_items WHERE site_id = %(id)s", id=site.id) == []


@pytest.mark.wide
def test_an_import_is_audited_and_mailed(stage: Stage, site: Site) -> None:
    upload(stage, site)
    work(stage)

    assert stage.sql(
        "SELECT profile_id, host(ip) FROM audit_log WHERE site_id = %(id)s AND action = 'I'",
        id=site.id,
    ) == [(site.owner.id, "192.0.2.1")]
    mails = stage.sql(
        "SELECT recipient, subject FROM mail_outbox WHERE site_id = %(id)s ORDER BY mail_id",
        id=site.id,
    )
    # Nothing goes to the people of the dump, whoever they are.
    about = (site.owner.email, f"About the import into Site {site.key}")
    assert mails == [(site.owner.email, f"An import into Site {site.key} was begun"), about]
    entries = stage.get("/site/audit", by=site.owner).data["entries"]["items"]
    assert entries[0]["action"] == "imported"


@pytest.mark.wide
def test_only_the_owner_imports(stage: Stage, site: Site) -> None:
    upload(stage, site)
    work(stage)
    for by in (None, site.member, site.moderator, site.banned):
        for path in (IMPORT, LEFTOVERS):
            assert stage.get(path, by=by, site=site).status == 403
        for task in ("run", "undo", "switch"):
            assert stage.put(IMPORT, {"task": task}, by=by, site=site).status == 403
        assert stage.request("DELETE", IMPORT, by=by, site=site).status == 403
        if by is not None:
            assert upload(stage, site, by=by).status == 403
    assert stage.request("POST", IMPORT, site=site, raw=(b"", "text/plain")).status == 403
    assert shown(stage, site)["state"] == "done"
    # The owner of another site has none of it.
    other = stage.make.site()
    assert stage.get(IMPORT, by=other.owner).status == 404
    assert stage.put(IMPORT, {"task": "run"}, by=other.owner).status == 404
    assert stage.get(IMPORT, by=other.owner, site=site).status == 403


def test_an_import_needs_a_fresh_sign_in(stage: Stage, site: Site) -> None:
    upload(stage, site)
    work(stage)
    stage.sql(
        "UPDATE access_tokens SET created = created - interval '11 minutes' WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )

    refused = upload(stage, site)

    assert (refused.status, refused.code) == (403, AGAIN)
    # The session that uploaded it goes on, but does not undo.
    stage.sql(
        """INSERT INTO import_origins (site_id, title, product, product_version, is_resolved, addresses, stage)
           VALUES (%(id)s, 'import', 'phpbb', '', false, '{}', 'done') RETURNING 1""",
        id=site.id,
    )
    assert stage.put(IMPORT, {"task": "switch"}, by=site.owner).status == 202
    refused = stage.put(IMPORT, {"task": "undo"}, by=site.owner)
    assert (refused.status, refused.code) == (403, AGAIN)
    fresh = stage.make.token(site.owner)
    assert stage.put(IMPORT, {"task": "undo"}, site=site, token=fresh).status == 202
    stage.sql(
        "UPDATE access_tokens SET kind = 'key' WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )
    assert upload(stage, site).code == AGAIN


def test_an_owner_with_a_second_factor_proves_it(stage: Stage, site: Site) -> None:
    secret = stage.post("/auth/totp", {}, by=site.owner).data["secret"]
    app = pyotp.TOTP(secret)
    codes = stage.put("/auth/totp", {"code": app.now()}, by=site.owner).data["recoveryCodes"]

    for code in ("", "000000"):
        refused = upload(stage, site, fields=[("secondFactor", code)])
        assert (refused.status, "secondFactor" in refused.json()["error"][0]) == (400, True)
    assert stage.get(IMPORT, by=site.owner).status == 404
    assert upload(stage, site, fields=[("secondFactor", codes[0])]).status == 202


@pytest.mark.parametrize(
    ("data", "fields", "told"),
    [
        (PHPBB[: len(PHPBB) // 2], [("product", "phpbb")], "cut off"),
        (b"no SQL at all", [], "no SQL text"),
        (b"\x1f\x8b\x08" + b"\0" * 40, [("product", "phpbb")], "cut off or damaged"),
        (b"PK\x03\x04" + b"\0" * 100, [], "no ZIP file"),
        (PHPBB, [("product", "smf")], "another product's dump"),
        (b"SQLite format 3\0" + b"\0" * 100, [("product", "discourse")], "an SQLite file"),
        (gzip.compress(PHPBB)[:-50], [], "cut off or damaged"),
    ],
)
def test_a_broken_upload_fails_with_a_reason(
    stage: Stage, site: Site, data: bytes, fields: Sequence[tuple[str, str]], told: str
) -> None:
    assert upload(stage, site, data, fields).status == 202
    work(stage)
    found = shown(stage, site)
    assert (found["state"], told in found["reason"]) == ("failed", True), found
    assert stage.config.data_dir not in found["reason"]
    assert "plan" not in found
    assert stage.put(IMPORT, {"task": "run"}, by=site.owner).status == 409
    assert stage.sql("SELECT 1 FROM import_origins WHERE site_id = %(id)s", id=site.id) == []


def test_what_cannot_be_is_refused(stage: Stage, site: Site) -> None:
    for name, value in (
        ("product", "nosuch"),
        ("address", "ftp://x"),
        ("title", "x" * 101),
        ("granted", "\1"),
        ("encoding", "x" * 5000),
    ):
        refused = upload(stage, site, fields=[(name, value)])
        assert (refused.status, name in refused.error) == (400, True)
    for body in ({}, {"task": "plan"}, {"task": 1}):
        assert stage.put(IMPORT, body, by=site.owner).status in (400, 404)
    empty = encode_multipart_formdata({"product": "phpbb"})
    assert stage.request("POST", IMPORT, by=site.owner, raw=empty).status == 400
    assert (
        stage.request("POST", IMPORT, by=site.owner, raw=(b"{}", "application/json")).status == 400
    )
    assert stage.get(IMPORT, by=site.owner).status == 404
    upload(stage, site)
    work(stage)
    for task in ("verify", "undo", "switch"):
        assert stage.put(IMPORT, {"task": task}, by=site.owner).status == 409
    assert stage.get(f"{LEFTOVERS}?offset=25", by=site.owner).status == 400


def test_archives_that_unpack_to_too_much_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("profiles/1.json", b" " * 1_000_000)
    assert path.stat().st_size < 10_000
    with pytest.raises(DumpError, match="after decompression"):
        product_detection.check_archive(path, 100_000)
    product_detection.check_archive(path, 1_000_000)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(b"-- " + b" " * 1_000_000))
    with pytest.raises(DumpError, match="after decompression"):
        product_detection.detect(bomb, 100_000)


def test_an_archive_is_stored_or_deflated_and_not_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "packed.zip"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("profiles/1.json", b" " * 1_000_000)
        with pytest.raises(DumpError, match=r"'profiles/1.json' is neither stored nor deflated"):
            product_detection.check_archive(path, 1_000_000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("site.json", b"{}")
    data = bytearray(path.read_bytes())
    # The flags in the archive's directory, which zipfile goes by.
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DumpError, match=r"'site.json' is encrypted"):
        product_detection.check_archive(path, 1_000_000)


def test_an_archive_with_a_vast_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100):
            archive.writestr(f"profiles/{number}.json", b"")
    monkeypatch.setattr(product_detection, "MAX_DIRECTORY", 1000)
    with pytest.raises(DumpError, match="directory"):
        product_detection.check_archive(path, 1_000_000)


@pytest.mark.wide
def test_a_layout_comes_too_with_its_granted_fields(
    stage: Stage, site: Site, tmp_path: Path
) -> None:
    boards.write(boards.bikes(), tmp_path / "board")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (tmp_path / "board").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "board"))
    assert (
        upload(stage, site, packed.getvalue(), [("granted", "bike"), ("title", "bikes")]).status
        == 202
    )
    work(stage)
    assert shown(stage, site)["product"] == "microcosm"
    assert do(stage, site, "run")["leftOut"] == 7
    assert shown(stage, site)["title"] == "bikes"
    assert do(stage, site, "verify")["verification"]["isRight"]


def used(stage: Stage, site: Site) -> int:
    rows = stage.sql(
        "SELECT bytes::int FROM file_usage WHERE site_id = %(id)s AND profile_id = 0", id=site.id
    )
    return int(rows[0][0]) if rows else 0


def strays(stage: Stage, object: str) -> bool:
    return bool(
        stage.sql(
            "SELECT 1 FROM file_strays WHERE file_hash = %(o)s AND since < now() - interval '1 hour'",
            o=object,
        )
    )


@pytest.mark.wide
def test_an_upload_counts_to_the_quota_until_it_is_deleted(stage: Stage, site: Site) -> None:
    upload(stage, site)
    assert used(stage, site) == len(PHPBB)
    ((first,),) = stage.sql("SELECT object FROM site_imports WHERE site_id = %(id)s", id=site.id)
    work(stage)
    upload(stage, site, gzip.compress(PHPBB))
    ((second,),) = stage.sql("SELECT object FROM site_imports WHERE site_id = %(id)s", id=site.id)
    assert (strays(stage, first), used(stage, site)) == (True, len(gzip.compress(PHPBB)))
    work(stage)
    stage.sql(
        "UPDATE site_imports SET expires = now() - interval '1 second' WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )
    with stage.app.database.write() as tx:
        assert expired_imports(tx, stage.config) == "1 uploads"
        assert expired_imports(tx, stage.config) == "0 uploads"
    assert (strays(stage, second), used(stage, site)) == (True, 0)
    assert "size" not in shown(stage, site)
    assert stage.put(IMPORT, {"task": "run"}, by=site.owner).status == 409


def test_folders_of_killed_imports_are_deleted(stage: Stage) -> None:
    scratch = stage.app.storage.scratch
    left, used = scratch / "left", scratch / "used"
    for folder in (left, used):
        folder.mkdir(parents=True)
        (folder / "dump").write_bytes(PHPBB)
    os.utime(left, (0, time.time() - 2 * 3600))
    with stage.app.database.write() as tx:
        expired_imports(tx, stage.config)
    assert (left.exists(), used.exists()) == (False, True)


def test_an_upload_beyond_a_limit_leaves_nothing(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stage.app.config
    limited = dataclasses.replace(config, import_file_limit=len(PHPBB) - 1)
    monkeypatch.setattr(stage.app, "config", limited)
    assert (refused := upload(stage, site)).status == 413, refused.body
    monkeypatch.setattr(stage.app, "config", dataclasses.replace(config, file_quota_site_mb=1))
    stage.sql(
        "INSERT INTO file_usage (site_id, profile_id, bytes) VALUES (%(id)s, 0, 1048000) RETURNING 1",
        id=site.id,
    )
    assert upload(stage, site).status == 413
    assert stage.get(IMPORT, by=site.owner).status == 404
    assert used(stage, site) == 1048000


def test_what_is_refused_is_not_stored(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[str] = []
    real = multipart.receive

    def receive(*given: Any) -> list[multipart.Part]:
        received.append("body")
        return real(*given)

    def put(*given: Any) -> None:
        received.append("store")

    monkeypatch.setattr(multipart, "receive", receive)
    monkeypatch.setattr(stage.app.storage, "put", put)
    secret = stage.post("/auth/totp", {}, by=site.owner).data["secret"]
    stage.put("/auth/totp", {"code": pyotp.TOTP(secret).now()}, by=site.owner)
    # A wrong code is in the body, behind or before the file.
    assert upload(stage, site, fields=[("secondFactor", "000000")]).status == 400
    assert received == ["body"]
    config = stage.app.config
    monkeypatch.setattr(stage.app, "config", dataclasses.replace(config, file_quota_site_mb=1))
    assert upload(stage, site, b" " * 1_500_000).status == 413
    assert received == ["body"]
    # Within what a form may have beside the file, the file's size decides.
    assert upload(stage, site, b" " * 1_100_000).status == 400
    monkeypatch.setattr(stage.app, "config", config)
    stage.sql(
        "UPDATE attempt_counters SET attempts = 20 WHERE kind = %(k)s AND subject = %(s)s RETURNING 1",
        k=forum_import.PER_DAY.kind,
        s=str(site.id),
    )
    assert upload(stage, site).status == 429
    assert received == ["body", "body"]


def test_an_upload_that_another_overtook_is_not_stored(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = multipart.receive
    came: list[int] = []

    def overtaken(*given: Any) -> list[multipart.Part]:
        monkeypatch.setattr(multipart, "receive", real)
        came.append(upload(stage, site).status)
        monkeypatch.setattr(stage.app.storage, "put", lambda *given: came.append(0))
        return real(*given)

    monkeypatch.setattr(multipart, "receive", overtaken)
    assert upload(stage, site).status == 409
    assert came == [202]


def test_an_upload_takes_the_room_of_the_one_before(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = dataclasses.replace(stage.app.config, file_quota_site_mb=1)
    monkeypatch.setattr(stage.app, "config", limited)
    for _ in range(2):
        assert upload(stage, site, b" " * 700_000).status == 202
        work(stage)


def test_a_task_is_cancelled(stage: Stage, site: Site) -> None:
    upload(stage, site)
    for _ in range(2):
        assert stage.request("DELETE", IMPORT, by=site.owner).status == 200
    found = shown(stage, site)
    assert (found["state"], "size" in found, used(stage, site)) == ("cancelled", False, 0)
    work(stage)
    assert "plan" not in shown(stage, site)
    assert upload(stage, site).status == 202


SLOW_WORK = """
import sys, time
from forumapi.config import Config, Settings
from forumapi.cron.site_imports import ImportThread
from forumapi.porting.loading import loader, planning
from forumapi.request import multipart

real, wanted = loader.Loader._set_stage, sys.argv[3]
def slow(self, name):
    real(self, name)
    if name == wanted:
        print("loading", flush=True)
        time.sleep(60)

loader.Loader._set_stage = slow
ImportThread(sys.argv[1], Settings(Config(environment="embedded", data_dir=sys.argv[2]))).poll()
"""


def pass_time(stage: Stage, site: Site) -> None:
    """Let a claim's time pass."""
    stage.sql(
        """UPDATE site_imports SET claimed_until = claimed_until - make_interval(secs => %(s)s::int + 1)
            WHERE site_id = %(id)s RETURNING 1""",
        id=site.id,
        s=CLAIM_S,
    )


@pytest.mark.wide
def test_a_run_goes_on_after_its_process_was_killed(stage: Stage, site: Site) -> None:
    upload(stage, site)
    work(stage)
    assert stage.put(IMPORT, {"task": "run"}, by=site.owner).status == 202
    for stop in ("comments", "counters"):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_WORK, stage.url, stage.config.data_dir, stop],
            cwd=PROJECT,
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        assert shown(stage, site)["state"] == "running"
        # Nobody else takes it as long as the process may be alive.
        work(stage)
        assert not shown(stage, site)["isLoaded"]
        process.send_signal(signal.SIGKILL)
        process.wait()
        pass_time(stage, site)

    work(stage)

    assert shown(stage, site)["isLoaded"]
    assert do(stage, site, "verify")["verification"]["isRight"]


@pytest.mark.wide
def test_a_cancelled_run_writes_nothing_more(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(stage, site)
    work(stage)
    real = loader.Loader._set_stage

    def cancelled(self: loader.Loader, name: str) -> None:
        real(self, name)
        if name == "comments":
            assert stage.request("DELETE", IMPORT, by=site.owner).status == 200

    monkeypatch.setattr(loader.Loader, "_set_stage", cancelled)
    assert stage.put(IMPORT, {"task": "run"}, by=site.owner).status == 202
    work(stage)
    assert shown(stage, site)["state"] == "cancelled"
    assert (
        stage.sql(
            "SELECT 1 FROM imported_items WHERE site_id = %(id)s AND item_type_id = 4", id=site.id
        )
        == []
    )
    # What came before stays until it is undone.
    assert do(stage, site, "undo")["undoing"]["left"] == 0


def mails(stage: Stage, site: Site) -> list[str]:
    rows = stage.sql(
        "SELECT text_body FROM mail_outbox WHERE site_id = %(id)s ORDER BY mail_id", id=site.id
    )
    return [row[0] for row in rows]


def test_a_task_that_kills_each_process_is_given_up(stage: Stage, site: Site) -> None:
    upload(stage, site)
    stage.sql(
        "UPDATE site_imports SET state = 'running', attempts = %(n)s WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
        n=MAX_ATTEMPTS,
    )
    work(stage)
    found = shown(stage, site)
    assert (found["state"], found["reason"]) == ("failed", "none of several attempts got further")
    assert "expires" in found
    assert "none of several attempts got further" in mails(stage, site)[-1]


def test_a_value_that_cannot_be_stored_fails_the_task_at_once(stage: Stage, site: Site) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "site.json", json.dumps({"title": "x", "product": "x", "addresses": ["https://x\0y"]})
        )
        archive.writestr("profiles/1.json", json.dumps({"id": "1", "name": "anna"}))
    upload(stage, site, packed.getvalue())
    work(stage)
    assert shown(stage, site)["state"] == "done", shown(stage, site)

    found = do(stage, site, "run")

    assert (found["state"], "could not be stored" in found["reason"]) == ("failed", True), found[
        "reason"
    ]
    assert "could not be stored" in mails(stage, site)[-1]


@pytest.mark.parametrize("error", [TooSlow("x"), psycopg.IntegrityError("x")])
def test_a_refused_statement_fails_the_task_at_once(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*given: object) -> None:
        raise error

    upload(stage, site)
    monkeypatch.setattr(planning.Planner, "run", refuse)
    work(stage)
    assert shown(stage, site)["state"] == "failed"


@pytest.mark.wide
def test_an_import_that_others_have_used_is_undone_when_told(stage: Stage, site: Site) -> None:
    upload(stage, site)
    work(stage)
    do(stage, site, "run")
    ((taken,),) = stage.sql(
        """UPDATE users u SET person_key = 'somebody'
             FROM profiles p
            WHERE p.user_id = u.user_id AND p.profile_id = (
                  SELECT min(i.item_id) FROM imported_items i WHERE i.site_id = %(id)s AND i.item_type_id = 3)
        RETURNING p.profile_id""",
        id=site.id,
    )

    listed = do(stage, site, "undo")["undoing"]

    assert (listed["isDone"], listed["touchedTotal"]) == (False, 1)
    touched = {"kind": "claim", "id": taken, "onType": "profile", "onId": taken}
    assert listed["touched"] == [touched]
    assert shown(stage, site)["isLoaded"]
    undone = do(stage, site, "undo", untouched=True)["undoing"]
    assert (undone["isDone"], undone["left"] > 0) == (True, True)


@pytest.mark.wide
def test_files_come_as_far_as_the_site_has_room(stage: Stage, site: Site, tmp_path: Path) -> None:
    boards.write(boards.bikes(), tmp_path / "board")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (tmp_path / "board").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "board"))
    upload(stage, site, packed.getvalue())
    work(stage)
    stage.sql(
        "UPDATE file_usage SET bytes = %(most)s WHERE site_id = %(id)s AND profile_id = 0 RETURNING 1",
        id=site.id,
        most=stage.config.file_quota_site_mb * 1024 * 1024,
    )
    assert do(stage, site, "run")["leftOut"] > 7
    left = stage.get(f"{LEFTOVERS}?limit=100", by=site.owner).data["leftovers"]["items"]
    assert any("no room left" in one["reason"] for one in left)


@pytest.mark.wide
def test_files_that_hang_on_nothing_take_the_site_s_room(stage: Stage, site: Site) -> None:
    def run(id: str, associations: Sequence[dict[str, str]]) -> str:
        packed = io.BytesIO()
        url = "data:text/plain;base64," + base64.b64encode(id.encode() * 30).decode()
        sent = {"id": id, "name": "x.txt", "contentUrl": url, "associations": associations}
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"attachments/{id}.json", json.dumps(sent))
        assert upload(stage, site, packed.getvalue()).status == 202
        work(stage)
        stage.sql(
            "UPDATE file_usage SET bytes = %(most)s WHERE site_id = %(id)s AND profile_id = 0 RETURNING 1",
            id=site.id,
            most=stage.config.file_quota_site_mb * 1024 * 1024 - 100,
        )
        assert do(stage, site, "run")["state"] == "done"
        left = stage.get(f"{LEFTOVERS}?limit=100", by=site.owner).data["leftovers"]["items"]
        return " ".join(one["reason"] for one in left if one["id"] == id)

    def stored() -> int:
        ((count,),) = stage.sql(
            "SELECT count(*)::int FROM imported_items WHERE site_id = %(id)s AND item_type_id = %(t)s",
            id=site.id,
            t=itemtypes.ATTACHMENT,
        )
        return int(count)

    for nothing in ([], [{"onType": "profile", "onId": "9"}]):
        assert "hangs on" in run("10", nothing)
    assert stored() == 0
    # A comment might come as long as the comments are not read.
    assert "hangs on" in run("11", [{"onType": "comment", "onId": "9"}])
    assert stored() == 1
    assert "no room left" in run("12", [{"onType": "comment", "onId": "9"}])
    assert stored() == 1
