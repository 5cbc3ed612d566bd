"""Platform's own host: communities are found and begun, and the operator sees all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.factories import Factory, Person, Site
from tests.fixtures import PLATFORM_DOMAIN, Server, running
from tests.webclient import page_checks
from tests.webclient.hand import NO_SCRIPT, WEBSITE_SECRET, Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

_number = itertools.count(1)
ROOT = Site(1, "root", PLATFORM_DOMAIN, 0)


@pytest.fixture(scope="module")
def operator(make: Factory) -> Person:
    """Somebody who runs the platform."""
    return make.site().member


@pytest.fixture(scope="module")
def website(
    database_url: str, operator: Person, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A web process with an operator."""
    with running(
        database_url,
        tmp_path_factory.mktemp("platform"),
        webclient="true",
        webclient_secret=WEBSITE_SECRET,
        admin_user_ids=str(operator.user_id),
        plans="small members=50 comments_per_day=40,grand weight=3",
    ) as started:
        yield started


@pytest.mark.wide
@step("platform's front page finds a community")
def test_a_community_is_found(hand: Hand, make: Factory) -> None:
    name = f"Pigeons & {hand.mode}"
    site = make.site(title=name)
    hand.go(ROOT, "/")
    hand.see("Communities")

    hand.fill("Find a community", f"pigeons & {hand.mode}")
    hand.press("Find", within="main")

    hand.see(name)
    assert len(hand.driver.find_elements("css selector", ".rows > li")) == 1
    link = hand.find(".rows .title a").get_attribute("href") or ""
    assert link.startswith(("http://", "https://")) and site.host in link


def test_the_figures_of_a_community_stand_apart_on_a_phone(
    window: Chrome, website: Server, make: Factory
) -> None:
    title = f"Rowers {next(_number)}"
    make.site(title=title)
    page_checks.draw(window, width=360)
    hand = Hand(window, website.address[1], NO_SCRIPT)

    hand.go(ROOT, f"/?q={title.replace(' ', '+')}")

    people, comments = hand.driver.find_elements("css selector", ".rows .figures > span")
    assert people.location["x"] + people.size["width"] < comments.location["x"]


def test_the_platform_has_no_search_to_lead_to(website: Server) -> None:
    main = Visitor(website.address).of(ROOT).get("/nothing/here/").find("main")

    assert [one.attributes["href"] for one in main.css("a")] == ["/"]


@step("person begins a community")
def test_a_person_begins_a_community(hand: Hand, make: Factory, bikes: Site) -> None:
    key = f"velo{next(_number)}x{make.database_tag()}"
    hand.sign_in(ROOT, bikes.member)
    hand.go(ROOT, "/")
    hand.press("Begin a community", within="main")
    hand.fill("Title", "Velo & friends")
    hand.fill("What is it about?", "Rides, repairs and cake.")
    hand.fill("Address", key)
    hand.press("Is the address free?")
    hand.see("That address is free.")

    hand.press("Begin it")

    hand.see("Go to Velo & friends")
    hand.see("sign in there once more")
    hand.go(Site(0, key, f"{key}.{PLATFORM_DOMAIN}", 0), "/")
    hand.see("Velo & friends")


@step("operator sees all sites")
def test_an_operator_sees_all_sites(
    hand: Hand, make: Factory, operator: Person, bikes: Site
) -> None:
    make.sql("DELETE FROM metrics RETURNING 1")
    hand.sign_in(ROOT, operator)
    hand.go(ROOT, "/")

    hand.press("For the operator")

    hand.see("All communities")
    hand.fill("Title", f"Site {bikes.key}")
    hand.press("Find")
    hand.see(bikes.key)
    hand.see("No figures have been taken yet.")


@step("operator gives a site a plan and holds it back")
def test_an_operator_gives_a_site_a_plan_and_holds_it_back(
    hand: Hand, make: Factory, operator: Person, visitor: Visitor
) -> None:
    site = make.site()
    hand.sign_in(ROOT, operator)
    hand.go(ROOT, f"/platform/?q={site.key}")
    hand.press(f"Site {site.key}", within="table")
    hand.fill("Name of the plan", "small")

    hand.press("Set the plan")

    hand.see("Comments today")
    hand.choose("State", "Suspended: nobody but the owner gets in")
    hand.press("Set the state")
    hand.until(lambda: visitor.of(site).get("/").status == 403)
    # It is in no list now.
    hand.go(ROOT, "/platform/")
    hand.fill("Number of a community that is held back, and so in no list", str(site.id))
    hand.press("Go there")
    hand.see(f"Community {site.id}")
    hand.choose("State", "Open")
    hand.press("Set the state")
    hand.until(lambda: visitor.of(site).get("/").status == 200)


@step("owner reads the plan and what is left of it")
def test_the_owner_reads_the_plan(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.sql("INSERT INTO site_plans (site_id, plan) VALUES (%(id)s, 'small')", id=site.id)
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")

    hand.press("Plan and usage", within="main")

    hand.see("Comments today")
    assert hand.find("#plan").get_attribute("textContent") == "Plan of this community: small"
    bars = hand.driver.find_elements("css selector", "main progress")
    assert [one.get_attribute("max") for one in bars] == ["50", "40"]
    assert int(bars[0].get_attribute("value") or 0) >= 2


@pytest.mark.wide
def test_a_site_s_own_page_is_for_operators_alone(
    visitor: Visitor, bikes: Site, make: Factory, operator: Person
) -> None:
    site = make.site()
    path = f"/platform/sites/{site.id}/"
    state = {"do": "state", "state": "suspended"}
    for person in (site.owner, bikes.member):
        stranger = visitor.of(ROOT, person)
        assert (stranger.get(path).status, stranger.post(path, state).status) == (403, 403)
    assert visitor.of(ROOT).get(path).location.startswith("/login/")
    keeper = visitor.of(ROOT, operator)
    assert keeper.get(path).status == 200
    for unknown in ("/platform/sites/999999999/", "/platform/sites/999999999999999999/"):
        assert keeper.get(unknown).status == 404
    assert keeper.get(f"/platform/?number={site.id}").location == path
    assert keeper.get("/platform/?number=%C2%B2").status == 200
    # What the API refuses is said, with the names that there are.
    refused = keeper.post(path, {"do": "plan", "plan": "large"})
    assert refused.status == 400 and "small, grand" in refused.main
    assert keeper.post("/platform/sites/1/", state).status == 403


@pytest.mark.wide
def test_states_of_a_site_are_told_to_its_people(
    visitor: Visitor, make: Factory, operator: Person
) -> None:
    site = make.site()
    path, keeper = f"/platform/sites/{site.id}/", visitor.of(ROOT, operator)
    talk = make.conversation(site)
    member, owner = visitor.of(site, site.member), visitor.of(site, site.owner)

    assert keeper.post(path, {"do": "state", "state": "read-only"}).status == 303
    form = {"itemType": "conversation", "itemId": str(talk.id), "markdown": "Kept & safe"}
    refused = member.post("/comments/create/", form)
    assert refused.status == 403 and "This site is read-only for now" in refused.main
    assert "Kept &amp; safe" in refused.text
    assert "let nobody write there" in visitor.of(ROOT, site.owner).get(f"/sites/{site.id}/").main

    assert keeper.post(path, {"do": "state", "state": "export-window"}).status == 303
    shown = keeper.get(path).main
    assert "Will be deleted" in shown and "The platform" in shown
    page = owner.get("/admin/deletion/").main
    assert "will be deleted on" in page and "ask them" in page and "Keep the site" not in page
    assert owner.post("/admin/deletion/", {"do": "keep"}).status == 403
    assert keeper.post(path, {"do": "state", "state": "active"}).status == 303
    assert "Close it, and delete it in 30 days" in owner.get("/admin/deletion/").main


@pytest.mark.wide
def test_nobody_else_is_an_operator(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(ROOT, bikes.member)

    assert member.get("/platform/").status == 403
    assert "For the operator" not in member.get("/").text
    assert visitor.of(ROOT).get("/platform/").location.startswith("/login/")


@pytest.mark.parametrize("key", ["root", "www", "", "a-b", "é", "a/../b", "%2e%2e", "x" * 60, "²"])
def test_an_address_that_can_t_be_comes_back(visitor: Visitor, bikes: Site, key: str) -> None:
    form = {"title": "Kept & safe", "description": "This too", "subdomainKey": key}

    page = visitor.of(ROOT, bikes.member).post("/sites/create/", {**form, "do": "begin"})

    assert page.status == 400, page.main
    assert page.value("#title") == "Kept & safe"
    assert page.find(".failed").text()


def test_an_address_that_is_taken_comes_back(visitor: Visitor, bikes: Site) -> None:
    form = {"title": "Mine", "description": "All mine", "subdomainKey": bikes.key.upper()}
    member = visitor.of(ROOT, bikes.member)

    assert "is taken" in member.post("/sites/create/", {**form, "do": "begin"}).main
    assert "is taken" in member.post("/sites/create/", {**form, "do": "check"}).main


def test_a_guest_signs_in_before_they_begin(visitor: Visitor) -> None:
    guest = visitor.of(ROOT)

    assert guest.get("/sites/create/").location.startswith("/login/?")
    form = {"title": "Later", "description": "Soon", "subdomainKey": "later1", "do": "begin"}
    page = guest.post("/sites/create/", form)
    assert page.status == 401 and "Later" in page.text


@pytest.mark.wide
def test_own_communities_are_told_from_others(visitor: Visitor, make: Factory) -> None:
    site = make.site(title="Mine <b>alone</b> & so on")
    owner = visitor.of(ROOT, site.owner)

    mine = owner.get("/?mine")
    assert len(mine.tree.css(".rows > li")) == 1
    assert "It is yours." in owner.get(f"/sites/{site.id}/").main
    stranger = visitor.of(ROOT, site.member)
    assert "You have none yet." in stranger.get("/?mine").main
    assert "It is yours." not in stranger.get(f"/sites/{site.id}/").main
    assert visitor.of(ROOT).get("/?mine").location.startswith("/login/?")


def test_pages_of_the_platform_are_not_on_sites(visitor: Visitor, bikes: Site) -> None:
    owner = visitor.of(bikes, bikes.owner)

    own = f"/platform/sites/{bikes.id}/"
    for path in ("/platform/", own, "/sites/create/", f"/sites/{bikes.id}/"):
        assert owner.get(path).status == 404
    assert visitor.of(ROOT).get("/sites/999999999/").status == 404
    assert visitor.of(ROOT).get("/microcosms/1/").status == 404


@pytest.mark.wide
def test_a_search_without_a_hit_says_so(visitor: Visitor) -> None:
    page = visitor.of(ROOT).get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")

    assert "There is none." in page.main
    assert "<script>alert" not in page.text


@pytest.mark.wide
def test_the_owner_of_an_empty_community_is_told_how_to_begin(
    visitor: Visitor, make: Factory
) -> None:
    site = make.site()
    hint = "This community is yours, and empty."

    owner = visitor.of(site, site.owner)
    assert hint in owner.get("/").text
    assert f"/microcosms/{site.root_id}/create/microcosm/" in owner.get("/").text
    assert owner.get(f"/microcosms/{site.root_id}/create/microcosm/").status == 200
    assert hint not in visitor.of(site, site.member).get("/").text
    make.microcosm(site, "A place")
    assert hint not in owner.get("/").text
