"""Reader of the layout: documents a line or a file each, in a folder or a ZIP file, also of older drafts."""

from __future__ import annotations

import datetime
import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forumapi.porting.layout import (
    PortedAttachment,
    PortedAttribute,
    PortedBan,
    PortedComment,
    PortedConversation,
    PortedProfile,
    PortedRole,
    Unreadable,
)
from forumapi.porting.loading.planning import Planner
from forumapi.porting.readers import layout_reader
from forumapi.porting.readers.layout_reader import LayoutError, LayoutReader
from tests.porting import boards


def put(root: Path, path: str, document: Any) -> None:
    """Write a JSON file."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(document))


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    board = boards.bikes()
    boards.write(board, tmp_path / "bikes")
    archive = tmp_path / "bikes.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (tmp_path / "bikes").rglob("*"):
            if path.is_file():
                zipped.write(path, path.relative_to(tmp_path / "bikes").as_posix())

    for root in (tmp_path / "bikes", archive):
        reader = LayoutReader(root)
        assert dict(boards.streams_of(reader)) == dict(boards.streams_of(board))
        assert reader.board() == board.about
        file = reader.open(PortedAttachment(id="50", path="oil.png"))
        assert file is not None
        with file:
            assert file.read() == boards.PNG
        assert reader.open(PortedAttachment(id="50", path="../secret")) is None
        reader.close()


def test_documents_of_older_drafts_are_taken(tmp_path: Path) -> None:
    put(
        tmp_path,
        "users/7.json",
        {"id": 7, "name": "Ann", "banned": True, "emailNotifications": True},
    )
    put(
        tmp_path, "conversations/3/21.json", {"name": "Hi", "forumId": 4, "author": 7, "open": True}
    )
    put(
        tmp_path,
        "comments/321/231/1.json",
        {
            "onType": "conversation",
            "onId": 321,
            "author": 0,
            "inReplyTo": None,
            "versions": [{"text": "x"}],
        },
    )
    put(tmp_path, "comments/9.json", {"onType": "conversation", "onId": 321, "author": 7})
    put(
        tmp_path,
        "roles/1.json",
        {"id": 1, "forumPermissions": {"canView": True, "canPostNew": True}},
    )
    put(tmp_path, "attachments/5.json", {"id": 5, "onType": "user", "onId": 7, "name": "a.png"})
    reader = LayoutReader(tmp_path)

    (person,) = reader.profiles()
    assert isinstance(person, PortedProfile)
    assert (person.id, person.is_banned, person.receive_email_notifications) == ("7", True, True)
    (talk,) = reader.conversations()
    assert isinstance(talk, PortedConversation)
    assert (talk.id, talk.forum_id, talk.is_open, talk.is_sticky) == ("321", "4", True, False)
    comments = list(reader.comments())
    assert [one.id for one in comments] == ["9", "3212311"]
    assert isinstance(comments[1], PortedComment)
    assert (comments[1].author, comments[1].in_reply_to) == ("", "")
    (role,) = reader.roles()
    assert isinstance(role, PortedRole)
    assert role.forum_permissions.can_reply
    (file,) = reader.attachments()
    assert isinstance(file, PortedAttachment)
    assert [(on.on_type, on.on_id) for on in file.associations] == [("profile", "7")]


def test_an_index_lists_files_below_the_root_or_its_folder(tmp_path: Path) -> None:
    put(tmp_path, "comments/a.json", {"onId": 1})
    put(tmp_path, "comments/b.json", {"onId": 1})
    files = [
        {"id": 12, "path": "comments/a.json"},
        {"id": 2, "path": "b.json"},
        {"id": 30, "path": "c.json"},
    ]
    put(tmp_path, "comments/index.json", {"type": "comments", "files": files})

    found = list(LayoutReader(tmp_path).comments())

    assert [one.id for one in found] == ["2", "12", "30"]
    assert isinstance(found[2], Unreadable)
    assert found[2].reason == "comments/c.json: is listed and not there"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ('{"id": 1, "onId": 2, "dateCreated": "soon"}', "dateCreated"),
        ("[]", "is no JSON object"),
        ('{"id": 1, "onId": 2, "onType": "cloud"}', "onType"),
        ("\xff", ""),
    ],
)
def test_a_bad_document_is_told_and_the_others_come(tmp_path: Path, text: str, reason: str) -> None:
    put(tmp_path, "comments/2.json", {"onId": 1})
    (tmp_path / "comments/1.json").write_bytes(text.encode("latin-1"))

    bad, good = LayoutReader(tmp_path).comments()

    assert isinstance(bad, Unreadable)
    assert bad.id == "1"
    assert reason in bad.reason
    assert good.id == "2"


@pytest.mark.wide
def test_a_line_beyond_all_bounds_is_one_document_that_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("profiles/000001.jsonl", "w") as part,
    ):
        part.write(b'{"id":"1","name":"a"}\n')
        # What stands behind the most that is read is no document of its own.
        part.write(b" " * layout_reader.MOST_BYTES + b'{"id":"2","name":"b"}\n')
        part.write(b'{"id":"3","name":"c"}\n')

    reader = LayoutReader(path)
    first, long, last = reader.profiles()
    reader.close()

    assert isinstance(first, PortedProfile) and isinstance(last, PortedProfile)
    assert (first.id, last.id) == ("1", "3")
    told = "profiles/000001.jsonl:2"
    reason = f"{told}: has more than 134,217,728 bytes"
    assert long == Unreadable(kind="profile", id=told, reason=reason)


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="none of the folders"):
        LayoutReader(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK no")
    with pytest.raises(LayoutError, match="no ZIP file"):
        LayoutReader(tmp_path / "x.zip")


def test_a_plan_counts_notes_of_bookmarks_and_fields_that_were_vouched_for() -> None:
    board = boards.bikes()
    (bookmark,) = board.streams["bookmarks"]
    board.streams["bookmarks"] = [
        bookmark,
        *(
            msgspec.structs.replace(bookmark, author=author, text="read later")
            for author in ("1", "3")
        ),
    ]
    profiles = board.streams["profiles"]
    vouched = PortedAttribute(key="paid", value=True, is_granted=True)
    profiles[0] = msgspec.structs.replace(
        profiles[0], attributes=(vouched, PortedAttribute(key="colour", value="red"))
    )

    plan = Planner(board).run()

    assert plan.come["bookmarks"] == 3
    assert plan.changes["bookmarks with a note, which come without it"] == 2
    assert plan.changes["fields that an owner vouched for, which roles count if you name them"] == 1


def test_a_plan_says_what_comes_and_what_stays() -> None:
    plan = Planner(boards.bikes()).run()

    assert plan.come["comments"] == 7
    assert plan.stay == {"conversations": 1, "comments": 1, "bans": 2}
    assert plan.changes["people with another's address, who become one with them"] == 1
    assert plan.changes["moderators with their rights in one forum, not below it"] == 1
    assert ("comment", "306") in {(one.kind, one.id) for one in plan.reasons}
    # Of banned addresses the plan says no more than the network or domain.
    assert {one.id for one in plan.reasons if one.kind == "ban"} == {"192.0.2.*", "*@mail.example"}


def test_a_plan_counts_a_message_beyond_all_bounds_as_staying() -> None:
    board = boards.bikes()
    first = board.streams["messages"][0]
    long = boards.said("x" * 1_000_001)
    board.streams["messages"].append(msgspec.structs.replace(first, id="490", versions=long))
    plan = Planner(board).run()

    assert (plan.come["messages"], plan.stay["messages"]) == (3, 1)
    assert {one.id: one.reason for one in plan.reasons}["490"].endswith("1,000,000 characters")


def test_a_plan_counts_those_bans_as_coming_that_an_import_inserts() -> None:
    over = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    board = boards.bikes()
    board.streams["bans"] = [
        PortedBan(profile="3"),
        PortedBan(profile="2", expires=datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)),
        PortedBan(email=" *@Spam.example "),
        PortedBan(profile="1", expires=over),
        PortedBan(email="*@old.example", expires=over.replace(tzinfo=None)),
        PortedBan(profile="2", is_exception=True),
        PortedBan(email="*@good.example", is_exception=True),
        PortedBan(profile="99"),
        PortedBan(email="*@*.example"),
    ]
    # A mark is a permanent ban, unless the profile has one of its own in force.
    board.streams["profiles"] = [
        msgspec.structs.replace(one, is_banned=one.id in ("1", "2"))
        for one in board.streams["profiles"]
    ]
    plan = Planner(board).run()

    assert (plan.come["bans"], plan.stay["bans"]) == (4, 6)
    assert [
        (one.id, one.reason.partition(":")[0]) for one in plan.reasons if one.kind == "ban"
    ] == [
        ("1", "expires"),
        ("*@old.example", "expires"),
        ("2", "isException"),
        ("*@good.example", "isException"),
        ("99", "profile"),
        ("*@*.example", "email"),
    ]
