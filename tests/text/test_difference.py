"""Tests of what changed between two texts: the pieces always make both of them again, in bounded time."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forumapi.text.difference import DELETE, EQUAL, INSERT, LIMIT_S, changes
from tests.text.characters import CHARACTERS

WORDS = st.lists(st.sampled_from(["a", "b ", "*c*", "\n", "dé", "\U0001f6b2", "  "])).map("".join)


def test_words_are_compared_and_not_letters() -> None:
    found = changes("Do they turn at -10?", "Do they **still** turn at -15?")

    assert [tuple(one) for one in found] == [
        (EQUAL, "Do they "),
        (INSERT, "**still** "),
        (EQUAL, "turn at -"),
        (DELETE, "10"),
        (INSERT, "15"),
        (EQUAL, "?"),
    ]


def made(old: str, new: str) -> tuple[str, str]:
    found = changes(old, new)
    return (
        "".join(text for op, text in found if op != INSERT),
        "".join(text for op, text in found if op != DELETE),
    )


@pytest.mark.wide
@settings(deadline=None)
@given(WORDS | st.text(CHARACTERS), WORDS | st.text(CHARACTERS))
def test_the_pieces_make_both_texts(old: str, new: str) -> None:
    assert made(old, new) == (old, new)


@pytest.mark.wide
def test_hostile_texts_keep_to_the_limit() -> None:
    dice = random.Random(1)
    noise = [" ".join(str(dice.randrange(500)) for _ in range(12_000)) for _ in "12"]
    letters = [" ".join(chr(0x4E00 + dice.randrange(20_000)) for _ in range(25_000)) for _ in "12"]
    for old, new in (
        noise,
        letters,
        ("a " * 25_000, "b a " * 12_500),
        ("x" * 50_000, "!" * 50_000),
    ):
        began = time.process_time()
        assert made(old, new) == (old, new)
        # Ten times the limit is still nothing beside the minutes that an unbounded search takes.
        assert time.process_time() - began < 20 * LIMIT_S


def test_more_words_than_there_are_characters_below_the_surrogates() -> None:
    old = " ".join(f"w{number}" for number in range(60_000))

    assert made(old, old + " more") == (old, old + " more")
