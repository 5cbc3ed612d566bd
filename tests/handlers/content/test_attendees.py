"""Tests of who comes to an event: content 5.5 to 5.7."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api import Api, Response
from tests.factories import RENAME, Factory, Person, Site, Thing
from tests.fixtures import Server


def answer(
    api: Api, ride: Thing, rsvp: str, *, by: Person, of: Person | None = None, **more: Any
) -> Response:
    body = [{"profileId": (of or by).id, "rsvp": rsvp, **more}]
    return api.put(f"{ride.path}/attendees", body, by=by)


def shown(api: Api, ride: Thing) -> tuple[int, int]:
    """(attending, spaces) as everybody sees them."""
    data = api.get(ride.path, site=ride.site).data
    return data.get("rsvpAttend", 0), data.get("rsvpSpaces", 0)


def states(api: Api, ride: Thing) -> dict[int, str]:
    entries = api.get(f"{ride.path}/attendees?limit=250", site=ride.site).data["attendees"]["items"]
    return {one["profileId"]: "waiting" if one.get("waiting") else one["rsvp"] for one in entries}


def test_a_member_says_yes_and_changes_their_mind(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes, limit=3)

    assert answer(api, ride, "yes", by=bikes.newcomer).status == 200
    assert shown(api, ride) == (1, 2)
    mine = api.get(f"{ride.path}/attendees/{bikes.newcomer.id}", by=bikes.newcomer).data
    assert (mine["rsvp"], "edited" in mine["meta"]) == ("yes", False)
    assert mine["meta"]["permissions"]["delete"] is True

    assert answer(api, ride, "no", by=bikes.newcomer).status == 200
    assert shown(api, ride) == (0, 3)
    mine = api.get(f"{ride.path}/attendees/{bikes.newcomer.id}", by=bikes.newcomer).data
    assert (mine["rsvp"], mine["meta"]["editedBy"]["id"]) == ("no", bikes.newcomer.id)

    assert api.delete(f"{ride.path}/attendees/{bikes.newcomer.id}", by=bikes.newcomer).status == 200
    assert api.get(f"{ride.path}/attendees/{bikes.newcomer.id}", by=bikes.newcomer).status == 404
    assert api.delete(f"{ride.path}/attendees/{bikes.newcomer.id}", by=bikes.newcomer).status == 200


def test_an_answer_by_address_leads_to_itself(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    path = f"{ride.path}/attendees/{bikes.newcomer.id}"

    # The address says for whom, whatever the body says.
    made = api.put(path, {"profileId": bikes.member.id, "rsvp": "yes"}, by=bikes.newcomer)

    assert (made.status, made.location) == (302, path)
    assert states(api, ride) == {bikes.newcomer.id: "yes"}


@pytest.mark.parametrize(
    ("who", "whom", "rsvp", "status"),
    [
        ("newcomer", "member", "maybe", 403),
        ("member", "newcomer", "maybe", 200),
        ("member", "newcomer", "yes", 403),
        ("moderator", "newcomer", "no", 200),
        ("moderator", "newcomer", "yes", 403),
        ("owner", "newcomer", "invited", 200),
        ("owner", "owner", "yes", 200),
        ("guest", "newcomer", "yes", 403),
        ("banned", "banned", "yes", 403),
    ],
)
def test_others_are_answered_for_by_who_runs_the_event_and_never_with_yes(
    api: Api, make: Factory, bikes: Site, who: str, whom: str, rsvp: str, status: int
) -> None:
    ride = make.event(bikes)
    body = [{"profileId": getattr(bikes, whom).id, "rsvp": rsvp}]

    said = api.put(f"{ride.path}/attendees", body, site=bikes, by=bikes.cast()[who])

    assert said.status == status
    assert (getattr(bikes, whom).id in states(api, ride)) is (status == 200)


def test_a_batch_is_stored_whole_or_not_at_all(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    ride = make.event(bikes)
    path = f"{ride.path}/attendees"
    good = {"profileId": bikes.newcomer.id, "rsvp": ""}

    for bad, status in (
        ({"profileId": trains.member.id, "rsvp": "maybe"}, 404),
        ({"profileId": 987_654_321, "rsvp": "maybe"}, 404),
        ({"profileId": bikes.owner.id, "rsvp": "perhaps"}, 400),
        ({"profileId": bikes.owner.id, "rsvp": "yes"}, 403),
        ({}, 404),
    ):
        assert api.put(path, [good, bad], by=bikes.member).status == status
        assert states(api, ride) == {}
    assert api.put(path, [], by=bikes.member).status == 400
    assert api.put(path, [good] * 1001, by=bikes.member).status == 400

    assert api.put(path, [good], by=bikes.member).status == 200
    assert states(api, ride) == {bikes.newcomer.id: "invited"}


def test_a_full_event_is_full_and_repeating_a_yes_is_no_news(
    api: Api, make: Factory, bikes: Site
) -> None:
    ride = make.event(bikes, limit=1)
    assert answer(api, ride, "yes", by=bikes.newcomer).status == 200

    refused = answer(api, ride, "yes", by=bikes.member)
    assert (refused.status, refused.json()["data"]["errorCode"]) == (400, 18)
    before = api.get(f"{ride.path}/attendees", by=bikes.member).data
    assert answer(api, ride, "yes", by=bikes.newcomer).status == 200
    assert api.get(f"{ride.path}/attendees", by=bikes.member).data == before


def test_a_batch_counts_as_it_goes(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes, limit=1)
    assert answer(api, ride, "yes", by=bikes.newcomer).status == 200

    # The owner takes the place that they free in the same batch.
    batch = [
        {"profileId": bikes.newcomer.id, "rsvp": "no"},
        {"profileId": bikes.member.id, "rsvp": "yes"},
    ]
    assert api.put(f"{ride.path}/attendees", batch, by=bikes.member).status == 200
    assert states(api, ride) == {bikes.newcomer.id: "no", bikes.member.id: "yes"}


def test_who_waits_moves_up_in_order(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes, limit=1)
    first, second, third = (make.person(bikes) for _ in range(3))
    assert answer(api, ride, "yes", by=bikes.newcomer).status == 200
    for one in (first, second, third):
        assert answer(api, ride, "yes", by=one, waiting=True).status == 200
    assert shown(api, ride) == (1, 0)
    # Asking again keeps the place; an answer of another kind gives it up.
    assert answer(api, ride, "yes", by=first, waiting=True).status == 200
    assert answer(api, ride, "no", by=second).status == 200

    assert answer(api, ride, "no", by=bikes.newcomer).status == 200
    assert states(api, ride) == {
        first.id: "yes",
        third.id: "waiting",
        bikes.newcomer.id: "no",
        second.id: "no",
    }
    assert shown(api, ride) == (1, 0)
    # More spaces, by the owner of the event, let the rest in.
    more = {"rsvpLimit": 2, "meta": {"editReason": "a larger room"}}
    assert api.put(ride.path, more, by=bikes.member).status == 302
    assert states(api, ride)[third.id] == "yes"
    assert shown(api, ride) == (2, 0)
    fewer = {"rsvpLimit": 1, "meta": {"editReason": "a smaller room"}}
    assert api.put(ride.path, fewer, by=bikes.member).status == 302
    assert shown(api, ride) == (2, 0)
    assert api.delete(f"{ride.path}/attendees/{third.id}", by=third).status == 200
    assert shown(api, ride) == (1, 0)


def test_a_closed_event_and_one_that_is_over_take_no_answers(
    api: Api, make: Factory, bikes: Site
) -> None:
    closed = make.event(bikes)
    over = make.event(bikes, when=make.clock(days=-2))
    assert api.patch(closed.path, ("open", False), by=bikes.moderator).status == 200

    for ride, code in ((closed, 17), (over, 19)):
        refused = answer(api, ride, "yes", by=bikes.newcomer)
        assert (refused.status, refused.json()["data"]["errorCode"]) == (400, code)
    assert answer(api, closed, "yes", by=bikes.moderator).status == 200


def test_hidden_events_have_no_attendees_to_show(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    assert answer(api, ride, "yes", by=bikes.newcomer).status == 200
    assert api.delete(ride.path, by=bikes.moderator).status == 200

    for path in ("attendees", f"attendees/{bikes.newcomer.id}"):
        assert api.get(f"{ride.path}/{path}", by=bikes.newcomer).status == 404
        assert api.get(f"{ride.path}/{path}", by=bikes.moderator).status == 200
    assert answer(api, ride, "no", by=bikes.newcomer).status == 404


@pytest.mark.wide
def test_an_event_that_may_not_be_read_is_told_from_none_by_nothing(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    place = make.microcosm(bikes)
    make.role(bikes, place.id, "Nobody", rights=())
    secret = make.event(bikes, microcosm=place, by=bikes.owner)
    foreign = make.event(trains)

    def told(event_id: int, by: Person | None, profile_id: int) -> list[tuple[Any, ...]]:
        base = f"/api/v1/events/{event_id}"
        one = f"{base}/attendees/{profile_id}"
        answers = [
            api.get(one, site=bikes, by=by),
            api.put(one, {"rsvp": "yes"}, site=bikes, by=by),
            api.delete(one, site=bikes, by=by),
            api.put(
                f"{base}/attendees",
                [{"profileId": profile_id, "rsvp": "yes"}],
                site=bikes,
                by=by,
            ),
            api.get(f"{base}/attendees", site=bikes, by=by),
            api.get(f"{base}/attendeescsv", site=bikes, by=by),
        ]
        # What a guest costs hangs on when this process last looked for changed sites.
        return [(said.status, said.body, by and said.statements) for said in answers]

    for by in (None, bikes.newcomer, bikes.banned):
        me = by.id if by else bikes.newcomer.id
        for profile_id in (me, bikes.owner.id):
            # The first round may have to read the site's tree.
            told(987_654_321, by, profile_id)
            nothing = told(987_654_321, by, profile_id)
            assert told(foreign.id, by, profile_id) == nothing
            statuses = [one[:2] for one in nothing]
            assert [one[:2] for one in told(secret.id, by, profile_id)] == statuses
            assert {status for status, _ in statuses} == {403}
    # Nor is a profile of another site told from one that never was.
    ride = make.event(bikes)
    for by in (bikes.newcomer, bikes.owner):
        assert [
            api.get(f"{ride.path}/attendees/{id}", by=by).body for id in (trains.member.id,)
        ] == [api.get(f"{ride.path}/attendees/987654321", by=by).body]


def test_attendees_are_listed_by_answer_and_time(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    for who, rsvp in ((bikes.member, "no"), (bikes.newcomer, "yes"), (bikes.moderator, "maybe")):
        assert answer(api, ride, rsvp, by=who).status == 200
    assert answer(api, ride, "yes", by=bikes.owner).status == 200

    path = f"{ride.path}/attendees"
    listed = api.get(path, site=bikes)
    ids = [one["profileId"] for one in listed.data["attendees"]["items"]]
    assert ids == [bikes.newcomer.id, bikes.owner.id, bikes.moderator.id, bikes.member.id]
    assert listed.data["attendees"]["type"] == "/api/v1/events/0/attendees"
    coming = api.get(f"{path}?status=attending", site=bikes).data["attendees"]
    assert (coming["total"], len(coming["items"])) == (2, 2)
    second = api.get(f"{path}?limit=25&offset=25", site=bikes)
    assert second.status == 400
    assert api.get(path, site=bikes).statements == 2
    assert api.get(path, by=bikes.newcomer).statements == 3


def test_saying_yes_follows_the_event_and_leaves_its_marks(
    api: Api, make: Factory, bikes: Site
) -> None:
    ride = make.event(bikes, limit=1)
    waits = make.person(bikes)
    answer(api, ride, "yes", by=bikes.newcomer)
    answer(api, ride, "yes", by=waits, waiting=True)
    assert "watched" not in api.get(ride.path, by=waits).data["meta"]["flags"]
    api.delete(f"{ride.path}/attendees/{bikes.newcomer.id}", by=bikes.newcomer)

    for who in (bikes.newcomer, waits):
        assert api.get(ride.path, by=who).data["meta"]["flags"]["watched"] is True
    logged = make.sql(
        """
        SELECT kind, item_id, actor_id FROM event_log
         WHERE site_id = %(site)s AND item_type_id = 13 AND parent_type_id = 9 AND parent_id = %(id)s
         ORDER BY event_id""",
        site=bikes.id,
        id=ride.id,
    )
    assert logged == [
        ("created", bikes.newcomer.id, bikes.newcomer.id),
        ("created", waits.id, waits.id),
        ("deleted", bikes.newcomer.id, bikes.newcomer.id),
        ("patched", waits.id, None),
    ]


# ---------------------------------------------------------------- CSV


def test_the_csv_is_for_who_runs_the_event(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    answer(api, ride, "yes", by=bikes.newcomer)
    answer(api, ride, "maybe", by=bikes.owner)
    path = f"{ride.path}/attendeescsv"

    for who, status in (("guest", 403), ("newcomer", 403), ("moderator", 200), ("owner", 200)):
        assert api.get(path, site=bikes, by=bikes.cast()[who]).status == status
    got = api.get(f"{path}?access_token={bikes.member.token}", site=bikes)
    assert got.status == 200
    assert got.headers["content-type"] == "text/csv"
    assert got.headers["content-disposition"] == f"attachment; filename=event{ride.id}.csv"
    assert got.headers["cache-control"] == "no-cache, max-age=0"
    lines = got.body.decode().split("\r\n")
    assert lines[0] == "name,id,email,date"
    # Addresses are for the site's owner.
    assert lines[1].startswith(f'"newcomer",{bikes.newcomer.id},"","20')
    assert lines[2:] == [""]


def test_the_csv_holds_no_formula(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    names = ["=1+1", "+1", "-1", "@sum", "a&#34;b,c", "&#61;2", "plain"]
    for name in names:
        person = make.person(bikes)
        with make.database.write() as tx:
            tx.run(RENAME, site_id=bikes.id, profile_id=person.id, name=name)
        assert answer(api, ride, "yes", by=person).status == 200

    text = api.get(f"{ride.path}/attendeescsv", by=bikes.member).body.decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert {row[0] for row in rows[1:]} == {
        "'=1+1",
        "'+1",
        "'-1",
        "'@sum",
        'a"b,c',
        "'=2",
        "plain",
    }
    assert '"a""b,c"' in text


# ---------------------------------------------------------------- many at once


@pytest.mark.wide
@pytest.mark.slow
def test_two_hundred_at_once_fill_an_event_exactly(
    api: Api, server: Server, make: Factory, bikes: Site
) -> None:
    ride = make.event(bikes, limit=20)
    people = [make.person(bikes) for _ in range(200)]
    path = f"{ride.path}/attendees"

    def each(work: Any) -> list[Any]:
        with ThreadPoolExecutor(40) as pool:
            return list(pool.map(work, people))

    def say(person: Person, rsvp: str, waiting: bool) -> int:
        client = server.api()
        try:
            body = [{"profileId": person.id, "rsvp": rsvp, "waiting": waiting}]
            status = 503
            # Where too many wait for one event, the worker says so, and the client asks again.
            while status == 503:
                status = client.put(path, body, by=person).status
            return status
        finally:
            client.close()

    # Every other one waits if need be; the rest are told that it is full.
    said = each(lambda person: say(person, "yes", person.id % 2 == 0))
    assert set(said) <= {200, 400}
    assert shown(api, ride) == (20, 0)
    held = list(states(api, ride).values())
    assert held.count("yes") == 20
    assert said.count(200) == len(held)

    # All who come leave at once, and those who wait take their places: never more than there are.
    said_yes = states(api, ride)
    coming = [person for person in people if said_yes.get(person.id) == "yes"]
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda person: say(person, "no", False), coming)) == {200}
    assert list(states(api, ride).values()).count("yes") == 20
    assert shown(api, ride) == (20, 0)
    stored = make.sql(
        "SELECT rsvp_attending FROM events WHERE site_id = %(site)s AND item_id = %(id)s",
        site=bikes.id,
        id=ride.id,
    )
    assert stored == [(20,)]
