"""Rendering of a comment's Markdown to the HTML that is stored and served (content 11).

Two steps, since links and mentions need the database in between, which this package does not use:

    draft = prepare(markdown, own_hosts=site.hosts, file_host=None)
    # look up draft.mention_names, find or make short links for draft.urls
    content = finish(draft, mentions=..., short_links=...)

Markup for the sanitiser is written from tokens (`html_tokenizer`, `tag_nesting`), never by replacing strings in HTML;
only the image class and the embeds follow the sanitiser (C-49).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from unicodedata import normalize

from forumapi.text import embeds
from forumapi.text.character_filters import block_characters, lower_if_all_caps
from forumapi.text.html_tokenizer import attributes_of, steps
from forumapi.text.link_target import target, usable_image
from forumapi.text.markdown import to_html
from forumapi.text.markdown_preprocessing import rewrite
from forumapi.text.sanitise import (
    ELEMENTS,
    EXTERNAL_REL,
    EXTERNAL_TARGET,
    allowed_value,
    escape_attribute,
    escape_text,
    sanitise,
)
from forumapi.text.short_text_cleaning import escape as escape_stored
from forumapi.text.tag_nesting import STRUCTURE, Nesting

RENDERER_VERSION = 2
"""Goes up with every change of what the pipeline makes: HTML of another version is made anew (C-36)."""

MAX_SOURCE = 50_000
MAX_LINKS = 100
MAX_NOTIFIED = 20
MAX_EMBEDS = 20

MAX_NAMES = 200
"""Distinct names looked up for one comment; further ones stay text."""

_LONGEST_NAME = 50


@dataclass(frozen=True, slots=True)
class _Link:
    """Start tag of a link to another host, which `finish` writes, when the link's short link is known. `href`: the URL,
    not escaped; `more`: the other attributes of the tag, as HTML.
    """

    href: str
    more: str


@dataclass(frozen=True, slots=True)
class _Mention:
    """Word that begins with @ or +, and may name a profile. `candidates`: the possible names, the longest first, as
    (number of characters in `word`, the sign included; name in lower case, HTML-escaped).
    """

    word: str
    candidates: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class RenderDraft:
    """Comment that is rendered but for its mentions and the addresses of its links to other hosts; `finish` makes its
    HTML, from `parts` in order, in which a str is HTML, not yet sanitised. `mention_names`: names in its text to look
    up among the profiles; `urls`: URLs in its links for which short links are wanted, MAX_LINKS at most.
    """

    parts: tuple[str | _Link | _Mention, ...]
    mention_names: frozenset[str]
    """Possible profile names, lower case, HTML-escaped as profile names are stored."""
    urls: tuple[str, ...]
    """Distinct http and https URLs on other hosts, in order."""


@dataclass(frozen=True, slots=True)
class Content:
    """Rendered comment: HTML to be stored and served. `mentioned`: ids of the profiles that it links to by mentions,
    and that are to be notified, the first MAX_NOTIFIED, and `urls`: URLs that were replaced by short links, both
    without repetition and in the text's order.
    """

    html: str
    mentioned: tuple[int, ...]
    """Profiles to notify, distinct, in order."""
    urls: tuple[str, ...]
    """The URLs that were replaced by short links, distinct, in order."""


def prepare(
    markdown: str,
    *,
    own_hosts: frozenset[str],
    file_host: str | None,
    jump: str = "",
    limit: int | None = MAX_SOURCE,
) -> RenderDraft:
    """Render Markdown as far as that needs no database (steps 1 to 7 of content 11.1).

    `own_hosts`: the site's host names, in lower case, without port; `file_host`: the one of them on which addresses of
    files stay absolute, None for no such host. `jump`: prefix of the site's short links: a link that begins with it
    gets no further short link; "" for none. Raises ValueError for a text longer than `limit` characters; None, for
    texts that are stored already or imported: no limit.
    """
    if limit is not None and len(markdown) > limit:
        raise ValueError(f"a comment is at most {limit} characters")
    source = markdown.replace("\r\n", "\n").replace("\r", "\n")
    source = rewrite(lower_if_all_caps(block_characters(source)))
    writer = _Writer(source, own_hosts, file_host, jump)
    writer.write(_readable(to_html(source)))
    return RenderDraft(tuple(writer.parts), frozenset(writer.names), writer.urls())


def finish(
    draft: RenderDraft, *, mentions: Mapping[str, int], short_links: Mapping[str, str]
) -> Content:
    """Insert mentions and short links into a draft, sanitise it and add embeds (steps 7 to 12 of content 11.1).

    `mentions`: ids of those profiles that exist, by name in lower case and HTML-escaped, as in `draft.mention_names`.
    `short_links`: address of the short link by URL of `draft.urls`; other URLs stay.
    """
    written: list[str] = []
    mentioned: dict[int, None] = {}
    used: dict[str, str] = {}
    for part in draft.parts:
        if isinstance(part, str):
            written.append(part)
        elif isinstance(part, _Mention):
            written.append(_mention(part, mentions, mentioned))
        else:
            short = short_links.get(part.href)
            if short is not None:
                used[part.href] = short
            written.append(_start_of_link(short or part.href, True, part.more))
    html = sanitise("".join(written))
    # The sanitiser escapes < and > in texts and values, so that both replacements find only tags.
    html = html.replace("<img ", '<img class="ip" ')
    html = _with_embeds(html, used)
    return Content(html, tuple(mentioned)[:MAX_NOTIFIED], tuple(used))


def _readable(text: str) -> str:
    """Return `text` without the characters that `block_characters` removes, and without carriage returns: `prepare`
    removed both from the Markdown, but decoded entities can bring them back.
    """
    return block_characters(text).replace("\r", "")


# Steps 4, 6, 7 and 8, on the tokens of the document

_MARK = re.compile(
    r"(?<!\S)#(?P<tag>(?=[0-9]*[A-Za-z_])[A-Za-z0-9_]++)(?!\w)|(?<!\w)[@+](?P<name>\S++)"
)
_AFTER_NAME = ",.:?!-"
_AROUND_NAME = _AFTER_NAME + ")]}>\"'’”»"

# Accents, variation selectors, skin tones and joined emoji stay with their base characters.
_EXTENDING = "\u0300-\u036f\u200c\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff"
_LONGEST_RUN = 40
# The look-ahead is atomic, like `{0,20}+`, which loses a character before Python 3.11.5.
_LONG_RUN = re.compile(
    rf"\S{{{_LONGEST_RUN}}}(?=(?P<more>(?:[{_EXTENDING}]|(?<=\u200d)\S){{0,20}}))(?P=more)(?=\S)"
)
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_RUN + 1}}}")
_SOFT_HYPHEN = "\u00ad"

_STARTS = {name: f"<{name}>" for name in ELEMENTS}


class _Writer:
    """Writer of the parts of one RenderDraft from rendered Markdown, for one call of `write`. `source`: the Markdown;
    `own_hosts`: the site's host names; `file_host`: the one of them on which addresses of files stay absolute, None for
    no such host; `jump`: prefix of the addresses of short links, "" for none.
    """

    def __init__(
        self, source: str, own_hosts: frozenset[str], file_host: str | None, jump: str
    ) -> None:
        self.parts: list[str | _Link | _Mention] = []
        self.names: dict[str, None] = {}
        self._own_hosts = own_hosts
        self._file_host = file_host
        self._jump = jump
        self._nesting = Nesting()
        self._has_long_words = _LONG_WORD.search(source) is not None
        # Character before the next text, for hashtags; "" at the start of a block.
        self._before = ""
        self._in_fresh_pre = False

    def write(self, html: str) -> None:
        """Append the parts of the whole document `html`, made by the Markdown engine, to `parts`, and the names that
        may be mentions to `names`.
        """
        for text, slash, name, attributes in steps(html):
            if text:
                self._text(text)
            if name is None:
                continue
            if name not in ELEMENTS:
                name = name.lower()
                if name not in ELEMENTS:
                    continue
            if slash:
                self._end(name)
            elif name == "a":
                self._link(attributes or "")
            else:
                self._element(name, attributes)
        self.parts.append(self._nesting.finish())

    def urls(self) -> tuple[str, ...]:
        """Return the URLs for which short links are wanted, each once, in order: the first MAX_LINKS at most."""
        links = (part.href for part in self.parts if isinstance(part, _Link))
        return tuple(dict.fromkeys(links))[:MAX_LINKS]

    def _markup(self, markup: str, name: str) -> None:
        if markup:
            self.parts.append(markup)
            self._in_fresh_pre = False
            if name in STRUCTURE or name == "br":
                self._before = ""

    def _end(self, name: str) -> None:
        if name == "a" and self.parts and isinstance(link := self.parts[-1], _Link):
            # An anchor without content stays as it is.
            self.parts[-1] = _start_of_link(link.href, True, link.more)
        self._markup(self._nesting.end(name), name)

    def _element(self, name: str, written: str | None) -> None:
        tag = _STARTS[name]
        attributes = _attributes(name, written) if written and written != " /" else {}
        if name == "img":
            source = usable_image(attributes.get("src", ""))
            if source is None:
                return
            attributes["src"] = source
            if not attributes.get("alt"):
                attributes.pop("alt", None)
        if attributes:
            tag = f"<{name}{_written(attributes)}>"
        closing = self._nesting.start(name)
        if closing is not None:
            self._markup(closing + tag, name)
            self._in_fresh_pre = name == "pre"

    def _link(self, written: str) -> None:
        attributes = _attributes("a", written)
        href = attributes.pop("href", None)
        leads = None if href is None else target(href, self._own_hosts, self._file_host)
        if leads is None and not attributes:
            return
        if self._nesting.start("a") is None:
            return
        more = _written(attributes)
        if leads is None:
            self._markup(f"<a{more}>", "a")
        elif leads.shortened and not (self._jump and leads.href.startswith(self._jump)):
            self.parts.append(_Link(leads.href, more))
            self._in_fresh_pre = False
        else:
            self._markup(_start_of_link(leads.href, leads.external, more), "a")

    def _text(self, written: str) -> None:
        if written == "\n" and not self._in_fresh_pre:
            self.parts.append(written)
            self._before = written
            return
        text = written
        if "&" in text or "<" in text:
            text = _readable(unescape(text))
        if self._in_fresh_pre:
            # An HTML parser drops the first newline of a `pre`, each time it reads it.
            text = text.lstrip("\n")
            self._in_fresh_pre = not text
        if not text:
            return
        around = self._nesting.open
        if "code" in around or "pre" in around:
            self.parts.append(escape_text(text))
        elif "a" not in around and ("@" in text or "#" in text or "+" in text):
            self._marked(text)
        else:
            self._plain(text)
        self._before = text[-1]

    def _plain(self, text: str) -> None:
        if self._has_long_words and len(text) > _LONGEST_RUN:
            text = _hyphenated(text)
        self.parts.append(escape_text(text))

    def _marked(self, text: str) -> None:
        """Append the parts of `text`, which is not escaped, to `parts`: hashtags as links to the search, words that may
        be mentions as `_Mention`, on which `finish` decides, all else as escaped text.
        """
        done = 0
        for match in _MARK.finditer(text):
            tag = match["tag"]
            part: str | _Mention | None = None
            if tag is None:
                part = self._possible_mention(match[0])
            elif match.start() or not self._before or self._before.isspace():
                part = f'<a href="/search/?q=%23{tag}">{escape_text(_hyphenated(match[0]))}</a>'
            if part is not None:
                self._plain(text[done : match.start()])
                self.parts.append(part)
                done = match.end()
        self._plain(text[done:])

    def _possible_mention(self, word: str) -> _Mention | None:
        whole = word[1:].rstrip(_AFTER_NAME)
        candidates: list[tuple[int, str]] = []
        for name in dict.fromkeys((whole, whole.rstrip(_AROUND_NAME))):
            if 0 < len(name) <= _LONGEST_NAME:
                key = escape_stored(normalize("NFC", name).lower())
                if key in self.names or len(self.names) < MAX_NAMES:
                    self.names[key] = None
                    candidates.append((1 + len(name), key))
        return _Mention(word, tuple(candidates)) if candidates else None


# In attributes, unlike in text, an entity needs its semicolon: "?a=1&copy=2" has none.
_ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);")


def _attributes(element: str, written: str) -> dict[str, str]:
    """Return the attributes of a tag by name in lower case, with entities decoded: those whose name and value an author
    may set on `element` (`allowed_value`); others are left out. Of a repeated name the first counts, allowed or not.

    `written`: the tag's text after its name. Raises KeyError for an element that is not in ELEMENTS, if it has
    attributes.
    """
    seen: dict[str, str] = {}
    for name, value in attributes_of(written):
        if name not in seen:
            if "&" in value:
                value = _ENTITY.sub(_unescape_entity, value)
            seen[name] = value if value.isprintable() else _readable(value)
    return {name: value for name, value in seen.items() if allowed_value(element, name, value)}


def _unescape_entity(entity: re.Match[str]) -> str:
    return unescape(entity[0])


def _written(attributes: Mapping[str, str]) -> str:
    return "".join([f' {name}="{escape_attribute(value)}"' for name, value in attributes.items()])


def _hyphenated(text: str) -> str:
    """Return `text` with a soft hyphen after every 40 characters of each longer word, so that lines can be broken there
    (content 11.5).
    """
    return _LONG_RUN.sub(lambda run: run[0] + _SOFT_HYPHEN, text)


def _start_of_link(href: str, external: bool, more: str) -> str:
    away = f' rel="{EXTERNAL_REL}" target="{EXTERNAL_TARGET}"' if external else ""
    return f'<a href="{escape_attribute(href)}"{away}{more}>'


def _mention(part: _Mention, mentions: Mapping[str, int], mentioned: dict[int, None]) -> str:
    """Return a possible mention, `part`, as HTML: a link to the profile of its longest candidate in `mentions`
    (profile's id by name); without any, text. The id is added to the keys of `mentioned`, whose values mean nothing.
    """
    for end, key in part.candidates:
        profile = mentions.get(key)
        if profile is not None:
            mentioned[profile] = None
            name, rest = escape_text(part.word[:end]), escape_text(_hyphenated(part.word[end:]))
            return f'<a href="/profiles/{profile:d}">{name}</a>{rest}'
    return escape_text(_hyphenated(part.word))


# Step 12

_SHORT_LINK = re.compile(r'<a href="([^"]*)"([^>]*)>(.*?)</a>', re.DOTALL)


def _with_embeds(html: str, used: Mapping[str, str]) -> str:
    """Return sanitised HTML with the players and maps of known providers, each below its link, MAX_EMBEDS at most.
    `used`: addresses of the short links in `html`, by the URL that each leads to.
    """
    frames: dict[str, str] = {}
    for url, short in used.items():
        embed = embeds.find(url)
        if embed:
            frames[short] = embed.html()
    if not frames:
        return html
    left = MAX_EMBEDS

    def embedded(link: re.Match[str]) -> str:
        nonlocal left
        frame = frames.get(unescape(link[1]))
        if frame is None or not left:
            return link[0]
        left -= 1
        start = f'<a href="{link[1]}" embed="true"{link[2]}>'
        return f"{start}{link[3]}</a><br />\n{frame}<br />\n"

    return _SHORT_LINK.sub(embedded, html)
