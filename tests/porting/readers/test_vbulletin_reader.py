"""vBulletin's tables and texts as documents: a small board and a reduced one, both made without the product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.itemtypes import COMMENT, CONVERSATION, HUDDLE
from forumapi.porting.layout import ForumReader, PortedAttachment, Unreadable
from forumapi.porting.readers import open_reader
from forumapi.porting.readers.vbulletin import blind_copies
from tests.factories import Factory
from tests.porting.fixtures import board, compare_by_hand, needs_fixtures, readers_of, whole
from tests.porting.moved import move_in

BOARD = Path(__file__).parents[1] / "boards" / "vbulletin.sql"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    files = tmp_path_factory.mktemp("vbulletin")
    (files / "1/2").mkdir(parents=True)
    (files / "1/2/22.attach").write_bytes(b"on disk")
    made = open_reader("vbulletin", BOARD, files)
    yield made
    made.close()


def test_people_and_rights(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    told = reader.board()
    assert (told.title, told.addresses, told.owner) == (
        "Old & co", ("https://vb.example.org/forum",), "1",
    )  # fmt: skip
    people = {one.id: one for one in whole(reader.profiles())}
    # Who is in a group of banned people, and who waits for approval.
    assert [id for id, one in people.items() if one.is_banned] == ["4", "6"]
    assert [id for id, one in people.items() if not one.is_visible] == ["5", "6"]
    assert people["1"].name == "Ann & co"
    assert [(one.key, one.value) for one in people["1"].attributes] == [
        ("title", "Chief"),
        ("website", "https://a.example"),
        ("signature", "**sig**"),
        ("biography", "Bio & more"),
        ("location", "Larch Lane"),
    ]
    roles = {one.id: one for one in whole(reader.roles())}
    forums = {one.id: one for one in whole(reader.forums())}
    everybody = {*people, "guest"}
    assert {id: readers_of(one, roles, list(people), "guest") for id, one in forums.items()} == {
        "1": everybody,
        "2": everybody,
        # Nobody sees a forum below one that they do not see.
        "3": {"1", "3"},
        "4": {"1", "3"},
        # It has a password: administrators alone get in; one is switched off.
        "5": {"1"},
        "6": set(),
        "7": everybody,
        # Members see their own threads alone there: they see none.
        "8": {"1", "3"},
    }
    # Groups beside the first one count where the first one allows it: for Cid, and not for Gus.
    assert {id: [one.id for one in roles[id].users] for id in ("5", "9", "10")} == {
        "5": [], "9": ["3"], "10": ["7"],
    }  # fmt: skip
    assert [one.id for one in forums["2"].moderators] == ["1", "2"]
    assert (forums["1"].is_category, forums["2"].is_category, forums["2"].is_open) == (1, 0, 1)


def test_threads_and_posts(reader: ForumReader) -> None:
    threads = {one.id: one for one in whole(reader.conversations())}
    assert list(threads) == ["10", "11", "12", "13"]
    assert (threads["10"].name, threads["10"].is_sticky) == ("Hello & <b>", True)
    assert (threads["11"].is_deleted, threads["11"].is_open) == (True, False)
    assert (threads["12"].is_moderated, threads["12"].author_name) == (True, "Deleted & one")
    aliases = [(one.on_type, one.alias, one.on_id) for one in whole(reader.aliases())]
    assert aliases[:2] == [("conversation", "14", "10"), ("message", "10", "text-1")]
    posts = {one.id: one for one in reader.comments() if not isinstance(one, Unreadable)}
    # Typed entities are text; numbers stand for letters that the board's character set lacked.
    assert posts["100"].versions[0].text == (
        "**Hi** ![map.png](old:attachment/1) 🙂 \\<i> П \\&amp;"
    )
    assert (posts["100"].versions[0].editor, posts["100"].versions[0].edit_reason) == (
        "2", "typo & co",
    )  # fmt: skip
    assert posts["101"].in_reply_to == "100"
    assert posts["101"].versions[0].text == (
        "> <cite>[Ann & co](old:comment/100):</cite>\n>\n> Hi\n\nYes :)"
    )
    headlines = [posts[id].versions[0].headline for id in ("100", "101", "102", "103")]
    assert headlines == ["", "", "Own", ""]
    assert (posts["102"].is_deleted, posts["103"].is_moderated) == (True, True)
    (poll,) = whole(reader.polls())
    assert [(one.text, one.votes) for one in poll.choices] == [("Front & rim", 1), ("Back", 1)]
    assert ([one.author for one in poll.ballots], str(poll.closes)) == (
        ["2"], "2017-07-16 02:41:40+00:00",
    )  # fmt: skip
    files = list(reader.attachments())
    stored, on_disk = (one for one in files if isinstance(one, PortedAttachment))
    # Cid reads the thread, and could not open its files.
    assert [(one.id, one.reason) for one in files if isinstance(one, Unreadable)] == [
        ("5", "onId: not everybody who reads the thread could open its files")
    ]
    assert posts["106"].versions[0].text == "z"
    assert stored.content_url.endswith("iVBORw==")
    opened = reader.open(on_disk)
    assert opened is not None
    assert opened.read() == b"on disk"


def test_files_that_guests_could_not_open_stay_away(tmp_path: Path) -> None:
    dump = tmp_path / "guests.sql"
    dump.write_text(BOARD.read_text().replace("(1,'Guests','',528387,", "(1,'Guests','',524291,"))
    reader = open_reader("vbulletin", dump)

    files = list(reader.attachments())
    reader.close()

    assert [one.id for one in files if isinstance(one, Unreadable)] == ["1", "3", "5"]


def test_blind_copies_stay_blind(reader: ForumReader) -> None:
    found = list(reader.messages())
    first, second, broken = (one for one in found if not isinstance(one, Unreadable))

    assert ([to.id for to in first.to], [to.id for to in first.bcc]) == (["2"], ["3"])
    assert (second.root_id, [to.id for to in second.to]) == ("text-1", ["1"])
    assert "old:comment" not in second.versions[0].text
    # An array that can't be read may hide anybody.
    assert ([to.id for to in broken.to], [to.id for to in broken.bcc]) == ([], ["2", "3"])
    assert [one.reason for one in found if isinstance(one, Unreadable)] == ["to: nobody has a copy"]


@pytest.mark.parametrize(
    ("written", "hidden"),
    [
        ('a:2:{i:2;s:3:"Bob";i:3;s:3:"Cid";}', set()),
        ('a:1:{s:2:"cc";a:1:{i:2;s:21:"x";}s:3:"bcc";a:0:{}}";}}', {3}),
        ('a:1:{s:2:"cc";a:2:{i:2;s:6:"Ива";i:3;s:1:"C";}}', set()),
        ('a:1:{s:3:"bcc";a:1:{i:3;s:3:"Cid";}}', {2, 3}),
        ('O:8:"stdClass":0:{}', {2, 3}),
        ("a:" * 5_000, {2, 3}),
        ("a:1:{i:0;" * 5_000, {2, 3}),
        ("", {2, 3}),
    ],
)
def test_arrays_of_php_are_read_by_hand(written: str, hidden: set[int]) -> None:
    assert blind_copies(written, {2, 3}) == hidden


@pytest.mark.wide
def test_the_board_moves_in(make: Factory, config: Config, reader: ForumReader) -> None:
    moved, plan, _ = move_in(make, config, reader)

    assert (plan.come["comments"], plan.stay["comments"]) == (7, 1)
    assert set(moved.ids(COMMENT)) >= {str(id) for id in range(100, 107)}
    assert {"10", "14"} <= set(moved.ids(CONVERSATION))
    assert {"text-1", "10", "12"} <= set(moved.ids(HUDDLE))


@needs_fixtures
@pytest.mark.wide
def test_the_fixtures_board(make: Factory, config: Config) -> None:
    fixture = board("vbulletin-4")
    reader = open_reader("vbulletin", fixture.dump, fixture.files)
    compare_by_hand(reader, fixture.expected)
    move_in(make, config, reader)
    reader.close()
