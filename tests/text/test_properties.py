"""Tests of what holds for every text: only the allowed survives, and the result is final."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forumapi.text import render
from forumapi.text.sanitise import ELEMENTS, sanitise
from tests.text.characters import CHARACTERS
from tests.text.html_tree import assert_safe, nodes
from tests.text.pipeline import JUMP, SITE, before_step_10

FOREIGN = [
    *(
        "svg",
        "math",
        "select",
        "template",
        "style",
        "script",
        "form",
        "button",
        "frameset",
        "title",
    ),
    *("body", "html", "head", "option", "nobr", "marquee", "textarea", "mtext", "mglyph", "desc"),
    *(
        "annotation-xml",
        "foreignObject",
        "plaintext",
        "xmp",
        "listing",
        "input",
        "iframe",
        "object",
    ),
]
names = st.sampled_from([*ELEMENTS, *["table", "td", "tr", "a", "b", "p", "pre"] * 3, *FOREIGN])
attributes = st.sampled_from(
    [
        *("", "", "", " title=x", ' title="<b>"', " href=http://a.example/", " href=javascript:x"),
        *(
            " src=/a.png",
            " /",
            "/",
            " onclick=x",
            " id=x",
            " class=x style=x",
            " cite=data:x",
            " a=b c",
        ),
    ]
)
starts = st.builds("<{}{}>".format, names, attributes)
ends = st.builds("</{}>".format, names)
marks = st.sampled_from(
    [
        *(
            "* ",
            "> ",
            "`",
            "**",
            "_",
            "```\n",
            "|",
            "-|-\n",
            "[a](b)",
            "![x](/y.png)",
            "1. ",
            "    ",
        ),
        *(
            "[b]",
            "[/b]",
            "[quote]",
            "[/quote]",
            "[url=",
            "]",
            "http://a.example/ ",
            "www.a.example",
        ),
        *("@bob ", "#tag ", "https://youtu.be/abcdefghijk ", "\\", "# ", "\n", "\n\n", " "),
    ]
)
broken = st.sampled_from(
    [
        *(
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<?x",
            "?>",
            "<!x",
            "</",
            "<",
            "<a href='",
            '">',
            "='",
        ),
        *('<img src=x alt="', "</script>", "<script>", "javascript:", "&lt;", "&#10;", "&nbsp;"),
        *("&#13;", "&", "&#0;", "&zwj;", "&shy;", "\x00", "\u202e", "\ue000", "\U000f0000", "\r"),
    ]
)
sources = st.one_of(
    st.lists(
        st.one_of(starts, ends, marks, broken, st.text(CHARACTERS, max_size=5)), max_size=30
    ).map("".join),
    st.text(CHARACTERS),
)


@pytest.mark.wide
@settings(max_examples=200, deadline=None)
@given(sources)
def test_only_the_allowed_survives_and_the_result_is_final(source: str) -> None:
    draft = render.prepare(source, own_hosts=SITE, file_host=None, jump=JUMP)
    plain = render.finish(draft, mentions={"bob": 7}, short_links={}).html
    assert_safe(plain)
    assert sanitise(before_step_10(plain)) == before_step_10(plain)
    assert len(plain) <= 40 * len(source) + 100
    assert "\x00" not in plain

    short = {url: f"{JUMP}k{number}" for number, url in enumerate(draft.urls)}
    rendered = render.finish(draft, mentions={"bob": 7}, short_links=short)
    assert_safe(rendered.html, frames=True)
    assert set(rendered.urls) <= set(draft.urls)


@pytest.mark.wide
@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(sources)
def test_links_say_where_they_lead(source: str) -> None:
    draft = render.prepare(source, own_hosts=SITE, file_host=None)
    for node in nodes(render.finish(draft, mentions={}, short_links={}).html):
        href = node.attributes.get("href") or ""
        if node.tag == "a" and href:
            away = href.startswith(("http:", "https:")) or href[:2].replace("\\", "/") == "//"
            assert (node.attributes.get("rel") == "nofollow noopener") is away
            assert (node.attributes.get("target") == "_blank") is away
