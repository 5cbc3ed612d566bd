"""Tree of a formatted text, which every converter of another product's markup builds, and its conversion into Markdown.

The Markdown goes through the same pipeline as what members type (`text/render.py`). What Markdown lacks, such as
underlining, spoilers and tables without headings, is written as the HTML that members may type too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

INLINE: Final = frozenset(
    ("b", "i", "u", "s", "sub", "sup", "mark", "small", "code", "link", "plain")
)
"""Kinds of nodes that stand within a paragraph and have content; `plain` is written as its content alone."""

MAX_DEPTH: Final = 24
"""Most levels of blocks within blocks; deeper blocks lose their frame, not their text. The renderer takes 50 levels of
elements.
"""

MAX_OPEN: Final = 100
"""Most tags that are open at once while a text is read."""


class TextNode:
    """Node of a formatted text: its kind, attributes that the kind has, and its children, nodes and plain texts.

    Kinds within a paragraph: `b`, `i`, `u`, `s`, `sub`, `sup`, `mark`, `small`, `code`, `link` (`href`), `plain`,
    `image` (`src`, `alt`), `file` (`id`, `name`, `is_picture`, "" for no). Blocks: `block`, `quote` (`author`, `href`),
    `pre` (`language`, one text), `list` (`start`, the first number, "" for bullets), `item`, `spoiler` (`title`),
    `table`, `row`, `cell`, `heading_cell`, `title` (`level`, from 1 to 6), `rule`. An attribute that is not given is
    "".
    """

    __slots__ = ("attributes", "children", "kind")

    def __init__(self, kind: str, *children: TextNode | str, **attributes: str) -> None:
        self.kind = kind
        self.attributes = attributes
        self.children: list[TextNode | str] = list(children)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    def text(self) -> str:
        """Return the plain text of the node and all nodes below it."""
        parts: list[str] = []
        stack: list[TextNode | str] = [self]
        while stack:
            one = stack.pop()
            if isinstance(one, str):
                parts.append(one)
            else:
                stack.extend(reversed(one.children))
        return "".join(parts)


class TreeBuilder:
    """Builder of the tree of one text with tags, below `root`; a subclass reads the text and knows the tags.

    `answered`: ids of the posts that the outermost quotations name; `shown`: ids of the files that the text shows in
    place.
    """

    def __init__(self) -> None:
        self.root = TextNode("block")
        self.answered: list[str] = []
        self.shown: set[str] = set()
        # Tags that are open, the innermost last, each with its node; the first is the root.
        self._stack: list[tuple[str, TextNode]] = [("", self.root)]

    def _add(self, node: TextNode | str) -> None:
        self._stack[-1][1].children.append(node)

    def _push(self, name: str, node: TextNode) -> None:
        """Add the node of the tag `name`, and open it: what follows is added within it. If MAX_OPEN (100) tags are open
        already the node is added, but not opened.
        """
        self._add(node)
        if len(self._stack) <= MAX_OPEN:
            self._stack.append((name, node))

    def _is_open(self, name: str) -> bool:
        return any(name == one for one, _ in self._stack)


_BARE_ADDRESS = re.compile(r"(?:https?|ftp)://[^\s<>\"\[\]{}|\\^`]{2,}", re.I)


def linked(text: str) -> Iterator[TextNode | str]:
    """Yield a text in pieces, in order: texts, some of them empty, and a link node for each bare address (http, https,
    ftp) between them.
    """
    position = 0
    for match in _BARE_ADDRESS.finditer(text):
        href = match[0].rstrip(".,;:!?'*_)")
        if "(" in href and match[0][len(href) :].startswith(")"):
            href += ")"
        yield text[position : match.start()]
        yield TextNode("link", href, href=href)
        position = match.start() + len(href)
    yield text[position:]


def to_markdown(root: TextNode) -> str:
    """Return the Markdown of the tree below `root`, without empty lines at its ends; "" for an empty tree."""
    return "\n".join(_Blocks(0).write(root.children)).strip("\n")


# Blocks


class _Blocks:
    """Writer of the Markdown of one level of the tree's blocks; text between other blocks becomes paragraphs. `depth`:
    number of levels of blocks above this one.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._lines: list[str] = []
        self._tokens: list[_Token] = []
        self._open: list[TextNode] = []
        self._last_marker = ""

    def write(self, children: Sequence[TextNode | str]) -> list[str]:
        self._walk(children)
        self._end_paragraph()
        return self._lines

    def _walk(self, children: Sequence[TextNode | str], level: int = 0) -> None:
        for child in _joined(children):
            if isinstance(child, str):
                self._text(child)
            elif level > 4 * MAX_DEPTH:
                self._text(child.text())
            elif child.kind in INLINE:
                self._inline(child, level)
            elif child.kind in ("image", "file"):
                self._tokens.append(_Token("raw", child, _embedded(child)))
            else:
                self._block(child, level)

    def _text(self, text: str) -> None:
        parts = re.split(r"\n[ \t]*(?:\n[ \t]*)+", text)
        for place, part in enumerate(parts):
            if place:
                self._break()
            if part:
                self._tokens.append(_Token("text", None, part))

    def _inline(self, node: TextNode, level: int) -> None:
        if node.kind == "plain" or any(
            one.kind == node.kind and node.kind != "code" for one in self._open
        ):
            self._walk(node.children, level + 1)
            return
        if node.kind == "code":
            self._tokens.append(_Token("raw", node, _code_span(node.text())))
            return
        self._open.append(node)
        self._tokens.append(_Token("open", node, ""))
        self._walk(node.children, level + 1)
        self._tokens.append(_Token("close", node, ""))
        self._open.pop()

    def _break(self) -> None:
        """End the paragraph; inline nodes that are open go on in the next one."""
        self._tokens.extend(_Token("close", node, "") for node in reversed(self._open))
        tokens, self._tokens = (
            self._tokens,
            [_Token("open", node, "") for node in self._open],
        )
        self._add(_paragraph(tokens))

    def _end_paragraph(self) -> None:
        self._break()
        self._tokens = []

    def _add(self, lines: list[str], marker: str = "") -> None:
        if not lines:
            return
        if self._lines:
            self._lines.append("")
        self._lines.extend(lines)
        self._last_marker = marker

    def _inside(self, node: TextNode) -> list[str]:
        return _Blocks(self._depth + 1).write(node.children)

    def _block(self, node: TextNode, level: int) -> None:
        if self._depth >= MAX_DEPTH or node.kind not in _WRITERS:
            self._break()
            if node.kind == "pre":
                self._text(node.text())
            else:
                self._walk(node.children, level + 1)
            self._break()
            return
        self._break()
        _WRITERS[node.kind](self, node)

    def _quote(self, node: TextNode) -> None:
        lines = self._inside(node)
        if node.get("author"):
            name = _escaped(node.get("author"), True, True)
            if href := _destination(node.get("href")):
                name = f"[{name}]({href})"
            lines = [f"<cite>{name}:</cite>", "", *lines]
        self._add([f"> {line}" if line else ">" for line in lines] or [">"])

    def _pre(self, node: TextNode) -> None:
        text = node.text().replace("\r\n", "\n").removesuffix("\n")
        longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        language = node.get("language")
        if not re.fullmatch(r"[A-Za-z0-9+#-]{0,20}", language):
            language = ""
        self._add([f"{fence}{language}", *text.split("\n"), fence])

    def _list(self, node: TextNode) -> None:
        items: list[list[str]] = []
        for one in _items(node):
            items.append(_Blocks(self._depth + 1).write(one.children))
        if not items:
            return
        start = node.get("start")
        choice = (".", ")") if start else ("-", "*")
        mark = choice[1] if self._last_marker == choice[0] else choice[0]
        lines: list[str] = []
        is_loose = any("" in item and not item[0].startswith("`") for item in items)
        number = int(start) if start.isdigit() else 1
        for place, item in enumerate(items):
            marker = f"{number + place}{mark}" if start else mark
            if place and is_loose:
                lines.append("")
            indent = " " * (len(marker) + 1)
            first, *more = item or [""]
            lines.append(f"{marker} {first}".rstrip())
            lines.extend(indent + line if line else "" for line in more)
        self._add(lines, mark)

    def _spoiler(self, node: TextNode) -> None:
        title = " ".join(node.get("title").split())
        lines = self._inside(node)
        summary = _html(title) or "…"
        self._add(["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"])

    def _table(self, node: TextNode) -> None:
        lines: list[str] = []
        outside: list[TextNode | str] = []
        for row in node.children:
            if isinstance(row, str) or row.kind != "row":
                outside.append(row)
                continue
            lines.append("<tr>")
            for cell in row.children:
                if isinstance(cell, str) or cell.kind not in ("cell", "heading_cell"):
                    outside.append(cell)
                    continue
                tag = "td" if cell.kind == "cell" else "th"
                inside = self._inside(cell)
                lines += (
                    [f"<{tag}>", "", *inside, "", f"</{tag}>"] if inside else [f"<{tag}></{tag}>"]
                )
            lines.append("</tr>")
        self._add(_Blocks(self._depth + 1).write(outside))
        if lines:
            self._add(["<table>", *lines, "</table>"])

    def _title(self, node: TextNode) -> None:
        line = " ".join(" ".join(self._inside(node)).split())
        level = int(node.get("level") or 3)
        if line:
            self._add([f"{'#' * min(max(level, 1), 6)} {line}"])

    def _rule(self, node: TextNode) -> None:
        self._add(["---"])


_WRITERS = {
    "quote": _Blocks._quote,
    "pre": _Blocks._pre,
    "list": _Blocks._list,
    "spoiler": _Blocks._spoiler,
    "table": _Blocks._table,
    "title": _Blocks._title,
    "rule": _Blocks._rule,
}


def _joined(children: Sequence[TextNode | str]) -> Iterator[TextNode | str]:
    """Yield the children, adjacent texts joined into one, since a blank line may begin in one and end in the next."""
    texts: list[str] = []
    for child in children:
        if isinstance(child, str):
            texts.append(child)
            continue
        if texts:
            yield "".join(texts)
            texts = []
        yield child
    if texts:
        yield "".join(texts)


def _items(node: TextNode) -> Iterator[TextNode]:
    """Yield the items of a list; any other content of the list becomes an item of its own, unless it is blank."""
    between: list[TextNode | str] = []
    for child in node.children:
        if isinstance(child, TextNode) and child.kind == "item":
            if TextNode("block", *between).text().strip():
                yield TextNode("item", *between)
            between = []
            yield child
        else:
            between.append(child)
    if TextNode("block", *between).text().strip():
        yield TextNode("item", *between)


# Paragraphs


class _Token:
    """Token of a paragraph. `kind`: "text", "raw" (finished Markdown), "open" or "close" (of an inline node);
    `written`: the text or Markdown, "" for an inline node's ends; `node`: the inline node, picture or file, None for
    text.
    """

    __slots__ = ("kind", "node", "written")

    def __init__(self, kind: str, node: TextNode | None, written: str) -> None:
        self.kind = kind
        self.node = node
        self.written = written


def _paragraph(tokens: Iterable[_Token]) -> list[str]:
    trimmed = _without_empty(tokens)
    if not trimmed:
        return []
    _move_spaces_out(trimmed)
    return [line for line in _written(trimmed).split("\n") if line.strip()]


def _without_empty(tokens: Iterable[_Token]) -> list[_Token]:
    """Return the tokens without nodes that have no content, and without white space at the paragraph's ends; the tokens
    at the ends are changed in place.
    """
    kept: list[_Token] = []
    for token in tokens:
        if token.kind == "text" and not token.written:
            continue
        if token.kind == "close" and kept and kept[-1].kind == "open":
            kept.pop()
            continue
        kept.append(token)
    for sequence, strip in ((kept, str.lstrip), (kept[::-1], str.rstrip)):
        for token in sequence:
            if token.kind == "raw":
                break
            if token.kind == "text":
                token.written = strip(token.written, " \t\n")
                if token.written:
                    break
    if any(token.kind == "text" and not token.written for token in kept):
        return _without_empty(kept)
    return kept


def _move_spaces_out(tokens: list[_Token]) -> None:
    """Move white space at the ends of an inline node's content to outside of the node, as Markdown demands for
    emphasis; `tokens` is changed in place.
    """
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.kind == "open" and tokens[place + 1].kind == "text":
            text = tokens[place + 1].written
            bare = text.lstrip(" \t\n")
            if bare and bare != text:
                tokens[place + 1].written = bare
                tokens.insert(place, _Token("text", None, text[: len(text) - len(bare)]))
                place = max(place - 2, -1)
        elif token.kind == "close" and tokens[place - 1].kind == "text":
            text = tokens[place - 1].written
            bare = text.rstrip(" \t\n")
            if bare and bare != text:
                tokens[place - 1].written = bare
                tokens.insert(place + 1, _Token("text", None, text[len(bare) :]))
        place += 1


_MARKS: Final = {"b": "**", "i": "*", "s": "~~"}
_TAGS: Final = {"b": "strong", "i": "em"}


def _written(tokens: list[_Token]) -> str:
    parts: list[str] = []
    ends: dict[int, str] = {}
    starts = True
    links = 0
    for place, token in enumerate(tokens):
        if token.kind == "text":
            text = _escaped(token.written, starts, links > 0)
            parts.append(text)
            last_line = token.written.rpartition("\n")
            starts = not last_line[2].strip() and (bool(last_line[1]) or starts)
        elif token.kind == "raw":
            parts.append(token.written)
            starts = False
        elif token.kind == "open":
            assert token.node is not None
            start, end = _delimiters(tokens, place, token.node)
            links += token.node.kind == "link"
            ends[id(token.node)] = end
            parts.append(start)
            # An autolink is written whole.
            if token.node.kind == "link" and start.startswith("<"):
                tokens[place + 1].kind = "raw"
                tokens[place + 1].written = ""
            starts = False
        else:
            assert token.node is not None
            links -= token.node.kind == "link"
            parts.append(ends[id(token.node)])
    return "".join(parts)


def _delimiters(tokens: list[_Token], place: int, node: TextNode) -> tuple[str, str]:
    """Return what is written before and after an inline node: Markdown where it is sure to be parsed as such, else HTML
    tags; for a link whose text is its address the whole link and "", for one without an address "" twice. `place`:
    index in `tokens` of the node's opening token.
    """
    alone = tokens[place + 1].kind == "text" and tokens[place + 2].kind == "close"
    text = tokens[place + 1].written if alone else ""
    if node.kind == "link":
        href = node.get("href")
        if alone and text == href and _AUTOLINK.fullmatch(href):
            return f"<{href}>", ""
        destination = _destination(href)
        return ("[", f"]({destination})") if destination else ("", "")
    mark = _MARKS.get(node.kind)
    if mark and alone and text and text[0].isalnum() and text[-1].isalnum():
        before = tokens[place - 1] if place else None
        after = tokens[place + 3] if place + 3 < len(tokens) else None
        if (before is None or (before.kind == "text" and before.written[-1] in ' \n\t("')) and (
            after is None or (after.kind == "text" and after.written[0] in ' \n\t.,;:!?)"')
        ):
            return mark, mark
    tag = _TAGS.get(node.kind, node.kind)
    return f"<{tag}>", f"</{tag}>"


_AUTOLINK = re.compile(r"(?:https?|ftp)://(?:(?!&[#\w]+;)[^\s<>\\\[\]`\x00-\x20])+", re.I)
_ANY_TAG = re.compile(r"\[(?:[/*]|quote|[bius]\]|color|list|img|attach|url|email|cite)", re.I)
_SPECIAL = re.compile(
    r"(?P<url>(?:https?|ftp):(?=//)|(?:mailto|xmpp):)"
    r"|(?P<www>www\.)"
    r"|(?P<entity>&)(?=#?\w+;)"
    r"|(?P<tag><)(?=[A-Za-z/!?])"
    r"|(?P<bracket>\[)"
    r"|(?P<underscore>_+)"
    r"|(?P<end>\])"
    r"|(?P<mark>[\\`*~]|!$)",
    re.I,
)
_LINE_START = re.compile(
    r"(?P<space>[ \t]*)(?:(?P<number>[0-9]{1,9})(?=[.)])|(?P<mark>[#>+|=-]|:(?=[-| :]*$)))?", re.M
)


def _escaped(text: str, at_start: bool, in_link: bool) -> str:
    """Return a text escaped so that the whole pipeline shows it unchanged. `at_start`: the text begins a line;
    `in_link`: the text is within that of a link.
    """

    def special(match: re.Match[str]) -> str:
        kind = match.lastgroup
        found = match[0]
        if kind == "url":
            return f"{found[:-1]}&#58;"
        if kind == "www":
            return f"{found[:-1]}&#46;"
        if kind == "bracket":
            return "&#91;" if _ANY_TAG.match(text, match.start()) else "\\["
        if kind == "underscore":
            before = text[match.start() - 1 : match.start()] if match.start() else ""
            after = text[match.end() : match.end() + 1]
            return found if before.isalnum() and after.isalnum() else "\\_" * len(found)
        if kind == "end":
            return "\\]" if in_link else "]"
        return "".join(f"\\{character}" for character in found)

    first, *others = _SPECIAL.sub(special, text).split("\n")
    return "\n".join([_escaped_start(first) if at_start else first, *map(_escaped_start, others)])


def _escaped_start(line: str) -> str:
    match = _LINE_START.match(line)
    assert match is not None
    rest = line[match.end() :]
    if match["number"]:
        return f"{match['number']}\\{rest}"
    if match["mark"]:
        return f"\\{match['mark']}{rest}"
    return rest


def _html(text: str) -> str:
    """Return a text escaped for a line that begins with an HTML tag, where Markdown still has an effect."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"[\[*_`\\~]", lambda match: f"&#{ord(match[0])};", text)
    return re.sub(
        r"(?i)(?<=www)\.|(?<=http)s?:|(?<=ftp):",
        lambda match: match[0][:-1] + f"&#{ord(match[0][-1])};",
        text,
    )


def _code_span(text: str) -> str:
    text = " ".join(text.split("\n"))
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return (
        f"{ticks} {text} {ticks}"
        if text[0] in " `" or text[-1] in " `"
        else f"{ticks}{text}{ticks}"
    )


def _destination(href: str) -> str:
    """Return an address, percent-encoded where needed, as it is written between the parentheses of a link; "" for a
    blank one.
    """
    href = "".join(href.split())
    # What the address may hold as it is; also what is encoded already.
    encoded = quote(href, safe="%/:?#@!$&'*+,;=~._-|{}^")
    return re.sub(r"&(?=#?\w+;)", r"\\&", encoded)


def _embedded(node: TextNode) -> str:
    if node.kind == "file":
        name = _escaped(" ".join(node.get("name").split()), False, True)
        sign = "!" if node.get("is_picture") else ""
        return f"{sign}[{name}](old:attachment/{node.get('id')})"
    source = _destination(node.get("src"))
    return f"![{_escaped(node.get('alt'), False, True)}]({source})" if source else ""


class Unsaid(Counter[str]):
    """Counts of formatting that Markdown can't express, by its name, such as "colour"."""
