"""Reading rendered HTML with a parser that the pipeline doesn't use (lexbor)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

# Written out once more from content 11.8 and C-54, not taken from the policy under test.
ELEMENTS = set(
    "h1 h2 h3 h4 h5 h6 hgroup p div span br hr wbr article aside section figure figcaption summary "  # noqa: SIM905
    "details blockquote q a abbr acronym cite code dfn em mark s samp strong sub sup var b i pre "
    "small strike tt u rp rt ruby time bdi bdo del ins ul ol li dl dt dd caption table col colgroup "
    "thead tbody tfoot tr td th meter progress img".split()
)
EVERYWHERE = {"dir", "lang", "title"}
ATTRIBUTES = {
    "details": "open",
    "blockquote": "cite",
    "q": "cite",
    "a": "href rel target embed",
    "time": "datetime",
    "del": "cite datetime",
    "ins": "cite datetime",
    "ul": "type",
    "ol": "type",
    "li": "type value",
    "table": "height width summary",
    "col": "align height width span valign",
    "colgroup": "align height width span valign",
    "thead": "align valign",
    "tbody": "align valign",
    "tfoot": "align valign",
    "tr": "align valign",
    "td": "abbr align colspan rowspan headers height width scope valign nowrap",
    "th": "abbr align colspan rowspan headers height width scope valign nowrap",
    "meter": "value min max low high optimum",
    "progress": "value max",
    "img": "class src alt align height width",
}
FRAME_ATTRIBUTES = set(
    "width height src frameborder scrolling allowfullscreen loading referrerpolicy".split()  # noqa: SIM905
)
FRAME_HOSTS = {
    "www.youtube-nocookie.com",
    "player.vimeo.com",
    "www.strava.com",
    "app.strava.com",
    "connect.garmin.com",
    "ridewithgps.com",
    "www.plotaroute.com",
    "www.bikemap.net",
    "www.google.com",
    "calendar.google.com",
}


def nodes(html: str) -> Iterator[LexborNode]:
    """Every node that a browser would make of `html` as the content of a page."""
    body = LexborHTMLParser(f"<!DOCTYPE html><body>{html}").body
    assert body is not None
    for node in body.traverse(include_text=True):
        if node.tag != "body":
            yield node


def scheme(url: str) -> str:
    """The scheme that a browser sees in `url`, "" for a relative one."""
    seen = re.sub(r"[\t\n\r]", "", url.strip("".join(map(chr, range(0x21)))))
    found = re.match(r"([a-zA-Z][a-zA-Z0-9+.\-]*):", seen)
    return found[1].lower() if found else ""


def assert_safe(html: str, *, frames: bool = False) -> None:
    """Fails unless a browser makes only allowed elements and attributes of `html`."""
    for node in nodes(html):
        tag = node.tag
        if tag == "-text":
            continue
        attributes = {name: value or "" for name, value in node.attributes.items()}
        if tag == "iframe" and frames:
            assert set(attributes) <= FRAME_ATTRIBUTES, attributes
            address = urlsplit(attributes["src"])
            assert (address.scheme, address.netloc in FRAME_HOSTS) == ("https", True), attributes
            continue
        assert tag in ELEMENTS, (tag, html)
        allowed = EVERYWHERE | set(ATTRIBUTES.get(tag, "").split())
        assert set(attributes) <= allowed, (tag, attributes, html)
        if tag == "a":
            assert scheme(attributes.get("href", "")) in ("", "http", "https", "mailto"), html
            assert attributes.get("rel") in (None, "nofollow noopener"), html
            assert attributes.get("target") in (None, "_blank"), html
        if tag == "img":
            assert scheme(attributes["src"]) in ("", "http", "https"), html
            assert attributes["class"] == "ip", html
        for name in ("cite",):
            assert scheme(attributes.get(name, "")) in ("", "http", "https", "mailto"), html


Tree = list[object]


def tree(html: str) -> Tree:
    """Elements, attributes and texts of `html`; of the white space between blocks nothing is kept."""
    body = LexborHTMLParser(f"<!DOCTYPE html><body>{html}").body
    assert body is not None
    return _children(body, verbatim=False)


def _children(node: LexborNode, *, verbatim: bool) -> Tree:
    found: Tree = []
    child = node.first_child
    while child is not None:
        if child.tag == "-text":
            text = child.text_content or ""
            text = text if verbatim else re.sub(r"\s+", " ", text)
            if text.strip() or verbatim:
                found.append(text if verbatim else text.strip(" "))
        else:
            attributes = sorted((name, value or "") for name, value in child.attributes.items())
            inside = _children(child, verbatim=verbatim or child.tag == "pre")
            found.append((child.tag, attributes, inside))
        child = child.next
    return found
