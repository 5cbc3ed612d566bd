"""Reading: the front page, places, conversations, old addresses, what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest

from forumapi.config import Config
from forumapi.cron import trending
from forumapi.webclient.handlers.microcosms.front_page import places_of
from forumapi.webclient.template_environment import content, size
from tests.api import Api
from tests.factories import Factory, Site
from tests.files.pictures import upload
from tests.fixtures import Server
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor

PAGE = 25


@pytest.fixture
def backstage(website: Server) -> Iterator[Api]:
    """The API of the process that shows the website, for what somebody else does meanwhile."""
    client = website.api()
    yield client
    client.close()


@step("front page lists what is new with who and when")
def test_the_front_page_lists_what_is_new(hand: Hand, make: Factory) -> None:
    site = make.site()
    quiet = make.conversation(site, title="Quiet since")
    make.comment(quiet, by=site.owner)
    ride = make.event(site, title="Ride to the sea", limit=3)
    make.comment(ride, by=site.newcomer)
    make.poll(site, title="Which colour")
    busy = make.conversation(site, title="Talked about")
    make.comment(busy, by=site.moderator)

    hand.sign_in(site, site.member)
    hand.go(site)

    rows = [one.text for one in hand.driver.find_elements("css selector", ".rows > li")]
    assert len(rows) == 4
    assert "Talked about" in rows[0]
    assert "moderator" in rows[0]
    assert "just now" in rows[0]
    assert "1 new" in rows[0]
    assert "Event" in " ".join(rows)
    assert "3 places left" in " ".join(rows)
    assert "Poll" in " ".join(rows)
    hand.press("Talked about")
    hand.see("Comment number")


@step("front page shows the places as a tree")
def test_the_front_page_shows_the_places_as_a_tree(hand: Hand, make: Factory) -> None:
    site = make.site()
    workshop = make.microcosm(site, "Workshop")
    make.microcosm(site, "Gears and brakes", parent=workshop)

    hand.sign_in(site, site.member)
    hand.go(site)
    top = hand.find(f'.tree .level1 a[href="/microcosms/{workshop.id}/"]')
    assert top.text == "Workshop"
    assert hand.find(".tree .level2").text == "Gears and brakes"
    hand.press("Gears and brakes", within=".tree")

    hand.see("Nothing has been written here yet.")
    hand.press("Workshop", within=".crumbs")
    hand.see("Gears and brakes")


def test_the_tree_of_places_is_the_one_of_who_asks(visitor: Visitor, make: Factory) -> None:
    site, other = make.site(), make.site()
    for one in (site, other):
        place = make.microcosm(one, f"Committee of {one.host}")
        make.role(one, place.id, "Committee members", rights=("read",))
        make.microcosm(one, "Open to all")

    for _ in range(2):
        for one in (site, other):
            for person, sees in ((one.moderator, 1), (one.newcomer, 0), (None, 0), (one.owner, 1)):
                tree = visitor.of(one, person).get("/").find(".tree").text()
                assert tree.count("Committee of") == tree.count(f"Committee of {one.host}") == sees
                assert "Open to all" in tree


def test_a_tree_of_places_that_is_kept_is_shown_as_a_new_one() -> None:
    def answer(title: str, *, number: int = 1) -> bytes:
        root = {"href": "/api/v1/microcosms", "title": "Forums", "id": 1, "level": 1}
        place = {"href": "/api/v1/microcosms/3", "title": title, "id": 3, "level": 2}
        places = [root, *([{**place, "totalItems": 12_345}] * number)]
        return msgspec.json.encode({"data": places})

    row = '<li class="level1"><a href="/microcosms/3/">%s <span class="quiet">%s</span></a></li>\n'
    for _ in range(2):
        for code, said in (("en", "12,345"), ("de", "12.345")):
            for title, shown in (("A &amp; B", "A &amp; B"), ("&lt;i>", "&lt;i&gt;")):
                found = places_of(code, answer(title))
                assert found == (2, 1, f'<ul class="tree">\n{row % (shown, said)}</ul>')
        many = places_of("en", answer("Place", number=1000))
        assert (many.number, many.tree.count(row % ("Place", "12,345"))) == (1001, 1000)
        assert places_of("en", b'{"data":[]}')[:2] == (0, 0)


@step("microcosm lists its places before its conversations")
def test_a_microcosm_lists_its_places_first(hand: Hand, bikes: Site, make: Factory) -> None:
    place = make.microcosm(bikes, "A place with places")
    make.conversation(bikes, microcosm=place, title="Later in the list")
    make.microcosm(bikes, "Inner place", parent=place)
    hand.sign_in(bikes, bikes.member)

    hand.go(bikes, f"/microcosms/{place.id}/")

    text = hand.find("main").text
    assert text.index("Inner place") < text.index("Later in the list")
    hand.press("Inner place")
    hand.see("Nothing has been written here yet.")


@step("microcosm leads to its second page and back")
def test_a_microcosm_has_pages(hand: Hand, bikes: Site, make: Factory) -> None:
    place = make.microcosm(bikes)
    for number in range(PAGE + 1):
        make.conversation(bikes, microcosm=place, title=f"Title {number:02}")
    hand.sign_in(bikes, bikes.member)

    hand.go(bikes, f"/microcosms/{place.id}/")
    hand.see("Title 25")
    hand.see_no("Title 00")
    hand.press("Next")
    hand.see("Title 00")
    assert hand.path == f"microcosms/{place.id}/?offset=25"
    hand.press("Previous")
    hand.see("Title 25")


@step("conversation shows its comments in order with names and times")
def test_a_conversation_shows_its_comments(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes, title="Bolts &amp; nuts")
    make.comment(talk, by=bikes.member, markdown="What about **bolts**?")
    make.comment(talk, by=bikes.moderator, markdown="Longer ones.")

    hand.go(bikes, f"/conversations/{talk.id}/")

    assert hand.find("h1").text == "Bolts & nuts"
    found = hand.driver.find_elements("css selector", "article.comment")
    assert [one.find_element("css selector", "header a").text for one in found] == [
        "member",
        "moderator",
    ]
    assert found[0].find_element("css selector", "strong").text == "bolts"
    assert found[1].find_element("css selector", "time").text == "just now"


@step("conversation leads to its second page and back")
def test_a_conversation_has_pages(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    comments = make.comments(talk, PAGE + 2)

    hand.go(bikes, f"/conversations/{talk.id}/")
    hand.reload_until(lambda: len(hand.driver.find_elements("css selector", "nav.pages")) == 2)
    hand.press("Next")
    hand.find(f"#comment{comments[-1].id}")
    assert len(hand.driver.find_elements("css selector", "article.comment")) == 2
    hand.press("1")
    hand.find(f"#comment{comments[0].id}")


@step("comment's time leads to the comment in its place")
def test_a_time_is_a_permalink(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    comments = make.comments(talk, PAGE + 1)

    hand.go(bikes, f"/conversations/{talk.id}/?offset={PAGE}")
    hand.press("just now", within=f"#comment{comments[-1].id}")

    hand.find(f"#comment{comments[-1].id}:target")
    assert hand.path.startswith(f"conversations/{talk.id}/?comment_id={comments[-1].id}")


@step("old address of a page with an offset shows that page")
def test_an_old_address_with_an_offset(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    comments = make.comments(talk, PAGE + 1)

    hand.go(bikes, f"/conversations/{talk.id}/?offset=25")
    hand.find(f"#comment{comments[-1].id}")
    assert not hand.driver.find_elements("id", f"comment{comments[0].id}")

    # The thread may have become shorter since.
    hand.go(bikes, f"/conversations/{talk.id}/?offset=500")
    hand.find(f"#comment{comments[0].id}")


@step("address of a comment in context shows the comment")
def test_a_comment_in_context(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    comments = make.comments(talk, PAGE + 1)

    hand.go(bikes, f"/comments/{comments[-1].id}/incontext/")

    hand.find(f"#comment{comments[-1].id}:target")


@step("reply names whom it answers and leads there")
def test_a_reply_leads_to_what_it_answers(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    question = make.comment(talk, by=bikes.member)
    make.comments(talk, PAGE - 2)
    near = make.comment(talk, by=bikes.moderator, reply_to=question)
    far = make.comment(talk, by=bikes.moderator, reply_to=question)

    hand.go(bikes, f"/conversations/{talk.id}/")
    hand.press("in reply to member", within=f"#comment{near.id}")
    hand.find(f"#comment{question.id}:target")

    hand.go(bikes, f"/conversations/{talk.id}/?offset={PAGE}")
    hand.press("in reply to member", within=f"#comment{far.id}")
    hand.find(f"#comment{question.id}:target")


@step("quote shows as a quotation")
def test_a_quote(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    make.comment(talk, markdown="> What about bolts?\n\nLonger ones.")

    hand.go(bikes, f"/conversations/{talk.id}/")

    assert hand.find(".text blockquote").text == "What about bolts?"


@step("member lands at the first comment that is unread")
def test_a_member_lands_at_the_first_unread_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes, by=bikes.owner)
    make.comments(talk, 3, by=bikes.owner)
    hand.sign_in(bikes, bikes.newcomer)
    hand.go(bikes, f"/conversations/{talk.id}/")
    hand.see("3 comments")
    unread = make.comments(talk, 2, by=bikes.owner)

    hand.go(bikes, "/conversations/")
    row = hand.find(f".rows a[href='/conversations/{talk.id}/newest/']")
    assert (row.text, row.accessible_name.split(" in ")[0]) == ("2 new", "2 new")
    row.click()

    hand.see("2 new since you were here")
    hand.find(f"#comment{unread[0].id}:target")
    assert len(hand.driver.find_elements("css selector", ".comment.unread")) == 2


@step("member goes to the newest comment")
def test_a_member_goes_to_the_newest_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    comments = make.comments(talk, PAGE + 1)
    hand.sign_in(bikes, bikes.member)

    hand.go(bikes, f"/conversations/{talk.id}/")
    hand.press("Newest comment")

    hand.find(f"#comment{comments[-1].id}:target")


@step("closed conversation says so and has no form")
def test_a_closed_conversation(hand: Hand, bikes: Site, make: Factory, backstage: Api) -> None:
    talk = make.conversation(bikes)

    assert backstage.patch(talk.path, ("/meta/flags/open", False), by=bikes.moderator).status == 200
    hand.sign_in(bikes, bikes.newcomer)

    hand.go(bikes, f"/conversations/{talk.id}/")

    hand.see("This is closed: nothing can be added.")
    assert not hand.driver.find_elements("css selector", "form.write")


@step("deleted conversation says it is gone")
def test_a_deleted_conversation(hand: Hand, bikes: Site, make: Factory, backstage: Api) -> None:
    talk = make.conversation(bikes, title="Soon gone")
    assert backstage.delete(talk.path, by=bikes.moderator).status == 200
    hand.sign_in(bikes, bikes.newcomer)

    hand.go(bikes, f"/conversations/{talk.id}/")

    hand.see("This is gone")
    hand.see_no("Soon gone")


@step("unknown address helps on")
def test_an_unknown_address(hand: Hand, bikes: Site) -> None:
    hand.go(bikes, "/no/such/page/")
    hand.see("There is nothing here")
    hand.press("Search", within="main")
    hand.see("How to search")


@step("private place is no place to a guest")
def test_a_private_place(hand: Hand, bikes: Site, make: Factory) -> None:
    place = make.microcosm(bikes, "Committee")
    make.role(bikes, place.id, "Committee members", rights=("read",))
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, f"/microcosms/{place.id}/")
    hand.see("Committee")
    hand.go(bikes, "/")
    hand.press("Sign out")
    hand.see("Sign in")

    hand.go(bikes, f"/microcosms/{place.id}/")
    hand.see("There is nothing here for guests")
    hand.see_no("Committee")
    hand.go(bikes, "/")
    hand.see_no("Committee")


@step("picture in a comment is shown")
def test_a_picture_is_shown(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    make.comment(talk, markdown=f"![A face](/api/v1/files/profile-{bikes.member.id}.png)")

    hand.go(bikes, f"/conversations/{talk.id}/")

    picture = hand.find('.text img[alt="A face"]')
    hand.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert picture.get_property("naturalWidth") != 0


@step("picture of another host is a link")
def test_a_picture_of_another_host_is_a_link(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    make.comment(talk, markdown="![Far away](https://pictures.example/1.png)")

    hand.go(bikes, f"/conversations/{talk.id}/")

    link = hand.find(".text a.elsewhere")
    assert link.text == "Far away"
    assert "noreferrer" in (link.get_attribute("rel") or "")
    assert not hand.driver.find_elements("css selector", ".text img")


@step("embedded player is a link")
def test_an_embed_is_a_link(hand: Hand, bikes: Site, make: Factory) -> None:
    talk = make.conversation(bikes)
    make.comment(talk, markdown="https://www.youtube.com/watch?v=dQw4w9WgXcQ")

    hand.go(bikes, f"/conversations/{talk.id}/")

    hand.find(".text .elsewhere a")
    assert not hand.driver.find_elements("css selector", "iframe")


@step("attachment is listed and opens")
def test_an_attachment(hand: Hand, bikes: Site, make: Factory, backstage: Api) -> None:
    talk = make.conversation(bikes)
    comment = make.comment(talk)
    hash = upload(backstage, bikes.member, b"Tighten it.", "notes.txt")
    sent = {"fileHash": hash, "fileName": "notes.txt"}
    assert backstage.post(f"{comment.path}/attachments", sent, by=bikes.member).status == 302

    hand.go(bikes, f"/conversations/{talk.id}/")

    link = hand.find(".files a")
    assert link.text == "notes.txt"
    address = link.get_attribute("href") or ""
    assert backstage.get(address[address.index("/api/") :], site=bikes).status == 200


def test_an_attached_picture_is_seen(
    visitor: Visitor, bikes: Site, make: Factory, backstage: Api, picture_bytes: bytes
) -> None:
    talk = make.conversation(bikes)
    hash = upload(backstage, bikes.member, picture_bytes, "bike.png")
    for markdown in ("Here it is.", f"![My bike](/api/v1/files/{hash}.png)"):
        comment = make.comment(talk, markdown=markdown)
        sent = {"fileHash": hash, "fileName": '"bike.png'}
        assert backstage.post(f"{comment.path}/attachments", sent, by=bikes.member).status == 302

    page = visitor.of(bikes).get(f"/conversations/{talk.id}/")

    first, second = page.tree.css(".files")
    picture = first.css_first("a > img")
    assert picture is not None
    assert picture.attributes["alt"] == '"bike.png'
    assert (picture.attributes["width"], picture.attributes["height"]) == ("40", "30")
    assert backstage.get(picture.attributes["src"] or "", site=bikes).status == 200
    # The second one's words show it already: there it is named.
    assert second.css_first("img") is None
    assert second.text().strip() == '"bike.png'
    in_words = page.find(".text img").attributes
    assert (in_words["width"], in_words["height"]) == ("40", "30")


def test_a_picture_keeps_its_place_as_high_as_the_style_sheet_lets_it() -> None:
    hash = "5d1c0a9e4b7f2c3d8e6f1a0b9c8d7e6f5a4b3c2d"

    def sized(width: int, height: int) -> str:
        return str(size({"fileHash": hash, "width": width, "height": height}))

    assert sized(640, 384) == ' width="640" height="384"'
    assert sized(640, 768) == ' width="320" height="384"'
    assert sized(1, 9_999) == ' width="1" height="384"'
    assert str(size({"fileHash": hash})) == ""
    known = [{"fileHash": hash, "width": 30, "height": 9_000}, {"fileHash": "0" * 40}]
    for source, attributes in (
        (f"/api/v1/files/{hash}.png", ' width="30" height="9000"'),
        (f"/api/v1/files/{hash}", ' width="30" height="9000"'),
        (f"/api/v1/files/{hash}.png?maxWidth=9", ""),
        (f"/api/v1/files/{'0' * 40}.png", ""),
        ("/static/a.png", ""),
    ):
        shown = f'<img loading="lazy"{attributes} class="ip" src="{source}" alt="">'
        assert str(content(f'<img class="ip" src="{source}" alt="">', known)) == shown, source
    # What its author has said counts.
    said = f'<img class="ip" src="/api/v1/files/{hash}.png" width="9" alt="">'
    assert str(content(said, known)) == said.replace("<img ", '<img loading="lazy" ')


@step("legal text is read")
def test_a_legal_text(hand: Hand, bikes: Site) -> None:
    hand.go(bikes)
    hand.press("Terms")
    hand.see("Terms of")
    hand.press("All texts of this kind")
    hand.press("Privacy", within="main")
    hand.see("Privacy")


@step("trending lists what is hot")
def test_trending(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.comments(make.conversation(site, title="Little said"), 1)
    make.comments(make.poll(site, title="Much said"), 4)
    with make.database.write() as tx:
        assert trending.trending_scores(tx, Config())

    hand.go(site)
    hand.press("What is hot", within="main")

    hand.see("Much said")
    text = hand.find("main").text
    assert text.index("Much said") < text.index("Little said")


@step("all conversations are listed")
def test_all_conversations(hand: Hand, bikes: Site, make: Factory) -> None:
    make.conversation(bikes, title="One of all")

    hand.go(bikes)
    hand.press("All conversations")
    hand.see("One of all")


@pytest.mark.wide
def test_a_place_shows_its_newest_polls(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    bare = make.microcosm(site, item_types=(6,))
    for number in range(6):
        make.poll(site, microcosm=place, title=f"Which {number}?")
    make.poll(site, title="Elsewhere")
    member = visitor.of(site, site.member)

    page = member.get(f"/microcosms/{place.id}/").main
    assert "Elsewhere" not in page
    assert [number for number in range(6) if f"Which {number}?" in page] == [1, 2, 3, 4, 5]
    assert "Polls" not in member.get(f"/microcosms/{bare.id}/").main


def test_the_logo_of_a_site_without_one_is_a_picture(
    visitor: Visitor, api_there: Api, make: Factory
) -> None:
    site = make.site()
    shown = api_there.get("/api/v1/site", site=site).data
    guest = visitor.of(site)

    for address in (shown["logoUrl"], shown["faviconUrl"]):
        picture = guest.get(guest.get(address).location)
        assert picture.status == 200, address
        assert picture.headers["content-type"] == "image/png"


def without(page: Page, path: str) -> str:
    """The page without its own address and moment."""
    text = re.sub(r' data-cursor="[^"]*"', "", page.text)
    return text.replace(path, "/").replace(quote(path, safe=""), "/")


def test_a_private_thing_and_nothing_look_the_same(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site, "Committee")
    make.role(site, place.id, "Committee members", rights=("read",))
    talk = make.conversation(site, by=site.moderator, microcosm=place)
    comment = make.comment(talk, by=site.moderator)

    for person in (None, site.newcomer):
        somebody = visitor.of(site, person)
        for kind, id in (("conversations", talk.id), ("microcosms", place.id)):
            path, other = f"/{kind}/{id}/", f"/{kind}/99999999/"
            hidden, nothing = somebody.get(path), somebody.get(other)
            assert hidden.status == nothing.status == 403
            assert without(hidden, path) == without(nothing, other)
        path, other = f"/comments/{comment.id}/incontext/", "/comments/99999999/incontext/"
        hidden, nothing = somebody.get(path), somebody.get(other)
        assert hidden.status == nothing.status
        assert without(hidden, path) == without(nothing, other)


def test_old_lists_keep_their_page(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    for number in range(PAGE + 1):
        make.conversation(site, title=f"Title {number:02}")
    member = visitor.of(site, site.member)

    for path in ("/conversations/", "/microcosms/"):
        assert "Title 25" in member.get(path).text
        page = member.get(f"{path}?offset={PAGE}").text
        assert "Title 00" in page
        assert "Title 25" not in page
        led = member.get(f"{path[:-1]}?offset={PAGE}")
        assert (led.status, led.location) == (308, f"{path}?offset={PAGE}")


def test_a_hidden_comment_is_marked_for_whoever_may_see_it(
    visitor: Visitor, make: Factory, backstage: Api
) -> None:
    site = make.site()
    talk = make.conversation(site)
    assert (
        backstage.patch(talk.path, ("/meta/flags/moderated", True), by=site.moderator).status == 200
    )

    shown = visitor.of(site, site.member).get(f"/conversations/{talk.id}/")
    assert "Moderators have hidden this. Only you and they see it." in shown.text
    gone = visitor.of(site, site.newcomer).get(f"/conversations/{talk.id}/")
    assert gone.status == 404
    assert backstage.delete(talk.path, by=site.moderator).status == 200
    shown = visitor.of(site, site.moderator).get(f"/conversations/{talk.id}/")
    assert "Only moderators see it" in shown.text
    gone = visitor.of(site, site.newcomer).get(f"/conversations/{talk.id}/")
    assert gone.status == 404


def test_only_texts_of_a_site_are_legal_texts(make: Factory, visitor: Visitor) -> None:
    member = visitor.of(make.site())

    assert member.get("/legal/").status == 200
    assert member.get("/legal/anything/").status == 404
    assert member.get("/legal/service/").status == 404


def test_a_site_for_members_alone_asks_a_guest_to_sign_in(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    make.conversation(site, title="Among ourselves")
    make.sql(
        """UPDATE roles SET can_read = false
            WHERE site_id = %(site)s AND include_guests RETURNING 1""",
        site=site.id,
    )
    page = visitor.of(site).get("/")
    assert page.status == 200
    assert "Among ourselves" not in page.text
    assert "This community is for its members" in page.text
    assert "Among ourselves" in visitor.of(site, site.member).get("/").text


def test_who_may_read_a_place_and_not_the_root_sees_its_polls(
    visitor: Visitor, make: Factory
) -> None:
    site = make.site()
    make.sql(
        """UPDATE roles SET can_read = false
            WHERE site_id = %(site)s AND microcosm_id = %(root)s RETURNING 1""",
        site=site.id,
        root=site.root_id,
    )
    place = make.microcosm(site, "Open")
    make.role(site, place.id, "All", rights=("read",), guests=True, users=True)
    poll = make.poll(site, microcosm=place)
    for by in (None, site.member):
        page = visitor.of(site, by).get(f"/microcosms/{place.id}/")
        assert page.status == 200
        assert f"/polls/{poll.id}/" in page.text


def test_somebody_banned_is_told_so(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site)
    banned = visitor.of(site, site.banned)

    for path in ("/", f"/conversations/{talk.id}/", "/profiles/", "/search/?q=x", "/trending/"):
        page = banned.get(path)
        assert page.status == 403, path
        assert "You are banned from this site." in page.text, path


def test_the_menu_of_a_site_stands_on_each_page(
    visitor: Visitor, make: Factory, backstage: Api
) -> None:
    site = make.site()
    menu = [
        {"href": "/microcosms/", "title": "Where to start", "text": "New & here?"},
        {"href": "https://club.example/?a=1&b=2", "title": "", "text": "<b>Club</b>"},
    ]
    assert backstage.put("/api/v1/site/menu", menu, by=site.owner).status == 200

    for path in ("/", "/search/", "/no/such/page/"):
        tree = visitor.of(site, site.owner).get(path).tree
        # A line of its own, and what opens on a phone.
        for css in ("nav.menu a", "details .menu a"):
            found = tree.css(css)
            assert [one.text() for one in found] == ["New & here?", "Club"], (path, css)
            assert [one.attributes["href"] for one in found] == [one["href"] for one in menu]


def test_an_error_page_is_titled_as_it_is_headed(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    place = make.microcosm(bikes, "Committee")
    make.role(bikes, place.id, "Committee members", rights=("read",))
    guest = visitor.of(bikes)

    for path in ("/no/such/page/", f"/microcosms/{place.id}/"):
        page = guest.get(path)
        assert page.status >= 400
        heading = page.find("h1").text()
        assert page.find("title").text().startswith(f"{heading} · "), path
