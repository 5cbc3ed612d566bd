"""Merging and splitting in moderators' pages, by forms alone."""

from __future__ import annotations

import pytest

from tests.factories import Factory
from tests.webclient.visitor import Visitor


@pytest.mark.wide
def test_a_moderator_merges_conversations_and_old_addresses_lead_on(
    make: Factory, visitor: Visitor
) -> None:
    site = make.site()
    into, other = (make.conversation(site, title=title) for title in ("Tyres", "Tires"))
    make.comment(other, markdown="From the other one")
    moderator = visitor.of(site, site.moderator)
    link = f"/moderation/act/merge/?things=/conversations/{other.id}/"
    assert link in moderator.get(f"/conversations/{other.id}/moderate/").text
    assert f"/conversations/{other.id}/" in moderator.get(link).text
    sent = {"things": f"/conversations/{other.id}/", "reason": "One is enough"}
    address = f"https://{site.host}/conversations/{into.id}/"

    refused = moderator.post("/moderation/act/merge/", sent)
    assert (refused.status, "One is enough" in refused.text) == (400, True)
    plan = moderator.post("/moderation/act/merge/", sent | {"into": address})
    assert plan.status == 303, plan.text
    assert "Tires" in moderator.get(plan.location).text
    assert moderator.post(plan.location, {"do": "confirm"}).status == 303
    assert f'href="/conversations/{into.id}/"' in moderator.get(plan.location).text

    guest = visitor.of(site)
    assert "From the other one" in guest.get(f"/conversations/{into.id}/").text
    for path in ("", "moderate/"):
        page = moderator.get(f"/conversations/{other.id}/{path}")
        assert (page.status, page.location.startswith(f"/conversations/{into.id}/")) == (301, True)
    assert guest.get(f"/conversations/{other.id}/").location == f"/conversations/{into.id}/"
    lost = visitor.of(site, site.member)
    make.sql("DELETE FROM access_tokens WHERE user_id = %(user)s", user=site.member.user_id)
    page = lost.get(f"/conversations/{other.id}/")
    assert (page.status, page.location) == (301, f"/conversations/{into.id}/")
    assert "session" not in lost.cookies
    assert moderator.post(plan.location, {"do": "undo"}).status == 303
    assert "From the other one" in guest.get(f"/conversations/{other.id}/").text


def test_a_moderator_splits_off_the_comments_that_are_ticked(
    make: Factory, visitor: Visitor
) -> None:
    site = make.site()
    chat = make.conversation(site, title="Tyres")
    said = [make.comment(chat, markdown=f"Said {n}") for n in range(4)]
    moderator = visitor.of(site, site.moderator)
    link = f"/moderation/act/split/?on=/conversations/{chat.id}/"
    assert link in moderator.get(f"/conversations/{chat.id}/moderate/").text
    form = moderator.get(link).text
    assert all(f'name="pick" value="{one.id}"' in form for one in said)
    sent = {"on": f"/conversations/{chat.id}/", "pick": str(said[1].id), "reason": "Brakes"}
    sent |= {"place": str(site.root_id), "things": f"/comments/{said[3].id}/"}

    refused = moderator.post("/moderation/act/split/", sent)
    assert (refused.status, f'value="{said[1].id}" checked' in refused.text) == (400, True)
    plan = moderator.post("/moderation/act/split/", sent | {"title": "About brakes"})
    assert plan.status == 303, plan.text
    assert moderator.post(plan.location, {"do": "confirm"}).status == 303
    shown = moderator.get(plan.location).text
    assert "About brakes" in shown
    guest = visitor.of(site)
    old = guest.get(f"/conversations/{chat.id}/").text
    assert [f"Said {n}" in old for n in range(4)] == [True, False, True, False]
