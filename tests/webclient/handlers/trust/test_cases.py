"""Moderators at cases: the queue, one case with two moderators, actions with dry run, confirmation and undo."""

from __future__ import annotations

import time
from typing import Any

import pytest

from forumapi.webclient.handlers.trust.keyset_lists import KeysetPage
from forumapi.webclient.template_environment import environment
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

REASON = "Advertising is not allowed here"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def path_of(thing: Thing) -> str:
    return thing.path.removeprefix("/api/v1") + "/"


def second(make: Factory, site: Site) -> Person:
    """Another moderator of everything."""
    person = make.person(site, "colleague")
    make.join(make.role(site, site.root_id, "More", rights=MODERATES, moderator=True), person)
    return person


MODERATES = ("read", "create", "update", "delete", "close_own", "open_own", "read_others")


@step("moderator finds a case, takes it and gives it back")
def test_a_moderator_takes_a_case(hand: Hand, make: Factory, site: Site) -> None:
    _, case = make.report(make.comment(make.conversation(site), markdown="Buy **my** wheels"))
    make.report(make.conversation(site, title="Another"))
    hand.sign_in(site, site.moderator)
    hand.go(site)
    hand.press("Moderation", within="footer")
    hand.press("Cases")

    hand.see("Another")
    hand.press("Filters")
    hand.choose("About", "Comment")
    hand.press("Filter", within="main")
    hand.wait(lambda: not hand.sees("Another"))
    hand.press(f"Case {case}")
    hand.see("Buy my wheels")
    hand.see("Buys nothing")
    hand.press("Take this case")
    hand.see("You have this case until")
    hand.go(site, "/moderation/cases/")
    hand.press("Filters")
    hand.tick("Only those that I have taken")
    hand.press("Filter", within="main")
    hand.press(f"Case {case}")
    hand.press("Give it back")

    hand.see("Nobody has taken this case.")


@step("moderator writes a note and dismisses a case")
def test_a_moderator_dismisses_a_case(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    report, case = make.report(make.conversation(site, title="Not so bad"))
    hand.sign_in(site, site.moderator)
    hand.go(site, f"/moderation/cases/{case}/")

    hand.fill("Note for your colleagues. Authors and reporters never read it.", "Seen & asked")
    hand.press("Add the note")
    hand.see("Seen & asked")
    hand.press("Dismiss the case")

    hand.see("The case is dismissed.")
    hand.see("There is no case here that waits for you.")
    hand.press("Filters")
    hand.choose("State", "Decided")
    hand.press("Filter", within="main")
    hand.press(f"Case {case}")
    hand.see("Nothing was found wrong with it")
    receipt = api.get(f"/api/v1/reports/{report}", by=site.newcomer).data
    assert receipt["outcome"] == "dismissed"


@step("second moderator reads who has the case")
def test_two_moderators_at_one_case(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    other = second(make, site)
    _, case = make.report(make.conversation(site))
    _, decided = make.report(make.conversation(site))
    hand.sign_in(site, site.moderator)
    hand.go(site, f"/moderation/cases/{case}/")
    assert api.put(f"/api/v1/cases/{case}/lease", {}, by=other).status == 200

    hand.press("Take this case")
    hand.see("colleague has taken this case, until")
    hand.go(site, f"/moderation/cases/{decided}/")
    sent = {"outcome": "dismissed"}
    done = api.request("POST", f"/api/v1/cases/{decided}/decision", by=other, json=sent)
    assert done.status == 302
    hand.press("Dismiss the case")

    hand.see("colleague was faster and has decided this case.")


@step("moderator dry-runs, confirms and undoes")
def test_an_action_is_tried_done_and_undone(
    hand: Hand, make: Factory, site: Site, visitor: Visitor
) -> None:
    talk = make.conversation(site, by=site.owner)
    said = make.comment(talk, markdown="Buy **my** wheels")
    _, case = make.report(said)
    hand.sign_in(site, site.moderator)
    hand.go(site, f"/moderation/cases/{case}/")

    hand.press("Hide", within="main")
    hand.fill("Why? The author reads this", REASON)
    hand.press("Show what would change")
    hand.see("This would change 1 thing. Nothing has been done yet.")
    hand.see("Buy **my** wheels")
    assert "Buy" in visitor.of(site).get(path_of(talk)).text
    hand.press("Do exactly this")
    hand.see("Done: 1 thing was changed.")
    assert "Buy" not in visitor.of(site).get(path_of(talk)).text
    done = hand.path
    hand.press("What else waits")
    hand.see("There is no case here that waits for you.")
    hand.go(site, f"/{done}")
    hand.press(f"Case {case}")
    hand.see("Something was done about it")
    hand.press("Hide", within="main .rows")
    hand.press("Undo all of it")

    hand.see("Undone by moderator")
    assert "Buy" in visitor.of(site).get(path_of(talk)).text


@step("moderator hides all by one author")
def test_everything_of_one_person_is_hidden(
    hand: Hand, make: Factory, site: Site, visitor: Visitor
) -> None:
    talk = make.conversation(site, by=site.owner)
    make.comments(talk, 3)
    kept = make.comment(talk, by=site.newcomer, markdown="I stay")
    hand.sign_in(site, site.moderator)
    hand.go(site, f"/profiles/{site.member.id}/")

    hand.press("Moderate", within="main")
    hand.press("Hide what they wrote")
    hand.fill("Why? The author reads this", REASON)
    hand.press("Show what would change")
    hand.see("This would change 3 things.")
    hand.press("Do exactly this")

    hand.see("Done: 3 things were changed.")
    page = visitor.of(site).get(path_of(talk))
    assert [one.id for one in page.tree.css("article.comment")] == [f"comment{kept.id}"]


@step("undo lists what was changed since")
def test_undo_lists_conflicts(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    first, other = make.comments(make.conversation(site, by=site.owner), 2)
    targets = [{"itemType": "comment", "itemId": one.id} for one in (first, other)]
    sent = {"kind": "hide", "reason": REASON, "targets": targets}
    action = api.request("POST", "/api/v1/actions", by=site.moderator, json=sent).data["id"]
    later = {"kind": "show", "reason": "Fine", "targets": targets[:1]}
    again = {"kind": "hide", "reason": "Not fine", "targets": targets[:1]}
    for body in (later, again):
        assert api.request("POST", "/api/v1/actions", by=site.owner, json=body).status == 200
    hand.sign_in(site, site.moderator)
    hand.go(site)
    hand.press("Moderation", within="footer")
    hand.press("Actions")
    hand.go(site, f"/moderation/actions/{action}/")

    hand.press("Undo all of it")

    hand.see("1 thing was changed since and stays as it is")
    row = hand.find(".rows li")
    assert f"Comment {first.id}" in row.text and "changed since" in row.text
    hand.press_through("Try again to undo the rest")
    hand.see("1 thing was changed since and stays as it is")


@step("owner removes a text for good")
def test_the_owner_removes_for_good(
    hand: Hand, make: Factory, site: Site, visitor: Visitor
) -> None:
    talk = make.conversation(site, by=site.newcomer)
    comment = make.comment(talk, markdown="A stolen poem")
    hand.sign_in(site, site.owner)
    hand.go(site, f"/comments/{comment.id}/moderate/")
    hand.press("Do it with a reason, to several things, or to all by its author")
    hand.press("Remove for good")

    hand.see("nothing brings them back")
    hand.fill("Why? The author reads this", "A court says so")
    hand.fill("The rule or the law; a law has to be named", "Copyright Act, 12")
    hand.press("Show what would change")
    hand.see("A stolen poem")
    hand.see("This is final: nobody can undo it.")
    hand.press("Do exactly this")

    hand.see("Done: 1 thing was changed.")
    hand.see_no("A stolen poem")
    hand.see_no("Undo all of it")
    page = visitor.of(site, site.member).get(f"/comments/{comment.id}/")
    assert page.location.startswith("/statements/")
    reasons = visitor.of(site, site.member).get(page.location).main
    assert "Removed for good" in reasons and "Copyright Act, 12" in reasons


def _sanction(hand: Hand, site: Site, kind: str) -> None:
    hand.sign_in(site, site.moderator)
    hand.go(site, f"/profiles/{site.member.id}/")
    hand.press("Moderate", within="main")
    hand.press(kind, within="main .rows")
    hand.fill("Why? The author reads this", "Please calm down")


def _confirm(hand: Hand, site: Site) -> None:
    hand.press("Show what would change")
    hand.see("This would change 1 thing.")
    hand.see(site.member.name)
    hand.press("Do exactly this")
    hand.see("Done: 1 thing was changed.")


@step("moderator warns a person")
def test_a_moderator_warns(hand: Hand, site: Site, api: Api) -> None:
    _sanction(hand, site, "Warn")

    _confirm(hand, site)

    (statement,) = api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
    assert (statement["action"], statement["facts"]) == ("warn", "Please calm down")
    hand.go(site, f"/profiles/{site.member.id}/moderate/")
    hand.see("Please calm down")


@step("moderator silences a person in a place")
def test_a_moderator_silences(hand: Hand, make: Factory, site: Site, visitor: Visitor) -> None:
    place = make.microcosm(site, "Quiet room")
    talk = make.conversation(site, microcosm=place, by=site.owner)
    _sanction(hand, site, "Silence")
    hand.choose("In which place, and what is below it", "– Quiet room")

    _confirm(hand, site)

    hand.see("for good")
    page = visitor.of(site, site.member).get(path_of(talk))
    assert page.status == 200 and page.tree.css_first("#write") is None


@step("moderator bans a person from a place")
def test_a_moderator_bans(hand: Hand, make: Factory, site: Site, visitor: Visitor) -> None:
    place = make.microcosm(site, "Locked room")
    talk = make.conversation(site, microcosm=place, by=site.owner)
    member = visitor.of(site, site.member)
    assert member.get(path_of(talk)).status == 200
    _sanction(hand, site, "Ban")
    hand.choose("In which place, and what is below it", "– Locked room")

    _confirm(hand, site)
    assert member.get(path_of(talk)).status in (403, 404)
    hand.press("Undo all of it")

    hand.see("Undone by moderator")
    assert member.get(path_of(talk)).status == 200


# ---------------------------------------------------------------- over plain HTTP

FORM = {"reason": REASON, "what": "things"}


def _planned(visitor: Visitor, do: str, **form: str) -> Any:
    return visitor.post(f"/moderation/act/{do}/", FORM | form)


@pytest.mark.sliced(2)
@pytest.mark.parametrize(
    "path",
    [
        "/moderation/cases/",
        "/moderation/cases/{case}/",
        "/moderation/actions/",
        "/moderation/actions/{action}/",
        "/moderation/act/hide/",
        "/profiles/{member}/moderate/",
    ],
)
def test_who_moderates_nothing_sees_nothing(
    make: Factory, bikes: Site, trains: Site, visitor: Visitor, path: str
) -> None:
    thing = make.conversation(bikes, title="Loud secret")
    _, case = make.report(thing)
    action, _ = make.action(thing)
    path = path.format(case=case, action=action, member=bikes.member.id)

    for person in (bikes.newcomer, bikes.member):
        page = visitor.of(bikes, person).get(path)
        assert page.status in (403, 404) and "Loud secret" not in page.text
    assert visitor.of(bikes).get(path).location.startswith("/login/")
    if "{" not in path and any(one.isdigit() for one in path):
        foreign = visitor.of(trains, trains.moderator).get(path)
        assert "Loud secret" not in foreign.text


@pytest.mark.parametrize("do", ["take", "release", "note", "dismiss"])
def test_a_stranger_does_nothing_with_a_case(
    make: Factory, bikes: Site, trains: Site, visitor: Visitor, do: str
) -> None:
    _, case = make.report(make.conversation(bikes))
    path = f"/moderation/cases/{case}/"
    form = {"do": do, "text": "Note", "note": "Note"}

    assert visitor.of(bikes, bikes.newcomer).post(path, form).status in (403, 404)
    assert visitor.of(trains, trains.moderator).post(path, form).status == 404
    # About their own thing, whoever they are.
    assert visitor.of(bikes, bikes.member).post(path, form).status in (403, 404)
    page = visitor.of(bikes, bikes.moderator).get(path)
    assert "Nobody has taken this case." in page.main


@pytest.mark.parametrize("do", ["", "explode"])
def test_nonsense_is_refused(make: Factory, bikes: Site, visitor: Visitor, do: str) -> None:
    thing = make.conversation(bikes)
    _, case = make.report(thing)
    action, _ = make.action(thing)
    moderator = visitor.of(bikes, bikes.moderator)

    assert moderator.post(f"/moderation/cases/{case}/", {"do": do}).status == 400
    assert moderator.post(f"/moderation/actions/{action}/", {"do": do}).status == 400


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"things": "nothing at all"},
        {"things": "/comments/999999999/"},
        {"things": "/huddles/1/"},
        {"what": "all"},
        {"what": "all", "by": "/profiles/999999999/"},
        {"what": "all", "by": "/profiles/1/", "since": "yesterday"},
        {"things": "/conversations/{id}/", "reason": ""},
        {"things": "/conversations/{id}/", "illegal": "1"},
        {"things": "/conversations/{id}/", "case": "999999999"},
        {"things": "/conversations/{id}/", "reason": "x" * 2_001},
    ],
)
def test_an_action_that_lacks_something_comes_back(
    make: Factory, bikes: Site, visitor: Visitor, form: dict[str, str]
) -> None:
    form = {key: text.format(id=make.conversation(bikes).id) for key, text in form.items()}

    page = _planned(visitor.of(bikes, bikes.moderator), "hide", **form)

    assert page.status in (400, 403, 404), page.main
    if page.status != 404:
        assert 'class="failed"' in page.text
        assert page.find("#things").text().strip() == form.get("things", "")


@pytest.mark.wide
def test_a_plan_is_for_who_made_it_and_used_once(
    make: Factory, site: Site, visitor: Visitor
) -> None:
    talk = make.conversation(site)
    moderator = visitor.of(site, site.moderator)
    plan = _planned(moderator, "delete", things=f"http://{site.host}{path_of(talk)}").location
    assert plan.startswith("/moderation/actions/")
    owner = visitor.of(site, site.owner)

    assert owner.get(plan).status == 404
    assert owner.post(plan, {"do": "confirm"}).status == 404
    assert visitor.of(site).get(path_of(talk)).status == 200
    assert moderator.post(plan, {"do": "confirm"}).location == plan
    assert visitor.of(site).get(path_of(talk)).status == 404
    again = moderator.post(plan, {"do": "confirm"})
    assert again.status == 409 and 'class="failed"' in again.text
    assert owner.post(plan, {"do": "undo"}).location == plan
    late = owner.post(plan, {"do": "undo"})
    assert late.status == 409 and "nothing left that can be undone" in late.main


@pytest.mark.wide
def test_the_case_of_a_plan_may_be_somebody_elses_by_then(
    make: Factory, site: Site, visitor: Visitor, api: Api
) -> None:
    talk = make.conversation(site)
    _, case = make.report(talk)
    other = second(make, site)
    moderator = visitor.of(site, site.moderator)
    plan = _planned(moderator, "hide", things=path_of(talk), case=str(case)).location
    api.put(f"/api/v1/cases/{case}/lease", {}, by=other)

    refused = moderator.post(plan, {"do": "confirm"})

    assert refused.status == 409 and "no longer yours" in refused.main
    assert visitor.of(site).get(path_of(talk)).status == 200


def test_the_owner_is_not_restricted(make: Factory, bikes: Site, visitor: Visitor) -> None:
    moderator = visitor.of(bikes, bikes.moderator)
    for person in (bikes.owner, bikes.moderator):
        page = _planned(
            moderator,
            "ban",
            things=f"/profiles/{person.id}/",
            place=str(bikes.root_id),
        )
        assert page.status in (400, 403) and 'class="failed"' in page.text


def test_times_of_cases_and_actions_are_for_the_readers_zone(
    make: Factory, site: Site, visitor: Visitor
) -> None:
    talk = make.conversation(site)
    _, case = make.report(talk)
    moderator = visitor.of(site, site.moderator)
    person = f"/profiles/{site.member.id}/"
    ends = {"ends": "2047-06-13T09:30", "place": str(site.root_id)}
    silence = _planned(moderator, "silence", things=person, **ends).location

    for address in ("/moderation/cases/", f"/moderation/cases/{case}/", silence):
        page = moderator.get(address)
        times = page.tree.css("main time[data-clock]")
        assert times, address
        assert page.main.count("UTC") == sum(one.text().count("UTC") for one in times), address


@pytest.mark.wide
def test_cases_go_on_by_key_with_their_filters(make: Factory, site: Site, visitor: Visitor) -> None:
    for one in make.comments(make.conversation(site), 27):
        make.report(one)
    moderator = visitor.of(site, site.moderator)
    first = moderator.get("/moderation/cases/?itemType=comment")
    onwards = first.find(".pages a[rel=next]").attributes["href"] or ""

    later = moderator.get(onwards)

    assert "itemType=comment" in onwards
    # The filter is folded until one is set: on a phone it is higher than the screen.
    folds = [
        "open" in moderator.get(f"/moderation/cases/{query}").find("main details").attributes
        for query in ("", "?after=", "?itemType=", "?itemType=comment", "?mine=true")
    ]
    assert folds == [False, False, False, True, True]
    assert [len(page.tree.css(".queue > li")) for page in (first, later)] == [25, 2]
    for nonsense in ("after=x", "state=x", "priority=x", "itemType=x", "microcosmId=x"):
        assert moderator.get(f"/moderation/cases/?{nonsense}").status in (200, 400)


@pytest.mark.parametrize(
    ("following", "said"),
    [("7", "Nothing of this page is shown to you."), ("", "There is no case here that waits")],
)
def test_an_empty_page_of_cases_says_whether_there_is_a_next_one(following: str, said: str) -> None:
    page = environment("en").get_template("cases.html")
    found = KeysetPage([], following, "after")
    # Without a site the frame has nothing but the page.
    shown = page.render(found=found, chosen={}, rest="", places=[], site=None, me=None)
    assert said in shown
    assert shown.count('<p class="quiet">') == 1


def test_a_comment_in_a_huddle_is_shown_alone(make: Factory, site: Site, visitor: Visitor) -> None:
    huddle = make.huddle(site.member, site.newcomer, title="Confidential")
    said = make.comment(huddle, by=site.member, markdown="An insult")
    make.comment(huddle, by=site.member, markdown="Something tender")
    form = {"kind": "abuse", "text": "See"}
    visitor.of(site, site.newcomer).post(f"/comments/{said.id}/report/", form)
    owner = visitor.of(site, site.owner)
    queue = owner.get("/moderation/cases/")

    case = owner.get(queue.find(".queue a[href^='/moderation/cases/']").attributes["href"] or "")

    assert "An insult" in case.main
    assert "tender" not in case.main and "Confidential" not in case.main
    assert "An insult" not in visitor.of(site, site.moderator).get("/moderation/cases/").text


@pytest.mark.wide
def test_an_action_on_many_things_says_how_far_it_is(
    make: Factory, site: Site, visitor: Visitor
) -> None:
    talk = make.conversation(site, by=site.owner)
    make.comments(talk, 260)
    moderator = visitor.of(site, site.moderator)
    form = {"what": "all", "by": f"/profiles/{site.member.id}/", "within": str(site.root_id)}
    plan = _planned(moderator, "hide", **form).location
    listed = moderator.get(plan)
    assert "260 things" in listed.main and "And 10 more." in listed.main
    assert len(listed.tree.css("main .rows > li")) == 250

    assert moderator.post(plan, {"do": "confirm"}).location == plan
    seen = set()
    deadline = time.monotonic() + 60
    while "Done: 260 things" not in (page := moderator.get(plan)).main:
        seen.add(page.tree.css_first("progress") is not None)
        assert time.monotonic() < deadline, page.main
        time.sleep(0.05)

    assert True in seen, "it was never under way"
    assert visitor.of(site).get(path_of(talk)).tree.css_first("article") is None


def test_only_the_owner_removes_for_good(make: Factory, site: Site, visitor: Visitor) -> None:
    talk = make.conversation(site)
    moderator = visitor.of(site, site.moderator)
    owner = visitor.of(site, site.owner)
    law = {"things": path_of(talk), "rule": "A law"}

    assert moderator.get("/moderation/act/redact/").status == 403
    assert "/act/redact/" not in moderator.get("/moderation/act/hide/").text
    assert _planned(moderator, "redact", **law).status == 403
    assert "/act/redact/" in owner.get("/moderation/act/hide/").text
    lawless = _planned(owner, "redact", things=path_of(talk))
    assert lawless.status == 400 and 'class="failed"' in lawless.text
    plan = _planned(owner, "redact", **law).location
    assert owner.post(plan, {"do": "confirm"}).location == plan
    assert owner.post(plan, {"do": "undo"}).status == 409
    make.comment(make.conversation(site, by=site.owner), markdown="Against the law")
    form = {"what": "all", "by": f"/profiles/{site.member.id}/", "rule": "A law"}
    listed = owner.get(_planned(owner, "redact", **form).location)
    assert "Against the law" in listed.main and "final" in listed.main


def test_an_appeal_is_a_case_that_leads_to_it(make: Factory, site: Site, visitor: Visitor) -> None:
    _, statement = make.action(make.conversation(site))
    owner = visitor.of(site, site.owner)
    _, plain = make.report(make.conversation(site))
    assert "Appeal" not in owner.get("/moderation/cases/").find(".queue").text()
    assert "Dismiss the case" in owner.get(f"/moderation/cases/{plain}/").main
    appeal = make.appeal(statement, site.member)
    queue = owner.get("/moderation/cases/?source=appeal")
    assert "Appeal" in queue.find(".queue h2").text()
    assert queue.find(".queue h2 a").attributes["href"] == f"/appeals/{appeal}/"
    case = f"/moderation/cases/{(queue.find('.queue h2').id or 'c0')[1:]}/"

    page = owner.get(case)

    assert f"/appeals/{appeal}/" in [one.attributes["href"] for one in page.tree.css("main a")]
    assert "Dismiss the case" not in page.main
    assert owner.post(case, {"do": "assign"}).location == case
    assert "Assigned to owner." in owner.get(case).main
    assert len(owner.get("/moderation/cases/?assigned=true").tree.css(".queue > li")) == 1
    assert owner.post(case, {"do": "unassign"}).location == case
    assert not owner.get("/moderation/cases/?assigned=true").tree.css(".queue > li")
    assert not owner.get("/moderation/cases/?overdue=true").tree.css(".queue > li")
