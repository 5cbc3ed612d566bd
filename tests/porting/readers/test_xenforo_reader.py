"""XenForo's tables and texts as documents: a small board by hand, and a reduced one, both made without the product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.itemtypes import COMMENT, CONVERSATION, HUDDLE
from forumapi.porting.layout import ForumReader, PortedAttachment, Unreadable
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.xenforo_vbulletin_text import XenforoVbulletinText
from forumapi.porting.readers import open_reader
from tests.factories import Factory
from tests.porting.boards import PNG
from tests.porting.fixtures import board, compare_by_hand, needs_fixtures, readers_of, whole
from tests.porting.moved import move_in

BOARD = Path(__file__).parents[1] / "boards" / "xenforo.sql"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    files = tmp_path_factory.mktemp("xenforo")
    for path in ("internal_data/attachments/1/1001-abc.data", "data/avatars/l/0/1.jpg"):
        (files / path).parent.mkdir(parents=True)
        (files / path).write_bytes(PNG)
    made = open_reader("xenforo", BOARD, files)
    yield made
    made.close()


def test_people_and_rights(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    told = reader.board()
    assert (told.title, told.addresses, told.owner) == (
        "Old & co", ("https://xf.example.org",), "1",
    )  # fmt: skip
    people = {one.id: one for one in whole(reader.profiles())}
    assert [id for id, one in people.items() if one.is_banned] == ["2", "5"]
    # Refused and banned as well: one ban, with what the board says of it.
    assert [(one.profile, one.reason) for one in whole(reader.bans())] == [
        ("2", "rude"),
        ("5", "twice"),
    ]
    assert [id for id, one in people.items() if not one.is_visible] == ["4", "5"]
    assert [(one.key, one.value) for one in people["1"].attributes] == [
        ("title", "Chief"),
        ("website", "https://a.example"),
        ("location", "Larch Lane"),
        ("signature", "**sig**"),
        ("bike", "red"),
    ]
    assert people["1"].avatar is not None
    assert people["1"].avatar.path == "data/avatars/l/0/1.jpg"
    # Who shows their profile to members alone, to nobody, or does not say so keeps the title alone.
    assert [one.text for one in people.values()] == ["I *glue*", "", "", "for everyone", ""]
    assert [(one.key, one.value) for one in people["3"].attributes] == [("title", "Mate")]
    assert people["2"].attributes == ()
    roles = {one.id: one for one in whole(reader.roles())}
    forums = {one.id: one for one in whole(reader.forums())}
    assert {id: one.parent_id for id, one in forums.items()} == {
        "1": "", "2": "1", "3": "1", "5": "", "9": "", "6": "", "7": "", "4": "3",
    }  # fmt: skip
    everybody = {"1", "2", "3", "4", "5", "guest"}
    # An entry of no group and no person counts for everybody. A person's own entry lets in; a
    # "never" at a node below keeps out whom the node above let in.
    assert {id: readers_of(one, roles, list(people), "guest") for id, one in forums.items()} == {
        "1": everybody, "2": everybody, "3": {"1", "3"}, "4": {"3"}, "5": everybody, "6": {"2"},
        "7": everybody, "9": {"3"},
    }  # fmt: skip
    rights = {role.id: role.forum_permissions for role in forums["2"].usergroups or ()}
    assert (rights["2"].can_post_new, rights["2"].can_reply, rights["1"].can_reply) == (1, 1, 0)
    assert [one.id for one in forums["2"].moderators] == ["1"]
    assert (forums["3"].holds_posts, forums["7"].is_open) == (True, False)


def test_threads_and_posts(reader: ForumReader) -> None:
    threads = {one.id: one for one in whole(reader.conversations())}
    assert list(threads) == ["10", "11", "12", "13"]
    assert (threads["10"].name, threads["10"].is_sticky) == ("Hello & <b>", True)
    assert (threads["11"].is_deleted, threads["11"].is_open) == (True, False)
    assert (threads["12"].is_moderated, threads["12"].author_name) == (True, "Deleted one")
    assert [(one.alias, one.on_id) for one in whole(reader.aliases())] == [("14", "10")]
    posts = {one.id: one for one in reader.comments() if not isinstance(one, Unreadable)}
    assert posts["100"].versions[0].text == (
        "**Hi** [@Bob & co](old:profile/2) ![map.png](old:attachment/1) 🙂\n\n"
        "<details>\n<summary>x</summary>\n\nhidden\n\n</details>"
    )
    assert (posts["100"].ip_address, posts["100"].versions[0].editor) == ("192.0.2.7", "2")
    assert posts["101"].in_reply_to == "100"
    assert posts["101"].versions[0].text == (
        "> <cite>[Ann](old:comment/100):</cite>\n>\n> Hi\n\n"
        "Yes `<i>` [there](https://xf.example.org/threads/hello.10/) red"
    )
    assert (posts["102"].is_deleted, posts["103"].is_moderated) == (True, True)
    assert "107" not in posts
    (poll,) = whole(reader.polls())
    assert (poll.results, poll.max_choices, [one.author for one in poll.ballots]) == (
        "voted", 1, ["2"],
    )  # fmt: skip
    assert [(one.on_id, one.name) for one in whole(reader.reactions())] == [("100", "👍")]


def test_files_come_where_all_readers_could_open_them(reader: ForumReader, tmp_path: Path) -> None:
    files = list(reader.attachments())
    texts = {
        one.id: one.versions[0].text for one in reader.comments() if not isinstance(one, Unreadable)
    }
    # The same board, whose guests read without opening files.
    dump = tmp_path / "guests.sql"
    dump.write_text(
        BOARD.read_text().replace(
            "(1,0,0x666f72756d,0x766965774174746163686d656e74,'allow'),\n", ""
        )
    )
    strict = open_reader("xenforo", dump)
    kept = list(strict.attachments())
    strict.close()

    assert [
        (one.id, one.associations[0].on_type) for one in files if isinstance(one, PortedAttachment)
    ] == [("1", "comment"), ("3", "message")]
    assert [(one.id, one.reason) for one in files if isinstance(one, Unreadable)] == [
        ("4", "onId: not everybody who reads the thread could open its files")
    ]
    assert texts["106"] == "z"
    assert [one.id for one in kept if isinstance(one, PortedAttachment)] == ["3"]


def test_talks_are_seen_by_who_is_in_them(reader: ForumReader) -> None:
    found = list(reader.messages())
    talks = {one.id: one for one in found if not isinstance(one, Unreadable)}

    assert {
        id: {to.id for to in one.to} | ({one.author} if not one.is_deleted else set())
        for id, one in talks.items()
    } == {"200": {"1", "2"}, "201": {"1", "2"}}
    # A quotation in a private message names no post.
    assert "old:comment" not in talks["200"].versions[0].text
    assert [one.reason for one in found if isinstance(one, Unreadable)] == ["to: nobody has a copy"]


@pytest.mark.parametrize(
    ("typed", "markdown"),
    [
        ("[QUOTE=Ann;7]a [QUOTE=Bob]b[/QUOTE][/QUOTE]c",
         "> <cite>[Ann](old:comment/7):</cite>\n>\n> a\n>\n> > <cite>Bob:</cite>\n> >\n> > b\n\nc"),
        ("[LIST=1][*]a\n[*]b[/LIST]", "1. a\n2. b"),
        ("[list][*]a [*]b[/list]", "- a\n- b"),
        ("[CODE=php][b]\n  x[/CODE]", "```php\n[b]\n  x\n```"),
        ("[ATTACH]5[/ATTACH][ATTACH=CONFIG]99[/ATTACH]", "[a.pdf](old:attachment/5)"),
        ("[THREAD]12[/THREAD] [POST=3]p[/POST]", "[thread 12](old:conversation/12) [p](old:comment/3)"),
        ("[b]open *x* [nope]y[/nope]", "\\[b\\]open \\*x\\* \\[nope\\]y\\[/nope\\]"),
        ("[URL]javascript:x[/URL] [url=www.a.example/x]y[/url]", "javascript:x [y](http://www.a.example/x)"),
        ("https://a.example/?q=1. [MEDIA=youtube]abcdefg[/MEDIA]",
         "<https://a.example/?q=1>. <https://www.youtube.com/watch?v=abcdefg>"),
        ("[TABLE][TR][TD]a[/TD][/TR][/TABLE]", "<table>\n<tr>\n<td>\n\na\n\n</td>\n</tr>\n</table>"),
        ("[HEADING=1]t[/HEADING]x [PLAIN][b][/PLAIN]", "## t\n\nx &#91;b]"),
    ],
)  # fmt: skip
def test_tags(typed: str, markdown: str) -> None:
    found = XenforoVbulletinText().convert(typed, [PostFile("5", "a.pdf", False)]).markdown

    assert found.replace("&#91;", "\\[").replace("\\]", "]") == markdown.replace(
        "&#91;", "\\["
    ).replace("\\]", "]")


@pytest.mark.wide
def test_the_board_moves_in(make: Factory, config: Config, reader: ForumReader) -> None:
    moved, plan, _ = move_in(make, config, reader)

    assert (plan.come["comments"], plan.stay["comments"]) == (7, 1)
    assert set(moved.ids(COMMENT)) >= {str(id) for id in range(100, 107)}
    assert {"10", "14"} <= set(moved.ids(CONVERSATION))
    assert {"200", "201"} <= set(moved.ids(HUDDLE))


@needs_fixtures
@pytest.mark.wide
def test_the_fixtures_board(make: Factory, config: Config) -> None:
    fixture = board("xenforo-2")
    reader = open_reader("xenforo", fixture.dump, fixture.files)
    compare_by_hand(reader, fixture.expected)
    move_in(make, config, reader)
    reader.close()
