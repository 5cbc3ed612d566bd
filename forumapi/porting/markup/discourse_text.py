"""Conversion of Discourse's Markdown into the Markdown of this platform.

Discourse's is CommonMark with HTML, as ours is, and tags in brackets beside it: quotations that name a post by topic
and number, `[details]`, `[spoiler]`, polls, dates. Files are named by `upload://` and the hash of their bytes, a number
of base 62. A bare address is a preview there and a link here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from forumapi.porting.markup import foreign_markdown
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.text_tree import Unsaid
from forumapi.text.markdown_preprocessing import outside_code

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FILE = re.compile(
    r"upload://(?P<short>[0-9A-Za-z]{1,30})(?:\.\w{1,10})?"
    r"|\[upload\|(?P<placeholder>[0-9a-f]{32})\]"
    r"|/uploads/short-url/(?P<url>[0-9A-Za-z]{1,30})"
    r"|/uploads/(?P<path>[^\s\"'()<>\]]+)"
)
_SHA = re.compile(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
# The parts before a tag's end are bounded, so that a text of many beginnings takes no longer than others.
_POLL = re.compile(r"\[poll(?P<head>[^\[\]\n]{0,500})\](?P<body>.*?)\[/poll\]", re.S)
_POLL_NAME = re.compile(r"\bname=[\"“”']?(?P<name>[^\s\"“”'\]]+)")
_CHOICE = re.compile(r"^[ \t]*(?:[-*+]|[0-9]+[.)])[ \t]+(?P<text>\S.*)$", re.M)
_LABEL = re.compile(
    r"(\[[^\[\]\n]{0,300}?)\|(?:attachment|video|audio|thumbnail|[0-9]+x[0-9]+[^\[\]\n]{0,40})(?=\]\()"
)
_PICTURE = re.compile(r"<img\b[^<>]*>", re.I)
_PICTURE_SOURCE = re.compile(r"\bsrc=[\"'](?P<src>[^\"'<>]+)[\"']", re.I)
_DETAILS = re.compile(
    r"\[(?P<close>/)?(?:details|spoiler|blur)(?P<title>=[^\[\]\n]{0,200})?\]", re.I
)
_CHAT = re.compile(
    r"\[chat quote=\"(?P<name>[^;\"\n]{1,100})[^\[\]\n]{0,300}\](?P<body>.*?)\[/chat\]", re.S
)
_DATE = re.compile(
    r"\[date(?:-range from)?=(?P<date>[0-9-]{10})(?:T[0-9:]{1,8})?(?: time=(?P<time>[0-9:]{4,8}))?"
    r"(?P<more>[^\[\]\n]{0,300})\]"
)
_ZONE = re.compile(r"timezone=\"(?P<zone>[\w/+-]+)\"")
_LAYOUT = re.compile(r"\[/?(?:grid|wrap)(?:=[^\[\]\n]{0,100})?\]", re.I)
_FOOTNOTE = re.compile(r"\[\^[\w-]{1,40}\](?!:)|\^\[[^\[\]\n]{1,300}\]")
_EMOJI = re.compile(r"(?<![\w:]):[a-z0-9_+-]{2,40}(?::t[2-6])?:(?!\w)")
_MENTION: Final = re.compile(r"(?<![\w/@\[.`])@(\w(?:[\w.-]*\w)?)")
_ADDRESS = re.compile(r"(?P<start>\]\(\s*<?)(?P<address>[^\s<>)]+)")
_INTERNAL = re.compile(
    r"/(?:t/(?:[^/\s]+/)?(?P<topic>[0-9]{1,12})(?:/(?P<number>[0-9]{1,12}))?|p/(?P<post>[0-9]{1,12})"
    r"|c/(?:[^/\s]+/)*(?P<forum>[0-9]{1,12})"
    r"|u/(?P<name>[^/\s?#]+)[^\s?#]*)/?(?:[?#].*)?"
)


class DiscourseText:
    """Converter of one Discourse board's texts into Markdown as members type it here; `unsaid` counts over all of them
    what Markdown can't express.
    """

    def __init__(
        self,
        people: Mapping[str, str],
        post: Callable[[int, int], str],
        file: Callable[[str], PostFile | None],
        address: str,
    ) -> None:
        """Prepare the converter. `people`: old ids of people by user name in lower case; `post`: function that returns
        the old id of a post by the id of its topic and its number in that topic, "" for no such post; `file`: function
        that returns an uploaded file by its key in a text (see this module's function `files`), None for an unknown
        key; `address`: the board's, without a slash at the end, "" if it is not known.
        """
        self.unsaid = Unsaid()
        self._people = people
        self._post = post
        self._file = file
        self._board = address

    def convert(self, raw: str) -> str:
        """Convert a post's or message's text into Markdown. Polls are left out: they are items of their own."""
        text = raw.replace("\r\n", "\n")
        text = outside_code(text, self._tags)
        text = foreign_markdown.with_rules_and_code(text)
        text = foreign_markdown.with_emoji(outside_code(text, self._addresses))
        text = foreign_markdown.with_quotations(text, self._cited)
        text = foreign_markdown.with_people(text, self._people, _MENTION)
        for name, pattern in (("footnote", _FOOTNOTE), ("emoji's code", _EMOJI)):
            outside_code(text, lambda part, n=name, p=pattern: self._count(n, p, part))  # type: ignore[misc]
        return text.strip("\n")

    def _count(self, name: str, pattern: re.Pattern[str], part: str) -> str:
        if found := len(pattern.findall(part)):
            self.unsaid[name] += found
        return part

    def _tags(self, part: str) -> str:
        part = _up_to("[/poll]", part, lambda there: _POLL.sub("", there))
        part = _up_to("[/chat]", part, lambda there: _CHAT.sub(_chat, there))
        part = _DETAILS.sub(
            lambda tag: (
                f"[{tag['close'] or ''}spoiler{'' if tag['close'] else tag['title'] or ''}]"
            ),
            part,
        )
        if _LAYOUT.search(part):
            self.unsaid["arrangement"] += 1
            part = _LAYOUT.sub("", part)
        return _DATE.sub(_date, part)

    def _addresses(self, part: str) -> str:
        def picture(tag: re.Match[str]) -> str:
            source = _PICTURE_SOURCE.search(tag[0])
            file = self._named(source["src"]) if source else None
            return f"![{_shown(file.name)}](old:attachment/{file.id})" if file else tag[0]

        def placeholder(found: re.Match[str]) -> str:
            if not found["placeholder"]:
                return found[0]
            file = self._file(found["placeholder"])
            if file is None:
                self.unsaid["file that is not there"] += 1
                return ""
            sign = "!" if file.is_picture else ""
            return f"{sign}[{_shown(file.name)}](old:attachment/{file.id})"

        part = _PICTURE.sub(picture, _FILE.sub(placeholder, _LABEL.sub(r"\1", part)))
        return _ADDRESS.sub(
            lambda link: link["start"] + self._address(link["address"]),
            part,
        )

    def _address(self, address: str) -> str:
        if address.startswith("upload://") or "/uploads/" in address:
            if file := self._named(address):
                return f"old:attachment/{file.id}"
            self.unsaid["file that is not there"] += 1
            return address
        if not (found := _INTERNAL.fullmatch(address)):
            return self._board + address if re.match(r"/(?!/)", address) else address
        if found["topic"]:
            number = int(found["number"] or 0)
            post = self._post(int(found["topic"]), number) if number > 1 else ""
            return f"old:comment/{post}" if post else f"old:conversation/{int(found['topic'])}"
        if found["name"]:
            id = self._people.get(found["name"].casefold())
            return f"old:profile/{id}" if id else address
        kind = "comment" if found["post"] else "forum"
        return f"old:{kind}/{int(found['post'] or found['forum'])}"

    def _named(self, address: str) -> PostFile | None:
        keys = files(address)
        return self._file(keys[0]) if keys else None

    def _cited(self, title: str) -> str:
        """Return the Markdown that names who is quoted, as a link to the post, else to the person, else, if neither
        is known, as words; `title`: what the quotation's tag says in quotation marks, such as `name, post:2,
        topic:510`.
        """
        name, *parts = (part.strip() for part in title.split(","))
        named = dict(part.split(":", 1) for part in parts if ":" in part)
        topic, number = (_number(named.get(key, "")) for key in ("topic", "post"))
        login = named.get("username", name).casefold()
        href = ""
        if topic and number and (id := self._post(topic, number)):
            href = f"old:comment/{id}"
        elif id := self._people.get(login, ""):
            href = f"old:profile/{id}"
        shown = _shown(name)
        return f"<cite>[{shown}]({href}):</cite>" if href else f"<cite>{shown}:</cite>"


def files(raw: str) -> list[str]:
    """Return the keys that a text names its files by, in the text's order, each as often as it stands there: the SHA-1
    of the bytes in 40 hexadecimal digits; for `[upload|…]`, as Discourse's converters write, its 32 digits; else the
    path from `/uploads/` on.
    """
    found = []
    for match in _FILE.finditer(raw):
        if short := match["short"] or match["url"]:
            found.append(_hash(short))
        elif match["placeholder"]:
            found.append(match["placeholder"])
        else:
            sha = _SHA.search(match["path"])
            found.append(sha[0] if sha else f"/uploads/{match['path'].partition('?')[0]}")
    return found


def short_name(sha: str) -> str:
    """Return the name, a number of base 62, by which `upload://` names the file whose bytes have this SHA-1
    (hexadecimal digits).
    """
    number, written = int(sha, 16), ""
    while number:
        number, digit = divmod(number, 62)
        written = _DIGITS[digit] + written
    return written


def _up_to(end: str, text: str, change: Callable[[str], str]) -> str:
    """Return a text in which the part up to and with the last `end` was passed through `change`; unchanged if `end` is
    not in it.
    """
    length = text.rfind(end) + len(end)
    return change(text[:length]) + text[length:] if end in text else text


def _chat(quoted: re.Match[str]) -> str:
    return f'[quote="{quoted["name"]}"]\n{quoted["body"].strip()}\n[/quote]'


def choices(raw: str, name: str) -> list[str]:
    """Return the texts of the choices, in order, of the poll called `name` in `raw`, the text of a post; a poll without
    a name is called "poll". [] where the post has none of this name.
    """
    for poll in _POLL.finditer(raw[: raw.rfind("[/poll]") + 7].replace("\r\n", "\n")):
        called = _POLL_NAME.search(poll["head"])
        if (called["name"] if called else "poll") == name:
            return [choice["text"].strip() for choice in _CHOICE.finditer(poll["body"])]
    return []


def _hash(short: str) -> str:
    number = 0
    for digit in short:
        number = number * 62 + _DIGITS.index(digit)
    return f"{number:040x}"


def _date(tag: re.Match[str]) -> str:
    zone = _ZONE.search(tag["more"])
    return " ".join(part for part in (tag["date"], tag["time"], zone and zone["zone"]) if part)


def _shown(name: str) -> str:
    return re.sub(r"([\\\[\]<*_`&])", r"\\\1", name)


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else 0
