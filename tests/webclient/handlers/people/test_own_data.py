"""Own data: taken out, deleted, and kept after all."""

from __future__ import annotations

import io
import zipfile

import psycopg
import pytest
from selenium.webdriver.common.by import By

from forumapi.config import Config
from forumapi.cron import personal_exports
from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


def _make_copies(database_url: str, website: Server) -> None:
    config = Config(database_url=database_url, data_dir=str(website.log.parent))
    while personal_exports.work_off(config):
        pass


@step("member takes their data out")
def test_a_member_takes_their_data_out(
    hand: Hand, bikes: Site, make: Factory, database_url: str, website: Server
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/data/")

    hand.press("Make a copy")
    hand.see("Your copy is being made")
    _make_copies(database_url, website)
    hand.press("Look again")
    hand.see("It is there until")
    link = hand.driver.find_element(By.LINK_TEXT, "Download")
    assert str(link.get_attribute("href")).endswith("/account/data/file/")
    hand.press("Delete the copy")
    hand.see("Make a copy")


@step("member deletes their profile and changes their mind")
def test_a_member_deletes_their_profile_and_changes_their_mind(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/data/")

    hand.press("Delete my profile or account")
    hand.tick("It is removed, with your files")
    hand.press("Delete in 30 days")
    hand.see("Your profile here is going to be deleted on")
    asked = api_there.get(f"{person.path}/erasure", by=person).data
    assert asked["words"] == "remove"
    hand.go(bikes, "/conversations/")
    hand.see("You are going to be deleted on")
    hand.press("Change your mind")
    hand.press("Keep my profile")
    hand.see("Make a copy")
    hand.see_no("Keep my profile")
    assert api_there.get(f"{person.path}/erasure", by=person).status == 404


@pytest.mark.wide
def test_the_file_is_handed_on_to_its_person_alone(
    visitor: Visitor, bikes: Site, make: Factory, database_url: str, website: Server
) -> None:
    person, other = make.person(bikes), make.person(bikes)
    me = visitor.of(bikes, person)
    me.post("/account/data/", {"do": "copy"})
    _make_copies(database_url, website)

    page = me.get("/account/data/file/")
    assert page.status == 200
    archive = zipfile.ZipFile(io.BytesIO(page.body))
    assert person.name in archive.read("data/profiles.json").decode()
    stranger = visitor.of(bikes, other)
    assert stranger.get("/account/data/file/").status == 404


def test_the_owner_is_told_to_hand_the_site_over(visitor: Visitor, make: Factory) -> None:
    site = make.site(title="Handed over first")
    owner = visitor.of(site, site.owner)

    page = owner.post("/account/data/delete/", {"what": "account", "words": "keep"})

    assert page.status == 409
    assert "Handed over first" in page.text


def test_an_older_sign_in_is_asked_for_again_and_keeps_the_choice(
    visitor: Visitor, bikes: Site, make: Factory, database_url: str
) -> None:
    person = make.person(bikes)
    me = visitor.of(bikes, person)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE access_tokens SET created = now() - interval '11 minutes' WHERE user_id = %s",
            [person.user_id],
        )

    page = me.post("/account/data/delete/", {"what": "profile", "words": "remove"})

    assert page.status == 401
    assert "Sign in" in page.text
    assert page.field("/login/", "pending.words") == "remove"


def test_what_others_quote_is_listed_before(visitor: Visitor, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    chat = make.conversation(bikes)
    mine = make.comment(chat, by=person)
    make.comment(chat, by=bikes.member, markdown="An answer without a quotation", reply_to=mine)
    me = visitor.of(bikes, person)
    assert "What others quote of you" not in me.get("/account/data/delete/").text

    make.comment(chat, by=bikes.member, markdown="> Your words\n\nNo.", reply_to=mine)
    page = me.get("/account/data/delete/")
    assert "What others quote of you" in page.text
    assert page.text.count('href="/comments/') == 1
