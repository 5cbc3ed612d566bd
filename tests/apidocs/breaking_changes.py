"""Comparison of two OpenAPI documents of this project: what breaks a client of the first against the second.

Of the comparers that npm and PyPI have, `openapi-diff` does not read OpenAPI 3.1 and `api-smart-diff` treats members of
answers as those of bodies; `oasdiff` is in neither.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]

_VERBS: Final = ("get", "post", "put", "patch", "delete")
# Limits of what is sent, with the sign in which a higher number allows more.
_LIMITS: Final = {
    "maximum": 1,
    "maxLength": 1,
    "maxItems": 1,
    "minimum": -1,
    "minLength": -1,
    "minItems": -1,
}
_OPEN: Final = object()


class Direction(enum.Enum):
    """Direction of a value: SENT by the client, which must be accepted as before, or RECEIVED by it."""

    SENT = "sent"
    RECEIVED = "received"


def breaking_changes(before: Schema, after: Schema) -> list[str]:
    """Return a line for each change that breaks clients of `before`: what is gone, or demanded anew, or narrower.

    New operations, members of answers, optional members of bodies, and values in answers break nothing.
    """
    return list(dict.fromkeys(_Comparison(before, after).changes()))


class _Comparison:
    """Comparison of two documents; each pair of components is compared once for each direction."""

    def __init__(self, before: Schema, after: Schema) -> None:
        self._before = before
        self._after = after
        self._seen: set[tuple[str, str, Direction]] = set()

    def changes(self) -> Iterator[str]:
        for path, item in self._before["paths"].items():
            for verb in _VERBS:
                if verb not in item:
                    continue
                name = f"{verb.upper()} {path}"
                other = self._after["paths"].get(path, {})
                if verb in other:
                    yield from self._operation(name, item, other, verb)
                else:
                    yield f"{name}: the operation is gone"

    def _operation(self, name: str, item: Schema, other: Schema, verb: str) -> Iterator[str]:
        old, new = item[verb], other[verb]
        had = self._parameters(self._before, item, old)
        has = self._parameters(self._after, other, new)
        for key, parameter in had.items():
            if key not in has:
                yield f"{name}: the parameter {key[1]} is gone"
            else:
                place = f"{name} {key[1]}"
                yield from self._schema(
                    parameter["schema"], has[key]["schema"], Direction.SENT, place
                )
        for key, parameter in has.items():
            if parameter.get("required") and not had.get(key, {}).get("required"):
                yield f"{name}: the parameter {key[1]} is required"
        body, sent = old.get("requestBody", {}), new.get("requestBody", {})
        if sent.get("required") and not body:
            yield f"{name}: a body is required"
        yield from self._content(body, sent, Direction.SENT, f"{name} body")
        for status, response in old["responses"].items():
            if status not in new["responses"]:
                if status < "400":
                    yield f"{name}: the answer {status} is gone"
                continue
            was = _resolved(self._before, response)
            now = _resolved(self._after, new["responses"][status])
            yield from self._content(was, now, Direction.RECEIVED, f"{name} {status}")

    def _parameters(
        self, document: Schema, item: Schema, operation: Schema
    ) -> dict[tuple[str, str], Schema]:
        listed = [*item.get("parameters", ()), *operation.get("parameters", ())]
        resolved = [_resolved(document, one) for one in listed]
        return {(one["in"], one["name"]): one for one in resolved}

    def _content(self, old: Schema, new: Schema, way: Direction, place: str) -> Iterator[str]:
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{place}: {kind} is gone"
            else:
                yield from self._schema(media["schema"], new["content"][kind]["schema"], way, place)

    def _schema(self, old: Schema, new: Schema, way: Direction, place: str) -> Iterator[str]:
        if "$ref" in old and "$ref" in new:
            pair = (old["$ref"], new["$ref"], way)
            if pair in self._seen:
                return
            self._seen.add(pair)
        if "$ref" in old:
            place = old["$ref"].rpartition("/")[2]
        old, new = _resolved(self._before, old), _resolved(self._after, new)
        # An empty schema takes anything: what is sent may become wider, what is received narrower.
        if (way is Direction.SENT and not new) or (way is Direction.RECEIVED and not old):
            return
        if "anyOf" in old or "anyOf" in new:
            yield from self._options(old, new, way, place)
            return
        yield from _type(old, new, way, place)
        if way is Direction.SENT:
            yield from _narrowed(old, new, place)
        yield from self._members(old, new, way, place)
        for key in ("items", "additionalProperties"):
            inner, other = old.get(key), new.get(key)
            if isinstance(inner, dict) and isinstance(other, dict):
                yield from self._schema(inner, other, way, f"{place}[]")

    def _members(self, old: Schema, new: Schema, way: Direction, place: str) -> Iterator[str]:
        had, has = old.get("properties", {}), new.get("properties", {})
        for key, inner in had.items():
            if key in has:
                yield from self._schema(inner, has[key], way, f"{place}.{key}")
            else:
                yield f"{place}: the {way.value} member {key} is gone"
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        if way is Direction.SENT:
            for key in sorted(now - was):
                yield f"{place}: the sent member {key} is required"
        else:
            for key in sorted((was - now) & has.keys()):
                yield f"{place}: the received member {key} may be absent"

    def _options(self, old: Schema, new: Schema, way: Direction, place: str) -> Iterator[str]:
        """Compare alternatives: each that was sent must be accepted by one, each that is received must be a former."""
        had, has = old.get("anyOf", [old]), new.get("anyOf", [new])
        known, fitted = (had, has) if way is Direction.SENT else (has, had)
        for one in known:
            found: list[str] = []
            # The alternative of the same name comes first, since its differences are worth telling.
            for other in sorted(fitted, key=lambda option: _label(option) != _label(one)):
                pair = (one, other) if way is Direction.SENT else (other, one)
                kept = set(self._seen)
                differences = list(self._schema(*pair, way, place))
                if not differences:
                    found = []
                    break
                self._seen = kept
                found = found or differences
            yield from found


def _label(schema: Schema) -> Any:
    return schema.get("$ref") or schema.get("type")


def _type(old: Schema, new: Schema, way: Direction, place: str) -> Iterator[str]:
    given, taken = (old, new) if way is Direction.SENT else (new, old)
    kind, wanted = given.get("type"), taken.get("type")
    if wanted is not None and kind != wanted and (kind, wanted) != ("integer", "number"):
        yield f"{place}: the type is {new.get('type')}, not {old.get('type')}"


def _values(schema: Schema) -> Any:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum", _OPEN)


def _narrowed(old: Schema, new: Schema, place: str) -> Iterator[str]:
    """Yield how a value that is sent is bounded more closely: fewer values, lower limits, another pattern."""
    had, has = _values(old), _values(new)
    if has is not _OPEN:
        if had is _OPEN:
            yield f"{place}: it is one of {has} now"
        else:
            yield from (f"{place}: the value {one} is gone" for one in had if one not in has)
    for key, sign in _LIMITS.items():
        if key in new and (key not in old or sign * new[key] < sign * old[key]):
            yield f"{place}: {key} is {new[key]}, not {old.get(key, 'unbounded')}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{place}: the pattern is {new['pattern']}"


def _resolved(document: Schema, part: Schema) -> Schema:
    while "$ref" in part:
        found: Any = document
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        part = found
    return part
