"""Schemas and texts of the OpenAPI document in words, as HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from markupsafe import Markup, escape

from forumapi.apidocs.client_operations import Schema, name_of

_BIGINT: Final = 2**63 - 1


def prose(text: str) -> Markup:
    """Render a text as HTML paragraphs; `code` and **bold** are its only markup, all else is escaped."""
    paragraphs = filter(None, map(str.strip, text.split("\n\n")))
    return Markup("\n").join(Markup("<p>{}</p>").format(inline(one)) for one in paragraphs)


def inline(text: str) -> Markup:
    """Render a line of text as HTML; `code` and **bold** are its only markup, all else is escaped; an address of these
    pages, written as `code`, becomes a link.
    """
    inner = re.sub(r"`(/api/v1/docs[^`]*)`", r'<a href="\1">\1</a>', str(escape(text)))
    inner = re.sub(r"`([^`]+)`", r"<code>\1</code>", inner)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", inner))


def kind(schema: Schema, address: Callable[[str], str]) -> Markup:
    """Render the type of a schema in words, as HTML with links to objects. `address`: function that returns the address
    of an object's description by the object's name.
    """
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        return Markup('<a href="{}">{}</a>').format(address(name), name)
    if "anyOf" in schema:
        return Markup(" or ").join(kind(option, address) for option in schema["anyOf"])
    if "const" in schema:
        return _codes([schema["const"]])
    if "enum" in schema:
        return _codes(schema["enum"])
    named = schema.get("type")
    if named == "array":
        return Markup("list of ") + kind(schema.get("items", {}), address)
    if named == "string":
        return Markup("time" if schema.get("format") == "date-time" else f"text{_length(schema)}")
    if named in ("integer", "number"):
        return Markup(f"{named}{_range(schema)}")
    return Markup(escape(str(named))) if named else Markup("anything")


def _codes(values: list[Any]) -> Markup:
    shown = (str(one).lower() if isinstance(one, bool) else str(one) for one in values)
    return Markup(" or ").join(Markup("<code>{}</code>").format(one) for one in shown)


def _length(schema: Schema) -> str:
    longest = schema.get("maxLength")
    return f", up to {longest} characters" if longest else ""


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None or most is None or most == _BIGINT:
        return "" if least is None else f", {least} or more"
    step = schema.get("multipleOf")
    return f", {least} to {most}" + (f" in steps of {step}" if step else "")
