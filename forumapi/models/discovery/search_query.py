"""Parser of search queries: the keys of the query string and of `q`, checked (discovery 8.2). Pure: no database.

A search is never refused for its words or keys: those that could not be understood are left out and reported in
`query.ignored`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.wire.paging import Pairs

TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))

# Types that can be found (S-06), and those that are found by words.
SEARCHABLE: Final = (
    "site",
    "microcosm",
    "profile",
    "comment",
    "huddle",
    "conversation",
    "poll",
    "event",
)
INDEXED: Final = tuple(
    itemtypes.BY_NAME[name].id for name in SEARCHABLE if name not in ("site", "comment")
)

_COMMENTABLE: Final = tuple(kind.id for kind in itemtypes.TYPES if kind.commentable)

# A longer text is cut, and words beyond the last one are ignored: a query is work for the server.
MOST_TEXT: Final = 1_000
MOST_WORDS: Final = 24
MOST_VALUES: Final = 100
_MAX_ID: Final = 2**63 - 1
_MAX_DAYS: Final = 365 * 200

_KEYS: Final = (
    "inTitle",
    "type",
    "id",
    "forumId",
    "authorId",
    "author",
    "email",
    "following",
    "has",
    "since",
    "until",
    "eventAfter",
    "eventBefore",
    "attendee",
    "sort",
    "lat",
    "lon",
    "radius",
    "north",
    "east",
    "south",
    "west",
)
_BY_LOWER: Final = {key.lower(): key for key in _KEYS}
# Never used for filtering (S-02), or not at all.
_UNUSED: Final = frozenset(("author", "lat", "lon", "radius", "north", "east", "south", "west"))
_OF_EVENTS: Final = ("eventAfter", "eventBefore", "attendee")

_HASHTAG: Final = re.compile(r"(?<!\S)#(\w*[^\W\d]\w*)(?!\w)")
_DAYS: Final = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d)?", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,19}", re.ASCII)
_TERM: Final = re.compile(r'(-?)"([^"]*)(?:"|\Z)|(\S+)')
_LAST_WORD: Final = re.compile(r"\w+\Z")
# Fewer letters say nothing.
LEAST_TYPED: Final = 2
_WORD: Final = re.compile(r"\w")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")

# Scripts without spaces, as search_unspaced() of sql/functions/search.sql has them.
UNSPACED: Final = (
    "\u0e01-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u30ff"
    "\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_UNSPACED_RUN: Final = re.compile(f"[{UNSPACED}]+")
# Between texts that must both be there, wherever they stand.
_AND: Final = "\x1f"


class Word(NamedTuple):
    """Word of a query, or several in quotes that must stand together. Words with the same `group` are alternatives; a
    text that has an `is_negated` word does not match.
    """

    text: str
    group: int
    is_negated: bool = False


def words(text: str) -> list[Word]:
    """Return the words of a query in its order, the first MOST_WORDS; [] for "". A word without a letter or digit is
    left out. All must match; words in quotes stand together.

    `a OR b`: one of them must match; `-a`: must not match, unless all words are written so: then all must match.
    """
    found: list[Word] = []
    joins = False
    for match in _TERM.finditer(text):
        sign, quoted, plain = match[1], match[2], match[3]
        if plain == "OR" and found and not found[-1].is_negated:
            joins = True
            continue
        is_negated = bool(sign)
        if plain is not None:
            is_negated = plain.startswith("-") and len(plain) > 1 and plain[1].isalpha()
        term = quoted if plain is None else plain
        if not _WORD.search(term):
            continue
        if len(found) == MOST_WORDS:
            break
        group = found[-1].group if joins and found and not is_negated else len(found)
        joins = False
        found.append(Word(term.lstrip("-") if is_negated else term, group, is_negated))
    if all(word.is_negated for word in found):
        found = [word._replace(is_negated=False) for word in found]
    return found


def last_word(text: str) -> str:
    """Return the word at the very end of a text, which may still be unfinished; "" if the text ends with a space or
    sign.
    """
    found = _LAST_WORD.search(text[-MOST_TEXT:])
    return found[0] if found else ""


def forgiving(run: str) -> list[str]:
    """Return searches that find the word `run`, of a script without spaces, although one letter of it is wrong, missing
    or too many.

    Each is the word without the place of the error, as parts, joined by _AND, that must all occur; [] for fewer than
    three letters.
    """
    if len(run) < 3:
        return []
    found = [
        _AND.join(part for part in (run[:at], run[at + width :]) if part)
        for width in (0, 1, 2)
        for at in range(len(run) - width + 1)
        if len(run) - width > 0
    ]
    return list(dict.fromkeys(one for one in found if one != run))


def unspaced(text: str) -> list[str]:
    """Return the runs of letters in a text that belong to scripts written without spaces, such as Chinese, in the
    text's order; repeated runs are repeated.
    """
    return _UNSPACED_RUN.findall(text)


def is_unspaced(text: str) -> bool:
    """Return True if the whole text is one run of letters of scripts written without spaces."""
    return _UNSPACED_RUN.fullmatch(text) is not None


@dataclass
class ParsedSearch:
    """Checked search. `text`: its words; `in_title`: only titles are searched; `hashtags`: those among the words, with
    their #; lists are in the order sent, without duplicates, and have MOST_VALUES entries at most, `hashtags` any
    number; `forum_ids`: ids of microcosms; `types`: names; `ids`: of things; `following`: only what the caller follows;
    `attendee`: only events that the caller attends; `has`: attachment alone; `emails`: from the site's owner only;
    `dates`, by key: (text as sent, moment); `author_id`: a profile's, 0: not sent; `sort`: date, oldest or newest, ""
    if not sent; `ignored`: what was sent and could not be understood, was one value too many, or has no effect.
    """

    text: str = ""
    in_title: bool = False
    hashtags: list[str] = field(default_factory=list)
    forum_ids: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    author_id: int = 0
    emails: list[str] = field(default_factory=list)
    following: bool = False
    attendee: bool = False
    has: list[str] = field(default_factory=list)
    sort: str = ""
    dates: dict[str, tuple[str, datetime.datetime]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    @property
    def is_searchable(self) -> bool:
        """Return True if the search has words, or one of the filters that suffice alone: type, author, microcosm,
        e-mail.
        """
        return bool(self.text or self.types or self.author_id or self.forum_ids or self.emails)

    def moment(self, key: str) -> datetime.datetime | None:
        """Return the moment sent for `key`: `since`, `until`, `eventAfter` or `eventBefore`; None if it was
        not sent.
        """
        found = self.dates.get(key)
        return found[1] if found else None

    @property
    def searched(self) -> str:
        """Return the search, its words and then its filters except e-mail addresses, as a text for people."""
        parts = [self.text] if self.text else []
        parts += [f"type:{name}" for name in self.types]
        parts += [f"has:{name}" for name in self.has]
        parts += [f"id:{id}" for id in self.ids]
        parts += ["inTitle:true"] if self.in_title else []
        parts += ["following:true"] if self.following else []
        parts += [f"{key}:{sent}" for key, (sent, _) in self.dates.items()]
        parts += ["attendee:true"] if self.attendee else []
        parts += [f"forumId:{id}" for id in self.forum_ids]
        parts += [f"authorId:{self.author_id}"] if self.author_id else []
        parts += [f"sort:{self.sort}"] if self.sort else []
        return " ".join(parts)

    def document(self, forum_ids: Sequence[int], *, was_made: bool) -> dict[str, Any]:
        """Return the member `query` of the answer: its members that are not empty, in the order of discovery 8.7.

        `forum_ids`: the searched microcosms with those below them. `was_made`: the search was carried out; the member
        `searched` is there only then.
        """
        dates = {key: sent for key, (sent, _) in self.dates.items()}
        shown: dict[str, Any] = {
            "q": self.text,
            "inTitle": self.in_title,
            "hashtags": self.hashtags,
            "forumId": list(forum_ids),
            "type": self.types,
            "id": self.ids,
            "authorId": self.author_id,
            "email": self.emails,
            "following": self.following,
            **dates,
            "attendee": self.attendee,
            "has": self.has,
            "sort": self.sort,
            "ignored": " ".join(self.ignored),
            "searched": self.searched if was_made else "",
        }
        return {key: value for key, value in shown.items() if value}


class _Sent(NamedTuple):
    """Key and value as they were sent. `between`: the separator, = in the query string and : in `q`."""

    key: str
    value: str
    between: str

    def __str__(self) -> str:
        return f"{self.key}{self.between}{self.value}"


def parse(pairs: Pairs, now: datetime.datetime, *, is_owner: bool) -> ParsedSearch:
    """Parse the search in the parameters of a query string; never raises. `now`: the time from which relative dates
    count; `is_owner`: the caller owns the site, and so may search by e-mail address. Of a key that takes one value,
    such as `sort`, the first pair in `q` counts, or else the first parameter.
    """
    asked = ParsedSearch()
    q = next((value for key, value in pairs if key == "q"), "")
    rest, fragments = _split(_CONTROL.sub(" ", q)[:MOST_TEXT])
    asked.text = " ".join(rest).strip()
    asked.hashtags = list(dict.fromkeys(f"#{tag}" for tag in _HASHTAG.findall(asked.text)))
    if not _WORD.search(asked.text):
        # Nothing to find; said back all the same.
        if asked.text:
            asked.ignored.append(asked.text)
        asked.text = ""
    sent = [
        _Sent(key, value, "=")
        for key, value in pairs
        if key in _KEYS and not _CONTROL.search(value)
    ]
    # Of what can be said once the first parameter counts, and the first fragment before it.
    first: dict[str, _Sent] = {}
    for one in sent:
        first.setdefault(one.key, one)
    single = first | {one.key: one for one in reversed(fragments)}
    several = [*sent, *fragments]
    _read_lists(asked, several, is_owner)
    _read_single(asked, single, now)
    _settle(asked)
    return asked


def _split(q: str) -> tuple[list[str], list[_Sent]]:
    """Split `q` at single spaces; return the parts that are text, and the `key:value` pairs. A pair with an unknown
    key, without a value or with a second colon is text. Capitals in keys make no difference.
    """
    rest: list[str] = []
    fragments: list[_Sent] = []
    for part in q.split(" "):
        key, colon, value = part.partition(":")
        known = _BY_LOWER.get(key.lower())
        if colon and value and ":" not in value and known:
            fragments.append(_Sent(known, value, ":"))
        else:
            rest.append(part)
    return rest, fragments


def _read_lists(asked: ParsedSearch, sent: Sequence[_Sent], is_owner: bool) -> None:
    readers: dict[str, tuple[list[Any], Callable[[str], Any]]] = {
        "type": (asked.types, _type),
        "id": (asked.ids, _id),
        "forumId": (asked.forum_ids, _id),
        "has": (asked.has, lambda value: value if value == "attachment" else None),
    }
    emails = list(dict.fromkeys(one.value for one in sent if one.key == "email" and one.value))
    if is_owner:
        asked.emails = emails[:MOST_VALUES]
    elif emails:
        asked.ignored.append(f"email:[{' '.join(emails)}]")
    for one in sent:
        if one.key in _UNUSED:
            asked.ignored.append(f"{one.key}:{one.value}")
        elif one.key in readers:
            known, read = readers[one.key]
            value = read(one.value)
            if value is None or len(known) == MOST_VALUES:
                asked.ignored.append(str(one))
            elif value not in known:
                known.append(value)


def _read_single(asked: ParsedSearch, sent: dict[str, _Sent], now: datetime.datetime) -> None:
    for key in ("inTitle", "following", "attendee"):
        if key in sent:
            value = sent[key].value
            if value not in TRUE and value not in FALSE:
                asked.ignored.append(str(sent[key]))
            elif key == "inTitle":
                asked.in_title = value in TRUE
            elif key == "following":
                asked.following = value in TRUE
            else:
                asked.attendee = value in TRUE
    for key in ("since", "until", "eventAfter", "eventBefore"):
        if key in sent:
            moment = _moment(sent[key].value, now)
            if moment is None:
                asked.ignored.append(str(sent[key]))
            else:
                asked.dates[key] = (sent[key].value, moment)
    if "authorId" in sent:
        asked.author_id = _id(sent["authorId"].value) or 0
        if not asked.author_id:
            asked.ignored.append(str(sent["authorId"]))
    if "sort" in sent:
        if sent["sort"].value in ("date", "oldest", "newest"):
            asked.sort = sent["sort"].value
        else:
            asked.ignored.append(str(sent["sort"]))


def _settle(asked: ParsedSearch) -> None:
    """Move keys that have no effect beside the other keys of the search into its `ignored`."""
    if asked.types != ["event"]:
        for key in _OF_EVENTS[:2]:
            if key in asked.dates:
                asked.ignored.append(f"{key}:{asked.dates.pop(key)[0]}")
        if asked.attendee:
            asked.ignored.append("attendee:true")
            asked.attendee = False
        if asked.sort in ("oldest", "newest"):
            asked.ignored.append(f"sort:{asked.sort}")
            asked.sort = ""
    if asked.ids and not asked.types:
        asked.ignored += [f"id:{id}" for id in asked.ids]
        asked.ids = []


def _type(value: str) -> str | None:
    return value if value in SEARCHABLE else None


def _id(value: str) -> int | None:
    if not _NUMBER.fullmatch(value) or not 0 < int(value) <= _MAX_ID:
        return None
    return int(value)


def _moment(value: str, now: datetime.datetime) -> datetime.datetime | None:
    if _DAYS.fullmatch(value):
        days = int(value)
        return now + datetime.timedelta(days) if abs(days) <= _MAX_DAYS else None
    if not _DATE.fullmatch(value):
        return None
    try:
        return datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


class SearchScope(NamedTuple):
    """Scope of a search: things of the types `kinds`; with `with_comments` also comments on things of the types
    `parents` (None: on all).

    `ids`: only things with these ids and the comments on them; None: all.
    """

    kinds: tuple[int, ...]
    with_comments: bool
    parents: tuple[int, ...] | None
    ids: tuple[int, ...] | None

    def limited(self, shown: frozenset[int]) -> SearchScope:
        """Return the scope without types that are not in `shown`; comments stay only on parents whose type is in it."""
        if not itemtypes.ALL - shown:
            return self
        parents = _COMMENTABLE if self.parents is None else self.parents
        return SearchScope(
            tuple(kind for kind in self.kinds if kind in shown),
            self.with_comments and itemtypes.COMMENT in shown,
            tuple(kind for kind in parents if kind in shown),
            self.ids,
        )


def scope(asked: ParsedSearch) -> SearchScope:
    """Return the scope that the types, the ids and `in_title` of a search give it (discovery 8.3, 8.4)."""
    named = tuple(itemtypes.BY_NAME[name].id for name in asked.types)
    others = tuple(id for id in named if id != itemtypes.COMMENT)
    comments = itemtypes.COMMENT in named
    ids = tuple(asked.ids) or None
    if not asked.text:
        if not named:
            kinds = (itemtypes.SITE, *(id for id in INDEXED if id != itemtypes.HUDDLE))
            return SearchScope(kinds, True, (itemtypes.PROFILE,), None)
        return SearchScope(others, comments, others or None, ids)
    if not named:
        return SearchScope(INDEXED, not asked.in_title, None, None)
    if asked.in_title:
        return SearchScope(others, False, None, ids)
    if not others:
        return SearchScope((), True, None, ids)
    return SearchScope(others, ids is not None or len(named) > 1, others, ids)
