"""Signing in and out."""

from __future__ import annotations

from tests.factories import Site
from tests.webclient.hand import Hand
from tests.webclient.step import step


@step("member signs out")
def test_a_member_signs_out(hand: Hand, bikes: Site) -> None:
    hand.sign_in(bikes, bikes.member)

    hand.press("Sign out")

    hand.see("Sign in")
