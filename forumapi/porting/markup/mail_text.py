"""Conversion of e-mail bodies into Markdown: plain text, whose signs have no meaning, and HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from forumapi.porting.markup.text_tree import TextNode, linked, to_markdown

_QUOTE = re.compile(r"(?:>[ \t]?)*")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_MAX_LEVEL: Final = 20
_MAX_OPEN: Final = 60

_KINDS: Final = {
    **dict.fromkeys(("b", "strong"), "b"),
    **dict.fromkeys(("i", "em"), "i"),
    **dict.fromkeys(("s", "del", "strike"), "s"),
    **{tag: tag for tag in ("u", "sub", "sup", "code")},
    **dict.fromkeys(
        ("p", "div", "tr", "table", "center", "address", "section", "article"), "block"
    ),
    **dict.fromkeys(("td", "th", "span", "font"), "plain"),
    **dict.fromkeys(("ul", "ol"), "list"),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "title"),
    "blockquote": "quote",
    "pre": "pre",
    "li": "item",
    "a": "link",
}
_SILENT: Final = frozenset(("script", "style", "head", "title", "template"))


def from_plain(text: str, *, flowed: bool = False, delete_space: bool = False) -> str:
    """Convert plain text into Markdown: lines that begin with `>` become quotations, addresses links, indented
    paragraphs code.

    `flowed`: lines that end in a space go on in the next one (RFC 3676); `delete_space`: that space is no part of the
    text.
    """
    root = TextNode("block")
    _quotations(root, _lines(text, flowed, delete_space), 0)
    return to_markdown(root)


def _lines(text: str, flowed: bool, delete_space: bool) -> list[tuple[int, str]]:
    """Return for each line of the text how many quotations it is in, 0 for none and 20 at most, and its text without
    the marks of quotations. `flowed`: lines that end in a space are joined with the next one; `delete_space`: without
    that space.
    """
    found: list[tuple[int, list[str]]] = []
    goes_on = False
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        marks = _QUOTE.match(line)
        assert marks is not None
        level, rest = min(marks[0].count(">"), _MAX_LEVEL), line[marks.end() :]
        if not level:
            rest = line[1:] if flowed and line.startswith(" ") else line
        is_signature = rest == "-- "
        if goes_on and found[-1][0] == level and not is_signature:
            found[-1][1].append(rest)
        else:
            found.append((level, [rest]))
        goes_on = flowed and rest.endswith(" ") and not is_signature
        if goes_on and delete_space:
            found[-1][1][-1] = rest[:-1]
    return [(level, "".join(pieces)) for level, pieces in found]


def _quotations(parent: TextNode, lines: list[tuple[int, str]], level: int) -> None:
    """Add the lines (pairs of `_lines`) to the node `parent`, which stands in `level` quotations: paragraphs of lines
    in as many quotations, and quotations of lines in more. No line may be in fewer.
    """
    paragraph: list[str] = []

    def end() -> None:
        if any(line.strip() for line in paragraph):
            parent.children.append(_paragraph(paragraph))
        paragraph.clear()

    place = 0
    while place < len(lines):
        depth, line = lines[place]
        if depth > level:
            end()
            last = place
            while last < len(lines) and lines[last][0] > level:
                last += 1
            quote = TextNode("quote")
            _quotations(quote, lines[place:last], level + 1)
            parent.children.append(quote)
            place = last
            continue
        if line == "-- ":
            # A signature begins.
            end()
        if line.strip():
            paragraph.append(line.rstrip())
        else:
            end()
        place += 1
    end()


def _paragraph(lines: list[str]) -> TextNode:
    if all(line.startswith((" ", "\t")) for line in lines):
        return TextNode("pre", "\n".join(lines))
    return TextNode("block", *linked("\n".join(lines)))


def from_html(html: str) -> str:
    """Convert HTML into Markdown; structure and links stay, and pictures do not."""
    # Beginnings of tags and comments without an end would each be searched for it.
    end = html.rfind("-->") + 3
    html = (_COMMENT.sub("", html[:end]) + html[end:]).replace("<!--", "")
    tags, bracket, rest = html.rpartition(">")
    reader = _HtmlReader()
    reader.feed(tags + bracket)
    reader.close()
    reader.handle_data(rest)
    return to_markdown(reader.root)


class _HtmlReader(HTMLParser):
    """Builder of the tree of an HTML body, below `root`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = TextNode("block")
        self._stack: list[tuple[str, TextNode]] = [("", self.root)]
        self._silent = 0

    def parse_html_declaration(self, i: int) -> int:
        """Skip the declaration at the position `i` up to the next `>`, as browsers do, and return the position after
        it, -1 without a `>`; the base class searches the whole text for the end of a marked section and raises
        AssertionError for an unknown one.
        """
        return self.parse_bogus_comment(i)

    def parse_comment(self, i: int, report: bool = True) -> int:
        """Skip the comment at the position `i` up to the next `>`, and return the position after it, -1 without a `>`;
        `from_html` has taken away comments that have an end. `report` True: `handle_comment` is called.
        """
        return self.parse_bogus_comment(i, report)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
            return
        if tag in ("br", "hr"):
            self._stack[-1][1].children.append("\n" if tag == "br" else TextNode("rule"))
            return
        if tag == "li" and self._stack[-1][0] == "li":
            # Its end may be left out.
            self._stack.pop()
        if (kind := _KINDS.get(tag)) and len(self._stack) < _MAX_OPEN:
            node = TextNode(kind)
            if tag == "a":
                href = dict(attrs).get("href") or ""
                is_web = re.match(r"(?:https?|ftp|mailto):", href, re.I)
                node = TextNode("link", href=href) if is_web else TextNode("plain")
            elif tag == "ol":
                node = TextNode("list", start="1")
            elif kind == "title":
                node = TextNode("title", level=tag[1])
            self._stack[-1][1].children.append(node)
            self._stack.append((tag, node))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(self._silent - 1, 0)
            return
        for place in range(len(self._stack) - 1, 0, -1):
            if self._stack[place][0] == tag:
                del self._stack[place:]
                return

    def handle_data(self, data: str) -> None:
        if not self._silent:
            in_pre = any(tag == "pre" for tag, _ in self._stack)
            self._stack[-1][1].children.append(data if in_pre else re.sub(r"\s+", " ", data))
