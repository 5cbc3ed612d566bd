"""Exports of sites: what the layout holds, and what it never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi.command import cli
from forumapi.files.storage.local import LocalStorage
from forumapi.porting.exports import exporting
from forumapi.porting.exports.layout_writer import LayoutWritten
from forumapi.porting.exports.site_reader import SiteReader
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN
from tests.porting.everything import CANARY, everything


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def site(make: Factory, files: Path) -> Site:
    return everything(make, files)


def export(url: str, site: Site, files: Path, folder: Path) -> LayoutWritten:
    with exporting.snapshot(url) as tx:
        reader = SiteReader(tx, site.id, PLATFORM_DOMAIN, LocalStorage(files))
        return exporting.to_folder(reader, folder, lambda _: None)


@pytest.fixture(scope="module")
def exported(
    database_url: str, site: Site, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export(database_url, site, files, folder)
    return folder


def documents(folder: Path, stream: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted((folder / stream).glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_text()


def test_an_export_holds_each_kind_of_content(exported: Path, site: Site) -> None:
    index = json.loads((exported / "index.json").read_text())
    assert {name: stream["documents"] for name, stream in index["streams"].items()} == {
        "profiles": 5,
        "roles": 5,
        "forums": 3,
        "conversations": 4,
        "polls": 2,
        "attachments": 1,
        "comments": 11,
        "reactions": 4,
        "follows": 3,
        "bans": 1,
    }
    assert (index["files"], index["missingFiles"]) == (2, [])
    board = json.loads((exported / "site.json").read_text())
    assert (board["title"], board["product"], board["owner"]) == (
        f"Site {site.key}",
        "forumapi",
        str(site.owner.id),
    )
    threads = {one["name"]: one for one in documents(exported, "conversations")}
    assert set(threads) == {
        "Hello <world> & all",
        "Deleted thread",
        "Pinned and closed",
        "Meeting",
    }
    assert threads["Deleted thread"]["isDeleted"]
    assert threads["Pinned and closed"]["editReason"] == "a better title"
    assert [who["state"] for who in threads["Meeting"]["event"]["attendees"]] == ["yes", "yes"]
    words = {one["versions"][-1]["text"]: one for one in documents(exported, "comments")}
    assert words["Deleted words"]["isDeleted"]
    assert words["Words that wait"]["isModerated"]
    answer = words["> quoted\n\nAn answer"]
    assert [version["text"] for version in answer["versions"]] == [
        "An anser",
        "> quoted\n\nAn answer",
    ]
    first = words["First **words** – für alle 🚲\n\nSecond paragraph"]
    assert answer["inReplyTo"] == first["id"]
    assert answer["byAgent"] and "byAgent" not in first
    by_agents = {one["name"] for one in threads.values() if one.get("byAgent")}
    assert by_agents == {"Hello <world> & all", "Meeting"}
    polls = documents(exported, "polls")
    assert [one["name"] for one in polls if one.get("byAgent")] == ["Days"]
    (attachment,) = documents(exported, "attachments")
    assert attachment["associations"] == [{"onType": "comment", "onId": first["id"]}]
    assert (exported / attachment["path"]).read_text() == f"A report of {site.key}"
    experts = next(one for one in documents(exported, "roles") if one["name"] == "Experts")
    assert [one["key"] for one in experts["criteria"]] == ["commentCount", "level"]


def test_an_export_holds_nothing_private_and_no_secret(
    exported: Path, site: Site, make: Factory
) -> None:
    for path, text in texts(exported):
        assert CANARY not in text, path
        assert "203.0.113.77" not in text, path
        assert "1999-09-09" not in text, path
        for person in (site.owner, site.member):
            assert person.token not in text, path
    for name in ("messages", "bookmarks", "warnings", "reports"):
        assert not (exported / name).exists(), name
    for follow in documents(exported, "follows"):
        assert not {"usersIgnored", "forumsIgnored", "conversationsIgnored"} & set(follow)
    # The texts are there, in the tables that the export leaves out.
    ((found,),) = make.sql(
        """SELECT count(*) FROM items i WHERE i.site_id = %(id)s AND i.title LIKE 'canary%%'""",
        id=site.id,
    )
    assert found == 1


def test_only_a_poll_that_names_its_voters_tells_them(exported: Path, site: Site) -> None:
    polls = {one["name"]: one for one in documents(exported, "polls")}
    assert "ballots" not in polls["Colours"]
    assert [choice.get("votes", 0) for choice in polls["Colours"]["choices"]] == [2, 0, 0]
    assert {ballot["author"] for ballot in polls["Days"]["ballots"]} == {
        str(site.member.id),
        str(site.newcomer.id),
    }


def test_counts_that_nobody_sees_yet_are_in_no_export(
    make: Factory, database_url: str, tmp_path: Path
) -> None:
    site = make.site()
    poll = make.poll(site, is_named=True, results="closed")
    make.sql("UPDATE polls SET voter_count = 3 WHERE item_id = %(id)s RETURNING 1", id=poll.id)
    make.sql(
        "UPDATE poll_choices SET vote_count = 3 WHERE item_id = %(id)s RETURNING 1", id=poll.id
    )
    make.sql(
        """INSERT INTO poll_ballots (site_id, item_id, user_id, choice_ids)
           VALUES (%(site)s, %(id)s, %(user)s, '{1}') RETURNING 1""",
        site=site.id,
        id=poll.id,
        user=site.member.user_id,
    )

    export(database_url, site, tmp_path / "files", tmp_path / "before")
    make.sql("UPDATE polls SET is_poll_open = false WHERE item_id = %(id)s RETURNING 1", id=poll.id)
    export(database_url, site, tmp_path / "files", tmp_path / "after")

    (before,) = documents(tmp_path / "before", "polls")
    (after,) = documents(tmp_path / "after", "polls")
    assert not {"ballots", "voterCount"} & set(before)
    assert not any("votes" in choice for choice in before["choices"])
    assert after["voterCount"] == 3
    assert len(after["ballots"]) == 1


def test_an_export_is_the_site_at_one_moment(
    make: Factory, database_url: str, files: Path, tmp_path: Path
) -> None:
    site = make.site()
    chat = make.conversation(site)
    make.comments(chat, 3)
    late: list[int] = []

    def write_meanwhile(_: int) -> None:
        if not late:
            late.append(make.comment(chat, markdown="Too late").id)
            make.person(site)

    with exporting.snapshot(database_url) as tx:
        reader = SiteReader(tx, site.id, PLATFORM_DOMAIN, LocalStorage(files))
        exporting.to_folder(reader, tmp_path / "export", write_meanwhile)

    assert late
    assert len(documents(tmp_path / "export", "comments")) == 3
    # The owner has done nothing there.
    assert len(documents(tmp_path / "export", "profiles")) == 4


def test_nothing_of_another_site_comes_along(
    make: Factory, database_url: str, files: Path, tmp_path: Path
) -> None:
    bare = make.site()
    export(database_url, bare, files, tmp_path)
    for path, text in texts(tmp_path):
        assert "First **words**" not in text, path
    assert documents(tmp_path, "comments") == []


def test_the_hash_knows_no_ids_and_every_word(
    make: Factory, database_url: str, site: Site, files: Path, tmp_path: Path
) -> None:
    one = export(database_url, site, files, tmp_path / "one")
    again = export(database_url, site, files, tmp_path / "again")
    assert one.hash == again.hash
    make.sql(
        "UPDATE comments SET markdown = 'Nestet' WHERE site_id = %(id)s AND markdown = 'Nested' RETURNING 1",
        id=site.id,
    )
    try:
        assert export(database_url, site, files, tmp_path / "other").hash != one.hash
    finally:
        make.sql(
            "UPDATE comments SET markdown = 'Nested' WHERE site_id = %(id)s AND markdown = 'Nestet' RETURNING 1",
            id=site.id,
        )


@pytest.mark.wide
def test_a_command_exports_a_site(
    make: Factory,
    site: Site,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", database_url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path / "var"))
    folder = tmp_path / "out"

    assert cli.main(["export", site.key, str(folder)]) == 0

    said = capsys.readouterr().out
    assert "39 documents" in said
    index = json.loads((folder / "index.json").read_text())
    assert index["hash"] in said
    # The files are in another store.
    assert len(index["missingFiles"]) == 2
    ((count,),) = make.sql(
        "SELECT count(*) FROM audit_log WHERE site_id = %(id)s AND action = 'E'", id=site.id
    )
    assert count == 1
    assert cli.main(["export", site.key, str(folder)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert cli.main(["export", "nosuchsite", str(tmp_path / "none")]) == 1
