"""Conversion of the BBCode of XenForo 2 and vBulletin 3 and 4, which is stored as typed, into Markdown.

Both have the same tags but for how a quotation names its post: `[QUOTE="Ann, post: 7, member: 2"]` in XenForo,
`[QUOTE=Ann;7]` in vBulletin. An unknown tag, and one without a partner, is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from forumapi.porting.markup import foreign_markdown
from forumapi.porting.markup.converted_text import Converted, PostFile
from forumapi.porting.markup.text_tree import TextNode, TreeBuilder, Unsaid, linked, to_markdown

_TAG = re.compile(
    r"\[(?P<close>/)?(?P<name>[a-z]{1,12}|\*)"
    r"(?:=(?:\"(?P<double>[^\"\n]{0,600})\"|'(?P<single>[^'\n]{0,600})'|(?P<bare>[^\[\]\n\"']{0,600}))"
    r"|(?P<more>(?: [\w-]{1,20}=(?:\"[^\"\n]{0,300}\"|'[^'\n]{0,300}')){1,5}))?\]",
    re.I,
)
_POST_OF_XENFORO = re.compile(
    r"^(?P<name>.*?)(?:, (?P<kind>[a-zA-Z]{1,30}): ?(?P<id>[0-9]{1,12}))(?:, .*)?$", re.S
)
_POST_OF_VBULLETIN = re.compile(r"^(?P<name>.*);n?(?P<id>[0-9]{1,12})$", re.S)
_INLINE: Final = {tag: tag for tag in ("b", "i", "u", "s", "sub", "sup")} | {"strike": "s"}
_BLOCKS: Final = {
    **dict.fromkeys(("left", "center", "right", "justify", "indent"), "block"),
    "table": "table",
    "tr": "row",
    "td": "cell",
    "th": "heading_cell",
    "list": "list",
    **dict.fromkeys(("color", "size", "font", "highlight", "ispoiler"), "plain"),
}
_UNSAID: Final = {
    "color": "colour",
    "size": "size of type",
    "font": "typeface",
    "highlight": "colour",
    **dict.fromkeys(("left", "center", "right", "justify", "indent"), "alignment"),
    "ispoiler": "spoiler within a line",
}
# Content up to the closing tag is no markup.
_VERBATIM: Final = frozenset(
    ("code", "php", "html", "icode", "noparse", "plain", "img", "attach", "media", "video", "youtube")
)  # fmt: skip
_OLD: Final = {"user": "profile", "mention": "profile", "thread": "conversation", "post": "comment"}
_NAMES: Final = frozenset(
    (
        *_INLINE,
        *_BLOCKS,
        *_VERBATIM,
        *_OLD,
        "quote",
        "url",
        "email",
        "spoiler",
        "heading",
        "hr",
        "*",
    )
)
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?![0-9])")


class XenforoVbulletinText:
    """Converter of one board's texts from BBCode into Markdown; `unsaid` counts over all of them what Markdown can't
    express.
    """

    def __init__(self) -> None:
        self.unsaid = Unsaid()

    def convert(
        self,
        text: str,
        files: Iterable[PostFile] = (),
        *,
        smilies: bool = True,
        is_message: bool = False,
    ) -> Converted:
        """Convert a post's or message's text into Markdown. `files`: the post's files, which tags in the text name by
        id, in any order. `smilies`: False leaves their codes as text; `is_message`: a private message, whose quotations
        name no posts.
        """
        reading = _BbcodeReading(self.unsaid, {file.id: file for file in files}, is_message)
        reading.read(text.replace("\r\n", "\n"))
        markdown = to_markdown(reading.root)
        if smilies:
            markdown = foreign_markdown.with_emoji(markdown)
        return Converted(markdown, tuple(reading.answered), frozenset(reading.shown))

    def plain(self, text: str) -> str:
        """Return the words of a text on one line, without markup."""
        reading = _BbcodeReading(Unsaid(), {}, True)
        reading.read(text)
        return " ".join(reading.root.text().split())


class _BbcodeReading(TreeBuilder):
    """State of reading one text into a tree. `unsaid`: counts of what Markdown can't express, added to in place;
    `files`: the post's files by id; `is_message`: a private message.
    """

    def __init__(self, unsaid: Unsaid, files: dict[str, PostFile], is_message: bool) -> None:
        super().__init__()
        self._unsaid = unsaid
        self._files = files
        self._is_message = is_message
        # The closing tag found last, by name; None for a name that is not closed any more.
        self._found: dict[str, re.Match[str] | None] = {}

    def read(self, text: str) -> None:
        position = 0
        while match := _TAG.search(text, position):
            self._text(text[position : match.start()])
            position = match.end()
            name = match["name"].lower()
            if name not in _NAMES or (name == "*" and not self._is_open("list")):
                self._text(match[0])
            elif match["close"]:
                self._close(name, match[0])
            elif name == "*":
                self._item()
            elif name == "hr":
                self._add(TextNode("rule"))
            else:
                position = self._open(name, match, text)
        self._text(text[position:])

    def _close(self, name: str, written: str) -> None:
        for place in range(len(self._stack) - 1, 0, -1):
            if self._stack[place][0] == name:
                del self._stack[place:]
                return
        self._text(written)

    def _item(self) -> None:
        while self._stack[-1][0] != "list":
            self._stack.pop()
        self._push("*", TextNode("item"))

    def _text(self, text: str) -> None:
        if not text:
            return
        if self._is_open("url"):
            self._add(text)
        else:
            self._stack[-1][1].children += [piece for piece in linked(text) if piece]

    def _closing(self, name: str, text: str, position: int) -> re.Match[str] | None:
        """Find the closing tag of the tag `name`, from `position` in the text on; None without one. No call may have a
        lower `position` than the call before, since each stretch of the text is searched once for a name.
        """
        close = self._found.get(name)
        if name not in self._found or (close and close.start() < position):
            close = re.compile(rf"\[/{name}\]", re.I).search(text, position)
            self._found[name] = close
        return close

    def _open(self, name: str, match: re.Match[str], text: str) -> int:
        """Read the opening tag `match`, of the tag `name`, and its content too if that is no markup; return the
        position in the text after what was read.
        """
        position = match.end()
        close = self._closing(name, text, position)
        if close is None:
            self._text(match[0])
            return position
        written = next((match[one] for one in ("double", "single", "bare") if match[one]), "")
        is_bare = not written and name in ("url", "email", "thread", "post")
        if name in _VERBATIM or is_bare:
            self._verbatim(name, written, text[position : close.start()])
            return close.end()
        if reason := _UNSAID.get(name):
            self._unsaid[reason] += 1
        if name == "quote":
            self._quote(written.strip())
        elif name in ("url", "email"):
            self._push(
                name, self._link(f"mailto:{written}" if name == "email" else written.strip())
            )
        elif name in _OLD:
            id = re.match(r"[0-9]{1,12}", written)
            href = f"old:{_OLD[name]}/{int(id[0])}" if id else ""
            node = TextNode("link", href=href) if href else TextNode("plain")
            self._push(name, node)
            if name == "mention":
                self._add("@")
        elif name == "spoiler":
            self._push(name, TextNode("spoiler", title=written))
        elif name == "heading":
            level = min(int(written) + 1, 6) if written.isdigit() and len(written) < 3 else 3
            self._push(name, TextNode("title", level=str(level)))
        elif name == "list":
            self._push(name, TextNode("list", start="1" if written[:1] in tuple("1aAiI") else ""))
        else:
            self._push(name, TextNode(_INLINE.get(name) or _BLOCKS[name]))
        return position

    def _quote(self, written: str) -> None:
        name, href = written, ""
        match = _POST_OF_XENFORO.match(written) or _POST_OF_VBULLETIN.match(written)
        if match:
            name = match["name"]
            is_post = match.groupdict().get("kind", "post") == "post"
            if is_post and not self._is_message:
                id = str(int(match["id"]))
                href = f"old:comment/{id}"
                if not self._is_open("quote"):
                    self.answered.append(id)
        self._push("quote", TextNode("quote", author=name.strip(), href=href))

    def _link(self, href: str) -> TextNode:
        if not _HAS_SCHEME.match(href) and not href.startswith(("#", "/")):
            href = f"http://{href}"
        is_usable = href.partition(":")[0].lower() in ("http", "https", "ftp", "mailto")
        return TextNode("link", href=href) if is_usable else TextNode("plain")

    def _verbatim(self, name: str, written: str, content: str) -> None:
        if name in ("code", "php", "html"):
            language = written if name == "code" else name
            self._add(TextNode("pre", content.strip("\n"), language=language))
        elif name == "icode":
            self._add(TextNode("code", content))
        elif name in ("noparse", "plain"):
            self._add(content)
        elif name == "img":
            if content.strip().partition(":")[0].lower() in ("http", "https"):
                self._add(TextNode("image", src=content.strip(), alt=""))
        elif name == "attach":
            self._file(content.strip())
        elif name in ("url", "email"):
            href = content.strip()
            node = self._link(f"mailto:{href}" if name == "email" else href)
            node.children.append(href)
            self._add(node)
        elif name in ("thread", "post"):
            id = content.strip()
            if re.fullmatch(r"[0-9]{1,12}", id):
                self._add(TextNode("link", f"{name} {id}", href=f"old:{_OLD[name]}/{int(id)}"))
            else:
                self._add(content)
        else:
            self._film(written, content.strip())

    def _film(self, written: str, content: str) -> None:
        self._unsaid["film"] += 1
        if written.lower() == "youtube" and re.fullmatch(r"[\w-]{5,20}", content):
            content = f"https://www.youtube.com/watch?v={content}"
        self._stack[-1][1].children += [piece for piece in linked(content) if piece]

    def _file(self, id: str) -> None:
        file = self._files.get(str(int(id)) if re.fullmatch(r"[0-9]{1,12}", id) else "")
        if file is None:
            self._unsaid["file that is not there"] += 1
            return
        self.shown.add(file.id)
        is_picture = "1" if file.is_picture else ""
        self._add(TextNode("file", id=file.id, name=file.name, is_picture=is_picture))
