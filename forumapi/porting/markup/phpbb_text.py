"""Conversion of phpBB's stored texts (3.0 to 3.3) into Markdown, from both forms in which its tables hold them.

From 3.2 on a text is XML of its text engine and begins with `<r>` or `<t>`; the form of 3.0 and 3.1 is HTML-escaped
text with BBCode whose tags end in `:uid`. One table may hold both, whatever its `bbcode_uid` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from typing import Final, NamedTuple
from xml.parsers import expat

from forumapi.porting.dumps.row_values import decoded
from forumapi.porting.markup.converted_text import Converted, PostFile
from forumapi.porting.markup.smilies import EMOJI
from forumapi.porting.markup.text_tree import TextNode, Unsaid, to_markdown

MAX_NESTING: Final = 100
_IS_XML = re.compile(r"<[rt][ >]")
# Characters that XML 1.0 has no place for.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_TAG = re.compile(r"<[^>]*>")


class CustomTag(NamedTuple):
    """BBCode that the board has defined. `tokens`: for each placeholder of the template, such as `TEXT1`, the name of
    the attribute that fills it, "content" for the text between the tags; `template`: its HTML.
    """

    tokens: Mapping[str, str]
    template: str


class PhpbbText:
    """Converter of one phpBB board's texts into Markdown; `unsaid` counts over all of them what Markdown can't
    express.
    """

    def __init__(
        self,
        custom: Mapping[str, CustomTag] | None = None,
        resolve: Callable[[str], str] | None = None,
    ) -> None:
        """Prepare the converter. `custom`: BBCodes that the board has defined, by name in lower case; `resolve`:
        function that returns the address to write in place of a link's, None to keep all.
        """
        self.unsaid = Unsaid()
        self._custom = custom or {}
        self._resolve = resolve or (lambda href: href)

    def convert(
        self,
        text: str,
        uid: str = "",
        files: Sequence[PostFile] = (),
        *,
        smilies: bool = True,
        links: bool = True,
        is_message: bool = False,
    ) -> Converted:
        """Convert a stored text into Markdown. `uid`: its `bbcode_uid`; `files`: the post's files in the order by which
        the text numbers them, newest first. `smilies`, `links` False: smilies or addresses stay text; this matters to
        the old format alone, escaped BBCode.

        `is_message`: a private message, whose quotations name no posts.
        """
        builder = _Builder(self, files, is_message)
        builder.read(text, uid, smilies, links)
        root = builder.finish()
        return Converted(to_markdown(root), tuple(builder.answered), frozenset(builder.shown))

    def plain(self, text: str, uid: str = "") -> str:
        """Return the text of a stored line, such as a poll's question, on one line and without markup. `uid`: the
        line's `bbcode_uid`.
        """
        builder = _Builder(self, ())
        builder.read(text, uid, True, True)
        return " ".join(builder.finish().text().split())

    def link(self, href: str) -> str:
        return self._resolve(href)

    def custom(self, name: str) -> CustomTag | None:
        return self._custom.get(name)


class _Builder:
    """Builder of a text tree from one text in either form, XML or escaped BBCode. `texts`: the board's converter, whose
    `unsaid` it adds to; `files`: in the order by which the text numbers them; `is_message`: a private message.
    """

    def __init__(
        self, texts: PhpbbText, files: Sequence[PostFile], is_message: bool = False
    ) -> None:
        self.texts = texts
        self._files = files
        self._is_message = is_message
        self._begin()

    def _begin(self) -> None:
        self._root = TextNode("block")
        self._stack = [self._root]
        self._names = [""]
        self.answered: list[str] = []
        self.shown: set[str] = set()
        # Depth of tags that are beyond the limit, and left out.
        self._too_deep = 0

    def read(self, text: str, uid: str, smilies: bool, links: bool) -> None:
        """Read a text, XML or escaped BBCode, into the tree; damaged XML becomes text without markup. `uid`: the text's
        `bbcode_uid`; `smilies`, `links` False: smilies or addresses in escaped BBCode stay text.
        """
        if not _IS_XML.match(text):
            _read_old(self, text, uid, smilies, links)
            return
        try:
            _parse(self, _NO_XML.sub("", text))
        except (expat.ExpatError, _Refused, ValueError, OverflowError):
            # A text is whole or plain: what was read before the fault is dropped.
            self._begin()
            self.texts.unsaid["damaged markup"] += 1
            self.text(decoded(_TAG.sub("", text.replace("<br/>", "\n"))))

    def finish(self) -> TextNode:
        return self._root

    def text(self, text: str) -> None:
        if text:
            self._stack[-1].children.append(text)

    def add(self, node: TextNode) -> None:
        self._stack[-1].children.append(node)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._stack) > MAX_NESTING:
            self._too_deep += 1
            return
        node = self._node(name, attributes)
        self._stack[-1].children.append(node)
        # A template may put its content deeper.
        self._stack.append(_hole(node))
        self._names.append(name)

    def end(self, name: str) -> None:
        if self._too_deep:
            self._too_deep -= 1
            return
        for place in range(len(self._names) - 1, 0, -1):
            if self._names[place] == name:
                del self._stack[place:], self._names[place:]
                return

    def is_open(self, name: str) -> bool:
        return name in self._names

    def quote(self, attributes: Mapping[str, str]) -> TextNode:
        post = attributes.get("post_id", "")
        user = attributes.get("user_id", "")
        href = ""
        if post.isdigit() and not self._is_message:
            href = f"old:comment/{int(post)}"
            if "quote" not in self._names:
                self.answered.append(str(int(post)))
        elif user.isdigit() and int(user) > 1:
            href = f"old:profile/{int(user)}"
        return TextNode("quote", author=attributes.get("author", ""), href=href)

    def file(self, index: str, name: str) -> None:
        number = int(index) if index.isdigit() and len(index) < 6 else -1
        if 0 <= number < len(self._files):
            one = self._files[number]
            self.shown.add(one.id)
            self.add(
                TextNode(
                    "file",
                    id=one.id,
                    name=name or one.name,
                    is_picture="1" if one.is_picture else "",
                )
            )
        else:
            self.texts.unsaid["file that is not there"] += 1
            self.text(name)

    def smiley(self, code: str) -> None:
        if code not in EMOJI:
            self.texts.unsaid[f"smiley {code}"[:40]] += 1
        self.text(EMOJI.get(code, code))

    def _node(self, name: str, attributes: Mapping[str, str]) -> TextNode:
        if simple := _SIMPLE.get(name):
            return TextNode(simple)
        if name == "quote":
            return self.quote(attributes)
        if name == "list":
            return TextNode("list", start=self._list_start(attributes.get("type", "")))
        if name == "url":
            href = attributes.get("url", "")
            return TextNode("link", href=self.texts.link(href)) if href else TextNode("plain")
        if name == "email":
            return TextNode("link", href=f"mailto:{attributes.get('email', '')}")
        if name == "code":
            return TextNode("pre", language=attributes.get("lang", ""))
        if name in ("color", "size", "font", "align"):
            self.texts.unsaid[_UNSAID[name]] += 1
            return TextNode("plain")
        custom = self.texts.custom(name)
        if custom is not None:
            return _from_template(custom, attributes, self.texts)
        if name not in ("r", "t"):
            self.texts.unsaid[f"tag {name}"[:40]] += 1
        return TextNode("plain")

    def _list_start(self, kind: str) -> str:
        if kind in ("", "disc", "circle", "square", "none"):
            return ""
        if kind not in ("decimal", "1"):
            self.texts.unsaid["letters of a list"] += 1
        return "1"


_SIMPLE: Final = {"b": "b", "i": "i", "u": "u", "li": "item", "*": "item", "p": "block"}
_UNSAID: Final = {
    "color": "colour",
    "size": "size of type",
    "font": "typeface",
    "align": "alignment",
}


def _hole(node: TextNode) -> TextNode:
    """Return the node at or below the node of a BBCode's tag into which the tag's content goes: for a custom BBCode the
    node that its template marks, else a new node that is shown nowhere; the node itself for other tags.
    """
    if node.attributes.pop("is_whole", ""):
        return TextNode("plain")
    stack = [node]
    while stack:
        one = stack.pop()
        if one.attributes.pop("hole", ""):
            return one
        stack.extend(child for child in one.children if isinstance(child, TextNode))
    return node


# The XML of the text engine


class _Refused(Exception):
    """Refusal of XML with a document type or an entity, which phpBB never writes."""


class _Engine:
    """Handler of the XML parser's events, which builds the tree."""

    def __init__(self, builder: _Builder) -> None:
        self._builder = builder
        self._skipped = 0
        self._held: list[tuple[str, Mapping[str, str], list[str]]] = []
        self._code = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._held:
            self._held.append((name, attributes, self._held[-1][2]))
        elif self._skipped or name in ("s", "e", "i"):
            self._skipped += 1
        elif name in ("br",):
            self._builder.text("\n")
        elif name in _HELD:
            self._held.append((name, attributes, []))
        elif name in ("r", "t"):
            pass
        else:
            self._code += name == "CODE"
            self._builder.start(name.lower(), attributes)

    def end(self, name: str) -> None:
        if self._held:
            _, attributes, parts = self._held.pop()
            if not self._held:
                self._finish(name, attributes, "".join(parts))
        elif self._skipped:
            self._skipped -= 1
        elif name not in ("r", "t", "br"):
            self._code -= name == "CODE"
            self._builder.end(name.lower())

    def data(self, text: str) -> None:
        if self._held:
            # The typed tags around a held element's text.
            if self._held[-1][0] not in ("s", "e", "i"):
                self._held[-1][2].append(text)
        elif not self._skipped:
            self._builder.text(text if self._code else text.replace("\n", " "))

    def _finish(self, name: str, attributes: Mapping[str, str], text: str) -> None:
        builder = self._builder
        if name == "E":
            builder.smiley(text)
        elif name == "IMG":
            _add_image(builder, attributes.get("src", ""))
        elif name == "FLASH":
            builder.texts.unsaid["film"] += 1
            _add_link(builder, attributes.get("url", ""))
        elif name == "ATTACHMENT":
            builder.file(attributes.get("index", ""), attributes.get("filename", "") or text)
        elif name == "LINK_TEXT":
            builder.text(attributes.get("text", "") or text)
        else:
            builder.text(text)


# Elements whose text is not shown as it stands.
_HELD: Final = frozenset(("E", "EMOJI", "IMG", "FLASH", "ATTACHMENT", "LINK_TEXT"))


def _parse(builder: _Builder, text: str) -> None:
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    engine = _Engine(builder)
    parser.StartElementHandler = engine.start
    parser.EndElementHandler = engine.end
    parser.CharacterDataHandler = engine.data

    def refuse(*_: object) -> int:
        raise _Refused

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.Parse(text.encode("utf-8", "replace"), True)


def _add_image(builder: _Builder, source: str) -> None:
    if source:
        builder.add(TextNode("image", src=source, alt="Image"))
    else:
        builder.text("Image")


def _add_link(builder: _Builder, href: str) -> None:
    builder.add(TextNode("link", href, href=href))


# Templates of the board's own BBCodes

_TOKEN = re.compile(r"\{([A-Z_]+[0-9]*)(?:[;=][^{}]*)?\}")
_MATCH = re.compile(
    r"\[(?P<name>[a-z0-9_*-]+)(?P<attributes>[^\]]*)\](?P<content>.*)\[/", re.I | re.S
)
_ASSIGNED = re.compile(r"(?:^|\s)(?P<name>[a-z0-9_-]*)=\{(?P<token>[A-Z_]+[0-9]*)", re.I)


def custom_tag(name: str, match: str, template: str) -> CustomTag:
    """Return the BBCode `name` as the board defines it: by `match`, such as `[name={TEXT1;optional}]{TEXT2}[/name]`,
    and by its HTML, `template`. A `match` of another form leaves all placeholders of the template empty.
    """
    tokens: dict[str, str] = {}
    if found := _MATCH.match(match):
        for assigned in _ASSIGNED.finditer(found["attributes"]):
            tokens[assigned["token"]] = assigned["name"].lower() or name.lower()
        if content := _TOKEN.search(found["content"]):
            tokens[content[1]] = "content"
    return CustomTag(tokens, template)


_TEMPLATE_KINDS: Final = {
    name: kind
    for kind, names in {
        "b": "b strong",
        "i": "i em",
        "u": "u ins",
        "s": "s del strike",
        "sub": "sub",
        "sup": "sup",
        "mark": "mark",
        "small": "small",
        "code": "code tt kbd",
        "block": "div p center section article",
        "table": "table",
        "row": "tr",
        "cell": "td",
        "heading_cell": "th",
        "list": "ul ol",
        "item": "li",
        "quote": "blockquote",
        "spoiler": "details",
        "pre": "pre",
        "link": "a iframe embed",
        "title": "h1 h2 h3 h4 h5 h6",
    }.items()
    for name in names.split()
}
_DROPPED: Final = frozenset(("script", "style", "noscript", "template"))
_VOID: Final = frozenset(
    ("br", "hr", "img", "input", "embed", "source", "param", "wbr", "meta", "link")
)


class _Template(HTMLParser):
    """Parser of the template's HTML of one custom tag, filled with the tag's `attributes`, into the tree `root`, in
    which the place of the text between the tags is marked; `has_hole` False: the template has no such place. `texts`:
    the board's converter, which rewrites links' addresses.
    """

    def __init__(self, tag: CustomTag, attributes: Mapping[str, str], texts: PhpbbText) -> None:
        super().__init__(convert_charrefs=True)
        self._tag = tag
        self._values = attributes
        self._texts = texts
        self.root = TextNode("plain")
        self._stack: list[tuple[str, TextNode]] = [("", self.root)]
        self._dropped = 0
        self._summary: list[str] | None = None
        self.has_hole = False

    def _filled(self, text: str) -> str:
        return _TOKEN.sub(
            lambda match: self._values.get(self._tag.tokens.get(match[1], ""), ""), text
        )

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        if name in _DROPPED:
            self._dropped += 1
        elif name == "summary":
            self._summary = []
        elif name == "br":
            self._stack[-1][1].children.append("\n")
        elif name == "hr":
            self._stack[-1][1].children.append(TextNode("rule"))
        else:
            given = {key: self._filled(value or "") for key, value in attrs}
            if name == "img":
                if given.get("src"):
                    image = TextNode("image", src=given["src"], alt=given.get("alt", ""))
                    self._stack[-1][1].children.append(image)
                return
            node = self._made(name, given)
            self._stack[-1][1].children.append(node)
            if name not in _VOID:
                self._stack.append((name, node))

    def _made(self, name: str, given: Mapping[str, str]) -> TextNode:
        kind = _TEMPLATE_KINDS.get(name, "plain")
        if kind == "link":
            href = given.get("href") or given.get("src") or ""
            if not href:
                return TextNode("plain")
            node = TextNode("link", href=self._texts.link(href))
            if name != "a":
                node.children.append(href)
            return node
        if kind == "list":
            return TextNode("list", start="1" if name == "ol" else "")
        if kind == "title":
            return TextNode("title", level=name[1])
        return TextNode(kind)

    def handle_endtag(self, name: str) -> None:
        if name in _DROPPED:
            self._dropped = max(0, self._dropped - 1)
        elif name == "summary" and self._summary is not None:
            for _, node in reversed(self._stack):
                if node.kind == "spoiler":
                    node.attributes["title"] = "".join(self._summary)
                    break
            self._summary = None
        else:
            for place in range(len(self._stack) - 1, 0, -1):
                if self._stack[place][0] == name:
                    del self._stack[place:]
                    break

    def handle_data(self, data: str) -> None:
        if self._dropped:
            return
        if self._summary is not None:
            self._summary.append(self._filled(data))
            return
        into = self._stack[-1][1].children
        done = 0
        for match in _TOKEN.finditer(data):
            into.append(data[done : match.start()])
            name = self._tag.tokens.get(match[1], "")
            if name == "content" and not self.has_hole and "content" not in self._values:
                self.has_hole = True
                into.append(TextNode("plain", hole="1"))
            else:
                into.append(self._values.get(name, ""))
            done = match.end()
        into.append(data[done:])


def _from_template(tag: CustomTag, attributes: Mapping[str, str], texts: PhpbbText) -> TextNode:
    template = _Template(tag, attributes, texts)
    template.feed(tag.template)
    template.close()
    if not template.has_hole:
        # The content is an attribute, or is not shown at all.
        template.root.attributes["is_whole"] = "1"
    return template.root


# The form of 3.0 and 3.1

_COMMENTED = re.compile(
    r"<!-- s(?P<code>\S{1,50}?) --><img [^>]{0,1000}><!-- s(?P=code) -->"
    r'|<!-- (?P<link>[mlwe]) --><a [^>]{0,200}?href="(?P<href>[^"]{0,2100})"[^>]{0,200}>'
    r"(?P<shown>.{0,2100}?)</a><!-- (?P=link) -->",
    re.S,
)


def _read_old(builder: _Builder, text: str, uid: str, smilies: bool, links: bool) -> None:
    tags = _old_tags(uid)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    position = 0
    # Names of tags that are not closed any more: each is looked for once.
    unclosed: set[str] = set()
    while tags and (match := tags.search(text, position)):
        _read_plain(builder, text[position : match.start()], smilies, links)
        position = match.end()
        name = match["name"].lower()
        if match["close"]:
            builder.end(name)
            continue
        if name in ("code", "img", "flash", "attachment"):
            close = None
            if name not in unclosed:
                close = re.compile(rf"\[/{name}(?::[a-z])?:{re.escape(uid)}\]", re.I).search(
                    text, position
                )
            if close is None:
                unclosed.add(name)
            else:
                _add_verbatim(
                    builder, name, match["argument"] or "", text[position : close.start()]
                )
                position = close.end()
                continue
        content = ""
        if name in ("url", "email") and not match["argument"]:
            close = tags.search(text, position)
            content = text[position : close.start()] if close else ""
        builder.start(name, _old_attributes(name, match["argument"] or "", content))
    _read_plain(builder, text[position:], smilies, links)


def _old_tags(uid: str) -> re.Pattern[str] | None:
    if not uid:
        return None
    end = rf"(?::[a-z])?:{re.escape(uid)}\]"
    return re.compile(
        rf"\[(?P<close>/)?(?P<name>\*|[a-z0-9_-]++)"
        rf"(?:=(?P<argument>&quot;(?:(?!\[quote=).){{0,300}}?&quot;(?={end})|[^\[\]\n]{{0,2100}}?(?={end})))?{end}",
        re.I | re.S,
    )


def _old_attributes(name: str, argument: str, content: str) -> dict[str, str]:
    value = decoded(argument)
    if name == "quote":
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\([\\\"'])", r"\1", value[1:-1])
        return {"author": value}
    if name == "list":
        return {"type": value}
    if name == "url":
        return {"url": value or decoded(content)}
    if name == "email":
        return {"email": value or decoded(content)}
    return {name: value}


def _add_verbatim(builder: _Builder, name: str, argument: str, content: str) -> None:
    if name == "code":
        text = decoded(_TAG.sub("", content.replace("<br />", "\n")))
        builder.add(TextNode("pre", text, language=decoded(argument)))
    elif name == "img":
        _add_image(builder, decoded(content))
    elif name == "flash":
        builder.texts.unsaid["film"] += 1
        _add_link(builder, decoded(content))
    else:
        builder.file(argument, decoded(re.sub(r"<!-- ia[0-9]+ -->", "", content)))


def _read_plain(builder: _Builder, text: str, smilies: bool, links: bool) -> None:
    position = 0
    while match := _COMMENTED.search(text, position):
        builder.text(decoded(text[position : match.start()]))
        position = match.end()
        if match["code"] is not None:
            code = decoded(match["code"])
            if smilies:
                builder.smiley(code)
            else:
                builder.text(code)
            continue
        href, shown = decoded(match["href"]), decoded(_TAG.sub("", match["shown"]))
        if links and not builder.is_open("url"):
            builder.add(TextNode("link", shown, href=builder.texts.link(href)))
        else:
            builder.text(shown)
    builder.text(decoded(text[position:]))
