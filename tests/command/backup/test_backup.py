"""A backup, brought back on an empty machine, is what it was."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from forumapi.command import backup, cli
from forumapi.command.backup import BackupError
from forumapi.config import Config
from forumapi.database import embedded_postgres, migrations
from scripts import cluster
from tests import services
from tests.factories import Factory, Site
from tests.files.pictures import png, upload
from tests.fixtures import PROJECT, Server, factory, running, start_server

pytestmark = [pytest.mark.slow, pytest.mark.wide]

# What PostgreSQL has by itself and `embedded` has not; a server that recovers wants as many senders as there were.
BY_ITSELF = {"wal_level": "replica", "max_wal_senders": "10"}


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database of these tests alone."""
    with services.database(postgres_url, "backup") as made:
        yield made


@pytest.fixture(scope="module")
def web(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A web process on it, with files of its own."""
    with running(url, tmp_path_factory.mktemp("backup")) as started:
        yield started


@pytest.fixture(scope="module")
def made(url: str) -> Iterator[Factory]:
    """Makes content there."""
    with factory(url) as maker:
        yield maker


@pytest.fixture(scope="module")
def site(made: Factory) -> Site:
    return made.site("kept")


@pytest.fixture
def empty(postgres_url: str) -> Iterator[str]:
    """An empty database."""
    with services.new_database(postgres_url, "restored") as fresh:
        yield fresh


def files_of(web: Server) -> Path:
    return web.log.parent / "files"


def test_what_is_restored_is_the_same(
    url: str, web: Server, made: Factory, site: Site, empty: str, tmp_path: Path
) -> None:
    api = web.api()
    chat = made.conversation(site, title="Kept for good")
    made.comment(chat, markdown="Every **word** of it, ünï¢ödé 🚲 too")
    hash = upload(api, site.member, png(seed=71))
    before = [api.get(path, site=site).data for path in (chat.path, "/api/v1/microcosms")]
    picture = api.get(f"/api/v1/files/{hash}", site=site).body

    folder, manifest = backup.create(url, files_of(web), tmp_path / "backups")
    made.comment(chat, markdown="Too late")
    backup.restore(folder, empty, tmp_path / "restored" / "files")

    assert manifest.tables["comments"][0] >= 1
    assert backup.listed(tmp_path / "backups") == [folder]
    there = start_server(empty, tmp_path / "restored")
    try:
        again = there.api()
        for path, was in zip((chat.path, "/api/v1/microcosms"), before, strict=True):
            assert without_views(again.get(path, site=site).data) == without_views(was)
        assert again.get(f"/api/v1/files/{hash}", site=site).body == picture
        said = again.post(
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": chat.id, "markdown": "Life goes on"},
            by=site.member,
        )
        assert said.status == 302
    finally:
        there.stop()


def without_views(data: object) -> object:
    """A document without what reading it changes."""
    if isinstance(data, dict):
        return {k: without_views(v) for k, v in data.items() if k != "totalViews"}
    return [without_views(one) for one in data] if isinstance(data, list) else data


def test_the_next_backup_shares_what_the_one_before_has(
    url: str, web: Server, site: Site, tmp_path: Path
) -> None:
    api = web.api()
    first_file = upload(api, site.member, png(seed=72))
    first, _ = backup.create(url, files_of(web), tmp_path)
    upload(api, site.member, png(seed=73))
    first.rename(tmp_path / "20200101T000000")

    second, manifest = backup.create(url, files_of(web), tmp_path)

    old = tmp_path / "20200101T000000" / "files" / first_file[:2] / first_file[2:4] / first_file
    new = second / "files" / first_file[:2] / first_file[2:4] / first_file
    assert old.stat().st_ino == new.stat().st_ino
    assert manifest.files == len(list((second / "files").rglob("*/*/*")))
    backup.verify(second)
    second.rename(tmp_path / "20210101T000000")
    third, _ = backup.create(url, None, tmp_path)
    backup.remove_old(tmp_path, 0)
    assert len(backup.listed(tmp_path)) == 3
    backup.remove_old(tmp_path, 2)
    assert backup.listed(tmp_path) == [third, tmp_path / "20210101T000000"]


def test_a_backup_counts_though_an_old_one_can_not_be_removed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "development")
    target = tmp_path / "backups"
    moved = tmp_path / "other-disk"
    moved.mkdir()
    (moved / backup.MANIFEST).write_text("{}")
    target.mkdir()
    (target / "20200101T000000").symlink_to(moved)

    code = cli.main(["backup", "create", "--to", str(target), "--keep", "1"])

    out, err = capsys.readouterr()
    newest = backup.listed(target)[0]
    config = Config(data_dir=str(tmp_path / "var"))
    assert config.backup_status_path is not None
    noted = json.loads(config.backup_status_path.read_text())
    assert noted["finished"] == backup.Manifest.read(newest).finished
    assert code == 1
    assert str(newest) in out
    assert "20200101T000000" in err


def test_a_backup_whose_time_can_not_be_noted_counts_and_is_said_in_one_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "development")
    config = Config(data_dir=str(tmp_path / "var"))
    assert config.backup_status_path is not None
    config.backup_status_path.mkdir(parents=True)
    target = tmp_path / "backups"
    for name in ("20200101T000000", "20210101T000000"):
        (target / name).mkdir(parents=True)
        (target / name / backup.MANIFEST).write_text("{}")

    code = cli.main(["backup", "create", "--to", str(target), "--keep", "1"])

    out, err = capsys.readouterr()
    assert code == 1
    (kept,) = backup.listed(target)
    assert str(kept) in out
    assert config.backup_status_path.name in err
    assert "Traceback" not in err


def test_fewer_than_no_backups_are_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["backup", "create", "--to", str(tmp_path), "--keep", "-1"])

    assert "--keep" in capsys.readouterr().err


def test_an_object_that_the_backup_before_has_lost_is_copied_anew(tmp_path: Path) -> None:
    source, first, second = (tmp_path / name for name in ("store", "first", "second"))
    (source / "ab" / "cd").mkdir(parents=True)
    (source / "ab" / "cd" / "kept").write_bytes(b"kept")
    (source / "ab" / "cd" / "lost").write_bytes(b"lost")
    first.mkdir()
    second.mkdir()
    assert backup._copy_files(source, first, None) == (2, 8)
    (first / backup.FILES / "ab" / "cd" / "lost").unlink()

    assert backup._copy_files(source, second, first) == (2, 8)
    assert (second / backup.FILES / "ab" / "cd" / "lost").read_bytes() == b"lost"
    assert (second / backup.LISTING).read_text() == (first / backup.LISTING).read_text()


def test_a_damaged_backup_is_not_restored(
    url: str, web: Server, empty: str, tmp_path: Path
) -> None:
    folder, _ = backup.create(url, files_of(web), tmp_path)
    stored = next(path for path in (folder / "files").rglob("*/*/*") if path.is_file())
    stored.write_bytes(b"rot")

    with pytest.raises(BackupError, match="missing or was changed"):
        backup.restore(folder, empty, tmp_path / "files")

    with psycopg.connect(empty) as connection:
        assert connection.execute(backup.TABLES).fetchall() == []


def test_only_an_empty_database_is_restored_into(
    url: str, web: Server, made: Factory, tmp_path: Path
) -> None:
    folder, _ = backup.create(url, None, tmp_path)

    with pytest.raises(BackupError, match="not empty"):
        backup.restore(folder, url, None)


def test_a_table_that_differs_is_named(url: str, empty: str, tmp_path: Path) -> None:
    folder, _ = backup.create(url, None, tmp_path)
    text = (folder / "manifest.json").read_text()
    table = backup.Manifest.read(folder).tables["profiles"]
    (folder / "manifest.json").write_text(text.replace(table[1], "1"))

    with pytest.raises(BackupError, match="not what was backed up: profiles"):
        backup.restore(folder, empty, None)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can enter, as it can't those of pytest."""
    with tempfile.TemporaryDirectory(prefix="forumapi-archiving-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def documented(first_word: str, folder: Path) -> str:
    """The block of docs/operations.md that begins with this word, with a folder of the test for those of the book."""
    text = (PROJECT / "docs" / "operations.md").read_text()
    (block,) = re.findall(
        rf"^```\n({re.escape(first_word)} .*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    return (
        str(block)
        .replace("/srv/", f"{folder}/")
        .replace("/var/lib/postgresql/17/main", f"{folder}/main/postgres")
    )


def settings_of(block: str) -> dict[str, str]:
    """Lines of postgresql.conf."""
    pairs = (line.split(" = ", 1) for line in block.splitlines())
    return {name: value.removeprefix("'").removesuffix("'") for name, value in pairs}


def walked(block: str, database: str) -> None:
    """Run the commands of the book, on this database."""
    text = block.replace("postgresql:///forumapi", f"'{database}'")
    environ = os.environ | {"PATH": f"{embedded_postgres.binaries()}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", text], env=environ, check=True, timeout=60)


@pytest.mark.wide
def test_a_base_backup_and_the_log_lead_to_any_moment_and_to_the_last_commit(
    open_folder: Path,
) -> None:
    """The other procedure of docs/operations.md, continuous archiving, as it stands there."""
    archive = open_folder / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    first = embedded_postgres.start(
        open_folder / "first",
        throwaway=True,
        settings=settings_of(documented("wal_level", open_folder)) | BY_ITSELF,
    )
    try:
        migrations.migrate(first.url)
        with factory(first.url) as make, psycopg.connect(first.url, autocommit=True) as connection:
            site = make.site("archived")
            chat = make.conversation(site, title="Before the base backup")
            walked(documented("pg_basebackup", open_folder), first.url)
            for n in range(20):
                make.comment(chat, markdown=f"After it, **{n}**")
            good = backup.hashes(connection)
            moment = connection.execute("SELECT clock_timestamp()::text").fetchone()
            connection.execute("UPDATE comments SET markdown = 'spoilt'")
            make.comment(chat, markdown="The last one")
            last = backup.hashes(connection)
            segment = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
            connection.execute("SELECT pg_switch_wal()")
            assert segment is not None
            assert moment is not None
            wait_for(archive / segment[0])
    finally:
        first.stop()

    recovery = settings_of(documented("restore_command", open_folder))
    assert "recovery_target_time" in recovery
    for target, expected in (({"recovery_target_time": moment[0]}, good), ({}, last)):
        settings = {
            name: value for name, value in recovery.items() if name != "recovery_target_time"
        }
        shutil.rmtree(open_folder / "main", ignore_errors=True)
        (open_folder / "main" / "postgres").mkdir(parents=True)
        walked(documented("cp", open_folder), "")
        cluster.give_to_server(open_folder / "main")
        second = embedded_postgres.start(
            open_folder / "main", throwaway=True, settings=settings | target | BY_ITSELF
        )
        try:
            with psycopg.connect(second.url, autocommit=True) as connection:
                wait_until_writable(connection)
                assert backup.hashes(connection) == expected
        finally:
            second.stop()
    assert good != last


def wait_for(path: Path) -> None:
    """Until a file is there."""
    services.wait_until(path.exists, f"{path} was not archived")


def wait_until_writable(connection: psycopg.Connection) -> None:
    """Until recovery has ended."""

    def ended() -> bool:
        return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)

    services.wait_until(ended, "recovery did not end")


def test_no_program_is_called_with_the_password_of_the_database() -> None:
    address, environ = backup.client(
        "postgresql://forum:s%2Fcret@db.example:5433/forum?sslmode=require"
    )

    assert "cret" not in address
    assert environ == {"PGPASSWORD": "s/cret"}
    assert set(address.split()) == {
        *("user=forum", "host=db.example", "port=5433", "dbname=forum", "sslmode=require")
    }
    assert backup.client("postgresql://forum@/forum")[1] == {}


@contextlib.contextmanager
def older_server(programs: Path) -> Iterator[str]:
    """The address of a PostgreSQL that does not know all that newer programs set."""
    with tempfile.TemporaryDirectory(prefix="forumapi-older-") as name:
        folder = Path(name)
        unprivileged: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
            unprivileged = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]

        def run(program: str, *words: str) -> None:
            command = [*unprivileged, str(programs / program), "-D", f"{folder}/data", *words]
            subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL)

        run("initdb", "-U", "forumapi", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "-N")
        run("pg_ctl", "-w", "-o", f"-k {folder} -h ''", "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql://forumapi@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


def test_newer_programs_bring_it_back_to_an_older_server(tmp_path: Path) -> None:
    if not (found := services.older_postgres()):
        pytest.skip("PostgreSQL 15 or 16 is not installed")
    with older_server(found[0]) as url:
        for name in ("one", "two"):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        one, two = (url.replace("/postgres?", f"/{name}?") for name in ("one", "two"))
        migrations.migrate(one)
        folder, made = backup.create(one, None, tmp_path)

        assert backup.restore(folder, two, None) == made
        assert migrations.pending(two) == []
