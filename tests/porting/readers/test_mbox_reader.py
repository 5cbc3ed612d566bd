"""Archives of mailing lists as documents: threads, people, character sets, attachments."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.itemtypes import ATTACHMENT, COMMENT
from forumapi.porting.dumps import mbox_file
from forumapi.porting.dumps.dump_types import DumpError
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


@pytest.mark.wide
def test_parts_within_parts_without_end_are_no_text(tmp_path: Path) -> None:
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(2_000)
    )
    data = f"From a@example.org Mon Jan  3 10:00:00 2005\nFrom: a@example.org\n{deep}\n"
    (tmp_path / "a.mbox").write_text(data)
    reader = MboxReader(tmp_path / "a.mbox")

    assert [one.versions[0].text for one in whole(reader.comments())] == [""]
    reader.close()


def _read(folder: Path, *mails: bytes) -> MboxReader:
    (folder / "a.mbox").write_bytes(b"".join(mails))
    return MboxReader(folder / "a.mbox")


HOSTILE_HEADERS = (
    "Subject: " + "=?a?q?x" * 150_000,
    "References: " + "=?a?q?x" * 150_000,
    f"List-Id: =?utf-8?q?{'_' * 1_500}?=\nSubject: x",
    'Content-Type: text/plain; a="' + ";" * (1 << 20),
    "Content-Type: text/plain; charset=punycode",
)


@pytest.mark.parametrize("number", range(len(HOSTILE_HEADERS)))
def test_a_mail_takes_no_longer_than_its_length(tmp_path: Path, number: int) -> None:
    body = "a" * 200_000 + "-" + "b" * 200_000 if "punycode" in HOSTILE_HEADERS[number] else "text"
    head = f"Message-ID: <1@x>\n{HOSTILE_HEADERS[number]}"
    data = mail(head, body)
    if "List-Id: =" in head:
        data = data.replace(LIST.encode(), b"")
    start = time.process_time()
    reader = _read(tmp_path, data)
    (comment,) = whole(reader.comments())
    list(reader.attachments())
    reader.close()

    assert time.process_time() - start < 2
    assert comment.versions[0].text in ("text", body)


def test_a_line_of_a_mebibyte_is_no_postmark_and_takes_no_longer(tmp_path: Path) -> None:
    line = b"From " + b"1:11 " * 200_000
    (tmp_path / "a.mbox").write_bytes(line)
    start = time.process_time()

    with pytest.raises(DumpError, match="is no mbox"):
        MboxReader(tmp_path / "a.mbox")
    # Lines that are short enough, after blank ones.
    short = b"From " + b"1:11 " * 90 + b"\n\n"
    data = b"From a Mon Jan  3 10:00:00 2005\n\n" + short * (len(line) // len(short))
    (tmp_path / "a.mbox").write_bytes(data)
    (message,) = mbox_file.read(tmp_path / "a.mbox")
    assert len(message.data or b"") == len(data) - 32
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("From anna@example.org Mon Jan  3 10:00:00 2005", True),
        ("From anna at example.org  Mon Jan  3 10:00 2005 +0100", True),
        ("From 1:00 to 2:00 in 2005", True),
        ("From here on 10:00", False),
        ("From 2005 at 10:00", False),
        ("From a 10:00 2005 and much more that is no date", False),
    ],
)
def test_postmarks_name_a_time_and_then_a_year(tmp_path: Path, line: str, is_one: bool) -> None:
    first = "From a Mon Jan  3 10:00:00 2005\n\n"
    (tmp_path / "a.mbox").write_text(f"{first}{line}\n\nx\n")

    assert len(list(mbox_file.read(tmp_path / "a.mbox"))) == 1 + is_one


def test_ends_of_long_headers_are_counted(tmp_path: Path) -> None:
    reader = _read(tmp_path, mail("Message-ID: <1@x>\nSubject: " + "x" * 5_000, "text"))

    (talk,) = whole(reader.conversations())
    assert talk.name == "x" * 2_000
    list(reader.comments())
    list(reader.attachments())
    assert reader.unsaid() == {"end of a header subject above 2000 characters": 1}
    reader.close()


def test_a_damaged_mail_stays_alone(tmp_path: Path) -> None:
    good = mail("Message-ID: <0@x>\nSubject: good", "good")
    # Deep enough that it is parsed and can't be written again.
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(300))
    damaged = (
        mail("Message-ID: <1@x>\nSubject: =?utf-8?b?a?=", "bad base64"),
        mail("Message-ID: <2@x>\nContent-Type: text/html", "a <![foo[ b ]]> <![1 c> d"),
        mail("Message-ID: <3@x>\nDate: Fri, 31 Dec 9999 23:59:59 -2300", "late"),
        mail('Message-ID: <4@x>\nContent-Type: text/plain; charset="a\0b"', "NUL"),
        mail("Message-ID: <5@x>\nContent-Type: text/plain; charset=idna", "a..b"),
        # Python compares None with a number there.
        mail("Message-ID: <6@x>\nContent-Type: text/plain; name*=a; name*0=b", "continued"),
        mail("Message-ID: <7@x>", "comments", "(" * 1_900 + "a@example.org"),
        mail(
            "Message-ID: <8@x>\nContent-Type: multipart/mixed; boundary=B",
            f"--B\nContent-Type: message/rfc822\n\n{deep}\nx\n--B--",
        ),
    )
    reader = _read(tmp_path, *damaged, good)
    found = list(reader.comments())
    files = list(reader.attachments())
    assert len(list(reader.conversations())) == 8
    reader.close()

    texts = [one.versions[0].text for one in found if not isinstance(one, Unreadable)]
    assert sorted(texts) == ["", "NUL", "a   d", "a..b", "bad base64", "good", "late"]
    damage = "the message is damaged: {}"
    assert [one.reason for one in found if isinstance(one, Unreadable)] == [
        f"headers: {damage.format('RecursionError')}",
        f"text: {damage.format('TypeError')}",
    ]
    assert [one.reason for one in files if isinstance(one, Unreadable)] == [
        f"bytes: {damage.format('RecursionError')}"
    ]
    assert len(files) == 1


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        ("Software: new release", "Software: new release"),
        ("Feature: x", "Feature: x"),
        ("Question re: disks", "Question re: disks"),
        ("Re: AW: Re[2]: disks", "disks"),
        ("[bikes] Re: disks", "[bikes] disks"),
        ("Re: [bikes] disks", "[bikes] disks"),
        ("Re:", "…"),
    ],
)
def test_titles_lose_signs_of_answers_alone(tmp_path: Path, subject: str, title: str) -> None:
    reader = _read(tmp_path, mail(f"Message-ID: <1@x>\nSubject: {subject}", "text"))

    assert [one.name for one in whole(reader.conversations())] == [title]
    reader.close()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Bikes & more <bikes.example.org>", "Bikes & more"),
        ('"Bikes & more" <Bikes.example.org>', "Bikes & more"),
        ("<bikes.example.org>", "bikes"),
    ],
)
def test_lists_have_names_and_ids(tmp_path: Path, written: str, name: str) -> None:
    data = mail("Message-ID: <1@x>", "text").replace(
        LIST.encode(), f"List-Id: {written}\n".encode()
    )
    reader = _read(tmp_path, data)

    assert [one.name for one in whole(reader.forums())] == [name]
    reader.close()


def test_the_temporary_file_lies_in_the_folder_of_the_import(tmp_path: Path) -> None:
    (tmp_path / "a.mbox").write_bytes(ARCHIVE)
    folder = tmp_path / "import"
    folder.mkdir()
    reader = open_reader("mbox", tmp_path / "a.mbox", folder=folder)

    assert len(list(folder.iterdir())) == 1
    reader.close()
    assert not list(folder.iterdir())
    with pytest.raises(DumpError, match="more than 100 bytes"):
        open_reader("mbox", tmp_path / "a.mbox", folder=folder, most=100)
    assert not list(folder.iterdir())
