"""PATCH documents (RFC 6902), of which `replace` of flags alone is supported (platform 1.15, content 1.10)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import WRONG_TYPE, Forbidden, Invalid, NotImplementedHere
from forumapi.permissions.evaluator import (
    CLOSE_OWN,
    DELETE,
    MODERATOR,
    OPEN_OWN,
    OWNER,
    PermissionSet,
)

_KNOWN: Final = frozenset(("add", "copy", "move", "remove", "replace", "test"))
STICKY: Final = "/meta/flags/sticky"
OPEN: Final = "/meta/flags/open"
DELETED: Final = "/meta/flags/deleted"
MODERATED: Final = "/meta/flags/moderated"

# path -> (column, its name in an edit reason)
FLAGS: Final = {
    STICKY: ("is_sticky", "sticky"),
    OPEN: ("is_open", "open"),
    DELETED: ("is_deleted", "delete"),
    MODERATED: ("is_moderated", "moderated"),
}


class Operation(Struct, rename={"from_": "from"}):
    """Operation of a PATCH document, as a client sent it. Only `replace` of a flag is carried out: a document with any
    other is refused (400, or 501 for an operation of the RFC).
    """

    op: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    value: Any = UNSET
    from_: str | UnsetType = UNSET


class Change(NamedTuple):
    """Flag to set to `value`, from a checked PATCH document. `path`: the flag's path in the document, one of the keys
    of FLAGS.
    """

    path: str
    value: bool


def check(document: list[Operation]) -> None:
    """Check the form of a PATCH document, before permission is checked (content 1.2).

    Raises Invalid (400) for a document without operations. Else it raises for the first bad operation: Invalid for an
    operation that RFC 6902 does not have or that lacks a member which it needs, NotImplementedHere (501) for any other
    but `replace`.
    """
    if not document:
        raise Invalid("", "The patch has no operations")
    for index, one in enumerate(document):
        where = f"[{index}]"
        op = "" if isinstance(one.op, UnsetType) else one.op
        path = "" if isinstance(one.path, UnsetType) else one.path
        if op not in _KNOWN:
            raise Invalid(f"{where}.op", "must be replace")
        if not path.strip():
            raise Invalid(f"{where}.path", "is required")
        if op in ("copy", "move"):
            if isinstance(one.from_, UnsetType) or not one.from_.strip():
                raise Invalid(f"{where}.from", "is required")
            raise NotImplementedHere(f"{op} is not supported; use replace")
        if op == "remove":
            raise NotImplementedHere("remove is not supported; use replace")
        if isinstance(one.value, UnsetType) or one.value is None:
            raise Invalid(f"{where}.value", "is required")
        if op != "replace":
            raise NotImplementedHere(f"{op} is not supported; use replace")


def changes(document: list[Operation], paths: Collection[str]) -> list[Change]:
    """Return the flags that a checked PATCH document sets, in its order. `paths`: of the flags that the resource has.

    Raises Invalid (400) for the first operation with another path, or a value that is no boolean.
    """
    asked = []
    for index, one in enumerate(document):
        if one.path not in paths:
            raise Invalid(f"[{index}].path", f"must be one of {', '.join(sorted(paths))}")
        if not isinstance(one.value, bool):
            raise Invalid(f"[{index}].value", "must be true or false", code=WRONG_TYPE)
        asked.append(Change(str(one.path), one.value))
    return asked


def permit(change: Change, can: PermissionSet) -> None:
    """Check that permissions `can`, which include UPDATE, allow this change of a flag too (content 1.10): a moderator
    may change any flag, the object's creator with OPEN_OWN or CLOSE_OWN may open or close it, and whoever has DELETE
    may delete it. Raises Forbidden.
    """
    if can & MODERATOR:
        return
    if change.path == OPEN and can & OWNER:
        if can & (OPEN_OWN if change.value else CLOSE_OWN):
            return
        raise Forbidden("You may not open this" if change.value else "You may not close this")
    if change.path == DELETED and change.value and can & DELETE:
        return
    raise Forbidden(f"Only a moderator may change {change.path}")


def reason(change: Change) -> str:
    """Return the edit reason that is stored with a change of a flag, such as "Set sticky to true"."""
    return f"Set {FLAGS[change.path][1]} to {'true' if change.value else 'false'}"
