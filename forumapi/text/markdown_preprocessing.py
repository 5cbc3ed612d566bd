"""Preprocessing of a text before Markdown: bare `www.` addresses become links, and BBCode becomes Markdown (content
11.3).

Code spans and fences stay as they are (C-50). Takes time linear in the text.
"""

import re
from collections.abc import Callable

# The look-behind is after the literal, so that the search is for the literal.
_WWW = re.compile(r"www\.(?<![/>\]\w]www\.)(?=[^\s<\[])")

# A fence may be inside quotes and lists. Its opening has no other backtick in its line.
_FENCE = r"`{3,}+(?=[^`\n]*$)|~{3,}+"
_CODE = re.compile(
    rf"^[ \t]*+(?:>[ \t]*+|[-*+][ \t]++|[0-9]{{1,9}}[.)][ \t]++)*+(?P<fence>{_FENCE})"
    r"|(?<![`\\])(?P<ticks>`++)",
    re.M,
)
_FENCE_END = re.compile(r"^[ \t]*+(?:>[ \t]*+)*+(`{3,}+|~{3,}+)[ \t]*+$", re.M)
_TICKS = re.compile(r"`++")
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")

# Private-use character: the character filter has removed those of the author.
_FIRST_MASK = 0xF0000
_MASK = re.compile(r"[\U000F0000-\U000FFFFD]")

_ANY_TAG = re.compile(r"\[(?:[/*]|quote|[bius]\]|color|list|img|attach|url|email|cite)", re.I)
_LIST = re.compile(r"\[/?list(?:=[^\]\n]{0,20})?\]", re.I)
_ITEM = re.compile(r"^([ \t]*)\[\*\][ \t]*", re.M)

_Rewrite = Callable[[str, str], str]


def rewrite(text: str) -> str:
    """Return `text`, Markdown with BBCode in it, with the known BBCode tags as Markdown, and https:// before bare
    `www.` addresses; code spans and fences, and other tags in brackets, stay as they are. `text` has passed a character
    filter, so it holds no private-use characters.
    """
    has_www = "www." in text and _WWW.search(text) is not None
    has_tags = "[" in text and _ANY_TAG.search(text) is not None
    if not has_www and not has_tags:
        return text
    text, code = _mask_code(text)
    if has_www:
        text = _WWW.sub("https://www.", text)
    if has_tags:
        text = _ITEM.sub(r"\1* ", _LIST.sub("", text))
        for name, rewrite_pair in _PAIRS.items():
            text = _pairs(text, name, rewrite_pair)
        # Last, after code was put back: its lines are quoted too.
        text = _pairs(text, "quote", lambda _, body: _quote(_unmask(body, code)))
    return _unmask(text, code)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return `text` changed by `change`, except for code spans and fences: `change` gets the whole text, in which each
    of them is one private-use character, to be kept.

    `text` has passed a character filter, so it holds no private-use characters itself.
    """
    masked, code = _mask_code(text)
    return _unmask(change(masked), code)


def _pairs(text: str, name: str, rewrite_pair: _Rewrite) -> str:
    """Return `text` with each `[name=argument]content[/name]`, up to the first end tag, replaced by
    `rewrite_pair(argument, content)`; a start tag within `content` stays as it is. `argument`: without quotes around
    it; "" if the tag has none.
    """
    written: list[str] = []
    done = 0
    opening: re.Match[str] | None = None
    for match in _TAGS[name].finditer(text):
        if match["close"] is None:
            opening = opening or match
        elif opening:
            argument = (opening["argument"] or "").strip().strip("\"'")
            written.append(text[done : opening.start()])
            written.append(rewrite_pair(argument, text[opening.end() : match.start()]))
            done, opening = match.end(), None
    return "".join(written) + text[done:] if written else text


def _around(mark: str) -> _Rewrite:
    return lambda _, content: f"{mark}{content}{mark}"


def _attachment(_: str, content: str) -> str:
    number = content.strip()
    if not (number.isascii() and number.isdigit()):
        return f"[attach]{content}[/attach]"
    return f"[/attachments/{number}](/attachments/{number})"


def _link(argument: str, content: str) -> str:
    return f"[{content}]({argument})" if argument else content


def _email(argument: str, content: str) -> str:
    return f"<{argument or content.strip()}>"


def _cite(_: str, content: str) -> str:
    return f"*{content.strip().removesuffix(':')}* "


def _quote(body: str) -> str:
    lines = body.strip("\n").split("\n")
    return "\n\n" + "\n".join(f"> {line}" for line in lines) + "\n\n"


_PAIRS: dict[str, _Rewrite] = {
    "b": _around("**"),
    "i": _around("*"),
    "u": _around("*"),
    "s": _around("~~"),
    "color": lambda _, content: content,
    "img": lambda _, content: f"![]({content.strip()})",
    "attach": _attachment,
    "url": _link,
    "email": _email,
    "cite": _cite,
}

_TAGS = {
    name: re.compile(rf"\[(?P<close>/)?{name}(?:=(?P<argument>[^\]\n]{{0,2100}}+))?\]", re.I)
    for name in (*_PAIRS, "quote")
}


def _mask_code(text: str) -> tuple[str, list[str]]:
    """Replace each code span and fence by one private-use character: return the changed text, and the replaced spans
    and fences in order, for `_unmask`.
    """
    if "`" not in text and "~~~" not in text:
        return text, []
    span_ends = _ends_of_spans(text)
    code: list[str] = []
    written: list[str] = []
    done = position = 0
    while match := _CODE.search(text, position):
        end = _end_of_fence(text, match) if match["fence"] else span_ends.get(match.start())
        if end is None:
            position = match.end()
            continue
        written.append(text[done : match.start()] + chr(_FIRST_MASK + len(code)))
        code.append(text[match.start() : end])
        done = position = end
    return "".join(written) + text[done:], code


def _unmask(text: str, code: list[str]) -> str:
    return _MASK.sub(lambda match: code[ord(match[0]) - _FIRST_MASK], text) if code else text


def _end_of_fence(text: str, opening: re.Match[str]) -> int:
    """Return the position in `text` at the end of the line, before its line feed, that closes the fence which the match
    `opening` opens; without such a line, the end of the text.
    """
    fence = opening["fence"]
    for match in _FENCE_END.finditer(text, opening.end()):
        if match[1].startswith(fence):
            return match.end()
    return len(text)


def _ends_of_spans(text: str) -> dict[int, int]:
    """Return, by the position of each run of backticks in `text` that can open a code span, the position after that
    span. A run within another span is among the keys too, but opens none: callers skip it.
    """
    ends: dict[int, int] = {}
    next_run: dict[int, re.Match[str]] = {}
    for run in reversed(list(_TICKS.finditer(text))):
        size = len(run[0])
        closing = next_run.get(size)
        if closing and not _BLANK_LINE.search(text, run.end(), closing.start()):
            ends[run.start()] = closing.end()
        next_run[size] = run
    return ends
