"""Rewriting of links in imported texts, those to the old forum's addresses and `old:` links (porting/layout.py), to the
addresses here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from forumapi import itemtypes
from forumapi.models.content.attachment import file_href
from forumapi.porting.loading.imported_ids import TYPES, ImportedThing
from forumapi.text.character_filters import block_characters
from forumapi.text.markdown_preprocessing import outside_code
from forumapi.wire.legacy_urls import RuleSet

Key = tuple[str, str]
# Items on our pages, to which an old offset is rounded down.
_PAGE: Final = 25
_KIND: Final[Mapping[int, str]] = {
    itemtypes.MICROCOSM: "forum",
    itemtypes.PROFILE: "profile",
    itemtypes.COMMENT: "comment",
    itemtypes.HUDDLE: "message",
    itemtypes.CONVERSATION: "conversation",
    itemtypes.ATTACHMENT: "attachment",
}
# An escaped bracket begins no link. Without this the search would go from each of them to the text's end.
_LABEL: Final = (
    r"(?<!\\)(?P<before>(?:\\\\)*+)(?P<bang>!?)\[(?P<label>(?:[^\[\]\\]|\\.|!?\[[^\[\]]*+\])*+)\]"
)
_TITLE: Final = r"(?P<title>\s+\"[^\"\n]*\")?\s*\)"
_OLD: Final = re.compile(r"old:(?P<kind>[a-z]+)/(?P<id>[^\s)>\]]+)")


class Rewritten(NamedTuple):
    """Text with its links rewritten, and the ids here of the profiles that links such as `[@Anna](old:profile/7)` in it
    mention.
    """

    text: str
    mentioned: tuple[int, ...]


class OldLinks:
    """Rewriter of links to an old forum's own things, by its addresses or in the layout's form `old:<kind>/<id>`, into
    links to the imported things here. `addresses`: those the forum had; `rules`: rules by which its product's addresses
    are read, None to rewrite links of the form `old:` alone. `renamed`: names of erased people by profile id, {} at
    first.
    """

    def __init__(self, addresses: Sequence[str], rules: RuleSet | None) -> None:
        self._rules = rules
        # Names of erased people by profile id, in place of those by which mentions in a dump call them.
        self.renamed: Mapping[int, str] = {}
        bases = sorted({_base(address) for address in addresses} - {""}, key=len, reverse=True)
        parts = [r"old:[a-z]+/[^\s)>\]]+"]
        self._bare: re.Pattern[str] | None = None
        self._own = re.compile(r"(?!)")
        if bases and rules is not None:
            hosts = "|".join(re.escape(base) for base in bases)
            own = rf"(?:https?:)?//(?:www\.)?(?:{hosts})(?=[/?#)\s>]|$)[^\s)>\]]*"
            parts.append(own)
            self._own = re.compile(own, re.I)
            self._bare = re.compile(
                rf"<(?P<angle>https?://(?:www\.)?(?:{hosts})(?=[/?#>])[^\s<>]*+)>"
                rf"|(?<![\w(<\[/\"'=:])(?P<bare>https?://(?:www\.)?(?:{hosts})(?=[/?#])[^\s<>\]()]*)",
                re.I,
            )
        self._link = re.compile(
            rf"{_LABEL}\(\s*<?(?P<url>{'|'.join(parts)})>?{_TITLE}", re.I | re.S
        )

    def named(self, text: str) -> set[Key]:
        """Return kind and old id of everything of the old forum that a Markdown text links to, outside of code."""
        found: set[Key] = set()

        def note(part: str) -> str:
            for one in self._link.finditer(part):
                if key := self._key(one["url"]):
                    found.add(key)
                found.update(self.named(one["label"]))
            if self._bare is not None:
                for one in self._bare.finditer(part):
                    if key := self._key(one["angle"] or one["bare"]):
                        found.add(key)
            return part

        if self._is_worth_it(text):
            outside_code(block_characters(text), note)
        return found

    def rewrite(
        self, text: str, found: Mapping[Key, ImportedThing], *, later: frozenset[Key] = frozenset()
    ) -> Rewritten:
        """Return a Markdown text whose links to the things `found` (by kind and old id) lead to their addresses here,
        with the profiles that it mentions; a mention of a profile in `renamed` gets the name there. A link
        `old:<kind>/<id>` to anything else is replaced by its words, any other link stays.

        `later`: kinds and old ids of things that may still come; links to these stay as they are.
        """
        text = block_characters(text)
        if not self._is_worth_it(text):
            return Rewritten(text, ())
        mentioned: dict[int, None] = {}

        def label(part: str) -> str:
            return self._link.sub(replace, part)

        def replace(link: re.Match[str]) -> str:
            key = self._key(link["url"])
            thing = found.get(key) if key else None
            words = label(link["label"]) if "](" in link["label"] else link["label"]
            if thing is None:
                is_kept = key in later or not link["url"].lower().startswith("old:")
                return link[0] if is_kept else link["before"] + words
            if thing.type == itemtypes.PROFILE and words.startswith("@"):
                mentioned[thing.id] = None
                if name := self.renamed.get(thing.id):
                    words = f"@{name}"
            address = self._address(link["url"], thing)
            return f"{link['before']}{link['bang']}[{words}]({address}{link['title'] or ''})"

        def bare(link: re.Match[str]) -> str:
            url = link["angle"] or link["bare"]
            tail = ""
            if link["bare"]:
                whole, url = url, url.rstrip(".,:;!?*_'\"")
                tail = whole[len(url) :]
            key = self._key(url)
            thing = found.get(key) if key else None
            if thing is None:
                return link[0]
            words = re.sub(r"([\\*_`\[\]<>&])", r"\\\1", url)
            return f"[{words}]({self._address(url, thing)}){tail}"

        def whole(part: str) -> str:
            pieces: list[str] = []
            done = 0
            # Bare addresses are looked for between links, whose words may be addresses too.
            for link in self._link.finditer(part):
                between = part[done : link.start()]
                pieces += [self._bare.sub(bare, between) if self._bare else between, replace(link)]
                done = link.end()
            rest = part[done:]
            pieces.append(self._bare.sub(bare, rest) if self._bare else rest)
            return "".join(pieces)

        return Rewritten(outside_code(text, whole), tuple(mentioned))

    def _is_worth_it(self, text: str) -> bool:
        return "old:" in text or (self._bare is not None and "//" in text)

    def _key(self, url: str) -> Key | None:
        old = _OLD.fullmatch(url)
        if old is not None:
            return (old["kind"], old["id"]) if old["kind"] in TYPES else None
        if self._rules is None or self._own.fullmatch(url) is None:
            return None
        read = self._rules.read(unescape(url))
        if read is None or not read.old_id or read.item_type not in _KIND:
            return None
        return (_KIND[read.item_type], read.old_id)

    def _address(self, url: str, thing: ImportedThing) -> str:
        address = href(thing)
        if self._rules is not None and not url.startswith("old:"):
            read = self._rules.read(unescape(url))
            if read is not None and read.offset >= _PAGE and thing.type != itemtypes.COMMENT:
                address += f"?offset={read.offset // _PAGE * _PAGE}"
        return address


def href(thing: ImportedThing) -> str:
    """Return the path of an imported thing on the website; for an attachment the path of its file."""
    if thing.type == itemtypes.ATTACHMENT:
        hash, _, ext = thing.detail.partition("\n")[0].partition(".")
        return file_href(hash, ext)
    if thing.type == itemtypes.PROFILE:
        return f"/profiles/{thing.id}"
    return f"/{itemtypes.BY_ID[thing.type].path.rpartition('/')[2]}/{thing.id}/"


def _base(address: str) -> str:
    """Return host, port and path of a forum's address, without scheme, `www.` and a slash at the end; "" without a
    host.
    """
    parts = urlsplit(address if "//" in address else f"//{address}")
    if not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname.removeprefix('www.')}{port}{parts.path.rstrip('/')}"
