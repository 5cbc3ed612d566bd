"""Tests of what `doctor` says of the plans of sites, and of a biller that takes nothing."""

from __future__ import annotations

import datetime

import psycopg
import pytest

from forumapi.command import doctor
from forumapi.config import Config
from forumapi.cron.usage_billing import GRACE_S
from tests.factories import Factory


@pytest.mark.parametrize(
    ("plans", "default", "said"),
    [
        ((), "", [("none", False, False)]),
        (("free members=9", "city"), "free", [("free, city", False, False)]),
        (("free",), "fre", [("default_plan is fre, the plans are: free", True, False)]),
        ((), "free", [("default_plan is free, the plans are: none", True, False)]),
        (
            ("shut calls_per_minute=0 webhooks=0", "full members=0"),
            "",
            [
                ("shut has calls_per_minute=0: on its sites everybody", True, True),
                ("full has members=0: on its sites nobody", True, True),
            ],
        ),
    ],
)
def test_plans_that_limit_nothing_or_everybody_are_named(
    plans: tuple[str, ...], default: str, said: list[tuple[str, bool, bool]]
) -> None:
    found = list(doctor.plans(Config(plans=plans, default_plan=default)))

    assert len(found) == len(said)
    for one, (text, is_wrong, is_warning) in zip(found, said, strict=True):
        assert one.found.startswith(text)
        assert (bool(one.mend), one.is_warning) == (is_wrong, is_warning)


def test_a_biller_that_has_taken_nothing_for_an_hour_is_stuck(
    database_url: str, make: Factory
) -> None:
    site = make.site()
    hour = datetime.datetime(2020, 2, 3, 4, tzinfo=datetime.UTC)
    due = hour + datetime.timedelta(hours=1, seconds=GRACE_S)
    minute = datetime.timedelta(minutes=1)
    # In a transaction that is never committed.
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM usage_billing")
        assert not doctor.billing(connection, due).mend, "no run of the job has begun the account"
        connection.execute("INSERT INTO usage_billing (hour, last_site) VALUES (%s, 0)", [hour])
        connection.execute("DELETE FROM site_usage WHERE hour < now()")
        assert doctor.billing(connection, due).found == "nothing waits for the biller"
        connection.execute(
            "INSERT INTO site_usage (site_id, hour, writes) VALUES (%s, %s, 1)", [site.id, hour]
        )

        fresh, stuck = (doctor.billing(connection, due + late * minute) for late in (59, 90))
        connection.rollback()

    assert not fresh.mend
    assert stuck.mend and not stuck.is_warning
    assert f"site {site.id} from 2020-02-03 04:00 UTC waits for 1.5 hours" in stuck.found
