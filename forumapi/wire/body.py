"""Decoding of request bodies, JSON or forms, into typed structs, with the leniency that clients rely on (platform 1.2).

The fields of a body's struct have the names of the wire. A field that was not sent, or sent as null, is UNSET. Keys
match whatever their case, unknown keys are ignored, and a value of a wrong JSON type is refused with the key's name.
"""

from __future__ import annotations

import re
import types
import typing
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import BAD_CONTENT_TYPE, OUT_OF_RANGE, UNPARSABLE, WRONG_TYPE, Invalid

__all__ = ["UNSET", "Body", "Meta", "UnsetType", "given", "parse"]

T = TypeVar("T")
Body = Struct

_BIGINT: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_TRUE: Final = frozenset({"1", "true", "on", "yes"})
_MAX_DEPTH: Final = 20


class Meta(Struct):
    """Member `meta` of a request's body: of its keys `editReason` alone is read (C-03)."""

    editReason: str | UnsetType = UNSET


def given(value: T | UnsetType, otherwise: T) -> T:
    """Return `value`, or `otherwise` if it is UNSET."""
    return otherwise if isinstance(value, UnsetType) else value


@cache
def _fields(struct: type[Struct]) -> dict[str, tuple[str, Any]]:
    """Return the fields of a struct by their wire names in lower case: (wire name, type without UNSET and null), with
    Any as the type if several remain.
    """
    hints = typing.get_type_hints(struct)
    return {
        field.encode_name.lower(): (field.encode_name, _bare(hints[field.name]))
        for field in msgspec.structs.fields(struct)
    }


def _bare(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        rest = [arg for arg in typing.get_args(hint) if arg not in (UnsetType, type(None))]
        return rest[0] if len(rest) == 1 else Any
    return hint


def _fit(value: Any, hint: Any, place: str = "", depth: int = 0) -> Any:
    """Return decoded JSON (`value`) in the form of the type `hint`: keys as its structs spell them, without unknown
    keys and members that are null; the types of other values are not checked; an object for which `hint` has no struct
    and a list for which it has no list are returned as they are, whatever they hold.

    `place`: path to `value` in the body, for errors; `depth`: number of steps in that path. Raises Invalid for too deep
    a nesting, U+0000, and integers beyond 64 bits, outside of such objects and lists.
    """
    if depth > _MAX_DEPTH:
        raise Invalid(place, "is nested too deeply", code=UNPARSABLE)
    if isinstance(value, dict) and isinstance(hint, type) and issubclass(hint, Struct):
        known = _fields(hint)
        fitted = {}
        for key, inner in value.items():
            found = known.get(key.lower())
            if found is not None and inner is not None:
                name = f"{place}.{found[0]}" if place else found[0]
                fitted[found[0]] = _fit(inner, found[1], name, depth + 1)
        return fitted
    if isinstance(value, list) and typing.get_origin(hint) is list:
        inside = typing.get_args(hint)[0]
        return [
            _fit(inner, inside, f"{place}[{index}]", depth + 1) for index, inner in enumerate(value)
        ]
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid(place, "may not hold the character U+0000", code=UNPARSABLE)
    elif isinstance(value, int) and not -_BIGINT - 1 <= value <= _BIGINT:
        raise Invalid(place, "is beyond 64 bits", code=OUT_OF_RANGE)
    return value


def _field_of(message: str) -> tuple[str, str]:
    """Split a message of msgspec, such as "Expected `int`, got `str` - at `$.itemId`", into (field, rule): ("itemId",
    "expected int, got str"). The field is "" for the body as a whole.
    """
    text, _, place = message.partition(" - at ")
    return place.strip("`").removeprefix("$").removeprefix("."), text[:1].lower() + text[
        1:
    ].replace("`", "")


def parse(data: bytes, content_type: str, into: type[T]) -> T:
    """Decode the body `data` into `into`, a struct or a list of structs. `content_type`: the header, for JSON or a
    form; "", no header, counts as a form. A form can carry neither a list of structs nor keys whose values are lists or
    structs.

    Raises Invalid, with the code BAD_CONTENT_TYPE, UNPARSABLE, WRONG_TYPE (also for a missing field that has no
    default), or OUT_OF_RANGE (numbers beyond 64 bits).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _convert(_json(data), into, strict=True)
    if kind in ("", "application/x-www-form-urlencoded"):
        return _convert(_form(data, into), into, strict=False)
    raise Invalid("Content-Type", "must be application/json", code=BAD_CONTENT_TYPE)


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("", f"The body is not valid JSON: {error}", code=UNPARSABLE) from None


def _form(data: bytes, into: Any) -> dict[str, Any]:
    if not (isinstance(into, type) and issubclass(into, Struct)):
        raise Invalid(
            "Content-Type",
            "a form can't carry a list; send application/json",
            code=BAD_CONTENT_TYPE,
        )
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise Invalid("", "The body is not a valid form in UTF-8", code=UNPARSABLE) from None
    known = _fields(into)
    values: dict[str, Any] = {}
    for key, text in pairs:
        found = known.get(key.lower())
        if found is None:
            continue
        name, hint = found
        if hint is bool:
            values[name] = text.lower() in _TRUE
        elif typing.get_origin(hint) is list or (
            isinstance(hint, type) and issubclass(hint, Struct)
        ):
            raise Invalid(name, "can't be sent in a form", code=WRONG_TYPE)
        elif hint is int:
            values[name] = _whole(name, text)
        else:
            values[name] = text
    return values


def _whole(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise Invalid(name, "must be a whole number", code=WRONG_TYPE)
    # A longer number is beyond 64 bits in any case.
    return int(text) if len(text) <= 20 else _BIGINT + 1


def _convert(value: Any, into: type[T], *, strict: bool) -> T:
    fitted = _fit(value, into)
    try:
        return msgspec.convert(fitted, into, strict=strict)
    except msgspec.ValidationError as error:
        field, rule = _field_of(str(error))
        raise Invalid(field or "body", rule, code=WRONG_TYPE) from None
