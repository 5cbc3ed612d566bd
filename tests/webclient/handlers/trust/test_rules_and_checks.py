"""Checks of what people write, and rules of moderation, as the owner of a site sets them on the website."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor

CHECKS = "/api/v1/site/checks"
RULE = {
    "title": "Links & newcomers",
    "event": "comment.created",
    "action": "hold",
    "reason": "We look first",
    "hasLink": "yes",
    "mode": "active",
}


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


@step("owner sets the checks of what people write")
def test_the_owner_sets_the_checks(hand: Hand, site: Site, api: Api) -> None:
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("Checks of what people write")
    hand.fill("First things of somebody new that are held", "3")
    hand.fill("Domains whose links are held, one a line", "bad.example")

    hand.press("Save")

    hand.see("Saved.")
    assert hand.value("First things of somebody new that are held") == "3"
    stored = api.get(CHECKS, by=site.owner).data
    assert (stored["firstPosts"], stored["domains"], stored["maxLinks"]) == (
        3,
        ["bad.example"],
        None,
    )


@step("owner tries a rule, lets it act, turns it off and deletes it")
def test_the_owner_makes_a_rule(hand: Hand, site: Site, make: Factory) -> None:
    said = make.comment(make.conversation(site), by=site.newcomer, markdown="Cheap wheels")
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/rules/")
    hand.press("New rule")
    hand.fill("Title", "What newcomers write")
    hand.fill("Characters at least", "3")
    hand.fill("Why? The author reads this", "We look first")
    hand.press("See what it would have fitted")

    hand.see("Nothing has been done.")
    hand.see(f"Comment {said.id}")
    hand.press("Save it in shadow mode")
    hand.see("Version 1")
    hand.press("Try it, to turn it on")
    hand.press("Save it, and let it act")
    hand.see("Version 2")
    hand.press("Turn it off")
    hand.see("Version 3")
    hand.press("Delete the rule")
    hand.see("There are none.")


def _fields(page: Page) -> dict[str, str]:
    """Return the hidden fields of the form of a rule."""
    found = page.tree.css("main form input[type=hidden]")
    return {one.attributes["name"] or "": one.attributes["value"] or "" for one in found}


@pytest.mark.wide
def test_every_check_is_stored_and_shown_again(
    site: Site, api: Api, visitor: Visitor, make: Factory
) -> None:
    _, role = make.role(site, site.root_id, "Regulars & co", rights=("read",))
    owner = visitor.of(site, site.owner)
    sent = {
        "firstPosts": "2",
        "maxLinks": "0",
        "domains": "bad.example\nworse.example",
        "perHour": "20",
        f"rate{role}": "0",
        "sameText": "3",
        "stopForumSpam": "1",
        "akismetKey": "abc123",
        "beforeShown": "1",
        "onFailure": "hold",
    }

    assert owner.post("/admin/checks/", sent).status == 303
    page = owner.get("/admin/checks/")

    expected = {
        "firstPosts": 2,
        "maxLinks": 0,
        "domains": ["bad.example", "worse.example"],
        "perHour": 20,
        "rates": [{"roleId": role, "perHour": 0}],
        "sameText": 3,
        "stopForumSpam": True,
        "akismetKey": True,
        "beforeShown": True,
        "onFailure": "hold",
    }
    stored = api.get(CHECKS, by=site.owner).data
    assert {name: stored[name] for name in expected} == expected
    assert page.find("#maxLinks").attributes["value"] == "0"
    assert page.find(f"#rate{role}").attributes["value"] == "0"
    assert "Regulars & co" in page.main
    assert "abc123" not in page.text
    # The key stays without a new one, and goes when its box is ticked.
    assert owner.post("/admin/checks/", {"firstPosts": "2"}).status == 303
    assert api.get(CHECKS, by=site.owner).data["akismetKey"] is True
    assert owner.post("/admin/checks/", {"forgetKey": "1"}).status == 303
    assert api.get(CHECKS, by=site.owner).data["akismetKey"] is False
    refused = owner.post("/admin/checks/", {"firstPosts": "many", "domains": "no domain!"})
    assert refused.status == 400
    assert "no\ndomain!" in refused.find("#domains").text()
    assert refused.tree.css_first("#firstPosts") is not None
    assert owner.post("/admin/checks/", {"do": "off"}).status == 303
    assert api.get(CHECKS, by=site.owner).data["onFailure"] == "pass"


@pytest.mark.wide
def test_a_rule_that_was_changed_after_its_dry_run_is_tried_again(
    site: Site, api: Api, visitor: Visitor, make: Factory
) -> None:
    chat = make.conversation(site)
    said = make.comment(chat, by=site.newcomer, markdown="Look: https://shop.example/")
    _, role = make.role(site, site.root_id, "Regulars", rights=("read",))
    owner = visitor.of(site, site.owner)
    sent = RULE | {
        "notRoleIds": str(role),
        "microcosmIds": str(site.root_id),
        "column1": "created",
        "predicate1": "le",
        "value1": "7",
        "group1": "1",
        "column2": "attribute",
        "key2": "trusted",
        "predicate2": "ne",
        "value2": "yes",
        "group2": "1",
    }

    tried = owner.post("/admin/rules/create/", sent)
    assert tried.status == 200, tried.text
    assert f"/comments/{said.id}/" in tried.text
    assert api.get("/api/v1/rules", by=site.owner).data["rules"]["items"] == []
    fields = _fields(tried) | {"do": "save"}
    changed = owner.post("/admin/rules/create/", sent | fields | {"title": "Another"})
    assert changed.status == 200
    assert api.get("/api/v1/rules", by=site.owner).data["rules"]["items"] == []

    fields = _fields(changed) | {"do": "save"}
    saved = owner.post("/admin/rules/create/", sent | fields | {"title": "Another"})
    assert saved.status == 303, saved.text
    (rule,) = api.get("/api/v1/rules", by=site.owner).data["rules"]["items"]
    assert (rule["title"], rule["mode"], rule["notRoleIds"]) == ("Another", "active", [role])
    assert [one.get("profileColumn") or one["attrKey"] for one in rule["criteria"]] == [
        "created",
        "trusted",
    ]
    twice = owner.post("/admin/rules/create/", sent | fields | {"title": "Another"})
    assert twice.location == saved.location
    again = owner.post("/admin/rules/create/", sent | fields | {"title": "Another", "key": "other"})
    assert again.status == 404
    assert "Try the rule again." in again.main
    page = owner.get(f"/admin/rules/{rule['id']}/")
    assert page.status == 200
    assert "Regulars" in page.main and "We look first" in page.main
    form = owner.get(f"/admin/rules/{rule['id']}/edit/")
    assert form.find("#value2").attributes["value"] == "true"
    assert "Another" in owner.get("/admin/rules/").main

    refused = owner.post(f"/admin/rules/{rule['id']}/edit/", sent | {"reason": ""})
    assert refused.status == 400
    assert refused.find("#title").attributes["value"] == "Links & newcomers"


@pytest.mark.wide
def test_a_rule_on_reports_keeps_its_terms(
    site: Site, api: Api, visitor: Visitor, make: Factory
) -> None:
    _, role = make.role(site, site.root_id, "Regulars", rights=("read",))
    make.join((site, role), *(make.person(site) for _ in range(5)))
    owner = visitor.of(site, site.owner)
    sent = {name: text for name, text in RULE.items() if name != "hasLink"}
    sent |= {"event": "comment.reported", "minReports": "3", "reporterRoleIds": str(role)}
    tried = owner.post("/admin/rules/create/", sent)
    assert tried.status == 200, tried.text
    saved = owner.post("/admin/rules/create/", sent | _fields(tried) | {"do": "save"})
    assert saved.status == 303, saved.text
    (rule,) = api.get("/api/v1/rules", by=site.owner).data["rules"]["items"]
    assert (rule["event"], rule["minReports"], rule["reporterRoleIds"]) == (
        "comment.reported",
        3,
        [role],
    )
    assert "3 (Regulars)" in owner.get(f"/admin/rules/{rule['id']}/").main
    form = owner.get(f"/admin/rules/{rule['id']}/edit/")
    assert form.find("#minReports").attributes["value"] == "3"
    assert "checked" in form.find(f"#reporterRoleIds{role}").attributes
    switched = owner.post(f"/admin/rules/{rule['id']}/", {"do": "shadow"})
    assert switched.status == 200 and "Save it in shadow mode" in switched.text


@pytest.mark.parametrize(
    "path", ["checks/", "rules/", "rules/create/", "rules/1/", "rules/1/edit/"]
)
def test_rules_and_checks_are_for_the_owner(path: str, bikes: Site, visitor: Visitor) -> None:
    for person in (bikes.member, bikes.moderator):
        assert visitor.of(bikes, person).get(f"/admin/{path}").status == 403
        assert visitor.of(bikes, person).post(f"/admin/{path}", RULE).status in (403, 405)
    assert visitor.of(bikes).get(f"/admin/{path}").location.startswith("/login/")


@pytest.mark.wide
def test_a_conversation_that_is_held_as_it_begins_has_its_text(
    site: Site, api: Api, visitor: Visitor, make: Factory
) -> None:
    assert api.put(CHECKS, {"firstPosts": 3, "beforeShown": True}, by=site.owner).status == 200
    author = visitor.of(site, site.newcomer)
    sent = {"title": "Hello from me", "markdown": "My first words", "key": "k" * 20}

    made = author.post(f"/microcosms/{site.root_id}/create/conversation/", sent)

    assert made.status == 303, made.main
    chat = f"/api/v1{made.location.rstrip('/')}"
    assert api.get(chat, by=site.newcomer).status == 200
    for person in (site.member, None):
        assert api.get(chat, by=person, site=site).status == 404
    found = api.get("/api/v1/cases?source=hold", by=site.moderator).data["cases"]["items"]
    (said,) = [f"/api/v1/comments/{one['itemId']}" for one in found if one["itemType"] == "comment"]
    assert api.get(said, by=site.moderator).data["markdown"] == "My first words"
    assert api.get(said, by=site.newcomer).status == 200
    # A later text in it comes too, of its author alone.
    more = {"itemType": "conversation", "itemId": int(chat.rpartition("/")[2]), "markdown": "More"}
    assert api.post("/api/v1/comments", more, by=site.newcomer).status == 302
    assert api.post("/api/v1/comments", more, by=site.member).status == 404
    assert api.request("DELETE", chat, by=site.moderator).status == 200
    more["markdown"] = "Even more"
    assert api.post("/api/v1/comments", more, by=site.newcomer).status == 404
    assert api.get(said, by=site.newcomer).status == 404
