"""Search: keys, words, filters, who sees what, highlights, order (discovery 8, S-01 to S-14)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from forumapi import itemtypes
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

PATH = "/api/v1/search"


@pytest.fixture(scope="module")
def site(make: Factory) -> Site:
    return make.site()


def ask(api: Api, site: Site, by: Person | None = None, **keys: Any) -> dict[str, Any]:
    answer = api.get(f"{PATH}?{urlencode(keys, doseq=True)}", site=site, by=by)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.data
    return found


def hits(api: Api, site: Site, by: Person | None = None, **keys: Any) -> list[tuple[str, int]]:
    results = ask(api, site, by, **keys)["results"]
    assert results["total"] == len(results["items"])
    return [(entry["itemType"], entry["item"]["id"]) for entry in results["items"]]


def named(thing: Thing) -> tuple[str, int]:
    return (itemtypes.name_of(thing.type), thing.id)


def test_all_words_must_be_there_in_any_form(api: Api, site: Site, make: Factory) -> None:
    one = make.conversation(site, title="Repairing quibblewheels in winter")
    make.conversation(site, title="Quibblewheel for sale")

    assert hits(api, site, q="quibblewheel repairs") == [named(one)]


def test_stemming_accents_and_case_make_no_difference(api: Api, site: Site, make: Factory) -> None:
    one = make.conversation(site, title="Zorblé bicycles")

    assert hits(api, site, q="zorble BICYCLE") == [named(one)]
    assert hits(api, site, q="Zörblé bicycling") == [named(one)]


def test_titles_come_first_then_comments_and_each_by_weight(
    api: Api, site: Site, make: Factory
) -> None:
    other = make.conversation(site)
    long = make.comment(other, markdown="snarfbolt among very many other words of a long comment")
    short = make.comment(other, markdown="snarfbolt only")
    title = make.conversation(site, title="A snarfbolt")

    assert hits(api, site, q="snarfbolt") == [named(title), named(short), named(long)]


def test_a_hit_on_a_comment_shows_what_it_is_on(api: Api, site: Site, make: Factory) -> None:
    chat = make.conversation(site, title="About chains")
    comment = make.comment(chat, markdown="Use the **wibblegear**, <i>please</i>")

    (entry,) = ask(api, site, site.newcomer, q="wibblegear")["results"]["items"]

    assert entry["itemType"] == "comment"
    assert entry["item"]["id"] == comment.id
    assert (entry["parentItemType"], entry["parentItem"]["id"]) == ("conversation", chat.id)
    assert entry["unread"] is True
    assert entry["highlight"] == "Use the **<b>wibblegear</b>**, &lt;i&gt;please&lt;/i&gt;"
    assert entry["lastModified"].endswith("Z")
    assert entry["rank"] > 0


def test_a_title_is_escaped_once(api: Api, site: Site, make: Factory) -> None:
    one = make.conversation(site, title="R&amp;D of the &lt;flimflange&gt;")

    (entry,) = ask(api, site, q="flimflange")["results"]["items"]

    assert entry["item"]["id"] == one.id
    assert entry["highlight"] == "R&amp;D of the &lt;<b>flimflange</b>&gt;"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script> zonkle <b>x</b>",
        "\x01zonkle\x02 </b> & \"quotes\" 'single'",
        'a < b zonkle > c onmouseover="x"',
        "</b><img src=x onerror=alert(1)> zonkle",
    ],
)
def test_a_highlight_has_no_markup_but_its_own(
    api: Api, site: Site, make: Factory, text: str
) -> None:
    chat = make.conversation(site)
    comment = make.comment(chat, markdown=f"{text} n{chat.id}")

    (entry,) = ask(api, site, q=f"zonkle n{chat.id}")["results"]["items"]

    assert entry["item"]["id"] == comment.id
    rest = entry["highlight"].replace("<b>", "").replace("</b>", "")
    assert not set(rest) & set("<>\"'")
    assert entry["highlight"].count("<b>") == entry["highlight"].count("</b>") > 0


def test_the_fragment_is_cut_around_the_word_far_down_a_text(
    api: Api, site: Site, make: Factory
) -> None:
    make.comment(make.conversation(site), markdown="filler words " * 1500 + "then quazzle came")

    (entry,) = ask(api, site, q="quazzle")["results"]["items"]

    assert "<b>quazzle</b>" in entry["highlight"]
    assert len(entry["highlight"]) < 600


def test_each_type_is_found_by_its_text(api: Api, site: Site, make: Factory) -> None:
    place = make.microcosm(site, title="Blorptown")
    person = make.person(site, name="blorptown")
    chat = make.conversation(site, title="Blorptown chat")
    event = make.event(site, title="Blorptown ride")
    poll = make.poll(site, title="Blorptown poll")
    huddle = make.huddle(site.member, site.newcomer, title="Blorptown secret")
    comment = make.comment(chat, markdown="Blorptown indeed")

    everything = {*map(named, (place, chat, event, poll, comment)), ("profile", person.id)}

    def found(**keys: Any) -> list[tuple[str, int]]:
        return hits(api, site, site.moderator, q="blorptown", **keys)

    assert set(found()) == everything
    assert set(hits(api, site, site.member, q="blorptown")) == everything | {named(huddle)}
    for one in (place, chat, event, poll, comment):
        assert found(type=named(one)[0]) == [named(one)]
    assert found(type="profile") == [("profile", person.id)]
    assert set(found(inTitle="true")) == everything - {named(comment)}
    assert hits(
        api, site, site.moderator, q="blorptown type:conversation type:poll inTitle:true"
    ) == [
        named(chat),
        named(poll),
    ]
    # Several types mean comments on things of those types too.
    assert set(found(type=["conversation", "event"])) == {
        named(chat),
        named(event),
        named(comment),
    }
    assert set(found(type=["event", "comment"])) == {named(event)}
    assert set(found(type="conversation", id=chat.id)) == {
        named(chat),
        named(comment),
    }
    assert found(type="comment", id=chat.id) == [named(comment)]


def test_the_place_of_an_event_and_the_question_of_a_poll_are_searched(
    api: Api, site: Site, make: Factory
) -> None:
    place = make.microcosm(site).id
    body: dict[str, Any] = {"microcosmId": place, "title": "A ride", "where": "Gloopington Park"}
    event = api.post("/api/v1/events", body, by=site.member)
    assert event.status == 302, event.body
    body = {
        "microcosmId": place,
        "title": "A poll",
        "question": "Which gloopington?",
        "choices": [{"choice": "This"}, {"choice": "That"}],
    }
    poll = api.post("/api/v1/polls", body, by=site.member)
    assert poll.status == 302, poll.body

    found = ask(api, site, q="gloopington")["results"]["items"]

    assert {entry["itemType"] for entry in found} == {"event", "poll"}
    assert {entry["highlight"] for entry in found} == {
        "<b>Gloopington</b> Park",
        "Which <b>gloopington</b>?",
    }
    assert ask(api, site, q="gloopington", inTitle="true")["results"]["total"] == 0


def test_what_is_hidden_is_not_found_and_what_is_shown_again_is(
    api: Api, site: Site, make: Factory
) -> None:
    chat = make.conversation(site, title="Frobnitz")
    comment = make.comment(chat, markdown="frobnitz")
    assert set(hits(api, site, q="frobnitz")) == {named(chat), named(comment)}

    for flag in ("deleted", "moderated"):
        api.patch(comment.path, (f"/meta/flags/{flag}", True), by=site.moderator)
        assert hits(api, site, site.owner, q="frobnitz") == [named(chat)]
        api.patch(comment.path, (f"/meta/flags/{flag}", False), by=site.moderator)
    assert set(hits(api, site, q="frobnitz")) == {named(chat), named(comment)}
    api.patch(chat.path, ("/meta/flags/deleted", True), by=site.moderator)
    assert hits(api, site, site.owner, q="frobnitz") == []
    assert (
        hits(api, site, site.owner, type="conversation", authorId=site.member.id, q="frobnitz")
        == []
    )


def test_a_changed_text_is_found_by_its_new_words_at_once(
    api: Api, site: Site, make: Factory
) -> None:
    chat = make.conversation(site, title="Old grumblefix")
    comment = make.comment(chat, markdown="old grumblefix")
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": "new mumblefix"}
    assert api.put(comment.path, body, by=site.member).status == 302
    body = {"microcosmId": site.root_id, "title": "New mumblefix", "meta": {"editReason": "so"}}
    assert api.put(chat.path, body, by=site.member).status == 302

    assert hits(api, site, q="grumblefix") == []
    assert set(hits(api, site, q="mumblefix")) == {named(chat), named(comment)}


def test_phrases_alternatives_and_exclusion(api: Api, site: Site, make: Factory) -> None:
    first = make.conversation(site, title="crankarm puller tool")
    second = make.conversation(site, title="puller for a crankarm")
    third = make.conversation(site, title="crankarm bolt")

    assert set(hits(api, site, q="crankarm")) == set(map(named, (first, second, third)))
    assert hits(api, site, q='"crankarm puller"') == [named(first)]
    assert hits(api, site, q="crankarm -puller") == [named(third)]
    assert set(hits(api, site, q="crankarm tool OR bolt")) == {named(first), named(third)}
    assert hits(api, site, q='crankarm -"crankarm puller" puller') == [named(second)]
    # In small letters it is a word like any other, and one that English leaves out.
    assert set(hits(api, site, q="crankarm or puller")) == {named(first), named(second)}


def test_words_that_are_all_excluded_must_all_be_there(api: Api, site: Site, make: Factory) -> None:
    both = make.conversation(site, title="Flumpet and grondle")
    make.conversation(site, title="Flumpet alone")

    assert hits(api, site, q="-flumpet -grondle") == [named(both)]


def test_scripts_without_spaces_are_found_by_any_part_of_a_text(
    api: Api, site: Site, make: Factory
) -> None:
    chat = make.conversation(site, title="自転車のブレーキを修理する方法")
    thai = make.comment(chat, markdown="ผมซ่อมเบรกจักรยานเอง")
    mixed = make.comment(chat, markdown="新しいSTIレバーは高い")

    for text in ("自転車", "ブレーキ", "修理", "ブレーキ 自転車", "法", "車"):
        assert hits(api, site, q=text) == [named(chat)], text
    assert hits(api, site, q="転自") == []
    assert hits(api, site, q="จักรยาน") == [named(thai)]
    assert hits(api, site, q="STIレバー") == [named(mixed)]
    (entry,) = ask(api, site, q="จักรยาน")["results"]["items"]
    assert "<b>จักรยาน</b>" in entry["highlight"]
    (entry,) = ask(api, site, q="ブレーキ")["results"]["items"]
    assert entry["highlight"] == "自転車の<b>ブレーキ</b>を修理する方法"


def test_a_word_that_is_left_out_marks_and_cuts_nothing(
    api: Api, site: Site, make: Factory
) -> None:
    """Also where that word is of a script without spaces, in a search for which excerpts are cut after the fact."""
    text = " ".join(["handlebarends"] * 10 + ["wibblepad"])
    make.comment(make.conversation(site), markdown=text)

    (entry,) = ask(api, site, q="wibblepad -自転車")["results"]["items"]

    assert entry["highlight"].endswith("handlebarends <b>wibblepad</b>")


def test_a_hashtag_must_stand_there_as_it_is(api: Api, site: Site, make: Factory) -> None:
    chat = make.conversation(site)
    tagged = make.comment(chat, markdown="Look: #Flarp, all of you")
    make.comment(chat, markdown="a flarp without, and #flarps or #flarp_x")

    data = ask(api, site, q="look #flarp #flarp")

    assert data["query"]["hashtags"] == ["#flarp"]
    assert [entry["item"]["id"] for entry in data["results"]["items"]] == [tagged.id]
    titled = make.conversation(site, title="The #flarp")
    assert hits(api, site, q="#flarp", inTitle="true") == [named(titled)]


def test_the_query_is_said_back(api: Api, site: Site) -> None:
    data = ask(
        api,
        site,
        q="bolt type:conversation since:-30 foo:bar a:b:c Type:comment lat:3",
        limit=5,
    )

    assert json.dumps(data["query"]) == json.dumps(
        {
            "q": "bolt foo:bar a:b:c",
            "type": ["conversation", "comment"],
            "since": "-30",
            "ignored": "lat:3",
            "searched": "bolt foo:bar a:b:c type:conversation type:comment since:-30",
        }
    )


@pytest.mark.parametrize(
    "keys",
    [{}, {"since": "-1"}, {"following": "true"}, {"has": "attachment"}, {"id": "3"}, {"q": " "}],
    ids=str,
)
def test_what_is_not_enough_to_search_has_no_results(
    api: Api, site: Site, keys: dict[str, Any]
) -> None:
    data = ask(api, site, **keys)

    assert "results" not in data
    assert "searched" not in data["query"]


@pytest.mark.parametrize(
    ("keys", "ignored"),
    [
        ({"type": ["conversation", "user", "Poll"]}, "type=user type=Poll"),
        ({"type": "event", "attendee": "maybe"}, "attendee=maybe"),
        ({"type": "poll", "attendee": "true"}, "attendee:true"),
        ({"type": "poll", "sort": "oldest"}, "sort:oldest"),
        ({"type": "poll", "sort": "up"}, "sort=up"),
        ({"type": ["event", "poll"], "eventAfter": "2026-01-01"}, "eventAfter:2026-01-01"),
        ({"type": "poll", "since": "yesterday"}, "since=yesterday"),
        ({"type": "poll", "since": "2026-02-30"}, "since=2026-02-30"),
        ({"type": "poll", "until": "99999999"}, "until=99999999"),
        ({"type": "poll", "has": "wings"}, "has=wings"),
        (
            {"type": "poll", "id": ["x", "0", "99999999999999999999"]},
            "id=x id=0 id=99999999999999999999",
        ),
        ({"q": "x", "id": "3"}, "id:3"),
        ({"q": "x", "authorId": "-1"}, "authorId=-1"),
        ({"q": "x", "author": "me"}, "author:me"),
        ({"q": "x", "lat": "1", "radius": "5"}, "lat:1 radius:5"),
        ({"q": "x email:a@b.test"}, "email:[a@b.test]"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_named(
    api: Api, site: Site, keys: dict[str, Any], ignored: str
) -> None:
    assert ask(api, site, site.member, **keys)["query"]["ignored"] == ignored


def test_a_page_beyond_the_last_is_refused(api: Api, site: Site, make: Factory) -> None:
    for number in range(7):
        make.conversation(site, title=f"Plonkering {number}")

    first = ask(api, site, q="plonkering", limit=5)["results"]
    second = ask(api, site, q="plonkering", limit=5, offset=5)["results"]

    assert (first["total"], first["totalPages"], first["type"]) == (7, 2, "result")
    assert len(first["items"]) == 5
    assert len({entry["item"]["id"] for entry in first["items"] + second["items"]}) == 7
    assert api.get(f"{PATH}?q=plonkering&limit=5&offset=10", site=site).status == 400
    assert api.get(f"{PATH}?q=plonkering&limit=7", site=site).status == 400
    assert api.get(f"{PATH}?q=nonesuchword", site=site).data["results"]["total"] == 0


def test_filters_of_author_place_time_and_following(api: Api, site: Site, make: Factory) -> None:
    place = make.microcosm(site)
    below = make.microcosm(site, parent=place)
    inside = make.conversation(site, microcosm=below, title="Skronk one", by=site.newcomer)
    outside = make.conversation(site, title="Skronk two")
    comment = make.comment(inside, markdown="skronk", by=site.member)
    everything = {named(inside), named(outside), named(comment)}
    by = site.moderator

    assert set(hits(api, site, by, q="skronk")) == everything
    data = ask(api, site, by, q="skronk", forumId=place.id)
    assert data["query"]["forumId"] == [place.id, below.id]
    assert {entry["item"]["id"] for entry in data["results"]["items"]} == {inside.id, comment.id}
    assert hits(api, site, by, q="skronk", forumId=9_999_999) == []
    assert set(hits(api, site, by, q="skronk", authorId=site.member.id)) == {
        named(outside),
        named(comment),
    }
    assert set(hits(api, site, by, q="skronk", since="-1")) == everything
    assert hits(api, site, by, q="skronk", since="1") == []
    assert set(hits(api, site, by, q="skronk", until="1")) == everything
    assert hits(api, site, by, q="skronk", until="2001-02-03T04:05") == []
    # Whoever writes somewhere follows it.
    assert hits(api, site, site.newcomer, q="skronk", following="true") == [named(inside)]
    assert hits(api, site, q="skronk", following="true") == []


def test_events_by_when_they_begin_and_who_attends(api: Api, make: Factory) -> None:
    site = make.site()
    soon = make.event(site, title="Dringle soon", when=make.clock(days=2))
    late = make.event(site, title="Dringle late", when=make.clock(days=200))
    make.attend(late, site.newcomer)
    for words in ({"q": "dringle"}, {"authorId": str(site.member.id)}):
        only: dict[str, Any] = {"type": "event", **words}
        assert [id for _, id in hits(api, site, sort="oldest", **only)][:2] == [soon.id, late.id]
        assert hits(api, site, sort="newest", eventAfter="1", **only)[0] == named(late)
        assert hits(api, site, eventAfter="100", eventBefore="300", **only) == [named(late)]
        assert hits(api, site, eventAfter="1", eventBefore="100", **only) == [named(soon)]
        assert hits(api, site, site.newcomer, attendee="true", **only) == [named(late)]
        assert hits(api, site, eventAfter="1", until="-1", **only) == []


def test_things_without_words_come_by_last_activity(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    first, second, third = (make.conversation(site, microcosm=place) for _ in range(3))
    huddle = make.huddle(site.member, site.newcomer)
    comment = make.comment(first)
    make.comment(site.newcomer, markdown="on a profile")

    assert hits(api, site, type="conversation") == [named(first), named(third), named(second)]
    data = ask(api, site, site.member, authorId=site.member.id)
    kinds = [entry["itemType"] for entry in data["results"]["items"]]
    assert sorted(kinds) == ["comment", "conversation", "conversation", "conversation", "profile"]
    assert all(
        entry["rank"] == 0.5 and entry["highlight"] == "" for entry in data["results"]["items"]
    )
    assert hits(api, site, site.member, type="huddle") == [named(huddle)]
    assert hits(api, site, type="huddle") == []
    assert hits(api, site, type="comment", id=first.id) == [named(comment)]
    assert set(hits(api, site, type=["conversation", "comment"])) == {
        *map(named, (first, second, third, comment))
    }
    assert [kind for kind, _ in hits(api, site, forumId=place.id)].count("microcosm") == 1
    assert ask(api, site, type="site")["results"]["items"][0]["item"]["siteId"] == site.id


def test_only_the_owner_searches_by_address(api: Api, site: Site, make: Factory) -> None:
    person = make.person(site, name="mailable")
    address = person.email.replace("@", "+anything@").upper()

    data = ask(api, site, site.owner, email=address)
    assert [entry["item"]["id"] for entry in data["results"]["items"]] == [person.id]
    assert data["query"]["email"] == [address]
    assert data["results"]["items"][0]["rank"] == 1
    for by in (None, site.member, site.moderator):
        refused = ask(api, site, by, email=address)
        assert "results" not in refused
        assert refused["query"] == {"ignored": f"email:[{address}]"}
    assert ask(api, site, site.owner, email="a\"'\\@b.test")["results"]["total"] == 0


def test_what_somebody_ignores_is_not_found_by_them(api: Api, site: Site, make: Factory) -> None:
    place = make.microcosm(site, title="Drazzle place")
    inside = make.conversation(site, microcosm=place, title="Drazzle inside")
    chat = make.conversation(site, title="Drazzle chat")
    person = make.person(site, name="drazzle")
    remarks = [make.comment(chat, markdown="drazzle", by=by) for by in (person, site.member)]
    everything = {*map(named, (place, inside, chat, *remarks)), ("profile", person.id)}
    viewer = make.person(site)
    assert set(hits(api, site, viewer, q="drazzle")) == everything

    make.ignore(viewer, person)
    without = everything - {("profile", person.id), named(remarks[0])}
    assert set(hits(api, site, viewer, q="drazzle")) == without
    make.ignore(viewer, place)
    assert set(hits(api, site, viewer, q="drazzle")) == {named(chat), named(remarks[1])}
    make.ignore(viewer, chat)
    assert hits(api, site, viewer, q="drazzle") == []
    assert set(hits(api, site, q="drazzle")) == everything


def test_words_of_another_site_are_not_found(
    api: Api, site: Site, trains: Site, make: Factory
) -> None:
    make.conversation(trains, title="Xylobrake")

    assert hits(api, site, q="xylobrake") == []
    assert len(hits(api, trains, q="xylobrake")) == 1


def test_the_latest_items_are_those_of_a_search_with_filters(api: Api, make: Factory) -> None:
    site = make.site()
    place, private = make.microcosm(site), make.microcosm(site)
    make.join(make.role(site, private.id, "Committee", rights=("read",)), site.moderator)
    chats = [make.conversation(site, microcosm=place) for _ in range(5)]
    make.conversation(site, microcosm=private)
    event, poll = make.event(site), make.poll(site)
    make.comment(chats[1])
    make.huddle(site.member, site.newcomer)
    make.sql(
        "UPDATE items SET is_deleted = true WHERE site_id = %(site)s AND item_id = %(id)s",
        site=site.id,
        id=chats[3].id,
    )
    make.ignore(site.newcomer, chats[2])

    for by in (None, site.newcomer, site.owner):
        for kinds in (["conversation", "event", "poll"], ["conversation"], ["poll", "event"]):
            for page in ({}, {"limit": 5}, {"limit": 5, "offset": 5}):
                asked = {"type": kinds, "sort": "date", **page}
                latest = api.get(f"{PATH}?{urlencode(asked, doseq=True)}", site=site, by=by)
                asked["since"] = "2000-01-01"
                filtered = api.get(f"{PATH}?{urlencode(asked, doseq=True)}", site=site, by=by)
                if latest.status != 200:
                    assert latest.status == filtered.status == 400, "a page past the end"
                    continue
                assert latest.data["results"]["total"] == filtered.data["results"]["total"]
                assert latest.data["results"]["items"] == filtered.data["results"]["items"]
    first = hits(api, site, type=["conversation", "event", "poll"])
    assert first[0] == named(chats[1])
    assert set(first[1:]) == {*map(named, (chats[0], chats[2], chats[4], event, poll))}


def test_a_search_costs_one_statement_beside_who_asks(api: Api, site: Site, make: Factory) -> None:
    chat = make.conversation(site, title="Costly wurble")
    make.comment(chat, markdown="wurble")
    path = f"{PATH}?q=wurble"
    api.get(path, by=site.member)

    warm = api.get(path, by=site.member)

    assert (warm.statements, warm.cache_trips) == (2, 0)
    guest = api.get(path, site=site)
    assert (guest.statements, guest.cache_trips) == (1, 0)
    api.get(f"{PATH}?type=conversation", by=site.member)
    filters = api.get(f"{PATH}?type=conversation", by=site.member)
    assert (filters.statements, filters.cache_trips) == (2, 0)


def test_the_same_answer_has_the_same_tag(api: Api, site: Site, make: Factory) -> None:
    make.conversation(site, title="Taggable murgle")
    first = api.get(f"{PATH}?q=murgle", by=site.member)

    again = api.get(
        f"{PATH}?q=murgle", by=site.member, headers={"If-None-Match": first.headers["ETag"]}
    )

    assert again.status == 304
