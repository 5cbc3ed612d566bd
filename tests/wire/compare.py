"""Compares an answer with the recorded one: status, headers, names and order of keys, types, nulls.

Ids, times and texts differ from site to site, so their values are not compared, with these
exceptions: whatever the situation fixes (flags, permissions, page numbers, item types, rels), the
shape of times, and links, where every id that the situation knows must be the right one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .recording import Body, LeftOut

HEADERS = (
    "content-type",
    "content-encoding",
    "cache-control",
    "vary",
    "location",
    "allow",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
)
"""The headers that are part of the contract. A recorded one must be there, another one must not."""

SAME_TEXT = frozenset({"context", "rel", "type", "itemType", "itemTypes", "metric", "visibility"})
"""Keys whose texts are constants of the wire format."""

SAME_NUMBER = frozenset({"status", "limit", "offset", "page", "errorCode", "level", "revisions"})
"""Keys whose numbers follow from the request and the situation alone."""

ZERO_OR_NOT = frozenset({"inReplyTo", "attachments", "total", "maxOffset", "totalPages", "siteId"})
"""Keys where only 0 has a meaning of its own: none."""

COUNTED = frozenset({"links", "stats", "breadcrumb", "itemTypes", "error"})
"""Arrays whose length follows from the situation; others (items, children) hold what there is."""

OPTIONAL: Mapping[str, frozenset[str]] = {
    "rel": frozenset({"title", "logoUrl"}),  # a link, platform 1.10 and content 2.5
    "markdown": frozenset({"inReplyTo", "attachments"}),  # a comment, content 7.3
    "visibility": frozenset(
        {"parentId", "breadcrumb", "children", "mostRecentUpdate"}
    ),  # a microcosm, content 2.5
    "totalViews": frozenset({"lastComment"}),  # an item, content 3.1
    # meta of a comment, content 7.3; of an item, discovery R-13 (ours)
    "createdBy": frozenset({"edited", "newComments"}),
    "siteURL": frozenset(  # a site, platform 2.2
        {
            "forceSSL",
            "faviconUrl",
            "backgroundUrl",
            "backgroundPosition",
            "gaWebPropertyId",
            "auth0Domain",
            "auth0ClientId",
        }
    ),
}
"""By a key that tells what an object is: what it may have or lack when it stands in a list, where
the two entries that a recording shows cannot show every case."""

VIEWER = frozenset({"unread"})
"""Flags that differ between the entries of one list; in a list only their type is compared."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z")
_ID = re.compile(r"(?P<kind>[a-z]+)/(?P<id>\d+)(?=[/?#]|$)")
_COMMENT_ID = re.compile(r"comment_id=(?P<id>\d+)")


@dataclass(frozen=True)
class Kind:
    """Stands in an expected document where no recording fixes a value: only the type counts."""

    types: tuple[type, ...]
    nullable: bool = False

    def holds(self, value: Any) -> bool:
        if value is None:
            return self.nullable
        if isinstance(value, bool):
            return bool in self.types
        return isinstance(value, self.types)

    def __str__(self) -> str:
        said = " or ".join(kind.__name__ for kind in self.types)
        return f"{said} or null" if self.nullable else said


@dataclass
class Expected:
    """Record of what must come back: the recorded answer, after the deviations that apply to it."""

    status: int
    headers: dict[str, str]
    body: Body
    host: str = ""
    signed_in: bool = False


@dataclass(frozen=True)
class Answer:
    """Record of what came back. Header names are in lower case; `length` is the body's size in bytes."""

    status: int
    headers: Mapping[str, str]
    body: Body
    length: int
    method: str = "GET"


@dataclass(frozen=True)
class Mismatch:
    """One difference. `where` is a JSON path, or the name of a header."""

    where: str
    rule: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: expected {self.expected}, got {self.actual}"


@dataclass(frozen=True)
class Refs:
    """Record of what of ours stands for what was recorded: ids (`{"conversations/4993": 17}`) and other texts.

    `entries` holds recorded entries of lists by their item type, for lists that mix types and show
    only some.
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, list[Any]] = field(default_factory=dict)

    def translate(self, text: str) -> str:
        """`text` with known ids and texts replaced by ours; ids nobody knows become `#`."""
        if self.texts:
            longest_first = sorted(self.texts, key=len, reverse=True)
            known = "|".join(map(re.escape, longest_first))
            text = re.sub(known, lambda found: self.texts[found[0]], text)

        def item(found: re.Match[str]) -> str:
            return f"{found['kind']}/{self._of(found['kind'], found['id'])}"

        def comment(found: re.Match[str]) -> str:
            return f"comment_id={self._of('comments', found['id'])}"

        return _COMMENT_ID.sub(comment, _ID.sub(item, text))

    def matches(self, recorded: str, actual: str) -> bool:
        """Return whether `actual` is the link that `recorded` was, in this situation."""
        pattern = re.escape(self.translate(recorded)).replace(r"\#", r"\d+")
        return re.fullmatch(pattern, actual) is not None

    def _of(self, kind: str, recorded: str) -> str:
        known = self.ids.get(f"{kind}/{recorded}")
        return "#" if known is None else str(known)


def compare(expected: Expected, actual: Answer, refs: Refs) -> list[Mismatch]:
    """Every difference between the two, none when the wire format is kept."""
    found: list[Mismatch] = []
    if expected.status != actual.status:
        found.append(Mismatch("status", "status", str(expected.status), str(actual.status)))
    found += _headers(expected, actual, refs)
    found += _bodies(expected.body, actual, refs)
    return found


def _headers(expected: Expected, actual: Answer, refs: Refs) -> Iterator[Mismatch]:
    for name in HEADERS:
        wanted, got = expected.headers.get(name), actual.headers.get(name)
        if wanted is None and got is None:
            continue
        if wanted is None or got is None:
            rule = "extra header" if wanted is None else "missing header"
            yield Mismatch(name, rule, repr(wanted), repr(got))
        elif name == "location":
            if not refs.matches(wanted, got):
                yield Mismatch(name, "link", refs.translate(wanted), got)
        elif name == "vary":
            # A cache may have to keep more apart than v1 tells it to.
            if not set(wanted.split(", ")) <= set(got.split(", ")):
                yield Mismatch(name, "header", wanted, got)
        elif wanted != got:
            yield Mismatch(name, "header", wanted, got)

    length = actual.headers.get("content-length")
    if length is None:
        yield Mismatch("content-length", "missing header", "always set", "none")
    elif actual.method != "HEAD" and length != str(actual.length):
        yield Mismatch("content-length", "header", str(actual.length), length)


def _bodies(expected: Body, actual: Answer, refs: Refs) -> Iterator[Mismatch]:
    body = actual.body
    if actual.method == "HEAD":
        if actual.length:
            yield Mismatch("body", "a HEAD has none", "0 bytes", f"{actual.length} bytes")
        return
    if expected.kind != body.kind:
        yield Mismatch("body", "kind", expected.kind, f"{body.kind} {body.text[:80]}".strip())
        return
    if expected.kind == "text":
        # Recordings end their lines as files do.
        wanted, got = (
            _TIME.sub("a time", text.replace("\r\n", "\n").rstrip("\n"))
            for text in (expected.text, body.text)
        )
        if refs.translate(wanted) != got:
            yield Mismatch("body", "text", wanted, got)
        return
    if expected.kind == "jsonp":
        if expected.callback != body.callback:
            yield Mismatch("callback", "JSONP", expected.callback, body.callback)
        if expected.context != body.context:
            yield Mismatch("context", "JSONP", repr(expected.context), repr(body.context))
    if expected.kind != "none":
        yield from values("", expected.json, body.json, refs)


def values(
    path: str, expected: Any, actual: Any, refs: Refs, *, listed: bool = False
) -> Iterator[Mismatch]:
    """The differences between two JSON values. `listed`: it is, or is in, an entry of a list."""
    if isinstance(expected, Kind):
        if not expected.holds(actual):
            yield Mismatch(path, "type", str(expected), _type(actual))
        return
    wanted, got = _type(expected), _type(actual)
    if wanted != got and not (wanted == "number" and got == "integer"):
        yield Mismatch(path, "null" if "null" in (wanted, got) else "type", wanted, got)
    elif isinstance(expected, dict):
        yield from _objects(path, expected, actual, refs, listed)
    elif isinstance(expected, list):
        yield from _arrays(path, expected, actual, refs, listed)
    else:
        yield from _scalars(path, expected, actual, refs, listed)


def _objects(
    path: str, expected: dict[str, Any], actual: dict[str, Any], refs: Refs, listed: bool
) -> Iterator[Mismatch]:
    if listed and _is_item_of_another_type(expected, actual):
        expected, actual = _in_common(expected, actual)
    free = _optional(expected) if listed else frozenset()
    for key, value in expected.items():
        if key not in actual and key not in free:
            yield Mismatch(f"{path}.{key}", "missing key", _type(value), "nothing")
    for key, value in actual.items():
        if key not in expected and key not in free:
            yield Mismatch(f"{path}.{key}", "extra key", "nothing", _type(value))
    common = [key for key in expected if key in actual]
    order = [key for key in actual if key in expected]
    if common != order:
        yield Mismatch(path, "order of keys", " ".join(common), " ".join(order))
    for key in common:
        yield from values(f"{path}.{key}", expected[key], actual[key], refs, listed=listed)
    yield from _page(path, actual)


def _arrays(
    path: str, expected: list[Any], actual: list[Any], refs: Refs, listed: bool
) -> Iterator[Mismatch]:
    left_out = expected[-1].count if expected and isinstance(expected[-1], LeftOut) else 0
    samples = expected[:-1] if left_out else expected
    key = _key(path)
    if key in COUNTED:
        if not listed and len(actual) != len(samples) + left_out:
            yield Mismatch(
                path, "length", str(len(samples) + left_out), f"{len(actual)}: {_rels(actual)}"
            )
        for n, (sample, value) in enumerate(zip(samples, actual, strict=False)):
            yield from values(f"{path}[{n}]", sample, value, refs, listed=listed)
        return
    if bool(samples) != bool(actual):
        yield Mismatch(
            path, "empty", "entries" if samples else "no entries", f"{len(actual)} entries"
        )
        return
    for n, value in enumerate(actual):
        attempts = [
            list(values(f"{path}[{n}]", sample, value, refs, listed=True))
            for sample in _samples_for(value, samples, refs)
        ]
        yield from min(attempts, key=len)


def _samples_for(value: Any, samples: list[Any], refs: Refs) -> list[Any]:
    """The recorded entries that an entry must be like: those of its item type, if it says one.

    The value of an attribute is of any scalar type, whatever the two recorded ones were.
    """
    if isinstance(value, dict) and value.keys() == {"key", "value"}:
        return [{**samples[0], "value": Kind((str, int, float, bool))}]
    item_type = value.get("itemType") if isinstance(value, dict) and "item" in value else None
    if item_type is None:
        return samples
    alike = [sample for sample in samples if sample.get("itemType") == item_type]
    return alike or refs.entries.get(item_type, samples)


def _is_item_of_another_type(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> bool:
    return (
        {"itemType", "item"} <= expected.keys() & actual.keys()
        and expected["itemType"] == "conversation"
        and actual["itemType"] in ("event", "poll")
    )


def _in_common(
    expected: dict[str, Any], actual: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a recorded conversation and an event or poll of ours, which no recorded list shows, have alike.

    Keys that only the other type has are left out, and flags may have any value.
    """
    kind = actual["itemType"]
    wanted, got = expected["item"], actual["item"]
    flags = wanted["meta"]["flags"]
    meta = {
        **wanted["meta"],
        "flags": dict.fromkeys(flags, Kind((bool,))),
        "links": [
            {**link, "href": link["href"].replace("/conversations/", f"/{kind}s/")}
            if isinstance(link, dict) and link["rel"] == "self"
            else link
            for link in wanted["meta"]["links"]
        ],
    }
    shown = {key: value for key, value in got.items() if key in wanted or key == "lastComment"}
    shown["meta"] = {
        **got["meta"],
        "flags": {key: value for key, value in got["meta"]["flags"].items() if key in flags},
    }
    return (
        {**expected, "itemType": kind, "item": {**wanted, "meta": meta}},
        {**actual, "item": shown},
    )


def _scalars(path: str, expected: Any, actual: Any, refs: Refs, listed: bool) -> Iterator[Mismatch]:
    key = _key(path)
    if isinstance(expected, bool):
        if expected != actual and not (listed and key in VIEWER):
            yield Mismatch(path, "value", str(expected).lower(), str(actual).lower())
    elif isinstance(expected, str):
        yield from _texts(path, key, expected, actual, refs, listed)
    elif isinstance(expected, int):
        ours = refs.ids.get(f"sites/{expected}") if key == "siteId" else None
        if (key in SAME_NUMBER and expected != actual) or (ours is not None and ours != actual):
            yield Mismatch(path, "value", str(expected if ours is None else ours), str(actual))
        elif key in ZERO_OR_NOT and bool(expected) != bool(actual):
            yield Mismatch(path, "value", "not 0" if expected else "0", str(actual))


def _texts(
    path: str, key: str, expected: str, actual: str, refs: Refs, listed: bool
) -> Iterator[Mismatch]:
    if key == "href" or (key == "type" and _ID.search(expected)):
        # Entries of a list are other things than the recorded ones, so any id will do there.
        known = Refs(texts=refs.texts) if listed else refs
        if not known.matches(expected, actual):
            yield Mismatch(path, "link", known.translate(expected), actual)
    elif _TIME.fullmatch(expected):
        if not _TIME.fullmatch(actual):
            yield Mismatch(path, "time", "UTC with Z, no trailing zeros", actual)
    elif key in SAME_TEXT or expected.isdigit() or expected.startswith("Set "):
        if expected != actual:
            yield Mismatch(path, "value", expected, actual)
    elif bool(expected) != bool(actual) and key != "avatar":
        yield Mismatch(path, "empty text", repr(expected[:40]), repr(actual[:40]))


def _page(path: str, actual: dict[str, Any]) -> Iterator[Mismatch]:
    """The arithmetic of platform 1.8, in every object that looks like a page."""
    if (
        not {"total", "limit", "offset", "maxOffset", "totalPages", "page", "items"}
        <= actual.keys()
    ):
        return
    total, limit, offset, items = (
        actual["total"],
        actual["limit"],
        actual["offset"],
        actual["items"],
    )
    if not isinstance(items, list) or not all(
        isinstance(n, int) and n >= 0 for n in (total, limit, offset)
    ):
        return
    right = {
        "maxOffset": (total - 1) // limit * limit if total else 0,
        "totalPages": -(-total // limit),
        "page": offset // limit + 1,
    }
    for key, value in right.items():
        if actual[key] != value:
            yield Mismatch(f"{path}.{key}", "paging", str(value), str(actual[key]))
    shown = max(0, min(limit, total - offset))
    if len(items) != shown:
        yield Mismatch(f"{path}.items", "paging", f"{shown} entries", str(len(items)))


def _optional(value: Mapping[str, Any]) -> frozenset[str]:
    return frozenset().union(*(keys for marker, keys in OPTIONAL.items() if marker in value))


def _key(path: str) -> str:
    """The name of the field that `path` ends in, for `.links[2]` that is `links`."""
    return path.rpartition(".")[2].partition("[")[0]


def _type(value: Any) -> str:
    if isinstance(value, Kind):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _rels(entries: list[Any]) -> str:
    return " ".join(
        str(entry.get("rel", "")) if isinstance(entry, dict) else str(entry) for entry in entries
    )
