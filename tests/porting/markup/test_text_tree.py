"""Markdown of a tree of text, as the pipeline of comments shows it."""

from __future__ import annotations

import random
import re
from html import unescape

import pytest

from forumapi.porting.markup.text_tree import TextNode, to_markdown
from forumapi.text import render
from forumapi.text.html_tokenizer import strip_tags


def shown(markdown: str) -> str:
    """Return the text that the rendered Markdown shows, without white space."""
    draft = render.prepare(markdown, own_hosts=frozenset(), file_host=None)
    html = render.finish(draft, mentions={}, short_links={}).html
    return re.sub(r"\s|\u00ad", "", unescape(strip_tags(html)))


@pytest.mark.parametrize(
    ("tree", "markdown"),
    [
        (TextNode("block", "plain ", TextNode("b", "bold"), "."), "plain **bold**."),
        (TextNode("block", "x", TextNode("b", "bold"), "y"), "x<strong>bold</strong>y"),
        (TextNode("block", TextNode("b", "one\n\ntwo")), "**one**\n\n**two**"),
        (TextNode("block", TextNode("i", " spaced "), "x"), "*spaced* x"),
        (TextNode("block", TextNode("b"), "x", TextNode("link", href="https://a.example/")), "x"),
        (
            TextNode("block", TextNode("link", "https://a.example/", href="https://a.example/")),
            "<https://a.example/>",
        ),
        (TextNode("block", TextNode("link", "a]b", href="/x y(z)")), "[a\\]b](/xy%28z%29)"),
        (
            TextNode(
                "block", TextNode("quote", "said", author="Mira", href="old:comment/4"), "own"
            ),
            "> <cite>[Mira](old:comment/4):</cite>\n>\n> said\n\nown",
        ),
        (TextNode("block", TextNode("quote", TextNode("quote", "in"), "out")), "> > in\n>\n> out"),
        (
            TextNode(
                "block", TextNode("list", "\n", TextNode("item", "a"), "\n", TextNode("item", "b"))
            ),
            "- a\n- b",
        ),
        (
            TextNode(
                "block",
                TextNode(
                    "list",
                    TextNode("item", "a", TextNode("list", TextNode("item", "b"), start="1")),
                ),
            ),
            "- a\n\n  1. b",
        ),
        (
            TextNode(
                "block",
                TextNode("list", TextNode("item", "a")),
                TextNode("list", TextNode("item", "b")),
            ),
            "- a\n\n* b",
        ),
        (TextNode("block", TextNode("pre", "```\n  x\n", language="py")), "````py\n```\n  x\n````"),
        (
            TextNode("block", TextNode("spoiler", "x", title="A <b>")),
            "<details>\n<summary>A &lt;b&gt;</summary>\n\nx\n\n</details>",
        ),
        (
            TextNode(
                "block", TextNode("table", TextNode("row", TextNode("cell", "a"), TextNode("cell")))
            ),
            "<table>\n<tr>\n<td>\n\na\n\n</td>\n<td></td>\n</tr>\n</table>",
        ),
        (
            TextNode("block", TextNode("file", id="9", name="map.png", is_picture="1")),
            "![map.png](old:attachment/9)",
        ),
        (
            TextNode("block", "[b] [1] www.a.example http://a.example"),
            "&#91;b] \\[1] www&#46;a.example http&#58;//a.example",
        ),
        (TextNode("block", "# a\n1. b\n- c\n    d"), "\\# a\n1\\. b\n\\- c\nd"),
    ],
)
def test_markdown_of_a_tree(tree: TextNode, markdown: str) -> None:
    assert to_markdown(tree) == markdown


def test_a_tree_of_any_depth_keeps_its_text() -> None:
    for kind in ("quote", "list", "b", "spoiler", "link"):
        tree: TextNode = TextNode("block", "core")
        for _ in range(500):
            tree = TextNode(
                kind, TextNode("item", tree) if kind == "list" else tree, href="https://a.example/"
            )

        assert "core" in shown(to_markdown(TextNode("block", tree)))


PIECES = [
    *"ab Z1.:/-_*`~[]()<>&!#|+=\\\n\n\n \t\"'@",
    *(
        "www.",
        "http://x.example/",
        "[b]",
        "[/b]",
        "[quote]",
        "[list]",
        "[*]",
        "&amp;",
        "&#65;",
        "```",
        "~~~",
    ),
    *(
        "    ",
        "---",
        "1.",
        "- ",
        "> ",
        "# ",
        "<b>",
        "</p>",
        "<!--",
        "mailto:",
        "a@b.example",
        "[url=",
        "![x](y)",
    ),
    *("|---|", "[x]: http", "😀", "é", "<script>"),
]
KINDS = ("b", "i", "s", "u", "link", "quote", "list", "spoiler", "pre", "table", "plain")


def drawn(dice: random.Random, depth: int = 0) -> tuple[list[TextNode | str], str]:
    """Draw nodes, and the text that they must show."""
    nodes: list[TextNode | str] = []
    text = ""
    for _ in range(dice.randint(1, 4)):
        kind = dice.choice(KINDS) if depth < 3 and dice.random() < 0.4 else ""
        if not kind:
            piece = "".join(dice.choices(PIECES, k=dice.randint(1, 8)))
            nodes.append(piece)
            text += piece
        elif kind == "pre":
            piece = f"a{dice.choice(PIECES)}z"
            nodes.append(TextNode("pre", piece))
            text += piece
        else:
            children, inner = drawn(dice, depth + 1)
            if kind == "list":
                nodes.append(
                    TextNode("list", TextNode("item", *children), start=dice.choice(["", "1"]))
                )
            elif kind == "table":
                nodes.append(TextNode("table", TextNode("row", TextNode("cell", *children))))
            else:
                nodes.append(
                    TextNode(kind, *children, href="http://y.example/(a)?c=1&amp;d", title="w")
                )
                inner = f"w{inner}" if kind == "spoiler" else inner
            text += inner
    return nodes, text


@pytest.mark.parametrize("start", [0, 150])
def test_any_text_is_shown_as_it_is(start: int) -> None:
    for seed in range(start, start + 150):
        nodes, text = drawn(random.Random(seed))
        markdown = to_markdown(TextNode("block", *nodes, "xq"))

        assert shown(markdown) == re.sub(r"\s", "", text + "xq"), (seed, markdown)
