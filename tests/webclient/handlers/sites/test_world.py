"""Website as other programs see it: feeds, sitemaps, robots.txt, what a shared link shows, pages that are kept."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from selenium.webdriver.common.by import By

from forumapi.itemtypes import ATTACHMENT
from forumapi.webclient import page_metadata
from forumapi.webclient.api import Asked
from forumapi.webclient.guest_page_cache import KeptPage, KeptPages
from forumapi.webclient.handlers.sites.feeds import FeedDocument, FeedEntry
from forumapi.webclient.transport import FormBody, OverHttp, Reply, Unreachable
from forumapi.webclient.transport import Visitor as Whose
from forumapi.webclient.website import PUBLIC, Website
from tests.api import Api
from tests.factories import Factory, Site, Thing
from tests.fixtures import Server, running
from tests.webclient.attacks.test_hostile import Recorder
from tests.webclient.hand import Hand
from tests.webclient.process import FRONT_ENDS, website_of
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor

ATOM: Final = {"a": "http://www.w3.org/2005/Atom"}
MAP: Final = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
HOSTILE: Final = "</script><script>alert(1)</script> ]]> <b> & \u2028 é"


def shown(hand: Hand) -> str:
    """The text of the document that the browser shows, whatever its type."""
    return str(hand.driver.execute_script("return document.documentElement.textContent"))


def private_place(make: Factory, site: Site) -> Thing:
    """A place that guests may not read, with a conversation in it."""
    place = make.microcosm(site, "Hidden away")
    role = make.role(site, place.id, "Insiders", rights=("read", "create"))
    make.join(role, site.member)
    return make.conversation(site, microcosm=place, title="A secret thread")


# ---------------------------------------------------------------- feeds


@step("feed of the site is read by a feed reader")
def test_the_feed_of_a_site(hand: Hand, website: Server, make: Factory) -> None:
    site = make.site(title="Bikes &amp; co")
    public = make.conversation(site, title="Chains &lt;b&gt;")
    event = make.event(site, title="A ride")
    private_place(make, site)
    hand.go(site, "/")
    link = hand.driver.find_element(By.CSS_SELECTOR, 'link[type="application/atom+xml"]')
    address = link.get_attribute("href") or ""
    guest = Visitor(website.address, site.host)
    page = guest.get("/" + address.split("/", 3)[3])
    tree = ET.fromstring(page.body)
    titles = [one.text for one in tree.findall("a:entry/a:title", ATOM)]

    assert page.headers["content-type"] == "application/atom+xml; charset=utf-8"
    assert tree.findtext("a:title", namespaces=ATOM) == "Bikes & co"
    assert set(titles) == {"Chains <b>", "A ride"}
    links = [one.get("href") for one in tree.findall("a:entry/a:link", ATOM)]
    assert {"/" + str(one).split("/", 3)[3] for one in links} == {
        f"/conversations/{public.id}/",
        f"/events/{event.id}/",
    }
    assert tree.findtext("a:updated", namespaces=ATOM) is not None
    data = json.loads(guest.get("/feed.json").body)
    assert data["version"] == "https://jsonfeed.org/version/1.1"
    assert {one["title"] for one in data["items"]} == set(titles)
    # A member gets what everybody gets, and may share it.
    member = Visitor(website.address).of(site, site.member).get("/feed.atom")
    assert "secret" not in member.text
    assert member.headers["cache-control"].startswith("public")


@step("feed of a conversation is read")
def test_the_feed_of_a_conversation(hand: Hand, website: Server, make: Factory) -> None:
    site = make.site()
    conversation = make.conversation(site, title="Long one")
    comments = make.comments(conversation, 30)
    last = make.comment(conversation, markdown=f"Last {HOSTILE} [a](/profiles/1/)")
    hand.go(site, f"/conversations/{conversation.id}/")
    link = hand.driver.find_element(By.CSS_SELECTOR, 'link[type="application/feed+json"]')
    path = "/" + (link.get_attribute("href") or "").split("/", 3)[3]
    guest = Visitor(website.address, site.host)
    data = json.loads(guest.get(path).body)
    tree = ET.fromstring(guest.get(path.replace(".json", ".atom")).body)
    ids = [int(one["url"].rstrip("/").rpartition("/")[2]) for one in data["items"]]

    assert ids == [last.id, *(one.id for one in reversed(comments[-24:]))]
    assert "<script" not in data["items"][0]["content_html"]
    assert 'href="http' in data["items"][0]["content_html"]
    assert data["items"][0]["title"] == "member in “Long one”"
    assert len(tree.findall("a:entry", ATOM)) == 25
    first = tree.findtext("a:entry/a:content", namespaces=ATOM) or ""
    assert first == data["items"][0]["content_html"]


def test_feeds_of_a_place_and_of_a_person(website: Server, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site, "Workshop")
    make.event(site, microcosm=place, title="Which tyre?")
    make.poll(site, microcosm=place, title="Which pump?")
    make.poll(site, title="Elsewhere")
    secret = private_place(make, site)
    make.comment(make.conversation(site, title="Open"), by=site.member, markdown="Said openly")
    make.comment(secret, by=site.member, markdown="Said in secret")
    guest = Visitor(website.address, site.host)
    of_place = json.loads(guest.get(f"/microcosms/{place.id}/feed.json").body)
    of_person = guest.get(f"/profiles/{site.member.id}/feed.json").text
    member = Visitor(website.address).of(site, site.member)

    assert [one["title"] for one in of_place["items"]] == ["Which pump?", "Which tyre?"]
    assert "Said openly" in of_person
    assert "secret" not in of_person
    assert "secret" not in member.get(f"/profiles/{site.member.id}/feed.json").text
    assert guest.get(f"/conversations/{secret.id}/feed.atom").status == 403
    assert member.get(f"/conversations/{secret.id}/feed.atom").status == 403
    # A guest can't tell what is private from what never was.
    assert guest.get("/conversations/999999/feed.atom").status == 403


@pytest.mark.parametrize("below", [0, 24, 50])
def test_a_place_s_feed_has_the_latest_first_whatever_stands_above_them(
    website: Server, make: Factory, api_there: Api, below: int
) -> None:
    site = make.site()
    place = make.microcosm(site, item_types=(2, 6))
    for _ in range(below):
        make.microcosm(site, parent=place)
    pinned = make.conversation(site, microcosm=place, title="Pinned long ago")
    for n in range(24):
        make.conversation(site, microcosm=place, title=f"Talk {n}")
    assert api_there.patch(pinned.path, ("sticky", True), by=site.moderator).status == 200
    guest = Visitor(website.address, site.host)

    def titles() -> list[str]:
        data = json.loads(guest.get(f"/microcosms/{place.id}/feed.json").body)
        return [one["title"] for one in data["items"]]

    latest = [f"Talk {n}" for n in reversed(range(24))]
    assert titles() == [*latest, "Pinned long ago"]
    make.conversation(site, microcosm=place, title="New")
    assert titles() == ["New", *latest]


def test_a_feed_changed_when_its_latest_entry_did() -> None:
    def entry(updated: str) -> FeedEntry:
        return FeedEntry("", "", "-", "", updated, updated, "")

    latest = "2026-12-01T10:00:00.5Z"
    feed = FeedDocument("", "", "", [entry("2026-12-01T10:00:00Z"), entry(latest)])

    assert feed.updated == latest


# ---------------------------------------------------------------- search engines


def locations(page: Page) -> list[str]:
    """The addresses of a sitemap, or of an index of them, without scheme and host."""
    found = ET.fromstring(page.body).iter(f"{{{MAP['s']}}}loc")
    return ["/" + str(one.text).split("/", 3)[3] for one in found]


@step("sitemap lists public pages and no private one")
def test_the_sitemap(hand: Hand, website: Server, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site, "Workshop")
    public = [make.conversation(site) for _ in range(3)]
    event, poll = make.event(site), make.poll(site)
    secret = private_place(make, site)
    hand.go(site, "/sitemap.xml")
    assert "sitemap-conversations-1.xml" in shown(hand)
    guest = Visitor(website.address, site.host)
    maps = locations(guest.get("/sitemap.xml"))
    listed = [path for one in maps for path in locations(guest.get(one))]

    assert maps == [
        f"/sitemap-{name}-1.xml" for name in ("places", "conversations", "events", "polls")
    ]
    assert set(listed) == {
        "/",
        f"/microcosms/{place.id}/",
        *(f"/conversations/{one.id}/" for one in public),
        f"/events/{event.id}/",
        f"/polls/{poll.id}/",
    }
    assert f"/{secret.id}/" not in " ".join(listed)
    assert {guest.get(path).status for path in listed} == {200}
    assert guest.get("/sitemap-places-2.xml").status == 404
    assert guest.get("/sitemap-conversations-9.xml").status in (400, 404)
    # Members of private places get the map that everybody gets.
    assert locations(Visitor(website.address).of(site, site.member).get(maps[1])) == locations(
        guest.get(maps[1])
    )


@step("robots file names the sitemap")
def test_the_robots_file(hand: Hand, website: Server, bikes: Site) -> None:
    hand.go(bikes, "/robots.txt")
    text = hand.driver.find_element(By.TAG_NAME, "body").text
    page = Visitor(website.address, bikes.host).get("/robots.txt")

    assert re.search(r"^Sitemap: http://[^/]+/sitemap\.xml$", text, re.M)
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert "Disallow: /login/" in page.text


# ---------------------------------------------------------------- what a page says of itself


def head(page: Page) -> dict[str, str]:
    """Account that a page gives of itself, by name or relation."""
    found = {}
    for node in page.tree.css("head meta, head link"):
        attributes = node.attributes
        name = attributes.get("property") or attributes.get("name") or attributes.get("rel")
        found[str(name)] = str(attributes.get("content") or attributes.get("href"))
    return found


@pytest.mark.wide
@step("shared link has a title and a picture for others")
def test_a_shared_link(hand: Hand, website: Server, make: Factory) -> None:
    site = make.site(title="Bikes")
    conversation = make.conversation(site, title="Chains &amp; &quot;bolts&quot;")
    make.comment(conversation, markdown=f"First **words** {HOSTILE}")
    hand.go(site, f"/conversations/{conversation.id}/")
    hand.see("First words")
    found = head(Visitor(website.address, site.host).get(f"/conversations/{conversation.id}/"))
    picture = "/" + found["og:image"].split("/", 3)[3]
    shared = Visitor(website.address, site.host).get(picture)

    assert found["og:title"] == 'Chains & "bolts"'
    assert found["og:site_name"] == "Bikes"
    assert found["og:description"].startswith("First words")
    assert found["og:url"].endswith(f"/conversations/{conversation.id}/")
    assert found["canonical"] == found["og:url"]
    assert (shared.status, shared.headers["content-type"]) == (200, "image/png")


@step("page says what it is to search engines")
def test_structured_data(hand: Hand, website: Server, make: Factory) -> None:
    site = make.site()
    conversation = make.conversation(site, title="Title &lt;/script&gt;&lt;script&gt;alert(1)")
    comments = make.comments(conversation, 30)
    make.comment(conversation, markdown=HOSTILE)
    path = f"/conversations/{conversation.id}/"
    hand.go(site, path)
    text = hand.driver.find_element(
        By.CSS_SELECTOR, 'script[type="application/ld+json"]'
    ).get_attribute("textContent")
    data: dict[str, Any] = json.loads(text or "")
    refused = [
        one for one in hand.driver.get_log("browser") if "Content Security" in one["message"]
    ]
    guest = Visitor(website.address, site.host)
    second = head(guest.get(f"{path}?offset=25"))

    assert data["@type"] == "DiscussionForumPosting"
    assert data["headline"] == "Title </script><script>alert(1)"
    assert data["author"]["name"] == "member"
    assert data["text"].startswith("Comment number")
    assert len(data["comment"]) == 24
    assert data["comment"][0]["url"].endswith(f"/comments/{comments[1].id}/")
    assert not refused, "data needs no exception from the policy"
    assert second["canonical"].endswith(f"{path}?offset=25")
    assert second["prev"] == path
    assert head(guest.get(path))["next"] == f"{path}?offset=25"
    assert "canonical" not in head(Visitor(website.address).of(site, site.member).get(path))


def test_data_never_ends_the_element_that_holds_it() -> None:
    text = page_metadata.json_ld({"a": HOSTILE, "b": "<!--<script>"})

    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": HOSTILE, "b": "<!--<script>"}


# ---------------------------------------------------------------- pages that are kept


@pytest.fixture(scope="module")
def apart(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A website of its own with one worker, whose kept pages are no other test's."""
    folder = tmp_path_factory.mktemp("kept")
    with (
        running(database_url, folder / "api", front_ends=FRONT_ENDS) as api,
        website_of(api, folder / "web") as started,
    ):
        yield started


@pytest.mark.wide
def test_a_guest_s_page_is_made_once_until_what_it_shows_changes(
    server: Server, make: Factory
) -> None:
    site = make.site()
    conversation = make.conversation(site)
    make.comments(conversation, 3)
    recorder = Recorder(OverHttp(f"http://{server.address[0]}:{server.address[1]}"))
    website = Website(
        recorder,
        ["secret"],
        is_secure=False,
        address_of=lambda environ: "127.0.0.1",
        upload_limit=1_000_000,
        upload_timeout_s=10,
    )

    def get(path: str, **more: str) -> tuple[int, bytes, int, int]:
        """Status, body, calls, and those that were only confirmed."""
        recorder.calls.clear()
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": site.host, **more}
        answer = website.respond(environ)
        confirmed = sum("If-None-Match" in headers for *_, headers in recorder.calls)
        # The cursor is of the moment at which the page is sent.
        body = re.sub(rb'data-cursor="[^"]*"', b"", answer.body)
        return answer.status, body, len(recorder.calls), confirmed

    path = f"/conversations/{conversation.id}/"
    first, second = get(path), get(path)
    other_language = get(path, HTTP_ACCEPT_LANGUAGE="ar-XB")
    make.comment(conversation, markdown="Something new")
    changed, again = get(path), get(path)
    make.sql("UPDATE microcosms SET visibility = 'private' WHERE site_id = %(site)s", site=site.id)

    assert (first[2], first[3]) == (2, 0)
    assert (second[0], second[1], second[2], second[3]) == (200, first[1], 2, 2)
    assert other_language[1] != first[1]
    assert b"Something new" in changed[1]
    assert changed[2] == 2, "what has changed is read once"
    assert (again[1], again[3]) == (changed[1], 2)


class Broken(Recorder):
    """Way to the API that gives no answer to some calls: those for `path`."""

    path = ""

    def send(
        self,
        visitor: Whose,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | FormBody,
    ) -> Reply:
        """Remember, and pass on or fail."""
        reply = super().send(visitor, method, path, query, headers, body)
        if self.path and path.endswith(self.path):
            raise Unreachable("cut off")
        return reply


def test_a_page_that_lacks_something_is_not_kept(server: Server, make: Factory) -> None:
    site = make.site()
    make.conversation(site, title="Derailleur")
    way = Broken(OverHttp(f"http://{server.address[0]}:{server.address[1]}"))
    website = Website(
        way,
        ["secret"],
        is_secure=False,
        address_of=lambda environ: "127.0.0.1",
        upload_limit=1_000_000,
        upload_timeout_s=10,
    )
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/search/",
        "QUERY_STRING": "q=derailleur",
        "HTTP_HOST": site.host,
    }

    way.path = "/suggestions"
    lacking = website.respond(dict(environ))
    assert (lacking.status, dict(lacking.headers)["Cache-Control"]) == (200, "private, no-cache")
    assert "/api/v1/search/suggestions" in [call[1] for call in way.calls]
    assert website.kept.bytes == 0
    way.path = ""
    whole = website.respond(dict(environ))
    assert (whole.status, dict(whole.headers)["Cache-Control"]) == (200, PUBLIC)
    assert website.kept.bytes > 0, "a whole one is"


def test_what_is_kept_is_bounded_and_what_was_shown_the_longest_ago_goes() -> None:
    pages = KeptPages(100_000)
    for number in range(300):
        page = KeptPage.of([("Content-Type", "x")], b"x" * 1_000, (Asked("/a", "", '"1"'),), 1e12)
        pages.add(("host", f"/{number}", "", "en"), page)
        assert pages.find(("host", "/0", "", "en")) is not None, "shown often"
    huge = KeptPage.of([], os.urandom(600_000), (Asked("/a", "", '"1"'),), 1e12)
    pages.add(("host", "/huge", "", "en"), huge)
    late = KeptPage.of([], b"x", (Asked("/a", "", '"1"'),), 0.0)
    pages.add(("host", "/late", "", "en"), late)

    assert 50_000 < pages.bytes <= 100_000
    assert pages.find(("host", "/1", "", "en")) is None
    found = pages.find(("host", "/299", "", "en"))
    assert found is not None
    assert found.body == b"x" * 1_000
    assert pages.find(("host", "/huge", "", "en")) is None
    assert pages.find(("host", "/late", "", "en")) is None


@pytest.mark.wide
def test_a_place_that_becomes_private_is_gone_at_once(apart: Server, make: Factory) -> None:
    site = make.site()
    conversation = make.conversation(site, title="Soon hidden")
    guest = Visitor(apart.address, site.host)
    path = f"/conversations/{conversation.id}/"
    before = [guest.get(path).status, guest.get(path).status]
    member = Visitor(apart.address).of(site, site.owner)
    assert member.get(path).status == 200
    make.sql(
        "UPDATE items SET is_deleted = true, version = version + 1 WHERE site_id = %(site)s AND item_id = %(id)s",
        site=site.id,
        id=conversation.id,
    )

    assert before == [200, 200]
    assert guest.get(path).status == 404


# ---------------------------------------------------------------- old addresses


def test_an_old_address_of_a_file_leads_to_the_file(website: Server, make: Factory) -> None:
    site = make.site()
    comment = make.comment(make.conversation(site, by=site.owner), by=site.owner)
    hash = make.file(site.owner, "what was attached")
    attached = {"fileHash": hash, "fileName": "bolt.txt"}
    with closing(website.api()) as api:
        path = f"{comment.path}/attachments"
        assert api.post(path, attached, by=site.owner).status in (200, 302)
    make.sql(
        """WITH o AS (INSERT INTO import_origins (site_id, title, product)
                      VALUES (%(site)s, 'old', 'vbulletin') RETURNING origin_id)
           INSERT INTO imported_items (site_id, origin_id, item_type_id, old_id, item_id)
           SELECT %(site)s, o.origin_id, %(type)s, '7', a.attachment_id
             FROM o, attachments a WHERE a.site_id = %(site)s AND a.file_hash = %(hash)s
        RETURNING 1""",
        site=site.id,
        type=ATTACHMENT,
        hash=hash,
    )
    guest = Visitor(website.address, site.host)

    led = guest.get("/attachments/7d1199-bolt.txt")

    assert (led.status, led.location) == (301, f"/api/v1/files/{hash}")


def test_who_asks_for_old_addresses_too_fast_is_told_so(
    database_url: str, make: Factory, bikes: Site, tmp_path: Path
) -> None:
    few = {"webclient": "true", "rate_limit_address_per_minute": "4"}
    with running(database_url, tmp_path, **few) as server:
        guest = Visitor(server.address, bikes.host)
        pages = [guest.get("/showthread.php?t=1") for _ in range(6)]

    assert {page.status for page in pages} == {404, 429}
    assert pages[0].status == 404
    assert int(pages[-1].headers["retry-after"]) > 0
