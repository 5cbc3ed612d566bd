"""Reminders in the event log: once for each event and start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from forumapi.config import Config
from forumapi.cron import reminders
from tests.api import Api
from tests.factories import Factory, Site, Thing

CONFIG = Config(event_reminder_minutes=60)


def remind(make: Factory) -> None:
    with make.database.write() as tx:
        reminders.event_reminders(tx, CONFIG)


def logged(make: Factory, *events: Thing) -> list[int]:
    return [
        len(
            make.sql(
                "SELECT 1 FROM event_log WHERE site_id = %(site)s AND item_id = %(id)s AND kind = 'reminded'",
                site=event.site.id,
                id=event.id,
            )
        )
        for event in events
    ]


def test_an_event_that_is_close_is_reminded_of_once(make: Factory, bikes: Site) -> None:
    close = make.event(bikes, when=make.clock(minutes=50))
    far = make.event(bikes, when=make.clock(minutes=70))
    running = make.event(bikes, when=make.clock(minutes=-10))

    remind(make)
    remind(make)

    assert logged(make, close, far, running) == [1, 0, 0]


def test_many_at_once_remind_once(make: Factory, bikes: Site) -> None:
    events = [make.event(bikes, when=make.clock(minutes=30)) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: remind(make), range(4)))

    assert logged(make, *events) == [1] * 5


def move(api: Api, make: Factory, event: Thing, minutes: int) -> None:
    """Move an event to a start in so many minutes."""
    when = f"{make.clock(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
    moved = {"when": when, "meta": {"editReason": "later"}}
    assert api.put(event.path, moved, by=event.site.member).status == 302


def test_an_event_that_is_moved_again_and_again_is_reminded_of_once_an_hour(
    api: Api, make: Factory, bikes: Site
) -> None:
    ride = make.event(bikes, when=make.clock(minutes=30))
    remind(make)
    for minutes in (40, 50):
        move(api, make, ride, minutes)
        remind(make)

    assert logged(make, ride) == [1]
    make.sql(
        "UPDATE events SET reminded_at = now() - interval '1 hour' WHERE item_id = %(id)s",
        id=ride.id,
    )
    remind(make)
    remind(make)
    assert logged(make, ride) == [2]


def test_what_is_hidden_or_called_off_is_not_reminded_of(
    api: Api, make: Factory, bikes: Site
) -> None:
    deleted, cancelled = (make.event(bikes, when=make.clock(minutes=30)) for _ in range(2))
    assert api.delete(deleted.path, by=bikes.moderator).status == 200
    off = {"status": "cancelled", "meta": {"editReason": "rain"}}
    assert api.put(cancelled.path, off, by=bikes.member).status == 302

    remind(make)

    assert logged(make, deleted, cancelled) == [0, 0]
