"""Events over real HTTP: content 5.1 to 5.4."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory, Site

RIDE: dict[str, Any] = {
    "title": "Sunday gravel loop",
    "when": "2031-06-08T09:30:00+05:00",
    "tz": "Europe/Lisbon",
    "duration": 240,
    "where": "North gate\nby the kiosk",
    "lat": 41.15,
    "lon": -8.61,
    "north": 41.2,
    "east": -8.5,
    "south": 41.1,
    "west": -8.7,
    "rsvpLimit": 20,
}


def announce(api: Api, site: Site, **fields: Any) -> Any:
    made = api.post(
        "/api/v1/events", {**RIDE, "microcosmId": site.root_id, **fields}, by=site.member
    )
    assert made.status == 302, made.body
    return made


def change(api: Api, site: Site, path: str, **fields: Any) -> Any:
    body = {"meta": {"editReason": "better so"}, **fields}
    answer = api.put(path, body, by=site.member)
    assert answer.status == 302, answer.body
    return api.get(path, by=site.member).data


def test_a_member_announces_an_event_and_reads_it_back(api: Api, bikes: Site) -> None:
    made = announce(api, bikes)
    shown = api.follow(made, by=bikes.member).data

    # The digits are what counts, whatever the offset; the instant is theirs at the place.
    assert shown["when"] == "2031-06-08T09:30:00Z"
    assert shown["whentz"] == "2031-06-08T08:30:00Z"
    assert {key: shown[key] for key in RIDE if key != "when"} == {
        key: value for key, value in RIDE.items() if key != "when"
    }
    assert (shown["status"], shown["rsvpLimit"], shown["rsvpSpaces"]) == ("upcoming", 20, 20)
    assert "rsvpAttend" not in shown
    assert shown["meta"]["flags"]["attending"] is False
    assert shown["meta"]["flags"]["watched"] is True
    assert "attending" not in api.get(made.location, site=bikes).data["meta"]["flags"]


def test_an_event_needs_no_more_than_a_title(api: Api, bikes: Site) -> None:
    made = api.post(
        "/api/v1/events",
        {
            "microcosmId": bikes.root_id,
            "title": "Some day",
            "when": None,
            "lat": None,
            "duration": None,
        },
        by=bikes.member,
    )
    shown = api.follow(made, by=bikes.member).data

    assert (shown["tz"], shown["status"], shown["rsvpLimit"]) == ("Europe/Belfast", "proposed", 0)
    assert not {"when", "whentz", "duration", "where", "lat", "rsvpSpaces"} & set(shown)


def test_the_same_event_within_minutes_is_the_first_one(api: Api, bikes: Site) -> None:
    first = announce(api, bikes, title="Said twice")

    assert announce(api, bikes, title="Said twice").location == first.location
    assert announce(api, bikes, title="Said twice", lat=40.0).location != first.location
    assert announce(api, bikes, title="Said twice", when="").location != first.location
    elsewhere = announce(api, bikes, title="Said twice", tz="Asia/Tokyo").location
    assert elsewhere != first.location
    assert announce(api, bikes, title="Said twice", tz="Asia/Tokyo").location == elsewhere


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("when", "tomorrow", 3),
        ("when", "2031-02-30T10:00:00Z", 3),
        ("when", "2031-06-08", 3),
        ("when", "2031-06-08T10:00:00+25:00", 3),
        ("when", "9999-12-31T23:59:00Z", 4),
        ("when", 7, 3),
        ("tz", "Mars/Olympus", 0),
        ("tz", "../../etc/passwd", 0),
        ("tz", "localtime", 0),
        ("lat", 90.001, 4),
        ("lon", -181, 4),
        ("north", 1e300, 4),
        ("west", "far", 3),
        ("rsvpLimit", -1, 4),
        ("rsvpLimit", 2**31, 4),
        ("duration", 2**31, 4),
        ("where", "x" * 151, 4),
    ],
)
def test_bad_input_is_refused_by_name(
    api: Api, bikes: Site, field: str, value: Any, code: int
) -> None:
    body = {**RIDE, "tz": "Pacific/Pago_Pago", "microcosmId": bikes.root_id, field: value}
    refused = api.post("/api/v1/events", body, by=bikes.member)

    assert refused.status == 400
    assert field in refused.error
    assert refused.json()["data"]["errorCode"] == code


def test_limits_themselves_are_taken(api: Api, bikes: Site) -> None:
    most = {"title": "Room for all", "rsvpLimit": 2**31 - 1, "where": "x" * 150}
    made = api.post(
        "/api/v1/events", {**RIDE, **most, "microcosmId": bikes.root_id}, by=bikes.member
    )
    assert made.status == 302
    assert api.get(made.location, by=bikes.member).data["rsvpLimit"] == 2**31 - 1


def test_an_event_ends_before_the_last_date_that_can_be_said(api: Api, bikes: Site) -> None:
    long = {"title": "Without end", "duration": 2**31 - 1}
    far = {**RIDE, **long, "microcosmId": bikes.root_id, "when": "9999-01-01T00:00:00Z"}
    refused = api.post("/api/v1/events", far, by=bikes.member)
    assert (refused.status, refused.json()["data"]["errorCode"]) == (400, 4)
    assert "duration" in refused.error

    # Neither do its time and duration get there one after the other.
    here = announce(api, bikes, **long).location
    body = {"meta": {"editReason": "later"}, "when": far["when"]}
    assert api.put(here, body, by=bikes.member).status == 400
    assert api.get(here, by=bikes.member).status == 200
    assert api.get(f"/api/v1/microcosms/{bikes.root_id}", by=bikes.member).status == 200


def test_times_without_an_offset_and_with_fractions_are_taken(api: Api, bikes: Site) -> None:
    shown = api.follow(
        announce(api, bikes, title="Precise", when="2031-06-08 09:30:00.250"), by=bikes.member
    ).data

    assert shown["when"] == "2031-06-08T09:30:00.25Z"


@pytest.mark.parametrize(
    ("when", "true"),
    [
        ("2031-03-30T00:59:00Z", "2031-03-30T00:59:00Z"),
        # The hour that the clocks leave out, and the one that they show twice.
        ("2031-03-30T01:30:00Z", "2031-03-30T01:30:00Z"),
        ("2031-03-30T02:00:00Z", "2031-03-30T01:00:00Z"),
        ("2031-10-26T01:30:00Z", "2031-10-26T00:30:00Z"),
        ("2031-10-26T02:00:00Z", "2031-10-26T02:00:00Z"),
    ],
)
def test_the_instant_follows_the_clocks_of_the_place(
    api: Api, bikes: Site, when: str, true: str
) -> None:
    made = announce(api, bikes, title=f"At {when}", when=when, tz="Europe/London")
    shown = api.follow(made, by=bikes.member).data

    assert (shown["when"], shown["whentz"]) == (when, true)


def test_a_dated_event_has_a_duration(api: Api, bikes: Site) -> None:
    for sent in (0, -5):
        made = announce(api, bikes, title=f"Lasting {sent}", duration=sent)
        assert api.follow(made, by=bikes.member).data["duration"] == 60


def test_put_changes_what_it_names_and_no_more(api: Api, bikes: Site) -> None:
    path = announce(api, bikes, title="To be changed").location
    shown = change(api, bikes, path, when="2032-01-01T10:00:00Z", where="South gate")

    assert shown["title"] == "To be changed"
    assert (shown["when"], shown["whentz"]) == ("2032-01-01T10:00:00Z", "2032-01-01T10:00:00Z")
    assert (shown["where"], shown["lat"], shown["rsvpLimit"]) == ("South gate", 41.15, 20)
    assert shown["meta"]["editReason"] == "better so"
    assert change(api, bikes, path, tz="Asia/Tokyo")["whentz"] == "2032-01-01T01:00:00Z"
    undated = change(api, bikes, path, when="")
    assert "when" not in undated and undated["status"] == "proposed"
    assert undated["duration"] == 240
    assert api.put(path, {"title": "x"}, by=bikes.member).status == 400


def test_put_alone_calls_an_event_off_and_on_again(api: Api, bikes: Site) -> None:
    path = announce(api, bikes, title="Called off", status="cancelled").location
    assert api.get(path, by=bikes.member).data["status"] == "upcoming"

    assert change(api, bikes, path, status="cancelled")["status"] == "cancelled"
    assert change(api, bikes, path, where="Here")["status"] == "cancelled"
    assert change(api, bikes, path, status="upcoming")["status"] == "upcoming"
    assert change(api, bikes, path, status="postponed")["status"] == "postponed"
    assert change(api, bikes, path, status="past")["status"] == "upcoming"


def test_an_event_is_past_once_its_time_and_duration_are_over(
    api: Api, make: Factory, bikes: Site
) -> None:
    over = make.event(bikes, when=make.clock(minutes=-61), duration_min=60)
    running = make.event(bikes, when=make.clock(minutes=-59), duration_min=60)

    assert api.get(over.path, site=bikes).data["status"] == "past"
    assert api.get(running.path, site=bikes).data["status"] == "upcoming"


def test_flags_delete_and_restore_work_as_for_conversations(
    api: Api, make: Factory, bikes: Site
) -> None:
    place = make.microcosm(bikes)
    ride = make.event(bikes, microcosm=place)
    make.comments(ride, 2)

    def totals() -> tuple[int, int]:
        children = api.get("/api/v1/microcosms?limit=250", by=bikes.member).data["items"]["items"]
        found = next(one["item"] for one in children if one["item"]["id"] == place.id)
        return found["totalItems"], found["totalComments"]

    assert totals() == (1, 2)
    assert api.delete(ride.path, by=bikes.moderator).status == 200
    assert api.get(ride.path, by=bikes.newcomer).status == 404
    assert totals() == (0, 0)
    assert api.patch(ride.path, ("deleted", False), by=bikes.moderator).status == 200
    assert totals() == (1, 2)
    assert api.get(ride.path, by=bikes.member).data["comments"]["total"] == 2
    stick = ("sticky", True)
    assert api.patch(ride.path, stick, by=bikes.member).status == 403
    assert api.patch(ride.path, stick, by=bikes.moderator).status == 200


def test_an_event_moves_only_to_where_events_may_stand(
    api: Api, make: Factory, bikes: Site
) -> None:
    ride = make.event(bikes)
    there = make.microcosm(bikes)
    talk = make.microcosm(bikes, item_types=(6,))
    reason = {"meta": {"editReason": "moved"}}

    refused = api.put(ride.path, {"microcosmId": talk.id, **reason}, by=bikes.member)
    assert refused.status == 400
    moved = api.put(ride.path, {"microcosmId": there.id, **reason}, by=bikes.member)
    assert moved.status == 302
    assert api.get(ride.path, by=bikes.member).data["microcosmId"] == there.id


def test_events_are_listed_with_what_they_are(api: Api, make: Factory, bikes: Site) -> None:
    place = make.microcosm(bikes)
    ride = make.event(bikes, microcosm=place, limit=5)
    going = [{"profileId": bikes.newcomer.id, "rsvp": "yes"}]
    assert api.put(f"{ride.path}/attendees", going, by=bikes.newcomer).status == 200

    listed = api.get("/api/v1/events?limit=250", by=bikes.newcomer).data["events"]["items"]
    [mine] = [one for one in listed if one["id"] == ride.id]
    assert (mine["rsvpAttend"], mine["rsvpSpaces"], mine["status"]) == (1, 4, "upcoming")
    assert mine["meta"]["flags"]["attending"] is True
    [entry] = api.get(place.path, by=bikes.newcomer).data["items"]["items"]
    assert entry["itemType"] == "event"
    assert entry["item"]["meta"]["flags"]["attending"] is True
    [entry] = api.get(place.path, site=bikes).data["items"]["items"]
    assert entry["item"]["meta"]["flags"]["attending"] is False


def test_is_attending_lists_only_what_the_caller_said_yes_to(
    api: Api, make: Factory, bikes: Site
) -> None:
    someone = make.person(bikes)
    ride, other, maybe = (make.event(bikes) for _ in range(3))
    for event, rsvp in ((ride, "yes"), (maybe, "maybe")):
        answer = [{"profileId": someone.id, "rsvp": rsvp}]
        assert api.put(f"{event.path}/attendees", answer, by=someone).status == 200

    def ids(query: str, **who: Any) -> list[int]:
        listed = api.get(f"/api/v1/events?limit=250&isAttending={query}", **who).data["events"]
        assert listed["total"] == len(listed["items"])
        return [one["id"] for one in listed["items"]]

    assert ids("true", by=someone) == [ride.id]
    assert ids("1", site=bikes) == []
    assert {ride.id, other.id, maybe.id} <= set(ids("false", by=someone))
    assert api.get("/api/v1/events?isAttending=perhaps", by=someone).status == 400


def test_a_page_costs_what_a_conversation_page_costs(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    make.comments(ride, 30)
    last = f"{ride.path}?offset=25"
    for path in (ride.path, last):
        api.get(path, site=bikes)
        assert api.get(path, site=bikes).statements == 1
        assert api.get(path, by=bikes.newcomer).statements == 3
        assert api.get(path, by=bikes.newcomer).statements == 2


def test_the_entity_tag_follows_the_answers(api: Api, make: Factory, bikes: Site) -> None:
    ride = make.event(bikes)
    tag = api.get(ride.path, site=bikes).headers["etag"]

    going = [{"profileId": bikes.member.id, "rsvp": "yes"}]
    assert api.put(f"{ride.path}/attendees", going, by=bikes.member).status == 200

    assert api.get(ride.path, site=bikes).headers["etag"] != tag
    assert api.get(ride.path, site=bikes).data["rsvpAttend"] == 1


def test_an_event_can_be_commented_and_its_comments_found(
    api: Api, make: Factory, bikes: Site
) -> None:
    ride = make.event(bikes)
    body = {"itemType": "event", "itemId": ride.id, "markdown": "I'll bring cake"}
    made = api.post("/api/v1/comments", body, by=bikes.newcomer)
    comment_id = int(made.location.rpartition("/")[2])

    for find in ("lastcomment", "newcomment"):
        there = api.get(f"{ride.path}/{find}", by=bikes.member)
        assert (there.status, there.location) == (307, f"{ride.path}?comment_id={comment_id}")
