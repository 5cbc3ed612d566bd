"""Values as templates print them: the same as markupsafe.escape gives, by a faster way."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup, escape

from forumapi.webclient import dates_and_numbers
from forumapi.webclient.template_environment import environment, plain, printed, printed_plain


class Text(str):
    """Text of a type of its own."""


class Html:
    """Value with HTML of its own."""

    def __html__(self) -> str:
        return "<b>bold</b>"


def test_a_value_is_printed_as_it_is_escaped() -> None:
    texts = ["", "plain", "<script>", "\"'&<>", "a" * 99 + "<", "<" * 200, "é & ü"]
    values: list[Any] = [*texts, *map(Text, texts), *map(Markup, texts), Html()]
    values += [0, -7, 10**20, True, False, None, 1.5, ["<"], {"<": "&"}]
    for value in values:
        for _ in range(2):
            assert str(printed(value)) == str(escape(value)), repr(value)


def test_a_plain_text_is_printed_as_it_is_escaped() -> None:
    texts = ["", "plain", "a &amp; b", "&lt;i&gt;", "&amp;lt;", "&#39;<>", "&amp;" * 50, "é & ü"]
    values: list[Any] = [*texts, *map(Text, texts), *map(Markup, texts), Html()]
    values += [0, -7, True, None, 1.5, ["&lt;"]]
    template = environment("en").from_string(
        "{{ x|plain }}|{{ none or x|plain }}|{{ '' ~ x|plain }}"
    )
    for value in values:
        said = str(escape(plain(value)))
        for _ in range(2):
            assert str(printed_plain(value)) == said, repr(value)
            assert template.render(x=value).split("|")[:2] == [said] * 2, repr(value)


def test_what_is_filled_into_a_text_is_escaped() -> None:
    template = environment("en").from_string(
        "{{ _('%(a)s %(b)s %(c)d %(c)s %(d)d', a='<', b=bold, c=n, d=1.5) }}|{{ _('%(a)s', a=html) }}"
    )
    assert template.render(n=7, bold=Markup("<b>"), html=Html()) == "&lt; <b> 7 7 1|<b>bold</b>"


def test_templates_escape_what_they_print() -> None:
    template = environment("en").from_string(
        '{% macro m(x) %}<i title="{{ x }}">{{ x }}</i>{% endmacro %}{{ m(x) }}{{ x ~ y }}'
        "{% set z %}{{ x }}{% endset %}{{ z }}{{ d.absent }}{{ n }}"
    )
    shown = template.render(x="<'\">", y=Markup("<br>"), d={}, n=3)
    said = "&lt;&#39;&#34;&gt;"
    assert shown == f'<i title="{said}">{said}</i>{said}<br>{said}3'


def test_values_of_translated_texts_are_escaped_once() -> None:
    template = environment("en").from_string(
        "{{ ngettext('%(num)s in %(title)s', '%(num)s in %(title)s', n, num=n|count, title=x|plain) }}|"
        "{{ ngettext('%(num)d of <it>', '%(num)d of <them>', n) }}|{{ _('%(code)s %(text)s', code=x, text=x|plain) }}"
    )
    shown = template.render(n=2000, x="a &amp; &lt;b&gt;")
    assert shown == (
        "2,000 in a &amp; &lt;b&gt;|2000 of <them>|a &amp;amp; &amp;lt;b&amp;gt; a &amp; &lt;b&gt;"
    )


def test_macros_take_arguments_as_they_do_in_jinja() -> None:
    template = environment("en").from_string(
        "{% macro m(x, y='<', z=none) %}{{ x }}{{ y }}{{ z is none }} {% endmacro %}"
        "{% macro all(x) %}{{ x }}{{ varargs|join }}{{ kwargs.k }} {% endmacro %}"
        "{% macro around() %}({{ caller() }}){% endmacro %}"
        "{% for n in (1,) %}{{ m(n) }}{{ m(n, 2) }}{{ m(n, z=3) }}{{ all(n, 4, k=5) }}{{ all(n) }}{% endfor %}"
        "{% call around() %}{{ m('>') }}{% endcall %}"
    )
    assert template.render() == "1&lt;True 12True 1&lt;False 145 1 (&gt;&lt;True )"
    for wrong in ("{{ m(1, 2) }}", "{{ m(1, y=2) }}"):
        source = "{% macro m(x) %}{{ x }}{% endmacro %}" + wrong
        with pytest.raises(TypeError):
            environment("en").from_string(source).render()
    with pytest.raises(UndefinedError):
        environment("en").from_string("{% macro m(x) %}{{ x }}{% endmacro %}{{ m() }}").render()


def test_figures_that_are_missing_are_0() -> None:
    template = environment("en").from_string("{{ x.stats|figure('a') }}")
    stats = [{"metric": "b", "value": 3}, {"metric": "a", "value": 7}]
    assert template.render(x={"stats": stats}) == "7"
    without: list[dict[str, Any]] = [{"stats": stats[:1]}, {"stats": []}, {"stats": None}, {}]
    for one in without:
        assert template.render(x=one) == "0"


def test_a_row_of_a_list_is_made_with_few_calls() -> None:
    person = {"id": 8, "profileName": "Ada &amp; Eve"}
    item = {
        "id": 5,
        "title": "Bearings &amp; seats",
        "microcosmId": 3,
        "breadcrumb": [{"href": "/api/v1/microcosms/3", "title": "Frames"}],
        "totalComments": 25,
        "lastComment": {"createdBy": person, "created": "2026-12-01T10:00:00Z"},
        "meta": {"flags": {"open": True, "unread": True}, "newComments": 21},
    }
    template = environment("en").from_string(
        "{% import '_parts.html' as parts %}{% for one in items %}{{ parts.row('conversation', one, now) }}{% endfor %}"
    )
    counts = []
    for rows in (1, 1, 11):
        calls = 0

        def count(frame: FrameType, event: str, _: Any) -> None:
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            template.render(items=[item] * rows, now=dates_and_numbers.now())
        finally:
            sys.setprofile(None)
        counts.append(calls)
    assert (counts[2] - counts[1]) / 10 <= 36
