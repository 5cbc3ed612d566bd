"""Closed values in bodies of requests, described for the OpenAPI document alone: at run time the models check the
values, and raise errors with messages of their own.

A body's type stays `str`, since a decoder would refuse it before the model is asked, and since names of item types are
read in any letter case.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Meta

from forumapi import itemtypes

# Types of what comments are written on.
COMMENTABLE: Final = tuple(kind.id for kind in itemtypes.TYPES if kind.commentable)


def closed(values: Iterable[str]) -> Meta:
    """Return the annotation, for `Annotated`, of a text that is one of `values`: an `enum` in their order; for a single
    value a `const`.
    """
    listed = [*values]
    return Meta(
        extra_json_schema={"const": listed[0]} if len(listed) == 1 else {"enum": listed},
    )


def closed_types(ids: Iterable[int]) -> Meta:
    """Return the annotation, for `Annotated`, of a text that is the name of an item type with one of these `ids`."""
    return closed(type_names(ids))


def type_names(ids: Iterable[int]) -> tuple[str, ...]:
    """Return the names of the item types with these `ids`, in ascending order of id."""
    return tuple(itemtypes.name_of(id) for id in sorted(ids))
