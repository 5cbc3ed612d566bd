"""phpBB's tables as documents: a small board by hand, and the boards that the product made itself."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi.config import Config
from forumapi.itemtypes import MICROCOSM
from forumapi.models.microcosms.tree import load_tree
from forumapi.porting.dumps.row_values import decoded
from forumapi.porting.layout import ForumReader, Unreadable
from forumapi.porting.markup.smilies import EMOJI
from forumapi.porting.readers import open_reader
from tests.factories import Factory
from tests.porting import fixtures
from tests.porting.fixtures import board, needs_fixtures, readers_of, whole
from tests.porting.moved import move_in

SMALL = (Path(__file__).parents[1] / "boards" / "phpbb.sql").read_text()


def everything(stream: Iterable[Any]) -> list[Any]:
    """Return the documents of a stream, and what stands for unreadable ones."""
    return list(stream)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    folder = tmp_path_factory.mktemp("phpbb")
    (folder / "board.sql").write_text(SMALL)
    files = folder / "files"
    files.mkdir()
    (files / "2_aa").write_bytes(b"picture")
    (folder / "secret").write_text("outside")
    (folder / "images/avatars/upload").mkdir(parents=True)
    (folder / "images/avatars/upload/salt_2.png").write_bytes(b"face")
    made = open_reader("phpbb", folder / "board.sql", folder)
    yield made
    made.close()


def test_the_board_and_the_protocol(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    found = reader.board()
    assert (found.title, found.addresses, found.owner) == (
        "Bikes & co",
        ("https://old.example.org/board",),
        "2",
    )


def test_people_without_guests_and_bots(reader: ForumReader) -> None:
    people = {one.id: one for one in whole(reader.profiles())}

    assert {id: one.name for id, one in people.items()} == {
        "2": "Ada <A>",
        "3": "Bob",
        "4": "Cy",
        "5": "Dot",
    }
    assert [id for id, one in people.items() if one.is_banned] == ["4"]
    assert [id for id, one in people.items() if not one.is_visible] == ["5"]
    assert people["2"].avatar is not None
    opened = reader.open(people["2"].avatar)
    assert opened is not None
    assert opened.read() == b"face"
    assert [one.alias for one in whole(reader.aliases())][:2] == ["@ada <a>", "@bob"]


def test_nobody_reads_more_than_the_board_let_them(reader: ForumReader) -> None:
    roles = {one.id: one for one in whole(reader.roles())}
    members = [one.id for one in whole(reader.profiles())]
    forums = whole(reader.forums())

    assert [(one.id, one.parent_id) for one in forums] == [("1", ""), ("2", "1"), ("3", "")]
    assert {one.id: readers_of(one, roles, members, "guest") for one in forums} == {
        "1": {"guest", "2", "3", "5"},
        "2": {"3", "4"},
        # The password is no right: such a forum is for its moderators.
        "3": {"2"},
    }
    assert [[one.id for one in forum.moderators] for forum in forums] == [["2"], [], ["2"]]
    assert [one.holds_posts for one in forums] == [True, False, False]


@pytest.mark.wide
def test_a_forum_whose_posts_wait_for_approval_is_readable(
    make: Factory, config: Config, reader: ForumReader
) -> None:
    moved, plan, told = move_in(make, config, reader)

    tx = make.database.read()
    readable = load_tree(tx, moved.site.id, 0).access(None).view.set
    left = {one.id: one.reason for one in moved.origin.left_out(tx) if one.kind == "approval"}
    tx.end()
    assert moved.ids(MICROCOSM)["1"] in readable
    assert list(left) == ["1"] and left["1"].startswith("holdsPosts: ")
    assert plan.changes["forums that held new posts for approval, and show them at once"] == 1
    assert re.search(r"^approvals +1 +0 +1 +0$", told, re.MULTILINE)


def test_topics_with_their_state(reader: ForumReader) -> None:
    found = everything(reader.conversations())

    assert [(one.id, getattr(one, "reason", "")) for one in found] == [
        ("1", ""),
        ("2", ""),
        ("4", "forumId: names no forum"),
        ("5", "has no posts"),
    ]
    assert found[0].name == "Hello &amp; 🚲"
    assert (found[0].is_sticky, found[0].is_open, found[0].is_moderated) == (True, True, False)
    assert (found[1].is_sticky, found[1].is_open, found[1].is_moderated) == (False, False, True)


def test_posts_in_reading_order(reader: ForumReader) -> None:
    found = everything(reader.comments())

    assert [one.id for one in found] == ["11", "12", "13", "14"]
    first, guest = found[0], found[1]
    assert isinstance(found[3], Unreadable)
    assert (guest.author, guest.author_name, guest.in_reply_to, guest.is_moderated) == (
        "",
        "Guest <x>",
        "11",
        True,
    )
    assert guest.versions[0].headline == ""
    assert first.versions[0].text == "hi ![x](old:attachment/1)"
    assert (first.versions[0].edit_reason, first.versions[0].editor) == ("typo &", "2")
    assert first.ip_address == "192.0.2.1"


def test_polls_with_the_votes_of_members(reader: ForumReader) -> None:
    (poll,) = whole(reader.polls())

    assert [(one.text, one.votes) for one in poll.choices] == [("one", 2), ("two", 5)]
    assert [(one.author, one.choices) for one in poll.ballots] == [("3", ("1", "2"))]
    assert poll.closes == datetime.datetime.fromtimestamp(1060, datetime.UTC)


def test_files_hang_on_what_they_belong_to(reader: ForumReader) -> None:
    found = {one.id: one for one in everything(reader.attachments())}

    assert set(found) == {"1", "2", "4", "5"}
    assert (found["1"].name, found["1"].comment) == ("a & b.png", '"x"')
    assert [found[id].associations[0].on_type for id in ("1", "4")] == ["comment", "message"]
    opened = reader.open(found["1"])
    assert opened is not None
    assert opened.read() == b"picture"
    assert reader.open(found["2"]) is None
    assert isinstance(found["5"], Unreadable)


def test_messages_reach_those_who_had_them(reader: ForumReader) -> None:
    found = {one.id: one for one in everything(reader.messages())}

    def people(id: str) -> tuple[list[str], list[str], bool]:
        one = found[id]
        return [to.id for to in one.to], [to.id for to in one.bcc], one.is_deleted

    assert people("21") == (["3"], ["4"], False)
    # The answer's author has removed the copy; the blind reader never had it.
    assert people("22") == (["2"], [], True)
    assert people("23") == (["3"], [], False)
    assert isinstance(found["24"], Unreadable)
    assert [found[id].root_id for id in ("21", "22", "23")] == ["21", "21", "23"]
    assert [to.is_read for to in (*found["21"].to, *found["21"].bcc)] == [True, False]


def test_bans_warnings_reports_and_wishes(reader: ForumReader) -> None:
    assert [(one.profile, one.ip_address, one.is_exception) for one in whole(reader.bans())] == [
        ("4", "", False),
        ("", "192.0.2.*", True),
    ]
    assert [(one.profile, one.author, one.text) for one in whole(reader.warnings())] == [
        ("3", "2", "Be <é>")
    ]
    assert [(one.on_type, one.on_id, one.text) for one in whole(reader.reports())] == [
        ("comment", "11", "spam\n\nlook & see"),
        ("message", "21", "spam"),
    ]
    (follow,) = whole(reader.follows())
    assert (follow.author, [one.id for one in follow.users], follow.users_ignored) == (
        "2",
        ["3"],
        ("4",),
    )
    assert [one.on_id for one in whole(reader.bookmarks())] == ["1"]


def test_streams_are_the_same_each_time(reader: ForumReader) -> None:
    assert list(reader.comments()) == list(reader.comments())
    assert list(reader.messages()) == list(reader.messages())


def test_forums_in_a_circle_come_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "board.sql").write_text(SMALL.replace("(1,0,1,'All'", "(1,2,1,'All'"))
    made = open_reader("phpbb", tmp_path / "board.sql")
    found = {one.id: one.parent_id for one in whole(made.forums())}
    made.close()

    assert found == {"1": "", "2": "", "3": ""}


# The product's own boards

STATES = {
    "approved": (False, False),
    "unapproved": (True, False),
    "reapprove": (True, False),
    "deleted": (False, True),
}
# Posts whose text differs for a reason that the reader gives: films become links, censored words come as they were
# written, and the product itself shows no address of `[email]` in the old form.
EXPLAINED = {"64", "170", "102", "208", "166"}


def _with_emoji(html: str) -> str:
    """Put emoji in place of the smilies in the product's HTML."""
    return re.sub(
        r'<img class="smilies"[^>]*? alt="([^"]*)"[^>]*>',
        lambda match: EMOJI.get(decoded(match[1]), decoded(match[1])),
        html,
    )


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def made(request: pytest.FixtureRequest) -> Iterator[tuple[ForumReader, Any]]:
    fixture = board("phpbb-3.3", request.param)
    found = open_reader("phpbb", fixture.dump, fixture.files)
    yield found, fixture.expected
    found.close()


@needs_fixtures
@pytest.mark.wide
def test_access_of_the_products_board(made: tuple[ForumReader, Any]) -> None:
    reader, expected = made
    roles = {one.id: one for one in whole(reader.roles())}
    members = [one.id for one in whole(reader.profiles())]
    known = {*members, "1"}
    for forum in whole(reader.forums()):
        told = next(one for one in expected["forums"] if str(one["id"]) == forum.id)
        wanted = {str(one) for one in told["access"]["read"]} & known
        if told["visibility"] == "password":
            wanted &= {str(one) for one in told["access"]["moderate"]}
        assert readers_of(forum, roles, members, "1") == wanted, forum.name
        assert {one.id for one in forum.moderators} <= {
            str(one) for one in told["access"]["moderate"]
        }


@needs_fixtures
@pytest.mark.wide
def test_posts_of_the_products_board(made: tuple[ForumReader, Any]) -> None:
    reader, expected = made
    comments = whole(reader.comments())
    by_id = {one.id: one for one in comments}
    for post in expected["posts"]:
        one = by_id.pop(str(post["id"]))
        author = post["author"]
        assert one.on_id == str(post["topic"])
        assert (one.is_moderated, one.is_deleted) == STATES[post["visibility"]]
        assert one.date_created is not None
        assert one.date_created.isoformat().replace("+00:00", "Z") == post["created"]
        assert one.author == (str(author["user"]) if author["user"] else "")
        assert one.author or one.author_name == (author["name"] or "")
    assert not by_id
    order: dict[str, list[int]] = defaultdict(list)
    for one in comments:
        order[one.on_id].append(int(one.id))
    titles = {one.id: one.name for one in whole(reader.conversations())}
    for topic in expected["topics"]:
        id = str(topic["id"])
        assert (id in titles) == (topic["shadow_of"] is None)
        if id in titles:
            assert order[id] == topic["posts"]
            assert titles[id] == ((topic["title"].strip() and topic["title"]) or "…")

    differences = fixtures.compare_texts(comments, expected["posts"], _with_emoji)
    assert {one.post for one in differences if not one.is_loose} == EXPLAINED
    # Texts in capitals come in small letters, as everybody's do here.
    assert all(
        one.ours.casefold().replace(" ", "") == one.theirs.casefold().replace(" ", "")
        for one in differences
        if one.is_loose
    )
    assert len(differences) <= len(expected["posts"]) * 0.005


@needs_fixtures
@pytest.mark.wide
def test_files_and_messages_of_the_products_board(made: tuple[ForumReader, Any]) -> None:
    reader, expected = made
    files = {one.id: one for one in whole(reader.attachments())}
    for file in expected["attachments"]:
        one = files.pop(str(file["id"]))
        opened = reader.open(one)
        assert (hashlib.sha256(opened.read()).hexdigest() if opened else None) == file["sha256"]
        assert one.name == file["name"]
    assert not files
    messages = {one.id: one for one in whole(reader.messages())}
    for message in expected["messages"]:
        one = messages[str(message["id"])]
        # User 1 stands for accounts that are gone.
        wanted = {str(copy["user"]) for copy in message["copies"]} - {"1"}
        seen = {to.id for to in (*one.to, *one.bcc)} | (
            {one.author} if not one.is_deleted else set()
        )
        assert seen - {""} == wanted
        assert {str(user) for user in message["bcc"]["users"]} & wanted <= {to.id for to in one.bcc}
    polls = {one.id: one for one in whole(reader.polls())}
    for topic in expected["topics"]:
        if topic["poll"]:
            poll = polls.pop(str(topic["id"]))
            assert [one.votes for one in poll.choices] == [
                one["votes"] for one in topic["poll"]["options"]
            ]
    assert not polls
