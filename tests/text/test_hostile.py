"""Hostile input: a public list of script injections, and texts made to be slow.

The payloads come from the package brs-kb (MIT), which collects those of PortSwigger, OWASP and
others, Markdown and sanitiser bypasses among them.
"""

from __future__ import annotations

import time
from functools import cache

import pytest

from forumapi.text import render, short_text_cleaning
from forumapi.text.sanitise import sanitise
from tests.text.html_tree import assert_safe
from tests.text.pipeline import SITE, before_step_10, content, html

LIMIT_S = 2.0
"""Of CPU time, for a text that needs 0.6 s at most here and 1 s by rule on a slower machine."""


@cache
def payloads() -> list[str]:
    # A second to import, which other test processes need not wait for.
    from brs_kb.payloads import get_all_payloads

    return sorted({entry.payload for entry in get_all_payloads().values()})


SURROUNDINGS = [
    "{}",
    "a {} b",
    "[a]({})",
    "![{}](/a.png)",
    "<a href=\"{}\" title='{}'>a</a>",
    "[quote={}]{}[/quote]",
    "a|b\n-|-\n{}|`{}`",
]


@pytest.mark.wide
def test_the_list_is_there() -> None:
    assert len(payloads()) > 4_000


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize(
    "surrounding",
    [SURROUNDINGS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in SURROUNDINGS[1:])],
)
def test_no_payload_stays_active(surrounding: str) -> None:
    for payload in payloads():
        source = surrounding.replace("{}", payload)
        plain = html(source)
        assert_safe(plain)
        assert sanitise(before_step_10(plain)) == before_step_10(plain), payload
        if "://" in source:
            assert_safe(content(source, shorten=True).html, frames=True)


@pytest.mark.wide
def test_no_payload_survives_cleaning() -> None:
    for payload in payloads():
        for grade in (
            short_text_cleaning.word,
            short_text_cleaning.sentence,
            short_text_cleaning.block,
        ):
            cleaned = grade(payload)
            assert not set("<>\"'\x00") & set(cleaned)
            assert grade(cleaned) == cleaned


FILLS = [
    *(
        ">",
        "> ",
        "- ",
        "* ",
        "1. ",
        ">- ",
        "  - a\n",
        "[",
        "![",
        "[a](",
        "[a](<b",
        "*a ",
        "**a *b",
        "_",
    ),
    *(
        "`",
        "``a` ",
        "```\n",
        "~~~\n```\n",
        "~~a ",
        "<",
        "<!--",
        "<?",
        "<!A ",
        "<![CDATA[",
        "&",
        "&#0;",
    ),
    *(
        "<b>",
        "<div>",
        "<p>",
        "<table>",
        "<td>",
        "<table><tr><td>",
        "<table><b>",
        "<ul><li>",
        "<li>",
    ),
    *(
        "</b>",
        "</p>",
        "<b><p>",
        "<b title='x'>",
        "<a href='http://a.example/'>",
        "<ruby><rt>",
        "<h1>",
    ),
    *(
        "<img src=x>",
        "<br>",
        "<script>",
        "<script></script>",
        "<object>",
        "<object></object>",
        "<svg>",
    ),
    *("<a b='c' ", "<a =", '<a ="', "<a b='", "<b\n", "<div a='\n\n", "</", "</a", "<template>"),
    *(
        "@",
        "@a ",
        "@a,@b ",
        "#",
        "#a ",
        "#1",
        "#1a ",
        "www.",
        "www.a ",
        "_www.",
        "xwww.__",
        "mailto:",
    ),
    *(
        "http://",
        "http://a.example ",
        "(http://a.example/ ",
        "a@b.example ",
        "a@",
        "xmpp:a@b.example/",
    ),
    *(
        "[b]",
        "[b]a[/b]",
        "[quote]a[/quote]",
        "[url=",
        "[url=a]b[/url]",
        "[list=",
        "[*]",
        "[img]",
        "[/b]",
    ),
    *(
        "a",
        "A",
        "漢",
        "a\u200d",
        "e\u0301",
        "👩\u200d",
        "\x00",
        "\u2028",
        "\t",
        "\n",
        "a\n",
        "    ",
        "x" * 41 + " ",
    ),
    *(
        "[a]: b\n",
        "[a][a]",
        "![a](b)",
        "|",
        "a|b\n-|-\n|c\n\n",
        "a|b\n-|-\n\n",
        "|\n",
        "|-\n",
        "\\",
        "\\`",
    ),
    *("https://youtu.be/abcdefghijk ", "https://www.google.com/calendar/embed?src=a&src=b "),
]

LONG_VALUE = "x" * 20_000
BOMBS = {
    "depth of quotes, line by line": "".join(">" * depth + "a\n" for depth in range(310)),
    "runs of backticks": "".join("`" * size + "a" for size in range(1, 315)),
    "a table filled up": "|a" * 300 + "\n" + "|-" * 300 + "\n" + "|b\n" * 16_000,
    "a wide table": "|a" * 8_000 + "\n" + "|-" * 8_000 + "\n" + "|b\n" * 5_000,
    "many filled tables": ("|a" * 70 + "\n" + "|-" * 70 + "\n" + "|b\n" * 143 + "\n") * 70,
    "a tail of brackets": "http://a.example/" + ")" * 49_000,
    "a reference used often": "[a]: /" + LONG_VALUE + "\n\n" + "[a] " * 7_000,
    "bold copied into paragraphs": f"<b title='{LONG_VALUE}'>" + "<p>x" * 7_000,
    "bold copied by a cell": f"<b title='{LONG_VALUE}'>" + "<table><td>x</b></table>" * 1_200,
    "a link copied into paragraphs": f"<a href='http://a.example/{LONG_VALUE}'>" + "<p>x" * 7_000,
    "a link copied into items": f"<ul><a href='http://a.example/{LONG_VALUE}'>" + "<li>x" * 5_000,
    "bold copied into cells": f"<table><tr><td><b title='{LONG_VALUE}'>" + "<td>x" * 5_000,
    "bold copied by blank lines": f"<b title='{LONG_VALUE}'>" + "\n\nx" * 9_000,
    "many open at once": "<p>" + "".join(f"<b title='{n}'>" for n in range(49)) + "<p>x" * 12_000,
    "what a table gives out": "<table>" + "x<br>" * 9_900,
    "headings in headings": f"<h1><b title='{LONG_VALUE}'>" + "<h1>x" * 5_000,
}


def _measure(source: str) -> None:
    """Renders and cleans `source`: in time, safely, finally, and to nothing out of proportion."""
    start = time.process_time()
    draft = render.prepare(source, own_hosts=SITE, file_host=None)
    rendered = render.finish(
        draft,
        mentions=dict.fromkeys(draft.mention_names, 7),
        short_links={url: f"https://forum.example/out/k{n}" for n, url in enumerate(draft.urls)},
    ).html
    assert time.process_time() - start < LIMIT_S
    assert len(rendered) < 20 * len(source) + 50_000

    start = time.process_time()
    cleaned = short_text_cleaning.block(source)
    assert time.process_time() - start < LIMIT_S
    assert len(cleaned) <= 5 * len(source)

    plain = before_step_10(render.finish(draft, mentions={}, short_links={}).html)
    assert sanitise(plain) == plain


@pytest.mark.parametrize("fill", FILLS, ids=ascii)
def test_no_repetition_is_slow(fill: str) -> None:
    _measure((fill * 3_000)[:3_000])


@pytest.mark.sliced(12)
@pytest.mark.slow
@pytest.mark.parametrize("fill", FILLS, ids=ascii)
def test_no_repetition_of_full_length_is_slow(fill: str) -> None:
    _measure((fill * render.MAX_SOURCE)[: render.MAX_SOURCE])


@pytest.mark.sliced(4)
@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_bomb_goes_off(bomb: str) -> None:
    _measure(BOMBS[bomb][: render.MAX_SOURCE])


def test_tables_are_bounded_and_ordinary_ones_are_whole() -> None:
    ordinary = "a|b|c\n-|-|-\n" + "1|2|3\n" * 500
    assert html(ordinary).count("<td>") == 1_500
    assert len(html(BOMBS["a wide table"][:50_000])) < 300_000
