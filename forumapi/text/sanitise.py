"""Sanitiser of comments' HTML: the elements and attributes that are allowed (content 11.8, C-54)."""

import re
from collections.abc import Mapping
from html import unescape

import nh3

from forumapi.text.html_tokenizer import HIDDEN

EXTERNAL_REL = "nofollow noopener"
EXTERNAL_TARGET = "_blank"

_TEXT = re.compile(r".*", re.DOTALL)
_URL = _TEXT  # of a link or an image: the sanitiser checks that it parses, and its scheme
# Source of a quotation: not checked by the sanitiser.
_SOURCE = re.compile(r"(?:(?:https?|mailto):|(?!\s*[a-z][a-z0-9+.\-]*:))[^\t\n\r]*", re.I)
_TOKENS = re.compile(r"[\w \-]+")
_DIGITS = re.compile(r"[0-9]+")
_LENGTH = re.compile(r"[0-9]+%?")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_DATETIME = re.compile(
    r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
)
_ALIGN = re.compile(r"center|justify|left|right|char", re.I)
_VALIGN = re.compile(r"baseline|bottom|middle|top", re.I)
_LIST_TYPE = re.compile(r"circle|disc|square|a|A|i|I|1")
_CELL_ALIGN = {"align": _ALIGN, "valign": _VALIGN}
_SIZE = {"height": _LENGTH, "width": _LENGTH}
_CHANGE = {"cite": _SOURCE, "datetime": _DATETIME}
_CELL = {
    **_CELL_ALIGN,
    **_SIZE,
    "abbr": _TEXT,
    "colspan": _DIGITS,
    "headers": _TOKENS,
    "nowrap": re.compile(r"(?:nowrap)?", re.I),
    "rowspan": _DIGITS,
    "scope": re.compile(r"(?:row|col)(?:group)?", re.I),
}
_COLUMN = {**_CELL_ALIGN, **_SIZE, "span": _DIGITS}

Rules = Mapping[str, re.Pattern[str]]

EVERYWHERE: Rules = {
    "dir": re.compile(r"rtl|ltr", re.I),
    "lang": re.compile(r"[a-zA-Z]{2,20}"),
    "title": re.compile(r"[\w\s\-',\[\]!./\\()]*"),
}

_PLAIN = (
    *("h1", "h2", "h3", "h4", "h5", "h6", "hgroup", "p", "div", "span", "br", "hr", "wbr"),
    *("article", "aside", "section", "figure", "figcaption", "summary"),
    *("abbr", "acronym", "cite", "code", "dfn", "em", "mark", "s", "samp", "strong", "sub", "sup"),
    *("var", "b", "i", "pre", "small", "strike", "tt", "u", "rp", "rt", "ruby", "bdi", "bdo"),
    *("dl", "dt", "dd", "caption"),
)

ELEMENTS: Mapping[str, Rules] = {
    **{name: {} for name in _PLAIN},
    "details": {"open": re.compile(r"(?:open)?", re.I)},
    "blockquote": {"cite": _SOURCE},
    "q": {"cite": _SOURCE},
    "a": {"href": _URL},
    "time": {"datetime": _DATETIME},
    "del": _CHANGE,
    "ins": _CHANGE,
    "ul": {"type": _LIST_TYPE},
    "ol": {"type": _LIST_TYPE},
    "li": {"type": _LIST_TYPE, "value": _DIGITS},
    "table": {**_SIZE, "summary": _TEXT},
    "col": _COLUMN,
    "colgroup": _COLUMN,
    "thead": _CELL_ALIGN,
    "tbody": _CELL_ALIGN,
    "tfoot": _CELL_ALIGN,
    "tr": _CELL_ALIGN,
    "td": _CELL,
    "th": _CELL,
    "meter": dict.fromkeys(("value", "min", "max", "low", "high", "optimum"), _NUMBER),
    "progress": dict.fromkeys(("value", "max"), _NUMBER),
    "img": {
        **_SIZE,
        "align": re.compile(
            r"left|right|top|texttop|middle|absmiddle|baseline|bottom|absbottom", re.I
        ),
        "alt": _TEXT,
        "src": _URL,
    },
}
"""What an author may write: element -> its own attributes -> what the whole value must match."""

# Attributes that we add to links to other hosts; the value is fixed, so that a forged one is harmless.
_ADDED: Rules = {"rel": re.compile(EXTERNAL_REL), "target": re.compile(EXTERNAL_TARGET)}


def allowed_value(element: str, attribute: str, value: str) -> bool:
    """Return True if an author may give `element` this attribute with this value; the scheme of a URL is not checked
    here, but by `usable_url`. Names are in lower case. Raises KeyError for an element that is not in ELEMENTS.
    """
    rule = ELEMENTS[element].get(attribute) or EVERYWHERE.get(attribute)
    return rule is not None and rule.fullmatch(value) is not None


def _filter(element: str, attribute: str, value: str) -> str | None:
    if attribute in ("href", "src"):
        return value
    if element == "a" and attribute in _ADDED:
        return value if _ADDED[attribute].fullmatch(value) else None
    return value if allowed_value(element, attribute, value) else None


_CLEANER = nh3.Cleaner(
    tags=set(ELEMENTS),
    clean_content_tags=set(HIDDEN),
    attributes={
        "*": set(EVERYWHERE),
        **{name: set(rules) for name, rules in ELEMENTS.items()},
        "a": {"href", *_ADDED},
    },
    attribute_filter=_filter,
    link_rel=None,
    url_schemes={"http", "https", "mailto"},
)


def sanitise(html: str) -> str:
    """Return well-formed HTML with the allowed elements and attributes alone; the text of other elements stays, except
    that of HIDDEN ones (script, style, iframe and such).

    Takes time quadratic in the depth of elements, which `tag_nesting` must have limited before.
    """
    return _CLEANER.clean(html)


def usable_url(url: str) -> bool:
    """Return True if the sanitiser keeps a link to `url` (not HTML-escaped): it can parse the URL, and the scheme is
    http, https, mailto or none.
    """
    return "href=" in _CLEANER.clean(f'<a href="{escape_attribute(url)}"></a>')


def escape_text(text: str) -> str:
    """Escape &, < and > for a text in HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_attribute(value: str) -> str:
    """Escape a value for an HTML attribute in double quotes."""
    return escape_text(value).replace('"', "&quot;")


def plain(html: str, most: int) -> str:
    """Return the text of `html` without tags, on one line, not HTML-escaped, of at most `most` characters; a longer
    text is cut and ends in an ellipsis, which counts as one of the characters.
    """
    words = " ".join(unescape(nh3.clean(html, tags=set())).split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"
