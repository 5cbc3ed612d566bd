"""Roles: who is in them and why, and criteria that say whom they would let in before they do."""

from __future__ import annotations

import time

import pytest

from forumapi.webclient.session import Seal, WebSession
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.webclient.hand import WEBSITE_SECRET, Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


@step("owner makes a role and sees whom its criterion lets in")
def test_an_owner_makes_a_role_by_a_criterion(hand: Hand, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    make.comments(make.conversation(site), 3, by=site.newcomer)
    hand.sign_in(site, site.owner)
    hand.go(site, f"/microcosms/{place.id}/roles/")

    hand.fill("Title", "Talkers & listeners")
    hand.tick("Write")
    hand.press("Create the role")
    hand.see("Nobody is in it.")
    hand.press("Add a criterion")
    hand.choose("How", "at least")
    hand.fill("With", "3")
    hand.press("See whom it lets in")

    hand.see("Would join")
    assert hand.find(".facts dd").text == f"1: {site.newcomer.name}"
    hand.press("Save")
    hand.see("Comments written: at least 3 (here: 3)")
    hand.see(site.newcomer.name)


@step("owner puts a person into a role and takes them out")
def test_an_owner_puts_a_person_in(hand: Hand, make: Factory, bikes: Site) -> None:
    _, role = make.role(bikes, make.microcosm(bikes).id, "Leaders", rights=("read",))
    place = make.sql("SELECT microcosm_id FROM roles WHERE role_id = %(id)s", id=role)[0][0]
    hand.sign_in(bikes, bikes.owner)
    hand.go(bikes, f"/microcosms/{place}/roles/{role}/")

    hand.fill("Name", bikes.member.name)
    hand.press("Put in")
    hand.see("named")
    hand.press(f"Take out {bikes.member.name}")

    hand.see("Nobody is named.")
    hand.see("Nobody is in it.")


def _role(make: Factory, site: Site, title: str = "Leaders") -> str:
    place = make.microcosm(site)
    _, role = make.role(site, place.id, title, rights=("read",))
    return f"/microcosms/{place.id}/roles/{role}/"


@pytest.mark.wide
def test_roles_are_listed_with_their_people(make: Factory, visitor: Visitor) -> None:
    site = make.site()
    place = make.microcosm(site)
    role = make.role(site, place.id, "Red & green", rights=("read", "create"))
    make.join(role, site.member)

    managed = visitor.of(site, site.moderator).get(f"/microcosms/{place.id}/roles/")
    read = visitor.of(site, site.member).get(f"/microcosms/{place.id}/roles/")

    assert "Red & green" in managed.main and "1 person" in managed.main
    assert site.member.name in managed.find(".rows").text()
    assert "from Forums" in managed.main  # the moderators' role is that of the root
    assert managed.tree.css_first("#title") is not None
    assert "Red & green" in read.main
    assert read.tree.css_first("main form") is None


def test_a_role_says_what_is_inherited(make: Factory, bikes: Site, visitor: Visitor) -> None:
    place = make.microcosm(bikes)

    page = visitor.of(bikes, bikes.owner).get(f"/microcosms/{place.id}/roles/")

    assert "those of the place above" in page.main
    assert "all members" in page.main and "all guests" in page.main


@pytest.mark.wide
def test_a_name_that_nobody_has_is_said_and_others_are_offered(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    path = _role(make, bikes)
    owner = visitor.of(bikes, bikes.owner)

    page = owner.post(f"{path}members/", {"name": "mem", "do": "put in"})
    nobody = owner.post(f"{path}members/", {"name": "qqqq", "do": "put in"})

    assert "Nobody is called “mem”." in page.main
    assert f"Put {bikes.member.name} in" in page.main
    assert "Nobody is called “qqqq”." in nobody.main and "Did you mean" not in nobody.main
    form = {"profile": str(bikes.member.id), "do": "put in"}
    assert owner.post(f"{path}members/", form).status == 303
    assert "named" in owner.get(path).main


@pytest.mark.wide
def test_a_criterion_is_changed_and_removed(make: Factory, bikes: Site, visitor: Visitor) -> None:
    path = _role(make, bikes)
    owner = visitor.of(bikes, bikes.owner)
    sent = {"column": "created", "predicate": "ge", "value": "0", "group": "1"}
    assert owner.post(f"{path}criteria/", {**sent, "do": "save"}).status == 303
    link = owner.get(path).find(f"a[href^='{path}criteria/?criterion=']").attributes["href"] or ""
    form = owner.get(link)
    assert form.value("#value") == "0"
    id = form.value("input[name=criterion]")

    tried = owner.post(f"{path}criteria/", {**sent, "criterion": id, "value": "9", "do": "try"})

    assert "Would leave" in tried.main and tried.find(".facts").text().count(":") == 1
    changed = {**sent, "criterion": id, "value": "9", "do": "save"}
    assert owner.post(f"{path}criteria/", changed).status == 303
    assert "Nobody is in it." in owner.get(path).main
    removed = owner.post(f"{path}criteria/", {"criterion": id, "do": "remove"})
    assert removed.status == 303
    assert "Days since they joined" not in owner.get(path).find("#criteria ~ p").text()


def test_a_removal_that_names_no_criterion_is_refused(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    path = _role(make, bikes)
    sent = {"column": "created", "predicate": "ge", "value": "0", "group": "1", "do": "remove"}
    assert visitor.of(bikes, bikes.owner).post(f"{path}criteria/", sent).status == 400


def test_those_who_put_themselves_there_are_named(
    make: Factory, bikes: Site, visitor: Visitor, website: Server
) -> None:
    path = _role(make, bikes)
    api = website.api()
    attributes = [{"key": "town", "value": "Ghent"}]
    written = api.put(f"{bikes.newcomer.path}/attributes", attributes, by=bikes.newcomer)
    api.close()
    assert written.status == 200, written.body

    page = visitor.of(bikes, bikes.owner).post(
        f"{path}criteria/",
        {"column": "attribute", "key": "town", "predicate": "eq", "value": "Ghent", "group": "1"},
    )

    assert "Stay out" in page.main and "does not count" in page.main
    assert bikes.newcomer.name in page.find(".facts").text()


@pytest.mark.parametrize(
    "changed",
    [
        {"value": "many"},
        {"column": "nothing"},
        {"predicate": "<script>"},
        {"column": "attribute", "key": ""},
        {"value": "nan"},
        {"value": "1e999"},
    ],
)
def test_a_criterion_that_makes_no_sense_comes_back(
    make: Factory, bikes: Site, visitor: Visitor, changed: dict[str, str]
) -> None:
    path = _role(make, bikes)
    form = {"column": "commentCount", "predicate": "ge", "value": "3", "group": "1", **changed}

    page = visitor.of(bikes, bikes.owner).post(f"{path}criteria/", form)

    assert page.status == 400
    assert page.find(".failed").text()
    assert page.value("#value") == form["value"]


def test_a_role_is_changed_and_two_at_once_are_told(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    path = _role(make, bikes, "Before")
    owner = visitor.of(bikes, bikes.owner)
    match = owner.get(path).value("input[name=match]")
    first = {"title": "By me", "read": "1", "create": "1", "match": match, "do": "save"}
    assert owner.post(path, first).status == 303

    late = owner.post(path, {"title": "Too late", "match": match, "do": "save"})

    assert late.status == 412
    assert "By me" in late.main and late.value("#title") == "Too late"
    assert "checked" in owner.get(path).find("#create").attributes
    assert owner.post(path, {"do": "delete"}).status == 303
    assert owner.get(path).status == 404


def test_a_role_shows_the_flags_that_it_has(make: Factory, bikes: Site, visitor: Visitor) -> None:
    path = _role(make, bikes)
    owner = visitor.of(bikes, bikes.owner)

    for page in (owner.get(path), owner.get(path.rpartition("roles/")[0] + "roles/")):
        ticked = [one.attributes["name"] for one in page.tree.css("main [type=checkbox][checked]")]
        assert ticked == ["read"]


def test_moderator_and_banned_at_once_come_back(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    place = make.microcosm(bikes)
    form = {"title": "Odd", "moderator": "1", "banned": "1"}

    page = visitor.of(bikes, bikes.owner).post(f"/microcosms/{place.id}/roles/", form)

    assert page.status == 400 and page.value("#title") == "Odd"
    assert "checked" in page.find("#moderator").attributes


def test_a_member_manages_no_role(make: Factory, bikes: Site, visitor: Visitor) -> None:
    path = _role(make, bikes)
    member = visitor.of(bikes, bikes.member)

    answers = [
        member.get(path),
        member.get(f"{path}criteria/"),
        member.post(path, {"title": "Mine", "do": "save"}),
        member.post(path, {"do": "delete"}),
        member.post(f"{path}members/", {"profile": str(bikes.member.id)}),
        member.post(f"{path}criteria/", {"column": "id", "predicate": "ge", "value": "0"}),
        member.post(path.rpartition("roles/")[0] + "roles/", {"title": "Mine"}),
    ]

    assert {one.status for one in answers} == {403}
    assert "Leaders" in visitor.of(bikes, bikes.owner).get(path).main


def test_a_role_elsewhere_is_none(
    make: Factory, bikes: Site, trains: Site, visitor: Visitor
) -> None:
    path = _role(make, bikes)

    assert visitor.of(trains, trains.owner).get(path).status in (403, 404)


def test_roles_ask_for_a_fresh_sign_in(make: Factory, bikes: Site, visitor: Visitor) -> None:
    path = _role(make, bikes)
    owner = visitor.of(bikes, bikes.owner)
    session = WebSession(bikes.owner.token, int(time.time()) - 3600)
    owner.cookies["session"] = Seal([WEBSITE_SECRET]).seal_session(owner.host, session)

    assert owner.get(path).location.startswith("/login/?")
    assert owner.post(path, {"do": "delete"}).status == 401
    assert owner.get(path.rpartition("roles/")[0] + "roles/").status == 200


def test_administration_leads_to_the_roles_of_the_root(bikes: Site, visitor: Visitor) -> None:
    page = visitor.of(bikes, bikes.owner).get("/admin/roles/")

    assert page.location == f"/microcosms/{bikes.root_id}/roles/"
    assert visitor.of(bikes, bikes.member).get("/admin/roles/").status == 403
