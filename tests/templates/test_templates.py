"""Every template of the package, found in its folder: values stay values, and the look can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

import pytest
from jinja2 import Environment, Undefined
from selectolax.lexbor import LexborHTMLParser

from forumapi import templates
from forumapi.templates import DARK, ENVIRONMENT, LIGHT, Look

HOSTILE = """"'><script>alert(1)</script><img src=x onerror=alert(1)></style></title>{{ 999 * 999 }}{% if %} $x"""
ALL = ENVIRONMENT.list_templates(["html", "txt"])
# A base is filled by those that extend it.
# Pages of an archive are made of whole documents of the API, those of the reference of the API's description:
# tests/command/test_static_archive.py and tests/apidocs/reference look at them.
FILLED = [
    name for name in ALL if "/base." not in name and not name.startswith(("archive/", "reference/"))
]


class Anything(Undefined):
    """A name without a value is this text, has members like it, and is a list of one."""

    text = HOSTILE

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Anything]:
        yield self

    def __getattr__(self, name: str) -> Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class Harmless(Anything):
    """The same with a word."""

    text = "word"


def filled(name: str, kind: type[Undefined]) -> str:
    """A template with that text for all of its names."""
    environment: Environment = ENVIRONMENT.overlay(undefined=kind)
    return environment.get_template(name).render()


def shape(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """The elements of a document, with the names of their attributes."""
    found = LexborHTMLParser(html).css("*")
    return [(str(node.tag), tuple(node.attributes)) for node in found]


@pytest.mark.parametrize("name", [name for name in FILLED if name.endswith(".html")])
def test_no_value_becomes_markup(name: str) -> None:
    html = filled(name, Anything)

    assert shape(html) == shape(filled(name, Harmless))
    assert "<script>alert" not in html and "<img" not in html
    assert "998001" not in html


@pytest.mark.parametrize("name", [name for name in FILLED if name.endswith(".txt")])
def test_no_value_is_run_as_a_template(name: str) -> None:
    assert filled(name, Anything) == filled(name, Harmless).replace("word", HOSTILE)


def test_all_templates_are_found() -> None:
    assert {name.partition("/")[0] for name in ALL} == {
        *("archive", "legal", "mail", "pages", "reference")
    }
    assert len([name for name in ALL if "{{" in templates.source(name)]) > 30


def test_no_template_lets_a_value_through_unescaped() -> None:
    for name in ENVIRONMENT.list_templates(["html", "txt", "css"]):
        assert not re.search(r"\|\s*safe|autoescape|Markup", templates.source(name)), name


def test_nothing_comes_from_elsewhere() -> None:
    for name in ENVIRONMENT.list_templates(["html", "css"]):
        shown = re.sub(r"(?s)<pre>.*?</pre>", "", templates.source(name))
        assert not re.search(r"https?://|url\(|@import", shown), name


def luminance(colour: str) -> float:
    """The relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_written_can_be_read(look: Look) -> None:
    for text in (look.ink, look.accent, look.bad, look.quiet):
        for ground in (look.paper, look.raised):
            assert contrast(text, ground) >= 4.5, (text, ground)
    assert all(one != other for one, other in combinations(look, 2))
