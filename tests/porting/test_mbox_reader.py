"""Archives of mailing lists as documents: threads, people, character sets, attachments."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.itemtypes import ATTACHMENT, COMMENT
from forumapi.porting.dumps.dump_rows import DumpError
from forumapi.porting.layout import ForumReader, Unreadable
from forumapi.porting.markup import mail_text
from forumapi.porting.readers import open_reader
from forumapi.porting.readers.mbox import MboxReader
from forumapi.wire import legacy_urls
from tests.factories import Factory
from tests.porting.fixtures import whole
from tests.porting.moved import move_in

LIST = "List-Id: Bikes & more <bikes.example.org>\n"


def mail(headers: str, body: str, who: str = "Anna <Anna@example.org>") -> bytes:
    """A message of the list with its postmark."""
    head = f"From anna@example.org Mon Jan  3 10:00:00 2005\nFrom: {who}\n{LIST}{headers}\n"
    return f"{head}\n{body}\n\n".encode()


ARCHIVE = b"".join(
    (
        mail(
            "Message-ID: <1@x>\nDate: Mon, 3 Jan 2005 10:00:00 +0100\nSubject: =?iso-8859-1?q?Gl=FChwein?=\n"
            "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable",
            "Hi *all* =E9 https://example.org/a_(b).\n\n>From here\n\n  code  <b>\n-- =\n\nAnna",
        ),
        # Refers to what is in no archive, as the next one does: both are one thread.
        mail(
            "Message-ID: <3@x>\nDate: Wed, 5 Jan 2005 10:00:00 +0000\nReferences: <0@x> <lost@x>\nSubject: Other",
            "three",
            "ben at example.com (Ben)",
        ),
        mail(
            "Message-ID: <4@x>\nDate: Thu, 6 Jan 2005 10:00:00 +0000\n"
            "In-Reply-To: <lost@x>\nSubject: RE: other",
            "four",
        ),
        # Sent before what it answers, by its clock; no date of its own.
        mail(
            "Message-ID: <2@x>\nIn-Reply-To: <1@x>\nSubject: Re: =?utf-8?b?R2zDvGh3ZWlu?=\n"
            "Content-Type: multipart/mixed; boundary=B",
            "--B\nContent-Type: multipart/alternative; boundary=C\n\n"
            "--C\nContent-Type: text/plain; charset=nonsense\n\n"
            "> Hi\n>> deep\nyes ü\n--C\nContent-Type: text/html\n\n<b>yes</b>\n--C--\n"
            '--B\nContent-Type: text/plain; name="=?utf-8?q?=C3=BC.txt?="\nContent-Disposition: attachment\n\nfile\n'
            "--B\nContent-Type: application/pgp-signature\n\nsig\n--B--",
            '"bob@hidden.example" <bob@example.org>',
        ),
        mail("Message-ID: <5@x>\nDate: Fri, 7 Jan 2005 10:00:00 +0000\nX-No-Archive: yes", "mine"),
        mail("Message-ID: <1@x>\nDate: Fri, 7 Jan 2005 10:00:00 +0000", "again"),
        mail("Message-ID: <6@x>\nDate: nonsense\nContent-Type: text/html", "<p>a <b>b</b></p><script>x</script>"),
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForumReader]:
    folder = tmp_path_factory.mktemp("mbox")
    (folder / "2005-January.txt.gz").write_bytes(gzip.compress(ARCHIVE))
    (folder / "ignored.html").write_bytes(b"<html>")
    made = open_reader("mbox", folder)
    yield made
    made.close()


def test_threads_people_and_rights(reader: ForumReader) -> None:
    assert isinstance(reader, ForumReader)
    assert reader.board().title == "Bikes & more"
    people = {one.email: one for one in whole(reader.profiles())}
    # The name that is an address is not shown.
    assert {email: one.name for email, one in people.items()} == {
        "anna@example.org": "Anna",
        "ben@example.com": "Ben",
        "bob@example.org": "bob",
    }
    (forum,) = whole(reader.forums())
    assert forum.usergroups is not None
    (role,) = forum.usergroups
    assert forum.usergroups_only
    assert not role.include_guests
    assert {one.id for one in role.users} == {one.id for one in people.values()}
    found = list(reader.comments())
    assert [one.reason for one in found if isinstance(one, Unreadable)] == [
        "its author wanted it in no archive",
        "Message-ID: another message has it",
    ]
    posts = [one for one in found if not isinstance(one, Unreadable)]
    talks = {one.id: one.name for one in whole(reader.conversations())}
    by_talk: dict[str, list[str]] = {}
    for one in posts:
        by_talk.setdefault(talks[one.on_id], []).append(one.versions[0].text.splitlines()[-1])
    assert by_talk == {"Glühwein": ["Anna", "yes ü"], "Other": ["three", "four"], "…": ["a **b**"]}
    first, second = (one for one in posts if talks[one.on_id] == "Glühwein")
    assert (first.in_reply_to, second.in_reply_to) == ("", first.id)
    assert (first.versions[0].headline, second.versions[0].headline) == ("", "")
    assert str(first.date_created) == "2005-01-03 09:00:00+00:00"
    assert str(second.date_created) == "2005-01-03 10:00:00+00:00"
    assert first.versions[0].text.split("\n\n") == [
        "Hi \\*all\\* é <https://example.org/a_(b)>.",
        "From here",
        "```\n  code  <b>\n```",
        "\\--\nAnna",
    ]
    assert second.versions[0].text.startswith("> Hi\n>\n> > deep\n\nyes ü")
    (file,) = whole(reader.attachments())
    assert (file.name, file.content_size) == ("ü.txt", 4)
    address = f"/hyperkitty/list/bikes@example.org/message/{first.id}/"
    match = legacy_urls.load()["mbox"].read(address)
    assert match is not None
    assert match.old_id == first.id


def test_an_archive_moves_in(make: Factory, config: Config, reader: ForumReader) -> None:
    moved, plan, _ = move_in(make, config, reader)

    assert (plan.come["comments"], plan.stay["comments"]) == (5, 2)
    posts = {one.id for one in reader.comments() if not isinstance(one, Unreadable)}
    assert posts <= set(moved.ids(COMMENT))
    assert len(moved.ids(ATTACHMENT)) == 1


@pytest.mark.parametrize(
    ("typed", "markdown"),
    [
        ("a\nb\n\nc", "a\nb\n\nc"),
        ("# no title\n1. none", "\\# no title\n1\\. none"),
        ("> a\n> > b\n> c\nd", "> a\n>\n> > b\n>\n> c\n\nd"),
        (">" * 50 + " x", "> " * 20 + "x"),
    ],
)
def test_plain_text_has_no_signs(typed: str, markdown: str) -> None:
    assert mail_text.from_plain(typed) == markdown


def test_flowed_lines_are_joined() -> None:
    typed = "one \ntwo\n> quoted \n> on\n-- \nme \n"

    assert mail_text.from_plain(typed, flowed=True).split("\n")[:3] == [
        "one two",
        "",
        "> quoted on",
    ]
    assert mail_text.from_plain("o \nne", flowed=True, delete_space=True) == "one"


def test_html_keeps_structure_and_links() -> None:
    html = (
        "<p>a<br>b</p><blockquote><i>q</i></blockquote><ul><li>x<li>y</ul>"
        '<a href="https://a.example/">l</a> <a href="javascript:x">m</a><img src=x>'
    )

    assert mail_text.from_html(html) == ("a\nb\n\n> *q*\n\n- x\n- y\n\n[l](https://a.example/) m")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<html>", "is no mbox"),
        (b"", "holds no message"),
        (gzip.compress(ARCHIVE)[:-20], "cut off or damaged"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "a.mbox").write_bytes(data)

    with pytest.raises(DumpError, match=told):
        MboxReader(tmp_path / "a.mbox")


def test_parts_within_parts_without_end_are_no_text(tmp_path: Path) -> None:
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(2_000)
    )
    data = f"From a@example.org Mon Jan  3 10:00:00 2005\nFrom: a@example.org\n{deep}\n"
    (tmp_path / "a.mbox").write_text(data)
    reader = MboxReader(tmp_path / "a.mbox")

    assert [one.versions[0].text for one in whole(reader.comments())] == [""]
    reader.close()
