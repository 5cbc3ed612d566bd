"""Writing and changing comments and conversations."""

from __future__ import annotations

from tests.factories import Factory, Site
from tests.webclient.hand import Hand
from tests.webclient.step import step


@step("member comments")
def test_a_member_comments(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"/conversations/{conversation.id}/")

    hand.fill("Your comment", f"Written by {hand.mode}")
    hand.press("Post")

    hand.see(f"Written by {hand.mode}")
    assert "#comment" in hand.driver.current_url
