"""Metadata in pages for other programs: link previews, and posts as schema.org describes them for search engines."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final

import msgspec
from markupsafe import Markup

# Characters of a description, of an answer's text, and of a post's.
SHORT: Final = 200
MIDDLE: Final = 500
LONG: Final = 5_000

# A script element ends at `</script`, and a comment in one hides that: neither can be written with these.
_ESCAPES: Final = tuple((one, f"\\u{ord(one):04x}") for one in "<>&\u2028\u2029")
# What XML can't hold, escaped or not.
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LINK: Final = re.compile(r'(?<=\s)(href|src)="/(?!/)')
_PICTURE: Final = re.compile(r'<img [^>]*?src="(/api/v1/files/[^"]*)"')


def plain(text: Any) -> str:
    """Return a plain text of the API (a title, a name) with its HTML-escaping undone, since the template escapes the
    text itself; anything but a str is returned as it is.
    """
    return unescape(text) if type(text) is str and "&" in text else text


def text_of(html: Any, most: int = SHORT) -> str:
    """Return the plain text of rendered HTML, without markup and entities; a longer one is cut to at most `most`
    characters, between words or, without a space, within one, and "…" is added. Only the first 20 × `most` characters
    of `html` are read. None is "".
    """
    found = str(Markup(str(html or "")[: most * 20]).striptags())
    if len(found) <= most:
        return found
    return found[:most].rsplit(" ", 1)[0] + "…"


def picture_of(comments: list[dict[str, Any]]) -> str:
    """Return the address, a path below /api/v1/files/, of the first picture stored by this platform in the HTML of
    `comments`, which are as the API shows them; "" if there is none.
    """
    for one in comments:
        if found := _PICTURE.search(str(one.get("html") or "")):
            return plain(found[1])
    return ""


def absolute(html: Any, address: str) -> str:
    """Return `html`, in which each `href` and `src` that is a path now begins with `address`, the site's scheme and
    host; "" for None.
    """
    return _LINK.sub(rf'\1="{address}/', str(html or ""))


def xml(text: Any) -> str:
    """Return `text` as a str without the characters that XML forbids even when escaped, such as most control
    characters.
    """
    return _NO_XML.sub("", str(text))


def json_ld(data: Any) -> Markup:
    """Return `data` encoded as JSON in which `<`, `>`, `&` and line separators are escaped, so that it is safe within a
    script element.
    """
    text = msgspec.json.encode(data).decode()
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return Markup(text)


def posting(item: dict[str, Any], kind: str, address: str) -> Markup:
    """Return schema.org's DiscussionForumPosting of an item, as the API shows it, and of its page of comments, as JSON
    for a script element; on the first page, the first comment is the posting's text.

    `kind`: the item's type, such as `conversation`; `address`: the site's scheme and host.
    """
    url = f"{address}/{kind}s/{item['id']}/"
    page = item["comments"]
    comments = page["items"]
    is_first = not page["offset"] and bool(comments)
    meta = item["meta"]
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "DiscussionForumPosting",
        "@id": url,
        "url": url,
        "headline": plain(item["title"]),
        "datePublished": meta["created"],
        "author": _person(meta.get("createdBy"), address),
        "interactionStatistic": {
            "@type": "InteractionCounter",
            "interactionType": "https://schema.org/CommentAction",
            "userInteractionCount": page["total"],
        },
    }
    if is_first:
        data["text"] = text_of(comments[0].get("html"), LONG)
    data["comment"] = [
        {
            "@type": "Comment",
            "url": f"{address}/comments/{one['id']}/",
            "text": text_of(one.get("html"), MIDDLE),
            "datePublished": one["meta"]["created"],
            "author": _person(one["meta"].get("createdBy"), address),
        }
        for one in comments[1 if is_first else 0 :]
    ]
    return json_ld(data)


def _person(profile: dict[str, Any] | None, address: str) -> dict[str, Any]:
    if not profile:
        return {"@type": "Person", "name": "-"}
    return {
        "@type": "Person",
        "name": plain(profile["profileName"]),
        "url": f"{address}/profiles/{profile['id']}/",
    }
