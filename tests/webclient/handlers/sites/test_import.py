"""Import of a forum on the site's pages: uploaded, planned, loaded, compared, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from forumapi.config import Config, Settings
from forumapi.cron.site_imports import ImportThread
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.porting import boards
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

PAGE, LEFTOVERS = "/admin/import/", "/admin/import/leftovers/"
PHPBB = Path(boards.__file__).parent / "boards" / "phpbb.sql"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def work(database_url: str, website: Server) -> None:
    """Do what the cron process does once it looks."""
    config = Config(environment="embedded", data_dir=str(website.log.parent))
    thread = ImportThread(database_url, Settings(config))
    thread.poll()
    thread.stop()


@step("owner moves a forum in, from the dump to what was left out")
def test_the_owner_moves_a_forum_in(
    hand: Hand, make: Factory, site: Site, database_url: str, website: Server
) -> None:
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("Import of a forum", within="main")
    hand.find("#file").send_keys(str(PHPBB))
    hand.press("Upload")

    hand.see("It has not begun yet.")
    work(database_url, website)
    hand.press("Look again")
    hand.see("Never comes")
    hand.press("Load it")
    hand.see("It has not begun yet.")
    work(database_url, website)
    hand.press("Look again")
    hand.see("Done.")
    hand.press("Let old addresses lead here")
    hand.see("Let old addresses lead nowhere")
    ((left,),) = make.sql(
        "SELECT count(*)::int FROM import_leftouts WHERE site_id = %(id)s", id=site.id
    )
    hand.press(f"{left} things were left out")
    hand.see("What was left out")


def test_nobody_else_sees_the_pages(visitor: Visitor, site: Site) -> None:
    member = visitor.of(site, site.member)
    owner = visitor.of(site, site.owner)
    for page in (PAGE, LEFTOVERS):
        assert member.get(page).status == 403
    assert owner.get(PAGE).status == 200
    assert "At most 104 MB can be sent at a time" in owner.get(PAGE).text
    assert owner.get(LEFTOVERS).status == 404
