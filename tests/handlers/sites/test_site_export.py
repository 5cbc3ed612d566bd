"""Exports of a site over HTTP: who may ask for one, the job behind it, and the download."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from forumapi.command import cli
from forumapi.config import Config, Settings
from forumapi.cron import site_exports
from forumapi.cron.site_exports import ExportThread, expired_exports
from forumapi.files.storage.local import LocalStorage
from forumapi.models.sites.site_export import CLAIM_S, MAX_ATTEMPTS
from tests.factories import Person, Site
from tests.fixtures import PROJECT
from tests.services import wait_until
from tests.stage import Stage, staged

EXPORT, ARCHIVE = "/site/export", "/site/export/archive"
AGAIN = 26


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("exports")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    stage.sql("DELETE FROM site_exports RETURNING 1")
    site = stage.make.site()
    stage.make.comments(stage.make.conversation(site, title="Hello"), 3)
    return site


def work(stage: Stage) -> None:
    """Do what the thread of a cron process does once it looks."""
    thread = ExportThread(stage.url, Settings(stage.config))
    thread.poll()
    thread.stop()


def done(stage: Stage, site: Site) -> None:
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    work(stage)


def state(stage: Stage, site: Site) -> str:
    return str(stage.get(EXPORT, by=site.owner).data["state"])


def age(stage: Stage, token_of: Person) -> None:
    """Let eleven minutes pass since somebody signed in."""
    stage.sql(
        "UPDATE access_tokens SET created = created - interval '11 minutes' WHERE user_id = %(id)s RETURNING 1",
        id=token_of.user_id,
    )


@pytest.mark.wide
def test_an_owner_exports_the_site(stage: Stage, site: Site) -> None:
    assert stage.get(EXPORT, by=site.owner).status == 404

    asked = stage.post(EXPORT, {}, by=site.owner)

    assert (asked.status, asked.location) == (302, f"/api/v1{EXPORT}")
    before = stage.get(EXPORT, by=site.owner).data
    assert (before["state"], before["documents"], "archive" in before) == ("waiting", 0, False)
    assert stage.post(EXPORT, {}, by=site.owner).status == 409
    assert stage.get(ARCHIVE, by=site.owner).status == 404
    work(stage)
    after = stage.get(EXPORT, by=site.owner).data
    assert (after["state"], after["archive"]) == ("done", f"/api/v1{ARCHIVE}")
    archive = stage.get(ARCHIVE, by=site.owner)
    assert archive.status == 200
    assert archive.headers["Content-Type"] == "application/zip"
    assert archive.headers["Cache-Control"] == "private, no-store"
    assert len(archive.body) == after["size"]
    with zipfile.ZipFile(io.BytesIO(archive.body)) as opened:
        assert opened.testzip() is None
        index = json.loads(opened.read("index.json"))
        lines = opened.read("comments/000001.jsonl").splitlines()
    assert (index["hash"], len(lines)) == (after["hash"], 3)
    assert sum(one["documents"] for one in index["streams"].values()) == after["documents"]


def test_an_export_is_audited_and_mailed_to_the_owner(stage: Stage, site: Site) -> None:
    done(stage, site)

    assert stage.sql(
        "SELECT profile_id, host(ip) FROM audit_log WHERE site_id = %(id)s AND action = 'E'",
        id=site.id,
    ) == [(site.owner.id, "192.0.2.1")]
    mails = stage.sql(
        "SELECT recipient, subject FROM mail_outbox WHERE site_id = %(id)s ORDER BY mail_id",
        id=site.id,
    )
    assert mails == [
        (site.owner.email, f"An export of Site {site.key} was begun"),
        (site.owner.email, f"The export of Site {site.key} is done"),
    ]


def test_a_download_is_resumed(stage: Stage, site: Site) -> None:
    done(stage, site)
    whole = stage.get(ARCHIVE, by=site.owner)
    tag, size = whole.headers["ETag"], len(whole.body)

    rest = stage.get(ARCHIVE, by=site.owner, headers={"Range": "bytes=100-", "If-Range": tag})

    assert (rest.status, rest.body) == (206, whole.body[100:])
    assert rest.headers["Content-Range"] == f"bytes 100-{size - 1}/{size}"
    changed = stage.get(ARCHIVE, by=site.owner, headers={"Range": "bytes=100-", "If-Range": '"x"'})
    assert (changed.status, changed.body) == (200, whole.body)
    beyond = stage.get(ARCHIVE, by=site.owner, headers={"Range": f"bytes={size}-"})
    assert beyond.status == 416
    known = stage.get(ARCHIVE, by=site.owner, headers={"If-None-Match": tag})
    assert known.status == 304


def test_only_the_owner_exports(stage: Stage, site: Site) -> None:
    done(stage, site)
    for by in (None, site.member, site.moderator, site.banned):
        for path in (EXPORT, ARCHIVE):
            assert stage.get(path, by=by, site=site).status == 403
        assert stage.post(EXPORT, {}, by=by, site=site).status == 403
        assert stage.request("DELETE", EXPORT, by=by, site=site).status == 403
    assert state(stage, site) == "done"


def test_the_next_owner_does_not_get_the_export_of_the_one_before(stage: Stage, site: Site) -> None:
    done(stage, site)
    stage.post("/site/offer", {"profileId": site.member.id}, by=site.owner)
    stage.put("/site/offer", {"accept": True}, by=site.member)

    for path in (EXPORT, ARCHIVE):
        assert stage.get(path, by=site.member).status == 404
        assert stage.get(path, by=site.owner).status == 403
    assert stage.post(EXPORT, {}, by=site.member).status == 302


def test_an_export_needs_a_fresh_sign_in(stage: Stage, site: Site) -> None:
    age(stage, site.owner)

    refused = stage.post(EXPORT, {}, by=site.owner)

    assert (refused.status, refused.code) == (403, AGAIN)
    assert stage.get(EXPORT, by=site.owner).status == 404
    fresh = stage.make.token(site.owner)
    assert stage.post(EXPORT, {}, site=site, token=fresh).status == 302


@pytest.mark.parametrize(
    "change",
    ["kind = 'key'", "scopes = '{sites:write}'", "by_site = true"],
)
def test_a_token_that_no_sign_in_made_exports_nothing(
    stage: Stage, site: Site, change: str
) -> None:
    stage.sql(
        f"UPDATE access_tokens SET {change} WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )
    refused = stage.post(EXPORT, {}, by=site.owner)
    assert (refused.status, refused.code) in ((403, AGAIN), (403, 25))
    assert stage.sql("SELECT 1 FROM site_exports WHERE site_id = %(id)s", id=site.id) == []


def test_another_session_downloads_after_a_fresh_sign_in_alone(stage: Stage, site: Site) -> None:
    done(stage, site)
    age(stage, site.owner)
    other = stage.make.token(site.owner)
    # The session that asked goes on, so that a long download can be resumed.
    assert stage.get(ARCHIVE, by=site.owner).status == 200
    assert stage.get(ARCHIVE, site=site, token=other).status == 200
    stage.sql(
        "UPDATE access_tokens SET created = created - interval '1 hour' WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )

    refused = stage.get(ARCHIVE, site=site, token=other)

    assert (refused.status, refused.code) == (403, AGAIN)
    assert stage.get(ARCHIVE, by=site.owner).status == 200


def test_an_owner_with_a_second_factor_proves_it(stage: Stage, site: Site) -> None:
    secret = stage.post("/auth/totp", {}, by=site.owner).data["secret"]
    app = pyotp.TOTP(secret)
    codes = stage.put("/auth/totp", {"code": app.now()}, by=site.owner).data["recoveryCodes"]

    for body in ({}, {"secondFactor": ""}, {"secondFactor": "000000"}, {"secondFactor": "abcd"}):
        refused = stage.post(EXPORT, body, by=site.owner)
        assert (refused.status, "secondFactor" in refused.json()["error"][0]) == (400, True)
    assert stage.get(EXPORT, by=site.owner).status == 404
    assert stage.post(EXPORT, {"secondFactor": codes[0]}, by=site.owner).status == 302
    assert stage.post(EXPORT, {"secondFactor": codes[0]}, by=site.owner).status == 400


def test_an_archive_ends_after_a_day_and_leaves_the_store(stage: Stage, site: Site) -> None:
    done(stage, site)
    ((object,),) = stage.sql("SELECT object FROM site_exports WHERE site_id = %(id)s", id=site.id)
    assert stage.app.storage.size(object)
    stage.sql(
        "UPDATE site_exports SET expires = now() - interval '1 second' WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )

    assert state(stage, site) == "expired"
    assert stage.get(ARCHIVE, by=site.owner).status == 404
    with stage.app.database.write() as tx:
        assert expired_exports(tx, stage.config) == "1 archives"
    assert strays(stage, object)


def strays(stage: Stage, object: str) -> bool:
    """Tell whether the job that deletes strays takes an object."""
    return bool(
        stage.sql(
            "SELECT 1 FROM file_strays WHERE file_hash = %(o)s AND since < now() - interval '1 hour'",
            o=object,
        )
    )


def test_an_owner_deletes_the_archive(stage: Stage, site: Site) -> None:
    done(stage, site)
    ((object,),) = stage.sql("SELECT object FROM site_exports WHERE site_id = %(id)s", id=site.id)

    for _ in range(2):
        assert stage.request("DELETE", EXPORT, by=site.owner).status == 200

    assert stage.get(EXPORT, by=site.owner).status == 404
    assert strays(stage, object)


@pytest.mark.wide
def test_the_next_export_takes_the_place_of_the_one_before(stage: Stage, site: Site) -> None:
    done(stage, site)
    ((object,),) = stage.sql("SELECT object FROM site_exports WHERE site_id = %(id)s", id=site.id)
    done(stage, site)
    assert strays(stage, object)
    for _ in range(3):
        done(stage, site)
    assert stage.post(EXPORT, {}, by=site.owner).status == 429


def test_a_store_without_room_is_a_failure_with_a_reason(
    stage: Stage, site: Site, tmp_path: Path
) -> None:
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")

    thread = ExportThread(
        stage.url, Settings(Config(environment="embedded", data_dir=str(blocked)))
    )
    thread.poll()
    thread.stop()

    shown = stage.get(EXPORT, by=site.owner).data
    assert (shown["state"], "stored" in shown["reason"]) == ("failed", True)
    assert str(tmp_path) not in shown["reason"]
    assert stage.post(EXPORT, {}, by=site.owner).status == 302


SLOW_WORK = """
import sys
from forumapi.config import Config, Settings
from forumapi.cron.site_exports import ExportThread
from forumapi.porting.exports import layout_writer
import time

real = layout_writer.encode
def slow(document):
    print("writing", flush=True)
    time.sleep(60)
    return real(document)

layout_writer.encode = slow
ExportThread(sys.argv[1], Settings(Config(environment="embedded", data_dir=sys.argv[2]))).poll()
"""


@pytest.mark.wide
def test_an_export_goes_on_after_its_process_was_killed(stage: Stage, site: Site) -> None:
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    for attempt in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_WORK, stage.url, stage.config.data_dir],
            cwd=PROJECT,
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert state(stage, site) == "running"
        # Nobody else takes it as long as the process may be alive.
        work(stage)
        assert state(stage, site) == "running"
        process.send_signal(signal.SIGKILL)
        process.wait()
        pass_time(stage, site)
        del attempt

    work(stage)

    assert state(stage, site) == "done"
    assert stage.get(ARCHIVE, by=site.owner).status == 200


def pass_time(stage: Stage, site: Site) -> None:
    """Let a claim's time pass."""
    stage.sql(
        """UPDATE site_exports SET claimed_until = claimed_until - make_interval(secs => %(s)s::int + 1)
            WHERE site_id = %(id)s RETURNING 1""",
        id=site.id,
        s=CLAIM_S,
    )


def test_an_export_that_kills_each_process_is_given_up(stage: Stage, site: Site) -> None:
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    stage.sql(
        "UPDATE site_exports SET state = 'running', attempts = %(n)s WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
        n=MAX_ATTEMPTS,
    )
    work(stage)
    assert state(stage, site) == "failed"


@pytest.mark.wide
def test_the_thread_looks_by_itself(stage: Stage, site: Site) -> None:
    thread = ExportThread(stage.url, Settings(stage.config))
    thread.start()
    try:
        assert stage.post(EXPORT, {}, by=site.owner).status == 302
        wait_until(lambda: state(stage, site) == "done", "the export is not done")
    finally:
        thread.stop()


def test_the_claim_is_renewed_while_the_archive_is_stored(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = LocalStorage.put

    def claimed() -> float:
        query = "SELECT extract(epoch FROM claimed_until)::float8 FROM site_exports WHERE site_id = %(id)s"
        return float(stage.sql(query, id=site.id)[0][0])

    def slow(self: LocalStorage, *of: Any) -> None:
        before = claimed()
        wait_until(lambda: claimed() > before, "the claim was not renewed")
        put(self, *of)

    monkeypatch.setattr(LocalStorage, "put", slow)
    monkeypatch.setattr(site_exports, "RENEW_S", 0.05)
    done(stage, site)
    assert state(stage, site) == "done"


@pytest.mark.wide
def test_a_scheduler_of_the_operator_makes_exports_too(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", stage.url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", stage.config.data_dir)
    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    assert cli.main(["cron", "--once"]) == 0
    assert state(stage, site) == "done"


def test_the_archive_has_no_address_among_the_files(stage: Stage, site: Site) -> None:
    done(stage, site)
    ((object,),) = stage.sql("SELECT object FROM site_exports WHERE site_id = %(id)s", id=site.id)
    assert stage.get(f"/files/{object}", by=site.owner).status == 404
