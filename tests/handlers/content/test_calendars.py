"""Calendars of events, read by another library than the one that writes them."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import vobject

from tests.api import Api, Response
from tests.factories import Factory, Person, Site


def parsed(answer: Response) -> list[Any]:
    """The events of a calendar that must be one."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    text = answer.body.decode()
    assert "\n" not in text.replace("\r\n", "")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    calendar = vobject.readOne(text)
    calendar.validate(raiseException=True)
    assert calendar.version.value == "2.0"
    return list(getattr(calendar, "vevent_list", []))


def titles(answer: Response) -> set[str]:
    return {event.summary.value for event in parsed(answer)}


def feed(api: Api, path: str, *, site: Site, by: Person | None = None) -> Response:
    # Guests are told of a new microcosm when a member has been seen to know it.
    api.get("/api/v1/microcosms", by=site.member)
    return api.get(f"{path}/ical", site=site, by=by)


def test_an_event_is_told_as_it_is(api: Api, bikes: Site) -> None:
    made = api.post(
        "/api/v1/events",
        {
            "microcosmId": bikes.root_id,
            "title": "Tom & Jerry's ride; café, <b>then</b> " + "x" * 80,
            "when": "2031-06-08T09:30:00",
            "tz": "Europe/Lisbon",
            "duration": 90,
            "where": "North gate\nby the kiosk, left; \\o/",
            "lat": 41.15,
            "lon": -8.61,
        },
        by=bikes.member,
    )

    [event] = parsed(feed(api, made.location, site=bikes))
    assert event.summary.value == "Tom & Jerry's ride; café, then " + "x" * 80
    assert event.location.value == "North gate\nby the kiosk, left; \\o/"
    assert event.dtstart.value == datetime.datetime(2031, 6, 8, 8, 30, tzinfo=datetime.UTC)
    assert event.dtend.value - event.dtstart.value == datetime.timedelta(minutes=90)
    assert event.description.value.startswith("2031-06-08 09:30 Europe/Lisbon")
    assert event.geo.value == "41.15;-8.61"
    assert event.status.value == "CONFIRMED"
    assert event.sequence.value == "0"
    uid = event.uid.value
    assert uid == f"event-{made.location.rpartition('/')[2]}@{bikes.host}"

    # What is changed keeps its identity, and says that it is newer.
    changed = {"status": "cancelled", "meta": {"editReason": "rain"}}
    assert api.put(made.location, changed, by=bikes.member).status == 302
    [event] = parsed(feed(api, made.location, site=bikes))
    assert (event.uid.value, event.status.value) == (uid, "CANCELLED")
    assert event.sequence.value == "1"


@pytest.mark.parametrize(
    "when",
    [
        "2031-03-30T00:30:00",
        "2031-03-30T03:30:00",
        "2031-10-26T00:30:00",
        "2031-10-26T01:30:00",
        "2031-10-26T02:30:00",
    ],
)
def test_an_event_across_a_change_of_clocks_lasts_as_long_as_it_does(
    api: Api, make: Factory, bikes: Site, when: str
) -> None:
    clock = datetime.datetime.fromisoformat(when)
    ride = make.event(bikes, when=clock, tz="Europe/London", duration_min=120)

    [event] = parsed(feed(api, ride.path, site=bikes))
    start = clock.replace(tzinfo=ZoneInfo("Europe/London"))
    assert event.dtstart.value == start.astimezone(datetime.UTC)
    assert event.dtend.value - event.dtstart.value == datetime.timedelta(hours=2)


def test_an_event_without_a_time_is_in_no_calendar(api: Api, make: Factory, bikes: Site) -> None:
    place = make.microcosm(bikes)
    body = {"microcosmId": place.id, "title": "Some day"}
    path = api.post("/api/v1/events", body, by=bikes.member).location

    assert feed(api, path, site=bikes).status == 404
    assert parsed(feed(api, place.path, site=bikes)) == []


def test_a_microcosm_tells_of_what_its_reader_may_read(
    api: Api, make: Factory, bikes: Site
) -> None:
    place = make.microcosm(bikes)
    below = make.microcosm(bikes, parent=place)
    secret = make.microcosm(bikes, parent=place)
    make.role(bikes, secret.id, "Nobody", rights=())
    make.event(bikes, microcosm=place, title="Above")
    ignored = make.event(bikes, microcosm=below, title="Below")
    make.event(bikes, microcosm=secret, title="Secret", by=bikes.owner)
    make.event(bikes, microcosm=place, title="Last month", when=make.clock(days=-30))
    make.event(bikes, microcosm=place, title="Long ago", when=make.clock(days=-400))
    gone = make.event(bikes, microcosm=place, title="Gone")
    assert api.delete(gone.path, by=bikes.moderator).status == 200

    shown = {"Above", "Below", "Last month"}
    assert titles(feed(api, place.path, site=bikes)) == shown
    assert titles(feed(api, place.path, site=bikes, by=bikes.owner)) == {*shown, "Secret"}
    assert feed(api, secret.path, site=bikes).status == 403
    reader = make.person(bikes)
    make.ignore(reader, ignored)
    assert titles(feed(api, place.path, site=bikes, by=reader)) == {"Above", "Last month"}
    by_token = f"{place.path}/ical?access_token={reader.token}"
    assert titles(api.get(by_token, site=bikes)) == {"Above", "Last month"}


def test_a_profile_tells_what_it_comes_to_and_its_reader_may_read(
    api: Api, make: Factory, bikes: Site
) -> None:
    secret = make.microcosm(bikes)
    make.role(bikes, secret.id, "Nobody", rights=())
    public = make.event(bikes, title="Public")
    hidden = make.event(bikes, microcosm=secret, title="Hidden")
    make.event(bikes, title="Not mine")
    goer = make.person(bikes)
    for event in (public, hidden):
        make.attend(event, goer)

    assert titles(feed(api, goer.path, site=bikes)) == {"Public"}
    assert titles(feed(api, goer.path, site=bikes, by=bikes.newcomer)) == {"Public"}
    assert titles(feed(api, goer.path, site=bikes, by=bikes.owner)) == {"Public", "Hidden"}


def test_a_program_that_asks_again_gets_no_more_than_it_must(
    api: Api, make: Factory, bikes: Site
) -> None:
    place = make.microcosm(bikes)
    make.event(bikes, microcosm=place)
    path = f"{place.path}/ical"
    first = feed(api, place.path, site=bikes)
    known = {"If-None-Match": first.headers["etag"]}

    assert api.request("GET", path, site=bikes, headers=known).status == 304
    make.event(bikes, microcosm=place)
    assert api.request("GET", path, site=bikes, headers=known).status == 200
    assert api.get(path, site=bikes).statements == 1
    assert api.get(path, by=bikes.newcomer).statements == 2
