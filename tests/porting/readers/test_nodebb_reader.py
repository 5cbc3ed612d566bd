"""NodeBB's keys and texts as documents: a small board by hand, and the board that the product made itself."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi.porting.layout import ForumReader, Unreadable
from forumapi.porting.readers import nodebb, open_reader
from tests.porting import fixtures
from tests.porting.fixtures import board, needs_fixtures, readers_of, whole

SMALL = (Path(__file__).parents[1] / "boards" / "nodebb.sql").read_text()


def everything(stream: Iterable[Any]) -> list[Any]:
    """Return the documents of a stream, and what stands for unreadable ones."""
    return list(stream)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    folder = tmp_path_factory.mktemp("nodebb")
    (folder / "board.sql").write_text(SMALL)
    for name in ("files/1649000000001-w.png", "profile/uid-2/2-a.png"):
        (folder / "uploads" / name).parent.mkdir(parents=True)
        (folder / "uploads" / name).write_bytes(name.encode())
    made = open_reader("nodebb", folder / "board.sql", folder)
    yield made
    made.close()


@pytest.mark.parametrize("written", ["null", "[1]", "{", '{"a":' * 100_000])
def test_data_that_are_no_object_end_no_reading(written: str) -> None:
    assert nodebb._parsed(written) == {}


def test_people_and_rights(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    assert (reader.board().title, reader.board().owner) == ("Old & co", "1")
    people = {one.id: one for one in whole(reader.profiles())}
    assert {id: one.name for id, one in people.items()} == {"1": "Admin", "2": "Ann A", "3": "Bob"}
    assert [id for id, one in people.items() if one.is_banned] == ["3"]
    opened = reader.open(people["2"].avatar)
    assert opened is not None
    assert opened.read() == b"profile/uid-2/2-a.png"
    roles = {one.id: one for one in whole(reader.roles())}
    forums = whole(reader.forums())
    assert [(one.id, one.parent_id) for one in forums] == [("1", ""), ("3", ""), ("2", "1")]
    assert {one.id: readers_of(one, roles, list(people), "guest") for one in forums} == {
        # Bob is no registered user any more.
        "1": {"guest", "1", "2"},
        # One privilege through the group, the other for oneself; Bob has both through the crew.
        "2": {"1", "2", "3"},
        "3": set(),
    }
    assert [[one.id for one in forum.moderators] for forum in forums] == [["1", "2"], [], ["1"]]


def test_topics_and_posts(reader: ForumReader) -> None:
    topics = everything(reader.conversations())
    assert [(one.id, getattr(one, "reason", "")) for one in topics] == [
        ("1", ""),
        ("2", ""),
        ("4", "forumId: names no forum"),
    ]
    assert (topics[0].name, topics[0].is_sticky, topics[0].view_count) == ("Hello & <b>", True, 7)
    assert (topics[1].name, topics[1].author_name, topics[1].is_deleted) == ("…", "A guest", True)
    posts = {one.id: one for one in whole(reader.comments())}
    assert [(one.id, one.on_id) for one in posts.values()][:3] == [
        ("11", "1"),
        ("12", "1"),
        ("13", "2"),
    ]
    assert posts["12"].versions[0].text == "see [it](old:comment/11) 😄"
    assert (posts["12"].author, posts["12"].in_reply_to) == ("", "11")
    assert posts["13"].versions[0].text == "&#91;b&#93;x&#91;/b&#93;"
    (file,) = whole(reader.attachments())
    assert (file.id, file.name) == ("files/1649000000001-w.png", "w.png")
    opened = reader.open(file)
    assert opened is not None
    assert opened.read() == b"files/1649000000001-w.png"


def test_chats_are_seen_from_joining_on(reader: ForumReader) -> None:
    found = {one.id: one for one in everything(reader.messages())}

    assert [to.id for to in found["1"].to] == ["1"]
    assert [to.id for to in found["2"].to] == ["2", "3"]
    assert isinstance(found["4"], Unreadable)
    # Words of the system, and rooms for everybody, are no private messages.
    assert set(found) == {"1", "2", "4"}


def test_votes_wishes_and_reports(reader: ForumReader) -> None:
    assert [(one.author, one.name) for one in whole(reader.reactions())] == [
        ("3", "👎"),
        ("1", "👍"),
    ]
    assert [(one.author, one.on_id) for one in whole(reader.bookmarks())] == [("2", "11")]
    (follow,) = whole(reader.follows())
    assert [one.id for one in (*follow.users, *follow.forums, *follow.conversations)] == [
        "1",
        "1",
        "1",
    ]
    assert (follow.users_ignored, follow.forums_ignored) == (("3",), ("2",))
    (report,) = whole(reader.reports())
    assert (report.author, report.text, report.is_closed) == ("3", "rude & bad", True)
    assert [(one.profile, one.reason) for one in whole(reader.bans())] == [("3", "rude")]
    aliases = [(one.on_type, one.on_id, one.alias) for one in whole(reader.aliases())]
    assert ("profile", "2", "@ann-a") in aliases
    assert ("conversation", "1", "3") in aliases


# Posts whose text differs for a reason: addresses are shown whole, lists to be ticked off and links of other schemes
# are shown as what they are here, and a tag of BBCode may stand within an address.
EXPLAINED = {"15", "22", "28", "29"}


@needs_fixtures
@pytest.mark.wide
def test_the_products_board() -> None:
    fixture = board("nodebb-4", "postgresql")
    expected = fixture.expected
    reader = open_reader("nodebb", fixture.dump, fixture.files)
    roles = {one.id: one for one in whole(reader.roles())}
    members = [one.id for one in whole(reader.profiles())]
    for forum in whole(reader.forums()):
        told = next(one for one in expected["forums"] if str(one["id"]) == forum.id)
        wanted = {str(one) for one in told["access"]["read"]}
        assert readers_of(forum, roles, members, "0") == wanted, forum.name
    comments = whole(reader.comments())
    by_id = {one.id: one for one in comments}
    order: dict[str, list[int]] = defaultdict(list)
    for one in comments:
        order[one.on_id].append(int(one.id))
    assert len(comments) == len(expected["posts"])
    for post in expected["posts"]:
        one, author = by_id[str(post["id"])], post["author"]
        assert one.on_id == str(post["topic"])
        assert one.author == (str(author["user"]) if author["user"] else "")
        assert one.is_deleted == (post["visibility"] == "deleted")
    titles = {one.id for one in whole(reader.conversations())}
    for topic in expected["topics"]:
        assert (str(topic["id"]) in titles) == (topic["shadow_of"] is None)
        assert order[str(topic["id"])] == topic["posts"]
    differences = fixtures.compare_texts(comments, expected["posts"], str)
    assert {one.post for one in differences if not one.is_loose} == EXPLAINED
    files = {one.id: one for one in whole(reader.attachments())}
    for file in expected["attachments"]:
        opened = reader.open(files[file["file"].removeprefix("uploads/")])
        assert (hashlib.sha256(opened.read()).hexdigest() if opened else None) == file["sha256"]
    messages = {one.id: one for one in everything(reader.messages())}
    for message in expected["messages"]:
        one = messages[str(message["id"])]
        assert isinstance(one, Unreadable) == message["deleted"]
        if not message["deleted"]:
            seen = {to.id for to in one.to} | ({one.author} if not one.is_deleted else set())
            assert seen == {str(copy["user"]) for copy in message["copies"]}
    reader.close()
