"""Codes of short links: platform 6.3, vectors of platform 13."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forumapi.text.short_link_code import ALPHABET, decode
from tests.text.characters import CHARACTERS


def encode(number: int, lead: str) -> str:
    """The code that earlier releases gave link `number`, least significant digit first, after `lead`."""
    digits = [lead]
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits)


@pytest.mark.parametrize(
    ("number", "code"), [(1, "b"), (55, "Z"), (56, "ab"), (57, "bb"), (113, "bc")]
)
def test_the_vectors_hold(number: int, code: str) -> None:
    assert encode(number, "k") == f"k{code}"
    assert decode(f"k{code}") == number


def test_the_alphabet_has_no_look_alikes() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 56
    assert not set("lo0IO1") & set(ALPHABET)


@pytest.mark.wide
@settings(deadline=None)
@given(st.integers(1, 2**63 - 1), st.sampled_from(ALPHABET))
def test_a_code_leads_back_to_its_number(number: int, lead: str) -> None:
    assert decode(encode(number, lead)) == number


@pytest.mark.parametrize(
    "code", ["", "k", "ka", "kba", "k0", "kl", "kO", "lb", "kb/", "kb\n", "k" * 13, "kb" + "Z" * 10]
)
def test_what_was_never_a_code_is_none(code: str) -> None:
    assert decode(code) is None


@pytest.mark.wide
@settings(deadline=None)
@given(st.text(CHARACTERS))
def test_only_one_code_leads_to_a_number(code: str) -> None:
    number = decode(code)
    assert number is None or encode(number, code[0]) == code
