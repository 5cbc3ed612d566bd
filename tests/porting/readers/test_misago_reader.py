"""Misago's tables and texts as documents: a small board by hand, and the board that the product made itself."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi.porting.layout import ForumReader
from forumapi.porting.markup import foreign_markdown
from forumapi.porting.readers import misago, open_reader
from tests.porting import fixtures
from tests.porting.fixtures import board, needs_fixtures, readers_of, whole

SMALL = (Path(__file__).parents[1] / "boards" / "misago.sql").read_text()


def everything(stream: Iterable[Any]) -> list[Any]:
    """Return the documents of a stream, and what stands for unreadable ones."""
    return list(stream)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    folder = tmp_path_factory.mktemp("misago")
    (folder / "board.sql").write_text(SMALL)
    (folder / "media/attachments").mkdir(parents=True)
    (folder / "media/attachments/p.png").write_bytes(b"picture")
    made = open_reader("misago", folder / "board.sql", folder)
    yield made
    made.close()


@pytest.mark.parametrize(
    "written",
    [
        *("null", "7", '["a"]', '"a"', "{", "[" * 100_000),
        '{"misago.categories.permissions": 7, "misago.threads.permissions.threads": [1]}',
    ],
)
def test_json_of_another_kind_ends_no_reading(tmp_path: Path, written: str) -> None:
    role = next(line for line in SMALL.splitlines() if line.startswith('3\t{"misago'))
    poll = next(line for line in SMALL.splitlines() if '[{"hash"' in line)
    choices = next(field for field in poll.split("\t") if field.startswith("[{"))
    spoilt = SMALL.replace(role, f"3\t{written}").replace(choices, written)
    (tmp_path / "board.sql").write_text(spoilt)
    reader = open_reader("misago", tmp_path / "board.sql", tmp_path)

    assert len(whole(reader.forums())) == 3
    assert len(everything(reader.polls())) == 1
    assert misago._avatar("1", written) is None
    reader.close()


@pytest.mark.parametrize("days", [10**7, 10**12, -(10**6)])
def test_a_poll_of_absurd_length_has_no_end(tmp_path: Path, days: int) -> None:
    spoilt = SMALL.replace("}]\t2\t3\t2021-", f"}}]\t2\t{days}\t2021-")
    assert spoilt != SMALL
    (tmp_path / "board.sql").write_text(spoilt)
    reader = open_reader("misago", tmp_path / "board.sql", tmp_path)

    assert [poll.closes for poll in everything(reader.polls())] == [None]
    reader.close()


def test_people_and_rights(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    assert reader.board().title == "Old & co"
    people = {one.id: one for one in whole(reader.profiles())}
    assert [id for id, one in people.items() if one.is_banned] == ["2"]
    assert [id for id, one in people.items() if not one.is_visible] == ["3"]
    assert [(one.key, one.value) for one in people["1"].attributes] == [
        ("bio", 'Likes "glue"'),
        ("signature", "**hi**"),
    ]
    roles = {one.id: one for one in whole(reader.roles())}
    forums = whole(reader.forums())
    assert [(one.id, one.parent_id, one.is_open) for one in forums] == [
        ("3", "", True),
        ("4", "", True),
        ("5", "4", False),
    ]
    assert {one.id: readers_of(one, roles, list(people), "guest") for one in forums} == {
        # Guests would see their own threads alone: they see none.
        "3": {"1", "2", "3"},
        "4": {"1"},
        # Whoever does not see a category sees none below it.
        "5": {"1"},
    }
    assert [[one.id for one in forum.moderators] for forum in forums] == [[], ["1"], []]


def test_threads_and_posts(reader: ForumReader) -> None:
    first, hidden = whole(reader.conversations())
    assert (first.name, first.is_sticky, first.is_open) == ("Hello & <b>", True, False)
    assert (hidden.author, hidden.author_name, hidden.is_deleted) == ("", "Gone", True)
    posts = {one.id: one for one in whole(reader.comments())}
    # Events are no posts, and private ones stand elsewhere.
    assert list(posts) == ["11", "12", "14"]
    assert posts["11"].versions[0].text == (
        "Hi [@bob](old:profile/2) \\<b>x\\</b> ![p](old:attachment/1)"
    )
    assert posts["11"].versions[0].editor == "2"
    assert posts["12"].versions[0].text == "> <cite>[Ann](old:profile/1):</cite>\n>\n> Hi\n\n\nYes"
    assert (posts["12"].is_deleted, posts["14"].is_moderated) == (True, True)
    (poll,) = whole(reader.polls())
    assert [(one.id, one.text, one.votes) for one in poll.choices] == [
        ("aa", "A", 3),
        ("bb", "B", 0),
    ]
    assert [one.author for one in poll.ballots] == ["2"]
    assert str(poll.closes) == "2021-01-04 10:00:00+00:00"
    (file,) = whole(reader.attachments())
    opened = reader.open(file)
    assert opened is not None
    assert (opened.read(), file.mimetype) == (b"picture", "image/png")


def test_private_threads_are_seen_by_who_is_in_them(reader: ForumReader) -> None:
    found = whole(reader.messages())

    # The one who began it has left.
    assert [(one.id, one.author, one.is_deleted, [to.id for to in one.to]) for one in found] == [
        ("15", "2", True, ["1", "3"]),
        ("16", "1", False, ["3"]),
    ]
    assert {one.root_id for one in found} == {"thread-3"}
    assert [(one.profile, one.email) for one in whole(reader.bans())] == [
        ("2", ""),
        ("", "*@spam.example.com"),
    ]
    (follow,) = whole(reader.follows())
    assert ([one.id for one in follow.users], follow.users_ignored) == (["2"], ("3",))
    assert [(one.author, one.on_id) for one in whole(reader.reactions())] == [("2", "11")]


@pytest.mark.parametrize(
    ("typed", "markdown"),
    [
        ("a <b>x</b> `<b>` <http://a.example>", "a \\<b>x\\</b> `<b>` <http://a.example>"),
        ("x\n\n    <b>\n\n<i>", "x\n\n    <b>\n\n\\<i>"),
        ("| a |\n|---|---|", "| a |\n\\|---|---|"),
        ("[1]: http://a.example", "\\[1]: http://a.example"),
    ],
)
def test_what_the_product_shows_as_typed(typed: str, markdown: str) -> None:
    assert foreign_markdown.without_tables(foreign_markdown.without_html(typed)) == markdown


@pytest.mark.parametrize(
    ("typed", "markdown"),
    [
        ("[quote]a[/quote] b", "\n> a\n\n b"),
        ('[quote="A"]\n[quote="B"]\nx\n[/quote]', '\n> A\n>\n>\n> \\[quote="B"]\n>\n> x'),
        ("[spoiler]s[/spoiler]", "\n<details>\n<summary>…</summary>\n\ns\n\n</details>"),
        ("`[quote]` [/quote]", "`[quote]`\n\\[/quote]"),
        ("```\n[quote]\n```", "```\n[quote]\n```"),
    ],
)
def test_tags_of_quotations(typed: str, markdown: str) -> None:
    found = foreign_markdown.with_quotations(typed, lambda name: name)

    assert found.replace(">\n", "\n").split() == markdown.replace(">\n", "\n").split()


# Posts whose text differs for a reason: the product shows addresses without their beginning, an entity that is none as
# another, pictures by their address, and repeats a word beside a mention of nobody.
EXPLAINED = {"14", "15", "18", "46", "47"}


@needs_fixtures
@pytest.mark.wide
def test_the_products_board() -> None:
    fixture = board("misago-0.39", "postgresql")
    expected = fixture.expected
    reader = open_reader("misago", fixture.dump, fixture.files)
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
        assert one.is_moderated == (post["visibility"] == "unapproved")
    for topic in expected["topics"]:
        assert order[str(topic["id"])] == topic["posts"]
    differences = fixtures.compare_texts(comments, expected["posts"], str)
    assert {one.post for one in differences if not one.is_loose} == EXPLAINED
    files = {one.id: one for one in whole(reader.attachments())}
    for file in expected["attachments"]:
        opened = reader.open(files[str(file["id"])])
        assert (hashlib.sha256(opened.read()).hexdigest() if opened else None) == file["sha256"]
    messages = {one.id: one for one in whole(reader.messages())}
    for message in expected["messages"]:
        one = messages[str(message["id"])]
        seen = {to.id for to in one.to} | ({one.author} if not one.is_deleted else set())
        assert seen == {str(copy["user"]) for copy in message["copies"]}
    reader.close()
