"""Moves by commands: plan, run, verify, switch, and an old address followed."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from forumapi.command import cli
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.porting.loading.comments import CommentWriter
from tests.factories import Site
from tests.fixtures import PROJECT
from tests.porting import boards
from tests.stage import Stage, new_address, staged

BACKEND = Query("test.backend", "SELECT pg_backend_pid()")


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("moving")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    return stage.make.site()


@pytest.fixture
def board(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The forum about bikes as files, and the settings of the commands."""
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", database_url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "embedded")
    boards.write(boards.bikes(), tmp_path / "board")
    return tmp_path / "board"


def status(stage: Stage, site: Site, address: str) -> tuple[int, str]:
    """Return the verdict on an old address for a guest: status and where it leads."""
    answer = stage.get(f"/resolve?url={quote(address, safe='')}", site=site)
    return answer.data["status"], answer.data["redirect"]["href"]


@pytest.mark.wide
def test_a_forum_moves_in_by_commands(
    stage: Stage, site: Site, board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["microcosm", str(board)]
    there = ["--site", site.key]
    open_talk, closed_talk = "/forum/viewtopic.php?f=10&t=20", "/forum/viewtopic.php?f=11&t=21"

    assert cli.main(["import", "plan", *source]) == 0
    assert "comment 306: onId: conversation 23 would not come" in capsys.readouterr().out
    assert cli.main(["import", "run", *source, *there]) == 0
    told = capsys.readouterr().out
    assert "posts a second; 7 left out" in told
    assert status(stage, site, open_talk) == (404, "")

    assert cli.main(["import", "verify", *source, *there]) == 0
    assert "all is there" in capsys.readouterr().out
    assert cli.main(["import", "leftovers", *there, "--json"]) == 0
    assert "bytes: the file is lost" in capsys.readouterr().out
    assert cli.main(["import", "switch", *there]) == 0

    ((talk,),) = stage.sql(
        "SELECT item_id FROM imported_items WHERE site_id = %(s)s AND item_type_id = 6 AND old_id = '20'",
        s=site.id,
    )
    assert status(stage, site, open_talk) == (301, f"/api/v1/conversations/{talk}")
    # Guests may not read the workshop: for them its address is as one that never was.
    assert status(stage, site, closed_talk) == (404, "")
    page = stage.get(f"/conversations/{talk}", site=site).data
    assert page["comments"]["total"] == 3
    assert cli.main(["import", "switch", *there, "--off"]) == 0
    assert cli.main(["import", "list", *there]) == 0
    assert "done" in capsys.readouterr().out
    assert cli.main(["import", "undo", *there]) == 0
    assert status(stage, site, open_talk) == (404, "")


@pytest.mark.wide
def test_what_cannot_be_is_told(
    site: Site, board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", "run", "microcosm", str(board), "--site", "nosuchsite"]) == 1
    assert "--owner EMAIL makes it" in capsys.readouterr().err
    assert cli.main(["import", "run", "microcosm", str(tmp_path / "none"), "--site", site.key]) == 1
    assert "is neither a folder nor a ZIP file" in capsys.readouterr().err
    assert cli.main(["import", "verify", "microcosm", str(board), "--site", site.key]) == 1
    assert "has no import import" in capsys.readouterr().err
    assert cli.main(["import", "undo", "--site", site.key]) == 1


@pytest.mark.wide
def test_a_site_of_somebody_else_takes_nothing_in(
    stage: Stage, site: Site, board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import", "run", "microcosm", str(board), "--site", site.key, "--owner"]
    ((owner,),) = stage.sql(
        """SELECT u.email FROM sites s JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
             JOIN users u ON u.user_id = p.user_id WHERE s.site_id = %(s)s""",
        s=site.id,
    )
    for other in ("nobody@example.org", site.member.email):
        assert cli.main([*command, other]) == 1
        assert f"site {site.key} is there already, and {other} does not" in capsys.readouterr().err
    assert stage.sql("SELECT 1 FROM import_origins WHERE site_id = %(s)s", s=site.id) == []
    assert cli.main([*command, owner]) == 0


@pytest.mark.wide
def test_an_address_that_comes_too_late_is_told(
    site: Site, board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import", "run", "microcosm", str(board), "--site", site.key]
    early, late = "https://early.example", "https://late.example"
    assert cli.main([*command, "--address", early]) == 0
    assert cli.main([*command, "--address", early]) == 0
    assert cli.main([*command, "--address", early, "--address", late]) == 1
    assert f"was begun without the address {late}" in capsys.readouterr().err


@pytest.mark.wide
def test_the_commands_of_the_page_move_a_board_in_and_out(
    stage: Stage, board: Path, database_url: str
) -> None:
    page = (PROJECT / "docs" / "moving.md").read_text()
    folder = board.parent
    dump = (Path(boards.__file__).parent / "boards" / "phpbb.sql").read_bytes()
    (folder / "board.sql.gz").write_bytes(gzip.compress(dump))
    program = folder / "bin" / "forumapi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m forumapi "$@"\n')
    program.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "FORUMAPI_PLATFORM_DOMAIN": stage.config.platform_domain,
    }

    def play(block: str) -> str:
        done = subprocess.run(
            ["bash", "-euxc", block],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    moving_in, out_and_in = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    told = play(moving_in)
    assert "all is there" in told
    assert "old addresses of import lead here" in told
    ((id,),) = stage.sql("SELECT site_id FROM sites WHERE subdomain_key = 'oldbikes'")
    site = Site(id, "oldbikes", f"oldbikes.{stage.config.platform_domain}", 0)
    assert "viewtopic.php?t=1" in page
    code, place = status(stage, site, "/viewtopic.php?t=1")
    assert code == 301
    comments = stage.get(place.removeprefix("/api/v1"), site=site).data["comments"]
    assert "<p>hi x</p>" in comments["items"][0]["html"]

    first, second = re.findall("^hash ([0-9a-f]{64})$", play(out_and_in), re.MULTILINE)
    assert first == second


@pytest.mark.wide
def test_a_code_by_mail_takes_an_imported_profile_over(
    stage: Stage, site: Site, board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", "run", "microcosm", str(board), "--site", site.key]) == 0
    ((ben,),) = stage.sql(
        "SELECT item_id FROM imported_items WHERE site_id = %(s)s AND item_type_id = 3 AND old_id = '2'",
        s=site.id,
    )
    body = {"method": "email-code", "email": "ben@example.org"}
    assert stage.post("/auth", body, site=site, ip=new_address()).status == 200
    mine = [mail for mail in stage.mails() if "To: ben@example.org\n" in mail]
    digits = re.search(r"^ +(\d{4}) (\d{4})$", mine[-1], re.MULTILINE)
    assert digits is not None

    token = stage.post(
        "/auth", {**body, "code": digits[1] + digits[2]}, site=site, ip=new_address()
    ).data

    assert stage.get("/whoami", token=token, site=site).data["id"] == ben
    talks = stage.get("/huddles", token=token, site=site).data["huddles"]["items"]
    assert sorted(one["title"] for one in talks) == ["Hi", "Re: Hi"]
    # Ben has come back, so an undo leaves him and says so.
    capsys.readouterr()
    assert cli.main(["import", "undo", "--site", site.key]) == 1
    assert f"profile {ben} has been taken over" in capsys.readouterr().out


@pytest.mark.wide
def test_a_database_that_goes_away_is_told_and_the_run_goes_on(
    stage: Stage,
    site: Site,
    board: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = CommentWriter.insert

    def insert(writer: CommentWriter, tx: Transaction, comments: Any) -> Any:
        left = real(writer, tx, comments)
        stage.sql("SELECT pg_terminate_backend(%(p)s)", p=tx.value(BACKEND))
        return left

    monkeypatch.setattr(CommentWriter, "insert", insert)
    command = ["import", "run", "microcosm", str(board), "--site", site.key]
    assert cli.main(command) == 1
    told = capsys.readouterr().err
    assert "comments: " in told and "the same command goes on from here" in told
    count = "SELECT count(*) FROM comments WHERE site_id = %(s)s AND item_id IS NOT NULL"
    assert stage.sql(count, s=site.id) == [(0,)]

    monkeypatch.setattr(CommentWriter, "insert", real)
    assert cli.main(command) == 0
    assert cli.main(["import", "verify", "microcosm", str(board), "--site", site.key]) == 0


@pytest.mark.wide
@pytest.mark.parametrize("blocks", [8, 64])
def test_a_disk_that_is_full_is_told(board: Path, site: Site, blocks: int) -> None:
    # Of a dump, the tables lie in the folder for temporary files meanwhile.
    dump = Path(boards.__file__).parent / "boards" / "phpbb.sql"
    command = f"ulimit -f {blocks}; exec {sys.executable} -m forumapi import plan phpbb {dump}"
    env = {**os.environ, "TMPDIR": str(board.parent)}

    done = subprocess.run(
        ["bash", "-c", command], cwd=PROJECT, env=env, capture_output=True, text=True, check=False
    )

    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert re.match(r"forumapi: .*forumapi-import-.*(disk|full)", done.stderr)


@pytest.mark.wide
def test_a_damaged_archive_is_named(
    site: Site, board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("profiles/000001.jsonl", '{"id":"1","name":"a"}\n' * 5000)
    damaged = bytearray(path.read_bytes())
    damaged[80:100] = bytes(20)
    path.write_bytes(damaged)

    assert cli.main(["import", "run", "microcosm", str(path), "--site", site.key]) != 0
    assert f"{path} is damaged" in capsys.readouterr().err

    folder = tmp_path / "deep"
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "index.json").write_text("[" * 100_000)
    assert cli.main(["import", "run", "microcosm", str(folder), "--site", site.key]) != 0
    assert "profiles/index.json: is no index" in capsys.readouterr().err
