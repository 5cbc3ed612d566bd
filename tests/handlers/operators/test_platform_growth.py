"""The platform's figures: what is counted, the last of each day, and for whom (platform 6.2 and 8, P-53)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.factories import Person, Site
from tests.handlers.platform import Platform

PATH = "/api/v1/metrics"


@pytest.fixture
def platform(postgres_url: str) -> Iterator[Platform]:
    """A platform of its own, whose figures no other test moves; its first user runs it."""
    with services.database(postgres_url, "metrics") as url:
        made = Platform(url, admin_user_ids=(1,))
        yield made
        made.app.database.close()


def admin(platform: Platform) -> Person:
    """One of those who run the platform, on its own host."""
    person = platform.make.person(Site(1, "root", platform.domain, 0), "keeper")
    assert person.user_id == 1
    return person


@pytest.mark.wide
def test_a_sample_holds_what_there_is_and_what_the_last_day_brought(platform: Platform) -> None:
    keeper, make = admin(platform), platform.make
    busy, quiet, gone = (make.site() for _ in range(3))
    chat = make.conversation(busy)
    old = make.conversation(busy)
    make.comment(chat)
    aged = make.comment(old)
    stray = make.comment(make.conversation(quiet))
    profiles = platform.sql("SELECT count(*)::int FROM profiles")[0][0]
    for statement in (
        "UPDATE sites SET logo_url = '/api/v1/files/logo' WHERE site_id = %(busy)s",
        "UPDATE sites SET is_deleted = true WHERE site_id = %(gone)s",
        "UPDATE items SET created = created - interval '2 days' WHERE item_id = %(old)s",
        "UPDATE comments SET created = created - interval '2 days' WHERE comment_id IN (%(aged)s, %(stray)s)",
        "UPDATE profiles SET created = created - interval '2 days' WHERE site_id <> %(busy)s",
        "UPDATE profile_counters SET last_active = now() - interval '2 days' WHERE site_id <> %(quiet)s",
        "UPDATE profiles SET avatar_id = 1, profile_name = 'ada' WHERE profile_id = %(one)s",
        "UPDATE profiles SET avatar_id = 1, profile_name = 'user77' WHERE profile_id = %(two)s",
    ):
        values = {
            "busy": busy.id,
            "quiet": quiet.id,
            "gone": gone.id,
            "old": old.id,
            "aged": aged.id,
            "stray": stray.id,
            "one": busy.member.id,
            "two": busy.newcomer.id,
        }
        platform.sql(statement, **{k: v for k, v in values.items() if f"%({k})s" in statement})
    here = len([one for one in busy.cast().values() if one is not None])
    awake = len([one for one in quiet.cast().values() if one is not None])

    assert platform.api.put(PATH, {}, by=keeper).status == 200
    (shown,) = platform.api.get(PATH, by=keeper).data["metrics"]

    assert {key: value for key, value in shown.items() if key != "timestamp"} == {
        "pageviews": 0,
        "visits": 0,
        "uniques": 0,
        "newProfiles": here,
        "editedProfiles": 1,
        "totalProfiles": profiles,
        "signins": awake,
        "comments": 1,
        "conversations": 2,
        "engagedForums": 1,
        "totalForums": 2,
    }


@pytest.mark.wide
def test_the_last_sample_of_each_day_is_shown_oldest_first(platform: Platform) -> None:
    keeper = admin(platform)
    for moment, total in (
        ("2026-03-02T20:00:00Z", 4),
        ("2026-03-01T23:59:59.5Z", 3),
        ("2026-03-01T04:00:00Z", 1),
        ("2026-03-02T00:00:00Z", 9),
    ):
        platform.sql(
            "INSERT INTO metrics (sampled, total_profiles) VALUES (%(at)s, %(total)s)",
            at=moment,
            total=total,
        )

    shown = platform.api.get(PATH, by=keeper).data["metrics"]

    assert [(one["timestamp"], one["totalProfiles"]) for one in shown] == [
        ("2026-03-01T23:59:59.5Z", 3),
        ("2026-03-02T20:00:00Z", 4),
    ]


@pytest.mark.wide
def test_only_those_who_run_the_platform_see_them(platform: Platform) -> None:
    keeper = admin(platform)
    site = platform.make.site()
    for by in (None, site.owner):
        for method in ("GET", "PUT"):
            answer = platform.api.request(method, PATH, by=by, host=platform.domain)
            assert answer.status == 403
            assert answer.code == (5 if by is None else 8)
    assert platform.sql("SELECT count(*) FROM metrics") == [(0,)]
    assert platform.api.get(PATH, by=keeper).data == {"metrics": []}
    assert platform.api.request("HEAD", PATH, by=keeper).status == 200
    assert platform.api.get(PATH, site=site, by=site.owner).status == 404
    assert platform.api.request("OPTIONS", PATH).headers["Allow"] == "OPTIONS,GET,HEAD,PUT"
