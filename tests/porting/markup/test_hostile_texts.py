"""Texts that were made to take long: converters need time in proportion to a text's length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from forumapi.porting.loading.links import OldLinks
from forumapi.porting.markup import discourse_text, foreign_markdown, mail_text
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.discourse_text import DiscourseText
from forumapi.porting.markup.phpbb_text import PhpbbText
from forumapi.porting.markup.smf_text import SmfText
from forumapi.porting.markup.xenforo_vbulletin_text import XenforoVbulletinText
from forumapi.wire import legacy_urls

SIZE = 100_000
# Seconds of the processor; a tenth of them is usual, quadratic ones took from 3 to more than 25.
MOST = 2.0


def _smf(text: str) -> None:
    SmfText([":)"]).convert(text)


def _old(text: str) -> None:
    PhpbbText().convert(text, "u1")


def _xml(text: str) -> None:
    PhpbbText().convert(f"<r>{text}</r>")


def _markdown(text: str) -> None:
    text = foreign_markdown.with_rules_and_code(text)
    text = foreign_markdown.without_tables(foreign_markdown.without_html(text))
    text = foreign_markdown.with_quotations(text, str)
    text = foreign_markdown.with_emoji(foreign_markdown.without_bbcode(text))
    foreign_markdown.with_people(foreign_markdown.with_addresses(text, ()), {})


def _bbcode(text: str) -> None:
    XenforoVbulletinText().convert(text)


def _plain_mail(text: str) -> None:
    mail_text.from_plain(text)


def _flowed_mail(text: str) -> None:
    mail_text.from_plain(text, flowed=True, delete_space=True)


def _html_mail(text: str) -> None:
    mail_text.from_html(text)


def _discourse(text: str) -> None:
    DiscourseText({}, lambda topic, number: "", lambda key: None, "").convert(text)
    discourse_text.files(text)
    discourse_text.choices(text, "none")


@pytest.mark.sliced(8)
@pytest.mark.parametrize(
    ("convert", "piece"),
    [
        *(
            (_bbcode, piece)
            for piece in (
                *('[quote="a', "[code]", "[url]", "[b] x [/b] ", "[list][*]", "[quote=a, post: 1]"),
                *("[url]x[/url]", "a http://", '[attach x="', "[list][*]x\n[/list]"),
            )
        ),
        *((_plain_mail, piece) for piece in (">", "> ", ">x\n>>y\n", "http://(", " \n", "x \n")),
        *((_html_mail, piece) for piece in ("<b>", "<p>x", "<a ", "<!--", "</b>", "<li>x")),
        *(
            (_discourse, piece)
            for piece in (
                *(
                    "[poll]",
                    "[poll][/poll",
                    '[chat quote="a',
                    "[date=2020-01-01",
                    "[x|1x1",
                    "<img ",
                ),
                *("[details=", "upload://a", "/uploads/a", "[^a", "](/t/", "@a.", ":a", "[/poll]"),
            )
        ),
        *(
            (_smf, piece)
            for piece in (
                *("[quote=&quot;", "[url=&quot;", "[code]", "[url]", "[img]", "[img width=&quot;"),
                *(
                    "[quote author=a",
                    "[list][*]",
                    "[*]x\n",
                    "[b] x [/b] ",
                    "a http://",
                    "[attach id=1]",
                ),
            )
        ),
        *(
            (_old, piece)
            for piece in (
                *(
                    "[quote=&quot;a:u1]",
                    "[url=&quot;x",
                    "[code:u1]",
                    "[url:u1]",
                    "[b:u1] x [/b:u1]",
                ),
                *('<!-- m --><a href="', "<!-- s:) --><img ", "[*:u1]"),
            )
        ),
        *((_xml, piece) for piece in ("<B> x </B>", "x<br/>\n", "<E>:)</E>", "&#128690;")),
        *(
            (_markdown, piece)
            for piece in (
                *("[code]", '[quote="', "[quote]", "[spoiler]", "[quote]x[/quote]", "`", "<a "),
                *("|-|-\n", "[1]:", "](", "@a ", ":smile:", "```\n"),
            )
        ),
    ],
)
def test_a_text_takes_no_longer_than_its_length(convert: Callable[[str], None], piece: str) -> None:
    start = time.process_time()
    convert(piece * (SIZE // len(piece)))

    assert time.process_time() - start < MOST


LINKS = OldLinks(("https://old.example.org",), legacy_urls.load()["phpbb"])
ADDRESS = "https://old.example.org/viewtopic.php?t=1"


def _links(text: str) -> None:
    whole = f"old: {text} {ADDRESS}"
    LINKS.named(whole)
    LINKS.rewrite(whole, {})


@pytest.mark.parametrize(
    ("convert", "beginning", "piece"),
    [
        (_smf, "[img", " alt=&quot;&quot;"),
        (_smf, "[attach", " name=&quot;&quot;"),
        (_smf, "http://a.example.org/", ")"),
        (_discourse, "<img ", 'src="a" '),
        (_links, "", "\\["),
        (_links, "", "<https://old.example.org/"),
        (_links, ADDRESS, "."),
    ],
)
def test_what_follows_a_beginning_takes_no_longer_either(
    convert: Callable[[str], None], beginning: str, piece: str
) -> None:
    start = time.process_time()
    convert(beginning + piece * (SIZE // len(piece)))

    assert time.process_time() - start < MOST


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize(
    ("convert", "piece", "end", "size"),
    [
        (_bbcode, "[b]", "[/b]", 200_000),
        (_flowed_mail, "x \n", "", 1 << 20),
        (_html_mail, "<![if x>", "", 1 << 19),
        (_html_mail, "<!<!----x>", "", 1 << 19),
    ],
)
def test_what_comes_before_an_end_takes_no_longer_either(
    convert: Callable[[str], None], piece: str, end: str, size: int
) -> None:
    start = time.process_time()
    convert(piece * (size // len(piece)) + end)

    assert time.process_time() - start < MOST


def test_pictures_of_html_and_long_numbers_are_read() -> None:
    file = PostFile("7", "a.png", is_picture=True)
    text = DiscourseText({}, lambda topic, number: "", lambda key: file, "https://old.example.org")
    tag = '<img width="9" src="upload://a1.png" height="9">'

    assert text.convert(f"{tag} <img src=b>") == "![a.png](old:attachment/7) <img src=b>"
    # Python converts no text of more than 4,300 digits into a number.
    address = "/t/x/" + "1" * 5_000
    assert text.convert(f"[a]({address})") == f"[a](https://old.example.org{address})"


def test_escaped_brackets_and_backslashes_before_links_stay() -> None:
    assert LINKS.named(ADDRESS) == {("conversation", "1")}
    assert LINKS.rewrite(rf"\[a]({ADDRESS}) old:", {}).text == rf"\[a]({ADDRESS}) old:"
    assert LINKS.rewrite(r"x\\[a](old:comment/1)", {}).text == r"x\\a"
