"""Retention periods on their page: seen before they are set."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

PAGE = "/admin/retention/"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own, with a comment that was deleted long ago."""
    site = make.site()
    comment = make.comment(make.conversation(site), by=site.member)
    make.sql(
        """UPDATE comments SET is_deleted = true WHERE site_id = %(site)s AND comment_id = %(id)s
        RETURNING 1""",
        site=site.id,
        id=comment.id,
    )
    make.sql(
        "UPDATE deletions SET deleted = now() - interval '90 days' WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )
    return site


@step("owner sets for how long the site keeps things")
def test_the_owner_sees_what_would_go_and_sets_the_periods(
    hand: Hand, site: Site, api: Api
) -> None:
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("How long things are kept", within="main")

    hand.fill("Texts of deleted comments and conversations", "60")
    hand.press("See what would go")

    hand.see("Comments: 1.")
    hand.press("Keep things for so long")
    hand.see("Saved")
    days = api.get("/api/v1/site/retention", by=site.owner).data["deletedTexts"]["days"]
    assert days == 60


def test_odd_periods_are_refused_and_stay_in_the_form(visitor: Visitor, site: Site) -> None:
    owner = visitor.of(site, site.owner)
    for text in ("3", "0x10", "-1", "99999999999999999999"):
        answer = owner.post(PAGE, {"do": "store", "mail": text})
        assert answer.status == 400 and f'value="{text}"' in answer.text
    for person in (site.moderator, site.member):
        assert visitor.of(site, person).get(PAGE).status == 403
