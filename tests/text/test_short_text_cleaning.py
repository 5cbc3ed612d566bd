"""Cleaning of short fields: content 1.7, platform 1.14, C-04."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forumapi.text import short_text_cleaning
from tests.text.characters import CHARACTERS

GRADES = (short_text_cleaning.word, short_text_cleaning.sentence, short_text_cleaning.block)

MARKUP = st.sampled_from(
    [
        *("<b>", "</b>", "<script>", "</script>", "<!--", "-->", "<a title='", '">', "<", ">", "&"),
        *("&amp;", "&lt;", "&gt;", "&#0;", "&#10;", "&#x202e;", "&copy", ";", "lt", "'", '"', "A"),
        *("a", " ", "\n", "\t", "\u00a0", "\u0301", "\u200d", "\u0130", "\x00", "\u2028", "</"),
    ]
)
TEXTS = st.one_of(st.text(CHARACTERS), st.lists(MARKUP, max_size=20).map("".join))


@pytest.mark.parametrize(
    ("source", "sentence", "block"),
    [
        ('Tom & Jerry\'s "ride"', "Tom &amp; Jerry&#39;s &#34;ride&#34;", None),
        ("<b>x</b> y", "x y", None),
        ("<script>z</script>hi", "hi", None),
        ("a\tb", "ab", "a\tb"),
        ("FIXED GEAR", "fixed gear", None),
        ("BMX", "bmx", None),
        ("  a  b \n", "a  b", None),
        ("a\nb\u00a0c\u2003d", "abcd", "a\nb\u00a0c\u2003d"),
    ],
)
def test_the_vectors_hold(source: str, sentence: str, block: str | None) -> None:
    assert short_text_cleaning.sentence(source) == sentence
    assert short_text_cleaning.block(source) == (sentence if block is None else block)


def test_a_word_loses_its_white_space() -> None:
    assert short_text_cleaning.word(" Ana\tK.\u00a0R\n") == "AnaK.R"
    assert short_text_cleaning.word("ABC") == "abc"
    assert short_text_cleaning.word("IsMember") == "IsMember"


@pytest.mark.parametrize("grade", GRADES)
def test_shouting_is_kept_where_the_case_rule_does_not_apply(grade: Callable[..., str]) -> None:
    assert grade("BMX", quiet=False) == "BMX"
    assert grade("BMX") == "bmx"
    assert grade("ΑΒΓ") == "αβγ"
    assert grade("自転車!") == "自転車!"


@pytest.mark.parametrize(
    "dropped", "\x00\x07\x1c\x7f\x9f\u200b\u200e\u202e\ufeff\ue000\u0378\U000e0041"
)
@pytest.mark.parametrize("grade", GRADES)
def test_control_format_private_and_unassigned_characters_go(
    grade: Callable[..., str], dropped: str
) -> None:
    assert grade(f"a{dropped}b") == "ab"
    assert grade(f"a&#{ord(dropped)};b") != f"a{dropped}b"


def test_an_entity_is_no_way_around_the_grade() -> None:
    assert short_text_cleaning.sentence("a&#10;b&Tab;c&#x202e;d&rlm;e") == "abcde"
    assert "\x00" not in short_text_cleaning.block("a&#0;b")


def test_a_surrogate_goes() -> None:
    assert short_text_cleaning.block("a\ud800b&#xd800;") == "ab\ufffd"


def test_joiners_stay_and_text_is_composed() -> None:
    assert short_text_cleaning.sentence("👩\u200d🚒 می\u200cخواهم") == "👩\u200d🚒 می\u200cخواهم"
    assert short_text_cleaning.sentence("cafe\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    ("source", "cleaned"),
    [
        ("&lt;b&gt;", "&lt;b&gt;"),
        ("a < b", "a &lt; b"),
        ("I <3 you </3", "I &lt;3 you &lt;/3"),
        ("if a<b", "if a&lt;b"),
        ("a<!-- b -->c", "ac"),
        ("a<!doctype html>b", "ab"),
        ("a<style>b</style >c", "ac"),
        ("a<IFRAME src=x>b</iFrame\n>c", "ac"),
        ("a<object><object></object>b</object>c", "ac"),
        ("a<title>b", "a"),
        ('a<img alt=">" src=x>b', "ab"),
        ("<scr<script>x</script>ipt>b", "xipt&gt;b"),
        ("<<b>script>x", "&lt;script&gt;x"),
        ("<b>FIXED</b> GEAR", "fixed gear"),
        ("FIXED &amp; GEAR", "fixed &amp; gear"),
    ],
)
def test_tags_go_and_the_rest_is_escaped(source: str, cleaned: str) -> None:
    assert short_text_cleaning.sentence(source) == cleaned
    assert short_text_cleaning.sentence(cleaned) == cleaned


def test_length_counts_before_escaping() -> None:
    assert short_text_cleaning.length(short_text_cleaning.sentence("Tom & Jerry's")) == 13
    assert short_text_cleaning.length(short_text_cleaning.sentence("&amp;lt;")) == 4
    assert short_text_cleaning.length("") == 0


@pytest.mark.parametrize("grade", GRADES)
@settings(deadline=None)
@given(TEXTS)
def test_cleaning_twice_changes_nothing(grade: Callable[..., str], text: str) -> None:
    for quiet in (True, False):
        once = grade(text, quiet=quiet)
        assert grade(once, quiet=quiet) == once


@pytest.mark.wide
@pytest.mark.slow
@pytest.mark.parametrize("grade", GRADES)
@settings(deadline=None)
@given(TEXTS)
def test_what_is_cleaned_can_stand_anywhere_in_html(grade: Callable[..., str], text: str) -> None:
    cleaned = grade(text)
    assert not set("<>\"'\x00") & set(cleaned)
    assert cleaned.count("&") == sum(
        cleaned.count(entity) for entity in ("&amp;", "&lt;", "&gt;", "&#34;", "&#39;")
    )
    assert all(
        unicodedata.category(c)[0] in "LMNPSZ" or c in "\u200c\u200d\t\n\v\f\r\x85" for c in cleaned
    )
