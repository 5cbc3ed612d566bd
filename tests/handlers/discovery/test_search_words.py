"""Typing errors forgiven and words completed, without telling of what somebody may not see."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from forumapi.config import Config
from forumapi.cron import search_indexing
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.handlers.discovery.test_search import ask, hits, named

PATH = "/api/v1/search/suggestions"


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def learn(make: Factory, site: Site) -> None:
    """Let the words of all that stands there be known; only what has stood for a minute is read."""
    for table in ("comments", "items", "microcosms", "profiles"):
        make.sql(
            f"UPDATE {table} SET created = created - interval '2 minutes' WHERE site_id = %(s)s RETURNING 1",
            s=site.id,
        )
    with make.database.write() as tx:
        search_indexing.search_words(tx, Config())
    # The job ends after some seconds, which other sites' texts may have taken.
    kind, site_id, is_last = 0, 0, False
    while not is_last:
        with make.database.write() as tx:
            _, kind, site_id, is_last = search_indexing.learn(tx, 1_000_000, kind, site_id)


def suggestions(api: Api, site: Site, typed: str, by: Person | None = None) -> list[str]:
    answer = api.get(f"{PATH}?{urlencode({'q': typed})}", site=site, by=by)
    assert answer.status == 200, answer.body
    found: list[str] = answer.data["suggestions"]
    return found


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize(
    "typed",
    [
        "derailleur",
        "derailluer",
        "deraillur",
        "dderailleur",
        "derailkeur",
        "erailleur",
        "dérailluer",
    ],
)
def test_a_word_with_one_typing_error_still_finds_its_text(
    api: Api, make: Factory, site: Site, typed: str
) -> None:
    chat = make.conversation(site, title="A bent derailleur hanger")
    make.conversation(site, title="Another hanger")
    learn(make, site)

    data = ask(api, site, q=f"{typed} hanger")

    assert [entry["item"]["id"] for entry in data["results"]["items"]] == [chat.id]
    assert data.get("forgiving", False) is (typed != "derailleur")
    assert "<b>derailleur</b>" in data["results"]["items"][0]["highlight"]


@pytest.mark.wide
def test_a_word_in_another_script_is_forgiven_too(api: Api, make: Factory, site: Site) -> None:
    russian = make.conversation(site, title="Продам велосипед недорого")
    hebrew = make.conversation(site, title="תיקון אופניים בעיר")
    learn(make, site)

    assert hits(api, site, q="велосепед") == [named(russian)]
    assert hits(api, site, q="אופנייס") == [named(hebrew)]
    assert suggestions(api, site, "вилос") == ["велосипед"]


def test_what_the_language_leaves_out_is_no_error(api: Api, make: Factory, site: Site) -> None:
    make.conversation(site, title="She toed the line then")
    learn(make, site)

    assert hits(api, site, q="the") == []


def test_two_errors_in_a_word_are_too_many(api: Api, make: Factory, site: Site) -> None:
    make.conversation(site, title="A bent derailleur hanger")
    learn(make, site)

    assert hits(api, site, q="deraluer hanger") == []


@pytest.mark.parametrize(
    "typed", ["ブレーキ修理", "ブレーキ修埋", "ブレキ修理", "ブレーーキ修理", "ブーレキ修理"]
)
def test_a_letter_wrong_in_a_script_without_spaces_is_forgiven(
    api: Api, make: Factory, site: Site, typed: str
) -> None:
    chat = make.conversation(site, title="自転車のブレーキ修理方法")
    make.conversation(site, title="東京の天気")

    assert hits(api, site, q=typed) == [named(chat)]


@pytest.mark.wide
def test_a_long_text_in_a_script_without_spaces_is_asked_for_as_it_is(api: Api, site: Site) -> None:
    text = "".join(chr(0x4E00 + 7 * number) for number in range(440))

    assert hits(api, site, q=text) == []
    assert hits(api, site, q=" ".join(text[at : at + 30] for at in range(0, 440, 30))) == []


@pytest.mark.wide
def test_what_is_excluded_stays_excluded_when_errors_are_forgiven(
    api: Api, make: Factory, site: Site
) -> None:
    make.conversation(site, title="A derailleur for sale")
    kept = make.conversation(site, title="A derailleur to give away")
    learn(make, site)

    assert hits(api, site, q="deraileur -sale") == [named(kept)]


def test_forgiving_costs_two_statements_more(api: Api, make: Factory, site: Site) -> None:
    make.conversation(site, title="A spokewrench")
    learn(make, site)
    for _ in range(2):
        answer = api.get("/api/v1/search?q=spokewrnch", by=site.member)

    assert answer.data["results"]["total"] == 1
    assert (answer.statements, answer.cache_trips) == (4, 0)


@pytest.mark.wide
def test_words_are_completed_by_how_frequent_they_are(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site, title="Crankset")
    for text in ("cranky", "cranky again", "crankset, crank", "cränkset"):
        make.comment(chat, markdown=text)
    learn(make, site)

    assert suggestions(api, site, "cran") == ["crankset", "cranky", "crank"]
    # What begins otherwise by one error comes after what begins so.
    assert suggestions(api, site, "old CRANKS") == ["crankset", "cranky", "crank"]
    assert suggestions(api, site, "carnks") == ["crankset"]
    assert suggestions(api, site, "crqnks") == ["crankset"]
    assert (
        suggestions(api, site, "c")
        == suggestions(api, site, "")
        == suggestions(api, site, "cran ")
        == []
    )
    assert suggestions(api, site, "zzz") == suggestions(api, site, "%_") == []


@pytest.mark.wide
def test_nobody_is_told_a_word_of_what_they_may_not_see(
    api: Api, make: Factory, site: Site
) -> None:
    private = make.microcosm(site, title="Committee")
    make.join(make.role(site, private.id, "Committee", rights=("read",)), site.moderator)
    inside = make.conversation(site, microcosm=private, by=site.owner, title="Xylofish one")
    make.comment(inside, by=site.owner, markdown="xylofrog")
    huddle = make.huddle(site.member, site.newcomer, title="Xylohorse")
    make.comment(huddle, markdown="xylobird")
    hidden = make.conversation(site, title="Xylocat")
    shown = make.conversation(site, title="Xylodog")
    learn(make, site)
    api.patch(hidden.path, ("/meta/flags/deleted", True), by=site.owner)

    assert suggestions(api, site, "xylo", site.newcomer) == ["xylodog"]
    assert suggestions(api, site, "xylo", site.member) == ["xylodog"]
    assert set(suggestions(api, site, "xylo", site.moderator)) == {
        "xylodog",
        "xylofish",
        "xylofrog",
    }
    for typed in ("xylofihs", "xylofrg", "xylocta"):
        for by in (site.newcomer, None):
            data = ask(api, site, by, q=typed)
            assert data["results"]["total"] == 0
            assert "forgiving" not in data and "partial" not in data
    # Nor with a word beside it that they may see.
    assert "forgiving" not in ask(api, site, q="xylofihs xylodgo")
    assert hits(api, site, site.newcomer, q="xylodgo") == [named(shown)]
    assert suggestions(api, site, "xylohorse", site.member) == []


@pytest.mark.wide
def test_no_word_is_suggested_that_stands_only_in_what_somebody_ignores(
    api: Api, make: Factory, site: Site
) -> None:
    noisy, reader = make.person(site), make.person(site)
    chat = make.conversation(site, title="Zyzzyfirst")
    make.comment(chat, by=noisy, markdown="zyzzysecond")
    ignored = make.conversation(site, title="Zyzzythird")
    make.ignore(reader, noisy)
    make.ignore(reader, ignored)
    learn(make, site)

    assert suggestions(api, site, "zyzzy", reader) == ["zyzzyfirst"]
    assert set(suggestions(api, site, "zyzzy", site.member)) == {
        "zyzzyfirst",
        "zyzzysecond",
        "zyzzythird",
    }


def known(make: Factory, site: Site, beginning: str) -> set[str]:
    """The words learnt that begin so, once the job has run again."""
    learn(make, site)
    rows = make.sql(
        "SELECT word FROM search_words WHERE site_id = %(s)s AND starts_with(word, %(b)s)",
        s=site.id,
        b=beginning,
    )
    return {row[0] for row in rows}


@pytest.mark.wide
def test_words_of_what_is_gone_are_forgotten(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site, title="Quuxtitle")
    said = {
        name: make.comment(chat, markdown=f"It is {name} and quuxkept")
        for name in ("quuxdeleted", "quuxmoderated", "quuxedited", "quuxstays")
    }
    named_so = make.conversation(site, title="Quuxold name")
    event = make.event(site, title="Quuxevent")
    make.sql("UPDATE events SET place = 'Quuxplace' WHERE site_id = %(s)s RETURNING 1", s=site.id)
    huddle = make.huddle(site.member, site.newcomer)
    make.comment(huddle, by=site.member, markdown="quuxdeleted is said in private")
    place = make.microcosm(site, title="Quuxforum")
    person = make.person(site, "quuxperson")
    assert known(make, site, "quux") == {
        "quuxtitle", "quuxdeleted", "quuxmoderated", "quuxedited", "quuxstays", "quuxkept", "quuxold", "quuxevent",
        "quuxplace", "quuxforum", "quuxperson",
    }  # fmt: skip

    owner = site.owner
    for answer in (
        api.delete(said["quuxdeleted"].path, by=owner),
        api.patch(said["quuxmoderated"].path, ("/meta/flags/moderated", True), by=owner),
        api.delete(event.path, by=owner),
        api.delete(place.path, by=owner),
    ):
        assert answer.status == 200, answer.body
    new = {"markdown": "It is quuxkept", "meta": {"editReason": "no name"}}
    assert api.put(said["quuxedited"].path, new, by=site.member).status == 302
    title = {"title": "A new name", "microcosmId": site.root_id, "meta": {"editReason": "better"}}
    assert api.put(named_so.path, title, by=site.member).status == 302
    assert api.put(person.path, {"profileName": "another"}, by=person).status == 302

    assert known(make, site, "quux") == {"quuxtitle", "quuxstays", "quuxkept"}
    assert not make.sql("SELECT 1 FROM search_gone WHERE site_id = %(s)s", s=site.id)


@pytest.mark.wide
def test_a_word_that_another_text_holds_stays(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    one, two = (make.comment(chat, markdown="plughword") for _ in range(2))
    assert known(make, site, "plugh") == {"plughword"}
    # What an edit brings is not learnt, so that a count alone would take the word too early.
    edited = make.comment(chat, markdown="Something else")
    learn(make, site)
    body = {"markdown": "plughword", "meta": {"editReason": "said"}}
    assert api.put(edited.path, body, by=site.member).status == 302
    for gone in (one, two):
        assert api.delete(gone.path, by=site.owner).status == 200
        assert known(make, site, "plugh") == {"plughword"}
    assert api.delete(edited.path, by=site.owner).status == 200
    assert known(make, site, "plugh") == set()


def test_words_of_another_site_are_not_suggested(
    api: Api, make: Factory, site: Site, trains: Site
) -> None:
    make.conversation(trains, title="Pantographic")
    learn(make, trains)

    assert suggestions(api, site, "pantog") == []
    assert suggestions(api, trains, "pantog") == ["pantographic"]


def test_a_suggestion_costs_one_statement_beside_who_asks(
    api: Api, make: Factory, site: Site
) -> None:
    make.conversation(site, title="Bottombracket")
    learn(make, site)

    for _ in range(2):
        answer = api.get(f"{PATH}?q=bottomb", by=site.member)

    assert answer.data["suggestions"] == ["bottombracket"]
    assert (answer.statements, answer.cache_trips) == (2, 0)
