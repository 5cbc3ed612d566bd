"""Rewriting of links in a site's texts to its own things, into the layout's form that names kind and id.

`[here](/conversations/12/)` becomes `[here](old:conversation/12)` (porting/layout.py), so that every importer finds the
new address. A bare address becomes a link with the address as its text. Links with a query or fragment, by reference,
in angle brackets, in code, or to things that the export lacks stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from forumapi.text.character_filters import block_characters
from forumapi.text.markdown_preprocessing import outside_code

_KINDS: Final[Mapping[str, str]] = {
    "microcosms": "forum",
    "conversations": "conversation",
    "events": "event",
    "polls": "poll",
    "comments": "comment",
    "profiles": "profile",
}
_PATH: Final = re.compile(rf"/({'|'.join(_KINDS)})/([1-9]\d{{0,17}})(?:/|/incontext/?)?")
_PATH_ANYWHERE: Final = re.compile(rf"/({'|'.join(_KINDS)})/([1-9]\d{{0,17}})")
Key: TypeAlias = tuple[str, int]
"""Kind and id of a thing of the site. The kind is the layout's, a value of _KINDS: `forum` for a microcosm."""
OLD: Final = re.compile(r"\bold:([a-z]+)/([1-9]\d{0,17})\b")


class OwnLinks:
    """Rewriter of links to a site's own things in its texts, `/comments/12/` and such, into the layout's form
    `old:comment/12`, which names kind and id. `hosts`: names of the hosts that the site is served at, without scheme.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        names = "|".join(sorted((re.escape(host) for host in hosts), key=len, reverse=True))
        self._origin = re.compile(rf"https?://(?:{names})(?=/)", re.IGNORECASE)
        # A definition of a link and a link with its words stand before the bare address that they may hold.
        self._all = re.compile(
            rf"(?m:^[ ]{{0,3}}\[[^\]\n]+\]:.*$)"
            rf"|(?P<head>\[(?:[^\[\]\\]|\\.)*+\]\()(?P<url>[^\s()<>]+)(?P<tail>(?:\s+\"[^\"\n]*\")?\))"
            rf"|(?<![\w(<\[/\"'=:])(?P<bare>https?://(?:{names})/[^\s<>\[\]()]*)",
            re.IGNORECASE,
        )

    def named(self, text: str) -> set[Key]:
        """Return (kind, id) of every thing whose path, such as `/comments/12`, is anywhere in the text, also on another
        host or in code: those that `rewrite` may need to know of.
        """
        if not any(f"/{name}/" in text for name in _KINDS):
            return set()
        return {
            (_KINDS[found[1].lower()], int(found[2])) for found in _PATH_ANYWHERE.finditer(text)
        }

    def rewrite(self, text: str, known: frozenset[Key]) -> str:
        """Return a Markdown text with its links to those things of the site that are in `known` written as
        `old:<kind>/<id>`: the address in `[words](address)`, a path or with one of the hosts; and a bare `https://…`,
        which becomes `[https://…](old:<kind>/<id>)`.

        Links to other things stay, and so do those by reference (`[words]: address`), in angle brackets, with a query
        or a fragment, and in code. `known`: (kind, id) of things; kinds are the layout's, `forum` for a microcosm, and
        another kind matches nothing. If the text names none of them it is returned as it is, else also without
        characters that are neither printable nor white space.
        """
        if known.isdisjoint(self.named(text)):
            return text

        def replaced(found: re.Match[str]) -> str:
            if found["url"]:
                old = self._old(found["url"], known)
                return f"{found['head']}{old}{found['tail']}" if old else found[0]
            if found["bare"]:
                url, tail = found["bare"], ""
                while url[-1] in ".,:;!?*_'\"":
                    url, tail = url[:-1], url[-1] + tail
                if old := self._old(url, known):
                    return f"[{url}]({old}){tail}"
            return found[0]

        filtered = block_characters(text)
        return outside_code(filtered, lambda part: self._all.sub(replaced, part))

    def _old(self, url: str, known: frozenset[Key]) -> str:
        path = _PATH.fullmatch(self._origin.sub("", url, count=1))
        if path is None:
            return ""
        key = (_KINDS[path[1].lower()], int(path[2]))
        return f"old:{key[0]}/{key[1]}" if key in known else ""
