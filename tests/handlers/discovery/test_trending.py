"""Tests of what is trending: scored by a job, filtered for each viewer by what is so now (discovery 9, T-01 to
T-04)."""

from __future__ import annotations

import math

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron import trending
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

PATH = "/api/v1/trending"
HOUR_S = 3600.0


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def score(make: Factory) -> None:
    with make.database.write() as tx:
        assert trending.trending_scores(tx, Config())


def scored(make: Factory, site: Site) -> dict[int, object]:
    """Item id -> when its score was written."""
    return dict(
        make.sql(
            "SELECT item_id, computed FROM trending_scores WHERE site_id = %(site)s", site=site.id
        )
    )


def titles(api: Api, site: Site, by: Person | None = None, query: str = "") -> list[str]:
    answer = api.get(PATH + query, site=site, by=by)
    assert answer.status == 200, answer.body
    return [entry["item"]["title"] for entry in answer.data["items"]["items"]]


def dated(make: Factory, thing: Thing, *, made_s: float, active_s: float) -> None:
    """Let an item be so many seconds old, and its comments and last activity so many."""
    make.sql(
        """
        WITH one AS (
            UPDATE items SET created = now() - make_interval(secs => %(made)s),
                   last_activity = now() - make_interval(secs => %(active)s)
             WHERE site_id = %(site)s AND item_id = %(id)s)
        UPDATE comments SET created = now() - make_interval(secs => %(active)s)
         WHERE site_id = %(site)s AND item_id = %(id)s RETURNING 1""",
        site=thing.site.id,
        id=thing.id,
        made=made_s,
        active=active_s,
    )


def test_the_hottest_comes_first(api: Api, make: Factory, site: Site) -> None:
    # n, age in hours, hours since the last comment
    cases = {"a": (1, 30, 1), "b": (3, 30, 1), "c": (3, 300, 1), "d": (3, 30, 29), "e": (9, 90, 40)}
    for title, (n, age, idle) in cases.items():
        thing = make.conversation(site, title=title)
        make.comments(thing, n)
        dated(make, thing, made_s=age * HOUR_S, active_s=idle * HOUR_S)
    expected = sorted(cases, key=lambda t: -cases[t][0] * math.exp(-cases[t][2] / 48) / cases[t][1])

    score(make)

    assert titles(api, site) == expected


def test_only_what_was_commented_lately_and_is_visible_counts(
    api: Api, make: Factory, site: Site
) -> None:
    make.conversation(site, title="never commented")
    old = make.conversation(site, title="two weeks ago")
    make.comments(old, 3)
    dated(make, old, made_s=900 * HOUR_S, active_s=337 * HOUR_S)
    unseen = make.conversation(site, title="hidden comments")
    for comment in make.comments(unseen, 2):
        api.patch(
            comment.path,
            ("moderated", True),
            by=site.owner,
        )
    huddle = make.huddle(site.member, site.newcomer)
    make.comment(huddle, by=site.member)
    make.comment(make.conversation(site, title="this one"))

    score(make)

    assert titles(api, site, site.owner) == ["this one"]


def test_events_and_polls_trend_too(api: Api, make: Factory, site: Site) -> None:
    for n, thing in enumerate(
        (make.conversation(site), make.event(site), make.poll(site)), start=1
    ):
        make.comments(thing, n)
    score(make)

    entries = api.get(PATH, site=site, by=site.member).data["items"]["items"]

    assert [entry["itemType"] for entry in entries] == ["poll", "event", "conversation"]
    assert [entry["item"]["meta"]["flags"]["unread"] for entry in entries] == [True] * 3


def test_a_new_item_counts_as_an_hour_old(api: Api, make: Factory, site: Site) -> None:
    fresh, young = make.conversation(site, title="fresh"), make.conversation(site, title="young")
    make.comments(fresh, 1)
    make.comments(young, 2)
    dated(make, young, made_s=1.5 * HOUR_S, active_s=0)

    score(make)

    assert titles(api, site) == ["young", "fresh"]


def test_each_viewer_sees_what_they_may_read_and_do_not_ignore_now(
    api: Api, make: Factory, site: Site
) -> None:
    hidden = make.microcosm(site, "Members only")
    make.role(site, hidden.id, "Members", users=True, rights=("read",))
    below = make.microcosm(site, "Below", parent=hidden)
    places = {"open": None, "closed": hidden, "closed below": below}
    things = {}
    for title, place in places.items():
        things[title] = make.conversation(site, title=title, microcosm=place)
        make.comments(things[title], 2)
    score(make)
    everything = {"open", "closed", "closed below"}

    assert set(titles(api, site)) == {"open"}
    assert set(titles(api, site, site.member)) == everything
    make.ignore(site.newcomer, things["open"])
    assert set(titles(api, site, site.newcomer)) == {"closed", "closed below"}
    make.ignore(site.newcomer, hidden)
    assert titles(api, site, site.newcomer) == []
    # Without any job in between.
    api.delete(things["closed"].path, by=site.owner)
    assert set(titles(api, site, site.member)) == {"open", "closed below"}
    assert api.get(PATH, site=site, by=site.banned).status == 403


def test_reading_one_makes_it_read(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    make.comment(chat, by=site.owner)
    score(make)

    def unread(by: Person | None) -> bool:
        (entry,) = api.get(PATH, site=site, by=by).data["items"]["items"]
        return bool(entry["item"]["meta"]["flags"]["unread"])

    assert unread(site.member)
    api.get(chat.path, by=site.member)
    assert not unread(site.member)
    assert unread(site.newcomer)
    assert not unread(None)


@pytest.mark.wide
def test_at_most_twenty_five_on_pages_that_go_on(api: Api, make: Factory, site: Site) -> None:
    chats = [make.conversation(site, title=str(n)) for n in range(27)]
    for n, chat in enumerate(chats, start=1):
        make.comments(chat, n)
    score(make)

    whole = api.get(PATH, site=site).data["items"]
    assert {key: whole[key] for key in ("total", "limit", "offset", "maxOffset", "totalPages")} == {
        "total": 25, "limit": 25, "offset": 0, "maxOffset": 0, "totalPages": 1,
    }  # fmt: skip
    all_titles = titles(api, site)
    assert all_titles == [str(n) for n in range(26, 1, -1)]
    assert titles(api, site, query="?limit=10&offset=20") == all_titles[20:]
    assert api.get(PATH + "?offset=25", site=site).status == 400
    assert api.get(PATH + "?limit=7", site=site).status == 400


def test_an_empty_list_has_no_pages(api: Api, site: Site) -> None:
    page = api.get(PATH, site=site).data["items"]

    assert (page["total"], page["totalPages"], page["items"]) == (0, 0, [])
    assert page["type"] == "items"


def test_it_costs_one_statement_beside_the_caller(api: Api, make: Factory, site: Site) -> None:
    for _ in range(3):
        make.comments(make.conversation(site), 2)
    score(make)

    for by, most in ((None, 1), (site.member, 2)):
        api.get(PATH, site=site, by=by)
        assert api.get(PATH, site=site, by=by).statements <= most


def test_scores_are_kept_for_each_microcosm_and_written_when_they_move(
    api: Api, make: Factory, site: Site
) -> None:
    chats = [make.conversation(site) for _ in range(2)]
    for chat in chats:
        make.comment(chat)
        dated(make, chat, made_s=100 * HOUR_S, active_s=HOUR_S)

    score(make)
    first = scored(make, site)
    assert set(first) == {chat.id for chat in chats}
    score(make)
    assert scored(make, site) == first
    make.comment(chats[0])
    score(make)
    second = scored(make, site)
    assert [id for id in first if second[id] != first[id]] == [chats[0].id]
    make.sql(
        "UPDATE items SET is_deleted = true WHERE item_id = %(id)s RETURNING 1", id=chats[1].id
    )
    score(make)
    assert set(scored(make, site)) == {chats[0].id}


def test_a_crowded_microcosm_does_not_crowd_out_the_others(
    api: Api, make: Factory, site: Site
) -> None:
    crowded, quiet = make.microcosm(site), make.microcosm(site)
    make.sql(
        """
        WITH made AS (
            INSERT INTO items (site_id, item_type_id, microcosm_id, title, created_by)
            SELECT %(site)s, %(type)s, %(place)s, 'Hot ' || n, %(by)s
              FROM generate_series(1, %(n)s) n RETURNING item_id)
        INSERT INTO comments (site_id, item_id, seq, created_by, edited_by, markdown, html)
        SELECT %(site)s, m.item_id, s, %(by)s, %(by)s, '', '' FROM made m, generate_series(1, 3) s
        RETURNING 1""",
        site=site.id,
        type=itemtypes.CONVERSATION,
        place=crowded.id,
        by=site.member.id,
        n=trending.KEPT + 20,
    )
    make.comment(make.conversation(site, microcosm=quiet, title="quiet"))

    score(make)
    assert len(scored(make, site)) == trending.KEPT + 1
    make.ignore(site.newcomer, crowded)
    assert titles(api, site, site.newcomer) == ["quiet"]
