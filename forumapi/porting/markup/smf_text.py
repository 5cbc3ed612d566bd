"""Conversion of SMF 2's stored texts into Markdown: HTML-escaped BBCode with `<br>` for line ends.

Entities are decoded once, after the tags are read, since `&#91;` stands for a bracket that is none. As on the board, an
unknown tag is text, and a closing tag closes all tags within its own too.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Final

from forumapi.porting.dumps.row_values import decoded
from forumapi.porting.markup.converted_text import Converted, PostFile
from forumapi.porting.markup.smilies import EMOJI
from forumapi.porting.markup.text_tree import TextNode, TreeBuilder, Unsaid, to_markdown

_LINE_END = re.compile(r"<br ?/?>\n?|\r\n?")
_HTML_TAG = re.compile(r"<[^>]*>")

# Arguments as the board takes them; a tag with another one is text.
_QUOTED = r"=(?:&quot;(?P<{0}q>.{{0,1000}}?)&quot;|(?P<{0}p>[^\]\n]{{0,1000}}?))"


def _argument(prefix: str) -> str:
    return _QUOTED.format(prefix)


_TAG = re.compile(
    r"\[(?:"
    r"/(?P<close>[a-z]+)"
    r"|(?P<plain>b|i|u|s|sub|sup|pre|left|center|right|justify|table|tr|td|li|quote|code|php|nobbc|html|url|iurl"
    r"|email|img|time|rtl|ltr|youtube|list|hr|br|move|tt|glow|shadow)"
    r"|quote author=(?P<author>[^\]\[]{1,192}?)(?: link=(?P<link>[^\]\s]{1,60}))?(?: date=(?P<date>[0-9]{1,12}))?"
    rf"|quote{_argument('quote')}"
    r"|list type=(?P<list>[a-z-]+)"
    rf"|(?P<linked>i?url|email){_argument('url')}"
    r"|img(?P<img>(?: (?:width|height|alt|title)=(?>&quot;.{0,200}?&quot;|[^\]\s]{0,200}+)){1,4}+)"
    r"|attach(?P<attach>(?: (?:id|type|width|height|align|alt|display|name)="
    r"(?>&quot;.{0,200}?&quot;|[^\]\s]{0,200}+)){1,7}+)"
    r"|code=(?P<code>[^\]\n]{1,30})"
    r"|color=(?P<color>\#[\da-fA-F]{3,6}|[A-Za-z]{1,20}|rgb\([^\])]{0,40}\))"
    r"|size=(?P<size>[1-7]|[1-9]\d?(?:\.\d\d?)?(?:p[xt]|em)|(?:x-)?(?:small|large)|xx-large|medium|larger|smaller)"
    r"|font=(?P<font>[A-Za-z0-9_,\-\s]{1,60}?)"
    r"|(?:abbr|acronym)=(?P<abbr>[^\]\n]{1,200}?)"
    r"|anchor=(?P<anchor>\#?[^\]\s]{1,60})"
    r"|member=(?P<member>[0-9]{1,9})"
    r"|me=(?P<me>[^\]\n]{1,90})"
    r"|float=(?P<float>left|right)[^\]]{0,30}"
    r"|(?P<item>[*@+x\#oO0])"
    r")\]",
    re.S | re.I,
)
_NAMES: Final = (
    "author",
    "list",
    "img",
    "attach",
    "code",
    "color",
    "size",
    "font",
    "abbr",
    "anchor",
)
_INLINE: Final = {"b": "b", "i": "i", "u": "u", "s": "s", "sub": "sub", "sup": "sup"}
_BLOCKS: Final = {
    "left": "block",
    "center": "block",
    "right": "block",
    "justify": "block",
    "pre": "block",
    "table": "table",
    "tr": "row",
    "td": "cell",
    "li": "item",
    "list": "list",
    "rtl": "plain",
    "ltr": "plain",
    "move": "plain",
    "tt": "plain",
    "glow": "plain",
    "shadow": "plain",
}
# Content up to the closing tag is no markup.
_VERBATIM: Final = frozenset(("code", "php", "nobbc", "html", "img", "time", "youtube"))
_UNSAID: Final = {
    "color": "colour",
    "size": "size of type",
    "font": "typeface",
    "left": "alignment",
    "center": "alignment",
    "right": "alignment",
    "justify": "alignment",
    "float": "alignment",
    "abbr": "abbreviation",
    "anchor": "anchor",
}
_LINK_TO = re.compile(r"(?:topic=[0-9]+\.)?msg=?([0-9]{1,12})")
_BARE = re.compile(r"(?:(?:https?|ftp)://|(?<![\w.@/])www\.)[^\s<>\[\]\"']{2,}", re.I)
# A port is no scheme's rest.
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?![0-9])")
_END_OF_LINK = ".,;:!?"


class SmfText:
    """Converter of one SMF board's texts into Markdown; `unsaid` counts over all of them what Markdown can't
    express.
    """

    def __init__(
        self, smilies: Sequence[str] = (), resolve: Callable[[str], str] | None = None
    ) -> None:
        """Prepare the converter. `smilies`: codes of the board's smilies; `resolve`: function that returns the address
        to write in place of a link's, None to keep all.
        """
        self.unsaid = Unsaid()
        self._resolve = resolve or (lambda href: href)
        codes = "|".join(re.escape(code) for code in sorted(set(smilies), key=len, reverse=True))
        # A code counts only where it stands for itself.
        self._smilies = (
            re.compile(
                rf"(?:(?<=[>:?.\s\xa0\[\]()*\\;])|(?<![a-zA-Z0-9])\(|^)(?P<code>{codes})(?=[^a-zA-Z0-9]|$)"
            )
            if codes
            else None
        )

    def convert(
        self,
        text: str,
        files: Sequence[PostFile] = (),
        *,
        smilies: bool = True,
        is_message: bool = False,
    ) -> Converted:
        """Convert a stored text into Markdown. `files`: the post's files, which tags in the text name by id, in any
        order. `smilies`: False leaves their codes as text; `is_message`: a private message, whose quotations name no
        posts.
        """
        reading = _Reading(self, files, smilies, is_message)
        reading.read(_LINE_END.sub("\n", text))
        return Converted(
            to_markdown(reading.root), tuple(reading.answered), frozenset(reading.shown)
        )

    def plain(self, text: str) -> str:
        """Return the text of a stored line, such as a poll's question, on one line: without markup, its entities
        decoded, its smilies as emoji.
        """
        reading = _Reading(self, (), True, True)
        reading.read(_LINE_END.sub("\n", text))
        return " ".join(reading.root.text().split())

    def link(self, href: str) -> str:
        return self._resolve(href)

    def with_emoji(self, text: str) -> str:
        """Replace the codes of the board's smilies by emoji; codes without an emoji stay, and are counted in
        `unsaid`.
        """
        if self._smilies is None:
            return text

        def shown(match: re.Match[str]) -> str:
            code = match["code"]
            if code not in EMOJI:
                self.unsaid[f"smiley {code}"[:40]] += 1
            return match[0].removesuffix(code) + EMOJI.get(code, code)

        return self._smilies.sub(shown, text)


class _Reading(TreeBuilder):
    """State of reading one text into a tree. `texts`: the board's converter, whose `unsaid` it adds to; `files`: the
    post's, in any order; `smilies` True: their codes become emoji; `is_message`: a private message.
    """

    def __init__(
        self, texts: SmfText, files: Sequence[PostFile], smilies: bool, is_message: bool
    ) -> None:
        super().__init__()
        self._texts = texts
        self._files = {file.id: file for file in files}
        self._has_smilies = smilies
        self._is_message = is_message
        # Names of tags that are not closed any more: each is looked for once.
        self._unclosed: set[str] = set()

    def read(self, text: str) -> None:
        position = 0
        while match := _TAG.search(text, position):
            self._text(text[position : match.start()])
            position = match.end()
            if match["close"]:
                self._close(match["close"].lower(), match[0])
            elif match["item"]:
                self._item(match[0])
            else:
                position = self._open(match, text)
        self._text(text[position:])

    def _closing(self, name: str, text: str, position: int) -> re.Match[str] | None:
        """Find the closing tag of the tag `name`, whose content is no markup, from `position` in the text on; None
        without one.
        """
        if name in self._unclosed:
            return None
        close = re.compile(rf"\[/{name}\]", re.I).search(text, position)
        if close is None:
            self._unclosed.add(name)
        return close

    def _close(self, name: str, written: str) -> None:
        for place in range(len(self._stack) - 1, 0, -1):
            # A list that began with `[*]` has the same end.
            if self._stack[place][0] in (name, f"[{name}]"):
                del self._stack[place:]
                return
        self._text(written)

    def _item(self, written: str) -> None:
        """Open an item for the sign `written`, such as `[*]`, in the open list, else in a new one; within `[li]`, and
        for `[X]`, the sign stays as text.
        """
        if self._is_open("li") or written == "[X]":
            self._text(written)
            return
        while self._stack[-1][0] == "[*]":
            self._stack.pop()
        if self._stack[-1][0] not in ("list", "[list]"):
            self._push("[list]", TextNode("list"))
        self._push("[*]", TextNode("item"))

    def _text(self, written: str) -> None:
        if not written:
            return
        # An item without an end ends with its line.
        while "\n" in written and self._stack[-1][0] == "[*]":
            head, _, written = written.partition("\n")
            self._plain(head)
            self._stack.pop()
            is_over = written.strip() and not written.lstrip("\n").startswith("[")
            if self._stack[-1][0] == "[list]" and is_over:
                self._stack.pop()
            self._add("\n")
        if self._stack[-1][0] == "[list]" and written.strip():
            self._stack.pop()
        self._plain(written)

    def _plain(self, written: str) -> None:
        """Add stored text to the tree, its entities decoded, its bare addresses as links (not within `[url]`), and, if
        smilies are wanted, their codes as emoji.
        """
        if self._is_open("url"):
            self._add(self._emoji(decoded(written)))
            return
        position = 0
        for match in _BARE.finditer(written):
            href = decoded(match[0])
            shown = href.rstrip(_END_OF_LINK)
            shown = _without_unopened(shown)
            if not shown or "@" in shown.partition("/")[0]:
                continue
            self._add(self._emoji(decoded(written[position : match.start()])))
            target = shown if "://" in shown else f"http://{shown}"
            self._add(TextNode("link", shown, href=self._texts.link(target)))
            self._add(self._emoji(href[len(shown) :]))
            position = match.end()
        self._add(self._emoji(decoded(written[position:])))

    def _emoji(self, text: str) -> str:
        return self._texts.with_emoji(text) if self._has_smilies else text

    def _open(self, match: re.Match[str], text: str) -> int:
        """Read the opening tag `match`, and its content too if that is no markup; return the position in the text after
        what was read.
        """
        position = match.end()
        name = (match["plain"] or "").lower()
        if match["code"] is not None:
            name = "code"
        elif match["img"] is not None:
            name = "img"
        if name in _VERBATIM:
            close = self._closing(name, text, position)
            if close is None:
                self._text(match[0])
                return position
            self._verbatim(name, match, text[position : close.start()])
            return close.end()
        if name in ("hr", "br"):
            self._add(TextNode("rule") if name == "hr" else "\n")
        elif match["attach"] is not None:
            close = self._closing("attach", text, position)
            self._file(match["attach"], decoded(text[position : close.start()]) if close else "")
            return close.end() if close else position
        elif name in _INLINE:
            self._push(name, TextNode(_INLINE[name]))
        elif name in _BLOCKS:
            if name in _UNSAID:
                self._texts.unsaid[_UNSAID[name]] += 1
            self._push(name, TextNode(_BLOCKS[name]))
        elif name in ("url", "iurl", "email"):
            return self._bare_link(name, text, position)
        elif match["linked"]:
            href = decoded(match["urlq"] if match["urlq"] is not None else match["urlp"])
            self._push_link(match["linked"].lower(), href)
        else:
            self._push_with_argument(match, name)
        return position

    def _push_with_argument(self, match: re.Match[str], name: str) -> None:
        quoted = match["quoteq"] if match["quoteq"] is not None else match["quotep"]
        if name == "quote" or match["author"] is not None or quoted is not None:
            self._quote(decoded(match["author"] or quoted or ""), match["link"] or "")
        elif match["list"] is not None:
            is_bullet = match["list"] in ("disc", "circle", "square", "none")
            if not is_bullet and match["list"] != "decimal":
                self._texts.unsaid["letters of a list"] += 1
            self._push("list", TextNode("list", start="" if is_bullet else "1"))
        elif match["member"] is not None:
            link = TextNode("link", "@", href=f"old:profile/{int(match['member'])}")
            self._push("member", link)
        elif match["me"] is not None:
            node = TextNode("block", f"* {decoded(match['me'])} ")
            self._push("me", node)
        elif match["float"] is not None:
            self._texts.unsaid["alignment"] += 1
            self._push("float", TextNode("block"))
        else:
            kind = next(one for one in _NAMES if match[one] is not None)
            self._texts.unsaid[_UNSAID.get(kind, kind)] += 1
            self._push("abbr" if kind == "abbr" else kind, TextNode("plain"))

    def _quote(self, author: str, link: str) -> None:
        href = ""
        if (found := _LINK_TO.search(link)) and not self._is_message:
            id = str(int(found[1]))
            href = f"old:comment/{id}"
            if not self._is_open("quote"):
                self.answered.append(id)
        self._push("quote", TextNode("quote", author=author, href=href))

    def _bare_link(self, name: str, text: str, position: int) -> int:
        """Read `[url]address[/url]`, or the same with another tag `name` of a link, from `position`, behind the opening
        tag, on; return the position in the text after it. An opening tag without a closing one is added as text.
        """
        close = self._closing(name, text, position)
        if close is None:
            self._text(f"[{name}]")
            return position
        href = decoded(text[position : close.start()]).strip()
        shown = decoded(text[position : close.start()])
        self._push_link(name, href)
        if self._stack[-1][0] == "url":
            self._add(shown)
            self._stack.pop()
        else:
            self._add(shown)
        return close.end()

    def _push_link(self, name: str, href: str) -> None:
        if name == "email":
            href = f"mailto:{href}"
        elif found := re.fullmatch(r"#msg([0-9]{1,12})", href):
            href = f"old:comment/{int(found[1])}"
        elif not _HAS_SCHEME.match(href) and not href.startswith(("#", "/")):
            href = f"http://{href}"
        is_usable = href.partition(":")[0].lower() in ("http", "https", "ftp", "mailto", "old")
        node = TextNode("link", href=self._texts.link(href)) if is_usable else TextNode("plain")
        self._push("email" if name == "email" else name, node)

    def _verbatim(self, name: str, match: re.Match[str], content: str) -> None:
        text = decoded(content)
        if name in ("code", "php"):
            language = "php" if name == "php" else (match["code"] or "")
            self._add(
                TextNode(
                    "pre",
                    decoded(_HTML_TAG.sub("", content)).replace("\xa0", " "),
                    language=language,
                )
            )
        elif name == "nobbc":
            self._add(text)
        elif name == "html":
            # Markup of administrators: its text, since nothing in a dump is trusted.
            self._texts.unsaid["HTML of administrators"] += 1
            self._add(TextNode("block", decoded(_HTML_TAG.sub(" ", text))))
        elif name == "img":
            self._image(match["img"] or "", text.strip())
        elif name == "youtube":
            self._texts.unsaid["film"] += 1
            if re.fullmatch(r"[\w-]{5,20}", text):
                href = f"https://www.youtube.com/watch?v={text}"
                self._add(TextNode("link", href, href=href))
            else:
                self._add(text)
        else:
            self._add(_clock(text))

    def _image(self, attributes: str, source: str) -> None:
        alt = re.search(r" alt=(.*?)(?= (?:width|height|title)=|$)", attributes, re.S)
        if source.partition(":")[0].lower() in ("http", "https"):
            self._add(TextNode("image", src=source, alt=decoded(alt[1]) if alt else ""))

    def _file(self, attributes: str, name: str) -> None:
        id = re.search(r" id=([0-9]{1,12})", attributes)
        file = self._files.get(str(int(id[1]))) if id else None
        if file is None:
            self._texts.unsaid["file that is not there"] += 1
            self._add(name)
            return
        self.shown.add(file.id)
        is_picture = "1" if file.is_picture else ""
        self._add(TextNode("file", id=file.id, name=name or file.name, is_picture=is_picture))


def _without_unopened(address: str) -> str:
    """Return an address without closing parentheses at its end that were not opened in it, and without punctuation
    before these.
    """
    unopened = address.count(")") - address.count("(")
    end = len(address)
    while unopened > 0 and end and address[end - 1] == ")":
        unopened -= 1
        end -= 1
        while end and address[end - 1] in _END_OF_LINK:
            end -= 1
    return address[:end]


def _clock(text: str) -> str:
    """Return seconds since 1970, given as text, in the form in which the board shows a time, in UTC, such as "Jan 03,
    2005, 10:00 AM"; any other text unchanged.
    """
    if not re.fullmatch(r"[0-9]{1,11}", text):
        return text
    moment = datetime.datetime.fromtimestamp(int(text), datetime.UTC)
    return moment.strftime("%b %d, %Y, %I:%M %p")
