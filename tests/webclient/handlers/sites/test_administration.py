"""Setting a site up, as its owner."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from urllib3.filepost import encode_multipart_formdata

from forumapi.config import PLAN_LIMITS
from forumapi.models.access.totp import Totp
from forumapi.models.sites.site_state import STATES
from forumapi.webclient.handlers.access import sign_in_methods
from forumapi.webclient.handlers.sites import crawl_policy, operated_site, usage
from forumapi.webclient.handlers.sites.administration import HEADINGS, PAGES
from forumapi.wire.known_crawlers import CRAWLERS
from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.webclient import page_checks
from tests.webclient.hand import NO_SCRIPT, Hand
from tests.webclient.handlers.people.test_own_profile import picture
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def enter(hand: Hand, site: Site, page: str) -> None:
    """Sign in as the owner and open a page of administration."""
    hand.sign_in(site, site.owner)
    hand.go(site, f"/admin/{page}/")


@step("owner changes the title and description")
def test_the_owner_changes_title_and_description(hand: Hand, site: Site) -> None:
    enter(hand, site, "site")
    hand.fill("Title", "Bikes & <cake>")
    hand.fill("Description", "Riding & eating")

    hand.press("Save")

    hand.see("Saved.")
    hand.go(site)
    hand.see("Riding & eating")
    assert hand.find(".bar .name").text == "Bikes &"


@step("owner changes the colour and reads its contrast")
def test_the_owner_reads_the_contrast_of_a_colour(hand: Hand, site: Site) -> None:
    enter(hand, site, "site")
    hand.see("No colour is chosen: #19634c is shown until one is.")
    hand.fill("Colour of links and buttons", "#ffcc00")

    hand.press("Save")

    hand.see("less than 4.5")


@step("owner names the moderators")
def test_the_owner_names_the_moderators(
    hand: Hand, site: Site, make: Factory, visitor: Visitor
) -> None:
    talk = make.conversation(site)
    theirs = make.comment(talk, by=site.moderator)
    other = make.comment(talk, by=site.newcomer)
    path = f"/conversations/{talk.id}/"
    before = visitor.of(site).get(path)
    assert before.tree.css_first("article .tag") is None
    enter(hand, site, "site")

    hand.tick("Each place says who moderates it, and so do their comments there")
    hand.press("Save")

    hand.see("Saved.")
    hand.go(site, f"/microcosms/{site.root_id}/")
    hand.see("Moderators:")
    hand.press(site.moderator.name, within="main .quiet")
    hand.go(site, path)
    assert hand.find(f"#comment{theirs.id} .tag").text == "moderator"
    assert not hand.driver.find_elements("css selector", f"#comment{other.id} .tag")
    assert visitor.of(site).get(path).find(f"#comment{theirs.id} .tag").text() == "moderator"
    hand.go(site, "/admin/site/")
    hand.tick("Each place says who moderates it, and so do their comments there")
    hand.press("Save")
    hand.see("Saved.")
    hand.go(site, path)
    assert visitor.of(site).get(path).tree.css_first("article .tag") is None


@pytest.mark.wide
@step("owner edits the menu")
def test_the_owner_edits_the_menu(hand: Hand, site: Site) -> None:
    enter(hand, site, "menu")
    hand.fill("Text 1", "Rules & more")
    hand.fill("Address 1", "/legal/terms/")

    hand.press("Save")

    hand.see("Saved.")
    assert hand.find("#text1").get_attribute("value") == "Rules & more"


def test_the_menu_adds_no_line_on_a_phone(
    window: Chrome, website: Server, visitor: Visitor, site: Site
) -> None:
    hand = Hand(window, website.address[1], NO_SCRIPT)
    page_checks.draw(window, width=360)
    hand.sign_in(site, site.owner)
    hand.go(site)
    without = hand.find("header.bar").size["height"]
    form = [("text", "Rules & more"), ("href", "/legal/terms/"), ("title", "")]
    form += [("text", "A shop of ours"), ("href", "/search/"), ("title", "What we sell")]
    assert visitor.of(site, site.owner).post("/admin/menu/", form).status == 303

    hand.go(site)
    assert hand.find("header.bar").size["height"] == without
    hand.see_no("Rules & more")
    hand.press("Menu")
    hand.see("A shop of ours")
    assert page_checks.overflowing(window) == []
    page_checks.draw(window)
    hand.go(site)
    hand.see("Rules & more")
    hand.press("Rules & more", within="header.bar > .menu")
    assert hand.path == "legal/terms/"


@step("owner edits a legal text")
def test_the_owner_edits_a_legal_text(hand: Hand, site: Site) -> None:
    enter(hand, site, "legal")
    hand.press("Terms", within="main")
    hand.fill("Text, as HTML", "<h1>Rules of $site_title</h1><p>Be kind.</p>")

    hand.press("Save")

    hand.see("Saved.")
    assert "Be kind." in (hand.find("#html").get_attribute("value") or "")
    hand.press_through("Back to what the platform has")
    hand.see("Saved.")
    assert "Be kind." not in (hand.find("#html").get_attribute("value") or "")


@step("owner bans a person and lifts the ban")
def test_the_owner_bans_and_lifts(hand: Hand, site: Site) -> None:
    enter(hand, site, "bans")
    hand.fill("Name of the person", f"@{site.member.name.upper()}")
    hand.fill("Reason, shown to them", "Please calm down")

    hand.press("Ban", within="main")

    hand.see(site.member.name)
    hand.see("Please calm down")
    hand.press("Lift", within="main")
    hand.gone("Please calm down")
    hand.see_no(site.member.name)


def test_a_ban_names_a_person_by_name_or_number(
    site: Site, make: Factory, visitor: Visitor
) -> None:
    owner = visitor.of(site, site.owner)
    other = make.person(make.site(), "elsewhere")

    for typed in ("nobody", site.member.name[:-1], other.name):
        page = owner.post("/admin/bans/", {"profile": typed, "reason": "Kept & shown"})
        assert page.status == 400, typed
        assert f"Nobody here is called “{typed}”." in page.find(".failed").text()
        assert page.field("/admin/bans/", "profile") == typed
        assert page.field("/admin/bans/", "reason") == "Kept & shown"
    # Numbers of other sites' people are nobody's here.
    assert owner.post("/admin/bans/", {"profile": str(other.id)}).status == 404
    assert owner.post("/admin/bans/", {"profile": str(site.newcomer.id)}).status == 303
    assert owner.post("/admin/bans/", {"profile": f" {site.member.name} "}).status == 303

    listed = owner.get("/admin/bans/").main
    assert site.newcomer.name in listed and site.member.name in listed


@step("owner chooses sign-in methods")
def test_the_owner_chooses_sign_in_methods(hand: Hand, site: Site) -> None:
    enter(hand, site, "sign-in")
    hand.press("Account at a service of your choice (OpenID Connect)", within="main")
    hand.fill("Address of the service (issuer)", "https://id.example.org")
    hand.fill("This site’s name there (client ID)", "forum")
    hand.fill("This site’s password there (client secret)", "of two")

    hand.press("Save")

    hand.see("Saved.")
    assert hand.find("#clientSecret").get_attribute("value") == "", "a secret is never shown"
    assert hand.find("#issuer").get_attribute("value") == "https://id.example.org"


def test_ways_to_sign_in_are_said_in_plain_words(
    site: Site, visitor: Visitor, api_there: Api
) -> None:
    owner = visitor.of(site, site.owner)
    shown = owner.get("/admin/sign-in/").main
    for words in sign_in_methods.METHODS.values():
        assert words.name in shown and words.about in shown
    # A provider is called by its name.
    assert "GitHub" in shown and "People use the account that they have there." in shown
    for method in api_there.get("/api/v1/site/auth", by=site.owner).data["methods"]:
        page = owner.get(f"/admin/sign-in/{method['method']}/")
        fields = {one["name"] for one in method["fields"]}
        assert fields <= set(sign_in_methods.SETTINGS), method["method"]
        labels = {one.attributes["for"]: one.text() for one in page.tree.css("main label")}
        assert all(labels[name] != name for name in fields)
    settings = {"issuer": "https://id.example", "clientId": "a", "clientSecret": "b"}
    put = api_there.put("/api/v1/site/auth/openid", {"settings": settings}, by=site.owner)
    assert put.status == 302, put.body

    guest = visitor.of(site).get("/login/").main
    assert "Sign in with an account elsewhere" in guest and "OpenID" not in guest


@step("owner chooses the reactions")
def test_the_owner_chooses_reactions(hand: Hand, site: Site) -> None:
    enter(hand, site, "reactions")
    hand.fill("Name 1", "chapeau")
    hand.fill("Sign 1", "Oh")

    hand.press("Save")

    hand.see("Saved.")
    assert hand.find("#name1").get_attribute("value") == "chapeau"


@step("owner chooses the kinds of reports")
def test_the_owner_chooses_kinds_of_reports(
    hand: Hand, site: Site, make: Factory, visitor: Visitor
) -> None:
    path = f"/conversations/{make.conversation(site).id}/report/"
    enter(hand, site, "reports")
    assert hand.value("Title 1") == "Spam or advertising"
    hand.fill("Short name 6", "wheels")
    hand.fill("Title 6", "Not about wheels")

    hand.press("Save")

    hand.see("Saved.")
    form = visitor.of(site, site.newcomer).get(path).main
    assert "Spam or advertising" in form and "Not about wheels" in form
    hand.fill("Short name 4", "")
    hand.press("Save")
    # What is against the law can always be reported.
    hand.find(".failed")
    hand.press("Back to what the platform has")
    hand.see("Saved.")
    assert "Not about wheels" not in visitor.of(site, site.newcomer).get(path).main


@step("owner adds a webhook and sees its deliveries")
def test_the_owner_adds_a_webhook(hand: Hand, site: Site) -> None:
    enter(hand, site, "webhooks")
    hand.fill("Name", "Mirror")
    hand.fill("Address", "http://127.0.0.1:9/hook")

    hand.press("Add it")

    hand.see("It is shown this once")
    assert hand.find("code.secret").text.startswith("whsec_")
    hand.press("I have kept it")
    hand.press("Mirror", within="main")
    hand.see("messages sent")
    hand.press_through("Send a test")
    hand.see("messages sent")


@step("owner registers an OAuth client")
def test_the_owner_registers_a_client(hand: Hand, site: Site) -> None:
    enter(hand, site, "clients")
    hand.fill("Name", "Reader & co")
    hand.fill("Addresses that people return to, one a line", "https://client.example/back")
    hand.tick("conversations:read")

    hand.press("Add it")

    hand.see("It is shown this once")
    hand.press("I have kept it")
    hand.see("Reader & co")


@step("owner changes a mail template")
def test_the_owner_changes_a_mail_template(hand: Hand, site: Site) -> None:
    enter(hand, site, "mail")
    hand.press("A comment that names the reader", within="main")
    hand.fill("Subject", "$actor_name named you")

    hand.press("Save")

    hand.see("Saved.")
    assert hand.find("#subject").get_attribute("value") == "$actor_name named you"


@step("owner reads the figures of the site")
def test_the_owner_reads_the_figures(hand: Hand, site: Site) -> None:
    enter(hand, site, "figures")

    hand.see("Comments")
    hand.see("People")


@step("owner sees what the site used and takes it out")
def test_the_owner_sees_what_the_site_used(
    hand: Hand, site: Site, make: Factory, visitor: Visitor
) -> None:
    make.sql(
        """INSERT INTO site_usage (site_id, hour, guest_reads, member_reads, writes, refused, bytes_sent, cpu_ms, mails)
           SELECT %(site)s, date_trunc('day', now(), 'UTC') - n * interval '1 day', 1000 * n, 20, 3, n, 2500000, 4200, n
             FROM generate_series(1, 40) n""",
        site=site.id,
    )
    enter(hand, site, "usage")

    assert len(hand.driver.find_elements("css selector", "tbody tr")) == 30
    plots = hand.driver.find_elements("css selector", ".plot svg")
    said = plots[0].get_attribute("aria-label") or ""
    assert len(plots) == 4 and said.startswith("Requests: at most 29,052, at ")
    # Twenty-nine days with requests of four kinds, and today.
    assert len(plots[0].find_elements("css selector", "rect")) >= 29 * 4
    heights = [one.rect["height"] for one in plots[0].find_elements("css selector", "g")[:2]]
    assert heights[0] > heights[1] > 50
    hand.see("72.5")
    link = (hand.find("a[download]").get_attribute("href") or "").split("/", 3)[3]
    page = visitor.of(site, site.owner).get(f"/{link}")
    assert page.headers["content-type"].startswith("text/csv")
    assert page.text.startswith("since,guestReads,") and len(page.text.splitlines()) >= 30
    hand.press("The last 12 months")
    assert len(hand.driver.find_elements("css selector", "tbody tr")) == 12
    hand.press("Today", within="main")
    hand.see("00:00")


@pytest.mark.wide
def test_usage_is_for_the_owner_alone(site: Site, make: Factory, visitor: Visitor) -> None:
    for path in ("/admin/usage/", "/admin/usage/usage.csv", "/admin/usage/?time=today"):
        for person in (site.member, site.moderator):
            assert visitor.of(site, person).get(path).status == 403
        assert visitor.of(site).get(path).status == 303
        assert visitor.of(site, site.owner).get(path).status == 200
    assert visitor.of(site, site.owner).get("/admin/usage/?time='\"><b>").status == 200


@step("owner says what crawlers may do")
def test_the_owner_says_what_crawlers_may_do(hand: Hand, site: Site, visitor: Visitor) -> None:
    number = "Requests a minute of all unknown programs together"
    enter(hand, site, "crawling")
    hand.tick("No")
    hand.tick("GPTBot")
    hand.fill(number, "30")

    hand.press("Save")

    hand.see("Saved.")
    assert hand.value(number) == "30"
    guest = visitor.of(site)
    robots = guest.get("/robots.txt").text
    assert "User-agent: GPTBot\nDisallow: /" in robots
    assert "Content-Usage: train-ai=n" in robots
    assert guest.get("/", User_Agent="Mozilla/5.0 (compatible; GPTBot/1.2)").status == 403
    hand.tick("The site does not say")
    hand.tick("GPTBot")
    hand.press("Save")
    hand.until(lambda: "GPTBot" not in guest.get("/robots.txt").text)
    assert "Content-Usage" not in guest.get("/robots.txt").text


def test_a_crawl_policy_that_is_refused_stands_in_the_form_again(
    visitor: Visitor, bikes: Site
) -> None:
    owner = visitor.of(bikes, bikes.owner)
    for number in ("-1", "many", "²", "999999999"):
        form = [
            ("trainAi", "n"),
            ("trainers", "CCBot"),
            ("engines", "Bingbot"),
            ("perMinute", number),
        ]
        page = owner.post("/admin/crawling/", form)
        assert (page.status, page.value("#perMinute")) == (400, number)
        ticked = [node.attributes["value"] for node in page.tree.css("main input[checked]")]
        assert ticked == ["n", "CCBot", "Bingbot"]
    assert owner.post("/admin/crawling/", {"trainAi": "n", "engines": "Nobody"}).status == 400


def test_pages_know_what_the_api_does() -> None:
    for trains, names in ((True, crawl_policy.TRAINERS), (False, crawl_policy.ENGINES)):
        assert tuple(one.name for one in CRAWLERS if one.trains is trains) == names
    assert tuple(usage.LIMITS) == PLAN_LIMITS
    assert tuple(operated_site.STATES) == STATES


DELETION = "/admin/deletion/"
SURE = {"sure": "1", "do": "delete"}


@step("owner has the site deleted and changes their mind")
def test_the_owner_has_the_site_deleted_and_keeps_it(
    hand: Hand, site: Site, visitor: Visitor
) -> None:
    enter(hand, site, "deletion")
    hand.tick(f"Delete Site {site.key} with all that it holds")

    hand.press("Close it, and delete it in 30 days")

    hand.see("The site is closed, and will be deleted on")
    assert visitor.of(site).get("/").status == 403
    hand.go(site, "/")
    hand.see("This site is closed")
    hand.press("Keep it, if it is yours")
    hand.press("Keep the site")
    hand.see("Close it, and delete it in 30 days")
    assert visitor.of(site).get("/").status == 200


def test_a_deletion_needs_the_tick_a_new_sign_in_and_the_second_factor(
    visitor: Visitor, site: Site, make: Factory, api: Api
) -> None:
    def is_asked_for() -> bool:
        return api.get("/api/v1/site/deletion", by=site.owner).status == 200

    owner = visitor.of(site, site.owner)
    unsure = owner.post(DELETION, {"do": "delete"})
    assert (unsure.status, "the box was not ticked" in unsure.main) == (400, True)
    make.sql(
        "UPDATE access_tokens SET created = created - interval '11 minutes' WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )
    again = owner.post(DELETION, SURE)
    assert (again.status, again.field("/login/", "pending.sure")) == (401, "1")
    owner = visitor.of(site, site.owner)
    with make.database.write() as tx:
        Totp.insert(tx, site.owner.user_id)
        codes = Totp.confirm(tx, site.owner.user_id)
    assert owner.get(DELETION).tree.css_first("#secondFactor") is not None
    assert owner.post(DELETION, {**SURE, "secondFactor": "000000"}).status == 400
    assert not is_asked_for()

    assert owner.post(DELETION, {**SURE, "secondFactor": codes[0]}).status == 303

    assert is_asked_for()
    # Twice does no harm, and neither does what is no form of the page.
    assert owner.post(DELETION, {"do": "keep"}).status == 303
    assert owner.post(DELETION, {"do": "keep"}).status == 303
    assert not is_asked_for()


@step("owner sets how far agents may go")
def test_the_owner_sets_how_far_agents_may_go(hand: Hand, site: Site, api_there: Api) -> None:
    enter(hand, site, "agents")

    hand.choose(
        "What programs that a model drives may do here in the name of members",
        "Read, and write drafts that people publish themselves",
    )
    hand.press("Save")

    hand.see("Saved.")
    assert api_there.get("/api/v1/site/options", by=site.owner).data["agents"] == "draft"
    hand.go(site, "/account/agents/")
    hand.see("do at most: Read, and write drafts that people publish themselves.")


@step("administration asks for a fresh sign-in")
def test_administration_asks_for_a_fresh_sign_in(
    hand: Hand, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.sign_in(site, site.owner)
    hand.make_stale(site.owner)
    hand.go(site, "/admin/site/")

    hand.see("sign in once more")
    hand.fill("Address of anybody: this is a demonstration", site.owner.email)
    hand.press("Sign in without a code")

    hand.see("Title, description, look")


@step("member is no administrator")
def test_a_member_is_no_administrator(hand: Hand, site: Site) -> None:
    hand.sign_in(site, site.member)

    hand.go(site, "/admin/site/")

    hand.see("This is for the owner of the site.")


@pytest.mark.parametrize("page", [name for name, _ in PAGES if name != "roles"])
def test_pages_are_for_the_owner_alone(visitor: Visitor, bikes: Site, page: str) -> None:
    path = f"/admin/{page}/"

    assert visitor.of(bikes).get(path).status == 303
    for person in (bikes.member, bikes.moderator):
        assert visitor.of(bikes, person).get(path).status == 403
        assert visitor.of(bikes, person).post(path, {"title": "Mine"}).status in (403, 405)
    assert visitor.of(bikes, bikes.owner).get(path).status == 200


def test_what_is_refused_stands_in_the_form_again(visitor: Visitor, bikes: Site) -> None:
    owner = visitor.of(bikes, bikes.owner)

    page = owner.post("/admin/site/", {"title": "T" * 51, "description": "Kept & shown"})

    assert page.status == 400
    assert page.find("#description").text() == "Kept & shown"


@pytest.mark.wide
def test_every_client_can_be_reached(site: Site, visitor: Visitor, api: Api) -> None:
    for number in range(26):
        sent = {"name": f"Program {number}", "scopes": ["search:read"], "deviceFlow": True}
        assert api.post("/api/v1/oauth/clients", sent, by=site.owner).status == 200
    owner = visitor.of(site, site.owner)

    first = owner.get("/admin/clients/")

    assert "Program 24<" in first.text and "Program 25<" not in first.text
    assert (
        "Program 25<"
        in owner.get(first.find("nav.pages a[rel=next]").attributes["href"] or "").text
    )


def test_overviews_have_every_page_once_below_headings(visitor: Visitor, bikes: Site) -> None:
    owner = visitor.of(bikes, bikes.owner)
    for path, among in (("/admin/", "/admin/audit/"), ("/account/", "/account/sessions/")):
        page = owner.get(path)

        links = [one.attributes["href"] for one in page.tree.css("main .rows a")]
        lists = page.tree.css("main .rows")
        assert among in links and len(set(links)) == len(links)
        assert len(page.tree.css("main h2")) == len(lists) > 3
        assert all(one.css_first("a") for one in lists)
    pages = {f"/admin/{name}/" for name, _ in PAGES}
    assert {
        one.attributes["href"] for one in owner.get("/admin/").tree.css("main .rows a")
    } == pages
    assert set(HEADINGS) <= {name for name, _ in PAGES}


def test_an_owner_uploads_the_logo(visitor: Visitor, site: Site) -> None:
    owner = visitor.of(site, site.owner)
    form = {"title": "Ours & theirs", "description": "A site", "linkColor": "#4082C3"}

    def send(name: str, data: bytes, address: str = "") -> Page:
        texts = [*form.items(), ("logoUrl", address)]
        body, kind = encode_multipart_formdata([*texts, ("logo", (name, data, "image/png"))])
        headers = {"Origin": f"http://{owner.host}", "Content-Type": kind}
        return owner.request("POST", "/admin/site/", body, headers)

    refused = send("logo.png", b"No picture")
    assert refused.status == 400 and "can’t be shown" in refused.find(".failed").text()
    assert refused.find("#title").attributes["value"] == "Ours & theirs"
    assert send("logo.txt", b"A text").status == 400
    assert owner.get("/events/").find(".bar .name").text() != "Ours & theirs"

    assert send("logo.png", picture(), "/static/other.png").status == 303
    logo = visitor.of(site).get("/events/").find(".bar .name img").attributes["src"] or ""
    assert owner.get("/admin/site/").find("#logoUrl").attributes["value"] == logo
    shown = visitor.of(site).get(logo)
    assert (shown.status, shown.headers["content-type"]) == (200, "image/png")
    # Without another picture the address that the form shows stays.
    assert send("", b"", logo).status == 303
    assert owner.get("/events/").find(".bar .name img").attributes["src"] == logo


def test_a_logo_of_the_platforms_files_stands_for_the_title(visitor: Visitor, site: Site) -> None:
    owner = visitor.of(site, site.owner)
    logo = f"/api/v1/files/{'0' * 40}.png"
    shown = {}
    for address in (logo, "/static/logo.png", "https://pictures.example/logo.png"):
        form = {
            "title": "Ours",
            "description": "A site",
            "linkColor": "#4082C3",
            "logoUrl": address,
        }
        assert owner.post("/admin/site/", form).status == 303
        shown[address] = owner.get("/events/").find(".bar .name").html or ""

    # Its place is kept before it has come.
    picture = f'<img src="{logo}" alt="Ours" width="192" height="36">'
    assert {address: picture in html for address, html in shown.items()} == {
        address: address == logo for address in shown
    }
    assert all("<img" in html or "Ours" in html for html in shown.values())
    assert not any("example" in html or "static" in html for html in shown.values())
