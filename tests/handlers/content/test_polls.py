"""Polls: making, reading, listing, changing (content 6, C-31, C-32)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory, Site, Thing

SOON = "2099-07-01T00:00:00Z"


def _body(place: int, **more: Any) -> dict[str, Any]:
    return {
        "microcosmId": place,
        "title": "Club jersey",
        "question": "Which colour?",
        "choices": [{"choice": "Green"}, {"choice": "Blue & white"}],
        **more,
    }


@pytest.fixture
def place(make: Factory, bikes: Site) -> Thing:
    return make.microcosm(bikes)


def test_a_poll_is_made_and_read(api: Api, bikes: Site, place: Thing) -> None:
    made = api.post("/api/v1/polls", _body(place.id, pollCloses=SOON, multi=True), by=bikes.member)

    assert made.status == 302
    shown = api.follow(made, by=bikes.member).data
    assert list(shown) == [
        "id",
        "title",
        "microcosmId",
        "breadcrumb",
        "question",
        "multi",
        "pollOpen",
        "choices",
        "voterCount",
        "pollCloses",
        "comments",
        "meta",
    ]
    assert (shown["question"], shown["multi"], shown["pollOpen"]) == ("Which colour?", True, True)
    assert (shown["voterCount"], shown["pollCloses"]) == (0, SOON)
    assert [(one["choice"], one["order"], one["votes"]) for one in shown["choices"]] == [
        ("Green", 1, 0),
        ("Blue &amp; white", 2, 0),
    ]
    assert shown["meta"]["flags"]["watched"] is True
    assert shown["meta"]["permissions"]["create"] is True


def test_texts_as_long_as_they_may_be_are_taken(api: Api, bikes: Site, place: Thing) -> None:
    choices = [{"choice": letter * 150} for letter in "xy"]
    long = _body(place.id, question="q" * 512, choices=choices)
    assert api.post("/api/v1/polls", long, by=bikes.member).status == 302
    for more in ({"question": "q" * 513}, {"choices": [{"choice": "x" * 151}, {"choice": "y"}]}):
        assert api.post("/api/v1/polls", {**long, **more}, by=bikes.member).status == 400


def test_the_same_question_again_leads_to_the_first(api: Api, bikes: Site, place: Thing) -> None:
    first = api.post("/api/v1/polls", _body(place.id), by=bikes.member)

    again = api.post("/api/v1/polls", _body(place.id), by=bikes.member)
    other = api.post("/api/v1/polls", _body(place.id, question="Which size?"), by=bikes.member)
    another = api.post("/api/v1/polls", _body(place.id), by=bikes.newcomer)

    assert again.location == first.location
    assert len({first.location, other.location, another.location}) == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, "title"),
        ({"question": None}, "question"),
        ({"question": "<script>x</script>"}, "question"),
        ({"question": "x" * 513}, "question"),
        ({"choices": None}, "choices"),
        ({"choices": []}, "choices"),
        ({"choices": [{"choice": "one"}]}, "choices"),
        ({"choices": [{"choice": str(n)} for n in range(51)]}, "choices"),
        ({"choices": [{"choice": "one"}, {"choice": " "}]}, "choices[1].choice"),
        ({"choices": [{"choice": "one"}, {}]}, "choices[1].choice"),
        ({"choices": [{"choice": "one"}, {"choice": "x" * 151}]}, "choices[1].choice"),
        ({"choices": [{"choice": "one"}, {"choice": "two", "id": 1}]}, "choices[1].id"),
        ({"choices": "one"}, "choices"),
        ({"pollCloses": "tomorrow"}, "pollCloses"),
        ({"pollCloses": "2099-07-01"}, "pollCloses"),
        ({"pollCloses": "2099-13-01T00:00:00Z"}, "pollCloses"),
        ({"pollCloses": "0001-01-01T00:00:00+23:00"}, "pollCloses"),
        ({"pollCloses": "2001-01-01T00:00:00Z"}, "pollCloses"),
        ({"multi": "yes"}, "multi"),
        ({"results": "never"}, "results"),
    ],
)
def test_a_bad_poll_is_refused(
    api: Api, bikes: Site, place: Thing, change: dict[str, Any], field: str
) -> None:
    refused = api.post("/api/v1/polls", {**_body(place.id), **change}, by=bikes.member)

    assert refused.status == 400
    assert field in refused.error
    assert api.get("/api/v1/polls", by=bikes.member).status == 200


def test_create_is_asked_of_the_microcosm(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    make.role(site, place.id, "Readers", users=True, guests=True, rights=("read",))
    without = make.microcosm(site, item_types=(2, 6))

    assert api.post("/api/v1/polls", _body(place.id), by=site.member).code == 10
    assert api.post("/api/v1/polls", _body(place.id), site=site).code == 10
    assert api.post("/api/v1/polls", _body(without.id), by=site.member).status == 400
    assert api.post("/api/v1/polls", _body(site.root_id), by=site.member).status in (302, 400)


def test_a_poll_closes_by_itself(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    assert api.get(poll.path, by=bikes.member).data["pollOpen"] is True
    make.sql(
        "UPDATE polls SET closes = now() - interval '1 second' WHERE site_id = %(site)s AND item_id = %(id)s",
        site=bikes.id,
        id=poll.id,
    )

    assert api.get(poll.path, by=bikes.member).data["pollOpen"] is False


@pytest.mark.wide
def test_a_kept_page_knows_when_the_poll_closes(api: Api, make: Factory, bikes: Site) -> None:
    # A machine that needs longer than a second for the first look gets more.
    for ahead_s in (1, 5, 25):
        poll = make.poll(bikes)
        make.sql(
            """
            UPDATE polls SET closes = clock_timestamp() + make_interval(secs => %(s)s)
             WHERE site_id = %(site)s AND item_id = %(id)s""",
            s=ahead_s,
            site=bikes.id,
            id=poll.id,
        )
        if api.get(poll.path, site=bikes).data["pollOpen"]:
            break
    else:
        pytest.fail("it never was open")
    make.sql("SELECT pg_sleep(%(s)s)", s=ahead_s + 0.1)

    assert api.get(poll.path, site=bikes).data["pollOpen"] is False


def test_the_list_shows_summaries(api: Api, make: Factory) -> None:
    site = make.site()
    secret = make.microcosm(site)
    make.role(site, secret.id, "Nobody", users=True)
    first = make.poll(site, title="First")
    make.poll(site, title="Secret", microcosm=secret, by=site.owner)
    sticky = make.poll(site, title="Sticky")
    gone = make.poll(site, title="Gone")
    make.comment(first)
    api.patch(sticky.path, ("sticky", True), by=site.owner)
    api.delete(gone.path, by=site.owner)

    api.get("/api/v1/polls", by=site.member)
    answer = api.get("/api/v1/polls", by=site.member)

    assert list(answer.data) == ["polls", "meta"]
    page = answer.data["polls"]
    assert [entry["title"] for entry in page["items"]] == ["Sticky", "First"]
    assert (page["total"], page["type"]) == (2, "/api/v1/polls")
    assert list(page["items"][1]) == [
        "id",
        "title",
        "microcosmId",
        "breadcrumb",
        "question",
        "multi",
        "pollOpen",
        "totalComments",
        "totalViews",
        "meta",
    ]
    assert page["items"][1]["totalComments"] == 1
    assert answer.statements <= 3


def test_a_poll_page_costs_what_a_conversation_page_does(
    api: Api, make: Factory, bikes: Site
) -> None:
    poll, chat = make.poll(bikes), make.conversation(bikes)
    for thing in (poll, chat):
        make.comments(thing, 25)
        for by in (None, bikes.moderator):
            api.get(thing.path, site=bikes, by=by)

    for by in (None, bikes.moderator):
        costs = [
            (answer.statements, answer.cache_trips)
            for answer in (api.get(thing.path, site=bikes, by=by) for thing in (poll, chat))
        ]
        assert costs[0] == costs[1]
        assert costs[0][0] <= 3
        assert costs[0][1] <= 1


# ---------------------------------------------------------------- changing


def _choices(api: Api, poll: Thing) -> list[tuple[int, str]]:
    shown = api.get(poll.path, by=poll.site.owner).data["choices"]
    assert [one["order"] for one in shown] == list(range(1, len(shown) + 1))
    return [(one["id"], one["choice"]) for one in shown]


def _put(api: Api, poll: Thing, **change: Any) -> int:
    body = {**change, "meta": {"editReason": "because"}}
    return api.put(poll.path, body, by=poll.site.owner).status


def test_choices_are_kept_renamed_moved_added_and_removed(
    api: Api, make: Factory, bikes: Site
) -> None:
    poll = make.poll(bikes)
    (red, _), (green, _), (blue, _) = _choices(api, poll)

    new = [{"choice": "New"}, {"id": blue, "choice": "Teal"}, {"id": red, "choice": "Red"}]
    assert _put(api, poll, choices=new) == 302

    after = _choices(api, poll)
    assert [text for _, text in after] == ["New", "Teal", "Red"]
    assert [id for id, _ in after][1:] == [blue, red]
    assert after[0][0] not in (red, green, blue)


def test_what_is_not_sent_stays(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes, is_multi=True)
    before = api.get(poll.path, by=bikes.owner).data

    assert _put(api, poll, question="Which one now?") == 302

    after = api.get(poll.path, by=bikes.owner).data
    assert after["question"] == "Which one now?"
    for key in ("title", "multi", "pollOpen", "choices", "microcosmId"):
        assert after[key] == before[key]
    assert after["meta"]["editReason"] == "because"


def test_a_closing_time_is_set_and_taken_back(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)

    assert _put(api, poll, pollCloses="2001-01-01T02:00:00.5+02:00") == 302
    shown = api.get(poll.path, by=bikes.member).data
    assert (shown["pollCloses"], shown["pollOpen"]) == ("2001-01-01T00:00:00.5Z", False)
    assert _put(api, poll, pollCloses="") == 302
    shown = api.get(poll.path, by=bikes.member).data
    assert "pollCloses" not in shown
    assert shown["pollOpen"] is True
    assert _put(api, poll, pollOpen=False) == 302
    assert api.get(poll.path, by=bikes.member).data["pollOpen"] is False


def test_choices_of_another_poll_are_refused(api: Api, make: Factory, bikes: Site) -> None:
    poll, other = make.poll(bikes), make.poll(bikes)
    mine, foreign = _choices(api, poll)[0][0], _choices(api, other)[0][0]

    stolen = [{"id": mine, "choice": "Mine"}, {"id": foreign, "choice": "Stolen"}]
    assert _put(api, poll, choices=stolen) == 400
    twice = [{"id": mine, "choice": "Mine"}, {"id": mine, "choice": "Again"}]
    assert _put(api, poll, choices=twice) == 400
    assert [text for _, text in _choices(api, poll)] == ["Red", "Green", "Blue"]
    assert [text for _, text in _choices(api, other)] == ["Red", "Green", "Blue"]


def test_counts_in_a_body_are_ignored(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    sent = [
        {"id": id, "choice": text, "votes": 99, "voterCount": 99}
        for id, text in _choices(api, poll)
    ]

    assert _put(api, poll, choices=sent, voterCount=99) == 302

    shown = api.get(poll.path, by=bikes.member).data
    assert shown["voterCount"] == 0
    assert {one["votes"] for one in shown["choices"]} == {0}


def test_a_reason_is_needed(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)

    assert api.put(poll.path, {"question": "x y"}, by=bikes.owner).status == 400


def test_it_moves_hides_and_comes_back_with_its_counts(
    api: Api, make: Factory, bikes: Site
) -> None:
    site = make.site()
    old, new = make.microcosm(site), make.microcosm(site)
    poll = make.poll(site, microcosm=old)
    make.comments(poll, 2)

    def counts(place: Thing) -> tuple[int, int]:
        rows = make.sql(
            """
            SELECT coalesce(sum(n.items), 0)::int, coalesce(sum(n.comments), 0)::int
              FROM (SELECT item_count AS items, comment_count AS comments FROM microcosm_counts
                     WHERE site_id = %(site)s AND microcosm_id = %(id)s
                     UNION ALL
                    SELECT items, comments FROM microcosm_deltas
                     WHERE site_id = %(site)s AND microcosm_id = %(id)s) n""",
            site=site.id,
            id=place.id,
        )
        return rows[0][0], rows[0][1]

    assert (counts(old), counts(new)) == ((1, 2), (0, 0))
    assert _put(api, poll, microcosmId=new.id) == 302
    assert (counts(old), counts(new)) == ((0, 0), (1, 2))
    api.delete(poll.path, by=site.owner)
    assert counts(new) == (0, 0)
    assert api.get(poll.path, by=site.newcomer).status == 404
    assert api.patch(poll.path, ("deleted", False), by=site.owner).status == 200
    assert counts(new) == (1, 2)
    assert api.get(poll.path, by=site.member).data["comments"]["total"] == 2


def test_only_its_author_and_those_who_may_change_it(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes, by=bikes.member)
    body = {"question": "Mine now?", "meta": {"editReason": "why not"}}

    assert api.put(poll.path, body, by=bikes.newcomer).code == 11
    assert api.delete(poll.path, by=bikes.newcomer).code == 12
    assert api.put(poll.path, body, by=bikes.member).status == 302
    assert api.delete(poll.path, by=bikes.member).status == 200
    assert api.delete(poll.path, by=bikes.member).status == 200


def test_comments_and_the_way_to_them(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    assert api.get(f"{poll.path}/lastcomment", by=bikes.member).location == poll.path
    comments = make.comments(poll, 30)

    last = api.get(f"{poll.path}/lastcomment", by=bikes.newcomer)
    first = api.get(f"{poll.path}/newcomment", by=bikes.newcomer)

    assert last.location == f"{poll.path}?comment_id={comments[-1].id}&offset=25"
    assert first.location == f"{poll.path}?comment_id={comments[0].id}"
    assert "lastComment" not in api.get("/api/v1/polls", by=bikes.member).data["polls"]["items"][0]
