"""Correction of wrongly nested HTML tags, and a limit on their depth, before the sanitiser parses them.

An HTML parser repairs bad nesting by closing and re-opening elements, which hostile input makes expensive: an unclosed
`<b title="…long…">` is copied into every later paragraph, and the cost of a tree is quadratic in its depth. So start
tags close the elements that HTML says they close, elements are closed by name and in order, and elements that are
nested too deeply lose their tags but not their text.
"""

from collections.abc import Collection

from forumapi.text.html_tokenizer import steps

MAX_DEPTH = 50

VOID = frozenset(("br", "col", "hr", "img", "wbr"))

_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

# Allowed parents of table parts: the nearest becomes the parent, by closing the elements between.
_TABLE_PARTS = {
    "caption": ("table",),
    "col": ("colgroup", "table"),
    "colgroup": ("table",),
    "tbody": ("table",),
    "td": ("tr", "tbody", "thead", "tfoot", "table"),
    "tfoot": ("table",),
    "th": ("tr", "tbody", "thead", "tfoot", "table"),
    "thead": ("table",),
    "tr": ("tbody", "thead", "tfoot", "table"),
}

# Elements that may contain only table parts, outside a cell.
_TABLE_FRAME = frozenset(("colgroup", "table", "tbody", "tfoot", "thead", "tr"))

_BLOCKS = _HEADINGS | {
    *("article", "aside", "blockquote", "details", "dd", "div", "dl", "dt", "figcaption"),
    *("figure", "hgroup", "hr", "li", "ol", "p", "pre", "section", "summary", "table", "ul"),
}

STRUCTURE = frozenset(_BLOCKS | set(_TABLE_PARTS))
"""Everything but inline elements."""

# Boundaries: from inside these, no start tag closes a paragraph, and no other end tag closes anything.
_CELLS = frozenset(("caption", "table", "td", "th"))

# Blocks through which a list item closes its predecessor.
_WITHIN_ITEM = frozenset(("div", "p"))
_SIBLINGS = {"li": ("li",), "dd": ("dd", "dt"), "dt": ("dd", "dt")}


class Nesting:
    """Stack of the open elements of a document that is being written, one for each document. `open`: their names, the
    outermost first. All names of elements are in lower case.
    """

    __slots__ = ("_inner_links", "_too_deep", "open")

    def __init__(self) -> None:
        self.open: list[str] = []
        self._too_deep: list[str] = []
        self._inner_links = 0

    def start(self, name: str) -> str | None:
        """Open the element `name`, which stays open unless it is in VOID; return the end tags to write before its start
        tag, "" for none. None: the element is not opened, and its start tag must not be written, since it may not be
        where it is or is nested too deeply.
        """
        closing = ""
        if name in _TABLE_PARTS:
            place = self._nearest(_TABLE_PARTS[name])
            if place is None:
                return None
            closing = self._close(place + 1)
        elif self.open and self.open[-1] in _TABLE_FRAME:
            return None
        elif name == "table" and "pre" in self.open:
            # A parser moves elements between cells before the table, where a `pre` loses a newline.
            return None
        elif name in _BLOCKS:
            if self.open:
                closing = self._close(self._first_closed_by(name))
        elif name == "a" and "a" in self.open:
            # Markdown linked a bare address inside an explicit link: the explicit one stays.
            self._inner_links += 1
            return None
        if name in VOID:
            return closing
        if len(self.open) >= MAX_DEPTH:
            self._too_deep.append(name)
            return None
        self.open.append(name)
        return closing

    def end(self, name: str) -> str:
        """Close the innermost open element `name` and those within it; return the end tags to write, its own last. ""
        if nothing is closed: there is no such element, or an open cell, table or block in between keeps it open.
        """
        if self._too_deep:
            if self._too_deep[-1] == name:
                self._too_deep.pop()
            return ""
        if name == "a" and self._inner_links:
            self._inner_links -= 1
            return ""
        if self.open and self.open[-1] == name:
            self.open.pop()
            return f"</{name}>"
        inline = name not in STRUCTURE
        for place in range(len(self.open) - 1, -1, -1):
            element = self.open[place]
            if element == name:
                return self._close(place)
            if element in _CELLS and name not in _TABLE_PARTS and name != "table":
                return ""
            if inline and element in _BLOCKS:
                return ""
        return ""

    def finish(self) -> str:
        """Close all open elements; return their end tags."""
        return self._close(0)

    def _close(self, place: int) -> str:
        if place >= len(self.open):
            return ""
        closed = self.open[place:]
        del self.open[place:]
        if "a" in closed:
            self._inner_links = 0
        return "".join([f"</{name}>" for name in reversed(closed)])

    def _nearest(self, names: tuple[str, ...]) -> int | None:
        for place in range(len(self.open) - 1, -1, -1):
            if self.open[place] in names:
                return place
        return None

    def _first_closed_by(self, name: str) -> int:
        """Return the position in the stack of the outermost element that the start tag of the block `name` closes; the
        stack's length for none.
        """
        first = len(self.open)
        siblings = _SIBLINGS.get(name, ())
        for place in range(first - 1, -1, -1):
            element = self.open[place]
            if element in siblings:
                return place
            if element in _BLOCKS and element not in _WITHIN_ITEM:
                siblings = ()
            if element in _CELLS:
                break
            if element == "p":
                first = place
        if name in _HEADINGS and self.open and self.open[-1] in _HEADINGS:
            return len(self.open) - 1
        return first


def nested(html: str, elements: Collection[str]) -> str:
    """Return `html` with the tags of `elements` (names in lower case) correctly nested, and without all other tags,
    comments, and HIDDEN elements (script, style, iframe and such) with their content; the result has yet to be
    sanitised.
    """
    nesting = Nesting()
    parts = []
    for text, slash, written, attributes in steps(html):
        parts.append(text)
        name = (written or "").lower()
        if name not in elements:
            continue
        if slash:
            parts.append(nesting.end(name))
        elif (closing := nesting.start(name)) is not None:
            parts.append(f"{closing}<{name}{attributes or ''}>")
    parts.append(nesting.finish())
    return "".join(parts)
