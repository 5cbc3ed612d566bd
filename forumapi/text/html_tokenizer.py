"""Tokenizer of HTML, however malformed, in time linear in its length.

It follows the HTML standard in all that its callers need. A difference does no harm, since callers write their own
markup from the tokens and copy none.
"""

import re
from collections.abc import Iterator

Step = tuple[str, str | None, str | None, str | None]
"""A text as written, perhaps empty, and the tag after it: "/" for an end tag, name, attributes.

The name is None where a comment or the end of the document comes after the text.
"""

# Linear time: quantifiers are possessive, and an unclosed comment or quotation extends to the end.
_TOKEN = re.compile(
    r"""<(?:
        !--(?:-?>|.*?(?:--!?>|\Z))
      | (?:![a-zA-Z\[]|\?)[^>]*+(?:>|\Z)
      | (?P<slash>/?)(?P<name>[a-zA-Z][^\s/>]*+)
        (?P<attributes>(?:[^>=]++|=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))?)*+)
        (?:>|\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)

_ATTRIBUTE = re.compile(
    r"""([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s>]*+)))?"""
)

_NESTING = ("frameset", "noscript", "nostyle", "object")
_RAW = ("iframe", "noembed", "noframes", "script", "style", "title")

HIDDEN = frozenset(_NESTING + _RAW)
"""Elements that go with all their content (content 11.8; `frame` is void and has none)."""

_HIDDEN_TAG = {
    name: re.compile(
        rf"<(/?){name}(?=[\s/>])" if name in _NESTING else rf"<(/){name}(?=[\s/>])", re.I
    )
    for name in HIDDEN
}


_HIDDEN_START = re.compile(rf"<(?:{'|'.join(sorted(HIDDEN))})", re.I)


def steps(html: str) -> Iterator[Step]:
    """Yield `html` in order as tuples of four: a text, perhaps "", and of the tag after it "/" for an end tag or "" for
    a start tag, the name, and the attributes. All are as written: nothing is decoded, and names may have capitals. The
    name is None if a comment or the end of `html`, not a tag, comes after the text.

    HIDDEN elements (script, style, iframe and such) are left out with their content, but for their end tags. A `<` with
    no `>` anywhere after it is text.
    """
    if _HIDDEN_START.search(html):
        html = _without_hidden(html)
    end = html.rfind(">") + 1
    # One call for the whole document: this loop is hot.
    found = _TOKEN.split(html[:end])
    yield from zip(found[::4], found[1::4], found[2::4], found[3::4], strict=False)
    yield found[-1] + html[end:], None, None, None


def _without_hidden(html: str) -> str:
    """Return `html` with start tag and content of each HIDDEN element (script, style, iframe and such) replaced by an
    empty comment, so that its neighbours do not become one word; its end tag stays.
    """
    kept: list[str] = []
    done = position = 0
    while match := _TOKEN.search(html, position):
        position = match.end()
        name = (match["name"] or "").lower()
        if name in HIDDEN and not match["slash"]:
            kept.append(html[done : match.start()])
            done = position = _end_of_hidden(html, name, position)
    return "<!---->".join([*kept, html[done:]])


def _end_of_hidden(html: str, name: str, position: int) -> int:
    """Return the position in `html` at which the end tag of a HIDDEN element begins; without an end tag, the end of the
    text. `name`: the element's, in lower case; `position`: after its start tag.
    """
    depth = 1
    for match in _HIDDEN_TAG[name].finditer(html, position):
        depth += -1 if match[1] else 1
        if depth == 0:
            return match.start()
    return len(html)


def attributes_of(written: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes of a tag in order as (name in lower case, value as written, "" without one); a repeated name
    comes again. `written`: the tag's text after its name.
    """
    for match in _ATTRIBUTE.finditer(written):
        name, double, single, bare = match.groups(default="")
        yield name.lower(), double or single or bare


def strip_tags(html: str) -> str:
    """Return the text of `html` without tags, and without HIDDEN elements (script, style, iframe and such) and their
    content; entities stay as written.
    """
    return "".join([text for text, *_ in steps(html)])
