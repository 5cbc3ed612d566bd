"""Boards made by other products, with what an import must find (forum-import-fixture/1).

They lie in the folder that FORUMAPI_FORUM_FIXTURES names; tests that need them are left out without it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from forumapi.porting.layout import ForumReader, PortedComment, PortedForum, PortedRole, Unreadable
from forumapi.porting.markup import foreign_markdown
from forumapi.text import render

FOLDER = os.environ.get("FORUMAPI_FORUM_FIXTURES", "")
needs_fixtures = pytest.mark.boards


class Board(NamedTuple):
    """Board: its dump, its files, and what its product answered."""

    dump: Path
    files: Path
    expected: Mapping[str, Any]


def board(name: str, database: str = "mysql") -> Board:
    """Return a board of the fixtures."""
    folder = Path(FOLDER) / name
    more = f"-{database}" if database == "postgresql" and (folder / "mysql.sql.gz").exists() else ""
    expected = json.loads(gzip.decompress((folder / f"expected{more}.json.gz").read_bytes()))
    ending = "db" if database == "intermediate" else "sql"
    return Board(folder / f"{database}.{ending}.gz", folder / f"files{more}", expected)


def comparison() -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Return the rules by which texts are compared: `visible_text` of HTML, and `loose` of a text."""
    spec = importlib.util.spec_from_file_location("visible_text", Path(FOLDER) / "visible_text.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.visible_text, module.loose


def rendered(markdown: str) -> str:
    """Render Markdown as a comment's, with links to things of the old forum leading somewhere."""
    resolved = re.sub(r"\]\(old:(\w+)/([^)]+)\)", r"](https://f.example/\1/\2)", markdown)
    # Longer texts are the loader's affair.
    pieces = []
    for start in range(0, len(resolved), render.MAX_SOURCE):
        piece = resolved[start : start + render.MAX_SOURCE]
        draft = render.prepare(piece, own_hosts=frozenset(), file_host=None)
        pieces.append(render.finish(draft, mentions={}, short_links={}).html)
    return "".join(pieces)


def whole(stream: Iterable[Any]) -> list[Any]:
    """Return the documents of a stream; none of a fixture's is unreadable."""
    found = list(stream)
    assert not [one for one in found if isinstance(one, Unreadable)]
    return found


class Difference(NamedTuple):
    """Text that is not shown as the product showed it."""

    post: str
    is_loose: bool
    ours: str
    theirs: str


def compare_texts(
    comments: Iterable[PortedComment],
    posts: Iterable[Mapping[str, Any]],
    theirs: Callable[[str], str],
) -> list[Difference]:
    """Compare the visible texts of posts. `theirs` prepares the product's HTML."""
    visible, loose = comparison()
    texts = {comment.id: comment.versions[-1].text for comment in comments}
    found = []
    for post in posts:
        ours, other = visible(rendered(texts[str(post["id"])])), visible(theirs(post["html"]))
        if ours != other:
            is_loose = loose(ours) == loose(other)
            found.append(Difference(str(post["id"]), is_loose, ours, other))
    return found


def readers_of(
    forum: PortedForum, roles: Mapping[str, PortedRole], members: Iterable[str], guest: str
) -> set[str]:
    """Work out who may read a forum by the roles of the layout, the guest included."""
    assert forum.usergroups is not None and forum.usergroups_only
    reading: set[str] = set()
    barred: set[str] = set()
    for listed in forum.usergroups:
        role = roles.get(listed.id, listed)
        people = {one.id for one in role.users}
        if role.include_registered_users:
            people |= set(members)
        if role.include_guests:
            people.add(guest)
        if listed.is_banned:
            barred |= people
        elif listed.forum_permissions.can_view:
            reading |= people
    return reading - barred


def compare_by_hand(reader: ForumReader, expected: Mapping[str, Any]) -> None:
    """Compare a reader's documents with a board made without its product: people, rights, posts, texts, messages."""
    roles = {one.id: one for one in whole(reader.roles())}
    members = [one.id for one in whole(reader.profiles())]
    for forum in whole(reader.forums()):
        told = next(one for one in expected["forums"] if str(one["id"]) == forum.id)
        # Such a board lacks the rights of the whole site: guests get nothing.
        allowed = {str(one) for one in told["access"]["read"]} - {"0"}
        allowed |= {str(ban["user"]) for ban in expected["bans"] if told["visibility"] == "public"}
        assert readers_of(forum, roles, members, "0") <= allowed, forum.name
        assert readers_of(forum, roles, members, "0"), forum.name
    comments = {one.id: one for one in whole(reader.comments())}
    visible, loose = comparison()
    for post in expected["posts"]:
        one, author = comments[str(post["id"])], post["author"]
        assert (one.on_id, one.author) == (str(post["topic"]), str(author["user"] or ""))
        assert one.is_deleted == (post["visibility"] == "deleted"), one.id
        assert one.is_moderated == (post["visibility"] == "unapproved"), one.id
        if post["text"] is not None:
            ours = loose(visible(rendered(one.versions[0].text)))
            assert ours == loose(foreign_markdown.with_emoji(post["text"])), one.id
    for topic in expected["topics"]:
        ids = [id for id, one in comments.items() if one.on_id == str(topic["id"])]
        assert topic["shadow_of"] or ids == [str(post) for post in topic["posts"]]
    messages = {one.id.removeprefix("text-"): one for one in whole(reader.messages())}
    for message in expected["messages"]:
        one = messages[str(message["id"])]
        seen = {to.id for to in (*one.to, *one.bcc)} | (
            {one.author} - {""} if not one.is_deleted else set()
        )
        assert seen == {str(copy["user"]) for copy in message["copies"]}, one.id
    for file, told in zip(whole(reader.attachments()), expected["attachments"], strict=True):
        opened = reader.open(file)
        data = opened.read() if opened else base64.b64decode(file.content_url.partition(",")[2])
        assert hashlib.sha256(data).hexdigest() == told["sha256"]


def is_reader(reader: ForumReader) -> bool:
    """Return True if a reader keeps to the protocol."""
    return isinstance(reader, ForumReader)
