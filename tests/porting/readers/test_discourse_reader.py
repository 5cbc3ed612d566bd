"""Discourse's tables and texts as documents: a small board by hand, as a dump and as an IntermediateDB."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.itemtypes import ATTACHMENT, COMMENT, HUDDLE
from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.layout import ForumReader, Unreadable
from forumapi.porting.markup import discourse_text
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.discourse_text import DiscourseText
from forumapi.porting.readers import open_reader
from tests.factories import Factory
from tests.porting.boards import PNG
from tests.porting.fixtures import board, comparison, needs_fixtures, readers_of, rendered, whole
from tests.porting.moved import move_in

BOARD = Path(__file__).parents[1] / "boards" / "discourse.sql"
# A name in `upload://` and the hash that it stands for.
SHORT, SHA = "r3AYqESanERjladb4vBB7VsMBm6", "bda2c513e1da04f7b4e99230851ea2aafeb8cc4e"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    files = tmp_path_factory.mktemp("discourse")
    (files / "uploads/default/original/1X").mkdir(parents=True)
    (files / f"uploads/default/original/1X/{SHA}.png").write_bytes(PNG)
    made = open_reader("discourse", BOARD, files)
    yield made
    made.close()


def test_people_and_rights(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    assert (reader.board().title, reader.board().owner) == ("Old & co", "1")
    people = {one.id: one for one in whole(reader.profiles())}
    assert [id for id, one in people.items() if one.is_banned] == ["4"]
    assert [id for id, one in people.items() if not one.is_visible] == ["5"]
    # A field that profiles did not show stays away, and so does a second address.
    assert people["1"].email == "ann@example.org"
    assert [(one.key, one.value) for one in people["1"].attributes] == [
        ("full name", "Ann B."),
        ("title", "Chief"),
        ("location", "Larch Lane"),
        ("Place", "Attic"),
    ]
    # Who hid their profile keeps the title alone, which stands beside each post.
    assert [people[id].text for id in ("1", "2", "3")] == ["I *glue*", "", ""]
    assert [(one.key, one.value) for one in people["2"].attributes] == [("title", "Keeper")]
    assert people["3"].attributes == ()
    roles = {one.id: one for one in whole(reader.roles())}
    assert [one.id for one in roles["3"].users] == ["1", "2"]
    forums = {one.id: one for one in whole(reader.forums())}
    assert [(id, one.parent_id) for id, one in forums.items()][-1] == ("6", "5")
    everybody = {*people, "guest"}
    # A moderator is in staff; administrators alone need no group.
    assert {id: readers_of(one, roles, list(people), "guest") for id, one in forums.items()} == {
        "5": everybody,
        "6": everybody,
        "7": {"1", "3"},
        "8": {"1", "2"},
        "9": everybody,
    }
    news = {one.id: one.forum_permissions for one in forums["9"].usergroups or ()}
    assert (news["0"].can_post_new, news["0"].can_reply, news["3"].can_post_new) == (0, 0, 1)
    assert [one.id for one in forums["7"].moderators] == ["1"]


def test_names_that_the_board_hid_stay_away(tmp_path: Path) -> None:
    dump = tmp_path / "names.sql"
    dump.write_text(BOARD.read_text().replace("\tlogin_required\t5\tf\n", "\tenable_names\t5\tf\n"))
    reader = open_reader("discourse", dump)

    people = {one.id: one for one in whole(reader.profiles())}
    reader.close()

    assert [one.key for one in people["1"].attributes] == ["title", "location", "Place"]


def test_topics_and_posts(reader: ForumReader) -> None:
    topics = {one.id: one for one in reader.conversations() if not isinstance(one, Unreadable)}
    assert list(topics) == ["10", "11", "12", "14"]
    assert (topics["10"].name, topics["10"].is_sticky) == ("Hello & <b>", True)
    assert (topics["11"].is_deleted, topics["11"].is_open) == (True, False)
    assert topics["12"].is_moderated
    found = list(reader.comments())
    assert [(one.id, one.reason) for one in found if isinstance(one, Unreadable)] == [
        ("103", "was a whisper, which staff alone saw"),
        ("114", "onId: names no conversation"),
    ]
    posts = {one.id: one for one in found if not isinstance(one, Unreadable)}
    assert posts["100"].versions[0].text == (
        f"Hi [@mod.mia](old:profile/2) ![a map](old:attachment/{SHA})\n\n\n\n<b>x</b>"
    )
    assert (posts["100"].versions[0].editor, posts["100"].versions[0].edit_reason) == ("2", "typo")
    assert posts["101"].in_reply_to == "100"
    assert posts["101"].versions[0].text == (
        "> <cite>[Ann](old:comment/100):</cite>\n>\n> Hi\n\n\n"
        "See [there](old:conversation/12) and [that](old:conversation/10), [list](upload://zzz.pdf)"
    )
    assert posts["104"].author_name == "system"
    assert (posts["105"].is_moderated, posts["106"].is_deleted) == (True, True)
    first, *others = reader.polls()
    assert not isinstance(first, Unreadable)
    assert [(one.text, one.votes) for one in first.choices] == [("Front", 3), ("Back <rim>", 1)]
    assert [one.author for one in first.ballots] == ["3"]
    assert [one.reason for one in others if isinstance(one, Unreadable)] == [
        "stands in a post that was deleted or hidden",
        "results: were for staff alone",
    ]
    (file,) = whole(reader.attachments())
    opened = reader.open(file)
    assert opened is not None
    assert (opened.read(), file.id) == (PNG, SHA)
    assert {one.alias for one in whole(reader.aliases())} >= {"@ann", "@иван", SHORT}


def test_private_topics_and_chats_are_seen_by_who_is_in_them(reader: ForumReader) -> None:
    found = {one.id: one for one in reader.messages() if not isinstance(one, Unreadable)}

    # Members of a group that was invited read too; who left does not.
    seen = {
        id: {to.id for to in one.to} | ({one.author} if not one.is_deleted else set())
        for id, one in found.items()
    }
    three = {"1", "2", "3"}
    assert seen == {"109": three, "110": three, "111": three, "chat-1": {"1", "3"}}
    assert [to.is_read for to in found["109"].to] == [True, False]
    assert [(one.on_type, one.on_id) for one in whole(reader.reactions())] == [
        ("comment", "100"),
        ("message", "109"),
    ]
    assert [(one.on_type, one.on_id, one.text) for one in whole(reader.bookmarks())] == [
        ("comment", "100", "look"),
        ("conversation", "10", ""),
    ]
    (follow,) = whole(reader.follows())
    assert ([one.id for one in follow.forums], follow.forums_ignored) == (["9"], ("6",))
    assert ([one.id for one in follow.conversations], follow.conversations_ignored) == (
        ["10"],
        ("11",),
    )


@pytest.mark.parametrize(
    ("typed", "markdown"),
    [
        (f"![x|10x20](upload://{SHORT}.png)", "![x](old:attachment/f1)"),
        (f'<img src="/uploads/default/1/{SHA}.png" width=3>', "![a \\*b.png](old:attachment/f1)"),
        ("[upload|" + "0" * 32 + "]", "[c.pdf](old:attachment/f2)"),
        ("`upload://x.png` [t](/t/5)", "`upload://x.png` [t](old:conversation/5)"),
        ("[t](/t/slug/5/7?u=a) [u](/u/Ann/summary)", "[t](old:comment/57) [u](old:profile/1)"),
        ("[c](/c/a/b/3) [x](/about)", "[c](old:forum/3) [x](https://d.example/about)"),
        ('[quote="Ann Lee, post:7, topic:5, username:ann"]\nx\n[/quote]\ny',
         "> <cite>[Ann Lee](old:comment/57):</cite>\n>\n> x\n\ny"),
        ('[chat quote="ann;3;2020-01-01T00:00:00Z" channel="c"]\nx\n[/chat]',
         "> <cite>[ann](old:profile/1):</cite>\n>\n> x"),
        ('[details="A <b>"]\nx\n[/details]',
         "<details>\n<summary>A &#60;b&#62;</summary>\n\nx\n\n</details>"),
        ("[date=2020-05-01 time=12:00:00 timezone=\"Europe/Paris\"]", "2020-05-01 12:00:00 Europe/Paris"),
        ("[poll]\n* a\n[/poll]\nx [grid]y[/grid]", "x y"),
        ("@Ann. @nobody a@ann", "[@Ann](old:profile/1). @nobody a@ann"),
    ],
)  # fmt: skip
def test_texts(typed: str, markdown: str) -> None:
    files = {SHA: PostFile("f1", "a *b.png", True), "0" * 32: PostFile("f2", "c.pdf", False)}
    texts = DiscourseText(
        {"ann": "1"},
        lambda topic, number: f"{topic}{number}" if topic == 5 else "",
        files.get,
        "https://d.example",
    )

    assert texts.convert(typed).split() == markdown.split()


def test_names_of_files_and_choices_of_polls() -> None:
    assert discourse_text.short_name(SHA) == SHORT
    assert discourse_text.files(f"upload://{SHORT}.png /uploads/short-url/{SHORT}.png") == [SHA] * 2
    assert discourse_text.choices("[poll name=a]\n* x\n[/poll][poll]\n1. y\n2. z\n[/poll]", "poll") == [
        "y",
        "z",
    ]  # fmt: skip


@pytest.mark.wide
def test_the_board_moves_in(make: Factory, config: Config, reader: ForumReader) -> None:
    moved, plan, table = move_in(make, config, reader)

    assert (plan.come["comments"], plan.stay["comments"]) == (8, 2)
    assert set(moved.ids(COMMENT)) >= {"100", "101", "104", "105", "106", "107", "108", "113"}
    assert "103" not in moved.ids(COMMENT)
    assert set(moved.ids(HUDDLE)) >= {"109", "110", "111", "chat-1"}
    assert {SHA, SHORT, "avatar:1"} <= set(moved.ids(ATTACHMENT))
    assert table.startswith("check")


def test_an_intermediate_db(tmp_path: Path) -> None:
    path = tmp_path / "inter.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE topic_users (topic_id NUMERIC, user_id NUMERIC, bookmarked BOOLEAN);
            CREATE TABLE users (original_id NUMERIC PRIMARY KEY, username TEXT, admin BOOLEAN, created_at DATETIME);
            CREATE TABLE categories (original_id NUMERIC, name TEXT, read_restricted BOOLEAN);
            CREATE TABLE topics (original_id NUMERIC, title TEXT, category_id NUMERIC, user_id NUMERIC, archetype TEXT);
            CREATE TABLE posts (original_id NUMERIC, topic_id NUMERIC, post_number INTEGER, post_type INTEGER, raw TEXT,
                user_id NUMERIC, reply_to_post_id NUMERIC, created_at DATETIME);
            CREATE TABLE uploads (id INTEGER, placeholder_hash TEXT, filename TEXT, data BLOB);
            CREATE VIEW user_emails AS SELECT 1 AS user_id, 'a@example.org' AS email, 1 AS "primary";
            INSERT INTO topic_users VALUES (10, 1, 1);
            INSERT INTO users VALUES ('1', 'ann', 1, '2020-01-01T10:00:00Z');
            INSERT INTO categories VALUES (5, 'Talk', 0);
            INSERT INTO topics VALUES (10, 'Hi', 5, 1, 'regular'), (11, 'Psst', NULL, 1, 'private_message');
            INSERT INTO posts VALUES
                (100, 10, 1, 1, '[upload|00000000000000000000000000000001]', 1, NULL, '2020-01-01T10:00:00Z'),
                (101, 10, 2, 1, 'yes', 1, 100, '2020-01-01T11:00:00Z'), (102, 11, 1, 1, 'secret', 1, NULL, NULL);
            INSERT INTO uploads VALUES (1, '00000000000000000000000000000001', 'a.txt', x'616263');
            """
        )
    reader = open_reader("discourse", path)
    (person,) = whole(reader.profiles())
    # What a view in the file says is not asked for.
    assert (person.name, person.email) == ("ann", "")
    first, second = whole(reader.comments())
    assert first.versions[0].text == "[a.txt](old:attachment/1)"
    assert second.in_reply_to == "100"
    (file,) = whole(reader.attachments())
    assert file.content_url == "data:application/octet-stream;base64,YWJj"
    # The file does not say who was in a private talk: nobody gets it.
    (message,) = reader.messages()
    assert isinstance(message, Unreadable)
    assert [one.on_id for one in whole(reader.bookmarks())] == ["10"]
    reader.close()

    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DumpError, match="cut off or damaged"):
        open_reader("discourse", path)


@needs_fixtures
@pytest.mark.wide
def test_the_fixtures_board(make: Factory, config: Config) -> None:
    fixture = board("discourse-intermediate", "intermediate")
    expected = fixture.expected
    reader = open_reader("discourse", fixture.dump, fixture.files)
    roles = {one.id: one for one in whole(reader.roles())}
    members = [one.id for one in whole(reader.profiles())]
    assert set(members) == {str(one["id"]) for one in expected["users"] if one["kind"] == "member"}
    for forum in whole(reader.forums()):
        told = next(one for one in expected["forums"] if str(one["id"]) == forum.id)
        wanted = {"101"} if told["visibility"] == "hidden" else {*members, "0"}
        assert readers_of(forum, roles, members, "0") == wanted, forum.name
    comments = {one.id: one for one in whole(reader.comments())}
    visible, loose = comparison()
    for post in expected["posts"]:
        if post["is_event"]:
            assert str(post["id"]) not in comments
            continue
        one = comments[str(post["id"])]
        assert (one.on_id, one.author) == (str(post["topic"]), str(post["author"]["user"] or ""))
        assert one.is_deleted == (post["visibility"] == "deleted")
        assert one.is_moderated == (post["visibility"] == "hidden")
        if post["text"] is not None:
            assert loose(visible(rendered(one.versions[0].text))) == loose(post["text"]), one.id
        for quoted in post["quotes"]:
            assert f"](old:comment/{quoted['post']})" in one.versions[0].text
    for topic in expected["topics"]:
        ids = [id for id, one in comments.items() if one.on_id == str(topic["id"])]
        assert ids == [str(post) for post in topic["posts"] if str(post) in comments]
    (file,) = whole(reader.attachments())
    data = base64.b64decode(file.content_url.partition(",")[2])
    assert hashlib.sha256(data).hexdigest() == expected["attachments"][0]["sha256"]
    for message, told in zip(whole(reader.messages()), expected["messages"], strict=True):
        seen = {message.author, *(to.id for to in message.to)}
        assert seen == {str(copy["user"]) for copy in told["copies"]}
    move_in(make, config, reader)
    reader.close()
