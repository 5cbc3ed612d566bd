"""Conversion of other products' Markdown into the Markdown of this platform.

Misago and NodeBB show typed HTML as text, where some of it has an effect here; Misago and Discourse have tags for
quotations and spoilers; Misago has no tables. All functions leave code as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from forumapi.text.markdown_preprocessing import outside_code

_HTML = re.compile(
    r"(?<!\\)<(?=[A-Za-z/!?])(?!(?:https?|ftp|mailto):[^\s<>]*>)(?![^\s<>@]+@[^\s<>@]+>)"
)
_DELIMITERS = re.compile(
    r"^(?P<start>[ \t>]*)(?P<row>\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*)$", re.M
)
_BBCODE = re.compile(
    r"\[(/?(?:[bius]|\*|quote|color|list|img|attach|url|email|cite)(?:=[^\]\n]{0,300})?)\](?!\()",
    re.I,
)
_EMOJI_OF: Final = {
    ":smile:": "😄",
    ":laughing:": "😆",
    ":joy:": "😂",
    ":wink:": "😉",
    ":blush:": "😊",
    ":grin:": "😁",
    ":heart:": "❤️",
    ":+1:": "👍",
    ":thumbsup:": "👍",
    ":-1:": "👎",
    ":thumbsdown:": "👎",
    ":cry:": "😢",
    ":slightly_smiling_face:": "🙂",
    ":disappointed:": "😞",
    ":tada:": "🎉",
    ":rocket:": "🚀",
    ":fire:": "🔥",
    ":)": "🙂",
    ":-)": "🙂",
    ":D": "😄",
    ":-D": "😄",
    ";)": "😉",
    ";-)": "😉",
    ":(": "😞",
    ":-(": "😞",
    ":P": "😛",
    ":-P": "😛",
    ":p": "😛",
    ":o": "😮",
    ":O": "😮",
    ":'(": "😢",
    "<3": "❤️",
    ":|": "😐",
    ":/": "😕",
    ":-/": "😕",
    "=)": "😃",
    "=D": "😄",
    ":*": "😘",
    "8)": "😎",
}
_EMOJI = re.compile(
    rf"(?<![^\s])({'|'.join(re.escape(code) for code in sorted(_EMOJI_OF, key=len, reverse=True))})(?![^\s.,;!?])"
)
_MENTION = re.compile(r"(?<![\w/@\[.`])@([\w-]+)")
_ADDRESS = re.compile(r"(\]\(\s*<?)([^\s<>)]+)")
_RULE = re.compile(r"[ \t]*\[hr/?\][ \t]*", re.I)
_CODE = re.compile(r"\[(?P<close>/)?code(?:=[^\]\n]{0,40})?\]", re.I)
# The bracket of `[1]: address`.
_DEFINITION = re.compile(r"^[ \t>]*(?=\[[^\]\n]+\]:)", re.M)
_TAG = re.compile(
    r"[ \t]*\[(?:(?P<close>/)(?P<closed>quote|spoiler)|(?P<name>quote|spoiler)"
    r"(?:=(?:\"(?P<quoted>[^\"\n]{0,120})\"|(?P<bare>[^\]\n]{0,120})))?)\][ \t]*",
    re.I,
)
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})")
_MAX_DEPTH: Final = 20
# Marks a line that is a tag; the character filter has no place for it.
_SIGN: Final = "\ue000"


def without_html(text: str) -> str:
    """Escape HTML tags outside of code, so that the text shows them as they were typed. Addresses in angle brackets
    stay links.
    """
    return outside_code(text, lambda part: "\n".join(_without_html(part.split("\n"))))


def _without_html(lines: list[str]) -> Iterator[str]:
    before = ""
    in_code = False
    for line in lines:
        # Code by its indentation, which follows a blank line.
        in_code = line.startswith(("    ", "\t")) and (in_code or not before.strip())
        yield line if in_code else _HTML.sub(r"\<", line)
        before = line


def without_tables(text: str) -> str:
    """Escape, outside of code, the delimiter rows of tables, and definitions of links (`[1]: address`), neither of
    which Misago has.
    """

    def escaped(part: str) -> str:
        part = _DEFINITION.sub(r"\g<0>\\", part)
        return _DELIMITERS.sub(r"\g<start>\\\g<row>", part)

    return outside_code(text, escaped)


def without_bbcode(text: str) -> str:
    """Escape BBCode tags outside of code, which have an effect here, while the product shows them as typed."""
    return outside_code(text, lambda part: _BBCODE.sub(r"&#91;\1&#93;", part))


def with_emoji(text: str) -> str:
    """Replace codes such as `:smile:` and `:-)` outside of code by emoji, where white space stands before them and
    white space or punctuation behind them. Codes without an emoji stay.
    """
    return outside_code(text, lambda part: _EMOJI.sub(lambda match: _EMOJI_OF[match[1]], part))


def with_people(text: str, people: Mapping[str, str], mention: re.Pattern[str] = _MENTION) -> str:
    """Turn `@name` outside of code into a link `[@name](old:profile/<old id>)` where the name is known; other mentions
    stay. `people`: old ids by name, in lower case; `mention`: pattern whose first group is the name.
    """

    def linked(match: re.Match[str]) -> str:
        id = people.get(match[1].casefold())
        return f"[@{match[1]}](old:profile/{id})" if id else match[0]

    return outside_code(text, lambda part: mention.sub(linked, part))


def with_addresses(text: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    """Rewrite the addresses of links and pictures outside of code. `rules`: pairs of a pattern and a replacement; of
    each address the match of the first pattern that matches at its beginning is replaced; an address that none matches
    stays.
    """

    def replaced(match: re.Match[str]) -> str:
        for pattern, address in rules:
            if pattern.match(match[2]):
                return match[1] + pattern.sub(address, match[2], count=1)
        return match[0]

    return outside_code(text, lambda part: _ADDRESS.sub(replaced, part))


def with_rules_and_code(text: str) -> str:
    """Turn Misago's `[hr]` and `[code]` into Markdown's rule and fenced code; a `[code]` without `[/code]` stays."""

    def fenced(part: str) -> str:
        written: list[str] = []
        done = 0
        start: re.Match[str] | None = None
        for tag in _CODE.finditer(part):
            if tag["close"] is None:
                start = start or tag
            elif start:
                code = part[start.end() : tag.start()].strip("\n")
                written += [part[done : start.start()], f"\n\n```\n{code}\n```\n\n"]
                done, start = tag.end(), None
        return "".join([*written, part[done:]])

    text = outside_code(text, fenced)
    return outside_code(text, lambda part: _RULE.sub("\n\n---\n\n", part))


def with_quotations(text: str, cite: Callable[[str], str]) -> str:
    """Turn `[quote="@name"]` and `[spoiler="title"]` into a quotation and `<details>`; tags without a partner, and
    those within 20 others, become text. `cite`: function that is called with what a quotation's tag says after `=`,
    without quotation marks, and returns the Markdown naming the author; it is not called for a bare `[quote]`.
    """
    if not _TAG.search(text):
        return text
    lines = [part for line in _split(text) for part in line]
    ends: dict[str, list[int]] = {"quote": [], "spoiler": []}
    for place, line in enumerate(lines):
        if (found := _TAG.fullmatch(line[1:])) and line.startswith(_SIGN) and found["close"]:
            ends[found["closed"].lower()].append(place)

    def closing(place: int, name: str) -> int:
        """Return how many closing tags of this name come after the line with the index `place`."""
        return len(ends[name]) - bisect_right(ends[name], place)

    written: list[str] = []
    open_tags: list[str] = []
    for place, line in enumerate(lines):
        match = _TAG.fullmatch(line[1:]) if line.startswith(_SIGN) else None
        prefix = "> " * sum(name == "quote" for name in open_tags)
        if match is None:
            written.append(f"{prefix}{line}".rstrip() if prefix else line)
        elif match["close"]:
            name = match["closed"].lower()
            if name not in open_tags:
                written.append(f"{prefix}\\{line[1:].strip()}")
                continue
            while open_tags:
                closed = open_tags.pop()
                prefix = "> " * sum(one == "quote" for one in open_tags)
                written += (
                    [prefix.rstrip()]
                    if closed == "quote"
                    else [f"{prefix}", f"{prefix}</details>", prefix.rstrip()]
                )
                if closed == name:
                    break
        else:
            name = match["name"].lower()
            if len(open_tags) >= _MAX_DEPTH or closing(place, name) <= open_tags.count(name):
                written.append(f"{prefix}\\{line[1:].strip()}")
                continue
            written.append(prefix.rstrip())
            open_tags.append(name)
            inner = "> " * sum(one == "quote" for one in open_tags)
            title = (match["quoted"] or match["bare"] or "").strip()
            if name == "spoiler":
                summary = re.sub(r"[<>&\[*_`~\\]", lambda sign: f"&#{ord(sign[0])};", title) or "…"
                written += [
                    f"{inner}<details>",
                    f"{inner}<summary>{summary}</summary>",
                    inner.rstrip(),
                ]
            elif title:
                written += [f"{inner}{cite(title)}", inner.rstrip()]
    while open_tags:
        if open_tags.pop() == "spoiler":
            prefix = "> " * sum(one == "quote" for one in open_tags)
            written += [prefix.rstrip(), f"{prefix}</details>"]
    return "\n".join(written).strip("\n")


def _split(text: str) -> list[list[str]]:
    """Return for each line of a text its parts, in order: texts, and each `[quote]` or `[spoiler]` tag outside of code,
    opening or closing, as a part of its own with U+E000 put before it. U+E000 in `text` is removed, and blank text
    beside a tag is left out.
    """
    found: list[list[str]] = []
    fence = ""
    for line in text.replace(_SIGN, "").split("\n"):
        start = _FENCE.match(line)
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            found.append([line])
            continue
        if start:
            fence = start[1]
            found.append([line])
            continue
        parts: list[str] = []
        done = 0
        ticks = counted = 0
        for match in _TAG.finditer(line):
            ticks += line.count("`", counted, match.start())
            counted = match.start()
            # Within a span of code, which a line does not leave here.
            if ticks % 2:
                continue
            if line[done : match.start()].strip():
                parts.append(line[done : match.start()])
            parts.append(_SIGN + match[0])
            done = match.end()
        if line[done:].strip() or not done:
            parts.append(line[done:])
        found.append(parts)
    return found
