"""Shapes of attributes: keys with values, of sites, microcosms, items, comments and profiles."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from forumapi.wire.schemas.parts import Paged


class Attribute(Struct, kw_only=True):
    """An attribute: its key and its value, which is a string, date, number or boolean (content 9.2)."""

    key: Annotated[str, Meta(pattern="^[0-9A-Za-z_-]{1,50}$")]
    value: Annotated[
        str | int | float | bool,
        Meta(description="A string of the form YYYY-MM-DD is a date; other strings are escaped."),
    ]


class Attributes(Struct, kw_only=True):
    """A page of the attributes of one site, microcosm, item, comment or profile, sorted by key."""

    attributes: Paged[Attribute]
