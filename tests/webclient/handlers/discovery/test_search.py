"""Searching."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from forumapi.webclient.template_environment import marked_in
from forumapi.webclient.transport import FormBody, Reply
from forumapi.webclient.transport import Visitor as Caller
from forumapi.webclient.website import Website
from tests.factories import Factory
from tests.handlers.discovery.test_search_words import learn
from tests.webclient.hand import SCRIPT, Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


@step("search finds a word")
def test_a_word_is_found(hand: Hand, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site, title="Tyres")
    make.comment(talk, markdown="Do studded ones help?")

    hand.go(site, "/search/")
    hand.fill("Words", "studs")
    hand.press("Search", within="form.search")
    hand.see("1 found")
    hand.press("Tyres")
    hand.find("article.comment:target")


@step("search marks what it found")
def test_what_was_found_is_marked(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.comment(make.conversation(site, title="Bent derailleur"), markdown="<i>It is bent</i>")

    hand.go(site, "/search/?q=bent")

    marks = [one.text for one in hand.driver.find_elements("css selector", "mark")]
    assert marks == ["Bent", "bent"]
    hand.see("<i>It is")


@step("search explains its operators")
def test_operators_are_explained(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.comment(make.conversation(site, title="Brake pads"))
    make.comment(make.conversation(site, title="Brake discs"))

    hand.go(site, "/search/")
    hand.see("the first, without the second")
    hand.fill("Words", "brake -disc")
    hand.press("Search", within="form.search")
    hand.see("Brake pads")
    hand.see_no("Brake discs")
    hand.press("How to search")
    hand.see("the first, without the second")


@step("search by type shows that type alone")
def test_a_search_by_type(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.conversation(site, title="Gravel talk")
    make.event(site, title="Gravel ride")

    hand.go(site, "/search/?q=gravel")
    hand.see("Gravel talk")
    hand.press("Filters")
    hand.tick("Events")
    hand.press("Search", within="form.search")
    hand.see("Gravel ride")
    hand.see_no("Gravel talk")


@pytest.mark.wide
@step("search by author shows that author alone")
def test_a_search_by_author(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.conversation(site, by=site.member, title="Gravel by the member")
    make.conversation(site, by=site.newcomer, title="Gravel by the newcomer")

    hand.go(site, "/search/?q=gravel")
    hand.press("Filters")
    hand.fill("Written by", "Newcomer")
    hand.press("Search", within="form.search")
    hand.see("Gravel by the newcomer")
    hand.see_no("Gravel by the member")
    hand.fill("Written by", "nobody at all")
    hand.press("Search", within="form.search")
    hand.see("Nobody here is called “nobody at all”.")


@pytest.mark.wide
@pytest.mark.parametrize(
    ("q", "words"),
    [
        ("author:{name} gravel", "gravel"),
        ("gravel Author:@{name}", "gravel"),
        ('tubeless author:"{name}" gravel', "tubeless gravel"),
        ("author:{name}", ""),
    ],
)
def test_an_operator_names_the_author(visitor: Visitor, make: Factory, q: str, words: str) -> None:
    site = make.site()
    talk = make.conversation(site, title="Tubeless gravel", by=site.owner)
    make.comment(talk, markdown="Gravel is tubeless, says a member", by=site.member)
    make.comment(talk, markdown="Gravel is tubeless, says an owner", by=site.owner)
    guest = visitor.of(site)

    page = guest.get(f"/search/?q={quote(q.format(name=site.member.name))}")

    assert page.value("#author").lstrip("@") == site.member.name
    assert page.value("#q") == words
    assert "says a member" in page.main
    assert "says an owner" not in page.main
    assert "left out" not in page.main
    assert "Nobody here is called “no-one”" in guest.get("/search/?q=author:no-one").main
    # Neither inside a word, nor beside a person chosen otherwise.
    other = guest.get(f"/search/?author={site.owner.name}&q=coauthor:x+author:y+gravel")
    assert other.value("#q") == "coauthor:x author:y gravel"
    assert other.value("#author").lstrip("@") == site.owner.name


def test_an_author_whose_name_is_escaped_in_html_is_found(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    make.conversation(site, by=make.person(site, "R&amp;D"), title="Gravel by research")

    for name in ("R&D", "r&d"):
        page = visitor.of(site, None).get(f"/search/?q=gravel&author={quote(name)}")
        assert "by research" in page.main and "Nobody here is called" not in page.main


@step("search without a result says so and suggests")
def test_nothing_found(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.comment(make.conversation(site, title="Quiet hub"), markdown="Nothing to hear")

    hand.go(site, "/search/?q=hub&type=event")
    hand.see("Nothing was found")
    hand.see("Use fewer words")
    hand.press("Search everywhere, without filters")
    hand.see("Quiet hub")


@step("search leads to its second page")
def test_a_search_has_pages(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.conversation(site, title="Gravel, the oldest")
    for number in range(25):
        make.conversation(site, title=f"Gravel {number}")

    hand.go(site, "/search/?q=gravel&type=conversation&sort=date")
    hand.see_no("Gravel, the oldest")
    hand.press("Next")
    hand.see("Gravel, the oldest")
    assert "type=conversation" in hand.path


@step("suggestions complete what was typed")
def test_words_are_suggested(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.comment(make.conversation(site, title="Bent derailleur hanger"))
    learn(make, site)

    hand.go(site, "/search/")
    hand.fill("Words", "bent derail")
    if hand.mode == SCRIPT:
        hand.find('#suggestions-q option[value="bent derailleur"]')
    hand.press("Search", within="form.search")
    # A database at work may take longer than a page waits for suggestions.
    hand.reload_until(lambda: hand.sees("bent derailleur"))
    hand.press("bent derailleur", within="#suggestions")
    hand.see("1 found")


def test_what_is_searched_for_can_not_break_the_page(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    make.comment(make.conversation(site, title="Plain"), markdown="words & <b>more</b> <script>")
    guest = visitor.of(site)
    hostile = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"

    for name in ("q", "author", "type", "since", "sort", "forumId", "authorId", "inTitle", "has"):
        page = guest.get(f"/search/?{name}={hostile}")
        assert page.status == 200, name
        assert "<script>alert" not in page.text, name
    found = guest.get("/search/?q=words+more")
    assert "<script>" not in found.text.replace("<script type", "")
    assert [one.text() for one in found.tree.css("mark")] == ["words"]


def test_a_bad_page_is_refused(visitor: Visitor, make: Factory) -> None:
    guest = visitor.of(make.site())

    assert guest.get("/search/?q=a&offset=7").status == 400
    assert guest.get("/search/?q=a&limit=3").status == 400


def test_the_page_of_today_lists_what_was_written_in_a_day(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    guest = visitor.of(site)
    assert "nobody has written anything" in guest.get("/today/").main
    old, _, answered = (make.conversation(site, title=f"Talk {n}") for n in range(3))
    make.sql(
        """UPDATE items SET created = now() - interval '25 hours', last_activity = now() - interval '25 hours'
            WHERE item_id = ANY(%(ids)s) RETURNING 1""",
        ids=[old.id, answered.id],
    )
    make.comment(answered)

    address = guest.get("/").find('.ways [href="/today/"]').attributes["href"]
    page = guest.get(address or "")

    rows = [one.text() for one in page.tree.css(".rows .title a")]
    assert (page.status, rows) == (200, ["Talk 2", "Talk 1"])
    # Old addresses of Microcosm's own front end name a page.
    assert guest.get("/today/?offset=25").status == 200


def test_a_hashtag_leads_to_a_search(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site)
    make.comment(talk, markdown="Cold #winter")
    guest = visitor.of(site)

    link = guest.get(f"/conversations/{talk.id}/").find('.text a[href^="/search"]')
    assert "1 found" in guest.get(link.attributes["href"] or "").text


def test_suggestions_are_a_list_of_texts(visitor: Visitor, make: Factory) -> None:
    guest = visitor.of(make.site())

    for words in ("", "x", "%3Cb%3E", "zzz" * 500):
        page = guest.get(f"/search/suggestions/?q={words}")
        assert (page.status, page.text) == (200, "[]")
        assert page.headers["content-type"].startswith("application/json")


@dataclasses.dataclass
class SlowSearch:
    """API whose every search takes too long."""

    asked: list[str] = dataclasses.field(default_factory=list)

    def send(
        self,
        visitor: Caller,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | FormBody,
    ) -> Reply:
        """Answer."""
        self.asked.append(path)
        data: Any = {"title": "Slow", "subdomainKey": "slow", "menu": []}
        sent = {"content-type": "application/json"}
        if path.endswith("/tree"):
            data = []
        elif path.endswith("/search"):
            detail = {"errorCode": 24, "errorDetail": "The search took too long"}
            answer = {"data": detail, "error": ["The search took too long"]}
            return Reply(503, {**sent, "retry-after": "7"}, msgspec.json.encode(answer))
        return Reply(200, sent, msgspec.json.encode({"data": data, "error": None}))


@pytest.mark.wide
def test_a_search_that_takes_too_long_says_what_helps() -> None:
    website = Website(
        SlowSearch(),
        ["secret"],
        is_secure=False,
        address_of=lambda _: "",
        upload_limit=1,
        upload_timeout_s=10,
    )
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/search/",
        "QUERY_STRING": "q=the+%3Cb%3E&type=comment",
        "HTTP_HOST": "slow.forum.test",
    }

    answer = website.respond(environ)

    assert answer.status == 503
    assert ("Retry-After", "7") in answer.headers
    page = answer.body.decode()
    assert "That took too long" in page
    # What was typed is still there, and the way to try again asks the same.
    assert 'value="the &lt;b&gt;"' in page
    assert 'href="/search/?q=the+%3Cb%3E&amp;type=comment"' in page


def test_a_hit_without_a_highlight_is_no_mark() -> None:
    assert marked_in("Bikes", "") is None
    assert marked_in("Bikes", None) is None
    assert marked_in("Bikes & cake", "<b>cake</b>") == "Bikes &amp; <mark>cake</mark>"
